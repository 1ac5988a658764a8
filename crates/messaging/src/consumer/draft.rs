//! Decides a batch in memory, in order: what one record did, the next one sees.

use std::{
    any::Any,
    cell::RefCell,
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use event_store::{
    Expected, Guard, LogOffset, NewEvent, OffsetAdvance, ParkedChange, ParkedRecord, ParkedState, Position,
    Recorded, StreamAppend, StreamId, TimerChange,
};
use types::Timestamp;

use super::{
    Decision, Handler, Missing, Poison, StreamEvents, Streams, Undecided, Unreadable,
    batch::{Draft, OpenEvent},
    lane::{self, Item, Lane},
    working::Working,
};

/// The cause of those that stand behind a parked record of their key.
pub(crate) const BEHIND: &str = "behind";
/// A handler panicked over it.
pub(crate) const HANDLER_PANICKED: &str = "HANDLER_PANICKED";
/// A stream that it needs holds an event that cannot be read.
pub(crate) const UNREADABLE_EVENT: &str = "UNREADABLE_EVENT";

/// A stream or claim of it has a name that no store takes.
const NAME_TOO_LONG: &str = "NAME_TOO_LONG";
const STREAM_CHARACTERS_MAX: usize = 64;
const CLAIM_BYTES_MAX: usize = 256;

/// What came of deciding a batch.
pub(crate) enum Drafted<H: Handler> {
    /// It can commit.
    Ready(Box<Draft<H>>),
    /// These streams are needed first, each with the record that asked.
    Missing(Vec<(StreamId, usize)>),
}

/// What one record came to.
enum Step {
    Applied,
    /// The record must see what the draft holds as committed: the draft ends before it.
    Cut,
    Missing(Vec<StreamId>),
    /// It cannot be handled. `tainted` says that the draft has parts of it and must be begun again.
    Poisoned {
        poison: Poison,
        tainted: bool,
    },
}

/// What deciding needs besides the batch.
pub(crate) struct Drafter<'a, H: Handler> {
    pub(crate) handler: &'a H,
    pub(crate) consumer: &'a Arc<str>,
    pub(crate) lanes: &'a [Lane],
    pub(crate) working: &'a mut Working<H::State>,
    /// Types' names as the store gives them, so that folding allocates none.
    pub(crate) kinds: &'a mut HashMap<String, Arc<str>>,
    pub(crate) now: Timestamp,
    /// Whether these are parked records that are tried again: each is removed when it is handled,
    /// and the first that fails ends it.
    pub(crate) replay: bool,
}

