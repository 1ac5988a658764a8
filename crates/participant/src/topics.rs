//! The topics of an installation, declared in one place: names, partitions, and what is compacted.
//!
//! Pure functions over who takes part. What an installation has differently (partitions, replicas,
//! retention) is its configuration's business, and laid over these by the log.

use std::collections::BTreeMap;

use messaging::TopicSpec;
use types::ParticipantName;

use crate::contract::{self, ACKNOWLEDGEMENTS, CLOSURES, IDENTITY_EVENTS};

/// What every service meets on.
fn common() -> [TopicSpec; 2] {
    [ACKNOWLEDGEMENTS, IDENTITY_EVENTS].map(contract::topic)
}

/// The ledger of closed subjects: it keeps the last record of every subject, for ever.
#[must_use]
pub fn closures() -> TopicSpec {
    TopicSpec { compacted: true, ..contract::topic(CLOSURES) }
}

/// What a participant reads and writes.
#[must_use]
pub fn of_participant(name: &ParticipantName) -> Vec<TopicSpec> {
    let own = [contract::instructions_topic(name), contract::events_topic(name.as_str())];
    let kept = [contract::keys(name), closures()];
    once_each(own.map(contract::topic).into_iter().chain(common()).chain(kept))
}

/// What the coordinator of that name reads and writes: instructions of everybody, the ledger, and the keys
/// of those that announce theirs.
#[must_use]
pub fn of_coordinator<'a>(
    coordinator: &str,
    participants: impl IntoIterator<Item = (&'a ParticipantName, Announces)>,
) -> Vec<TopicSpec> {
    let mut topics = vec![contract::topic(contract::events_topic(coordinator))];
    topics.extend(common());
    topics.push(closures());
    for (name, announces) in participants {
        topics.push(contract::topic(contract::instructions_topic(name)));
        topics.extend((announces == Announces::Keys).then(|| contract::keys(name)));
    }
    once_each(topics)
}

/// Everything: what the coordinator and each participant that announces its keys need.
/// A participant whose keys stand in the roster is somebody else's, and declares its own events.
#[must_use]
pub fn of_installation<'a>(
    coordinator: &str,
    participants: impl IntoIterator<Item = (&'a ParticipantName, Announces)> + Clone,
) -> Vec<TopicSpec> {
    let mut topics = of_coordinator(coordinator, participants.clone());
    let ours = participants.into_iter().filter(|(_, announces)| *announces == Announces::Keys);
    topics.extend(ours.flat_map(|(name, _)| of_participant(name)));
    once_each(topics)
}

/// Whether a participant announces its keys itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announces {
    /// It does, on a topic of its own.
    Keys,
    /// Its keys stand in the roster.
    Nothing,
}

/// By name.
fn once_each(topics: impl IntoIterator<Item = TopicSpec>) -> Vec<TopicSpec> {
    let by_name: BTreeMap<_, _> = topics.into_iter().map(|topic| (topic.name.clone(), topic)).collect();
    by_name.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_has_each_topic_once_and_compacts_what_must_be_kept() {
        let [identity, points] = ["identity", "points"].map(|name| ParticipantName::parse(name).unwrap());
        let roster = [(&identity, Announces::Keys), (&points, Announces::Nothing)];
        let topics = of_installation("cancellation", roster);
        let told: Vec<(&str, bool)> = topics.iter().map(|topic| (&*topic.name, topic.compacted)).collect();
        assert_eq!(
            told,
            [
                ("exeunt.acknowledgements", false),
                ("exeunt.cancellation.events", false),
                ("exeunt.closures", true),
                ("exeunt.identity.events", false),
                ("exeunt.instructions.identity", false),
                ("exeunt.instructions.points", false),
                ("exeunt.keys.identity", true),
            ]
        );
    }

    #[test]
    fn what_each_service_declares_is_part_of_the_whole() {
        let names = ["identity", "wallet"].map(|name| ParticipantName::parse(name).unwrap());
        let roster: Vec<_> = names.iter().map(|name| (name, Announces::Keys)).collect();
        let whole = of_installation("cancellation", roster.iter().copied());
        let parts = names.iter().flat_map(of_participant).chain(of_coordinator("cancellation", roster));
        assert!(parts.chain([closures()]).all(|part| whole.contains(&part)));
    }
}
