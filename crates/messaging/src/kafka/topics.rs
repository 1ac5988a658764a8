//! What became of the topics that are read: made anew, no longer holding what was asked for, or with
//! partitions that nobody reads.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{Offset, consumer::Consumer};

use super::{
    group::Group,
    membership::{Place, list_of, subscribe},
    native::{Topics, describe},
    thread::{ConsumerThread, Event},
};
use crate::LogError;

/// How often topics are asked for their UUIDs.
const TOPIC_INTERVAL: Duration = Duration::from_secs(2);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long complaints about offsets gather before they are looked into.
const LOST_INTERVAL: Duration = Duration::from_millis(200);
/// How long one look may take, and one partition's part of it.
const LOST_LOOK_MAX: Duration = Duration::from_secs(1);
const BOUNDS_TIMEOUT: Duration = Duration::from_millis(200);

/// After how many looks at partitions that nobody reads a member acts. What was just made is about to be
/// shared out, to who is alone at once. Of several members one may still hold back what another is to have,
/// for as long as its thread waits for its reader ([`FULL_MAX`](super::thread::FULL_MAX)). The member with
/// the first partition acts first, the others if it did not: it may not know of the topic.
const LOOKS_ALONE: u32 = 2;
const LOOKS_OF_THE_FIRST: u32 = 7;
const LOOKS_OF_OTHERS: u32 = 10;
/// How long a member waits that could not learn who reads what; each time twice as long.
const ASKS_AGAIN: (Duration, Duration) = (Duration::from_secs(4), Duration::from_secs(64));

/// What is known of how the group shares out its partitions, since ours last changed.
#[derive(Default)]
pub(super) struct Sharing {
    /// How many partitions there were when all of them were in somebody's hands.
    read: usize,
    /// How often some were seen in nobody's.
    looks: u32,
    /// When the cluster is asked again that did not say who reads what, and how long that was waited for.
    asks_again: Option<(Instant, Duration)>,
}

impl ConsumerThread {
    /// The topics of partitions.
    pub(super) fn topics_of(&self, places: &[Place]) -> Result<Topics, LogError> {
        let topics: BTreeSet<Arc<str>> = places.iter().map(|(topic, _)| topic.clone()).collect();
        if topics.is_empty() {
            return Ok(Topics::new());
        }
        let topics: Vec<_> = topics.into_iter().collect();
        let found = describe(self.consumer.client(), &topics, ANSWER_TIMEOUT)?;
        match topics.iter().find(|topic| !found.contains_key(*topic)) {
            Some(topic) => Err(LogError::unavailable(format!("topic {topic} is not there"))),
            None => Ok(found),
        }
    }

    /// An offset is not there: either a topic was made anew, or its records are gone. Every partition
    /// concerned has an error of its own, which does not say which it is; they are looked at together.
    fn find_lost(&mut self) {
        self.find_recreated();
        let since = Instant::now();
        let reading: Vec<_> = self.reading.iter().map(|(place, (_, next))| (place.clone(), *next)).collect();
        for (place, next) in reading {
            if self.is_waiting(&place) {
                continue;
            }
            // A topic that was just made may not know its leaders, and then each answer takes all the
            // time that it is given. What is not looked at now will complain again.
            let left = LOST_LOOK_MAX.saturating_sub(since.elapsed()).min(BOUNDS_TIMEOUT);
            let bounds = (!left.is_zero())
                .then(|| self.consumer.fetch_watermarks(&place.0, place.1, left).ok())
                .flatten();
            match next {
                Some(offset) if bounds.is_some_and(|(low, high)| offset < low || offset > high) => {
                    let (topic, partition) = place;
                    self.send(Event::Failed(LogError::OffsetLost { topic, partition, offset }));
                }
                _ if self.silent.contains(&place) => {}
                _ => self.silent.push(place),
            }
        }
    }

    /// Reads partitions again that may have fallen silent though nothing of them is lost: a broker
    /// that did not know their topic yet has the same error as an offset that is not there.
    fn read_silent(&mut self) {
        let silent = std::mem::take(&mut self.silent);
        let known = silent.into_iter().filter_map(|place| {
            let (_, next) = self.reading.get(&place)?;
            (!self.is_waiting(&place)).then_some((place, *next))
        });
        let known: Vec<_> = known.collect();
        self.seek(&known);
    }

    fn is_waiting(&self, place: &Place) -> bool {
        self.waiting.values().any(|waiting| waiting.contains(place))
    }

