//! What operators do, as it is stored and told.

use std::sync::Arc;

use bytes::Bytes;
use prost::{DecodeError, Message as _, Name as _};
use proto::cancellation::v1 as pb;
use types::{ParticipantName, Timestamp};

use super::{
    Decoded,
    attention::{cause, from_proto, key_from},
};
use crate::domain::{Action, Attestation, Event, Operation, Words};

/// Reads a stored fact of what operators do, of what waits for them, and of amended receipts; what is
/// wrong with it where it is none.
pub(super) fn decode(kind: &str, payload: Bytes, at: Timestamp) -> Result<Decoded, String> {
    match kind.strip_prefix("exeunt.cancellation.v1.") {
        Some(name) => of_case(name, payload, at).map(Decoded::Case),
        None => super::bulk::decode(kind, payload, at).map(Decoded::Bulk),
    }
}

fn of_case(name: &str, payload: Bytes, at: Timestamp) -> Result<Event, String> {
    let wrong = |error: DecodeError| error.to_string();
    let missing = || "a field is missing".to_owned();
    let raised = |told: Option<pb::Attention>| {
        let raised = told.as_ref().and_then(from_proto).ok_or_else(missing)?;
        Ok(Event::AttentionRaised(Arc::new(raised)))
    };
    match name {
        pb::Operated::NAME => {
            let operated = pb::Operated::decode(payload).map_err(wrong)?;
            Ok(Event::Operated(Arc::new(operated_from(&operated, at).ok_or_else(missing)?)))
        }
        pb::ClockExtended::NAME => {
            let extended = pb::ClockExtended::decode(payload).map_err(wrong)?;
            let due = extended.due_at.as_ref().and_then(Timestamp::from_proto);
            // Releases before named no cancellation, and waited for nobody to be told.
            let told_at = extended.cancellation_id.is_empty().then_some(at);
            Ok(Event::Extended { due: due.ok_or_else(missing)?, told_at, at })
        }
        pb::ExtensionNoticed::NAME => {
            let noticed = pb::ExtensionNoticed::decode(payload).map_err(wrong)?;
            let told_at = noticed.told_at.as_ref().and_then(Timestamp::from_proto);
            Ok(Event::ExtensionNoticed { told_at: told_at.ok_or_else(missing)?, at })
        }
        pb::Attested::NAME => {
            let attested = pb::Attested::decode(payload).map_err(wrong)?;
            let attestation = attested.attestation.as_ref().and_then(attestation_from);
            Ok(Event::Attested(Arc::new(attestation.ok_or_else(missing)?)))
        }
        pb::AttentionRaised::NAME => raised(pb::AttentionRaised::decode(payload).map_err(wrong)?.attention),
        pb::Overdue::NAME => raised(pb::Overdue::decode(payload).map_err(wrong)?.attention),
        pb::AttentionCleared::NAME => {
            let cleared = pb::AttentionCleared::decode(payload).map_err(wrong)?;
            let (cause, participant) = key_from(cleared.cause, &cleared.participant).ok_or_else(missing)?;
            Ok(Event::AttentionCleared { cause, participant, at })
        }
        pb::ReceiptAmended::NAME => {
            let amended = pb::ReceiptAmended::decode(payload).map_err(wrong)?;
            let unfinished = amended.unfinished.iter().map(|name| ParticipantName::parse(name));
            let unfinished = unfinished.collect::<Result<_, _>>().map_err(|e| e.to_string())?;
            Ok(Event::Amended { receipt: amended.receipt_jws, unfinished, at })
        }
        _ => Err("unknown type".to_owned()),
    }
}

