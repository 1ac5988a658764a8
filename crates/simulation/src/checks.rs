//! What must hold, checked after each step over everything that was committed or published.
//!
//! Nothing here asks a service what it believes: the facts of one store are held against those of the
//! others, against what was published, and against what people wanted.

mod cases;
mod stores;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use event_store::{Memory, Recorded};
use keys::JwkSet;
use messaging::Record;
use participant::{contract, is_success};
use prost::Message as _;
use proto::participant::v1::{Acknowledgement, InstructionKind, SignedAcknowledgement};

use self::{cases::Case, stores::StoreFacts};
use crate::{
    liar::LIAR,
    services::{SERVICES, key},
    users::{CANARY, Users},
};

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding(pub String);

/// Fails with a finding unless it holds.
macro_rules! must {
    ($holds:expr, $($what:tt)+) => {
        if !$holds {
            return Err($crate::checks::Finding(format!($($what)+)));
        }
    };
}
pub(crate) use must;

/// What every store and the log ever held, whatever was put back to an older copy since.
#[derive(Default)]
struct Ever {
    /// EXECUTE, FREEZE and UNDO that were told: case, participant, kind, epoch; and the digest to act on.
    told: BTreeMap<(String, String, i32, u32), Bytes>,
    /// Who executed a case successfully by their own store, in what order of all.
    executed: BTreeMap<(String, String), u64>,
}

/// Everything that is known, and what it must be like.
pub struct Checks {
    stores: BTreeMap<&'static str, StoreFacts>,
    cases: BTreeMap<String, Case>,
    ever: Ever,
    keys: JwkSet,
    seen: u64,
}

impl Default for Checks {
    fn default() -> Self {
        let owned = SERVICES.iter().copied().chain([LIAR]).map(|name| key(name).jwk().owned_by(name));
        let sealer = key("receipt").jwk().owned_by(cancellation::receipt::SEALERS);
        Self {
            stores: SERVICES.iter().map(|service| (*service, StoreFacts::default())).collect(),
            cases: BTreeMap::new(),
            ever: Ever::default(),
            keys: owned.chain([sealer]).collect(),
            seen: 0,
        }
    }
}

impl Checks {
    /// An event was committed; says what it is, for whoever reads the history.
    ///
    /// # Errors
    /// [`Finding`].
    pub fn committed(
        &mut self,
        service: &'static str,
        event: &Recorded,
        users: &Users,
    ) -> Result<String, Finding> {
        self.seen += 1;
        let name = event.kind.rsplit('.').next().unwrap_or_default();
        let metadata = &event.metadata;
        for text in [&*metadata.actor, &*metadata.causation, &*metadata.correlation, event.stream.as_str()] {
            must!(!text.contains(CANARY), "{service} has something personal in the metadata of {name}");
        }
        must!(!holds_canary(&event.payload), "{service} has something personal in {name}");
        let facts = self.stores.entry(service).or_default();
        facts.fits(service, event)?;
        facts.fold(event);
        if service == "cancellation" {
            let said = self.of_coordinator(event, users)?;
            return Ok(format!("{name}{said}"));
        }
        let answer = answer_of(event);
        if let Some(answer) = &answer {
            self.answered(service, answer)?;
        }
        let said = answer.map_or(String::new(), |answer| format!(" {}", in_words(&answer)));
        Ok(format!("{name}{said} for {}", event.stream))
    }

    /// A record was published.
    ///
    /// # Errors
    /// [`Finding`].
    pub fn published(&mut self, record: &Record) -> Result<(), Finding> {
        let topic = &record.topic;
        must!(!holds_canary(&record.key), "{topic} has something personal in a key");
        must!(!holds_canary(&record.payload), "{topic} has something personal in a record");
        for (name, value) in &record.headers {
            must!(!holds_canary(value), "{topic} has something personal in the header {name}");
        }
        if **topic == *contract::ACKNOWLEDGEMENTS
            && let Ok(signed) = SignedAcknowledgement::decode(record.payload.clone())
            && let Ok(answer) = contract::verify(&signed, &self.keys.of(LIAR))
            && answer.kind() == InstructionKind::Execute
            && is_success(answer.outcome())
        {
            self.seen += 1;
            self.ever.executed.entry((answer.cancellation_id, LIAR.into())).or_insert(self.seen);
        }
        Ok(())
    }

