//! An engine with something of a test's own between the store and a real one.

use std::{any::Any, ops::Deref, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use event_store::{
    Append, Engine, ListQuery, Listed, LogOffset, Page, ParkedKey, ParkedRecord, Position, Recorded,
    StoreError, StreamId, Timer, Verdict,
};
use types::Timestamp;

/// What stands between.
#[async_trait]
pub trait Intercept: Send + Sync + 'static {
    /// What becomes of a commit.
    ///
    /// # Errors
    /// What the store shall see.
    async fn commit(
        &self,
        inner: &dyn Engine,
        appends: &Arc<Vec<Append>>,
    ) -> Result<Vec<Verdict>, StoreError> {
        inner.commit(appends).await
    }

    /// Before each read of what was committed, and before a lock is asked for. What is parked may be looked
    /// at at any time.
    ///
    /// # Errors
    /// What the store shall see instead.
    async fn reads(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// What becomes of asking for a lock.
    ///
    /// # Errors
    /// What the store shall see.
    async fn try_lock(
        &self,
        inner: &dyn Engine,
        name: &str,
    ) -> Result<Option<Box<dyn Any + Send + Sync>>, StoreError> {
        inner.try_lock(name).await
    }

    /// What becomes of loading streams.
    ///
    /// # Errors
    /// What the store shall see.
    async fn load(&self, inner: &dyn Engine, streams: &[StreamId]) -> Result<Vec<Vec<Recorded>>, StoreError> {
        inner.load(streams).await
    }

    /// What becomes of looking which keys are parked.
    ///
    /// # Errors
    /// What the store shall see.
    async fn parked_keys(
        &self,
        inner: &dyn Engine,
        consumer: &str,
    ) -> Result<Vec<(ParkedKey, bool)>, StoreError> {
        inner.parked_keys(consumer).await
    }

    /// What becomes of reading events in commit order.
    ///
    /// # Errors
    /// What the store shall see.
    async fn read(
        &self,
        inner: &dyn Engine,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Recorded>, StoreError> {
        inner.read(after, limit).await
    }

    /// Whether hints of the database arrive.
    fn hears(&self) -> bool {
        true
    }
}

/// A real engine behind what stands between. What is read of it is always right.
pub struct Intercepted<I> {
    inner: Arc<dyn Engine>,
    between: I,
}

impl<I: Intercept> Intercepted<I> {
    /// Puts it in front of that engine.
    #[must_use]
    pub fn with(inner: Arc<dyn Engine>, between: I) -> Arc<Self> {
        Arc::new(Self { inner, between })
    }
}

impl<I> Deref for Intercepted<I> {
    type Target = I;
    fn deref(&self) -> &I {
        &self.between
    }
}

#[async_trait]
impl<I: Intercept> Engine for Intercepted<I> {
    async fn commit(&self, appends: &Arc<Vec<Append>>) -> Result<Vec<Verdict>, StoreError> {
        self.between.commit(&*self.inner, appends).await
    }

    async fn load(&self, streams: &[StreamId]) -> Result<Vec<Vec<Recorded>>, StoreError> {
        self.between.reads().await?;
        self.between.load(&*self.inner, streams).await
    }

    async fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, StoreError> {
        self.between.reads().await?;
        self.between.read(&*self.inner, after, limit).await
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.between.reads().await?;
        self.inner.head().await
    }

    async fn claims(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, StoreError> {
        self.between.reads().await?;
        self.inner.claims(keys).await
    }

    async fn offsets(&self, consumer: &str) -> Result<Vec<LogOffset>, StoreError> {
        self.between.reads().await?;
        self.inner.offsets(consumer).await
    }

    async fn due_timers(&self, now: Timestamp, limit: usize) -> Result<Vec<Timer>, StoreError> {
        self.between.reads().await?;
        self.inner.due_timers(now, limit).await
    }

    async fn next_timer(&self) -> Result<Option<Timestamp>, StoreError> {
        self.between.reads().await?;
        self.inner.next_timer().await
    }

    async fn list(&self, query: &ListQuery) -> Result<Page<Listed>, StoreError> {
        self.between.reads().await?;
        self.inner.list(query).await
    }

    async fn parked(
        &self,
        consumer: Option<&str>,
        after: Option<(&str, i32, i64)>,
        limit: usize,
    ) -> Result<Page<ParkedRecord>, StoreError> {
        self.inner.parked(consumer, after, limit).await
    }

    async fn parked_of_key(&self, key: &ParkedKey, limit: usize) -> Result<Vec<ParkedRecord>, StoreError> {
        self.inner.parked_of_key(key, limit).await
    }

    async fn parked_keys(&self, consumer: &str) -> Result<Vec<(ParkedKey, bool)>, StoreError> {
        self.between.parked_keys(&*self.inner, consumer).await
    }

    async fn try_lock(&self, name: &str) -> Result<Option<Box<dyn Any + Send + Sync>>, StoreError> {
        self.between.reads().await?;
        self.between.try_lock(&*self.inner, name).await
    }

    async fn hinted(&self) {
        if !self.between.hears() {
            std::future::pending::<()>().await;
        }
        self.inner.hinted().await;
    }

    /// The engine behind belongs to whoever made it, and stays open.
    async fn close(&self) {}
}
