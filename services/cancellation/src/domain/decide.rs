//! Says which facts a command adds.

use std::sync::Arc;

use types::{ParticipantName, Timestamp};

use super::{
    Answer, Command, Digest, Event, Kind, Outcome, Request, Token, attention, cooling, evolve, late, operate,
    revoke,
    state::{Case, Phase, State, Want},
};

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// There is no such cancellation.
    #[error("there is no such cancellation")]
    Unknown,
    /// Nobody would have anything to do.
    #[error("no participant has anything to do with this scope")]
    NothingToCancel,
    /// The answer comes from somebody who is not on the roster.
    #[error("{0} is not on this cancellation's roster")]
    UnknownParticipant(ParticipantName),
    /// Assessments are still awaited.
    #[error("the quote is not ready: participants are still assessing")]
    NotQuoted,
    /// Something must be cleared first.
    #[error("something must be cleared first")]
    Blocked,
    /// The digest is not the quote's.
    #[error("the quote has changed since: show the new one")]
    QuoteChanged,
    /// Another quote was confirmed before.
    #[error("another quote was confirmed before")]
    AlreadyConfirmed,
    /// It has ended.
    #[error("the cancellation has ended")]
    Ended,
    /// Too few tokens.
    #[error("{required} verification tokens are needed, {given} were given")]
    TokensMissing {
        /// How many are needed.
        required: u32,
        /// How many different ones were given.
        given: u32,
    },
    /// A token of another subject or cancellation.
    #[error("a verification token was made for another subject or cancellation")]
    TokenForeign,
    /// A token that is no longer good.
    #[error("a verification token has expired")]
    TokenExpired,
    /// A token that an earlier confirmation used up.
    #[error("a verification token was used before")]
    TokenUsed,
    /// Nothing of the kind waits for a person.
    #[error("nothing of the kind waits for a person")]
    NothingWaits,
    /// Of that participant no end is missing.
    #[error("nothing is awaited of {0} that could be done once more or attested")]
    NotAwaited(ParticipantName),
    /// That participant has not failed, nor is it late.
    #[error("{0} has not failed and is not late")]
    NotLate(ParticipantName),
    /// Its clock has no extension, or has had it.
    #[error("its clock has no extension, or has had it")]
    NotExtendable,
    /// The subject cannot be told of an extension in time any more, or was told too late.
    #[error("it is too late to tell the subject of an extension")]
    ExtensionTooLate,
    /// There is no extension of which the subject could have been told.
    #[error("its clock was not extended")]
    NotExtended,
    /// Too late to revoke, or to assess again.
    #[error("execution has started")]
    ExecutionStarted,
    /// Confirmed, and everything is assessed again when that is over.
    #[error("the subject may think again, and everything is assessed when that time is over")]
    CoolingOff,
    /// It is being taken back.
    #[error("the cancellation is being revoked")]
    Revoking,
}

/// Says which facts a command adds to this state, or why it is refused.
///
/// # Errors
/// [`Rejection`].
pub fn decide(state: &State, command: Command) -> Result<Vec<Event>, Rejection> {
    let Some(case) = state else {
        return match command {
            Command::Request(request) => open(*request),
            Command::Acknowledge(_)
            | Command::Quote { .. }
            | Command::Recheck { .. }
            | Command::Wake { .. }
            | Command::Reassess
            | Command::Confirm { .. }
            | Command::Revoke { .. }
            | Command::Expire { .. }
            | Command::Operate(_)
            | Command::Seal { .. }
            | Command::Amend { .. } => Err(Rejection::Unknown),
        };
    };
    match command {
        // Clients retry: repeating what is already recorded adds nothing.
        Command::Request(_) => Ok(Vec::new()),
        Command::Acknowledge(answer) => acknowledge(case, answer),
        Command::Quote { digest, now } => Ok(quote(case, digest, now)),
        Command::Recheck { digest, differences, now } => Ok(cooling::recheck(case, digest, differences, now)),
        Command::Wake { now } => Ok(wake(case, now)),
        Command::Reassess => reassess(case),
        Command::Confirm { digest, tokens, now } => confirm(case, digest, &tokens, now),
        Command::Revoke { sealed_reason, now } => revoke::revoke(case, sealed_reason, now),
        Command::Expire { by, now } => Ok(revoke::expire(case, by, now)),
        Command::Seal { receipt, now } => Ok(seal(case, receipt, now)),
        Command::Operate(operation) => operate::operate(case, operation),
        Command::Amend { receipt, now } => Ok(late::amend(case, receipt, now)),
    }
}

/// What is due by itself by now; and where nothing is, what waits for a person.
fn wake(case: &Case, now: Timestamp) -> Vec<Event> {
    let due = cooling::wake(case, now);
    if due.is_empty() { attention::settle(case, now) } else { due }
}

