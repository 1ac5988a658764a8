//! What the cluster says of a group: its members, and who reads what.

use std::{collections::BTreeSet, time::Duration};

use bytes::{Buf, TryGetError};
use rdkafka::consumer::{BaseConsumer, Consumer};
use types::Uuid;

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
        for member in group.members() {
            // It may be given topics that it reads no more, as it is when its release was rolled back.
            let reads = topics(member.metadata().unwrap_or_default()).map_err(LogError::unavailable)?;
            let given = assigned(member.assignment().unwrap_or_default()).map_err(LogError::unavailable)?;
            places.extend(given.into_iter().filter(|(topic, _)| reads.contains(topic)).filter_map(
                |(topic, partition)| {
                    let known = subscription.topics.iter().find(|known| ***known == *topic)?;
                    Some((known.clone(), partition))
                },
            ));
        }
        let members = group.members().iter().map(|member| member.id().to_owned()).collect();
        Ok(Self { is_stable: group.state() == "Stable", places, members })
    }

    /// Whether somebody other than the member of that id goes by the instance id: a broker names a static
    /// member by its instance id, a dash and a UUID.
    pub(super) fn has_another(&self, instance: &str, member: &str) -> bool {
        let goes_by = |id: &str| {
            let uuid = id.strip_prefix(instance).and_then(|rest| rest.strip_prefix('-'));
            uuid.is_some_and(|uuid| uuid.parse::<Uuid>().is_ok())
        };
        self.members.iter().any(|id| id != member && goes_by(id))
    }
}

/// The topics of a `ConsumerProtocolSubscription` of Kafka's, in all of its versions: version, topics, and
/// what the assignor noted.
fn topics(mut bytes: &[u8]) -> Result<Vec<String>, TryGetError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    bytes.try_get_i16()?;
    (0..bytes.try_get_i32()?).map(|_| text(&mut bytes)).collect()
}

fn text(bytes: &mut &[u8]) -> Result<String, TryGetError> {
    let length = usize::try_from(bytes.try_get_i16()?).unwrap_or(0);
    let (text, rest) =
        bytes.split_at_checked(length).ok_or(TryGetError { requested: length, available: bytes.len() })?;
    *bytes = rest;
    Ok(String::from_utf8_lossy(text).into_owned())
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
        let topic = text(&mut bytes)?;
        for _ in 0..bytes.try_get_i32()? {
            places.push((topic.clone(), bytes.try_get_i32()?));
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;

    use super::*;

    #[test]
    fn only_who_goes_by_the_instance_id_is_another() {
        let uuid = "0d4a8d13-2e51-4a52-9a8e-4d2b1c0f9e77";
        let group = |ids: &[&str]| {
            let members = ids.iter().map(|id| format!("{id}-{uuid}")).collect();
            Group { is_stable: true, places: BTreeSet::new(), members }
        };
        let ours = format!("m-{uuid}");
        assert!(group(&["n", "m"]).has_another("m", "m-before"));
        assert!(!group(&["n", "m"]).has_another("m", &ours));
        assert!(!group(&[]).has_another("m", &ours) && !group(&["m-2", "mm"]).has_another("m", &ours));
    }

    #[test]
    fn a_subscription_is_read_and_one_that_breaks_off_is_not() {
        let mut written = Vec::new();
        written.put_i16(1);
        written.put_i32(2);
        for topic in ["a", "bc"] {
            written.put_i16(topic.len().try_into().unwrap());
            written.put_slice(topic.as_bytes());
        }
        assert_eq!(topics(&written), Ok(vec!["a".to_owned(), "bc".to_owned()]));
        assert_eq!(topics(&[]), Ok(Vec::new()));
        assert!((1..written.len()).all(|end| topics(&written[..end]).is_err()));
    }

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
