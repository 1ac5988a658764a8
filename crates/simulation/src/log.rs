//! The event log of a simulation: in memory, and nothing moves in it unless the simulation says so.
//!
//! It keeps what a log promises, order within a partition, and no more: publishing fails before, in the
//! middle and after, so that records are lost until they are published again, or come twice; partitions
//! stand still for days, so that keys overtake each other.

use std::{
    collections::{BTreeMap, VecDeque},
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use event_store::LogOffset;
use messaging::{
    Assignment, ConsumedLog, Delivery, EventLog, Extent, LogError, Message, Record, Subscription,
    TopicDifference, TopicSpec, partition_of,
};
use participant::contract::{PARTITIONS, is_compacted};
use testkit::ManualClock;
use tokio::sync::Notify;
use types::{Clock as _, Timestamp};

use crate::{
    dice::Dice,
    life::{Failed, Life, Pass},
};

/// No topic is ever made again.
const INCARNATION: &str = "1";

/// The log that all processes share.
pub struct SimulatedLog {
    clock: Arc<ManualClock>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    topics: BTreeMap<Arc<str>, Vec<Vec<Record>>>,
    groups: BTreeMap<Arc<str>, Group>,
    /// Records that nobody has looked at yet.
    unseen: VecDeque<Record>,
}

#[derive(Default)]
struct Group {
    topics: Vec<Arc<str>>,
    /// Which member has the partitions: the last that joined.
    member: u64,
    told: bool,
    positions: BTreeMap<Lane, i64>,
    stalled: BTreeMap<Lane, Timestamp>,
    granted: VecDeque<Record>,
    wake: Arc<Notify>,
}

/// A partition of a topic.
pub type Lane = (Arc<str>, i32);

impl SimulatedLog {
    /// An empty log.
    #[must_use]
    pub fn new(clock: Arc<ManualClock>) -> Self {
        Self { clock, inner: Mutex::default() }
    }

    /// The partitions from which a group has something to read now.
    #[must_use]
    pub fn readable(&self, group: &str) -> Vec<Lane> {
        let now = self.clock.now();
        let inner = self.inner();
        let Some(group) = inner.groups.get(group) else { return Vec::new() };
        let is_stalled = |lane: &Lane| group.stalled.get(lane).is_some_and(|until| *until > now);
        let waits = |lane: &Lane, next: i64| inner.end(lane) > next;
        let lanes = group.positions.iter().filter(|(lane, next)| waits(lane, **next) && !is_stalled(lane));
        lanes.map(|(lane, _)| lane.clone()).collect()
    }

    /// Lets a group have the next records of a partition, at most so many; says how many.
    pub fn grant(&self, group: &str, lane: &Lane, count: usize) -> usize {
        let mut inner = self.inner();
        let Some(next) = inner.groups.get(group).and_then(|group| group.positions.get(lane)).copied() else {
            return 0;
        };
        let records: Vec<Record> = inner.records(lane, next).take(count).cloned().collect();
        let granted = records.len();
        if let Some(group) = inner.groups.get_mut(group) {
            group.positions.insert(lane.clone(), next + granted as i64);
            group.granted.extend(records);
            group.wake.notify_one();
        }
        granted
    }

    /// Keeps a partition from a group until that instant.
    pub fn stall(&self, group: &str, lane: &Lane, until: Timestamp) {
        if let Some(group) = self.inner().groups.get_mut(group) {
            group.stalled.insert(lane.clone(), until);
        }
    }

    /// Has every partition flow again.
    pub fn flow(&self) {
        self.inner().groups.values_mut().for_each(|group| group.stalled.clear());
    }

    /// Publishes a record once more, as it is, behind all others of its partition.
    pub fn repeat(&self, dice: &mut Dice) -> Option<Record> {
        let mut inner = self.inner();
        let lanes: Vec<Lane> = inner.lanes().filter(|lane| inner.end(lane) > 0).collect();
        let lane = lanes.get(dice.place(lanes.len()))?;
        let record = inner.records(lane, 0).nth(dice.place(inner.end(lane) as usize))?.clone();
        inner.push(lane, record.clone());
        Some(record)
    }

    /// Publishes, and nothing goes wrong.
    pub fn put(&self, message: &Message) {
        let at = self.clock.now();
        self.inner().publish(message, at);
    }

    /// The records of a partition from an offset on.
    #[must_use]
    pub fn read(&self, lane: &Lane, from: i64) -> Vec<Record> {
        self.inner().records(lane, from).cloned().collect()
    }

    /// The oldest record that nobody has looked at yet.
    pub fn next_unseen(&self) -> Option<Record> {
        self.inner().unseen.pop_front()
    }

    fn extents(&self, topic: &str) -> Vec<Extent> {
        let inner = self.inner();
        let partitions = inner.topics.get(topic).map_or(&[][..], Vec::as_slice);
        let extent = |(partition, records): (usize, &Vec<Record>)| Extent {
            partition: partition as i32,
            incarnation: INCARNATION.into(),
            first: 0,
            end: records.len() as i64,
        };
        partitions.iter().enumerate().map(extent).collect()
    }

    /// A member joins its group, and has all partitions from now on.
    fn join(&self, Subscription { group, topics, .. }: Subscription) -> u64 {
        let mut inner = self.inner();
        topics.iter().for_each(|topic| inner.declare(topic, PARTITIONS));
        let group = inner.groups.entry(group).or_default();
        group.member += 1;
        (group.topics, group.told) = (topics, false);
        group.positions.clear();
        group.granted.clear();
        group.member
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn lanes(&self) -> impl Iterator<Item = Lane> {
        let lanes = |(topic, partitions): (&Arc<str>, &Vec<Vec<Record>>)| {
            let topic = topic.clone();
            (0..partitions.len() as i32).map(move |partition| (topic.clone(), partition))
        };
        self.topics.iter().flat_map(lanes).collect::<Vec<_>>().into_iter()
    }

    fn partition(&self, lane: &Lane) -> &[Record] {
        let partitions = self.topics.get(&lane.0).map_or(&[][..], Vec::as_slice);
        partitions.get(lane.1 as usize).map_or(&[][..], Vec::as_slice)
    }

    fn end(&self, lane: &Lane) -> i64 {
        self.partition(lane).len() as i64
    }

    fn records(&self, lane: &Lane, from: i64) -> impl Iterator<Item = &Record> {
        self.partition(lane).iter().skip(usize::try_from(from).unwrap_or(0))
    }

    fn declare(&mut self, topic: &Arc<str>, partitions: i32) {
        let made = || vec![Vec::new(); partitions.max(1) as usize];
        self.topics.entry(topic.clone()).or_insert_with(made);
    }

    fn publish(&mut self, message: &Message, at: Timestamp) {
        let count = if is_compacted(&message.topic) { 1 } else { PARTITIONS };
        self.declare(&message.topic, count);
        let partitions = self.topics.get(&message.topic).map_or(1, Vec::len);
        let partition = partition_of(&message.key, partitions as i32);
        let record = Record {
            topic: message.topic.clone(),
            partition,
            offset: 0,
            key: message.key.clone(),
            headers: message.headers.clone(),
            payload: message.payload.clone().unwrap_or_default(),
            at,
        };
        self.push(&(message.topic.clone(), partition), record);
    }

    fn push(&mut self, lane: &Lane, record: Record) {
        let offset = self.end(lane);
        let record = Record { offset, ..record };
        self.unseen.push_back(record.clone());
        if let Some(partition) = self.topics.get_mut(&lane.0).and_then(|it| it.get_mut(lane.1 as usize)) {
            partition.push(record);
        }
    }
}

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
        let inner = &mut *inner;
        let Some(group) = inner.groups.get_mut(&self.group).filter(|it| it.member == self.member) else {
            return Err(None);
        };
        if !group.told {
            group.told = true;
            let assigned = group.topics.iter().flat_map(|topic| {
                let count = inner.topics.get(topic).map_or(0, Vec::len) as i32;
                (0..count).map(|partition| Assignment {
                    topic: topic.clone(),
                    partition,
                    incarnation: INCARNATION.into(),
                })
            });
            return Ok(Delivery::Assigned(assigned.collect()));
        }
        if group.granted.is_empty() {
            return Err(Some(group.wake.clone()));
        }
        let count = max.min(group.granted.len());
        Ok(Delivery::Records(group.granted.drain(..count).collect()))
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
        let mut inner = self.log.inner();
        if let Some(group) = inner.groups.get_mut(&self.group).filter(|it| it.member == self.member) {
            group.positions.insert((topic.into(), partition), offset.unwrap_or(0));
            group.granted.retain(|record| *record.topic != *topic || record.partition != partition);
        }
        Ok(())
    }

    fn hint(&mut self, _offsets: &[LogOffset]) {}
}
