//! A log of which several installations share one cluster: every topic and group of this one gets a
//! prefix on the way in and loses it on the way out.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use event_store::LogOffset;

use crate::{
    Assignment, ConsumedLog, Delivery, EventLog, Extent, LogError, Message, Record, Subscription,
    TopicDifference, TopicSpec,
};

/// A log seen through a prefix.
pub(crate) struct Namespaced {
    pub(crate) inner: Arc<dyn EventLog>,
    /// Stands before a topic's or group's own name, with a dot between them.
    pub(crate) prefix: String,
}

impl Namespaced {
    fn outer(&self, name: &str) -> Arc<str> {
        format!("{}.{name}", self.prefix).into()
    }

    fn outer_specs(&self, topics: &[TopicSpec]) -> Vec<TopicSpec> {
        topics.iter().map(|topic| TopicSpec { name: self.outer(&topic.name), ..topic.clone() }).collect()
    }
}

#[async_trait]
impl EventLog for Namespaced {
    async fn declare(&self, topics: &[TopicSpec]) -> Result<(), LogError> {
        self.inner.declare(&self.outer_specs(topics)).await
    }

    /// Names are those on the cluster: it is there that somebody looks for them.
    async fn compare(&self, topics: &[TopicSpec]) -> Result<Vec<TopicDifference>, LogError> {
        self.inner.compare(&self.outer_specs(topics)).await
    }

    async fn apply(
        &self,
        topics: &[TopicSpec],
        add_partitions: bool,
    ) -> Result<Vec<TopicDifference>, LogError> {
        self.inner.apply(&self.outer_specs(topics), add_partitions).await
    }

    async fn publish(&self, mut messages: Vec<Message>) -> Result<(), LogError> {
        let mut names: HashMap<Arc<str>, Arc<str>> = HashMap::new();
        for message in &mut messages {
            let outer = names.entry(message.topic.clone()).or_insert_with_key(|topic| self.outer(topic));
            message.topic = outer.clone();
        }
        self.inner.publish(messages).await
    }

    async fn extents(&self, topic: &str) -> Result<Vec<Extent>, LogError> {
        self.inner.extents(&self.outer(topic)).await
    }

    async fn subscribe(&self, subscription: Subscription) -> Result<Box<dyn ConsumedLog>, LogError> {
        let names: HashMap<Arc<str>, Arc<str>> =
            subscription.topics.iter().map(|topic| (self.outer(topic), topic.clone())).collect();
        let outer = Subscription {
            group: self.outer(&subscription.group),
            member: subscription.member,
            topics: names.keys().cloned().collect(),
        };
        let inner = self.inner.subscribe(outer).await?;
        Ok(Box::new(NamespacedConsumer { inner, names, prefix: self.prefix.clone() }))
    }

    async fn delete(&self, topic: &str) -> Result<(), LogError> {
        self.inner.delete(&self.outer(topic)).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

struct NamespacedConsumer {
    inner: Box<dyn ConsumedLog>,
    /// Own names by those on the cluster.
    names: HashMap<Arc<str>, Arc<str>>,
    prefix: String,
}

impl NamespacedConsumer {
    fn own(&self, outer: Arc<str>) -> Arc<str> {
        self.names.get(&outer).cloned().unwrap_or(outer)
    }

    fn outer(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    fn own_error(&self, error: LogError) -> LogError {
        match error {
            LogError::OffsetLost { topic, partition, offset } => {
                LogError::OffsetLost { topic: self.own(topic), partition, offset }
            }
            other => other,
        }
    }
}

#[async_trait]
impl ConsumedLog for NamespacedConsumer {
    async fn next(&mut self, max: usize) -> Result<Delivery, LogError> {
        Ok(match self.inner.next(max).await.map_err(|error| self.own_error(error))? {
            Delivery::Assigned(partitions) => Delivery::Assigned(
                partitions.into_iter().map(|it| Assignment { topic: self.own(it.topic), ..it }).collect(),
            ),
            Delivery::Revoked(partitions) => Delivery::Revoked(
                partitions.into_iter().map(|(topic, partition)| (self.own(topic), partition)).collect(),
            ),
            Delivery::Records(records) => Delivery::Records(
                records.into_iter().map(|it| Record { topic: self.own(it.topic), ..it }).collect(),
            ),
        })
    }

    async fn start(&mut self, topic: &str, partition: i32, offset: Option<i64>) -> Result<(), LogError> {
        let outer = self.outer(topic);
        self.inner.start(&outer, partition, offset).await
    }

    fn hint(&mut self, offsets: &[LogOffset]) {
        let outer: Vec<LogOffset> = offsets
            .iter()
            .map(|offset| LogOffset { topic: self.outer(&offset.topic).into(), ..offset.clone() })
            .collect();
        self.inner.hint(&outer);
    }
}
