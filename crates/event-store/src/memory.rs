//! An engine that has everything in memory: for simulations and tests, where a run must be quick, repeat
//! exactly, and go back to an older copy of a database in no time. Appends are judged as everywhere.

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet, HashMap},
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use types::Timestamp;

use crate::{
    Append, Engine, ListQuery, Listed, LogOffset, Page, ParkedKey, ParkedRecord, ParkedState, Position,
    Recorded, StoreError, StreamId, Timer, Verdict,
    judge::{Judged, ParkedStep, Snapshot},
};

/// A database in memory. What clones of its [`Arc`] share ends with the last of them.
#[derive(Default)]
pub struct Memory {
    content: Mutex<Content>,
    locks: Arc<Mutex<BTreeSet<String>>>,
}

/// All that a [`Memory`] held at one moment, locks aside.
#[derive(Clone, Default)]
pub struct MemoryCopy(Content);

type ParkedPlace = (Arc<str>, i32, i64, Arc<str>, Arc<str>);

#[derive(Clone, Default)]
struct Content {
    /// In commit order: the first stands at position 1.
    events: Vec<Recorded>,
    /// Where each stream's events stand among all.
    streams: HashMap<Arc<str>, Vec<usize>>,
    claims: HashMap<String, Bytes>,
    offsets: BTreeMap<(Arc<str>, Arc<str>, i32), LogOffset>,
    timers: BTreeMap<(StreamId, Arc<str>), Timestamp>,
    listings: BTreeMap<(Arc<str>, StreamId), Listed>,
    /// By topic, partition, offset, consumer and incarnation: the order in which they are told.
    parked: BTreeMap<ParkedPlace, ParkedRecord>,
}

impl Memory {
    /// Everything as it is now.
    #[must_use]
    pub fn copy(&self) -> MemoryCopy {
        MemoryCopy(self.content().clone())
    }

    /// Becomes what the copy is. Whoever works on it must have ended before.
    pub fn restore(&self, copy: MemoryCopy) {
        *self.content() = copy.0;
    }

    /// All events after a position, in commit order.
    #[must_use]
    pub fn after(&self, position: Position) -> Vec<Recorded> {
        self.content().after(position, usize::MAX)
    }

    /// All rows of a list, by stream.
    #[must_use]
    pub fn listed(&self, list: &str) -> Vec<Listed> {
        self.content().listings.values().filter(|row| *row.list == *list).cloned().collect()
    }

    /// All timers, by stream and kind.
    #[must_use]
    pub fn timers(&self) -> Vec<Timer> {
        self.content().timers()
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryCopy {
    /// The position of the last event that it has.
    #[must_use]
    pub fn head(&self) -> Position {
        self.0.head()
    }
}

impl Content {
    fn head(&self) -> Position {
        Position(self.events.len() as u64)
    }

    fn after(&self, position: Position, limit: usize) -> Vec<Recorded> {
        let first = usize::try_from(position.0).unwrap_or(usize::MAX);
        self.events.iter().skip(first).take(limit).cloned().collect()
    }

    fn stream(&self, stream: &StreamId) -> Vec<Recorded> {
        let places = self.streams.get(stream.as_str()).map_or(&[][..], Vec::as_slice);
        places.iter().map(|place| self.events[*place].clone()).collect()
    }

    fn timers(&self) -> Vec<Timer> {
        let timer = |((stream, kind), due): (&(StreamId, Arc<str>), &Timestamp)| Timer {
            stream: stream.clone(),
            kind: kind.clone(),
            due: *due,
        };
        self.timers.iter().map(timer).collect()
    }

    fn snapshot<'a>(&self, appends: &'a [Append]) -> Snapshot<'a> {
        let mut snapshot = Snapshot::asking(appends);
        snapshot.set_head(self.head());
        for stream in snapshot.streams() {
            snapshot.set_version(stream, self.streams.get(stream).map_or(0, |places| places.len() as u64));
        }
        for key in snapshot.claims() {
            if let Some(value) = self.claims.get(key) {
                snapshot.set_claim(key, value.clone());
            }
        }
        for (consumer, topic, partition) in snapshot.offsets() {
            if let Some(row) = self.offsets.get(&(consumer.into(), topic.into(), partition)) {
                snapshot.set_offset(row.clone());
            }
        }
        snapshot
    }

