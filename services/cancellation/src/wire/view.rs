//! A cancellation as callers see it.

use std::sync::Arc;

use bytes::Bytes;
use event_store::Listed;
use participant::wire;
use prost::Message as _;
use proto::{cancellation::v1 as pb, participant::v1 as contract_pb};
use types::Timestamp;

use super::{outcome_to, terms};
use crate::{
    domain::{Answer, Case, Entry, Kind, Outcome, Phase, Progress},
    quote,
};

/// The state's word.
pub(crate) fn state_of(phase: Phase) -> pb::State {
    match phase {
        Phase::Assessing => pb::State::Assessing,
        Phase::Blocked => pb::State::Blocked,
        Phase::AwaitingConfirmation => pb::State::AwaitingConfirmation,
        Phase::CoolingOff => pb::State::CoolingOff,
        Phase::Executing => pb::State::Executing,
        Phase::Completed => pb::State::Completed,
        Phase::Revoking => pb::State::Revoking,
        Phase::Revoked => pb::State::Revoked,
        Phase::Rejected => pb::State::Rejected,
        Phase::Expired => pb::State::Expired,
    }
}

/// The whole of it.
pub(crate) fn view(case: &Case, version: u64) -> pb::Cancellation {
    let request = &case.request;
    let executing = case.phase == Phase::Executing || case.phase == Phase::Completed;
    let accepted = executing || case.phase == Phase::CoolingOff;
    let confirmed_at = case.confirmation.as_ref().map(|confirmation| confirmation.at);
    pb::Cancellation {
        cancellation_id: request.id.to_string(),
        subject_id: request.subject.to_string(),
        scope: Some(wire::scope(&request.scope)),
        state: state_of(case.phase).into(),
        blockers: if executing { Vec::new() } else { blockers(case) },
        // While a new round of assessments gathers, what was confirmed before is no quote any more.
        quote: (case.quote.is_some() || (executing && case.confirmation.is_some())).then(|| quoted(case)),
        participants: case
            .participants()
            .map(|(entry, progress)| participant_of(case, entry, progress))
            .collect(),
        undo_until: case.undo_until().filter(|_| accepted).map(Timestamp::to_proto),
        requested_at: Some(request.at.to_proto()),
        confirmed_at: confirmed_at.map(Timestamp::to_proto),
        ended_at: case.ended_at.map(Timestamp::to_proto),
        rejections: rejections(case),
        channel: request.channel.clone(),
        version,
        attention: case.attention.iter().map(|told| super::attention(case, told)).collect(),
        receipt_version: u32::try_from(case.receipts.len()).unwrap_or(u32::MAX),
        closed_by_cancellation_id: case.closed_by.as_ref().map(ToString::to_string).unwrap_or_default(),
        terms: terms::to_proto(&request.terms),
        cooling_off_until: case
            .cooling_off_until
            .filter(|_| case.phase == Phase::CoolingOff)
            .map(Timestamp::to_proto),
        due_at: case.due().map(Timestamp::to_proto),
        differences: case.differences.iter().map(terms::difference_to).collect(),
        extension: case.extension.as_ref().map(|extension| pb::Extension {
            extended_at: Some(extension.at.to_proto()),
            due_at: case.extended_due().map(Timestamp::to_proto),
            notice_by: case.notice_by().map(Timestamp::to_proto),
            told_at: extension.told_at.map(Timestamp::to_proto),
        }),
    }
}

/// What the list alone says of one whose history cannot be read.
pub(crate) fn view_of_row(row: &Listed) -> pb::Cancellation {
    pb::Cancellation {
        cancellation_id: row.stream.to_string(),
        subject_id: row.owner.to_string(),
        state: pb::State::from_str_name(&row.state).unwrap_or_default().into(),
        requested_at: Some(row.since.to_proto()),
        ..pb::Cancellation::default()
    }
}

fn quoted(case: &Case) -> pb::Quote {
    let content = quote::content(case);
    let canonical = content.encode_to_vec();
    pb::Quote {
        digest: quote::hex(&quote::digest(&canonical)),
        items: content.assessments.into_iter().flat_map(|assessment| assessment.items).collect(),
        canonical: Bytes::from(canonical),
    }
}

