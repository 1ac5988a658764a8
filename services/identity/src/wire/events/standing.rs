//! What happened to a subject's standing, as it is stored.

use bytes::Bytes;
use participant::Encoded;
use prost::Name;
use proto::identity::v1 as pb;
use types::{CancellationId, SubjectId, Timestamp};

use super::message;
use crate::{
    domain::{
        AppealId, Event as Fact,
        standing::{Cause, Decision, Event, Outcome, Told},
    },
    wire::standing::{standing, standing_from},
};

/// A fact as it is stored.
pub(super) fn encode(event: &Event) -> Encoded {
    match event {
        Event::SignInFrozen(by) => Encoded::of(&pb::SignInFrozen { cancellation_id: by.to_string() }),
        Event::SignInThawed(by) => Encoded::of(&pb::SignInThawed { cancellation_id: by.to_string() }),
        Event::Banned { reason_code, actor } => {
            Encoded::of(&pb::SubjectBanned { reason_code: reason_code.clone(), actor: actor.clone() })
        }
        Event::BanLifted(Cause { actor, reason }) => {
            Encoded::of(&pb::BanLifted { actor: actor.clone(), reason: reason.clone() })
        }
        Event::Appealed { id, sealed, at, due } => Encoded::of(&pb::BanAppealed {
            appeal_id: id.to_string(),
            sealed_text: Bytes::copy_from_slice(sealed),
            appealed_at: Some(at.to_proto()),
            due_at: Some(due.to_proto()),
        }),
        Event::AppealEnded { id, outcome: Outcome::Withdrawn } => {
            Encoded::of(&pb::AppealWithdrawn { appeal_id: id.to_string() })
        }
        Event::AppealEnded { id, outcome: Outcome::Decided(decision, Cause { actor, reason }) } => {
            Encoded::of(&pb::AppealDecided {
                appeal_id: id.to_string(),
                decision: match decision {
                    Decision::Uphold => pb::AppealDecision::Uphold,
                    Decision::Lift => pb::AppealDecision::Lift,
                }
                .into(),
                actor: actor.clone(),
                reason: reason.clone(),
            })
        }
        Event::AppealOverdue { id, due } => {
            Encoded::of(&pb::AppealOverdue { appeal_id: id.to_string(), due_at: Some(due.to_proto()) })
        }
        Event::Changed { subject, told, at } => Encoded::of(&pb::StandingChanged {
            subject_id: subject.to_string(),
            standing: standing(told.standing).into(),
            frozen_by: told.frozen_by.iter().map(ToString::to_string).collect(),
            reason_code: told.reason_code.clone().unwrap_or_default(),
            changed_at: Some(at.to_proto()),
        }),
    }
}

/// A stored fact of this room; `None` for another's.
pub(super) fn decode(kind: &str, payload: &Bytes) -> Option<Result<Fact, String>> {
    let read = if kind == pb::StandingChanged::full_name() {
        message(payload, changed)
    } else if kind == pb::SignInFrozen::full_name() {
        message(payload, |it: pb::SignInFrozen| cancellation(&it.cancellation_id, Event::SignInFrozen))
    } else if kind == pb::SignInThawed::full_name() {
        message(payload, |it: pb::SignInThawed| cancellation(&it.cancellation_id, Event::SignInThawed))
    } else if kind == pb::SubjectBanned::full_name() {
        message(payload, |pb::SubjectBanned { reason_code, actor }| {
            Some(Fact::Standing(Event::Banned { reason_code, actor }))
        })
    } else if kind == pb::BanLifted::full_name() {
        message(payload, |pb::BanLifted { actor, reason }| {
            Some(Fact::Standing(Event::BanLifted(Cause { actor, reason })))
        })
    } else if kind == pb::BanAppealed::full_name() {
        message(payload, appealed)
    } else if kind == pb::AppealDecided::full_name() {
        message(payload, decided)
    } else if kind == pb::AppealWithdrawn::full_name() {
        message(payload, |it: pb::AppealWithdrawn| {
            let (id, outcome) = (AppealId::parse(&it.appeal_id).ok()?, Outcome::Withdrawn);
            Some(Fact::Standing(Event::AppealEnded { id, outcome }))
        })
    } else if kind == pb::AppealOverdue::full_name() {
        message(payload, |it: pb::AppealOverdue| {
            let id = AppealId::parse(&it.appeal_id).ok()?;
            let due = Timestamp::from_proto(it.due_at.as_ref()?)?;
            Some(Fact::Standing(Event::AppealOverdue { id, due }))
        })
    } else {
        return None;
    };
    Some(read)
}

