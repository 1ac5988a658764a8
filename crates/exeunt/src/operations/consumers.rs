//! How what services read from the log is getting on.

use std::sync::Arc;

use messaging::{ConsumerHandle, ConsumerHealth};
use proto::operations::v1 as pb;
use tokio::sync::watch;

/// A service as a reader of the log.
#[derive(Debug, Clone)]
pub struct Reading {
    service: Arc<str>,
    health: watch::Receiver<ConsumerHealth>,
}

impl Reading {
    /// What that consumer reads for that service.
    #[must_use]
    pub fn new(service: &str, consumer: &ConsumerHandle) -> Self {
        Self { service: service.into(), health: consumer.health() }
    }
}

pub(super) fn told(reading: &Reading) -> pb::Consumer {
    let ConsumerHealth { joined, assigned, stopped, paused, parked_keys, behind } =
        reading.health.borrow().clone();
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let stopped = stopped.into_iter().map(|(topic, partition, cause)| pb::StoppedPartition {
        topic: topic.to_string(),
        partition,
        cause: cause.to_string(),
    });
    pb::Consumer {
        service: reading.service.to_string(),
        joined,
        partitions: count(assigned),
        catching_up: behind,
        waits_for: paused.map(|what| what.to_string()).unwrap_or_default(),
        parked_keys: count(parked_keys),
        stopped: stopped.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_has_stopped_is_told_with_its_cause_for_as_long_as_it_is_so() {
        let stopped = vec![("t".into(), 3, "OFFSET_LOST".into())];
        let (health, watched) = watch::channel(ConsumerHealth {
            joined: true,
            assigned: 8,
            stopped,
            paused: Some("event log".into()),
            parked_keys: 2,
            behind: true,
        });
        let reading = Reading { service: "wallet".into(), health: watched };
        let place = pb::StoppedPartition { topic: "t".into(), partition: 3, cause: "OFFSET_LOST".into() };
        let expected = pb::Consumer {
            service: "wallet".into(),
            joined: true,
            partitions: 8,
            catching_up: true,
            waits_for: "event log".into(),
            parked_keys: 2,
            stopped: vec![place],
        };
        assert_eq!(told(&reading), expected);
        health.send_replace(ConsumerHealth { joined: true, ..ConsumerHealth::default() });
        let on = pb::Consumer { service: "wallet".into(), joined: true, ..pb::Consumer::default() };
        assert_eq!(told(&reading), on);
    }
}
