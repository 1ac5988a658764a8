//! A consumer of one group: how it joins, what it notes of rebalances, and what its records are.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::{Bytes, BytesMut};
use rdkafka::{
    ClientConfig, ClientContext, Message, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::KafkaError,
    message::{BorrowedMessage, Headers},
    types::RDKafkaRespErr,
};
use types::Timestamp;

use super::{log, refused};
use crate::{LogError, Record, Subscription, cloud_event::header_name};

/// A partition.
pub(super) type Place = (Arc<str>, i32);

/// A rebalance, as the group told it.
pub(super) enum Change {
    Assigned(Vec<Place>),
    Revoked(Vec<Place>),
}

/// Takes note of rebalances; they happen within a poll.
pub(super) struct Membership {
    topics: Vec<Arc<str>>,
    pub(super) changes: Mutex<VecDeque<Change>>,
}

impl Membership {
    /// The partitions of a list.
    pub(super) fn places(&self, list: &TopicPartitionList) -> Vec<Place> {
        let place = |topic: &str, partition| {
            Some((self.topics.iter().find(|known| ***known == *topic)?.clone(), partition))
        };
        list.elements().iter().filter_map(|element| place(element.topic(), element.partition())).collect()
    }

    /// Partitions that were taken away, which the reader was not told of yet. To take one of them over
    /// now would stand in the way of its next assignment.
    pub(super) fn revoked(&self) -> Vec<Place> {
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let revoked = changes.iter().filter_map(|change| match change {
            Change::Revoked(places) => Some(places.clone()),
            Change::Assigned(_) => None,
        });
        revoked.flatten().collect()
    }
}

impl ClientContext for Membership {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka consumer");
    }
}

impl ConsumerContext for Membership {
    /// Revoked partitions are left at once. Assigned ones are taken over later, when each has its
    /// start: the group waits for that, and polls go on meanwhile.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let places = self.places(list);
        let (done, change) = match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS if places.is_empty() => {
                // None to take over, but the group has answered.
                (consumer.incremental_assign(list), Some(Change::Assigned(places)))
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => (Ok(()), Some(Change::Assigned(places))),
            _ => {
                // Those that were never taken over cannot be left.
                let taken = consumer.assignment().map(|taken| self.places(&taken)).unwrap_or_default();
                let left =
                    places.iter().filter(|place| taken.contains(place)).map(|place| (place, Offset::Invalid));
                (
                    list_of(left).and_then(|left| consumer.incremental_unassign(&left)),
                    Some(Change::Revoked(places)),
                )
            }
        };
        if let Err(error) = done {
            tracing::warn!(%error, "kafka consumer could not change its assignment");
        }
        if let Some(change) = change {
            self.changes.lock().unwrap_or_else(PoisonError::into_inner).push_back(change);
        }
    }
}

/// A list of partitions, each with an offset.
pub(super) fn list_of<'a>(
    places: impl Iterator<Item = (&'a Place, Offset)>,
) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    for ((topic, partition), offset) in places {
        list.add_partition_offset(topic, *partition, offset)?;
    }
    Ok(list)
}

/// Where to begin.
pub(super) fn offset_of(start: Option<i64>) -> Offset {
    start.map_or(Offset::Beginning, Offset::Offset)
}

/// Joins the group.
pub(super) fn connect(
    config: &ClientConfig,
    subscription: &Subscription,
) -> Result<BaseConsumer<Membership>, LogError> {
    let mut config = config.clone();
    for (name, value) in [
        ("group.id", &*subscription.group),
        ("group.instance.id", &*subscription.member),
        ("group.protocol", "classic"),
        ("partition.assignment.strategy", "cooperative-sticky"),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("auto.offset.reset", "error"),
        ("fetch.queue.backoff.ms", "1"),
        ("fetch.error.backoff.ms", "50"),
        // What is fetched ahead bounds the memory of a consumer that lags; a batch is a thousand records.
        ("queued.min.messages", "2000"),
        ("queued.max.messages.kbytes", "4096"),
        ("fetch.max.bytes", "4194304"),
        ("topic.metadata.refresh.interval.ms", "2000"),
    ] {
        config.set(name, value);
    }
    // One fetch at a time waits at a broker, and partitions just assigned wait for it to come back.
    for (name, value) in [("session.timeout.ms", "10000"), ("fetch.wait.max.ms", "100")] {
        if config.get(name).is_none() {
            config.set(name, value);
        }
    }
    let membership = Membership { topics: subscription.topics.clone(), changes: Mutex::default() };
    let consumer: BaseConsumer<Membership> = config.create_with_context(membership).map_err(refused)?;
    subscribe(&consumer, subscription)?;
    Ok(consumer)
}

pub(super) fn subscribe(
    consumer: &BaseConsumer<Membership>,
    subscription: &Subscription,
) -> Result<(), LogError> {
    let topics: Vec<&str> = subscription.topics.iter().map(|topic| &**topic).collect();
    consumer.subscribe(&topics).map_err(refused)
}

/// Copies a record out of librdkafka, into one buffer.
pub(super) fn record(message: &BorrowedMessage<'_>, topic: &Arc<str>) -> Record {
    let headers = message.headers();
    let values: usize =
        headers.map_or(0, |headers| headers.iter().map(|h| h.value.map_or(0, <[u8]>::len)).sum());
    let mut buffer = BytesMut::with_capacity(message.key_len() + message.payload_len() + values);
    let mut copy = |bytes: &[u8]| -> Bytes {
        buffer.extend_from_slice(bytes);
        buffer.split().freeze()
    };
    let key = copy(message.key().unwrap_or_default());
    let payload = copy(message.payload().unwrap_or_default());
    let headers = headers.map_or_else(Vec::new, |headers| {
        headers.iter().map(|h| (header_name(h.key), copy(h.value.unwrap_or_default()))).collect()
    });
    let at = Timestamp::from_micros(message.timestamp().to_millis().unwrap_or(0).saturating_mul(1000));
    let (partition, offset) = (message.partition(), message.offset());
    Record { topic: topic.clone(), partition, offset, key, headers, payload, at }
}
