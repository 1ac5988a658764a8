//! The reading side of one member of one group.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use event_store::LogOffset;
use tokio::{sync::Notify, time::timeout};

use super::{
    Shared,
    groups::Change,
    topic::{Found, Topic},
};
use crate::{ConsumedLog, Delivery, LogError, Record, Subscription};

/// How long a lost wake-up can go unnoticed.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// A member of a group.
pub(super) struct Reader {
    shared: Arc<Shared>,
    subscription: Subscription,
    token: u64,
    notify: Arc<Notify>,
    reading: Vec<Reading>,
    /// Which partition is read first, so that each has its turn.
    turn: usize,
}

/// A partition that is this member's.
struct Reading {
    topic: Arc<Topic>,
    partition: i32,
    /// The next offset to read; `None` before the start.
    next: Option<i64>,
}

impl Reader {
    /// Joins the group.
    pub(super) fn join(shared: Arc<Shared>, subscription: Subscription) -> Self {
        let notify = Arc::new(Notify::new());
        let Subscription { group, member, topics } = &subscription;
        shared.consumed.join(group, topics);
        let token = shared.groups.join(group, member, topics.clone(), notify.clone(), &shared.topics());
        Self { shared, subscription, token, notify, reading: Vec::new(), turn: 0 }
    }

    /// What changed about the member's partitions.
    fn change(&mut self) -> Result<Option<Delivery>, LogError> {
        let Subscription { group, member, .. } = &self.subscription;
        let change = self.shared.groups.change(group, member, self.token, || self.shared.topics())?;
        Ok(match change {
            None => None,
            Some(Change::Assigned(partitions)) => {
                for assigned in &partitions {
                    // A topic that is gone again will be revoked next.
                    let topic = self.shared.topic(&assigned.topic);
                    if let Some(topic) = topic.filter(|topic| topic.incarnation == assigned.incarnation) {
                        self.reading.push(Reading { topic, partition: assigned.partition, next: None });
                    }
                }
                Some(Delivery::Assigned(partitions))
            }
            Some(Change::Revoked(partitions)) => {
                self.reading.retain(|reading| {
                    !partitions.iter().any(|revoked| {
                        revoked.topic == reading.topic.name
                            && revoked.partition == reading.partition
                            && revoked.incarnation == reading.topic.incarnation
                    })
                });
                let places = partitions.into_iter().map(|revoked| (revoked.topic, revoked.partition));
                Some(Delivery::Revoked(places.collect()))
            }
        })
    }

    /// What is there to read, each partition in its turn.
    async fn read(&mut self, max: usize) -> Result<Vec<Record>, LogError> {
        let mut records: Vec<Record> = Vec::new();
        let count = self.reading.len();
        self.turn = self.turn.wrapping_add(1);
        for step in 0..count {
            let index = (self.turn + step) % count;
            let Reading { topic, partition, next: Some(next) } = &self.reading[index] else { continue };
            let (next, partition, left) = (*next, *partition, max - records.len());
            let Some(found) = topic.partition(partition).map(|kept| kept.read(next, left)) else { continue };
            let found = match found {
                Found::Records(records) => records,
                Found::End => continue,
                Found::InFile if !records.is_empty() => continue,
                Found::InFile => self.shared.storage.read(topic, partition, next, left).await?,
                Found::Lost => {
                    let topic = topic.name.clone();
                    self.reading[index].next = None;
                    return Err(LogError::OffsetLost { topic, partition, offset: next });
                }
            };
            if let Some(last) = found.last() {
                self.reading[index].next = Some(last.offset + 1);
            }
            records.extend(found);
            if records.len() >= max {
                break;
            }
        }
        Ok(records)
    }
}

#[async_trait]
impl ConsumedLog for Reader {
    async fn next(&mut self, max: usize) -> Result<Delivery, LogError> {
        loop {
            if let Some(change) = self.change()? {
                return Ok(change);
            }
            let records = self.read(max.max(1)).await?;
            if !records.is_empty() {
                return Ok(Delivery::Records(records));
            }
            // A poll that finds the wake-up lost is all that an elapsed time means.
            let _ = timeout(POLL_INTERVAL, self.notify.notified()).await;
        }
    }

    async fn start(&mut self, topic: &str, partition: i32, offset: Option<i64>) -> Result<(), LogError> {
        let found = self
            .reading
            .iter_mut()
            .find(|reading| reading.partition == partition && *reading.topic.name == *topic);
        // One that was revoked meanwhile will not be read.
        let Some(reading) = found else { return Ok(()) };
        let Some((low, end)) = reading.topic.partition(partition).map(super::topic::Partition::bounds) else {
            return Ok(());
        };
        let offset = offset.unwrap_or(low);
        if !(low..=end).contains(&offset) {
            return Err(LogError::OffsetLost { topic: reading.topic.name.clone(), partition, offset });
        }
        reading.next = Some(offset);
        self.shared.consumed.advance(&self.subscription.group, &reading.topic.name, partition, offset);
        Ok(())
    }

    /// The database's offsets are what counts; these tell what nobody needs any more.
    fn hint(&mut self, offsets: &[LogOffset]) {
        for offset in offsets {
            let of = |reading: &&Reading| {
                reading.partition == offset.partition
                    && reading.topic.name == offset.topic
                    && reading.topic.incarnation == offset.incarnation
            };
            if let Some(reading) = self.reading.iter().find(of) {
                let group = &self.subscription.group;
                self.shared.consumed.advance(group, &reading.topic.name, offset.partition, offset.next);
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let Subscription { group, member, .. } = &self.subscription;
        self.shared.groups.leave(group, member, self.token, &self.shared.topics());
    }
}
