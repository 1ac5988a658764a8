//! Load: one at a time, as much as goes (closed loop), or at a rate (open loop). All bounded.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};

use crate::{client::Client, workload::Workload};

/// Latencies are kept in microseconds, up to ten minutes, to three digits.
const LATENCY_MICROS_MAX: u64 = 600_000_000;
/// How many calls the open loop has under way at most; more wait, and their waiting counts.
const OPEN_IN_FLIGHT_MAX: usize = 4_000;
/// How often the open loop looks at what is due.
const OPEN_TICK: Duration = Duration::from_millis(1);
/// How long what is in flight may take when a window has ended.
const DRAIN_WITHIN: Duration = Duration::from_secs(90);

/// What one load measured.
pub struct Measured {
    pub completed: u64,
    /// Microseconds.
    pub latency: Histogram<u64>,
    /// One of those that completed.
    pub sample: Option<String>,
}

impl Measured {
    pub fn new() -> Result<Self> {
        Ok(Self { completed: 0, latency: Histogram::new_with_max(LATENCY_MICROS_MAX, 3)?, sample: None })
    }

    /// One more; `id` names it when its receipt is to be looked at.
    pub fn add(&mut self, latency: Duration, id: Option<String>) {
        self.completed += 1;
        self.latency.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        self.sample = id.or_else(|| self.sample.take());
    }
}

/// Where load goes to: connections, and subjects of which each is used once.
pub struct Field {
    clients: Vec<Client>,
    subjects: Arc<Mutex<Vec<String>>>,
    workload: Workload,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Field {
    pub fn new(clients: Vec<Client>, workload: Workload) -> Self {
        Self { clients, subjects: Arc::default(), workload }
    }

    pub fn client(&self, number: usize) -> Client {
        self.clients[number % self.clients.len()].clone()
    }

    /// Makes sure that there are so many subjects to use, `in_flight` registered at a time.
    pub async fn stock(&self, wanted: usize, in_flight: usize) -> Result<()> {
        let mut workers = JoinSet::new();
        for number in 0..in_flight {
            let (mut client, subjects) = (self.client(number), self.subjects.clone());
            workers.spawn(async move {
                while lock(&subjects).len() < wanted {
                    let subject = client.register().await?;
                    lock(&subjects).push(subject);
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = workers.join_next().await {
            ended??;
        }
        Ok(())
    }

    /// One after the other, at most so many, and at most so long.
    pub async fn one_at_a_time(&self, count_max: u32, within: Duration) -> Result<Measured> {
        let mut measured = Measured::new()?;
        let (mut client, end) = (self.client(0), Instant::now() + within);
        for _ in 0..count_max {
            let Some(subject) = lock(&self.subjects).pop() else { break };
            let begun = Instant::now();
            if begun >= end {
                break;
            }
            let id = self.workload.play(&mut client, &subject).await?;
            measured.add(begun.elapsed(), Some(id));
        }
        Ok(measured)
    }

    /// So many at the same time; each that completes is followed by the next. What completes after
    /// `ramp` and within `window` counts. `mark` is called at the window's begin and end. Gives how
    /// long the window was, which is less when subjects ran out.
    pub async fn closed_loop(
        &self,
        in_flight: usize,
        ramp: Duration,
        window: Duration,
        mut mark: impl FnMut(),
    ) -> Result<(Measured, Duration)> {
        let measured = Arc::new(Mutex::new(Measured::new()?));
        let begin = Instant::now() + ramp;
        let end = begin + window;
        let mut workers = JoinSet::new();
        for number in 0..in_flight {
            let (mut client, workload) = (self.client(number), self.workload);
            let (measured, subjects) = (measured.clone(), self.subjects.clone());
            workers.spawn(async move {
                loop {
                    let begun = Instant::now();
                    if begun >= end {
                        return anyhow::Ok(true);
                    }
                    let Some(subject) = lock(&subjects).pop() else { return Ok(false) };
                    let id = workload.play(&mut client, &subject).await?;
                    let done = Instant::now();
                    if done >= begin && done < end {
                        lock(&measured).add(done - begun, Some(id));
                    }
                }
            });
        }
        if !all_go_on(&mut workers, begin).await? {
            bail!("subjects ran out before the window began");
        }
        mark();
        all_go_on(&mut workers, end).await?;
        let lasted = begin.elapsed().min(window);
        mark();
        drain(workers).await?;
        let measured = std::mem::replace(&mut *lock(&measured), Measured::new()?);
        Ok((measured, lasted))
    }

    /// So many a second, whether or not those before have completed; latency counts from when it was
    /// due, so that a server that stalls cannot hide it.
    pub async fn open_loop(&self, per_s: f64, window: Duration) -> Result<Measured> {
        let measured = Arc::new(Mutex::new(Measured::new()?));
        let permits = Arc::new(Semaphore::new(OPEN_IN_FLIGHT_MAX));
        let mut workers = JoinSet::new();
        let mut ticks = interval(OPEN_TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let (begin, mut number) = (Instant::now(), 0_u32);
        'window: loop {
            ticks.tick().await;
            loop {
                let due = begin + Duration::from_secs_f64(f64::from(number) / per_s);
                if due >= begin + window {
                    break 'window;
                }
                if due > Instant::now() {
                    break;
                }
                let Some(subject) = lock(&self.subjects).pop() else { break 'window };
                let (mut client, workload) = (self.client(number as usize), self.workload);
                let (measured, permits) = (measured.clone(), permits.clone());
                workers.spawn(async move {
                    let _permit = permits.acquire_owned().await?;
                    let id = workload.play(&mut client, &subject).await?;
                    lock(&measured).add(due.elapsed(), Some(id));
                    anyhow::Ok(true)
                });
                number += 1;
            }
            while let Some(ended) = workers.try_join_next() {
                ended??;
            }
        }
        drain(workers).await?;
        let measured = std::mem::replace(&mut *lock(&measured), Measured::new()?);
        Ok(measured)
    }
}

type Workers = JoinSet<Result<bool>>;

/// Waits until then; false when somebody has nothing left to do. Whoever fails ends it.
async fn all_go_on(workers: &mut Workers, until: Instant) -> Result<bool> {
    while let Ok(ended) = timeout_at(until, workers.join_next()).await {
        if !ended.transpose()?.transpose()?.unwrap_or(false) {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn drain(mut workers: Workers) -> Result<()> {
    let end = Instant::now() + DRAIN_WITHIN;
    while let Some(ended) =
        timeout_at(end, workers.join_next()).await.context("cancellations in flight do not complete")?
    {
        ended??;
    }
    Ok(())
}
