//! One assigned partition: where it stands, which of its keys are parked, how much of it parks.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use event_store::{LogOffset, ParkedKey, StreamId};

use super::{Handler, Poison};
use crate::{Assignment, Record};

/// One assigned partition.
pub(crate) struct Lane {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) incarnation: Arc<str>,
    /// What stands in the database: incarnation and next.
    pub(crate) row: Option<(Arc<str>, i64)>,
    /// The lowest offset that is still to be handled.
    pub(crate) next: i64,
    /// Keys with parked records. Only this consumer parks them, so it knows them all.
    pub(crate) parked: HashSet<Bytes>,
    /// Why nothing of it is handled any more.
    pub(crate) stopped: Option<Arc<str>>,
    /// Whether its records are dropped for now, to be read again when those of others have been.
    pub(crate) deferred: bool,
    outcomes: Outcomes,
}

impl Lane {
    /// A partition just assigned, and where the database says that it is. Another incarnation in the row
    /// means another topic of the same name: it is read from its beginning.
    pub(crate) fn new(assignment: Assignment, row: Option<&LogOffset>, window: usize) -> Self {
        let Assignment { topic, partition, incarnation } = assignment;
        let mut lane = Self {
            topic,
            partition,
            incarnation,
            row: None,
            next: 0,
            parked: HashSet::new(),
            stopped: None,
            deferred: false,
            outcomes: Outcomes::new(window),
        };
        lane.stand(row);
        lane
    }

    /// Takes over which of the consumer's parked keys are of it.
    pub(crate) fn take_parked(&mut self, keys: &[(ParkedKey, bool)]) {
        let own = keys.iter().filter(|(key, _)| self.is(&key.topic, key.partition));
        self.parked = own.map(|(key, _)| key.key.clone()).collect();
    }

    /// Takes over what stands in the database.
    pub(crate) fn stand(&mut self, row: Option<&LogOffset>) {
        self.row = row.map(|row| (row.incarnation.clone(), row.next));
        self.next = self.start().unwrap_or(0);
    }

    /// Where to read from; `None` for the earliest there is.
    pub(crate) fn start(&self) -> Option<i64> {
        self.row.as_ref().filter(|(incarnation, _)| *incarnation == self.incarnation).map(|(_, next)| *next)
    }

    /// Its offset row.
    pub(crate) fn offset(&self, consumer: &Arc<str>, next: i64) -> LogOffset {
        LogOffset {
            consumer: consumer.clone(),
            topic: self.topic.clone(),
            partition: self.partition,
            incarnation: self.incarnation.clone(),
            next,
        }
    }

    /// Whether a record of that offset is to be handled now.
    pub(crate) fn wants(&self, offset: i64) -> bool {
        offset >= self.next && self.stopped.is_none() && !self.deferred
    }

    /// A key of it.
    pub(crate) fn key(&self, consumer: &Arc<str>, key: Bytes) -> ParkedKey {
        ParkedKey { consumer: consumer.clone(), topic: self.topic.clone(), partition: self.partition, key }
    }

    /// Whether a row or record is of this partition.
    pub(crate) fn is(&self, topic: &str, partition: i32) -> bool {
        self.partition == partition && *self.topic == *topic
    }

    /// Whether a key waits for those of it that are parked.
    pub(crate) fn holds_up(&self) -> bool {
        self.parked.iter().any(|key| !key.starts_with(APART.as_bytes()))
    }

    /// Goes on after a stop.
    pub(crate) fn resume(&mut self) {
        self.stopped = None;
        self.outcomes = Outcomes::new(self.outcomes.window);
    }

    /// Counts a record that was handled or turned out to be poison, and says whether more than the
    /// share of the latest are poison. Those behind a parked record do not count, or one busy key
    /// would stop a partition.
    pub(crate) fn count(&mut self, poison: bool, share_max: f64) -> bool {
        self.outcomes.push(poison);
        self.outcomes.is_over(share_max)
    }
}

/// The latest outcomes of a partition.
struct Outcomes {
    latest: VecDeque<bool>,
    poison: usize,
    window: usize,
}

impl Outcomes {
    fn new(window: usize) -> Self {
        Self { latest: VecDeque::with_capacity(window), poison: 0, window: window.max(1) }
    }

    fn push(&mut self, poison: bool) {
        if self.latest.len() == self.window {
            let left = self.latest.pop_front().unwrap_or_default();
            self.poison -= usize::from(left);
        }
        self.latest.push_back(poison);
        self.poison += usize::from(poison);
    }

    fn is_over(&self, share_max: f64) -> bool {
        self.latest.len() == self.window && self.poison as f64 > share_max * self.window as f64
    }
}

/// What the keys of records begin with that park apart. No id has a colon, so that they are nobody's.
const APART: &str = "apart:";

/// The key under which a record parks apart, even from others of its kind: `apart:<offset>:<key>`.
pub(crate) fn apart(offset: i64, key: &[u8]) -> Bytes {
    [format!("{APART}{offset}:").as_bytes(), key].concat().into()
}

/// The key that a parked record had in the log.
pub(crate) fn original(key: &Bytes) -> Bytes {
    let behind =
        key.strip_prefix(APART.as_bytes()).and_then(|rest| rest.iter().position(|byte| *byte == b':'));
    behind.map_or_else(|| key.clone(), |colon| key.slice(APART.len() + colon + 1..))
}

/// A record on its way through the consumer.
pub(crate) struct Item<H: Handler> {
    pub(crate) record: Record,
    /// Which life of the topic it comes from; a parked one may be of an earlier one.
    pub(crate) incarnation: Arc<str>,
    /// Where its partition stands among the lanes.
    pub(crate) lane: usize,
    /// The key under which it is parked, of one that is tried again.
    pub(crate) parked_as: Option<Bytes>,
    /// The stream its decision starts from, and what it says.
    pub(crate) read: Option<(StreamId, H::Input)>,
    /// Why it cannot be handled, when that is known.
    pub(crate) poison: Option<Poison>,
    /// How often its claims were found taken.
    pub(crate) claimed: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_from_where_it_parks_apart() {
        for key in [&b"a"[..], b"", b"a:b", b"apart:1:a"] {
            assert_eq!(*original(&apart(17, key)), *key);
        }
        for key in ["a", "apart:", "can_1"] {
            assert_eq!(original(&Bytes::from(key)), key);
        }
    }

    #[test]
    fn a_share_counts_only_when_the_window_is_full() {
        let mut outcomes = Outcomes::new(4);
        for poison in [true, true, true] {
            outcomes.push(poison);
            assert!(!outcomes.is_over(0.5));
        }
        outcomes.push(false);
        assert!(outcomes.is_over(0.5));
        outcomes.push(false);
        assert!(!outcomes.is_over(0.5));
    }
}
