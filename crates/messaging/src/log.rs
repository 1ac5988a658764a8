//! The event log: topics of partitions of records, in order per key.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use event_store::LogOffset;
use types::Timestamp;

use crate::{TopicDifference, TopicSpec};

/// A record to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The topic.
    pub topic: Arc<str>,
    /// The key; records of one key keep their order. Partition = murmur2(key), as Java's clients do.
    pub key: Bytes,
    /// CloudEvents 1.0 binary mode headers (`ce_id`, `ce_type`, ...).
    pub headers: Vec<(Arc<str>, Bytes)>,
    /// The payload, protobuf; `None` is a tombstone of a compacted topic.
    pub payload: Option<Bytes>,
}

/// A record read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Bytes,
    /// Its headers.
    pub headers: Vec<(Arc<str>, Bytes)>,
    /// Its payload; empty for a tombstone.
    pub payload: Bytes,
    /// When it was published.
    pub at: Timestamp,
}

impl Record {
    /// A header's value as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| &**key == name)
            .and_then(|(_, value)| std::str::from_utf8(value).ok())
    }
}

/// What went wrong with the log.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// It cannot be reached, or is too slow; try again later.
    #[error("event log is unavailable")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// Records that the consumer has not read are gone: retention was too short, or data was lost.
    #[error("event log no longer has offset {offset} of {topic}/{partition}")]
    OffsetLost {
        /// The topic.
        topic: Arc<str>,
        /// The partition.
        partition: i32,
        /// The offset that was asked for.
        offset: i64,
    },
    /// A record is larger than the log takes.
    #[error("record of {bytes} bytes is over the limit of {limit} bytes")]
    Oversize {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The log does not let us in: the password, the certificate or the encryption is not what it wants.
    #[error("event log denies the connection: {0}")]
    Denied(String),
    /// Another process has this member's id: this one must stop.
    #[error("another process has this member's id")]
    Fenced,
    /// The group no longer takes what comes from this member for its own, though no other process has its
    /// instance id: it must join again.
    #[error("the group has lost this member")]
    MembershipLost,
    /// The log refused for good.
    #[error("event log refused: {0}")]
    Refused(String),
}

impl LogError {
    /// Wraps a cause that may pass.
    pub fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(Arc::from(cause.into()))
    }
}

/// What a consumer wants to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The group; members of one share its partitions.
    pub group: Arc<str>,
    /// This member's static id within the group.
    pub member: Arc<str>,
    /// The topics.
    pub topics: Vec<Arc<str>>,
}

/// A partition that was given to a consumer, and which life of its topic it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Assignment {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The topic's UUID.
    pub incarnation: Arc<str>,
}

/// From where to where the log has a partition's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// The partition.
    pub partition: i32,
    /// Which life of the topic it is: its UUID.
    pub incarnation: Arc<str>,
    /// The first offset there is.
    pub first: i64,
    /// The offset that the next record gets.
    pub end: i64,
}

/// What a consumer gets.
#[derive(Debug)]
pub enum Delivery {
    /// Partitions were given, or none although the group was joined. Reading them starts when [`ConsumedLog::start`] said where.
    Assigned(Vec<Assignment>),
    /// Partitions were taken away; nothing of them may be committed any more.
    Revoked(Vec<(Arc<str>, i32)>),
    /// Records, in order per partition; none is a sign of life after an outage.
    Records(Vec<Record>),
}

/// The reading side of one subscription.
#[async_trait]
pub trait ConsumedLog: Send + Sync {
    /// What comes next: waits until there is something, and then gives what is there, at most `max`
    /// records.
    ///
    /// # Errors
    /// [`LogError`]. After `Unavailable` it may be called again.
    async fn next(&mut self, max: usize) -> Result<Delivery, LogError>;

    /// Reads an assigned partition from there on: the first start, or a seek. Records of it that
    /// were fetched before are dropped. `None`: the earliest there is.
    ///
    /// # Errors
    /// [`LogError`].
    async fn start(&mut self, topic: &str, partition: i32, offset: Option<i64>) -> Result<(), LogError>;

    /// Tells the log how far this group is, for the tools that show lag. A hint: the database's
    /// offsets count.
    fn hint(&mut self, offsets: &[LogOffset]);
}

/// An event log.
#[async_trait]
pub trait EventLog: Send + Sync + 'static {
    /// Creates the topics that are not there. What is there stays as it is; where it is not as it
    /// should be, the difference is logged.
    ///
    /// # Errors
    /// [`LogError`].
    async fn declare(&self, topics: &[TopicSpec]) -> Result<(), LogError>;

    /// What is missing, and what is not as it should be. Changes nothing.
    ///
    /// # Errors
    /// [`LogError`].
    async fn compare(&self, topics: &[TopicSpec]) -> Result<Vec<TopicDifference>, LogError>;

    /// Creates what is missing and alters what can be altered; partitions are added only when told
    /// so. Gives what differs still.
    ///
    /// # Errors
    /// [`LogError`]; then some of it may have been done.
    async fn apply(
        &self,
        topics: &[TopicSpec],
        add_partitions: bool,
    ) -> Result<Vec<TopicDifference>, LogError>;

    /// Publishes, and returns when all are durable. Records of one key keep the order given here,
    /// and come after those of any publish that returned before. A failed one may be repeated whole.
    ///
    /// # Errors
    /// [`LogError`]; then some of them may have been published.
    async fn publish(&self, messages: Vec<Message>) -> Result<(), LogError>;

    /// From where to where a topic reaches now, by partition.
    ///
    /// # Errors
    /// [`LogError`]; [`LogError::Refused`] when there is no such topic.
    async fn extents(&self, topic: &str) -> Result<Vec<Extent>, LogError>;

    /// Joins the group and reads.
    ///
    /// # Errors
    /// [`LogError`].
    async fn subscribe(&self, subscription: Subscription) -> Result<Box<dyn ConsumedLog>, LogError>;

    /// Deletes a topic with all its records. For tests and operators.
    ///
    /// # Errors
    /// [`LogError`].
    async fn delete(&self, topic: &str) -> Result<(), LogError>;

    /// Ends connections in order, after what was published is durable.
    async fn close(&self);
}
