//! Steady load: so many cancellations a second, whether or not those before have ended.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

pub use crate::journey::{Accepted, Journey};
pub use crate::settle::Thing;
use crate::{Client, journey::travel};

/// How many journeys are under way at most; more wait.
const UNDER_WAY_MAX: usize = 4_000;
const TICK: Duration = Duration::from_millis(5);

/// What is asked for, and how often.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Requests a second.
    pub per_s: u32,
    /// Every so many-th is a whole account; the others are of the named scope.
    pub whole_every: usize,
}

/// What was accepted so far.
type Record = Arc<Mutex<Vec<Accepted>>>;

/// Load under way.
pub struct Load {
    stop: watch::Sender<bool>,
    begun: watch::Receiver<usize>,
    record: Record,
    pacer: JoinSet<Vec<anyhow::Error>>,
}

/// What became of a load.
#[derive(Debug)]
pub struct Asked {
    /// Every request that was accepted.
    pub accepted: Vec<Accepted>,
    /// Journeys that did not get to their end, and why.
    pub failed: Vec<anyhow::Error>,
}

impl Load {
    /// Begins, and goes on until it is stopped.
    #[must_use]
    pub fn start(client: Client, plan: Plan) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (count, begun) = watch::channel(0);
        let record = Record::default();
        let mut pacer = JoinSet::new();
        pacer.spawn(pace(client, plan, stopped, count, record.clone()));
        Self { stop, begun, record, pacer }
    }

    /// How many requests were accepted so far.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Waits until so many journeys have begun, which is a measure of time that a slow machine stretches; false
    /// when the time is up before.
    ///
    /// # Errors
    /// When the load has ended.
    pub async fn begun(&self, journeys: usize, within: Duration) -> Result<bool> {
        let mut begun = self.begun.clone();
        match timeout(within, begun.wait_for(|count| *count >= journeys)).await {
            Ok(reached) => reached.map(|_| true).context("the load has ended"),
            Err(_) => Ok(false),
        }
    }

    /// How many journeys have begun so far.
    #[must_use]
    pub fn begun_so_far(&self) -> usize {
        *self.begun.borrow()
    }

    /// Asks for nothing new, and waits until all that is under way has been confirmed.
    ///
    /// # Errors
    /// When the load itself broke.
    pub async fn finish(mut self) -> Result<Asked> {
        self.stop.send_replace(true);
        let failed = self.pacer.join_next().await.context("there was no load")??;
        let accepted = std::mem::take(&mut *self.record.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Asked { accepted, failed })
    }
}

async fn pace(
    client: Client,
    plan: Plan,
    mut stopped: watch::Receiver<bool>,
    count: watch::Sender<usize>,
    record: Record,
) -> Vec<anyhow::Error> {
    let run = types::fresh_uuid().simple().to_string();
    let under_way = Arc::new(Semaphore::new(UNDER_WAY_MAX));
    let (mut journeys, mut failed) = (JoinSet::new(), Vec::new());
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let start = Instant::now();
    let mut number = 0;
    while !*stopped.borrow() {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stopped.changed() => break,
        }
        let due = start.elapsed().as_secs_f64() * f64::from(plan.per_s);
        while (number as f64) < due {
            let Ok(permit) = under_way.clone().try_acquire_owned() else { break };
            let (client, record, name) = (client.clone(), record.clone(), format!("{run}-{number}"));
            let journey = plan.journey(number);
            journeys.spawn(async move {
                let _permit = permit;
                let accepted = |it| record.lock().unwrap_or_else(PoisonError::into_inner).push(it);
                travel(&client, &name, journey, accepted)
                    .await
                    .with_context(|| format!("{name} ({journey:?})"))
            });
            number += 1;
        }
        count.send_replace(number);
        while let Some(ended) = journeys.try_join_next() {
            failed.extend(flat(ended).err());
        }
    }
    while let Some(ended) = journeys.join_next().await {
        failed.extend(flat(ended).err());
    }
    failed
}

fn flat(ended: Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    ended.context("a journey broke")?
}

impl Plan {
    fn journey(&self, number: usize) -> Journey {
        let whole = number % self.whole_every == self.whole_every - 1;
        let thing = Thing::ALL[number / self.whole_every % Thing::ALL.len()];
        if whole { Journey::Whole(thing) } else { Journey::Named }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_mixes_named_scopes_with_whole_accounts_of_every_kind() {
        let plan = Plan { per_s: 1, whole_every: 5 };
        let journeys: Vec<Journey> = (0..40).map(|number| plan.journey(number)).collect();
        assert_eq!(journeys.iter().filter(|it| **it == Journey::Named).count(), 32);
        for thing in Thing::ALL {
            assert_eq!(journeys.iter().filter(|it| **it == Journey::Whole(thing)).count(), 2, "{thing:?}");
        }
    }
}