fn open(request: Request) -> Result<Vec<Event>, Rejection> {
    if request.roster.is_empty() {
        return Err(Rejection::NothingToCancel);
    }
    let gates_none = request.gates_none;
    let requested = Event::Requested(Arc::new(request));
    let Some(case) = evolve(None, requested.clone()) else { return Err(Rejection::NothingToCancel) };
    Ok(if gates_none { vec![requested, execute(&case)] } else { vec![requested, assess(&case)] })
}

fn acknowledge(case: &Case, answer: Answer) -> Result<Vec<Event>, Rejection> {
    let Some(index) = case.index_of(&answer.participant) else {
        return Err(Rejection::UnknownParticipant(answer.participant));
    };
    let progress = &case.progress[index];
    let told = match answer.kind {
        Kind::Assess => case.phase.is_before_execution() && progress.assess_epoch == Some(answer.epoch),
        Kind::Execute => progress.execute_epoch == Some(answer.epoch),
        Kind::Freeze => progress.freeze_epoch == Some(answer.epoch),
        Kind::Undo => progress.undo_epoch == Some(answer.epoch),
    };
    if told && answer.outcome == Outcome::Superseded && !progress.is_finished() {
        return Ok(again(case, &answer));
    }
    let news = (answer.epoch, answer.revision) > progress.last && answer.outcome != Outcome::Superseded;
    // Kafka redelivers and participants repeat themselves: only a higher answer to what was asked
    // changes anything.
    if !told || !news || !late::is_heard(case.phase, progress, &answer) {
        return Ok(Vec::new());
    }
    // Not the participant's clock: what follows is ours.
    let at = case.at;
    let changed = answer.outcome == Outcome::Changed;
    let acknowledged = Event::Acknowledged(Arc::new(answer));
    let Some(after) = evolve(Some(Box::new(case.clone())), acknowledged.clone()) else {
        return Ok(Vec::new());
    };
    let mut events = vec![acknowledged];
    if changed && after.phase == Phase::Executing {
        events.push(assess(&after));
    } else {
        events.extend(follow(&after, at));
    }
    Ok(events)
}

/// The participant has seen a later round than any that stands here, which a restored database has
/// forgotten. The same round under a higher number is answered, sooner or later. An instruction that comes
/// twice is answered so too, when others have followed it: only the last that it was told counts.
fn again(case: &Case, answer: &Answer) -> Vec<Event> {
    let last = case.index_of(&answer.participant).and_then(|index| case.progress[index].told);
    if last.is_none_or(|(kind, _)| kind != answer.kind) {
        return Vec::new();
    }
    let told = match answer.kind {
        Kind::Execute if case.phase == Phase::Executing => execute(case),
        Kind::Assess if case.phase != Phase::CoolingOff || case.recheck => assess(case),
        Kind::Freeze if case.phase == Phase::CoolingOff => next_round(case, Kind::Freeze, case.frozen()),
        Kind::Undo => next_round(case, Kind::Undo, case.named(|_, progress| !progress.is_undone())),
        Kind::Assess | Kind::Execute | Kind::Freeze => return Vec::new(),
    };
    let is_empty = matches!(&told, Event::Instructed { participants, .. } if participants.is_empty());
    if is_empty { Vec::new() } else { vec![told] }
}

/// A round of its own, under the next number.
pub(super) fn next_round(case: &Case, kind: Kind, participants: Vec<ParticipantName>) -> Event {
    Event::Instructed { kind, epoch: case.epoch.saturating_add(1), participants }
}

/// Everybody who has not finished assesses, once more where they have.
pub(super) fn assess(case: &Case) -> Event {
    next_round(case, Kind::Assess, case.unfinished())
}

/// Those whose turn has come execute, in a round of its own; the others follow in it.
pub(super) fn execute(case: &Case) -> Event {
    next_round(case, Kind::Execute, case.ready(case.epoch.saturating_add(1)))
}

/// What follows by itself from the state that an answer left.
pub(super) fn follow(case: &Case, at: Timestamp) -> Vec<Event> {
    match case.phase {
        Phase::Executing => {
            let (kind, epoch, participants) = (Kind::Execute, case.epoch, case.ready(case.round));
            let told = Event::Instructed { kind, epoch, participants: participants.clone() };
            if participants.is_empty() { Vec::new() } else { vec![told] }
        }
        Phase::CoolingOff if !case.recheck => Vec::new(),
        Phase::Assessing | Phase::Blocked | Phase::AwaitingConfirmation | Phase::CoolingOff
            if case.all_assessed() =>
        {
            if case.any_rejected() && !case.has_executed() {
                revoke::reject(case, at)
            } else if case.any_blocked() && case.phase != Phase::Blocked {
                vec![Event::Blocked { at }]
            } else {
                Vec::new()
            }
        }
        Phase::Revoking => revoke::undone(case, at).into_iter().collect(),
        Phase::Assessing
        | Phase::Blocked
        | Phase::AwaitingConfirmation
        | Phase::CoolingOff
        | Phase::Completed
        | Phase::Revoked
        | Phase::Rejected
        | Phase::Expired => Vec::new(),
    }
}

