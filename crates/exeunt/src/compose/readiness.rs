//! Says by gRPC health when a service is ready: its consumer has joined its group and read what must be
//! read first, and its store answers. The process is ready when all its services are. What must be read
//! first is read before a call is let in, too.

use messaging::{ConsumerHandle, ConsumerHealth, EVENT_STORE};
use service_kit::server::Gate;
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::operations::Reading;

/// The name under which health tells of the whole process.
const PROCESS: &str = "";

/// A service whose readiness is told.
pub(super) struct Watched {
    /// What it reads from the log.
    reading: Reading,
    /// Its gRPC name; none for a participant without calls of its own.
    service: Option<&'static str>,
    health: watch::Receiver<ConsumerHealth>,
    /// Lets calls in once it has caught up.
    gate: Gate,
}

impl Watched {
    pub(super) fn new(name: &str, service: Option<&'static str>, consumer: &ConsumerHandle) -> Self {
        let (reading, health) = (Reading::new(name, consumer), consumer.health());
        let watched = Self { reading, service, health, gate: Gate::default() };
        watched.let_in();
        watched
    }

    /// What it reads from the log.
    pub(super) fn reading(&self) -> Reading {
        self.reading.clone()
    }

    /// What stands before the service's calls.
    pub(super) fn gate(&self) -> Gate {
        self.gate.clone()
    }

    /// Lets calls in when it has caught up, whether or not it has joined its group yet.
    fn let_in(&self) {
        if !self.health.borrow().behind {
            self.gate.open();
        }
    }

    /// Waits for a change; false when the consumer has ended.
    async fn changed(mut self, place: usize) -> (usize, Self, bool) {
        let goes_on = self.health.changed().await.is_ok();
        (place, self, goes_on)
    }
}

/// Nobody is ready before it was seen.
pub(super) async fn begin(reporter: &HealthReporter, services: &[Watched]) {
    let names = services.iter().filter_map(|watched| watched.service);
    for name in names.chain([PROCESS]) {
        reporter.set_service_status(name, ServingStatus::NotServing).await;
    }
}

/// Tells of every change until told to stop.
pub(super) async fn tell(reporter: HealthReporter, services: Vec<Watched>, stop: CancellationToken) {
    let mut ready = vec![false; services.len()];
    let mut changes = JoinSet::new();
    for (place, watched) in services.into_iter().enumerate() {
        ready[place] = report(&reporter, &watched).await;
        changes.spawn(watched.changed(place));
    }
    loop {
        reporter.set_service_status(PROCESS, status(ready.iter().all(|ready| *ready))).await;
        let Some(Some(Ok((place, watched, goes_on)))) = stop.run_until_cancelled(changes.join_next()).await
        else {
            // Told to stop: from here on the server says what is so.
            stop.cancelled().await;
            return;
        };
        if goes_on {
            ready[place] = report(&reporter, &watched).await;
            changes.spawn(watched.changed(place));
        } else {
            ready[place] = false;
        }
    }
}

/// While the log is away a service still answers what it can; without its store it answers nothing.
fn is_ready(health: &ConsumerHealth) -> bool {
    health.joined && !health.behind && health.paused.as_deref() != Some(EVENT_STORE)
}

async fn report(reporter: &HealthReporter, watched: &Watched) -> bool {
    watched.let_in();
    let ready = is_ready(&watched.health.borrow());
    if let Some(name) = watched.service {
        reporter.set_service_status(name, status(ready)).await;
    }
    ready
}

fn status(ready: bool) -> ServingStatus {
    if ready { ServingStatus::Serving } else { ServingStatus::NotServing }
}

#[cfg(test)]
mod tests {
    use messaging::EVENT_LOG;

    use super::*;

    #[test]
    fn a_service_is_ready_once_it_has_joined_and_while_its_store_answers() {
        let joined = ConsumerHealth { joined: true, ..ConsumerHealth::default() };
        let without = |what: &str| ConsumerHealth { paused: Some(what.into()), ..joined.clone() };
        assert!(!is_ready(&ConsumerHealth::default()));
        assert!(is_ready(&joined) && is_ready(&without(EVENT_LOG)));
        assert!(!is_ready(&without(EVENT_STORE)));
        assert!(!is_ready(&ConsumerHealth { behind: true, ..joined.clone() }));
    }
}
