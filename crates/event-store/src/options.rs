//! The limits of a store.

use std::time::Duration;

/// The limits of a store: sizes, queues, waits.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The largest payload of one event, in bytes. The log that the events go to must take it too.
    pub event_bytes_max: usize,
    /// How many appends may wait for the transaction that runs; more are refused.
    pub queue_appends_max: usize,
    /// How long an append may wait for a place in a full queue before it is refused.
    pub queue_wait_max: Duration,
    /// How many appends share a transaction.
    pub batch_appends_max: usize,
    /// How many bytes of appends share a transaction, unless one alone has more.
    pub batch_bytes_max: usize,
    /// How long a lost wake-up can go unnoticed.
    pub poll_interval: Duration,
    /// How many committed events stay in memory for tails.
    pub memory_events_max: usize,
    /// How many bytes of them.
    pub memory_bytes_max: usize,
    /// How long a commit waits for another process that is committing, before it fails as unavailable.
    pub lock_wait_max: Duration,
    /// How long any call waits for the database's answer, before it fails as unavailable.
    pub answer_wait_max: Duration,
    /// How many events may wait to be published before callers are refused and consumers wait.
    pub backlog_events_max: u64,
    /// How many connections read at once.
    pub readers_max: u32,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            event_bytes_max: 256 * 1024,
            queue_appends_max: 4096,
            queue_wait_max: Duration::from_millis(250),
            batch_appends_max: 512,
            batch_bytes_max: 8 * 1024 * 1024,
            poll_interval: Duration::from_millis(200),
            memory_events_max: 8_192,
            memory_bytes_max: 3 * 1024 * 1024,
            lock_wait_max: Duration::from_secs(5),
            answer_wait_max: Duration::from_secs(15),
            backlog_events_max: 1_000_000,
            readers_max: 4,
        }
    }
}
