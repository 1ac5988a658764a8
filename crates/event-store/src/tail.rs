//! Following the store in commit order.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use crate::{Engine, Position, Recorded, StoreError, StreamId, bell::Listener, feed::Feed};

/// How many events are passed over at once.
const PASSED_AT_ONCE: usize = 1_000;

/// Follows the store in commit order. Batches that this process committed come from memory; the
/// table is read only to catch up, which contiguous positions tell.
pub struct Tail {
    engine: Arc<dyn Engine>,
    feed: Arc<Feed>,
    wake: Listener,
    poll_interval: Duration,
    position: Position,
    hints: u64,
    /// Whether the table may hold more than memory tells of: at the start, and when a poll is due.
    look: bool,
}

impl Tail {
    pub(crate) fn new(
        engine: Arc<dyn Engine>,
        feed: Arc<Feed>,
        poll_interval: Duration,
        after: Position,
    ) -> Self {
        let mut wake = feed.listen();
        let hints = wake.hear().hints;
        Self { engine, feed, wake, poll_interval, position: after, hints, look: true }
    }

    /// The position of the last event given.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The next events, at least one and at most `max`; waits until there is one. Safe to drop at any
    /// time: what was not given comes again.
    ///
    /// # Errors
    /// [`StoreError`] when the table could not be read, or has a gap. Asking again goes on at the same place.
    pub async fn next(&mut self, max: usize) -> Result<Vec<Recorded>, StoreError> {
        let max = max.max(1);
        loop {
            let wake = self.wake.hear();
            let events = self.feed.after(self.position, max);
            if !events.is_empty() {
                return self.give(events);
            }
            if self.look || wake.hints != self.hints || wake.head > self.position {
                let events = self.engine.read(self.position, max).await?;
                self.hints = wake.hints;
                // A full page may have more behind it, and its end is no reason to believe otherwise.
                self.look = events.len() >= max;
                if !events.is_empty() {
                    return self.give(events);
                }
            }
            if timeout(self.poll_interval, self.wake.changed()).await.is_err() {
                self.look = true;
            }
        }
    }

    /// Passes events over until there was one of that stream.
    ///
    /// # Errors
    /// [`StoreError`]; it may be called again.
    pub async fn pass_until(&mut self, stream: &StreamId) -> Result<(), StoreError> {
        while !self.next(PASSED_AT_ONCE).await?.iter().any(|event| event.stream == *stream) {}
        Ok(())
    }

    fn give(&mut self, events: Vec<Recorded>) -> Result<Vec<Recorded>, StoreError> {
        let mut last = self.position;
        for event in &events {
            if event.position.0 != last.0 + 1 {
                return Err(StoreError::Corrupt(format!("no event at position {}", last.0 + 1)));
            }
            last = event.position;
        }
        self.position = last;
        Ok(events)
    }
}
