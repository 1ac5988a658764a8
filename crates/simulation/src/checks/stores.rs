//! What must hold of each store by itself.

use std::collections::{BTreeMap, BTreeSet};

use event_store::Recorded;
use prost::Message as _;
use proto::retention::v1 as retention;

use super::{Finding, answer_of, must};

/// Facts of which one thing has one at the most, by the names of their types.
const ONCE: [&str; 6] = [
    "exeunt.participant.v1.SubjectClosed",
    "exeunt.wallet.v1.BenefitLapsed",
    "exeunt.retention.v1.DataSetErased",
    "exeunt.retention.v1.DataSetAnonymised",
    "exeunt.cancellation.v1.Completed",
    "exeunt.cancellation.v1.SubjectClosed",
];

/// Facts that bring something new into an account, which a closed one does not take.
const NEW: [&str; 8] = [
    "exeunt.identity.v1.SubjectRegistered",
    "exeunt.wallet.v1.BalanceRecorded",
    "exeunt.wallet.v1.BenefitRecorded",
    "exeunt.subscription.v1.SubscriptionRecorded",
    "exeunt.payscore.v1.AuthorizationRecorded",
    "exeunt.payscore.v1.ServiceOrderCreated",
    "exeunt.payscore.v1.CreditPurchaseRecorded",
    "exeunt.retention.v1.DataSetRecorded",
];

/// As much of an event as says which thing it is about.
#[derive(Clone, PartialEq, prost::Message)]
struct About {
    #[prost(string, tag = "1")]
    id: String,
}

/// What one store holds.
#[derive(Default)]
pub struct StoreFacts {
    head: u64,
    versions: BTreeMap<String, u64>,
    once: BTreeSet<(String, String, String)>,
    closed: BTreeSet<String>,
    /// Holds on everything of a subject's, each with its stream.
    holds: BTreeMap<String, String>,
    /// The last answer about each case.
    answers: BTreeMap<String, (u32, u32)>,
}

impl StoreFacts {
    /// Whether the account of a subject is closed here.
    pub fn is_closed(&self, subject: &str) -> bool {
        self.closed.contains(subject)
    }

    /// Whether an event fits what is there.
    pub fn fits(&self, service: &str, event: &Recorded) -> Result<(), Finding> {
        let (stream, kind) = (event.stream.as_str(), &*event.kind);
        must!(
            event.position.0 == self.head + 1,
            "{service} has position {} after {}",
            event.position.0,
            self.head
        );
        let version = self.versions.get(stream).copied().unwrap_or(0);
        must!(
            event.version == version + 1,
            "{service} has version {} of {stream} after {version}",
            event.version
        );
        must!(!self.once.contains(&once(event)), "{service} has {kind} twice for {stream}");
        let is_late = NEW.contains(&kind) && self.closed.contains(stream);
        must!(!is_late, "{service} took {kind} for {stream}, whose account is closed");
        let is_erased = kind.ends_with(".DataSetErased") || kind.ends_with(".DataSetAnonymised");
        let is_held = self.holds.values().any(|held| held == stream);
        must!(!(is_erased && is_held), "{service} erased what is held of {stream}");
        if let Some(answer) = answer_of(event) {
            let last = self.answers.get(&answer.cancellation_id).copied().unwrap_or_default();
            must!(
                (answer.epoch, answer.revision) > last,
                "{service} answered {} as {}.{} after {}.{}",
                answer.cancellation_id,
                answer.epoch,
                answer.revision,
                last.0,
                last.1
            );
        }
        Ok(())
    }

    /// Takes an event in.
    pub fn fold(&mut self, event: &Recorded) {
        let stream = event.stream.to_string();
        self.head = event.position.0;
        self.versions.insert(stream.clone(), event.version);
        if ONCE.contains(&&*event.kind) {
            self.once.insert(once(event));
        }
        if &*event.kind == "exeunt.participant.v1.SubjectClosed" {
            self.closed.insert(stream);
        }
        match event.kind.strip_prefix("exeunt.retention.v1.") {
            Some("HoldPlaced") => {
                let placed = retention::HoldPlaced::decode(event.payload.clone()).unwrap_or_default();
                let hold = placed.hold.unwrap_or_default();
                if hold.categories.is_empty() && hold.data_set_ids.is_empty() {
                    self.holds.insert(hold.hold_id, event.stream.to_string());
                }
            }
            Some("HoldReleased" | "HoldExpired") => {
                let ended = About::decode(event.payload.clone()).unwrap_or_default();
                self.holds.remove(&ended.id);
            }
            _ => {}
        }
        if let Some(answer) = answer_of(event) {
            self.answers.insert(answer.cancellation_id, (answer.epoch, answer.revision));
        }
    }
}

fn once(event: &Recorded) -> (String, String, String) {
    let about =
        if event.kind.ends_with("Completed") { None } else { About::decode(event.payload.clone()).ok() };
    let id = about.map(|about| about.id).unwrap_or_default();
    (event.kind.to_string(), event.stream.to_string(), id)
}
