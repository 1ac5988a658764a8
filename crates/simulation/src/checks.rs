//! What must hold, checked after each step over everything that was committed or published.
//!
//! Nothing here asks a service what it believes: the facts of one store are held against those of the
//! others, against what was published, and against what people wanted.

mod cases;
mod receipts;
mod stores;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use event_store::{Memory, Recorded};
use keys::JwkSet;
use messaging::Record;
use participant::{contract, is_success};
use prost::Message as _;
use proto::{
    identity::v1::SubjectClosed,
    participant::v1::{Acknowledgement, InstructionKind, SignedAcknowledgement},
};

use self::{cases::Case, receipts::Receipts, stores::StoreFacts};
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
    /// EXECUTE, FREEZE and UNDO that were told: case, participant, kind, epoch; and the digests to act on,
    /// of which a coordinator that has forgotten one may tell another.
    told: BTreeMap<(String, String, i32, u32), BTreeSet<Bytes>>,
    /// Who executed a case successfully by their own store, in what order of all.
    executed: BTreeMap<(String, String), u64>,
    /// Whose work in a case was done outside.
    attested: BTreeSet<(String, String)>,
    /// Cases that closed their subject's account, as identity tells.
    closed: BTreeSet<String>,
    /// Who was told to execute a case by a coordinator that has forgotten it.
    forgotten: BTreeSet<(String, String)>,
}

/// Everything that is known, and what it must be like.
pub struct Checks {
    stores: BTreeMap<&'static str, StoreFacts>,
    cases: BTreeMap<String, Case>,
    receipts: Receipts,
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
            receipts: Receipts::default(),
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
        if &*event.kind == "exeunt.identity.v1.SubjectClosed"
            && let Ok(closed) = SubjectClosed::decode(event.payload.clone())
        {
            self.ever.closed.insert(closed.cancellation_id);
        }
        let answer = answer_of(event);
        if let Some(answer) = &answer {
            self.answered(service, answer)?;
        }
        let said = answer.map_or(String::new(), |answer| format!(" {}", in_words(&answer)));
        // The name of a contact's stream is made with a key that is nobody's to choose.
        let stream =
            if event.stream.as_str().starts_with("contact-") { "a contact" } else { event.stream.as_str() };
        Ok(format!("{name}{said} for {stream}"))
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
        self.receipts.restored(service);
        if service != "cancellation" {
            return;
        }
        self.cases.clear();
        for event in events {
            self.fold_case(event);
        }
        for (id, participant, kind, epoch) in self.ever.told.keys() {
            let known = self.cases.get(id).is_some_and(|case| case.has_told(participant, *epoch));
            if *kind == InstructionKind::Execute as i32 && !known {
                self.ever.forgotten.insert((id.clone(), participant.clone()));
            }
        }
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
                let accepted = journey.id.is_some() || journey.is_moot;
                must!(accepted, "{name} was asked for and never accepted");
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
        let told = |epoch| self.ever.told.get(&(id.clone(), service.to_owned(), answer.kind, epoch));
        must!(told(answer.epoch).is_some(), "{service} answered {kind:?} of {id}, which was never told");
        if kind != InstructionKind::Execute || !is_success(answer.outcome()) {
            return Ok(());
        }
        // Told once more, it says once more what it did when it was told first.
        let as_told = |epoch| told(epoch).is_some_and(|digests| digests.contains(&answer.assessment_digest));
        must!(
            (0..=answer.epoch).rev().any(as_told),
            "{service} executed {id} on other facts than those it was told to"
        );
        let case = self.cases.get(id);
        // What was told and forgotten nobody can call back in time.
        let forgotten = self.ever.forgotten.contains(&(id.clone(), service.to_owned()));
        let revoked = case.is_some_and(Case::is_revoked) && !forgotten;
        must!(!revoked, "{service} executed {id} after it was revoked");
        for before in case.map_or(&[][..], |case| case.before(service)) {
            let key = (id.clone(), before.clone());
            let done = self.ever.executed.contains_key(&key) || self.ever.attested.contains(&key);
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
