//! A topic in memory: where its partitions begin and end, and their latest records.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::Record;

/// A topic.
pub(super) struct Topic {
    /// Its number in the file; never used again.
    pub(super) id: i64,
    pub(super) name: Arc<str>,
    /// Its UUID.
    pub(super) incarnation: Arc<str>,
    /// Whether the last record of each key must stay.
    pub(super) compacted: bool,
    pub(super) partitions: Vec<Partition>,
}

impl Topic {
    /// One of its partitions.
    pub(super) fn partition(&self, partition: i32) -> Option<&Partition> {
        usize::try_from(partition).ok().and_then(|index| self.partitions.get(index))
    }
}

/// One of its partitions.
pub(super) struct Partition {
    state: Mutex<State>,
}

struct State {
    low: i64,
    next: i64,
    /// Whole commits, contiguous, ending at `next`.
    latest: VecDeque<Arc<[Record]>>,
}

/// What memory has to say to a reader.
pub(super) enum Found {
    /// Records from just there on.
    Records(Vec<Record>),
    /// Nothing is there yet.
    End,
    /// The file has it.
    InFile,
    /// It was trimmed; this is the first that is left.
    Lost,
}

impl Partition {
    pub(super) fn new(low: i64, next: i64) -> Self {
        Self { state: Mutex::new(State { low, next, latest: VecDeque::new() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first offset there is, and the one that the next record gets.
    pub(super) fn bounds(&self) -> (i64, i64) {
        let state = self.state();
        (state.low, state.next)
    }

    /// Takes what was committed.
    pub(super) fn extend(&self, records: Arc<[Record]>) {
        let mut state = self.state();
        state.next += records.len() as i64;
        state.latest.push_back(records);
    }

    /// Takes over where the file ends, after a commit whose outcome was not known. True when that is
    /// further than thought; nothing of the partition lies in memory then.
    pub(super) fn set_next(&self, next: i64) -> bool {
        let mut state = self.state();
        let moved = state.next != next;
        if moved {
            state.next = next;
            state.latest.clear();
        }
        moved
    }

    /// Takes the oldest commit out of memory.
    pub(super) fn forget_oldest(&self) {
        self.state().latest.pop_front();
    }

    /// Has it begin there.
    pub(super) fn trim(&self, below: i64) {
        let mut state = self.state();
        state.low = state.low.max(below.min(state.next));
    }

    /// Adds at most `max` records from an offset on.
    pub(super) fn read(&self, from: i64, max: usize) -> Found {
        let mut commits: Vec<(Arc<[Record]>, usize)> = Vec::new();
        {
            let state = self.state();
            if from >= state.next {
                return Found::End;
            }
            if from < state.low {
                return Found::Lost;
            }
            let first = |records: &Arc<[Record]>| records.first().map_or(0, |record| record.offset);
            if state.latest.front().is_none_or(|oldest| first(oldest) > from) {
                return Found::InFile;
            }
            let at = state.latest.partition_point(|records| first(records) <= from) - 1;
            let mut left = max;
            for records in state.latest.range(at..) {
                let skip = usize::try_from(from - first(records)).unwrap_or(0);
                commits.push((records.clone(), skip));
                left = left.saturating_sub(records.len() - skip.min(records.len()));
                if left == 0 {
                    break;
                }
            }
        }
        let records = commits.iter().flat_map(|(records, skip)| &records[(*skip).min(records.len())..]);
        Found::Records(records.take(max).cloned().collect())
    }
}
