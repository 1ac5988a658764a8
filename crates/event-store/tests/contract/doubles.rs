//! An engine in front of a real one: deaf to hints, and with a gate before its commits.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use event_store::{
    Append, Engine, ListQuery, Listed, LogOffset, Page, ParkedKey, ParkedRecord, Position, Recorded,
    StoreError, StreamId, Timer, Verdict,
};
use tokio::sync::{Semaphore, watch};
use types::Timestamp;

pub struct Gated {
    inner: Arc<dyn Engine>,
    /// One permit lets one commit through.
    pub gate: Semaphore,
    /// How many appends each commit that came to the gate had.
    pub arrived: watch::Sender<Vec<usize>>,
    /// Whether commits fail instead.
    pub broken: AtomicBool,
}

impl Gated {
    pub fn closed(inner: Arc<dyn Engine>) -> Arc<Self> {
        let broken = AtomicBool::new(false);
        Arc::new(Self { inner, gate: Semaphore::new(0), arrived: watch::Sender::default(), broken })
    }

    pub fn open(inner: Arc<dyn Engine>) -> Arc<Self> {
        let gated = Self::closed(inner);
        gated.gate.add_permits(1_000_000);
        gated
    }

    /// Waits until so many commits came to the gate.
    pub async fn wait_arrived(&self, commits: usize) {
        self.arrived.subscribe().wait_for(|arrived| arrived.len() >= commits).await.unwrap();
    }
}

#[async_trait]
impl Engine for Gated {
    async fn commit(&self, appends: &[Append]) -> Result<Vec<Verdict>, StoreError> {
        self.arrived.send_modify(|arrived| arrived.push(appends.len()));
        self.gate.acquire().await.unwrap().forget();
        if self.broken.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("broken on purpose"));
        }
        self.inner.commit(appends).await
    }

    async fn load(&self, streams: &[StreamId]) -> Result<Vec<Vec<Recorded>>, StoreError> {
        self.inner.load(streams).await
    }

    async fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, StoreError> {
        self.inner.read(after, limit).await
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.inner.head().await
    }

    async fn claims(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, StoreError> {
        self.inner.claims(keys).await
    }

    async fn offsets(&self, consumer: &str) -> Result<Vec<LogOffset>, StoreError> {
        self.inner.offsets(consumer).await
    }

    async fn due_timers(&self, now: Timestamp, limit: usize) -> Result<Vec<Timer>, StoreError> {
        self.inner.due_timers(now, limit).await
    }

    async fn next_timer(&self) -> Result<Option<Timestamp>, StoreError> {
        self.inner.next_timer().await
    }

    async fn list(&self, query: &ListQuery) -> Result<Page<Listed>, StoreError> {
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

    async fn parked_keys(
        &self,
        consumer: &str,
        topic: &str,
        partition: i32,
    ) -> Result<Vec<(ParkedKey, bool)>, StoreError> {
        self.inner.parked_keys(consumer, topic, partition).await
    }

    async fn try_lock(&self, name: &str) -> Result<Option<Box<dyn Any + Send + Sync>>, StoreError> {
        self.inner.try_lock(name).await
    }

    async fn hinted(&self) {
        std::future::pending::<()>().await;
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