impl<H: Handler> Drafter<'_, H> {
    /// Decides the records in order.
    pub(crate) fn draft(&mut self, items: &mut [Item<H>]) -> Drafted<H> {
        'again: loop {
            self.working.restart();
            let mut draft = Draft::default();
            let mut missing: Vec<(StreamId, usize)> = Vec::new();
            let mut index = 0;
            while index < items.len() {
                if self.parks_behind(&items[index], &draft) {
                    self.park(&mut draft, &items[index], BEHIND, false);
                    index += 1;
                    continue;
                }
                let step = match &items[index].poison {
                    Some(poison) => Step::Poisoned { poison: poison.clone(), tainted: false },
                    None => self.step(&mut draft, index, &items[index], missing.is_empty()),
                };
                match step {
                    Step::Applied => {}
                    Step::Cut if missing.is_empty() => break,
                    Step::Cut => {}
                    Step::Missing(streams) => {
                        missing.extend(streams.into_iter().map(|stream| (stream, index)));
                    }
                    Step::Poisoned { poison, tainted } => {
                        items[index].poison = Some(poison);
                        if tainted {
                            continue 'again;
                        }
                        self.park_poisoned(&mut draft, &items[index]);
                        if self.replay {
                            index += 1;
                            break;
                        }
                    }
                }
                index += 1;
            }
            if !missing.is_empty() {
                return Drafted::Missing(missing);
            }
            draft.covers = index;
            self.finish(&mut draft, items);
            return Drafted::Ready(Box::new(draft));
        }
    }

    fn parks_behind(&self, item: &Item<H>, draft: &Draft<H>) -> bool {
        if self.replay {
            return false;
        }
        let parked = &self.lanes[item.lane].parked;
        (!parked.is_empty() && parked.contains(&item.record.key))
            || (!draft.parks.is_empty() && draft.parks.contains(&(item.lane, item.record.key.clone())))
    }

    /// Decides one record. With `apply` false it only finds out what is missing.
    fn step(&mut self, draft: &mut Draft<H>, index: usize, item: &Item<H>, apply: bool) -> Step {
        let Some((_, input)) = &item.read else { return Step::Applied };
        let read = RefCell::new(Vec::new());
        let streams = Streams { working: &*self.working, read: &read };
        let decided = catch_unwind(AssertUnwindSafe(|| self.handler.decide(&item.record, input, &streams)));
        let decision = match decided {
            Ok(Ok(decision)) => decision,
            Ok(Err(Undecided::Poison(poison))) => return Step::Poisoned { poison, tainted: false },
            Ok(Err(Undecided::Missing(Missing(stream)))) => return self.lacks(vec![stream]),
            Err(panic) => return Step::Poisoned { poison: panicked(panic.as_ref()), tainted: false },
        };
        let read = read.into_inner();
        if let Err(poison) = check(&decision) {
            return Step::Poisoned { poison, tainted: false };
        }
        let lacking = self.lacking(&decision);
        if !lacking.is_empty() {
            return self.lacks(lacking);
        }
        if !apply {
            return Step::Applied;
        }
        let answers_from_draft =
            !decision.replies.is_empty() && read.iter().any(|stream| self.working.is_drafted(stream));
        if answers_from_draft || decision.claims.iter().any(|claim| draft.claimants.contains_key(&claim.key))
        {
            return Step::Cut;
        }
        self.apply(draft, index, item, decision, &read)
    }

    /// Streams that a decision rests on without having looked at them, and that are not loaded.
    fn lacking(&self, decision: &Decision<H>) -> Vec<StreamId> {
        let rests_on = decision.events.iter().map(|events| &events.stream).chain(&decision.guards);
        rests_on.filter(|stream| self.working.get(stream).is_none()).cloned().collect()
    }

    fn lacks(&self, streams: Vec<StreamId>) -> Step {
        for stream in &streams {
            if let Some(unreadable) = self.working.unreadable(stream) {
                return Step::Poisoned { poison: unread(stream, unreadable), tainted: false };
            }
        }
        Step::Missing(streams)
    }

    fn apply(
        &mut self,
        draft: &mut Draft<H>,
        index: usize,
        item: &Item<H>,
        decision: Decision<H>,
        read: &[StreamId],
    ) -> Step {
        let Decision { events, guards, claims, timers, listings, replies } = decision;
        for stream in guards {
            let version = self.working.get(&stream).map_or(0, |(_, version)| version);
            if !self.working.is_drafted(&stream) {
                draft.guards.insert(stream, version);
            }
        }
        // What was kept from an earlier batch may be stale, and a decision that writes nothing there
        // would never find out.
        for stream in read {
            if let Some(version) = self.working.unsure(stream) {
                draft.guards.insert(stream.clone(), version);
            }
        }
        for events in events {
            if let Err((stream, unreadable)) = self.write(draft, index, events) {
                return Step::Poisoned { poison: unread(&stream, &unreadable), tainted: true };
            }
        }
        for claim in claims {
            draft.claimants.insert(claim.key.clone(), index);
            draft.append.claims.push(claim);
        }
        for timer in timers {
            let (TimerChange::Set { stream, kind, .. } | TimerChange::Clear { stream, kind }) = &timer;
            let place = (stream.clone(), kind.clone());
            put(&mut draft.timers, &mut draft.append.timers, place, timer);
        }
        for mut listing in listings {
            let place = (listing.stream.clone(), listing.list.clone());
            if let Some(at) = draft.listings.get(&place) {
                listing.since = draft.append.listings[*at].since;
            }
            put(&mut draft.listings, &mut draft.append.listings, place, listing);
        }
        draft.replies.extend(replies);
        draft.handled.push(item.lane);
        if self.replay {
            draft.append.parked.push(ParkedChange::Remove {
                key: self.lanes[item.lane]
                    .key(self.consumer, item.parked_as.as_ref().unwrap_or(&item.record.key).clone()),
                incarnation: item.incarnation.clone(),
                offset: item.record.offset,
            });
        }
        Step::Applied
    }

    /// Adds events to the draft, and folds them.
    fn write(
        &mut self,
        draft: &mut Draft<H>,
        index: usize,
        mut new: StreamEvents<H>,
    ) -> Result<(), (StreamId, Unreadable)> {
        if new.events.is_empty() {
            return Ok(());
        }
        let largest = new.events.iter().map(|event| event.payload.len()).max().unwrap_or(0);
        draft.note_largest(largest, index);
        let version = self.fold(&mut new).map_err(|unreadable| (new.stream.clone(), unreadable))?;
        let StreamEvents { stream, metadata, at, events, open, .. } = new;
        let appends = &mut draft.append.streams;
        let (place, first) = match draft.streams.get_mut(&stream) {
            Some((_, last)) if appends[*last].at == at && appends[*last].metadata == metadata => {
                let first = appends[*last].events.len();
                appends[*last].events.extend(events);
                (*last, first)
            }
            // Each record's events keep its own metadata; the version is that of the first ones.
            Some((_, last)) => {
                *last = appends.len();
                appends.push(StreamAppend { stream, expected: Expected::Any, metadata, at, events });
                (*last, 0)
            }
            None => {
                draft.streams.insert(stream.clone(), (appends.len(), appends.len()));
                let expected = Expected::Exactly(version);
                appends.push(StreamAppend { stream, expected, metadata, at, events });
                (appends.len() - 1, 0)
            }
        };
        let open = open.into_iter().map(|(event, open)| (first + event, open));
        draft.open.extend(open.map(|(event, open)| OpenEvent { index, place: (place, event), open }));
        Ok(())
    }

    /// Puts the state that new events leave into the draft; gives the version before them.
    fn fold(&mut self, new: &mut StreamEvents<H>) -> Result<u64, Unreadable> {
        let count = new.events.len() as u64;
        if let Some(state) = new.folded.take() {
            let base = self.working.get(&new.stream).map_or(0, |(_, version)| version);
            self.working.draft(new.stream.clone(), state, base + count);
            return Ok(base);
        }
        let (state, base) = self.working.take(&new.stream).unwrap_or_default();
        let mut folded = Ok(state);
        for (version, event) in (base + 1..).zip(&new.events) {
            let recorded = Recorded {
                position: Position::default(),
                stream: new.stream.clone(),
                version,
                id: event.id,
                kind: self.kind(event),
                schema: event.schema,
                at: new.at,
                metadata: new.metadata.clone(),
                payload: event.payload.clone(),
            };
            folded = folded.and_then(|state| fold(self.handler, state, &recorded));
        }
        self.working.draft(new.stream.clone(), folded?, base + count);
        Ok(base)
    }

    fn kind(&mut self, event: &NewEvent) -> Arc<str> {
        if let Some(kind) = self.kinds.get(&*event.kind) {
            return kind.clone();
        }
        let kind: Arc<str> = Arc::from(&*event.kind);
        self.kinds.insert(event.kind.clone().into_owned(), kind.clone());
        kind
    }

    fn park_poisoned(&self, draft: &mut Draft<H>, item: &Item<H>) {
        let Some(poison) = &item.poison else { return };
        if !poison.apart || self.replay {
            draft.poisoned.push(item.lane);
        }
        self.park(draft, item, &poison.cause, poison.apart);
    }

    fn park(&self, draft: &mut Draft<H>, item: &Item<H>, cause: &str, apart: bool) {
        let record = &item.record;
        let key = match &item.parked_as {
            Some(key) => key.clone(),
            None if apart => lane::apart(record.offset, &record.key),
            None => record.key.clone(),
        };
        draft.parks.insert((item.lane, key.clone()));
        draft.append.parked.push(ParkedChange::Park(ParkedRecord {
            consumer: self.consumer.clone(),
            topic: record.topic.clone(),
            partition: record.partition,
            incarnation: item.incarnation.clone(),
            offset: record.offset,
            key,
            headers: record.headers.clone(),
            payload: record.payload.clone(),
            cause: cause.into(),
            at: self.now,
            state: ParkedState::Parked,
        }));
    }

    /// Guards what is read only, and moves the offsets on.
    fn finish(&self, draft: &mut Draft<H>, items: &[Item<H>]) {
        for (stream, version) in std::mem::take(&mut draft.guards) {
            // One that is written is guarded by that.
            if !draft.streams.contains_key(&stream) {
                draft.append.guards.push(Guard { stream, version });
            }
        }
        let mut nexts: Vec<Option<i64>> = vec![None; self.lanes.len()];
        for item in &items[..draft.covers] {
            nexts[item.lane] = Some(item.record.offset + 1);
        }
        for (lane, next) in self.lanes.iter().zip(nexts) {
            let Some(next) = next else { continue };
            let to = match (&lane.row, self.replay) {
                // A replay moves nothing, but commits only while the partition is this consumer's.
                (Some((incarnation, at)), true) => {
                    LogOffset { incarnation: incarnation.clone(), ..lane.offset(self.consumer, *at) }
                }
                (None, true) => continue,
                (_, false) => lane.offset(self.consumer, next),
            };
            draft.append.offsets.push(OffsetAdvance { from: lane.row.clone(), to });
        }
    }
}

