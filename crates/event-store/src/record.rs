//! What the store gives back: recorded events, offsets, timers, listings, parked records.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use types::Timestamp;
use uuid::Uuid;

/// The name of a stream: opaque text of at most 64 characters, unique in its store.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(Arc<str>);

impl StreamId {
    /// The stream of that name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, shared.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A place in the store's commit order. Opaque: a shard and a number; one shard today. Zero is
/// before the first event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Position(pub u64);

/// Who did it, why, and within what: the part of an event's envelope that one command shares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Whose share of the installation.
    pub tenant: Arc<str>,
    /// Who acted: a caller's name, or a service's.
    pub actor: Arc<str>,
    /// The id of the message or request that caused it; empty when nothing is known.
    pub causation: Arc<str>,
    /// The id of the whole case, a cancellation's as a rule; empty when there is none.
    pub correlation: Arc<str>,
    /// W3C trace context; empty when there is none.
    pub traceparent: Arc<str>,
}

/// One event as the store holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Where it stands in commit order.
    pub position: Position,
    /// Its stream.
    pub stream: StreamId,
    /// Its number within the stream, from 1, gapless.
    pub version: u64,
    /// Its own id.
    pub id: Uuid,
    /// Its type's name, like `exeunt.identity.v1.SubjectRegistered`.
    pub kind: Arc<str>,
    /// The version of its type's payload, from 1.
    pub schema: u16,
    /// When it was recorded.
    pub at: Timestamp,
    /// Who, why, within what.
    pub metadata: Arc<Metadata>,
    /// The payload, protobuf.
    pub payload: Bytes,
}

/// How far a consumer has read one partition of one topic, as the database knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOffset {
    /// The consumer (a group's name).
    pub consumer: Arc<str>,
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// Which life of the topic the offset belongs to: the topic's UUID.
    pub incarnation: Arc<str>,
    /// The next record to read.
    pub next: i64,
}

/// Something that falls due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// The stream that asked for it.
    pub stream: StreamId,
    /// What it is for; one of a kind per stream.
    pub kind: Arc<str>,
    /// When it falls due.
    pub due: Timestamp,
}

/// One row of a list of streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The stream.
    pub stream: StreamId,
    /// Which list it stands in, like `cancellation`.
    pub list: Arc<str>,
    /// Whose it is, like a subject's id.
    pub owner: Arc<str>,
    /// Its state's name.
    pub state: Arc<str>,
    /// When it began; lists are told newest first.
    pub since: Timestamp,
}

/// Which rows of a list are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// Which list.
    pub list: Arc<str>,
    /// Only this owner's.
    pub owner: Option<Arc<str>>,
    /// Only in one of these states; empty for all.
    pub states: Vec<Arc<str>>,
    /// Only rows after this one in the list's order (newest first, then by stream, descending): the
    /// `(since, stream)` of the last row of the page before.
    pub after: Option<(Timestamp, StreamId)>,
    /// How many at the most.
    pub limit: usize,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Whether there are more after them.
    pub more: bool,
}

/// Where a parked record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParkedState {
    /// It could not be handled, or stands behind one of its key that could not.
    Parked,
    /// A person asked for it to be tried again.
    Replaying,
}

/// A record of the log that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedRecord {
    /// The consumer that parked it.
    pub consumer: Arc<str>,
    /// Its topic.
    pub topic: Arc<str>,
    /// Its partition.
    pub partition: i32,
    /// Which life of the topic it comes from.
    pub incarnation: Arc<str>,
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Bytes,
    /// Its headers, as the log gave them.
    pub headers: Vec<(Arc<str>, Bytes)>,
    /// Its payload.
    pub payload: Bytes,
    /// Why it is here: a cause for the first of a key, `behind` for those that came after it.
    pub cause: Arc<str>,
    /// When it was parked.
    pub at: Timestamp,
    /// Where it stands.
    pub state: ParkedState,
}

/// A key of one partition that has parked records.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParkedKey {
    /// The consumer.
    pub consumer: Arc<str>,
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The key.
    pub key: Bytes,
}
