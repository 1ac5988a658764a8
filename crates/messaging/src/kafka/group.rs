//! What the cluster says of a group: its members, and who reads what.

use std::{collections::BTreeSet, time::Duration};

use bytes::{Buf, TryGetError};
use rdkafka::{
    consumer::{BaseConsumer, Consumer},
    groups::GroupInfo,
};

use super::{
    classify,
    membership::{Membership, Place},
};
use crate::{LogError, Subscription};

/// A group as it stands.
pub(super) struct Group {
    /// Whether it is not just sharing out its partitions anew.
    pub(super) is_stable: bool,
    /// The partitions that somebody reads, of the topics of the subscription.
    pub(super) places: BTreeSet<Place>,
    /// The ids that the cluster gave its members.
    pub(super) members: Vec<String>,
}

impl Group {
    /// Asks the cluster. Blocks until it answers or time is up.
    pub(super) fn of(
        consumer: &BaseConsumer<Membership>,
        subscription: &Subscription,
        timeout: Duration,
    ) -> Result<Self, LogError> {
        let list = consumer.fetch_group_list(Some(&subscription.group), timeout).map_err(classify)?;
        let group = list.groups().iter().find(|group| *group.name() == *subscription.group);
        let group = group.ok_or_else(|| LogError::unavailable("the cluster does not know the group"))?;
        let mut places = BTreeSet::new();
        for assignment in group.members().iter().filter_map(|member| member.assignment()) {
            let assigned = assigned(assignment).map_err(LogError::unavailable)?;
            places.extend(assigned.into_iter().filter_map(|(topic, partition)| {
                let known = subscription.topics.iter().find(|known| ***known == *topic)?;
                Some((known.clone(), partition))
            }));
        }
        let members = group.members().iter().map(|member| member.id().to_owned()).collect();
        Ok(Self { is_stable: is_stable(group), places, members })
    }
}

fn is_stable(group: &GroupInfo) -> bool {
    group.state() == "Stable"
}

/// The partitions of an assignment, as Kafka's `ConsumerProtocolAssignment` writes them, in all of its
/// versions: version, topics with partitions, and what else the assignor noted.
fn assigned(mut bytes: &[u8]) -> Result<Vec<(String, i32)>, TryGetError> {
    let mut places = Vec::new();
    // A member that was given nothing yet.
    if bytes.is_empty() {
        return Ok(places);
    }
    bytes.try_get_i16()?;
    for _ in 0..bytes.try_get_i32()? {
        let length = usize::try_from(bytes.try_get_i16()?).unwrap_or(0);
        let (name, rest) = bytes
            .split_at_checked(length)
            .ok_or(TryGetError { requested: length, available: bytes.len() })?;
        bytes = rest;
        let name = String::from_utf8_lossy(name);
        for _ in 0..bytes.try_get_i32()? {
            places.push((name.clone().into_owned(), bytes.try_get_i32()?));
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;

    use super::*;

    #[test]
    fn an_assignment_is_read_and_one_that_breaks_off_is_not() {
        let mut written = Vec::new();
        written.put_i16(3);
        written.put_i32(2);
        for (topic, partitions) in [("a", &[0, 2][..]), ("bc", &[1])] {
            written.put_i16(topic.len().try_into().unwrap());
            written.put_slice(topic.as_bytes());
            written.put_i32(partitions.len().try_into().unwrap());
            partitions.iter().for_each(|partition| written.put_i32(*partition));
        }
        let whole = written.len();
        written.put_i32(-1);
        let read = assigned(&written).unwrap();
        assert_eq!(read, [("a".to_owned(), 0), ("a".to_owned(), 2), ("bc".to_owned(), 1)]);
        assert_eq!(assigned(&[]).unwrap(), []);
        for end in 1..whole {
            assert!(assigned(&written[..end]).is_err(), "{end}");
        }
    }
}
