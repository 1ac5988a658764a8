//! Parked keys: what a person asked for is noticed here, in the partition's owner, and done.

use event_store::{Append, AppendError, ParkedChange, ParkedKey, ParkedRecord, ParkedState};

use super::{
    EVENT_STORE, Handler, Stop, Worker,
    commit::Processed,
    lane::{Item, original},
};
use crate::Record;

/// The most records of one key that are read back at once.
const KEY_RECORDS_MAX: usize = 100_000;
/// Too many of the partition's records park.
pub(super) const PARKED_SHARE: &str = "PARKED_SHARE";

impl<H: Handler> Worker<H> {
    /// Looks after the parked keys: those that were emptied flow again, and those that a person
    /// asked for are tried again, a part at a time.
    pub(super) async fn check_parked(&mut self) -> Result<(), Stop> {
        self.parked_pending = false;
        if self.lanes.iter().all(|lane| lane.parked.is_empty()) {
            return Ok(());
        }
        let keys = self.parked_keys().await?;
        'lanes: for index in 0..self.lanes.len() {
            if self.lanes[index].parked.is_empty() {
                continue;
            }
            self.lanes[index].take_parked(&keys);
            for (key, _) in keys.iter().filter(|(_, asked)| *asked) {
                // Who finds the partition another's has looked anew at all of them.
                if self.lanes[index].is(&key.topic, key.partition)
                    && self.replay(index, key).await? == Processed::Moved
                {
                    break 'lanes;
                }
            }
            let lane = &mut self.lanes[index];
            if !lane.holds_up() && lane.stopped.as_deref() == Some(PARKED_SHARE) {
                lane.resume();
                self.start(index).await?;
            }
        }
        self.report();
        Ok(())
    }

    /// Tries a part of a key's parked records again, in order. Each is removed in the append of its
    /// effects; the key flows again when the last is gone.
    async fn replay(&mut self, lane: usize, key: &ParkedKey) -> Result<Processed, Stop> {
        let limit = self.consumer.options.replay_records_max;
        let rows = self.parked_records(key, limit).await?;
        let more = rows.len() >= limit;
        let items: Vec<Item<H>> = rows.into_iter().map(|row| self.parked_item(row, lane)).collect();
        let processed = self.process(items, true).await?;
        match processed {
            Processed::All if more => self.parked_pending = true,
            Processed::All => drop(self.lanes[lane].parked.remove(&key.key)),
            Processed::Failed => self.keep_parked(key).await?,
            Processed::Moved => {}
        }
        Ok(processed)
    }

    fn parked_item(&self, row: ParkedRecord, lane: usize) -> Item<H> {
        let ParkedRecord { topic, partition, incarnation, offset, key, headers, payload, at, .. } = row;
        let record = Record { topic, partition, offset, key: original(&key), headers, payload, at };
        Item { parked_as: Some(key), ..self.read(record, lane, incarnation) }
    }

    /// The first of a key failed again: the others go back to waiting. Should this not take place,
    /// they are tried once more, and fail as before.
    async fn keep_parked(&mut self, key: &ParkedKey) -> Result<(), Stop> {
        let rows = self.parked_records(key, KEY_RECORDS_MAX).await?;
        let waiting = rows.into_iter().filter(|row| row.state == ParkedState::Replaying);
        let parked: Vec<_> = waiting
            .map(|row| ParkedChange::Park(ParkedRecord { state: ParkedState::Parked, ..row }))
            .collect();
        if parked.is_empty() {
            return Ok(());
        }
        match self.consumer.store.append(Append { parked, ..Append::default() }).await {
            Ok(_) => Ok(()),
            Err(AppendError::Store(error)) => {
                self.store_failed(&error, &mut self.consumer.options.back_off()).await
            }
            // Nothing in it can be refused; the next look tries again.
            Err(_) => Ok(()),
        }
    }

    async fn parked_records(&self, key: &ParkedKey, limit: usize) -> Result<Vec<ParkedRecord>, Stop> {
        let mut pause = self.consumer.options.back_off();
        loop {
            match self.consumer.store.parked_of_key(key, limit).await {
                Ok(rows) => {
                    self.resumed(EVENT_STORE);
                    return Ok(rows);
                }
                Err(error) => self.store_failed(&error, &mut pause).await?,
            }
        }
    }
}
