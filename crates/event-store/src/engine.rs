//! What a database must be able to do to hold events.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use types::Timestamp;

use crate::{
    Append, AppendError, Appended, ListQuery, Listed, LogOffset, Page, ParkedKey, ParkedRecord, Position,
    Recorded, StoreError, StreamId, Timer,
};

/// What became of one append of a batch. An append that is refused leaves the others of its batch be.
pub type Verdict = Result<Appended, AppendError>;

/// A database that holds events. Implementations say how; [`crate::Store`] says when. Tests put one
/// that fails on purpose in front of a real one.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// Commits the appends in one transaction, each judged in turn as if those before it had
    /// committed alone. They are shared, so that another thread may work on them.
    ///
    /// # Errors
    /// [`StoreError`] when the transaction failed: then none took place, as far as is known.
    async fn commit(&self, appends: &Arc<Vec<Append>>) -> Result<Vec<Verdict>, StoreError>;

    /// The events of each stream, in the order asked, oldest first; empty for one that does not exist.
    async fn load(&self, streams: &[StreamId]) -> Result<Vec<Vec<Recorded>>, StoreError>;

    /// Events after a position, in commit order, at most `limit`. Never skips one that commits later.
    async fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, StoreError>;

    /// The position of the last event committed.
    async fn head(&self) -> Result<Position, StoreError>;

    /// What stands under each claim, in the order asked.
    async fn claims(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, StoreError>;

    /// All offsets of a consumer.
    async fn offsets(&self, consumer: &str) -> Result<Vec<LogOffset>, StoreError>;

    /// Timers due at that instant, the earliest first.
    async fn due_timers(&self, now: Timestamp, limit: usize) -> Result<Vec<Timer>, StoreError>;

    /// When the next timer falls due.
    async fn next_timer(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Rows of a list.
    async fn list(&self, query: &ListQuery) -> Result<Page<Listed>, StoreError>;

    /// Parked records in the order they were parked (topic, partition, offset), after a given place.
    async fn parked(
        &self,
        consumer: Option<&str>,
        after: Option<(&str, i32, i64)>,
        limit: usize,
    ) -> Result<Page<ParkedRecord>, StoreError>;

    /// The parked records of one key, in offset order, at most `limit`.
    async fn parked_of_key(&self, key: &ParkedKey, limit: usize) -> Result<Vec<ParkedRecord>, StoreError>;

    /// The keys of a consumer that have parked records, by topic and partition, and whether a person asked
    /// for them to be replayed.
    async fn parked_keys(&self, consumer: &str) -> Result<Vec<(ParkedKey, bool)>, StoreError>;

    /// Takes a named lock for as long as the guard lives, or says that another process has it.
    async fn try_lock(&self, name: &str) -> Result<Option<Box<dyn std::any::Any + Send + Sync>>, StoreError>;

    /// Waits until the database hints that somebody else appended, or for ever where it never does.
    async fn hinted(&self);

    /// Ends connections in order.
    async fn close(&self);
}
