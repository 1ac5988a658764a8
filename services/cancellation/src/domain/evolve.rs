//! Applies facts.

use std::{sync::Arc, time::Duration};

use types::ParticipantName;

use super::{
    Answer, Attestation, Event, Extension, Kind, Outcome, attention,
    state::{Case, Confirmation, Phase, Progress, RECEIPT_VERSIONS_MAX, State},
};

/// Applies one recorded fact. Total: it cannot fail, panic or consult anything but its arguments.
#[must_use]
pub fn evolve(state: State, event: Event) -> State {
    match (state, event) {
        (None, Event::Requested(request)) => Some(Box::new(Case {
            progress: vec![Progress::default(); request.roster.len()],
            phase: Phase::Assessing,
            at: request.at,
            epoch: 0,
            round: 0,
            quote: None,
            confirmation: None,
            tokens_used: Vec::new(),
            cooling_off_until: None,
            recheck: false,
            differences: Vec::new(),
            waiting_since: None,
            waited: Duration::ZERO,
            receipts: Vec::new(),
            amendment_due: false,
            attention: Vec::new(),
            extension: None,
            ended_at: None,
            closed_by: None,
            request,
        })),
        (Some(case), event) => Some(apply(case, event)),
        // Named, not `_`: a new event must be a compile error here.
        (
            None,
            Event::Instructed { .. }
            | Event::Acknowledged(_)
            | Event::Blocked { .. }
            | Event::Quoted { .. }
            | Event::Confirmed { .. }
            | Event::CooledOff { .. }
            | Event::Drifted { .. }
            | Event::Operated(_)
            | Event::Extended { .. }
            | Event::ExtensionNoticed { .. }
            | Event::Attested(_)
            | Event::AttentionRaised(_)
            | Event::AttentionCleared { .. }
            | Event::Completed { .. }
            | Event::Amended { .. }
            | Event::Revoking { .. }
            | Event::Revoked { .. }
            | Event::Rejected { .. }
            | Event::Expired { .. },
        ) => None,
    }
}

fn apply(mut case: Box<Case>, event: Event) -> Box<Case> {
    match event {
        Event::Requested(_) => {}
        Event::Instructed { kind, epoch, participants } => told(&mut case, kind, epoch, &participants),
        Event::Acknowledged(answer) => acknowledged(&mut case, answer),
        Event::Blocked { at } => {
            case.phase = Phase::Blocked;
            case.quote = None;
            case.waiting_since.get_or_insert(at);
        }
        Event::Quoted { digest, at } => {
            case.phase = Phase::AwaitingConfirmation;
            case.quote = Some(digest);
            case.recheck = false;
            case.waiting_since.get_or_insert(at);
        }
        Event::Confirmed { digest, token_ids, cooling_off_until, at } => {
            case.confirmation = Some(Confirmation { digest, at });
            case.tokens_used.extend(token_ids);
            case.waited += case.waiting_since.take().map_or(Duration::ZERO, |since| at.since(since));
            for progress in &mut case.progress {
                progress.accepted.clone_from(&progress.assessment);
            }
            if cooling_off_until.is_some() {
                case.phase = Phase::CoolingOff;
                case.cooling_off_until = cooling_off_until;
            }
        }
        Event::CooledOff { at: _ } => case.recheck = true,
        Event::Drifted { digest, differences, at: _ } => {
            case.quote = Some(digest);
            case.differences = differences;
        }
        Event::Completed { receipt, at } => {
            case.phase = Phase::Completed;
            case.receipts = vec![receipt];
            case.ended_at = Some(at);
        }
        Event::Operated(_) => {}
        Event::Extended { due: _, told_at, at } => case.extension = Some(Extension { at, told_at }),
        Event::ExtensionNoticed { told_at, at: _ } => {
            case.extension.iter_mut().for_each(|extension| extension.told_at = Some(told_at));
        }
        Event::Attested(attestation) => attested(&mut case, attestation),
        Event::AttentionRaised(raised) => attention::raise(&mut case, raised),
        Event::AttentionCleared { cause, participant, at: _ } => {
            attention::clear(&mut case, cause, participant.as_ref());
        }
        Event::Amended { receipt, unfinished: _, at: _ } => {
            case.receipts.push(receipt);
            case.amendment_due = false;
            case.progress.iter_mut().for_each(|progress| progress.untold = 0);
        }
        Event::Revoking { sealed_reason: _, at: _ } => case.phase = Phase::Revoking,
        Event::Revoked { sealed_reason: _, at } => {
            case.phase = Phase::Revoked;
            case.ended_at = Some(at);
        }
        Event::Rejected { at } => {
            case.phase = Phase::Rejected;
            case.ended_at = Some(at);
        }
        Event::Expired { by, at } => {
            case.phase = Phase::Expired;
            case.ended_at = Some(at);
            case.closed_by = Some(by);
        }
    }
    case
}