/// Whether a stored fact of this room is told to everybody.
pub(super) fn is_public(kind: &str) -> bool {
    kind == pb::StandingChanged::full_name() || kind == pb::AppealOverdue::full_name()
}

fn cancellation(id: &str, event: fn(CancellationId) -> Event) -> Option<Fact> {
    CancellationId::parse(id).ok().map(event).map(Fact::Standing)
}

fn appealed(it: pb::BanAppealed) -> Option<Fact> {
    Some(Fact::Standing(Event::Appealed {
        id: AppealId::parse(&it.appeal_id).ok()?,
        sealed: it.sealed_text.as_ref().into(),
        at: Timestamp::from_proto(it.appealed_at.as_ref()?)?,
        due: Timestamp::from_proto(it.due_at.as_ref()?)?,
    }))
}

fn decided(it: pb::AppealDecided) -> Option<Fact> {
    let decision = match it.decision() {
        pb::AppealDecision::Uphold => Decision::Uphold,
        pb::AppealDecision::Lift => Decision::Lift,
        pb::AppealDecision::Unspecified => return None,
    };
    let outcome = Outcome::Decided(decision, Cause { actor: it.actor, reason: it.reason });
    Some(Fact::Standing(Event::AppealEnded { id: AppealId::parse(&it.appeal_id).ok()?, outcome }))
}

fn changed(it: pb::StandingChanged) -> Option<Fact> {
    let told = Told {
        standing: standing_from(it.standing())?,
        frozen_by: it.frozen_by.iter().map(|id| CancellationId::parse(id).ok()).collect::<Option<_>>()?,
        reason_code: Some(it.reason_code).filter(|code| !code.is_empty()),
    };
    Some(Fact::Standing(Event::Changed {
        subject: SubjectId::parse(&it.subject_id).ok()?,
        told,
        at: Timestamp::from_proto(it.changed_at.as_ref()?)?,
    }))
}

/// One of each, for the tests.
#[cfg(test)]
pub(super) fn every_event() -> Vec<Event> {
    use crate::domain::standing::Standing;

    let id = AppealId::parse("apl_1").unwrap();
    let at = Timestamp::from_micros(1_700_000_000_000_001);
    let by = CancellationId::parse("can_1").unwrap();
    let cause = Cause { actor: "ops-1".into(), reason: "checked".into() };
    let told = |standing, reason_code| Event::Changed {
        subject: SubjectId::parse("sbj_1").unwrap(),
        told: Told { standing, frozen_by: vec![by.clone()], reason_code },
        at,
    };
    let ended = |outcome| Event::AppealEnded { id: id.clone(), outcome };
    vec![
        Event::SignInFrozen(by.clone()),
        Event::SignInThawed(by.clone()),
        Event::Banned { reason_code: "FRAUD".into(), actor: "ops-1".into() },
        Event::BanLifted(cause.clone()),
        Event::Appealed { id: id.clone(), sealed: [1, 2].into(), at, due: at },
        ended(Outcome::Withdrawn),
        ended(Outcome::Decided(Decision::Uphold, cause.clone())),
        ended(Outcome::Decided(Decision::Lift, cause)),
        Event::AppealOverdue { id: id.clone(), due: at },
        told(Standing::Active, None),
        told(Standing::Frozen, None),
        told(Standing::Banned, Some("FRAUD".into())),
        told(Standing::Closed, None),
    ]
}