    /// A store was put back to an older copy, which holds these events.
    pub fn restored(&mut self, service: &'static str, events: &[Recorded]) {
        let mut facts = StoreFacts::default();
        events.iter().for_each(|event| facts.fold(event));
        self.stores.insert(service, facts);
        if service == "cancellation" {
            self.cases.clear();
            for event in events {
                self.fold_case(event);
            }
        }
    }

    /// Every open case waits for somebody, who is known.
    ///
    /// # Errors
    /// [`Finding`].
    pub fn waiting(&self, coordinator: &Memory) -> Result<(), Finding> {
        let timers: BTreeSet<String> =
            coordinator.timers().iter().map(|timer| timer.stream.to_string()).collect();
        for row in coordinator.listed("cancellation") {
            let Some(case) = self.cases.get(row.stream.as_str()) else { continue };
            let has_timer = timers.contains(row.stream.as_str());
            must!(
                case.waits(&row.state, has_timer),
                "{} is {} and waits for nobody: {}",
                row.stream,
                row.state,
                case.in_words()
            );
        }
        Ok(())
    }

    /// When nothing goes wrong any more: everything that was accepted has ended.
    ///
    /// # Errors
    /// [`Finding`].
    pub fn ended(&self, coordinator: &Memory, users: &Users) -> Result<(), Finding> {
        for row in coordinator.listed("cancellation") {
            let case = self.cases.get(row.stream.as_str());
            let said = case.map(Case::in_words).unwrap_or_default();
            let over = case.is_some_and(Case::is_over);
            must!(over, "{} is still {} in quiet times: {said}", row.stream, row.state);
        }
        for person in &users.people {
            for journey in &person.journeys {
                let name = &journey.name;
                must!(journey.id.is_some(), "{name} was asked for and never accepted");
                must!(journey.is_over(), "{name} has not ended for its subject");
            }
        }
        for (id, case) in self.cases.iter().filter(|(_, case)| case.closes_account()) {
            for (service, facts) in self.stores.iter().filter(|(service, _)| case.has(service)) {
                must!(
                    facts.is_closed(&case.subject),
                    "{id} is completed, and {service} has not closed the account"
                );
            }
        }
        Ok(())
    }

    /// A participant answered by its own store.
    fn answered(&mut self, service: &str, answer: &Acknowledgement) -> Result<(), Finding> {
        let id = &answer.cancellation_id;
        must!(answer.participant == service, "{service} answered as {}", answer.participant);
        let kind = answer.kind();
        if matches!(kind, InstructionKind::Assess | InstructionKind::Unspecified) {
            return Ok(());
        }
        let told = (id.clone(), service.to_owned(), answer.kind, answer.epoch);
        let Some(digest) = self.ever.told.get(&told) else {
            return Err(Finding(format!("{service} answered {kind:?} of {id}, which was never told")));
        };
        if kind != InstructionKind::Execute || !is_success(answer.outcome()) {
            return Ok(());
        }
        must!(
            answer.assessment_digest == *digest,
            "{service} executed {id} on other facts than those it was told to"
        );
        let case = self.cases.get(id);
        must!(case.is_none_or(|case| !case.is_revoked()), "{service} executed {id} after it was revoked");
        for before in case.map_or(&[][..], |case| case.before(service)) {
            let done = self.ever.executed.contains_key(&(id.clone(), before.clone()));
            must!(done, "{service} executed {id} before {before} had");
        }
        self.ever.executed.entry((id.clone(), service.to_owned())).or_insert(self.seen);
        Ok(())
    }
}

fn holds_canary(bytes: &[u8]) -> bool {
    // Searching text is quick even where nothing is optimised.
    String::from_utf8_lossy(bytes).contains(CANARY)
}

/// The answer that a participant's event holds.
fn answer_of(event: &Recorded) -> Option<Acknowledgement> {
    if &*event.kind != "exeunt.participant.v1.Answered" {
        return None;
    }
    let answered = proto::participant::v1::Answered::decode(event.payload.clone()).ok()?;
    Acknowledgement::decode(answered.signed?.acknowledgement).ok()
}

/// An answer for whoever reads the history.
pub fn in_words(answer: &Acknowledgement) -> String {
    let Acknowledgement { participant, epoch, revision, .. } = answer;
    format!("{participant} {:?} {epoch}.{revision} {:?}", answer.kind(), answer.outcome())
}
