//! Events as they are stored and told.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use event_store::{Listing, NewEvent, Recorded, StreamId};
use messaging::Unreadable;
use participant::{Encoded, contract, unreadable, wire};
use prost::{Message as _, Name as _};
use proto::{cancellation::v1 as pb, participant::v1 as contract_pb};
use types::{CancellationId, ParticipantName, Scope, SubjectId, Timestamp};

use super::{answer, digest, kind, kind_to, signed, state_of, terms};
use crate::domain::{Case, Entry, Event, Kind, Ladder, Level, Request, Terms, bulk::BulkEvent};

/// The list in which every cancellation stands.
pub(crate) const CANCELLATIONS: &str = "cancellation";

/// The row of the list for a cancellation as it is.
pub(crate) fn listing(case: &Case) -> Listing {
    Listing {
        stream: StreamId::new(case.request.id.as_str()),
        list: CANCELLATIONS.into(),
        owner: case.request.subject.as_str().into(),
        state: state_of(case.phase).as_str_name().into(),
        since: case.request.at,
    }
}

/// An event for the store; `case` is the cancellation as the event left it.
pub(crate) fn encode(case: &Case, event: &Event) -> NewEvent {
    let encoded = match event {
        Event::Requested(request) => Encoded::of(&requested(request)),
        Event::Instructed { kind, epoch, participants } => {
            Encoded::of(&instructed(case, *kind, *epoch, participants))
        }
        Event::Acknowledged(answer) => {
            Encoded::of(&pb::Acknowledged { signed: Some(signed(&answer.signed)) })
        }
        Event::Blocked { at: _ } => Encoded::of(&pb::Blocked {}),
        Event::Quoted { digest, at: _ } => {
            Encoded::of(&pb::Quoted { digest: Bytes::copy_from_slice(digest) })
        }
        Event::Confirmed { digest, token_ids, cooling_off_until, at: _ } => Encoded::of(&pb::Confirmed {
            digest: Bytes::copy_from_slice(digest),
            token_ids: token_ids.clone(),
            cooling_off_until: cooling_off_until.map(Timestamp::to_proto),
        }),
        Event::CooledOff { at: _ } => Encoded::of(&pb::CooledOff {}),
        Event::Drifted { digest, differences, at: _ } => Encoded::of(&pb::Drifted {
            digest: Bytes::copy_from_slice(digest),
            differences: differences.iter().map(terms::difference_to).collect(),
        }),
        Event::Completed { receipt, at: _ } => Encoded::of(&pb::Completed { receipt_jws: receipt.clone() }),
        Event::Operated(operation) => Encoded::of(&super::operations::operated(operation)),
        Event::Extended { due, told_at: _, at: _ } => Encoded::of(&pb::ClockExtended {
            due_at: Some(due.to_proto()),
            notice_by: case.notice_by().map(Timestamp::to_proto),
            cancellation_id: case.request.id.to_string(),
            subject_id: case.request.subject.to_string(),
        }),
        Event::ExtensionNoticed { told_at, at: _ } => Encoded::of(&pb::ExtensionNoticed {
            told_at: Some(told_at.to_proto()),
            due_at: case.request.terms.clock.as_ref().and_then(|it| it.extended).map(Timestamp::to_proto),
        }),
        Event::Attested(attested) => {
            Encoded::of(&pb::Attested { attestation: Some(super::operations::attestation(attested)) })
        }
        Event::AttentionRaised(raised) => {
            let told = Some(super::attention::published(case, raised));
            match raised.level {
                Level::Overdue => Encoded::of(&pb::Overdue { attention: told }),
                Level::Reminder | Level::Attention => Encoded::of(&pb::AttentionRaised { attention: told }),
            }
        }
        Event::AttentionCleared { cause, participant, at: _ } => Encoded::of(&pb::AttentionCleared {
            cause: super::attention::cause(*cause).into(),
            participant: participant.as_ref().map(ToString::to_string).unwrap_or_default(),
        }),
        Event::Amended { receipt, unfinished, at: _ } => Encoded::of(&pb::ReceiptAmended {
            receipt_jws: receipt.clone(),
            version: u32::try_from(case.receipts.len()).unwrap_or(u32::MAX),
            unfinished: unfinished.iter().map(ToString::to_string).collect(),
        }),
        Event::Revoking { sealed_reason, at: _ } => {
            Encoded::of(&pb::Revoking { sealed_reason: Bytes::copy_from_slice(sealed_reason) })
        }
        Event::Revoked { sealed_reason, at: _ } => {
            Encoded::of(&pb::Revoked { sealed_reason: Bytes::copy_from_slice(sealed_reason) })
        }
        Event::Expired { by, at: _ } => {
            Encoded::of(&pb::Expired { closed_by_cancellation_id: by.to_string() })
        }
        Event::Rejected { at: _ } => Encoded::of(&pb::Rejected { rejections: super::view::rejections(case) }),
    };
    encoded.into()
}

