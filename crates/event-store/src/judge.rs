//! Judges the appends of a batch against what stands in the database. Pure: no dialect, no IO.
//!
//! Each append is judged in turn as if those before it had committed alone; what the accepted ones
//! come to together is what a dialect writes, each row at most once.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use types::Timestamp;

use crate::{
    Append, AppendError, Appended, Claim, Expected, Listing, LogOffset, NewEvent, OffsetAdvance,
    ParkedChange, ParkedKey, ParkedRecord, Position, StreamAppend, StreamId, TimerChange, Verdict,
};

/// What stands in the database of everything that the appends name. A dialect makes one by
/// [`Snapshot::asking`] and fills in what it finds; what it does not find does not exist.
pub(crate) struct Snapshot<'a> {
    head: Position,
    versions: HashMap<&'a str, u64>,
    claims: HashMap<&'a str, Option<Bytes>>,
    offsets: BTreeMap<OffsetKey<'a>, Option<LogOffset>>,
}

type OffsetKey<'a> = (&'a str, &'a str, i32);

/// What is to be written, and the answers.
#[derive(Default)]
pub(crate) struct Judged<'a> {
    /// One for each append, in order.
    pub verdicts: Vec<Verdict>,
    /// The position of the last event.
    pub head: Position,
    /// New events, in the order of their positions.
    pub events: Vec<EventRow<'a>>,
    /// New claims.
    pub claims: Vec<&'a Claim>,
    /// When each timer that changes falls due; `None` for one that goes.
    pub timers: TimerRows<'a>,
    /// Where each offset that moves will stand.
    pub offsets: Vec<&'a LogOffset>,
    /// The list rows that change, with the instant to store where there is no row yet.
    pub listings: ListingRows<'a>,
    /// Changes to the parked records, in order, like ones together.
    pub parked: Vec<ParkedStep<'a>>,
}

pub(crate) type TimerRows<'a> = BTreeMap<(&'a StreamId, &'a Arc<str>), Option<Timestamp>>;
pub(crate) type ListingRows<'a> = BTreeMap<(&'a Arc<str>, &'a StreamId), (Timestamp, &'a Listing)>;

/// One new event.
pub(crate) struct EventRow<'a> {
    pub position: u64,
    pub version: u64,
    pub append: &'a StreamAppend,
    pub event: &'a NewEvent,
}

/// A run of like changes to the parked records, no row twice in it.
pub(crate) enum ParkedStep<'a> {
    Park(BTreeMap<ParkedPlace<'a>, &'a ParkedRecord>),
    Replay(Vec<&'a ParkedKey>),
    Remove(Vec<ParkedPlace<'a>>),
}

/// What tells parked records apart: consumer, topic, partition, incarnation, offset.
pub(crate) type ParkedPlace<'a> = (&'a Arc<str>, &'a Arc<str>, i32, &'a Arc<str>, i64);

impl<'a> Snapshot<'a> {
    /// An empty database, with a place for everything that the appends name.
    pub(crate) fn asking(appends: &'a [Append]) -> Self {
        let mut snapshot = Self {
            head: Position(0),
            versions: HashMap::new(),
            claims: HashMap::new(),
            offsets: BTreeMap::new(),
        };
        for append in appends {
            snapshot.versions.extend(append.streams.iter().map(|s| (s.stream.as_str(), 0)));
            snapshot.versions.extend(append.guards.iter().map(|g| (g.stream.as_str(), 0)));
            snapshot.claims.extend(append.claims.iter().map(|c| (c.key.as_str(), None)));
            snapshot.offsets.extend(append.offsets.iter().map(|o| (offset_key(&o.to), None)));
        }
        snapshot
    }

