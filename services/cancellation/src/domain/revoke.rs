//! The way back. Until the first instruction to execute it is open; what was suspended is taken back,
//! and told.

use std::sync::Arc;

use types::{CancellationId, ParticipantName, Timestamp};

use super::{
    Event, Kind, Rejection,
    decide::{execute, next_round},
    state::{Case, Phase, Progress},
};

/// The subject wants it no more. Of this and the first instruction to execute exactly one is recorded.
pub(super) fn revoke(case: &Case, sealed_reason: Arc<[u8]>, at: Timestamp) -> Result<Vec<Event>, Rejection> {
    match case.phase {
        Phase::Revoked | Phase::Revoking => Ok(Vec::new()),
        Phase::Completed | Phase::Rejected | Phase::Expired => Err(Rejection::Ended),
        Phase::Executing => Err(Rejection::ExecutionStarted),
        _ if case.has_executed() => Err(Rejection::ExecutionStarted),
        Phase::Assessing | Phase::Blocked | Phase::AwaitingConfirmation | Phase::CoolingOff => {
            let undo = undo_all(case);
            Ok(if case.frozen().is_empty() {
                and(Event::Revoked { sealed_reason, at }, undo)
            } else {
                and(Event::Revoking { sealed_reason, at }, undo)
            })
        }
    }
}

/// The end of it, once everybody has said what became of what they had suspended, or had done.
pub(super) fn undone(case: &Case, at: Timestamp) -> Option<Event> {
    let all = case.phase == Phase::Revoking && case.progress.iter().all(Progress::is_undone);
    all.then(|| Event::Revoked { sealed_reason: Arc::from([]), at })
}

/// It cannot be asked at all; what was suspended for it is let go.
pub(super) fn reject(case: &Case, at: Timestamp) -> Vec<Event> {
    and(Event::Rejected { at }, undo(case))
}

/// The account is closed. What is being executed goes on: participants answer that nothing is left, and it
/// ends by itself. What has come back to the subject does not: nobody can confirm for an account that is
/// closed. Where it was this very one that closed it, it goes on: it was confirmed, and an older copy of a
/// database has forgotten that it is done, or somebody works on after the account is closed.
pub(super) fn expire(case: &Case, by: CancellationId, at: Timestamp) -> Vec<Event> {
    if !case.phase.is_before_execution() {
        return Vec::new();
    }
    if case.request.id == by {
        return vec![execute(case)];
    }
    and(Event::Expired { by, at }, undo(case))
}

/// An end, and who is told of it.
fn and(end: Event, told: Option<Event>) -> Vec<Event> {
    [Some(end), told].into_iter().flatten().collect()
}

fn undo(case: &Case) -> Option<Event> {
    told_to_undo(case, case.frozen())
}

/// Whoever revokes is told what stands, also by those that were told nothing but to assess: a database
/// restored from an older copy may have forgotten a confirmation, whom it had suspend, and what was done since.
/// Who has nothing to take back says so, and what comes late finds it taken back.
fn undo_all(case: &Case) -> Option<Event> {
    told_to_undo(case, case.unfinished())
}

fn told_to_undo(case: &Case, participants: Vec<ParticipantName>) -> Option<Event> {
    (!participants.is_empty()).then(|| next_round(case, Kind::Undo, participants))
}