pub(crate) fn operated(operation: &Operation) -> pb::Operated {
    let Operation { action, actor, reason, at: _ } = operation;
    let mut told = pb::Operated { actor: actor.to_string(), ..pb::Operated::default() };
    match reason {
        Words::Clear(text) => told.reason = text.to_string(),
        Words::Sealed(sealed) => told.sealed_reason = Bytes::copy_from_slice(sealed),
    }
    match action {
        Action::Assign { cause: of, participant, owner, due } => pb::Operated {
            action: pb::OperatorAction::Assign.into(),
            cause: cause(*of).into(),
            participant: participant.as_ref().map(ToString::to_string).unwrap_or_default(),
            owner: owner.to_string(),
            due_at: Some(due.to_proto()),
            ..told
        },
        Action::Extend => pb::Operated { action: pb::OperatorAction::Extend.into(), ..told },
        Action::Notice { told_at } => pb::Operated {
            action: pb::OperatorAction::Notice.into(),
            told_at: Some(told_at.to_proto()),
            ..told
        },
        Action::Reassess => pb::Operated { action: pb::OperatorAction::Reassess.into(), ..told },
        Action::Retry { participant } => pb::Operated {
            action: pb::OperatorAction::Retry.into(),
            participant: participant.to_string(),
            ..told
        },
        Action::Attest { participant, evidence } => pb::Operated {
            action: pb::OperatorAction::Attest.into(),
            participant: participant.to_string(),
            evidence: evidence.clone(),
            ..told
        },
    }
}

fn operated_from(told: &pb::Operated, at: Timestamp) -> Option<Operation> {
    let participant = || ParticipantName::parse(&told.participant).ok();
    let action = match told.action() {
        pb::OperatorAction::Unspecified => return None,
        pb::OperatorAction::Assign => {
            let (cause, participant) = key_from(told.cause, &told.participant)?;
            let due = Timestamp::from_proto(told.due_at.as_ref()?)?;
            Action::Assign { cause, participant, owner: told.owner.as_str().into(), due }
        }
        pb::OperatorAction::Reassess => Action::Reassess,
        pb::OperatorAction::Extend => Action::Extend,
        pb::OperatorAction::Notice => {
            Action::Notice { told_at: Timestamp::from_proto(told.told_at.as_ref()?)? }
        }
        pb::OperatorAction::Retry => Action::Retry { participant: participant()? },
        pb::OperatorAction::Attest => {
            Action::Attest { participant: participant()?, evidence: told.evidence.clone() }
        }
    };
    let reason = match &told.sealed_reason[..] {
        [] => Words::from(told.reason.as_str()),
        sealed => Words::Sealed(sealed.into()),
    };
    Some(Operation { action, actor: told.actor.as_str().into(), reason, at })
}

pub(crate) fn attestation(of: &Attestation) -> pb::Attestation {
    pb::Attestation {
        participant: of.participant.to_string(),
        evidence: of.evidence.clone(),
        attested_by: of.actor.to_string(),
        reason: String::new(),
        attested_at: Some(of.at.to_proto()),
    }
}

fn attestation_from(stored: &pb::Attestation) -> Option<Attestation> {
    Some(Attestation {
        participant: ParticipantName::parse(&stored.participant).ok()?,
        evidence: stored.evidence.clone(),
        actor: stored.attested_by.as_str().into(),
        at: Timestamp::from_proto(stored.attested_at.as_ref()?)?,
    })
}

#[cfg(test)]
mod tests {

    use types::{CancellationId, Edition, Scope, SubjectId};

    use super::*;
    use crate::{
        domain::{
            Attention, Case, Cause, Ladder, Level, Request, Terms,
            bulk::{Bulk, BulkEvent, Filter},
            evolve,
        },
        wire,
    };

    const AT: Timestamp = Timestamp::EPOCH;

    fn name() -> ParticipantName {
        ParticipantName::parse("till").unwrap()
    }