/// Folds one event; a panic makes it unreadable.
pub(crate) fn fold<H: Handler>(
    handler: &H,
    state: H::State,
    event: &Recorded,
) -> Result<H::State, Unreadable> {
    catch_unwind(AssertUnwindSafe(|| handler.evolve(state, event))).unwrap_or_else(|panic| {
        Err(Unreadable { kind: event.kind.clone(), detail: panicked(panic.as_ref()).detail })
    })
}

/// What to say of a panic.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Poison {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Poison::new(HANDLER_PANICKED, text.unwrap_or("no message"))
}

fn unread(stream: &StreamId, unreadable: &Unreadable) -> Poison {
    Poison::new(UNREADABLE_EVENT, format!("stream {stream}: {unreadable}"))
}

/// Refuses names that a store cannot hold: the same decision would come out of the same bytes again.
fn check<H: Handler>(decision: &Decision<H>) -> Result<(), Poison> {
    let streams = decision.events.iter().map(|events| &events.stream).chain(&decision.guards);
    for stream in streams {
        if !(1..=STREAM_CHARACTERS_MAX).contains(&stream.as_str().chars().count()) {
            return Err(Poison::new(NAME_TOO_LONG, format!("stream name {stream}")));
        }
    }
    if decision.claims.iter().any(|claim| claim.key.len() > CLAIM_BYTES_MAX) {
        return Err(Poison::new(NAME_TOO_LONG, "claim key"));
    }
    Ok(())
}

/// Sets an entry, once per place.
fn put<K: std::hash::Hash + Eq, T>(places: &mut HashMap<K, usize>, entries: &mut Vec<T>, place: K, entry: T) {
    match places.get(&place) {
        Some(at) => entries[*at] = entry,
        None => {
            places.insert(place, entries.len());
            entries.push(entry);
        }
    }
}
