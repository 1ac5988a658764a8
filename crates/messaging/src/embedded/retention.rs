//! What may be dropped: what is old enough and every group has read.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::storage::Stand;

/// How far each group is that ever read here, as far as the log was told. Kept in the file too, so that
/// a group whose service does not run at the moment keeps what it has not read.
#[derive(Default)]
pub(super) struct Consumed {
    /// By group and topic: per partition the first offset that may not be read yet.
    groups: Mutex<Groups>,
}

type Groups = HashMap<(Arc<str>, Arc<str>), Vec<i64>>;

impl Consumed {
    /// Takes over what the file says.
    pub(super) fn of(stands: Vec<Stand>) -> Self {
        let consumed = Self::default();
        for stand in stands {
            consumed.advance(&stand.group, &stand.topic, stand.partition, stand.next);
        }
        consumed
    }

    fn groups(&self) -> MutexGuard<'_, Groups> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A group reads these topics: from now on nothing of them goes that it has not read.
    pub(super) fn join(&self, group: &Arc<str>, topics: &[Arc<str>]) {
        let mut groups = self.groups();
        for topic in topics {
            groups.entry((group.clone(), topic.clone())).or_default();
        }
    }

    /// A group has read a partition up to there.
    pub(super) fn advance(&self, group: &Arc<str>, topic: &Arc<str>, partition: i32, next: i64) {
        let Ok(index) = usize::try_from(partition) else { return };
        let mut groups = self.groups();
        let partitions = groups.entry((group.clone(), topic.clone())).or_default();
        if partitions.len() <= index {
            partitions.resize(index + 1, 0);
        }
        partitions[index] = partitions[index].max(next);
    }

    /// The topic is gone, and with it what was read of it.
    pub(super) fn forget(&self, topic: &str) {
        for ((_, other), partitions) in self.groups().iter_mut() {
            if **other == *topic {
                partitions.clear();
            }
        }
    }

    /// The first offset of a partition that some group may not have read; none where nobody reads it.
    pub(super) fn horizon(&self, topic: &str, partition: usize) -> i64 {
        let groups = self.groups();
        let of_topic = groups.iter().filter(|((_, other), _)| **other == *topic);
        of_topic
            .map(|(_, partitions)| partitions.get(partition).copied().unwrap_or(0))
            .min()
            .unwrap_or(i64::MAX)
    }

    /// All of it, for the file.
    pub(super) fn stands(&self) -> Vec<Stand> {
        let mut stands = Vec::new();
        for ((group, topic), partitions) in &*self.groups() {
            // A group that has read nothing stands at zero, which must be known too.
            let partitions = if partitions.is_empty() { &[0][..] } else { partitions };
            stands.extend((0_i32..).zip(partitions).map(|(partition, next)| Stand {
                group: group.clone(),
                topic: topic.clone(),
                partition,
                next: *next,
            }));
        }
        stands
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_slowest_group_has_not_read_stays() {
        let (a, b, topic): (Arc<str>, Arc<str>, Arc<str>) = ("a".into(), "b".into(), "t".into());
        let consumed = Consumed::default();
        assert_eq!(consumed.horizon("t", 0), i64::MAX);
        consumed.join(&a, std::slice::from_ref(&topic));
        consumed.advance(&a, &topic, 1, 9);
        assert_eq!((consumed.horizon("t", 0), consumed.horizon("t", 1)), (0, 9));
        consumed.join(&b, std::slice::from_ref(&topic));
        assert_eq!(consumed.horizon("t", 1), 0);
        consumed.advance(&b, &topic, 1, 4);
        consumed.advance(&b, &topic, 1, 3);
        assert_eq!(consumed.horizon("t", 1), 4);
        let again = Consumed::of(consumed.stands());
        assert_eq!((again.horizon("t", 0), again.horizon("t", 1)), (0, 4));
        again.forget("t");
        assert_eq!(again.horizon("t", 1), 0);
    }
}
