//! What this process knows about the end of the store: the events committed last, and hints.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    Position, Recorded, StoreOptions,
    bell::{Bell, Listener},
};

/// Committed batches of this process, bounded, and the wake-ups of all tails.
pub(crate) struct Feed {
    ring: Mutex<Ring>,
    bell: Arc<Bell>,
    events_max: usize,
    bytes_max: usize,
}

#[derive(Default)]
struct Ring {
    batches: VecDeque<Arc<[Recorded]>>,
    events: usize,
    bytes: usize,
}

impl Feed {
    pub(crate) fn new(options: &StoreOptions) -> Self {
        Self {
            ring: Mutex::default(),
            bell: Arc::default(),
            events_max: options.memory_events_max,
            bytes_max: options.memory_bytes_max,
        }
    }

    /// The highest position known to be committed.
    pub(crate) fn head(&self) -> Position {
        self.bell.wake().head
    }

    /// Keeps a committed batch, drops the oldest ones over the bounds, and wakes.
    pub(crate) fn publish(&self, events: Vec<Recorded>) {
        let Some(head) = events.last().map(|e| e.position) else { return };
        let mut ring = self.ring();
        ring.events += events.len();
        ring.bytes += bytes(&events);
        ring.batches.push_back(events.into());
        // The newest stays, however large: it is what those that keep up come for.
        while ring.batches.len() > 1 && (ring.events > self.events_max || ring.bytes > self.bytes_max) {
            let Some(oldest) = ring.batches.pop_front() else { break };
            ring.events -= oldest.len();
            ring.bytes -= bytes(&oldest);
        }
        drop(ring);
        self.saw(head);
    }

    /// Notes that the store reaches that far.
    pub(crate) fn saw(&self, head: Position) {
        self.bell.ring(|wake| wake.head = wake.head.max(head));
    }

    /// Makes everybody look at the table.
    pub(crate) fn hint(&self) {
        self.bell.ring(|wake| wake.hints += 1);
    }

    /// One who is woken by what comes.
    pub(crate) fn listen(&self) -> Listener {
        self.bell.listen()
    }

    /// The events right after a position, as far as memory holds them without a gap; empty when the
    /// very next one is not in memory.
    pub(crate) fn after(&self, position: Position, max: usize) -> Vec<Recorded> {
        let ring = self.ring();
        let from = ring.batches.partition_point(|batch| batch.last().is_none_or(|e| e.position <= position));
        let mut found = Vec::new();
        let mut next = position.0 + 1;
        for batch in ring.batches.range(from..) {
            let Some(first) = batch.first() else { continue };
            let Some(skip) = next.checked_sub(first.position.0) else { break };
            let rest = usize::try_from(skip).ok().and_then(|skip| batch.get(skip..)).unwrap_or_default();
            found.extend(rest.iter().take(max - found.len()).cloned());
            next += rest.len() as u64;
            if found.len() == max {
                break;
            }
        }
        found
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes(events: &[Recorded]) -> usize {
    events.iter().map(|e| e.payload.len() + size_of::<Recorded>()).sum()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use types::{Timestamp, fresh_uuid};

    use super::*;
    use crate::{Metadata, StreamId};

    fn batch(positions: std::ops::RangeInclusive<u64>) -> Vec<Recorded> {
        let empty = || Arc::from("");
        let metadata = Arc::new(Metadata {
            tenant: empty(),
            actor: empty(),
            causation: empty(),
            correlation: empty(),
            traceparent: empty(),
        });
        positions
            .map(|position| Recorded {
                position: Position(position),
                stream: StreamId::new("s"),
                version: position,
                id: fresh_uuid(),
                kind: empty(),
                schema: 1,
                at: Timestamp::default(),
                metadata: metadata.clone(),
                payload: Bytes::new(),
            })
            .collect()
    }

    fn after(feed: &Feed, position: u64, max: usize) -> Vec<u64> {
        feed.after(Position(position), max).iter().map(|e| e.position.0).collect()
    }

    #[test]
    fn memory_gives_what_follows_a_position_and_nothing_across_a_gap() {
        let feed = Feed::new(&StoreOptions::default());
        feed.publish(batch(1..=2));
        feed.publish(batch(3..=3));
        feed.publish(batch(7..=8));
        assert_eq!(after(&feed, 0, 10), [1, 2, 3]);
        assert_eq!(after(&feed, 1, 10), [2, 3]);
        assert_eq!(after(&feed, 0, 2), [1, 2]);
        assert!(after(&feed, 3, 10).is_empty());
        assert_eq!(after(&feed, 6, 10), [7, 8]);
        assert_eq!(after(&feed, 7, 10), [8]);
        assert!(after(&feed, 8, 10).is_empty());
    }

    #[test]
    fn memory_forgets_the_oldest_batches_over_its_bounds() {
        let feed = Feed::new(&StoreOptions { memory_events_max: 3, ..StoreOptions::default() });
        feed.publish(batch(1..=2));
        feed.publish(batch(3..=4));
        assert!(after(&feed, 0, 10).is_empty());
        assert_eq!(after(&feed, 2, 10), [3, 4]);
        feed.publish(batch(5..=9));
        assert!(after(&feed, 2, 10).is_empty());
        assert_eq!(after(&feed, 4, 10), [5, 6, 7, 8, 9]);
        assert_eq!(feed.listen().hear().head, Position(9));
    }
}
