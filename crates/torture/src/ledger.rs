//! What took effect, counted in the stores themselves.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use anyhow::{Context, Result};
use event_store::{ParkedRecord, Position, Recorded, Store, StoreOptions};
use prost::Message as _;
use proto::participant::v1 as contract;

use crate::stranger::PLANTED;

/// How many events are read at a time.
const PAGE: usize = 2_000;
/// How many faults of one store are told; more say no more.
const FAULTS_MAX: usize = 20;
/// The event of an answer that a participant gave.
const ANSWERED: &str = "exeunt.participant.v1.Answered";

/// One service's store, read from its first event to its last.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Whose.
    pub service: String,
    /// How often each kind of event stands in each stream: by kind, then by stream.
    pub counts: BTreeMap<Arc<str>, BTreeMap<Arc<str>, usize>>,
    /// How often this participant gave a successful end to an EXECUTE, by cancellation.
    pub ends: BTreeMap<String, usize>,
    /// The keys of parked records that were planted.
    pub planted: BTreeSet<String>,
    /// Gaps in positions and versions, other parked records, answers that cannot be read.
    pub faults: Vec<String>,
    /// How many events there are.
    pub events: u64,
}

impl Ledger {
    /// Reads a whole store.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read(service: &str, url: &str) -> Result<Self> {
        let store = Store::open(url, StoreOptions::default()).await.with_context(|| url.to_owned())?;
        let read = Self::read_from(service, &store).await;
        store.close().await;
        read.with_context(|| format!("the store of {service}"))
    }

    async fn read_from(service: &str, store: &Store) -> Result<Self> {
        let mut ledger = Self { service: service.to_owned(), ..Self::default() };
        let mut versions = BTreeMap::new();
        let mut after = Position::default();
        loop {
            let events = store.read(after, PAGE).await?;
            let Some(last) = events.last() else { break };
            for (expected, event) in (after.0 + 1..).zip(&events) {
                if event.position.0 != expected {
                    ledger.fault(format!("position {} follows {}", event.position.0, expected - 1));
                }
                ledger.count(event, &mut versions);
            }
            after = last.position;
        }
        ledger.events = after.0;
        ledger.count_parked(store).await?;
        Ok(ledger)
    }

    async fn count_parked(&mut self, store: &Store) -> Result<()> {
        let mut last: Option<ParkedRecord> = None;
        loop {
            let after = last.as_ref().map(|row| (&*row.topic, row.partition, row.offset));
            let page = store.parked(None, after, PAGE).await?;
            for record in &page.rows {
                let key = String::from_utf8_lossy(&record.key);
                match key.find(PLANTED) {
                    Some(start) => drop(self.planted.insert(key[start..].to_owned())),
                    None => self.fault(format!("a record is parked: {record:?}")),
                }
            }
            if !page.more {
                return Ok(());
            }
            last = page.rows.into_iter().next_back();
        }
    }

    fn count(&mut self, event: &Recorded, versions: &mut BTreeMap<Arc<str>, u64>) {
        let stream = event.stream.shared();
        let version = versions.entry(stream.clone()).or_default();
        *version += 1;
        if event.version != *version {
            let told = format!("{stream}: version {} follows {}", event.version, *version - 1);
            *version = event.version;
            self.fault(told);
        }
        *self.counts.entry(event.kind.clone()).or_default().entry(stream).or_default() += 1;
        if &*event.kind == ANSWERED {
            match end_in(event) {
                Ok(Some(cancellation)) => *self.ends.entry(cancellation).or_default() += 1,
                Ok(None) => {}
                Err(error) => self.fault(format!("an answer cannot be read: {error}")),
            }
        }
    }

    fn fault(&mut self, told: String) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(format!("{}: {told}", self.service));
        }
    }

    /// The streams that have this kind of event, and how often each.
    #[must_use]
    pub fn of(&self, kind: &str) -> BTreeMap<Arc<str>, usize> {
        self.counts.get(kind).cloned().unwrap_or_default()
    }
}

/// The cancellation whose EXECUTE this answer ends successfully, if it does.
fn end_in(event: &Recorded) -> Result<Option<String>> {
    let answered = contract::Answered::decode(event.payload.clone())?;
    let signed = answered.signed.context("it is not signed")?;
    let answer = contract::Acknowledgement::decode(signed.acknowledgement)?;
    let successful = [
        contract::Outcome::Done,
        contract::Outcome::NothingToDo,
        contract::Outcome::Exempt,
        contract::Outcome::Restricted,
    ];
    let ends = answer.kind() == contract::InstructionKind::Execute && successful.contains(&answer.outcome());
    Ok(ends.then_some(answer.cancellation_id))
}
