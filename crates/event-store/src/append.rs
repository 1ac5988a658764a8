//! What goes in: one append is one transaction.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use types::Timestamp;
use uuid::Uuid;

use crate::{LogOffset, Metadata, ParkedKey, ParkedRecord, Position, StreamId};

/// A fact to record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Its own id.
    pub id: Uuid,
    /// Its type's name.
    pub kind: Cow<'static, str>,
    /// The version of its type's payload, from 1.
    pub schema: u16,
    /// The payload, protobuf.
    pub payload: Bytes,
}

/// What a stream's version must be for an append to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Just this; zero for a stream that must not exist yet.
    Exactly(u64),
    /// Whatever it is.
    Any,
}

/// Events for one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamAppend {
    /// The stream.
    pub stream: StreamId,
    /// The version that it must have.
    pub expected: Expected,
    /// Who, why, within what.
    pub metadata: Arc<Metadata>,
    /// When.
    pub at: Timestamp,
    /// The events, in order.
    pub events: Vec<NewEvent>,
}

/// A stream that was only read, and must still be at the version that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// The stream.
    pub stream: StreamId,
    /// The version that was read; zero for one that did not exist.
    pub version: u64,
}

/// A key that may be taken once, ever, and what its taker left under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The key, at most 256 bytes.
    pub key: String,
    /// What to answer whoever finds it taken.
    pub value: Bytes,
}

/// A change to a stream's timers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimerChange {
    /// Sets or moves the stream's timer of this kind.
    Set {
        /// The stream.
        stream: StreamId,
        /// The kind.
        kind: Arc<str>,
        /// When it falls due.
        due: Timestamp,
    },
    /// Removes it, if it is there.
    Clear {
        /// The stream.
        stream: StreamId,
        /// The kind.
        kind: Arc<str>,
    },
}

/// Moves an offset on, if it still stands where the consumer believes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetAdvance {
    /// What must stand in the row: its incarnation and next; `None` when there must be no row.
    pub from: Option<(Arc<str>, i64)>,
    /// What will stand there.
    pub to: LogOffset,
}

/// The row of a list that a stream wants to have: sets it, or changes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The stream.
    pub stream: StreamId,
    /// Which list.
    pub list: Arc<str>,
    /// Whose.
    pub owner: Arc<str>,
    /// The state's name.
    pub state: Arc<str>,
    /// When it began; the first one stays.
    pub since: Timestamp,
}

/// A change to the parked records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParkedChange {
    /// Parks a record; one that is parked already (same consumer, topic, incarnation, partition and
    /// offset) gets the cause and state given here.
    Park(ParkedRecord),
    /// Asks for all of a key to be tried again.
    Replay(ParkedKey),
    /// Removes one record, handled or discarded.
    Remove {
        /// Its key.
        key: ParkedKey,
        /// Its incarnation.
        incarnation: Arc<str>,
        /// Its offset.
        offset: i64,
    },
}

/// Everything that commits together. Empty parts cost nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Append {
    /// Events. A stream may stand here again, with [`Expected::Any`], to go on with other metadata.
    pub streams: Vec<StreamAppend>,
    /// Streams that must not have moved.
    pub guards: Vec<Guard>,
    /// Keys taken.
    pub claims: Vec<Claim>,
    /// Timers set and cleared.
    pub timers: Vec<TimerChange>,
    /// Consumers' offsets.
    pub offsets: Vec<OffsetAdvance>,
    /// List rows.
    pub listings: Vec<Listing>,
    /// Parked records.
    pub parked: Vec<ParkedChange>,
}

/// What an append did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The position of its last event; of the last event before it, when it had none.
    pub position: Position,
    /// The new version of each stream, in the append's order.
    pub versions: Vec<u64>,
}