fn requested(request: &Request) -> pb::Requested {
    pb::Requested {
        cancellation_id: request.id.to_string(),
        subject_id: request.subject.to_string(),
        region: request.region.clone(),
        edition: wire::edition(request.edition).into(),
        scope: Some(wire::scope(&request.scope)),
        roster: request.roster.iter().map(roster_entry).collect(),
        gates_none: request.gates_none,
        tokens_required: request.tokens_required,
        channel: request.channel.clone(),
        sealed_reason: Bytes::copy_from_slice(&request.sealed_reason),
        requested_at: Some(request.at.to_proto()),
        terms: terms::to_proto(&request.terms),
        ladder: (request.ladder != Ladder::default()).then(|| super::attention::ladder(&request.ladder)),
    }
}

fn roster_entry(entry: &Entry) -> pb::RosterEntry {
    pb::RosterEntry {
        name: entry.name.to_string(),
        after: entry.after.iter().map(ToString::to_string).collect(),
        jwk_json: entry.keys.clone(),
        deadline_ms: entry.deadline.map_or(0, |span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        owner: entry.owner.as_deref().unwrap_or_default().to_owned(),
        item_kinds: entry.item_kinds.iter().map(|kind| wire::item_kind(*kind).into()).collect(),
        freezes: entry.freezes,
    }
}

fn instructed(case: &Case, kind: Kind, epoch: u32, participants: &[ParticipantName]) -> pb::Instructed {
    let request = &case.request;
    let scope = match &request.scope {
        // Each target gets its own items.
        Scope::Selected(_) => Scope::Selected(Vec::new()),
        whole => whole.clone(),
    };
    let template = contract_pb::Instruction {
        tenant: types::TENANT_LOCAL.to_owned(),
        cancellation_id: request.id.to_string(),
        kind: kind_to(kind).into(),
        epoch,
        subject_id: request.subject.to_string(),
        region: request.region.clone(),
        edition: wire::edition(request.edition).into(),
        scope: Some(wire::scope(&scope)),
        ..contract_pb::Instruction::default()
    };
    let targets = participants.iter().filter_map(|name| {
        let (entry, progress) = case.participants().find(|(entry, _)| entry.name == *name)?;
        let accepted = progress.assessment.as_ref().filter(|_| kind == Kind::Execute && !request.gates_none);
        let items = match &request.scope {
            Scope::Selected(items) => {
                items.iter().filter(|item| entry.item_kinds.contains(&item.kind)).map(wire::item).collect()
            }
            Scope::WholeAccount | Scope::Named(_) => Vec::new(),
        };
        Some(pb::InstructionTarget {
            participant: name.to_string(),
            assessment_digest: accepted
                .and_then(|answer| answer.digest)
                .map_or_else(Bytes::new, |digest| Bytes::copy_from_slice(&digest)),
            assessed_at: accepted.and_then(|answer| answer.assessed_at).map(Timestamp::to_proto),
            due_after_ms: entry
                .deadline
                .map_or(0, |span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
            items,
        })
    });
    pb::Instructed { targets: targets.collect(), template: Some(template) }
}

/// The instructions that a stored round says, each with its participant.
pub(crate) fn instructions(round: &pb::Instructed, at: Timestamp) -> Vec<(String, contract_pb::Instruction)> {
    let Some(template) = &round.template else { return Vec::new() };
    let Ok(cancellation) = CancellationId::parse(&template.cancellation_id) else { return Vec::new() };
    let instruction = |target: &pb::InstructionTarget| {
        let name = &target.participant;
        let mut instruction = contract_pb::Instruction {
            instruction_id: contract::instruction_id(&cancellation, name, template.kind(), template.epoch),
            participant: name.clone(),
            issued_at: Some(at.to_proto()),
            due_at: (target.due_after_ms > 0)
                .then(|| at.plus(Duration::from_millis(target.due_after_ms)).to_proto()),
            assessment_digest: target.assessment_digest.clone(),
            assessed_at: target.assessed_at,
            ..template.clone()
        };
        if let Some(proto::types::v1::scope::Kind::Selected(selected)) =
            instruction.scope.as_mut().and_then(|scope| scope.kind.as_mut())
        {
            selected.items.clone_from(&target.items);
        }
        (name.clone(), instruction)
    };
    round.targets.iter().map(instruction).collect()
}

/// What a stored event of this service's streams says.
pub(crate) enum Decoded {
    /// A cancellation's own fact.
    Case(Event),
    /// A fact of a bulk retry.
    Bulk(BulkEvent),
    /// A subject is known.
    SubjectKnown(pb::SubjectKnown),
    /// A subject is closed, by that cancellation.
    SubjectClosed(CancellationId),
    /// A key of verification tokens is known.
    TokenKey(String),
    /// A key of a participant is known.
    ParticipantKey(ParticipantName, String),
}

/// Reads a stored event.
pub(crate) fn decode(event: &Recorded) -> Result<Decoded, Unreadable> {
    let broken = |detail: String| unreadable(&event.kind, event.schema, detail);
    let bytes = || event.payload.clone();
    let at = event.at;
    let name = event.kind.strip_prefix("exeunt.cancellation.v1.").unwrap_or_default();
    let decoded = match name {
        pb::Acknowledged::NAME => acknowledged(bytes()).map_err(broken)?,
        pb::Instructed::NAME => {
            round(&pb::Instructed::decode(bytes()).map_err(|e| broken(e.to_string()))?).map_err(broken)?
        }
        pb::Requested::NAME => {
            let requested = pb::Requested::decode(bytes()).map_err(|e| broken(e.to_string()))?;
            let request = request(requested).ok_or_else(|| broken("a field is missing".into()))?;
            Event::Requested(Arc::new(request))
        }
        pb::Blocked::NAME => Event::Blocked { at },
        pb::Quoted::NAME => {
            let quoted = pb::Quoted::decode(bytes()).map_err(|e| broken(e.to_string()))?;
            Event::Quoted { digest: digest(&quoted.digest).ok_or_else(|| broken("no digest".into()))?, at }
        }
        pb::Confirmed::NAME => {
            let confirmed = pb::Confirmed::decode(bytes()).map_err(|e| broken(e.to_string()))?;
            let digest = digest(&confirmed.digest).ok_or_else(|| broken("no digest".into()))?;
            let cooling_off_until = confirmed.cooling_off_until.as_ref().and_then(Timestamp::from_proto);
            Event::Confirmed { digest, token_ids: confirmed.token_ids, cooling_off_until, at }
        }
        pb::CooledOff::NAME => Event::CooledOff { at },
        pb::Drifted::NAME => {
            let drifted = pb::Drifted::decode(bytes()).map_err(|e| broken(e.to_string()))?;
            let digest = digest(&drifted.digest).ok_or_else(|| broken("no digest".into()))?;
            let differences = drifted.differences.into_iter().map(terms::difference).collect::<Option<_>>();
            let differences = differences.ok_or_else(|| broken("a difference is of no kind".into()))?;
            Event::Drifted { digest, differences, at }
        }
        pb::Completed::NAME => {
            let completed = pb::Completed::decode(bytes()).map_err(|e| broken(e.to_string()))?;
            Event::Completed { receipt: completed.receipt_jws, at }
        }
        pb::Revoking::NAME => {
            let revoking = pb::Revoking::decode(bytes()).map_err(|e| broken(e.to_string()))?;
            Event::Revoking { sealed_reason: Arc::from(&revoking.sealed_reason[..]), at }
        }
        pb::Revoked::NAME => {
            let revoked = pb::Revoked::decode(bytes()).map_err(|e| broken(e.to_string()))?;
            Event::Revoked { sealed_reason: Arc::from(&revoked.sealed_reason[..]), at }
        }
        pb::Rejected::NAME => Event::Rejected { at },
        pb::Expired::NAME => {
            let expired = pb::Expired::decode(bytes()).map_err(|e| broken(e.to_string()))?;
            let by = CancellationId::parse(&expired.closed_by_cancellation_id);
            Event::Expired { by: by.map_err(|e| broken(e.to_string()))?, at }
        }
        pb::SubjectKnown::NAME
        | pb::SubjectClosed::NAME
        | pb::TokenKeyKnown::NAME
        | pb::ParticipantKeyKnown::NAME => return of_others(name, bytes()).map_err(broken),
        _ => return super::operations::decode(&event.kind, bytes(), at).map_err(broken),
    };
    Ok(Decoded::Case(decoded))
}

/// What is known of subjects and keys.
fn of_others(name: &str, bytes: Bytes) -> Result<Decoded, String> {
    let wrong = |error: prost::DecodeError| error.to_string();
    Ok(match name {
        pb::SubjectKnown::NAME => Decoded::SubjectKnown(pb::SubjectKnown::decode(bytes).map_err(wrong)?),
        pb::SubjectClosed::NAME => {
            let closed = pb::SubjectClosed::decode(bytes).map_err(wrong)?;
            let by = CancellationId::parse(&closed.cancellation_id).map_err(|e| e.to_string())?;
            Decoded::SubjectClosed(by)
        }
        pb::TokenKeyKnown::NAME => {
            Decoded::TokenKey(pb::TokenKeyKnown::decode(bytes).map_err(wrong)?.jwk_json)
        }
        _ => {
            let known = pb::ParticipantKeyKnown::decode(bytes).map_err(wrong)?;
            let name = ParticipantName::parse(&known.participant).map_err(|e| e.to_string())?;
            Decoded::ParticipantKey(name, known.jwk_json)
        }
    })
}

fn acknowledged(bytes: Bytes) -> Result<Event, String> {
    let stored = pb::Acknowledged::decode(bytes).map_err(|e| e.to_string())?;
    let signed = stored.signed.ok_or("nothing is signed")?;
    let decoded =
        contract_pb::Acknowledgement::decode(signed.acknowledgement.clone()).map_err(|e| e.to_string())?;
    Ok(Event::Acknowledged(Arc::new(answer(&decoded, &signed).map_err(|e| e.to_string())?)))
}

fn round(stored: &pb::Instructed) -> Result<Event, String> {
    let template = stored.template.as_ref().ok_or("no template")?;
    let participants = stored.targets.iter().map(|target| ParticipantName::parse(&target.participant));
    Ok(Event::Instructed {
        kind: kind(template.kind()).ok_or("no kind")?,
        epoch: template.epoch,
        participants: participants.collect::<Result<_, _>>().map_err(|e| e.to_string())?,
    })
}

fn request(stored: pb::Requested) -> Option<Request> {
    Some(Request {
        id: CancellationId::parse(&stored.cancellation_id).ok()?,
        subject: SubjectId::parse(&stored.subject_id).ok()?,
        edition: wire::edition_from(stored.edition),
        region: stored.region,
        scope: wire::scope_from(stored.scope.as_ref()?)?,
        roster: stored.roster.into_iter().map(entry).collect::<Option<_>>()?,
        gates_none: stored.gates_none,
        tokens_required: stored.tokens_required,
        // The first release knew of none. What is there and cannot be read is no request of that time.
        terms: match stored.terms {
            None => Terms::default(),
            Some(stored) => terms::from_proto(stored)?,
        },
        channel: stored.channel,
        sealed_reason: Arc::from(&stored.sealed_reason[..]),
        ladder: stored.ladder.as_ref().map(super::attention::ladder_from).unwrap_or_default(),
        at: Timestamp::from_proto(stored.requested_at.as_ref()?)?,
    })
}

fn entry(stored: pb::RosterEntry) -> Option<Entry> {
    Some(Entry {
        name: ParticipantName::parse(&stored.name).ok()?,
        after: stored.after.iter().map(|name| ParticipantName::parse(name).ok()).collect::<Option<_>>()?,
        keys: stored.jwk_json,
        owner: (!stored.owner.is_empty()).then(|| stored.owner.as_str().into()),
        deadline: (stored.deadline_ms > 0).then(|| Duration::from_millis(stored.deadline_ms)),
        item_kinds: stored.item_kinds.into_iter().filter_map(wire::item_kind_from).collect(),
        freezes: stored.freezes,
    })
}

/// A new event as the store would give it back.
#[cfg(test)]
pub(crate) fn recorded_for_test(event: &NewEvent, at: Timestamp) -> Recorded {
    Recorded {
        position: event_store::Position(0),
        stream: StreamId::new("can_1"),
        version: 0,
        id: event.id,
        kind: event.kind.as_ref().into(),
        schema: event.schema,
        at,
        metadata: crate::app::metadata("".into(), "", ""),
        payload: event.payload.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(terms: Option<pb::Terms>) -> Result<Decoded, Unreadable> {
        let scope = Some(wire::scope(&Scope::WholeAccount));
        let requested_at = Some(Timestamp::EPOCH.to_proto());
        let (cancellation_id, subject_id) = ("can_1".into(), "sbj_1".into());
        let stored =
            pb::Requested { cancellation_id, subject_id, scope, requested_at, terms, ..Default::default() };
        decode(&recorded_for_test(&Encoded::of(&stored).into(), Timestamp::EPOCH))
    }

    #[test]
    fn a_request_of_the_first_release_stands_under_no_terms_and_one_that_is_broken_is_not_read_as_such() {
        let Ok(Decoded::Case(Event::Requested(first))) = read(None) else { panic!("it is read") };
        assert_eq!(first.terms, Terms::default());
        let clock = Some(pb::CaseClock { rule: "no end".into(), ..Default::default() });
        let broken = read(Some(pb::Terms { pack: "cn".into(), clock, ..Default::default() }));
        assert!(broken.is_err());
    }
}
