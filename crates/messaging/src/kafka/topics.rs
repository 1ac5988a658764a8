//! What became of the topics that are read: made anew, or no longer holding what was asked for.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{Offset, consumer::Consumer};

use super::{
    membership::{Place, list_of},
    thread::{ConsumerThread, Event},
    topic_id::topic_ids,
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

impl ConsumerThread {
    /// The UUIDs of the partitions' topics.
    pub(super) fn ids(&self, places: &[Place]) -> Result<HashMap<Arc<str>, Arc<str>>, LogError> {
        let mut topics: Vec<Arc<str>> = places.iter().map(|(topic, _)| topic.clone()).collect();
        topics.sort_unstable();
        topics.dedup();
        if topics.is_empty() {
            return Ok(HashMap::new());
        }
        let ids = topic_ids(self.consumer.client(), &topics, ANSWER_TIMEOUT)?;
        match topics.iter().find(|topic| !ids.contains_key(*topic)) {
            Some(topic) => Err(LogError::unavailable(format!("topic {topic} is not there"))),
            None => Ok(ids),
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
            self.find_recreated();
            self.read_silent();
            self.looked = Instant::now();
        }
    }

    fn find_recreated(&mut self) {
        let places: Vec<Place> =
            self.reading.keys().filter(|place| !self.is_waiting(place)).cloned().collect();
        if places.is_empty() {
            return;
        }
        let mut topics: Vec<Arc<str>> = places.iter().map(|(topic, _)| topic.clone()).collect();
        topics.sort_unstable();
        topics.dedup();
        // A cluster that does not answer now is asked again.
        let Ok(ids) = topic_ids(self.consumer.client(), &topics, ANSWER_TIMEOUT) else { return };
        if self.down.take().is_some() {
            // Nothing to read, but a sign of life.
            self.send(Event::Records(Vec::new()));
        }
        let is_new = |place: &Place| {
            let known = self.reading.get(place).map(|(incarnation, _)| incarnation);
            ids.get(&place.0).is_some_and(|id| known != Some(id))
        };
        let renewed: Vec<Place> = places.into_iter().filter(is_new).collect();
        if renewed.is_empty() {
            return;
        }
        let left = list_of(renewed.iter().map(|place| (place, Offset::Invalid)));
        if let Err(error) = left.and_then(|list| self.consumer.incremental_unassign(&list)) {
            tracing::warn!(%error, "kafka consumer could not leave a topic that was made anew");
            return;
        }
        self.send(Event::Revoked(renewed.clone()));
        self.tell_assigned(renewed, &ids);
    }
}