    /// Looks now and then whether a topic was deleted and made anew; nothing else would tell while
    /// the new one is as long as what was read of the old one.
    pub(super) fn look_at_topics(&mut self) {
        if self.lost.is_some_and(|since| since.elapsed() >= LOST_INTERVAL) {
            self.lost = None;
            self.find_lost();
        }
        if self.looked.elapsed() >= TOPIC_INTERVAL {
            if std::mem::take(&mut self.left) {
                self.join_again();
            } else if let Some(topics) = self.find_recreated() {
                self.find_unread(&topics);
            }
            self.read_silent();
            self.looked = Instant::now();
        }
    }

    /// Gives what there is of the topics; a cluster that does not answer now is asked again.
    fn find_recreated(&mut self) -> Option<Topics> {
        let topics = describe(self.consumer.client(), &self.subscription.topics, ANSWER_TIMEOUT).ok()?;
        if self.down.take().is_some() {
            // Nothing to read, but a sign of life.
            self.send(Event::Records(Vec::new()));
        }
        let is_new = |(place, (incarnation, _)): &(&Place, &(Arc<str>, Option<i64>))| {
            !self.is_waiting(place) && topics.get(&place.0).is_some_and(|found| found.id != *incarnation)
        };
        let renewed: Vec<Place> =
            self.reading.iter().filter(is_new).map(|(place, _)| place.clone()).collect();
        if !renewed.is_empty() {
            let left = list_of(renewed.iter().map(|place| (place, Offset::Invalid)));
            if let Err(error) = left.and_then(|list| self.consumer.incremental_unassign(&list)) {
                tracing::warn!(%error, "kafka consumer could not leave a topic that was made anew");
                return None;
            }
            self.send(Event::Revoked(renewed.clone()));
            self.tell_assigned(renewed, &topics);
        }
        Some(topics)
    }

    /// Looks whether some partition is in nobody's hands, and has the group share them out again. A member
    /// that comes back is given what it had before (KIP-345): topics and partitions that were made
    /// meanwhile, and topics that only its new release reads, are then nobody's, and stay so.
    fn find_unread(&mut self, topics: &Topics) {
        let all = topics.iter().flat_map(|(name, it)| (0..it.partitions).map(|place| (name.clone(), place)));
        let all: Vec<Place> = all.collect();
        if self.sharing.read == all.len() || !self.waiting.is_empty() {
            return;
        }
        let others = all.iter().filter(|place| !self.reading.contains_key(*place));
        let (mut unread, mut patience) = (others.cloned().collect::<Vec<_>>(), LOOKS_ALONE);
        if !unread.is_empty() {
            let Some(group) = self.ask_group() else { return };
            unread.retain(|place| !group.places.contains(place));
            let is_first = || group.places.first().is_none_or(|first| self.reading.contains_key(first));
            patience = match group.members.len() {
                1 => LOOKS_ALONE,
                _ if is_first() => LOOKS_OF_THE_FIRST,
                _ => LOOKS_OF_OTHERS,
            };
        }
        if unread.is_empty() {
            self.sharing = Sharing { read: all.len(), ..Sharing::default() };
            return;
        }
        self.sharing.looks += 1;
        if self.sharing.looks >= patience {
            tracing::warn!(group = %self.subscription.group, ?unread, "nobody reads these partitions: joins again");
            // Joined at once, it would not have left, and a group that nobody has left keeps its shares.
            self.consumer.unsubscribe();
            self.left = true;
        }
    }

    /// How the group stands, when it is not just sharing out its partitions anew.
    fn ask_group(&mut self) -> Option<Group> {
        let now = Instant::now();
        let (at, wait) = self.sharing.asks_again.unwrap_or((now, ASKS_AGAIN.0));
        if now < at {
            return None;
        }
        match Group::of(&self.consumer, &self.subscription, ANSWER_TIMEOUT) {
            Ok(group) => Some(group).filter(|group| group.is_stable),
            Err(error) => {
                tracing::debug!(group = %self.subscription.group, %error, "who reads what is not known");
                self.sharing.asks_again = Some((now + wait, (wait * 2).min(ASKS_AGAIN.1)));
                None
            }
        }
    }

    fn join_again(&mut self) {
        if let Err(error) = subscribe(&self.consumer, &self.subscription)
            // A fence has its own end.
            && self.consumer.client().fatal_error().is_none()
        {
            self.end(error);
        }
    }
}
