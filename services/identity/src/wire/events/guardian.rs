//! What happened to a subject's guardians, as it is stored.

use bytes::Bytes;
use participant::Encoded;
use prost::Name;
use proto::identity::v1 as pb;
use types::{CancellationId, SubjectId};

use super::message;
use crate::domain::{Event as Fact, TokenId, guardian::Event, standing::Cause};

/// A fact as it is stored.
pub(super) fn encode(event: &Event) -> Encoded {
    match event {
        Event::Recorded { guardian, ground } => Encoded::of(&pb::GuardianRecorded {
            guardian_subject_id: guardian.to_string(),
            ground: ground.clone(),
        }),
        Event::Ended { guardian, cause: Cause { actor, reason } } => Encoded::of(&pb::GuardianEnded {
            guardian_subject_id: guardian.to_string(),
            actor: actor.clone(),
            reason: reason.clone(),
        }),
        Event::Consented { cancellation, guardian, token } => Encoded::of(&pb::GuardianConsented {
            cancellation_id: cancellation.to_string(),
            guardian_subject_id: guardian.to_string(),
            token_id: token.to_string(),
        }),
    }
}

/// A stored fact of this room; `None` for another's.
pub(super) fn decode(kind: &str, payload: &Bytes) -> Option<Result<Fact, String>> {
    let read = if kind == pb::GuardianRecorded::full_name() {
        message(payload, |it: pb::GuardianRecorded| {
            let guardian = SubjectId::parse(&it.guardian_subject_id).ok()?;
            Some(Fact::Guardian(Event::Recorded { guardian, ground: it.ground }))
        })
    } else if kind == pb::GuardianEnded::full_name() {
        message(payload, |it: pb::GuardianEnded| {
            let guardian = SubjectId::parse(&it.guardian_subject_id).ok()?;
            let cause = Cause { actor: it.actor, reason: it.reason };
            Some(Fact::Guardian(Event::Ended { guardian, cause }))
        })
    } else if kind == pb::GuardianConsented::full_name() {
        message(payload, |it: pb::GuardianConsented| {
            Some(Fact::Guardian(Event::Consented {
                cancellation: CancellationId::parse(&it.cancellation_id).ok()?,
                guardian: SubjectId::parse(&it.guardian_subject_id).ok()?,
                token: TokenId::parse(&it.token_id).ok()?,
            }))
        })
    } else {
        return None;
    };
    Some(read)
}

/// One of each, for the tests.
#[cfg(test)]
pub(super) fn every_event() -> Vec<Event> {
    let guardian = SubjectId::parse("sbj_2").unwrap();
    vec![
        Event::Recorded { guardian: guardian.clone(), ground: "PARENT".into() },
        Event::Ended {
            guardian: guardian.clone(),
            cause: Cause { actor: "ops-1".into(), reason: "came of age".into() },
        },
        Event::Consented {
            cancellation: CancellationId::parse("can_1").unwrap(),
            guardian,
            token: TokenId::parse("tok_1").unwrap(),
        },
    ]
}
