//! Doubles: an engine and a log that fail on purpose, and a log that gives partitions to everybody.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use async_trait::async_trait;
use event_store::{Append, Engine, LogOffset, Store, StoreError, StoreOptions, Verdict};
use messaging::{
    ConsumedLog, Delivery, EventLog, Extent, LogError, Message, Subscription, TopicDifference, TopicSpec,
};
use testkit::{Intercept, Intercepted};
use types::fresh_uuid;

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

/// Commits that fail as planned, and then no more.
struct Planned {
    plan: Mutex<VecDeque<Fault>>,
    /// What happens when the plan is done.
    then: Fault,
}

/// The store behind another that fails.
pub fn faulty(store: &Store, plan: &[Fault], then: Fault) -> Store {
    let plan = Mutex::new(plan.iter().copied().collect());
    let engine = Intercepted::with(store.engine().clone(), Planned { plan, then });
    Store::with_engine(engine, StoreOptions::default())
}

#[async_trait]
impl Intercept for Planned {
    async fn commit(
        &self,
        inner: &dyn Engine,
        appends: &Arc<Vec<Append>>,
    ) -> Result<Vec<Verdict>, StoreError> {
        let fault = if appends.iter().all(|append| append.offsets.is_empty()) {
            Fault::Pass
        } else {
            self.plan.lock().unwrap().pop_front().unwrap_or(self.then)
        };
        match fault {
            Fault::Refuse => Err(StoreError::unavailable("refused on purpose")),
            Fault::Pass => inner.commit(appends).await,
            Fault::LoseAnswer => {
                inner.commit(appends).await?;
                Err(StoreError::unavailable("answer lost on purpose"))
            }
        }
    }
}

/// A log in front of another.
pub struct FaultyLog {
    pub inner: Arc<dyn EventLog>,
    /// What becomes of publishes, then all pass.
    pub plan: Mutex<VecDeque<Fault>>,
    /// Whether each subscription gets all partitions, as when a group's members disagree.
    pub everybody: bool,
    /// How many members lose their membership when their first records come, those that join first.
    pub losing: AtomicU32,
}

impl FaultyLog {
    pub fn planned(inner: &Arc<dyn EventLog>, plan: &[Fault]) -> Arc<dyn EventLog> {
        let plan = Mutex::new(plan.iter().copied().collect());
        Arc::new(Self { plan, ..Self::before(inner) })
    }

    pub fn for_everybody(inner: &Arc<dyn EventLog>) -> Arc<dyn EventLog> {
        Arc::new(Self { everybody: true, ..Self::before(inner) })
    }

    pub fn losing(inner: &Arc<dyn EventLog>, members: u32) -> Arc<dyn EventLog> {
        Arc::new(Self { losing: members.into(), ..Self::before(inner) })
    }

    fn before(inner: &Arc<dyn EventLog>) -> Self {
        let (plan, losing) = (Mutex::default(), AtomicU32::new(0));
        Self { inner: inner.clone(), plan, everybody: false, losing }
    }
}

#[async_trait]
impl EventLog for FaultyLog {
    async fn declare(&self, topics: &[TopicSpec]) -> Result<(), LogError> {
        self.inner.declare(topics).await
    }

    async fn compare(&self, topics: &[TopicSpec]) -> Result<Vec<TopicDifference>, LogError> {
        self.inner.compare(topics).await
    }

    async fn apply(&self, topics: &[TopicSpec], add: bool) -> Result<Vec<TopicDifference>, LogError> {
        self.inner.apply(topics, add).await
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

    async fn extents(&self, topic: &str) -> Result<Vec<Extent>, LogError> {
        self.inner.extents(topic).await
    }

    async fn subscribe(&self, mut subscription: Subscription) -> Result<Box<dyn ConsumedLog>, LogError> {
        if self.everybody {
            subscription.group = format!("{}-{}", subscription.group, fresh_uuid().simple()).into();
        }
        let inner = self.inner.subscribe(subscription).await?;
        let loses = self.losing.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        Ok(if loses.is_ok() { Box::new(Losing(inner)) } else { inner })
    }

    async fn delete(&self, topic: &str) -> Result<(), LogError> {
        self.inner.delete(topic).await
    }

    async fn close(&self) {}
}

/// A member that loses its membership instead of being given records.
struct Losing(Box<dyn ConsumedLog>);

#[async_trait]
impl ConsumedLog for Losing {
    async fn next(&mut self, max: usize) -> Result<Delivery, LogError> {
        match self.0.next(max).await? {
            Delivery::Records(_) => Err(LogError::MembershipLost),
            other => Ok(other),
        }
    }

    async fn start(&mut self, topic: &str, partition: i32, offset: Option<i64>) -> Result<(), LogError> {
        self.0.start(topic, partition, offset).await
    }

    fn hint(&mut self, offsets: &[LogOffset]) {
        self.0.hint(offsets);
    }
}
