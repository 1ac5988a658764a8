//! An engine that fails on purpose, in front of a real one.

use std::{
    any::Any,
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use event_store::{
    Append, Engine, ListQuery, Listed, LogOffset, Page, ParkedKey, ParkedRecord, Position, Recorded,
    StoreError, StreamId, Timer, Verdict,
};
use types::Timestamp;

/// How something fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Before it happened.
    Before,
    /// After it happened: only the answer is lost.
    After,
}

/// An engine whose commits fail as planned. What it reads is always right.
pub struct FaultyEngine {
    inner: Arc<dyn Engine>,
    plan: Mutex<Plan>,
}

#[derive(Default)]
struct Plan {
    /// Faults to come; one with a stream waits for a commit with events of that stream.
    next: VecDeque<(Option<StreamId>, Fault)>,
    every: Option<(u64, Fault)>,
    full: bool,
    commits: u64,
    failed: u64,
}

impl FaultyEngine {
    /// An engine in front of that one, which fails nothing yet.
    #[must_use]
    pub fn new(inner: Arc<dyn Engine>) -> Arc<Self> {
        Arc::new(Self { inner, plan: Mutex::default() })
    }

    /// Fails the next commit.
    pub fn fail_next(&self, fault: Fault) {
        self.plan().next.push_back((None, fault));
    }

    /// Fails the next commit that has events of that stream.
    pub fn fail_next_of(&self, stream: StreamId, fault: Fault) {
        self.plan().next.push_back((Some(stream), fault));
    }

    /// Fails every `n`-th commit from now on; none for zero.
    pub fn fail_every(&self, n: u64, fault: Fault) {
        let mut plan = self.plan();
        plan.commits = 0;
        plan.every = (n > 0).then_some((n, fault));
    }

    /// Fails every commit for as long as it is full.
    pub fn fill_up(&self, full: bool) {
        self.plan().full = full;
    }

    /// How many commits failed so far.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.plan().failed
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plan {
    fn fault(&mut self, appends: &[Append]) -> Option<Fault> {
        self.commits += 1;
        let writes = |stream: &StreamId| {
            appends.iter().flat_map(|append| &append.streams).any(|append| append.stream == *stream)
        };
        let met = match self.next.front() {
            Some((stream, fault)) if stream.as_ref().is_none_or(writes) => Some(*fault),
            Some(_) | None => None,
        };
        if met.is_some() {
            self.next.pop_front();
        }
        let full = self.full.then_some(Fault::Before);
        let nth = self.every.filter(|(n, _)| self.commits.is_multiple_of(*n)).map(|(_, fault)| fault);
        let fault = met.or(full).or(nth);
        self.failed += u64::from(fault.is_some());
        fault
    }
}

#[async_trait]
impl Engine for FaultyEngine {
    async fn commit(&self, appends: &[Append]) -> Result<Vec<Verdict>, StoreError> {
        let fault = self.plan().fault(appends);
        match fault {
            None => self.inner.commit(appends).await,
            Some(Fault::Before) => Err(StoreError::unavailable("failed on purpose")),
            Some(Fault::After) => {
                self.inner.commit(appends).await?;
                Err(StoreError::unavailable("answer lost on purpose"))
            }
        }
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
        self.inner.hinted().await;
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