fn quote(case: &Case, digest: Digest, at: Timestamp) -> Vec<Event> {
    let wanted = case.wants() == Some(Want::Quote);
    if wanted { vec![Event::Quoted { digest, at }] } else { Vec::new() }
}

fn seal(case: &Case, receipt: String, at: Timestamp) -> Vec<Event> {
    let wanted = case.wants() == Some(Want::Receipt);
    if wanted { vec![Event::Completed { receipt, at }] } else { Vec::new() }
}

pub(super) fn reassess(case: &Case) -> Result<Vec<Event>, Rejection> {
    match case.phase {
        Phase::Assessing | Phase::Blocked | Phase::AwaitingConfirmation => Ok(vec![assess(case)]),
        // Nothing else would have another try at what failed.
        Phase::Executing if case.any_failed() => Ok(vec![assess(case)]),
        Phase::Executing => Err(Rejection::ExecutionStarted),
        Phase::CoolingOff if case.recheck => Ok(vec![assess(case)]),
        Phase::CoolingOff => Err(Rejection::CoolingOff),
        Phase::Revoking => Err(Rejection::Revoking),
        Phase::Completed | Phase::Revoked | Phase::Rejected | Phase::Expired => Err(Rejection::Ended),
    }
}

fn confirm(case: &Case, digest: Digest, tokens: &[Token], at: Timestamp) -> Result<Vec<Event>, Rejection> {
    match case.phase {
        Phase::AwaitingConfirmation => {}
        Phase::CoolingOff | Phase::Executing | Phase::Completed => {
            // Where a restored copy has forgotten the confirmation, and the ledger says that it was given,
            // it was of this quote.
            let accepted = case.confirmation.as_ref().map(|before| before.digest).or(case.quote);
            if accepted != Some(digest) {
                return Err(Rejection::AlreadyConfirmed);
            }
            check_tokens(case, tokens, at, true)?;
            return Ok(Vec::new());
        }
        Phase::Assessing => return Err(Rejection::NotQuoted),
        Phase::Blocked => return Err(Rejection::Blocked),
        Phase::Revoking => return Err(Rejection::Revoking),
        Phase::Revoked | Phase::Rejected | Phase::Expired => return Err(Rejection::Ended),
    }
    if case.quote != Some(digest) {
        return Err(Rejection::QuoteChanged);
    }
    let token_ids = check_tokens(case, tokens, at, false)?;
    let cooling_off = case.request.terms.cooling_off;
    // It is given once: who is asked again because the facts moved has had it.
    let cools = !cooling_off.is_zero() && case.cooling_off_until.is_none() && !case.has_executed();
    let cooling_off_until = cools.then(|| at.plus(cooling_off));
    let mut events = vec![Event::Confirmed { digest, token_ids, cooling_off_until, at }];
    if !cools {
        events.push(execute(case));
    } else if let participants = case.to_freeze()
        && !participants.is_empty()
    {
        events.push(next_round(case, Kind::Freeze, participants));
    }
    Ok(events)
}

/// The tokens' ids. A confirmation that is given `again` is shown to be its giver's by what it was given with,
/// however long ago that was.
fn check_tokens(
    case: &Case,
    tokens: &[Token],
    now: Timestamp,
    again: bool,
) -> Result<Vec<String>, Rejection> {
    let mut ids: Vec<String> = Vec::new();
    for token in tokens {
        if token.subject != case.request.subject.as_str() || token.cancellation != case.request.id.as_str() {
            return Err(Rejection::TokenForeign);
        }
        let used = case.tokens_used.contains(&token.id);
        let served = again && (used || case.confirmation.is_none());
        if token.expires_at <= now && !served {
            return Err(Rejection::TokenExpired);
        }
        if used && !again {
            return Err(Rejection::TokenUsed);
        }
        if !ids.contains(&token.id) {
            ids.push(token.id.clone());
        }
    }
    let given = u32::try_from(ids.len()).unwrap_or(u32::MAX);
    let required = case.request.tokens_required;
    if given < required {
        return Err(Rejection::TokensMissing { required, given });
    }
    Ok(ids)
}
