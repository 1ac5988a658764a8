//! Consumer groups: who of their members has which partition, and how far it was read.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use messaging::{Assignment, Delivery, Record};
use tokio::sync::Notify;
use types::Timestamp;

use super::{INCARNATION, Lane};

/// A group.
#[derive(Default)]
pub struct Group {
    /// How many members there have ever been.
    joined: u64,
    members: BTreeMap<u64, Member>,
    /// Who has each partition.
    owners: BTreeMap<Lane, u64>,
    positions: BTreeMap<Lane, i64>,
    stalled: BTreeMap<Lane, Timestamp>,
}

#[derive(Default)]
struct Member {
    /// What it was told that it has; nothing before it was told for the first time.
    told: Option<Vec<Lane>>,
    granted: VecDeque<Record>,
    wake: Arc<Notify>,
}

impl Group {
    /// A member joins; the partitions are dealt out anew.
    pub fn join(&mut self, lanes: &[Lane]) -> u64 {
        self.joined += 1;
        self.members.insert(self.joined, Member::default());
        self.deal(lanes);
        self.joined
    }

    /// A member is no more; the others have what it had.
    pub fn leave(&mut self, member: u64) {
        let lanes: Vec<Lane> = self.owners.keys().cloned().collect();
        if self.members.remove(&member).is_some() {
            self.deal(&lanes);
        }
    }

    /// Deals partitions out in turn. Whoever gets one says from where it reads; what was on its way to
    /// another is dropped. Nobody waits until that one has noticed.
    fn deal(&mut self, lanes: &[Lane]) {
        let members: Vec<u64> = self.members.keys().copied().collect();
        let before = std::mem::take(&mut self.owners);
        for (turn, lane) in lanes.iter().enumerate().filter(|_| !members.is_empty()) {
            let owner = members[turn % members.len()];
            self.owners.insert(lane.clone(), owner);
            if before.get(lane) == Some(&owner) {
                continue;
            }
            self.positions.remove(lane);
            for member in self.members.values_mut() {
                member.granted.retain(|record| !is_of(record, lane));
            }
        }
        self.positions.retain(|lane, _| self.owners.contains_key(lane));
        self.members.values().for_each(|member| member.wake.notify_one());
    }

    /// What there is for a member now, and what wakes it when there is nothing.
    pub fn next(&mut self, id: u64, max: usize) -> Result<Delivery, Option<Arc<Notify>>> {
        let has: Vec<Lane> =
            self.owners.iter().filter(|(_, owner)| **owner == id).map(|(lane, _)| lane.clone()).collect();
        let Some(member) = self.members.get_mut(&id) else { return Err(None) };
        let told = member.told.clone().unwrap_or_default();
        let lost: Vec<Lane> = told.iter().filter(|lane| !has.contains(lane)).cloned().collect();
        if !lost.is_empty() {
            member.told = Some(told.into_iter().filter(|lane| has.contains(lane)).collect());
            return Ok(Delivery::Revoked(lost));
        }
        let given: Vec<Lane> = has.iter().filter(|lane| !told.contains(lane)).cloned().collect();
        if !given.is_empty() || member.told.is_none() {
            member.told = Some(has);
            let assigned =
                |(topic, partition)| Assignment { topic, partition, incarnation: INCARNATION.into() };
            return Ok(Delivery::Assigned(given.into_iter().map(assigned).collect()));
        }
        if member.granted.is_empty() {
            return Err(Some(member.wake.clone()));
        }
        let count = max.min(member.granted.len());
        Ok(Delivery::Records(member.granted.drain(..count).collect()))
    }

    /// Who has a partition says from where it is read.
    pub fn start(&mut self, id: u64, lane: &Lane, offset: i64) {
        if self.owners.get(lane) != Some(&id) {
            return;
        }
        self.positions.insert(lane.clone(), offset);
        if let Some(member) = self.members.get_mut(&id) {
            member.granted.retain(|record| !is_of(record, lane));
        }
    }

    /// From where each partition that is read now, and does not stand still, is read on.
    pub fn positions(&self, now: Timestamp) -> impl Iterator<Item = (&Lane, i64)> {
        let is_stalled = move |lane: &Lane| self.stalled.get(lane).is_some_and(|until| *until > now);
        self.positions.iter().filter(move |(lane, _)| !is_stalled(lane)).map(|(lane, next)| (lane, *next))
    }

    /// From where a partition is read on.
    pub fn position(&self, lane: &Lane) -> Option<i64> {
        self.positions.get(lane).copied()
    }

    /// Lets whoever has a partition have its next records.
    pub fn grant(&mut self, lane: &Lane, records: Vec<Record>) {
        let Some(position) = self.positions.get_mut(lane) else { return };
        *position += records.len() as i64;
        if let Some(member) = self.owners.get(lane).and_then(|owner| self.members.get_mut(owner)) {
            member.granted.extend(records);
            member.wake.notify_one();
        }
    }

    /// Has a partition stand still until that instant.
    pub fn stall(&mut self, lane: &Lane, until: Timestamp) {
        self.stalled.insert(lane.clone(), until);
    }

    /// Has every partition flow again.
    pub fn flow(&mut self) {
        self.stalled.clear();
    }
}

fn is_of(record: &Record, (topic, partition): &Lane) -> bool {
    record.topic == *topic && record.partition == *partition
}
