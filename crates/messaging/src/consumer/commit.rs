//! From a batch to its commit: load, decide, publish replies, append, and again until it holds.

use std::collections::HashSet;

use event_store::{AppendError, LogOffset, ParkedKey, StreamId};

use super::{
    EVENT_LOG, EVENT_STORE, Handler, Poison, Stop, Worker,
    batch::Draft,
    draft::{Drafted, Drafter, fold},
    lane::Item,
    replay::PARKED_SHARE,
};
use crate::{BackOff, Message};

/// A claim of the record stays taken by something else.
const CLAIM_TAKEN: &str = "CLAIM_TAKEN";
/// The record's decision asks for ever more streams.
const STREAMS_UNBOUNDED: &str = "STREAMS_UNBOUNDED";
/// An event that the record leads to is larger than a stored event may be.
const OVERSIZE: &str = "OVERSIZE";
/// How often streams may be found missing for one record of a batch.
const LOADS_MAX: u32 = 32;

/// What became of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Processed {
    /// All are committed, handled or parked, or turned out to be another's.
    All,
    /// One that was tried again failed again; those after it were left.
    Failed,
    /// Somebody else has the partition.
    Moved,
}

impl<H: Handler> Worker<H> {
    /// Commits all of the records, whatever it takes; or those that are still this consumer's.
    pub(super) async fn process(&mut self, mut items: Vec<Item<H>>, replay: bool) -> Result<Processed, Stop> {
        let mut pause = self.consumer.options.back_off();
        let (mut limit, mut failures) = (items.len(), 0);
        while !items.is_empty() {
            limit = limit.min(items.len());
            self.working.begin();
            let mut draft = self.decide(&mut items[..limit], replay).await?;
            draft.seal(&*self.consumer.handler);
            let Draft { append, replies, covers, claimants, parks, poisoned, handled, largest, .. } = draft;
            self.reply(replies).await?;
            let offsets: Vec<LogOffset> = append.offsets.iter().map(|advance| advance.to.clone()).collect();
            match self.consumer.store.append(append).await {
                Ok(_) => {
                    self.resumed(EVENT_STORE);
                    self.working.promote(|state| self.consumer.handler.rests(state));
                    self.tell_parked(&items[..covers]);
                    self.committed(&offsets, replay, parks, &poisoned, &handled);
                    items.drain(..covers);
                    if replay && !poisoned.is_empty() {
                        return Ok(Processed::Failed);
                    }
                    // What follows the part that is committed may be more than conflicts allowed.
                    (limit, failures) = (items.len(), 0);
                    // What is tried again is so although its partition stands still: it is what
                    // may set it going, and must not be taken for handled.
                    items.retain(|item| replay || self.lanes[item.lane].stopped.is_none());
                    pause.reset();
                }
                Err(AppendError::Conflict(streams)) => {
                    streams.iter().for_each(|stream| self.working.forget(stream));
                    failures += 1;
                    if failures >= self.consumer.options.attempts_max {
                        limit = (limit / 2).max(1);
                        self.contended(&mut pause).await?;
                    }
                }
                Err(AppendError::Claimed { key, .. }) => {
                    self.claimed(&mut items, claimants.get(&key).copied());
                }
                Err(AppendError::OffsetMoved { .. }) if replay => {
                    self.reconcile(&mut Vec::new(), &[]).await?;
                    return Ok(Processed::Moved);
                }
                Err(AppendError::OffsetMoved { .. }) => self.reconcile(&mut items, &offsets).await?,
                Err(AppendError::Oversize { bytes, limit }) => {
                    let index = largest.map_or(0, |(_, index)| index);
                    items[index].poison =
                        Some(Poison::new(OVERSIZE, format!("event of {bytes} bytes, limit {limit}")));
                }
                Err(AppendError::Busy) => self.contended(&mut pause).await?,
                Err(AppendError::Store(error)) => self.store_failed(&error, &mut pause).await?,
            }
        }
        self.report();
        Ok(Processed::All)
    }

    /// Decides the records, loading what that needs.
    async fn decide(&mut self, items: &mut [Item<H>], replay: bool) -> Result<Draft<H>, Stop> {
        let mut wanted: Vec<StreamId> = Vec::new();
        for item in items.iter() {
            if item.poison.is_none()
                && (replay || !self.lanes[item.lane].parked.contains(&item.record.key))
                && let Some((stream, _)) = &item.read
                && !self.working.touch(stream)
            {
                wanted.push(stream.clone());
            }
        }
        let (mut loads, mut reached) = (0, 0);
        loop {
            if !wanted.is_empty() {
                self.load(std::mem::take(&mut wanted)).await?;
            }
            let mut drafter = Drafter {
                handler: &*self.consumer.handler,
                consumer: &self.consumer.subscription.group,
                lanes: &self.lanes,
                working: &mut self.working,
                kinds: &mut self.kinds,
                now: self.consumer.clock.now(),
                replay,
            };
            match drafter.draft(items) {
                Drafted::Ready(draft) => return Ok(*draft),
                Drafted::Missing(missing) => {
                    // Every record may need something of its own, which shows when those before have it.
                    let first = missing.first().map_or(0, |(_, index)| *index);
                    if first > reached {
                        (loads, reached) = (0, first);
                    }
                    loads += 1;
                    if loads > LOADS_MAX
                        && let Some((stream, index)) = missing.first()
                    {
                        let detail =
                            format!("{LOADS_MAX} loads did not suffice, the last asked for was {stream}");
                        items[*index].poison = Some(Poison::new(STREAMS_UNBOUNDED, detail));
                        loads = 0;
                    }
                    wanted.extend(missing.into_iter().map(|(stream, _)| stream));
                }
            }
        }
    }

