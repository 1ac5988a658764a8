//! Doubles: an engine and a log that fail on purpose, and a log that gives partitions to everybody.

use std::{
    any::Any,
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use event_store::{
    Append, Engine, ListQuery, Listed, LogOffset, Page, ParkedKey, ParkedRecord, Position, Recorded, Store,
    StoreError, StoreOptions, StreamId, Timer, Verdict,
};
use messaging::{ConsumedLog, EventLog, LogError, Message, Subscription, TopicSpec};
use types::{Timestamp, fresh_uuid};

/// What happens to a commit that moves an offset of a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It does not take place.
    Refuse,
    /// It takes place, and the answer does not arrive.
    LoseAnswer,
    /// It takes place.
    Pass,
}

/// An engine whose commits fail as planned, and then no more.
pub struct FaultyEngine {
    inner: Arc<dyn Engine>,
    plan: Mutex<VecDeque<Fault>>,
    /// What happens when the plan is done.
    then: Fault,
}

/// The store behind another that fails.
pub fn faulty(store: &Store, plan: &[Fault], then: Fault) -> Store {
    let plan = Mutex::new(plan.iter().copied().collect());
    let engine = Arc::new(FaultyEngine { inner: store.engine().clone(), plan, then });
    Store::with_engine(engine, StoreOptions::default())
}

#[async_trait]
impl Engine for FaultyEngine {
    async fn commit(&self, appends: &[Append]) -> Result<Vec<Verdict>, StoreError> {
        let fault = if appends.iter().all(|append| append.offsets.is_empty()) {
            Fault::Pass
        } else {
            self.plan.lock().unwrap().pop_front().unwrap_or(self.then)
        };
        match fault {
            Fault::Refuse => Err(StoreError::unavailable("refused on purpose")),
            Fault::Pass => self.inner.commit(appends).await,
            Fault::LoseAnswer => {
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

    async fn close(&self) {}
}

/// A log in front of another.
pub struct FaultyLog {
    pub inner: Arc<dyn EventLog>,
    /// What becomes of publishes, then all pass.
    pub plan: Mutex<VecDeque<Fault>>,
    /// Whether each subscription gets all partitions, as when a group's members disagree.
    pub everybody: bool,
}

impl FaultyLog {
    pub fn planned(inner: &Arc<dyn EventLog>, plan: &[Fault]) -> Arc<dyn EventLog> {
        let plan = Mutex::new(plan.iter().copied().collect());
        Arc::new(Self { inner: inner.clone(), plan, everybody: false })
    }

    pub fn for_everybody(inner: &Arc<dyn EventLog>) -> Arc<dyn EventLog> {
        Arc::new(Self { inner: inner.clone(), plan: Mutex::default(), everybody: true })
    }
}

#[async_trait]
impl EventLog for FaultyLog {
    async fn declare(&self, topics: &[TopicSpec]) -> Result<(), LogError> {
        self.inner.declare(topics).await
    }

    async fn publish(&self, messages: Vec<Message>) -> Result<(), LogError> {
        let fault = self.plan.lock().unwrap().pop_front().unwrap_or(Fault::Pass);
        match fault {
            Fault::Refuse => Err(LogError::unavailable("refused on purpose")),
            Fault::Pass => self.inner.publish(messages).await,
            Fault::LoseAnswer => {
                self.inner.publish(messages).await?;
                Err(LogError::unavailable("answer lost on purpose"))
            }
        }
    }

    async fn subscribe(&self, mut subscription: Subscription) -> Result<Box<dyn ConsumedLog>, LogError> {
        if self.everybody {
            subscription.group = format!("{}-{}", subscription.group, fresh_uuid().simple()).into();
        }
        self.inner.subscribe(subscription).await
    }

    async fn delete(&self, topic: &str) -> Result<(), LogError> {
        self.inner.delete(topic).await
    }

    async fn close(&self) {}
}
