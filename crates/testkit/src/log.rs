//! An event log that fails, repeats and reorders on purpose, in front of a real one. It does only
//! what a log may do: nothing is lost that was acknowledged, and a key's records keep their order.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use event_store::LogOffset;
use messaging::{
    ConsumedLog, Delivery, EventLog, Extent, LogError, Message, Record, Subscription, TopicDifference,
    TopicSpec,
};

use tokio::sync::watch;

use crate::Fault;

/// An event log that behaves as badly as planned.
pub struct FaultyLog {
    inner: Arc<dyn EventLog>,
    plan: Mutex<Plan>,
    redelivers: Arc<AtomicBool>,
    /// Whether nobody is let into a group.
    held: watch::Sender<bool>,
}

#[derive(Default)]
struct Plan {
    fails: Option<(u64, Fault)>,
    repeats: bool,
    /// The state of the generator that orders keys anew; none while they keep their order.
    order: Option<u64>,
}

impl FaultyLog {
    /// A log in front of that one, which behaves well so far.
    #[must_use]
    pub fn new(inner: Arc<dyn EventLog>) -> Arc<Self> {
        let held = watch::Sender::new(false);
        Arc::new(Self { inner, plan: Mutex::default(), redelivers: Arc::default(), held })
    }

    /// Fails the next `n` publishes.
    pub fn fail_publishes(&self, n: u64, fault: Fault) {
        self.plan().fails = (n > 0).then_some((n, fault));
    }

    /// Whether whoever wants to join a group waits from now on.
    pub fn hold_joining(&self, holds: bool) {
        self.held.send_replace(holds);
    }

    /// Whether each publish is there twice from now on, as after an answer that was lost.
    pub fn repeat(&self, repeats: bool) {
        self.plan().repeats = repeats;
    }

    /// Publishes the keys of each batch in another order from now on, chosen by that seed.
    pub fn reorder(&self, seed: u64) {
        self.plan().order = Some(seed.max(1));
    }

    /// Whether whoever reads gets each batch twice from now on.
    pub fn redeliver(&self, redelivers: bool) {
        self.redelivers.store(redelivers, Ordering::SeqCst);
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plan {
    fn fault(&mut self) -> Option<Fault> {
        let (left, fault) = self.fails.take()?;
        self.fails = (left > 1).then_some((left - 1, fault));
        Some(fault)
    }

    fn disturb(&mut self, messages: Vec<Message>) -> Vec<Message> {
        let mut all = match &mut self.order {
            Some(state) => in_another_order(messages, state),
            None => messages,
        };
        if self.repeats {
            all.extend(all.clone());
        }
        all
    }
}

/// The messages with their keys in another order, and each key's in their own.
fn in_another_order(messages: Vec<Message>, state: &mut u64) -> Vec<Message> {
    let count = messages.len();
    let mut places: HashMap<(Arc<str>, Bytes), usize> = HashMap::new();
    let mut queues: Vec<VecDeque<Message>> = Vec::new();
    for message in messages {
        let place = *places.entry((message.topic.clone(), message.key.clone())).or_insert(queues.len());
        if place == queues.len() {
            queues.push(VecDeque::new());
        }
        queues[place].push_back(message);
    }
    let mut ordered = Vec::with_capacity(count);
    while !queues.is_empty() {
        // Xorshift: the same seed gives the same order.
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        let chosen = (*state % queues.len() as u64) as usize;
        ordered.extend(queues[chosen].pop_front());
        if queues[chosen].is_empty() {
            queues.swap_remove(chosen);
        }
    }
    ordered
}

#[async_trait]
impl EventLog for FaultyLog {
    async fn declare(&self, topics: &[TopicSpec]) -> Result<(), LogError> {
        self.inner.declare(topics).await
    }

    async fn compare(&self, topics: &[TopicSpec]) -> Result<Vec<TopicDifference>, LogError> {
        self.inner.compare(topics).await
    }

    async fn apply(
        &self,
        topics: &[TopicSpec],
        add_partitions: bool,
    ) -> Result<Vec<TopicDifference>, LogError> {
        self.inner.apply(topics, add_partitions).await
    }

    async fn publish(&self, messages: Vec<Message>) -> Result<(), LogError> {
        let (fault, messages) = {
            let mut plan = self.plan();
            (plan.fault(), plan.disturb(messages))
        };
        if fault == Some(Fault::Before) {
            return Err(LogError::unavailable("failed on purpose"));
        }
        self.inner.publish(messages).await?;
        match fault {
            Some(_) => Err(LogError::unavailable("answer lost on purpose")),
            None => Ok(()),
        }
    }

    async fn extents(&self, topic: &str) -> Result<Vec<Extent>, LogError> {
        self.inner.extents(topic).await
    }

    async fn subscribe(&self, subscription: Subscription) -> Result<Box<dyn ConsumedLog>, LogError> {
        // The sender is ours: it does not go away meanwhile.
        let _ = self.held.subscribe().wait_for(|held| !held).await;
        let inner = self.inner.subscribe(subscription).await?;
        Ok(Box::new(Reader { inner, redelivers: self.redelivers.clone(), again: None }))
    }

    async fn delete(&self, topic: &str) -> Result<(), LogError> {
        self.inner.delete(topic).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

struct Reader {
    inner: Box<dyn ConsumedLog>,
    redelivers: Arc<AtomicBool>,
    again: Option<Vec<Record>>,
}

#[async_trait]
impl ConsumedLog for Reader {
    async fn next(&mut self, max: usize) -> Result<Delivery, LogError> {
        if let Some(records) = self.again.take() {
            return Ok(Delivery::Records(records));
        }
        let delivery = self.inner.next(max).await?;
        if let Delivery::Records(records) = &delivery
            && self.redelivers.load(Ordering::SeqCst)
        {
            self.again = Some(records.clone());
        }
        Ok(delivery)
    }

    async fn start(&mut self, topic: &str, partition: i32, offset: Option<i64>) -> Result<(), LogError> {
        self.again = None;
        self.inner.start(topic, partition, offset).await
    }

    fn hint(&mut self, offsets: &[LogOffset]) {
        self.inner.hint(offsets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_order_keeps_that_of_each_key() {
        let message = |key: &'static str, number: u8| Message {
            topic: "t".into(),
            key: Bytes::from_static(key.as_bytes()),
            headers: Vec::new(),
            payload: Some(Bytes::copy_from_slice(&[number])),
        };
        let messages: Vec<_> =
            (0..20).map(|number| message(["a", "b", "c"][usize::from(number % 3)], number)).collect();
        let ordered = in_another_order(messages.clone(), &mut 7);
        assert_ne!(ordered, messages);
        for key in ["a", "b", "c"] {
            let of = |all: &[Message]| -> Vec<Message> {
                all.iter().filter(|message| message.key == key).cloned().collect()
            };
            assert_eq!(of(&ordered), of(&messages));
        }
    }
}
