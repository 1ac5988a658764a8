//! What a decision leaves in the store: events, and the timers, ids and list rows that come with them.

use bytes::Bytes;
use event_store::{Claim, Listing, NewEvent, TimerChange};
use prost::Message as _;
use types::SubjectId;

use crate::{
    Encoded, Participant,
    account::{ANSWERED, Fact, SUBJECT_CLOSED, SUBJECT_KNOWN, stream_of},
    given::ToStore,
};

/// A decision as the store takes it.
#[derive(Default)]
pub(crate) struct ToRecord {
    pub(crate) events: Vec<NewEvent>,
    /// Which of the events have no payload before these answers are signed, by their place.
    pub(crate) answers: Vec<(usize, ToStore)>,
    pub(crate) timers: Vec<TimerChange>,
    pub(crate) claims: Vec<Claim>,
    pub(crate) listings: Vec<Listing>,
}

/// Turns facts into events, and derives the timers, ids and list rows that they bring; `after` is the
/// state after all of them.
pub(crate) fn to_record<P: Participant>(
    participant: &P,
    subject: &SubjectId,
    after: &P::State,
    facts: &[Fact<P::Event>],
) -> ToRecord {
    let stream = stream_of(subject);
    let mut to = ToRecord::default();
    for fact in facts {
        let encoded = match fact {
            Fact::Known(known) => encoded(SUBJECT_KNOWN, known.encode_to_vec()),
            Fact::Closed(closed) => encoded(SUBJECT_CLOSED, closed.encode_to_vec()),
            Fact::Own(event) => participant.encode(event),
            Fact::Answered(answered) => {
                let instruction = answered.instruction.as_ref().map(|(_, bytes)| bytes.clone());
                let answer = ToStore { instruction, given: answered.given.clone() };
                to.answers.push((to.events.len(), answer));
                encoded(ANSWERED, Vec::new())
            }
        };
        to.events.push(encoded.into());
        let Fact::Own(event) = fact else { continue };
        for key in participant.ids(event).iter().map(|id| id_key(id)) {
            // A key that stands twice in one append is refused.
            if to.claims.iter().all(|claim| claim.key != key) {
                let value = Bytes::copy_from_slice(subject.as_str().as_bytes());
                to.claims.push(Claim { key, value });
            }
        }
        to.listings.extend(participant.lists(after, event).map(|wish| Listing {
            stream: stream.clone(),
            list: wish.list.into(),
            owner: subject.as_str().into(),
            state: wish.state.into(),
            since: wish.since,
        }));
        to.timers.extend(participant.timers(event).into_iter().map(|wish| {
            let (stream, kind) = (stream.clone(), wish.kind.into());
            match wish.due {
                Some(due) => TimerChange::Set { stream, kind, due },
                None => TimerChange::Clear { stream, kind },
            }
        }));
    }
    to
}

fn encoded(kind: &'static str, payload: Vec<u8>) -> Encoded {
    Encoded { kind: kind.into(), schema: 1, payload: payload.into() }
}

/// The key under which the subject of a thing with that id is found.
pub(crate) fn id_key(id: &str) -> String {
    format!("id/{id}")
}