fn attested(case: &mut Case, attestation: Arc<Attestation>) {
    let Some(index) = case.index_of(&attestation.participant) else { return };
    case.progress[index].attestation = Some(attestation);
    case.amendment_due = case.phase == Phase::Completed;
}

fn told(case: &mut Case, kind: Kind, epoch: u32, participants: &[ParticipantName]) {
    case.epoch = epoch;
    for name in participants {
        let Some(index) = case.index_of(name) else { continue };
        case.progress[index].told = Some((kind, case.at));
        instructed(&mut case.progress[index], kind, epoch);
    }
    match kind {
        // What was accepted stands until all of it was looked at again.
        Kind::Assess if case.phase == Phase::CoolingOff => {}
        Kind::Assess => {
            case.phase = Phase::Assessing;
            case.quote = None;
        }
        Kind::Execute => {
            if case.phase != Phase::Executing {
                case.round = epoch;
            }
            case.phase = Phase::Executing;
            case.recheck = false;
            // What blocked until now was cleared, and nothing is asked of the subject.
            let since = case.waiting_since.take();
            case.waited += since.map_or(Duration::ZERO, |since| case.at.since(since));
        }
        Kind::Freeze | Kind::Undo => {}
    }
}

fn instructed(progress: &mut Progress, kind: Kind, epoch: u32) {
    match kind {
        Kind::Assess => {
            progress.assess_epoch = Some(epoch);
            progress.assessment = None;
        }
        Kind::Execute => {
            progress.execute_epoch = Some(epoch);
            progress.execution = None;
        }
        Kind::Freeze => {
            progress.freeze_epoch = Some(epoch);
            progress.freeze = None;
        }
        Kind::Undo => {
            progress.undo_epoch = Some(epoch);
            progress.undo = None;
        }
    }
}

fn acknowledged(case: &mut Case, answer: Arc<Answer>) {
    let Some(index) = case.index_of(&answer.participant) else { return };
    let progress = &mut case.progress[index];
    progress.answered_at = Some(case.at);
    progress.last = progress.last.max((answer.epoch, answer.revision));
    match answer.kind {
        Kind::Assess => {
            let same = answer.outcome == Outcome::Assessed
                && progress.assessment.as_ref().is_some_and(|before| before.digest == answer.digest);
            progress.assessment = Some(answer);
            // What the subject was asked to accept is no longer what will happen.
            if case.phase == Phase::AwaitingConfirmation && !same {
                case.phase = Phase::Assessing;
                case.quote = None;
            }
        }
        Kind::Execute => {
            progress.attestation = None;
            progress.execution = Some(answer);
            // What the receipt says is no longer what was said last.
            match case.phase {
                Phase::Completed if case.receipts.len() < RECEIPT_VERSIONS_MAX => case.amendment_due = true,
                Phase::Completed => progress.untold = progress.untold.saturating_add(1),
                _ => {}
            }
        }
        Kind::Freeze => progress.freeze = Some(answer),
        Kind::Undo => progress.undo = Some(answer),
    }
}
