//! The event store: append, load, read in commit order, offsets, claims, timers, listings, parked records.
//!
//! One narrow [`Engine`] with two dialects behind it, SQLite and PostgreSQL ([`Memory`] serves
//! simulations), and one [`Store`] in front that lets concurrent appends share a transaction. It knows no service and no Kafka: a
//! payload is bytes, a stream is a name.
//!
//! What holds, each with a test in the contract suite that both dialects run:
//! - an [`Append`] commits whole or not at all;
//! - positions are gapless and in commit order, because a counter row is advanced, and its lock
//!   held to commit, by every transaction that appends;
//! - a wake-up is only a hint: a reader that misses every one still reads everything.

mod append;
mod bell;
mod database;
mod engine;
mod error;
mod feed;
mod judge;
mod memory;
mod options;
mod postgres;
mod reads;
mod record;
mod rows;
mod sqlite;
mod store;
mod tail;
mod writer;

pub use append::{
    Append, Appended, Claim, Expected, Guard, Listing, NewEvent, OffsetAdvance, ParkedChange, StreamAppend,
    TimerChange,
};
pub use engine::{Engine, Verdict};
pub use error::{AppendError, StoreError};
pub use memory::{Memory, MemoryCopy};
pub use options::StoreOptions;
pub use record::{
    ListQuery, Listed, LogOffset, Metadata, Page, ParkedKey, ParkedRecord, ParkedState, Position, Recorded,
    StreamId, Timer,
};
pub use sqlite::file::{SqliteFile, SqliteLimits};
pub use store::Store;
pub use tail::Tail;