    fn write(&mut self, judged: &Judged<'_>) {
        for row in &judged.events {
            let stream = row.append.stream.clone();
            self.streams.entry(stream.shared()).or_default().push(self.events.len());
            self.events.push(Recorded {
                position: Position(row.position),
                stream,
                version: row.version,
                id: row.event.id,
                kind: (*row.event.kind).into(),
                schema: row.event.schema,
                at: row.append.at,
                metadata: row.append.metadata.clone(),
                payload: row.event.payload.clone(),
            });
        }
        self.claims.extend(judged.claims.iter().map(|claim| (claim.key.clone(), claim.value.clone())));
        for offset in &judged.offsets {
            let place = (offset.consumer.clone(), offset.topic.clone(), offset.partition);
            self.offsets.insert(place, (*offset).clone());
        }
        for ((stream, kind), due) in &judged.timers {
            let place = ((*stream).clone(), (*kind).clone());
            match due {
                Some(due) => drop(self.timers.insert(place, *due)),
                None => drop(self.timers.remove(&place)),
            }
        }
        for (since, listing) in judged.listings.values() {
            let place = (listing.list.clone(), listing.stream.clone());
            let since = self.listings.get(&place).map_or(*since, |row| row.since);
            let row = Listed {
                stream: listing.stream.clone(),
                list: listing.list.clone(),
                owner: listing.owner.clone(),
                state: listing.state.clone(),
                since,
            };
            self.listings.insert(place, row);
        }
        judged.parked.iter().for_each(|step| self.park(step));
    }

    fn park(&mut self, step: &ParkedStep<'_>) {
        match step {
            ParkedStep::Park(records) => {
                for record in records.values() {
                    let known = self.parked.entry(place_of(record)).or_insert_with(|| (*record).clone());
                    (known.cause, known.state) = (record.cause.clone(), record.state);
                }
            }
            ParkedStep::Replay(keys) => {
                for record in self.parked.values_mut() {
                    if keys.iter().any(|key| is_of(record, key)) {
                        record.state = ParkedState::Replaying;
                    }
                }
            }
            ParkedStep::Remove(places) => {
                for (consumer, topic, partition, incarnation, offset) in places {
                    let place =
                        ((*topic).clone(), *partition, *offset, (*consumer).clone(), (*incarnation).clone());
                    self.parked.remove(&place);
                }
            }
        }
    }
}

fn place_of(record: &ParkedRecord) -> ParkedPlace {
    let ParkedRecord { consumer, topic, partition, incarnation, offset, .. } = record;
    (topic.clone(), *partition, *offset, consumer.clone(), incarnation.clone())
}

fn is_of(record: &ParkedRecord, key: &ParkedKey) -> bool {
    record.consumer == key.consumer
        && record.topic == key.topic
        && record.partition == key.partition
        && record.key == key.key
}

/// A lock that is held.
struct Held {
    locks: Arc<Mutex<BTreeSet<String>>>,
    name: String,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

#[async_trait]
impl Engine for Memory {
    async fn commit(&self, appends: &Arc<Vec<Append>>) -> Result<Vec<Verdict>, StoreError> {
        let mut content = self.content();
        let judged = content.snapshot(appends).judge(appends);
        content.write(&judged);
        Ok(judged.verdicts)
    }

    async fn load(&self, streams: &[StreamId]) -> Result<Vec<Vec<Recorded>>, StoreError> {
        let content = self.content();
        Ok(streams.iter().map(|stream| content.stream(stream)).collect())
    }

    async fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, StoreError> {
        Ok(self.content().after(after, limit))
    }

    async fn head(&self) -> Result<Position, StoreError> {
        Ok(self.content().head())
    }

