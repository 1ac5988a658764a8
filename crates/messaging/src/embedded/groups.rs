//! Who reads what: the members of each group share the partitions of its topics.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::topic::Topic;
use crate::{Assignment, LogError};

type Topics = HashMap<Arc<str>, Arc<Topic>>;

/// All groups.
#[derive(Default)]
pub(super) struct Groups {
    groups: Mutex<HashMap<Arc<str>, Group>>,
}

/// The members of one group, by their static ids.
#[derive(Default)]
struct Group {
    members: BTreeMap<Arc<str>, Member>,
    joined: u64,
}

struct Member {
    /// Tells a member from one of the same id that came later.
    token: u64,
    topics: Vec<Arc<str>>,
    notify: Arc<Notify>,
    owned: Vec<Owned>,
    changes: VecDeque<Change>,
}

struct Owned {
    partition: Assignment,
    /// Whether it is being taken away; it goes to another when the member knows.
    leaving: bool,
}

/// What a member is to know.
pub(super) enum Change {
    Assigned(Vec<Assignment>),
    Revoked(Vec<Assignment>),
}

impl Groups {
    fn groups(&self) -> MutexGuard<'_, HashMap<Arc<str>, Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins a group; a member of the same id is fenced. Gives back the member's token.
    pub(super) fn join(
        &self,
        group: &Arc<str>,
        member: &Arc<str>,
        topics: Vec<Arc<str>>,
        notify: Arc<Notify>,
        all: &Topics,
    ) -> u64 {
        let mut groups = self.groups();
        let group = groups.entry(group.clone()).or_default();
        group.joined += 1;
        let token = group.joined;
        let joined = Member { token, topics, notify, owned: Vec::new(), changes: VecDeque::new() };
        if let Some(fenced) = group.members.insert(member.clone(), joined) {
            fenced.notify.notify_one();
        }
        group.balance(all);
        token
    }

    /// Leaves a group, at once.
    pub(super) fn leave(&self, group: &Arc<str>, member: &Arc<str>, token: u64, all: &Topics) {
        let mut groups = self.groups();
        let Some(group) = groups.get_mut(group) else { return };
        if group.members.get(member).is_some_and(|member| member.token == token) {
            group.members.remove(member);
            group.balance(all);
        }
    }

    /// The next change for a member.
    pub(super) fn change(
        &self,
        group: &Arc<str>,
        member: &Arc<str>,
        token: u64,
        all: impl FnOnce() -> Topics,
    ) -> Result<Option<Change>, LogError> {
        let mut groups = self.groups();
        let group = groups.get_mut(group).ok_or(LogError::Fenced)?;
        let found = group.members.get_mut(member).filter(|member| member.token == token);
        let member = found.ok_or(LogError::Fenced)?;
        let change = member.changes.pop_front();
        if let Some(Change::Revoked(partitions)) = &change {
            member.owned.retain(|owned| !partitions.contains(&owned.partition));
            group.balance(&all());
        }
        Ok(change)
    }

    /// Shares everything out again, because topics came or went.
    pub(super) fn balance_all(&self, all: &Topics) {
        self.groups().values_mut().for_each(|group| group.balance(all));
    }

    /// Wakes the members that read one of these topics.
    pub(super) fn wake(&self, is_touched: impl Fn(&Arc<str>) -> bool) {
        for member in self.groups().values().flat_map(|group| group.members.values()) {
            if member.topics.iter().any(&is_touched) {
                member.notify.notify_one();
            }
        }
    }
}

impl Group {
    /// Shares the partitions out: each member keeps what it has, up to its share.
    fn balance(&mut self, all: &Topics) {
        let mut wanted: HashMap<Assignment, Arc<str>> = HashMap::new();
        let mut names: Vec<Arc<str>> =
            self.members.values().flat_map(|member| &member.topics).cloned().collect();
        names.sort_unstable();
        names.dedup();
        for topic in names.iter().filter_map(|name| all.get(name)) {
            self.share(topic, &mut wanted);
        }
        let mut taken: Vec<Assignment> = Vec::new();
        for (name, member) in &mut self.members {
            let mut leaving = Vec::new();
            for owned in &mut member.owned {
                if !owned.leaving && wanted.get(&owned.partition) != Some(name) {
                    owned.leaving = true;
                    leaving.push(owned.partition.clone());
                }
            }
            taken.extend(member.owned.iter().map(|owned| owned.partition.clone()));
            if !leaving.is_empty() {
                member.changes.push_back(Change::Revoked(leaving));
                member.notify.notify_one();
            }
        }
        let mut given: BTreeMap<Arc<str>, Vec<Assignment>> = BTreeMap::new();
        for (partition, name) in wanted {
            if !taken.contains(&partition) {
                given.entry(name).or_default().push(partition);
            }
        }
        for (name, mut partitions) in given {
            let Some(member) = self.members.get_mut(&name) else { continue };
            partitions.sort_unstable_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
            let owned =
                partitions.iter().map(|partition| Owned { partition: partition.clone(), leaving: false });
            member.owned.extend(owned);
            member.changes.push_back(Change::Assigned(partitions));
            member.notify.notify_one();
        }
    }

    /// Says who is to have each partition of a topic.
    fn share(&self, topic: &Topic, wanted: &mut HashMap<Assignment, Arc<str>>) {
        let interested: Vec<(&Arc<str>, &Member)> =
            self.members.iter().filter(|(_, member)| member.topics.contains(&topic.name)).collect();
        let (count, members) = (topic.partitions.len(), interested.len());
        let assignment = |partition: usize| Assignment {
            topic: topic.name.clone(),
            partition: partition as i32,
            incarnation: topic.incarnation.clone(),
        };
        let mut left: VecDeque<Assignment> = (0..count).map(assignment).collect();
        // As many as do not come out even get one more, whoever has more first.
        let mut one_more = count.checked_rem(members).unwrap_or(0);
        let mut lacking: Vec<(&Arc<str>, usize)> = Vec::new();
        for (name, member) in &interested {
            let mut share = count / members;
            let has = left.iter().filter(|partition| member.has(partition)).count();
            if has > share && one_more > 0 {
                share += 1;
                one_more -= 1;
            }
            let mut kept = 0;
            left.retain(|partition| {
                let keeps = kept < share && member.has(partition);
                if keeps {
                    kept += 1;
                    wanted.insert(partition.clone(), (*name).clone());
                }
                !keeps
            });
            lacking.push((name, (count / members).saturating_sub(kept)));
        }
        for (name, lacks) in &lacking {
            for partition in left.drain(..(*lacks).min(left.len())) {
                wanted.insert(partition, (*name).clone());
            }
        }
        // What is left over is fewer than there are members, and those who kept one more have theirs.
        let even = lacking.iter().filter(|(name, _)| {
            wanted.iter().filter(|(partition, owner)| partition.topic == topic.name && owner == name).count()
                <= count / members
        });
        let even: Vec<Arc<str>> = even.map(|(name, _)| (*name).clone()).collect();
        wanted.extend(left.into_iter().zip(even));
    }
}

impl Member {
    fn has(&self, partition: &Assignment) -> bool {
        self.owned.iter().any(|owned| !owned.leaving && owned.partition == *partition)
    }
}