    fn case() -> Case {
        let request = Request {
            id: CancellationId::parse("can_1").unwrap(),
            subject: SubjectId::parse("sbj_1").unwrap(),
            region: "CN".into(),
            edition: Edition::Domestic,
            scope: Scope::WholeAccount,
            roster: Vec::new(),
            gates_none: true,
            tokens_required: 0,
            terms: Terms::default(),
            ladder: Ladder::default(),
            channel: String::new(),
            sealed_reason: Arc::from([]),
            at: AT,
        };
        *evolve(None, Event::Requested(Arc::new(request))).unwrap()
    }

    #[test]
    fn what_operators_do_and_what_waits_for_them_reads_as_it_was_written() {
        let assign =
            Action::Assign { cause: Cause::Failed, participant: Some(name()), owner: "lee".into(), due: AT };
        let attest = Action::Attest { participant: name(), evidence: "T-1".into() };
        let retry = Action::Retry { participant: name() };
        let notice = Action::Notice { told_at: AT };
        let mut facts: Vec<Event> = [assign, Action::Reassess, retry, attest, Action::Extend, notice]
            .map(|action| Operation { action, actor: "kim".into(), reason: "why".into(), at: AT })
            .map(|operation| Event::Operated(Arc::new(operation)))
            .into();
        let sealed = Words::Sealed(Arc::from(*b"sealed"));
        let sealed = Operation { action: Action::Extend, actor: "kim".into(), reason: sealed, at: AT };
        facts.push(Event::Operated(Arc::new(sealed)));
        let (participant, evidence) = (name(), "T-1".to_owned());
        let attestation = Attestation { participant, evidence, actor: "kim".into(), at: AT };
        facts.push(Event::Attested(Arc::new(attestation)));
        let causes = [
            (Cause::AnswerOverdue, Some(name())),
            (Cause::WaitingTooLong, Some(name())),
            (Cause::Failed, Some(name())),
            (Cause::Contradicted, Some(name())),
            (Cause::DueSoon, None),
        ];
        for (cause, participant) in causes {
            for level in [Level::Reminder, Level::Attention, Level::Overdue] {
                let (owner, participant) = ("lee".into(), participant.clone());
                let told = Attention { cause, participant, level, since: AT, owner, due: AT, assigned: true };
                facts.push(Event::AttentionRaised(Arc::new(told)));
            }
            facts.push(Event::AttentionCleared { cause, participant, at: AT });
        }
        facts.push(Event::Extended { due: AT, told_at: None, at: AT });
        facts.push(Event::ExtensionNoticed { told_at: AT, at: AT });
        facts.push(Event::Amended { receipt: "two".into(), unfinished: vec![name()], at: AT });
        for fact in facts {
            let written = wire::recorded_for_test(&wire::encode(&case(), &fact), AT);
            match wire::decode(&written) {
                Ok(Decoded::Case(read)) => assert_eq!(read, fact),
                _ => panic!("{fact:?}"),
            }
        }
    }

    #[test]
    fn the_facts_of_a_bulk_retry_read_as_they_were_written() {
        let filter = Filter {
            owner: Some("lee".into()),
            causes: vec![Cause::Failed, Cause::AnswerOverdue],
            participant: Some(name()),
            due_before: Some(AT),
        };
        let begun = |filter| Bulk {
            filter,
            per_minute: 60,
            actor: "kim".into(),
            reason: "why".into(),
            started_at: AT,
            after: None,
            retried: 0,
            skipped: 0,
            ended: None,
        };
        for fact in [
            BulkEvent::Started(Arc::new(begun(filter))),
            BulkEvent::Started(Arc::new(begun(Filter::default()))),
            BulkEvent::Progressed { after: (AT, "can_1".into()), retried: 2, skipped: 1 },
            BulkEvent::Ended { cancelled: true, actor: "kim".into(), reason: "why".into(), at: AT },
        ] {
            match wire::decode(&wire::recorded_for_test(&wire::bulk::encode(&fact).into(), AT)) {
                Ok(Decoded::Bulk(read)) => assert_eq!(read, fact),
                _ => panic!("{fact:?}"),
            }
        }
    }
}
