//! What can go wrong with a store. Conflicts are typed, never parsed from a message.

use bytes::Bytes;

use crate::{LogOffset, StreamId};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// The store could not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, is full, is too slow, or is busy. Nothing of the call took effect that
    /// the next read would not show; try again later.
    #[error("event store is unavailable")]
    Unavailable(#[source] std::sync::Arc<dyn std::error::Error + Send + Sync>),
    /// What it holds is not what this program wrote, or what it was given cannot be stored. The same
    /// call fails again.
    #[error("event store met something unreadable: {0}")]
    Corrupt(String),
    /// It does not let us in. The same call fails again until somebody changes names or passwords.
    #[error("event store denies the connection: {0}")]
    Denied(String),
}

impl StoreError {
    /// Wraps a cause that may pass.
    pub fn unavailable(cause: impl Into<Source>) -> Self {
        Self::Unavailable(std::sync::Arc::from(cause.into()))
    }
}

/// An append that did not take place, whole.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// Streams that are not at the version expected or guarded: load them and decide again.
    #[error("streams changed meanwhile")]
    Conflict(Vec<StreamId>),
    /// A key is taken.
    #[error("claim is taken")]
    Claimed {
        /// The key.
        key: String,
        /// What its taker left under it.
        value: Bytes,
    },
    /// Somebody else moved the offset: read on from where it stands (`None`: there is no row).
    #[error("offset was moved by another consumer")]
    OffsetMoved {
        /// Where each of the offsets of this append that does not match stands.
        current: Vec<Option<LogOffset>>,
    },
    /// An event is larger than a stored event may be.
    #[error("event of {bytes} bytes is over the limit of {limit} bytes")]
    Oversize {
        /// Its payload's size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Too many appends wait already. Nothing was written.
    #[error("event store has too many appends waiting")]
    Busy,
    /// The store could not answer. Whether the append took place is known only by reading, which
    /// the next attempt does: expected versions, claims and offsets make a second one harmless.
    #[error(transparent)]
    Store(#[from] StoreError),
}