/// Everything that participants say must be cleared first.
pub(crate) fn blockers(case: &Case) -> Vec<contract_pb::Blocker> {
    assessments(case).flat_map(|assessment| assessment.blockers).collect()
}

/// Why it cannot be asked at all.
pub(crate) fn rejections(case: &Case) -> Vec<contract_pb::Rejection> {
    assessments(case).flat_map(|assessment| assessment.rejections).collect()
}

fn assessments(case: &Case) -> impl Iterator<Item = contract_pb::Assessment> {
    let open = case.progress.iter().filter(|progress| !progress.is_finished());
    open.filter_map(|progress| decoded(progress.assessment.as_ref()?).assessment)
}

/// What was signed. It was decoded before it was recorded, so it decodes.
pub(crate) fn decoded(answer: &Answer) -> contract_pb::Acknowledgement {
    contract_pb::Acknowledgement::decode(&*answer.signed.bytes).unwrap_or_default()
}

fn participant_of(case: &Case, entry: &Entry, progress: &Progress) -> pb::Participant {
    let last = match case.phase {
        Phase::Executing | Phase::Completed => progress.execution.as_ref(),
        Phase::Revoking | Phase::Revoked if progress.undo_epoch.is_some() => progress.undo.as_ref(),
        _ if progress.is_finished() => progress.execution.as_ref(),
        Phase::CoolingOff if progress.freeze_epoch.is_some() && !case.recheck => progress.freeze.as_ref(),
        _ => progress.assessment.as_ref(),
    };
    let says_more = |answer: &&Arc<Answer>| {
        let more = matches!(
            answer.outcome,
            Outcome::Waiting | Outcome::Failed | Outcome::Exempt | Outcome::Restricted
        );
        more || matches!(answer.kind, Kind::Freeze | Kind::Undo)
    };
    let told = last.filter(says_more).map(|answer| decoded(answer)).unwrap_or_default();
    pb::Participant {
        name: entry.name.to_string(),
        state: participant_state(case, progress).into(),
        outcome: last.map_or(contract_pb::Outcome::Unspecified, |answer| outcome_to(answer.outcome)).into(),
        waiting: told.waiting,
        kept: told.kept,
        failure: told.failure,
        acknowledged_at: last.map(|answer| answer.at.to_proto()),
        after: entry.after.iter().map(ToString::to_string).collect(),
        remaining: told.remaining,
        undo_until: told.undo_until,
        attestation: progress.attestation.as_deref().map(super::operations::attestation),
    }
}

fn participant_state(case: &Case, progress: &Progress) -> pb::ParticipantState {
    let outcome = |answer: &Option<Arc<Answer>>| answer.as_ref().map(|answer| answer.outcome);
    let revoked = matches!(case.phase, Phase::Revoking | Phase::Revoked);
    if revoked && progress.attestation.is_some() {
        return pb::ParticipantState::Undone;
    }
    if progress.is_finished() {
        return pb::ParticipantState::Finished;
    }
    match case.phase {
        Phase::Executing | Phase::Completed => match outcome(&progress.execution) {
            Some(Outcome::Waiting) => pb::ParticipantState::Waiting,
            Some(Outcome::Failed) => pb::ParticipantState::Failed,
            Some(_) => pb::ParticipantState::Instructed,
            None if progress.execute_epoch.is_some_and(|told| told >= case.round) => {
                pb::ParticipantState::Instructed
            }
            None => pb::ParticipantState::Pending,
        },
        Phase::Revoking | Phase::Revoked if progress.undo_epoch.is_some() => match outcome(&progress.undo) {
            Some(outcome) if outcome.is_success() => pb::ParticipantState::Undone,
            Some(Outcome::Failed) => pb::ParticipantState::NotUndone,
            Some(_) | None => pb::ParticipantState::Undoing,
        },
        Phase::CoolingOff
            if !case.recheck && outcome(&progress.freeze).is_some_and(|outcome| outcome == Outcome::Done) =>
        {
            pb::ParticipantState::Frozen
        }
        _ => match outcome(&progress.assessment) {
            Some(Outcome::Assessed) => pb::ParticipantState::Assessed,
            Some(Outcome::Waiting) => pb::ParticipantState::Waiting,
            Some(Outcome::Failed) => pb::ParticipantState::Failed,
            Some(_) | None => pb::ParticipantState::Assessing,
        },
    }
}