    /// Loads streams in one query and folds them.
    async fn load(&mut self, mut streams: Vec<StreamId>) -> Result<(), Stop> {
        streams.sort_unstable();
        streams.dedup();
        let mut pause = self.consumer.options.back_off();
        let loaded = loop {
            match self.consumer.store.load_many(&streams).await {
                Ok(loaded) => {
                    self.resumed(EVENT_STORE);
                    break loaded;
                }
                Err(error) => self.store_failed(&error, &mut pause).await?,
            }
        };
        for (stream, events) in streams.into_iter().zip(loaded) {
            let version = events.last().map_or(0, |event| event.version);
            let state = events
                .iter()
                .try_fold(H::State::default(), |state, event| fold(&*self.consumer.handler, state, event));
            self.working.hold(stream, state.map(|state| (state, version)));
        }
        Ok(())
    }

    /// Sends stored answers again, before the offsets commit.
    async fn reply(&mut self, replies: Vec<Message>) -> Result<(), Stop> {
        if replies.is_empty() {
            return Ok(());
        }
        let mut pause = self.consumer.options.back_off();
        while let Err(error) = self.consumer.log.publish(replies.clone()).await {
            self.pause(EVENT_LOG, &error, &mut pause).await?;
        }
        self.resumed(EVENT_LOG);
        Ok(())
    }

    /// Takes note of what is committed.
    fn committed(
        &mut self,
        offsets: &[LogOffset],
        replay: bool,
        parks: HashSet<(usize, bytes::Bytes)>,
        poisoned: &[usize],
        handled: &[usize],
    ) {
        let records = handled.len();
        tracing::debug!(group = %self.consumer.subscription.group, records, "batch committed");
        for (lane, key) in parks {
            self.lanes[lane].parked.insert(key);
        }
        if replay {
            return;
        }
        for offset in offsets {
            if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.is(&offset.topic, offset.partition)) {
                lane.row = Some((offset.incarnation.clone(), offset.next));
                lane.next = offset.next;
            }
        }
        self.log.hint(offsets);
        let share_max = self.consumer.options.parked_share_max;
        for lane in handled {
            self.lanes[*lane].count(false, share_max);
        }
        for lane in poisoned {
            let lane = &mut self.lanes[*lane];
            if lane.count(true, share_max) && lane.stopped.is_none() {
                tracing::error!(
                    group = %self.consumer.subscription.group,
                    topic = %lane.topic,
                    partition = lane.partition,
                    share_max,
                    "partition stops, because too many of its records park"
                );
                lane.stopped = Some(PARKED_SHARE.into());
            }
        }
    }

    fn tell_parked(&self, items: &[Item<H>]) {
        for Item { record, poison, .. } in items {
            let Some(Poison { cause, detail, apart }) = poison else { continue };
            tracing::warn!(
                group = %self.consumer.subscription.group,
                topic = %record.topic,
                partition = record.partition,
                offset = record.offset,
                %cause,
                detail,
                apart,
                "record is parked"
            );
        }
    }

    /// Has a record whose claim is taken decided again; parks it when that does not help.
    fn claimed(&mut self, items: &mut [Item<H>], claimant: Option<usize>) {
        self.working.clear();
        let Some(item) = claimant.and_then(|index| items.get_mut(index)) else { return };
        item.claimed += 1;
        if item.claimed >= self.consumer.options.attempts_max {
            item.poison = Some(Poison::new(CLAIM_TAKEN, "another claimant has its key"));
        }
    }

    /// Waits a moment, because others write to the same streams or the store is full.
    async fn contended(&self, pause: &mut BackOff) -> Result<(), Stop> {
        if pause.wait(&self.shutdown).await { Ok(()) } else { Err(Stop::Shutdown) }
    }

    /// Another consumer, or this one by an append whose answer was lost, moved offsets: takes over
    /// what stands there, and drops records that are not to be handled from there on.
    async fn reconcile(&mut self, items: &mut Vec<Item<H>>, aims: &[LogOffset]) -> Result<(), Stop> {
        self.working.clear();
        let (rows, parked) = (self.offsets().await?, self.parked_keys().await?);
        for index in 0..self.lanes.len() {
            let lane = &mut self.lanes[index];
            let row = rows.iter().find(|row| lane.is(&row.topic, row.partition));
            if lane.row.as_ref().map(|(incarnation, next)| (incarnation, *next))
                == row.map(|row| (&row.incarnation, row.next))
            {
                continue;
            }
            let reached = aims.iter().any(|aim| Some(aim) == row);
            lane.stand(row);
            lane.take_parked(&parked);
            let next = lane.next;
            items.retain(|item| item.lane != index || (reached && item.record.offset >= next));
            if !reached {
                self.start(index).await?;
            }
        }
        Ok(())
    }

    /// The consumer's offsets, as soon as the store answers.
    pub(super) async fn offsets(&self) -> Result<Vec<LogOffset>, Stop> {
        let mut pause = self.consumer.options.back_off();
        loop {
            match self.consumer.store.offsets(&self.consumer.subscription.group).await {
                Ok(offsets) => {
                    self.resumed(EVENT_STORE);
                    return Ok(offsets);
                }
                Err(error) => self.store_failed(&error, &mut pause).await?,
            }
        }
    }

    /// The consumer's parked keys, as soon as the store answers.
    pub(super) async fn parked_keys(&self) -> Result<Vec<(ParkedKey, bool)>, Stop> {
        let mut pause = self.consumer.options.back_off();
        loop {
            match self.consumer.store.parked_keys(&self.consumer.subscription.group).await {
                Ok(keys) => {
                    self.resumed(EVENT_STORE);
                    return Ok(keys);
                }
                Err(error) => self.store_failed(&error, &mut pause).await?,
            }
        }
    }
}
