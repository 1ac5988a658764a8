//! The event log of a simulation: in memory, and nothing moves in it unless the simulation says so.
//!
//! It keeps what a log promises, order within a partition, and no more: publishing fails before, in the
//! middle and after, so that records are lost until they are published again, or come twice; partitions
//! stand still for days, so that keys overtake each other.

mod groups;
mod wire;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use messaging::{Extent, Message, Record, Subscription, partition_of};
use participant::contract::{PARTITIONS, is_compacted};
use testkit::{Dice, ManualClock};
use types::{Clock as _, Timestamp};

use self::groups::Group;
pub use self::wire::Wire;

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
        let lanes = group.positions(now).filter(|(lane, next)| inner.end(lane) > *next);
        lanes.map(|(lane, _)| lane.clone()).collect()
    }

    /// Lets a group have the next records of a partition, at most so many; says how many.
    pub fn grant(&self, group: &str, lane: &Lane, count: usize) -> usize {
        let mut inner = self.inner();
        let Some(next) = inner.groups.get(group).and_then(|group| group.position(lane)) else { return 0 };
        let records: Vec<Record> = inner.records(lane, next).take(count).cloned().collect();
        let granted = records.len();
        if let Some(group) = inner.groups.get_mut(group) {
            group.grant(lane, records);
        }
        granted
    }

    /// Keeps a partition from a group until that instant.
    pub fn stall(&self, group: &str, lane: &Lane, until: Timestamp) {
        if let Some(group) = self.inner().groups.get_mut(group) {
            group.stall(lane, until);
        }
    }

    /// Has every partition flow again.
    pub fn flow(&self) {
        self.inner().groups.values_mut().for_each(Group::flow);
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

    /// A member joins its group.
    fn join(&self, Subscription { group, topics, .. }: Subscription) -> u64 {
        let mut inner = self.inner();
        topics.iter().for_each(|topic| inner.declare(topic, PARTITIONS));
        let lanes: Vec<Lane> = inner.lanes().filter(|(topic, _)| topics.contains(topic)).collect();
        inner.groups.entry(group).or_default().join(&lanes)
    }

    fn leave(&self, group: &str, member: u64) {
        if let Some(group) = self.inner().groups.get_mut(group) {
            group.leave(member);
        }
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
