//! One process's way to the log: publishing that goes wrong, and the reading side of its subscription.

use std::{
    future::pending,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use event_store::LogOffset;
use messaging::{
    ConsumedLog, Delivery, EventLog, Extent, LogError, Message, Subscription, TopicDifference, TopicSpec,
};
use testkit::Dice;
use tokio::sync::Notify;
use types::Clock as _;

use super::SimulatedLog;
use crate::life::{Failed, Life, Pass};

/// One process's way to the log.
pub struct Wire {
    /// The log.
    pub log: Arc<SimulatedLog>,
    /// The process.
    pub life: Arc<Life>,
    /// Where a publish that goes wrong is cut.
    pub dice: Mutex<Dice>,
    /// Has a last word on everything that is published.
    pub tamper: Box<dyn Fn(&mut Message) + Send + Sync>,
}

impl From<Failed> for LogError {
    fn from(failed: Failed) -> Self {
        Self::unavailable(failed)
    }
}

impl Wire {
    fn publish_some(&self, mut messages: Vec<Message>, whole: bool) {
        if !whole {
            let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
            messages.truncate(dice.place(messages.len() + 1));
        }
        let at = self.log.clock.now();
        let mut inner = self.log.inner();
        for message in &mut messages {
            (self.tamper)(message);
            inner.publish(message, at);
        }
    }
}

#[async_trait]
impl EventLog for Wire {
    async fn declare(&self, topics: &[TopicSpec]) -> Result<(), LogError> {
        let mut inner = self.log.inner();
        topics.iter().for_each(|topic| inner.declare(&topic.name, topic.partitions));
        Ok(())
    }

    async fn compare(&self, _topics: &[TopicSpec]) -> Result<Vec<TopicDifference>, LogError> {
        Ok(Vec::new())
    }

    async fn apply(
        &self,
        topics: &[TopicSpec],
        _add_partitions: bool,
    ) -> Result<Vec<TopicDifference>, LogError> {
        self.declare(topics).await?;
        Ok(Vec::new())
    }

    async fn publish(&self, messages: Vec<Message>) -> Result<(), LogError> {
        let pass = self.life.enter().await?;
        self.publish_some(messages, pass == Pass::Answered);
        Ok(self.life.leave(pass).await?)
    }

    async fn extents(&self, topic: &str) -> Result<Vec<Extent>, LogError> {
        let pass = self.life.enter().await?;
        let found = self.log.extents(topic);
        self.life.leave(pass).await?;
        Ok(found)
    }

    async fn subscribe(&self, subscription: Subscription) -> Result<Box<dyn ConsumedLog>, LogError> {
        let pass = self.life.enter().await?;
        let group = subscription.group.clone();
        let member = self.log.join(subscription);
        let reading = Reading { log: self.log.clone(), life: self.life.clone(), group, member };
        self.life.leave(pass).await?;
        Ok(Box::new(reading))
    }

    async fn delete(&self, _topic: &str) -> Result<(), LogError> {
        Ok(())
    }

    async fn close(&self) {}
}

/// The reading side.
struct Reading {
    log: Arc<SimulatedLog>,
    life: Arc<Life>,
    group: Arc<str>,
    member: u64,
}

impl Reading {
    /// What there is for this member now, and what wakes it when there is nothing.
    fn look(&self, max: usize) -> Result<Delivery, Option<Arc<Notify>>> {
        let mut inner = self.log.inner();
        let Some(group) = inner.groups.get_mut(&self.group) else { return Err(None) };
        group.next(self.member, max)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.log.leave(&self.group, self.member);
    }
}

#[async_trait]
impl ConsumedLog for Reading {
    async fn next(&mut self, max: usize) -> Result<Delivery, LogError> {
        loop {
            let found = if self.life.is_over() { Err(None) } else { self.look(max) };
            match found {
                Ok(delivery) => return Ok(delivery),
                Err(Some(wake)) => wake.notified().await,
                Err(None) => pending::<()>().await,
            }
        }
    }

    async fn start(&mut self, topic: &str, partition: i32, offset: Option<i64>) -> Result<(), LogError> {
        if let Some(group) = self.log.inner().groups.get_mut(&self.group) {
            group.start(self.member, &(topic.into(), partition), offset.unwrap_or(0));
        }
        Ok(())
    }

    fn hint(&mut self, _offsets: &[LogOffset]) {}
}
