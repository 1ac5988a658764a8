//! A process's way to its database, which is in memory: calls fail, linger, lose their answers, and are
//! where the process crashes. What was committed is witnessed in the order in which it was.

use std::{
    any::Any,
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use event_store::{
    Append, Engine, ListQuery, Listed, LogOffset, Memory, Page, ParkedKey, ParkedRecord, Position, Recorded,
    StoreError, StreamId, Timer, Verdict,
};
use types::Timestamp;

use crate::{
    life::{Failed, Life},
    plant::{self, Bug},
};

impl From<Failed> for StoreError {
    fn from(failed: Failed) -> Self {
        Self::unavailable(failed)
    }
}

/// Everything that was committed anywhere and nobody has looked at yet, each with its service.
#[derive(Default)]
pub struct Witness(Mutex<VecDeque<(&'static str, Recorded)>>);

impl Witness {
    /// The oldest of them.
    pub fn next(&self) -> Option<(&'static str, Recorded)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    fn saw(&self, service: &'static str, events: Vec<Recorded>) {
        let seen = events.into_iter().map(|event| (service, event));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(seen);
    }
}

/// The engine of one process.
pub struct SimulatedEngine {
    /// Whose database it is.
    pub service: &'static str,
    /// The database.
    pub memory: Arc<Memory>,
    /// The process.
    pub life: Arc<Life>,
    /// Who sees what is committed.
    pub witness: Arc<Witness>,
    /// What is wrong with it on purpose.
    pub bug: Option<Bug>,
}

impl SimulatedEngine {
    async fn committed(&self, appends: &Arc<Vec<Append>>) -> Result<Vec<Verdict>, StoreError> {
        let before = self.memory.head().await?;
        let verdicts = match self.bug {
            Some(Bug::IgnoredVersion) => plant::ignoring_versions(&self.memory, appends).await?,
            _ => self.memory.commit(appends).await?,
        };
        self.witness.saw(self.service, self.memory.after(before));
        Ok(verdicts)
    }
}

/// A read: it may fail or linger, and has no effect that could be lost.
macro_rules! read {
    ($engine:ident, $call:expr) => {{
        let pass = $engine.life.enter().await?;
        let found = $call.await?;
        $engine.life.leave(pass).await?;
        Ok(found)
    }};
}

#[async_trait]
impl Engine for SimulatedEngine {
    async fn commit(&self, appends: &Arc<Vec<Append>>) -> Result<Vec<Verdict>, StoreError> {
        if self.bug == Some(Bug::OffsetFirst)
            && let Some(offsets) = plant::offsets_alone(appends)
        {
            let pass = self.life.enter().await?;
            self.committed(&Arc::new(offsets)).await?;
            self.life.leave(pass).await?;
            let rest = Arc::new(plant::without_offsets(appends));
            let pass = self.life.enter().await?;
            let verdicts = self.committed(&rest).await?;
            self.life.leave(pass).await?;
            return Ok(verdicts);
        }
        let pass = self.life.enter().await?;
        let verdicts = self.committed(appends).await?;
        self.life.leave(pass).await?;
        Ok(verdicts)
    }

    async fn load(&self, streams: &[StreamId]) -> Result<Vec<Vec<Recorded>>, StoreError> {
        read!(self, self.memory.load(streams))
    }

    async fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, StoreError> {
        read!(self, self.memory.read(after, limit))
    }

    async fn head(&self) -> Result<Position, StoreError> {
        read!(self, self.memory.head())
    }

    async fn claims(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, StoreError> {
        read!(self, self.memory.claims(keys))
    }

    async fn offsets(&self, consumer: &str) -> Result<Vec<LogOffset>, StoreError> {
        read!(self, self.memory.offsets(consumer))
    }

    async fn due_timers(&self, now: Timestamp, limit: usize) -> Result<Vec<Timer>, StoreError> {
        read!(self, self.memory.due_timers(now, limit))
    }

    async fn next_timer(&self) -> Result<Option<Timestamp>, StoreError> {
        read!(self, self.memory.next_timer())
    }

    async fn list(&self, query: &ListQuery) -> Result<Page<Listed>, StoreError> {
        read!(self, self.memory.list(query))
    }

    // Consumers look after what is parked now and then, and tokio decides by chance whether before or after
    // they read on. So that a run repeats exactly, that look must have no consequence but what it finds.
    async fn parked(
        &self,
        consumer: Option<&str>,
        after: Option<(&str, i32, i64)>,
        limit: usize,
    ) -> Result<Page<ParkedRecord>, StoreError> {
        self.memory.parked(consumer, after, limit).await
    }

    async fn parked_of_key(&self, key: &ParkedKey, limit: usize) -> Result<Vec<ParkedRecord>, StoreError> {
        self.memory.parked_of_key(key, limit).await
    }

    async fn parked_keys(
        &self,
        consumer: &str,
        topic: &str,
        partition: i32,
    ) -> Result<Vec<(ParkedKey, bool)>, StoreError> {
        self.memory.parked_keys(consumer, topic, partition).await
    }

    async fn try_lock(&self, name: &str) -> Result<Option<Box<dyn Any + Send + Sync>>, StoreError> {
        read!(self, self.memory.try_lock(name))
    }

    async fn hinted(&self) {
        self.memory.hinted().await;
    }

    async fn close(&self) {}
}
