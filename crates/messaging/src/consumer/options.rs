//! What may be set about a consumer, what it says of itself, and how it waits.

use std::{sync::Arc, time::Duration};

use tokio::sync::{Notify, watch};

use super::PARKED_CHECK_MAX;
use crate::{BackOff, LogError, back_off::OUTAGE};

/// Limits of a consumer. The defaults serve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConsumerOptions {
    /// Records that one append covers at the most.
    pub batch_records_max: usize,
    /// Folded streams kept in memory, about.
    pub cached_streams_max: usize,
    /// How often a batch is decided again at once when streams move, before it waits between the
    /// attempts and shrinks; and how often a record whose claim is taken is, before it parks.
    pub attempts_max: u32,
    /// The share of a partition's latest records that may be poison before it stops, 0 to 1.
    pub parked_share_max: f64,
    /// How many latest records that share is of.
    pub parked_window: usize,
    /// How often parked keys are looked after: what a person asked for is noticed within that.
    pub parked_check: Duration,
    /// How many parked records are tried again at a time.
    pub replay_records_max: usize,
    /// The first wait of an outage; the waits double.
    pub backoff_min: Duration,
    /// The longest wait of an outage.
    pub backoff_max: Duration,
}

impl ConsumerOptions {
    /// The waits of an outage.
    pub(super) fn back_off(&self) -> BackOff {
        BackOff::between(self.backoff_min, self.backoff_max)
    }
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            batch_records_max: 1000,
            cached_streams_max: 5_000,
            attempts_max: 8,
            parked_share_max: 0.5,
            parked_window: 100,
            parked_check: PARKED_CHECK_MAX,
            replay_records_max: 64,
            backoff_min: OUTAGE.0,
            backoff_max: OUTAGE.1,
        }
    }
}

/// Why a consumer cannot go on.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConsumerError {
    /// Another process joined the group under the same member id.
    #[error(
        "another process has joined {group} as {member}: give each replica a member id of its own \
         (member_id, --member-id, EXEUNT_MEMBER_ID)"
    )]
    Fenced {
        /// The group.
        group: Arc<str>,
        /// The id that both have.
        member: Arc<str>,
    },
    /// The log refuses for good.
    #[error("consumer cannot read the event log")]
    Log(#[from] LogError),
}

/// How a consumer is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsumerHealth {
    /// Whether it has joined its group, which gave it its partitions; of many members some may have
    /// none.
    pub joined: bool,
    /// How many partitions it reads.
    pub assigned: usize,
    /// Partitions that stopped, and why: `OFFSET_LOST`, `PARKED_SHARE`.
    pub stopped: Vec<(Arc<str>, i32, Arc<str>)>,
    /// What it waits for, when an outage pauses it.
    pub paused: Option<Arc<str>>,
    /// Keys of its partitions that have parked records.
    pub parked_keys: usize,
    /// Whether its group has yet to read what must be read first.
    pub behind: bool,
}

/// What others hold on to while a consumer runs.
#[derive(Debug, Clone)]
pub struct ConsumerHandle {
    pub(super) wake: Arc<Notify>,
    pub(super) health: watch::Receiver<ConsumerHealth>,
}

impl ConsumerHandle {
    /// Has it look after its parked keys now.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// How it is.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<ConsumerHealth> {
        self.health.clone()
    }
}