    async fn claims(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let content = self.content();
        Ok(keys.iter().map(|key| content.claims.get(key).cloned()).collect())
    }

    async fn offsets(&self, consumer: &str) -> Result<Vec<LogOffset>, StoreError> {
        let content = self.content();
        Ok(content.offsets.values().filter(|row| *row.consumer == *consumer).cloned().collect())
    }

    async fn due_timers(&self, now: Timestamp, limit: usize) -> Result<Vec<Timer>, StoreError> {
        let mut due = self.content().timers();
        due.retain(|timer| timer.due <= now);
        due.sort_by(|one, other| {
            (one.due, &one.stream, &one.kind).cmp(&(other.due, &other.stream, &other.kind))
        });
        due.truncate(limit);
        Ok(due)
    }

    async fn next_timer(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.content().timers.values().min().copied())
    }

    async fn list(&self, query: &ListQuery) -> Result<Page<Listed>, StoreError> {
        let content = self.content();
        let wanted = |row: &&Listed| {
            row.list == query.list
                && query.owner.as_ref().is_none_or(|owner| row.owner == *owner)
                && (query.states.is_empty() || query.states.contains(&row.state))
                && query
                    .after
                    .as_ref()
                    .is_none_or(|(since, stream)| (row.since, &row.stream) < (*since, stream))
        };
        let mut rows: Vec<Listed> = content.listings.values().filter(wanted).cloned().collect();
        rows.sort_by(|one, other| (other.since, &other.stream).cmp(&(one.since, &one.stream)));
        let more = rows.len() > query.limit;
        rows.truncate(query.limit);
        Ok(Page { rows, more })
    }

    async fn parked(
        &self,
        consumer: Option<&str>,
        after: Option<(&str, i32, i64)>,
        limit: usize,
    ) -> Result<Page<ParkedRecord>, StoreError> {
        let content = self.content();
        let place = |record: &ParkedRecord| (record.topic.clone(), record.partition, record.offset);
        let wanted = |record: &&ParkedRecord| {
            let (topic, partition, offset) = (&*record.topic, record.partition, record.offset);
            consumer.is_none_or(|consumer| *record.consumer == *consumer)
                && after.is_none_or(|after| (topic, partition, offset) > after)
        };
        let mut rows: Vec<ParkedRecord> = content.parked.values().filter(wanted).cloned().collect();
        let mut end = limit.min(rows.len());
        while end > 0 && end < rows.len() && place(&rows[end]) == place(&rows[end - 1]) {
            end += 1;
        }
        let more = rows.len() > end;
        rows.truncate(end);
        Ok(Page { rows, more })
    }

    async fn parked_of_key(&self, key: &ParkedKey, limit: usize) -> Result<Vec<ParkedRecord>, StoreError> {
        let content = self.content();
        Ok(content.parked.values().filter(|record| is_of(record, key)).take(limit).cloned().collect())
    }

    async fn parked_keys(&self, consumer: &str) -> Result<Vec<(ParkedKey, bool)>, StoreError> {
        let content = self.content();
        let mut keys: BTreeMap<(Arc<str>, i32, Bytes), bool> = BTreeMap::new();
        for record in content.parked.values().filter(|record| *record.consumer == *consumer) {
            let place = (record.topic.clone(), record.partition, record.key.clone());
            *keys.entry(place).or_default() |= record.state == ParkedState::Replaying;
        }
        let consumer: Arc<str> = consumer.into();
        let key = |(topic, partition, key)| ParkedKey { consumer: consumer.clone(), topic, partition, key };
        Ok(keys.into_iter().map(|(place, asked)| (key(place), asked)).collect())
    }

    async fn try_lock(&self, name: &str) -> Result<Option<Box<dyn Any + Send + Sync>>, StoreError> {
        let free = self.locks.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        let held = || Held { locks: self.locks.clone(), name: name.to_owned() };
        Ok(free.then(|| Box::new(held()) as Box<dyn Any + Send + Sync>))
    }

    async fn hinted(&self) {
        pending::<()>().await;
    }

    async fn close(&self) {}
}