    /// The streams whose versions are asked, sorted, so that neighbours in the index are read together.
    pub(crate) fn streams(&self) -> Vec<&'a str> {
        let mut streams: Vec<_> = self.versions.keys().copied().collect();
        streams.sort_unstable();
        streams
    }

    /// The keys whose claims are asked.
    pub(crate) fn claims(&self) -> Vec<&'a str> {
        self.claims.keys().copied().collect()
    }

    /// The offsets that are asked: consumer, topic, partition.
    pub(crate) fn offsets(&self) -> Vec<OffsetKey<'a>> {
        self.offsets.keys().copied().collect()
    }

    pub(crate) fn set_head(&mut self, head: Position) {
        self.head = head;
    }

    pub(crate) fn set_version(&mut self, stream: &str, version: u64) {
        if let Some(stands) = self.versions.get_mut(stream) {
            *stands = version;
        }
    }

    pub(crate) fn set_claim(&mut self, key: &str, value: Bytes) {
        if let Some(stands) = self.claims.get_mut(key) {
            *stands = Some(value);
        }
    }

    pub(crate) fn set_offset(&mut self, offset: LogOffset) {
        let stands = self.offsets.iter_mut().find(|(key, _)| **key == offset_key(&offset));
        if let Some((_, stands)) = stands {
            *stands = Some(offset);
        }
    }

    /// Judges the appends that the snapshot was made for.
    pub(crate) fn judge(mut self, appends: &'a [Append]) -> Judged<'a> {
        let mut judged = Judged { head: self.head, ..Judged::default() };
        for append in appends {
            let verdict = match self.refusal(append) {
                Some(refusal) => Err(refusal),
                None => Ok(self.accept(append, &mut judged)),
            };
            judged.verdicts.push(verdict);
        }
        judged
    }

    /// Why an append does not hold. The offset comes first: with it, the whole batch is another
    /// consumer's. A taken claim comes before a conflict: its value is the answer.
    fn refusal(&self, append: &Append) -> Option<AppendError> {
        let moved: Vec<_> = append.offsets.iter().filter_map(|advance| self.moved(advance)).collect();
        if !moved.is_empty() {
            return Some(AppendError::OffsetMoved { current: moved });
        }
        for (i, claim) in append.claims.iter().enumerate() {
            let within = append.claims[..i].iter().find(|c| c.key == claim.key).map(|c| &c.value);
            let taken = self.claims.get(claim.key.as_str()).and_then(Option::as_ref);
            if let Some(value) = taken.or(within) {
                return Some(AppendError::Claimed { key: claim.key.clone(), value: value.clone() });
            }
        }
        let written = append.streams.iter().filter(|s| match s.expected {
            Expected::Exactly(version) => version != self.version(&s.stream),
            Expected::Any => false,
        });
        let guarded = append.guards.iter().filter(|g| g.version != self.version(&g.stream));
        let mut conflicts: Vec<_> =
            written.map(|s| &s.stream).chain(guarded.map(|g| &g.stream)).cloned().collect();
        conflicts.sort_unstable();
        conflicts.dedup();
        (!conflicts.is_empty()).then_some(AppendError::Conflict(conflicts))
    }

    /// Where the offset stands, unless it stands where the consumer believes.
    fn moved(&self, advance: &OffsetAdvance) -> Option<Option<LogOffset>> {
        let stands = self.offsets.get(&offset_key(&advance.to)).and_then(Option::as_ref);
        let agrees = match (stands, &advance.from) {
            (Some(row), Some((incarnation, next))) => row.incarnation == *incarnation && row.next == *next,
            (None, None) => true,
            _ => false,
        };
        (!agrees).then(|| stands.cloned())
    }

    fn version(&self, stream: &StreamId) -> u64 {
        self.versions.get(stream.as_str()).copied().unwrap_or_default()
    }

    fn accept(&mut self, append: &'a Append, judged: &mut Judged<'a>) -> Appended {
        let mut versions = Vec::with_capacity(append.streams.len());
        for stream in &append.streams {
            let version = self.versions.entry(stream.stream.as_str()).or_default();
            for event in &stream.events {
                *version += 1;
                self.head.0 += 1;
                judged.events.push(EventRow {
                    position: self.head.0,
                    version: *version,
                    append: stream,
                    event,
                });
            }
            versions.push(*version);
        }
        judged.head = self.head;
        for claim in &append.claims {
            self.claims.insert(&claim.key, Some(claim.value.clone()));
            judged.claims.push(claim);
        }
        for advance in &append.offsets {
            self.offsets.insert(offset_key(&advance.to), Some(advance.to.clone()));
            judged.offsets.retain(|o| offset_key(o) != offset_key(&advance.to));
            judged.offsets.push(&advance.to);
        }
        for change in &append.timers {
            match change {
                TimerChange::Set { stream, kind, due } => judged.timers.insert((stream, kind), Some(*due)),
                TimerChange::Clear { stream, kind } => judged.timers.insert((stream, kind), None),
            };
        }
        for listing in &append.listings {
            let row = judged.listings.entry((&listing.list, &listing.stream));
            row.or_insert((listing.since, listing)).1 = listing;
        }
        for change in &append.parked {
            judged.park(change);
        }
        Appended { position: self.head, versions }
    }
}

impl<'a> Judged<'a> {
    fn park(&mut self, change: &'a ParkedChange) {
        match (self.parked.last_mut(), change) {
            (Some(ParkedStep::Park(rows)), ParkedChange::Park(record)) => {
                rows.insert(place_of(record), record);
            }
            (Some(ParkedStep::Replay(keys)), ParkedChange::Replay(key)) => keys.push(key),
            (Some(ParkedStep::Remove(places)), ParkedChange::Remove { key, incarnation, offset }) => {
                places.push((&key.consumer, &key.topic, key.partition, incarnation, *offset));
            }
            (_, ParkedChange::Park(record)) => {
                self.parked.push(ParkedStep::Park(BTreeMap::from([(place_of(record), record)])));
            }
            (_, ParkedChange::Replay(key)) => self.parked.push(ParkedStep::Replay(vec![key])),
            (_, ParkedChange::Remove { key, incarnation, offset }) => {
                let place = (&key.consumer, &key.topic, key.partition, incarnation, *offset);
                self.parked.push(ParkedStep::Remove(vec![place]));
            }
        }
    }
}

fn offset_key(offset: &LogOffset) -> OffsetKey<'_> {
    (&offset.consumer, &offset.topic, offset.partition)
}

fn place_of(record: &ParkedRecord) -> ParkedPlace<'_> {
    (&record.consumer, &record.topic, record.partition, &record.incarnation, record.offset)
}

#[cfg(test)]
mod tests;
