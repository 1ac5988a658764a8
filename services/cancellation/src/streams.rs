//! The streams of this service's store: cancellations, what is known of subjects, and the keys of
//! verification tokens.

use std::sync::Arc;

use event_store::{NewEvent, Recorded, StreamId};
use keys::{Jwk, JwkSet};
use messaging::Unreadable;
use participant::{Encoded, wire};
use proto::cancellation::v1 as pb;
use types::{CancellationId, Edition, ParticipantName, SubjectId};

use crate::{
    domain::{
        State,
        bulk::{self, Bulk},
        evolve,
    },
    wire::{Decoded, decode},
};

/// The stream of a cancellation.
pub(crate) fn of_case(id: &CancellationId) -> StreamId {
    StreamId::new(id.as_str())
}

/// The stream of what is known of a subject.
pub(crate) fn of_subject(id: &SubjectId) -> StreamId {
    StreamId::new(id.as_str())
}

/// The stream of the keys of verification tokens.
pub(crate) fn of_token_keys() -> StreamId {
    StreamId::new("token-keys")
}

/// The stream of the keys that participants announced.
pub(crate) fn of_participant_keys() -> StreamId {
    StreamId::new("participant-keys")
}

/// That a subject's account is closed, by that cancellation: nothing more is asked for it.
pub(crate) fn closed(by: &CancellationId) -> NewEvent {
    Encoded::of(&pb::SubjectClosed { cancellation_id: by.to_string() }).into()
}

/// What is known of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) region: String,
    pub(crate) edition: Edition,
}

/// What the events of any one stream fold into.
#[derive(Debug, Clone, Default)]
pub(crate) struct Folded {
    /// A cancellation's stream.
    pub(crate) case: State,
    /// A bulk retry's stream.
    pub(crate) bulk: Option<Bulk>,
    /// A subject's stream.
    pub(crate) subject: Option<Subject>,
    /// A subject's stream: by which cancellation it was closed. No request is accepted any more.
    pub(crate) closed: Option<CancellationId>,
    /// The token keys' stream.
    pub(crate) keys: Vec<String>,
    /// The stream of participants' keys: JWKs in JSON, in the order in which they became known.
    pub(crate) participant_keys: Vec<(ParticipantName, String)>,
}

impl Folded {
    /// The published keys as a set.
    pub(crate) fn key_set(&self) -> JwkSet {
        self.keys.iter().filter_map(|json| Jwk::parse(json).ok()).collect()
    }
}

/// Folds one event.
pub(crate) fn fold(state: Arc<Folded>, event: &Recorded) -> Result<Arc<Folded>, Unreadable> {
    let decoded = decode(event)?;
    let mut folded = Arc::unwrap_or_clone(state);
    match decoded {
        Decoded::Case(fact) => {
            if let Some(case) = &mut folded.case {
                case.at = event.at;
            }
            folded.case = evolve(folded.case, fact);
        }
        Decoded::Bulk(event) => folded.bulk = bulk::evolve(folded.bulk, event),
        Decoded::SubjectKnown(known) => {
            let edition = wire::edition_from(known.edition);
            folded.subject.get_or_insert(Subject { region: known.region, edition });
        }
        Decoded::SubjectClosed(by) => drop(folded.closed.get_or_insert(by)),
        Decoded::TokenKey(json) => folded.keys.push(json),
        Decoded::ParticipantKey(name, json) => folded.participant_keys.push((name, json)),
    }
    Ok(Arc::new(folded))
}

/// Folds a whole stream; its version beside it.
pub(crate) fn fold_all(events: &[Recorded]) -> Result<(Arc<Folded>, u64), Unreadable> {
    let version = events.last().map_or(0, |event| event.version);
    Ok((events.iter().try_fold(Arc::default(), fold)?, version))
}
