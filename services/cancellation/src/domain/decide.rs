//! Says which facts a command adds.

use std::sync::Arc;

use types::{CancellationId, ParticipantName, Timestamp};

use super::{
    Answer, Command, Digest, Event, Kind, Outcome, Request, Token, evolve,
    state::{Case, Phase, State},
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
    /// Too late to revoke, or to assess again.
    #[error("execution has started")]
    ExecutionStarted,
}

/// Says which facts a command adds to this state, or why it is refused.
///
/// # Errors
/// [`Rejection`].
pub fn decide(state: &State, command: Command) -> Result<Vec<Event>, Rejection> {
    let Some(case) = state else {
        return match command {
            Command::Request(request) => open(request),
            Command::Acknowledge(_)
            | Command::Quote { .. }
            | Command::Reassess
            | Command::Confirm { .. }
            | Command::Revoke { .. }
            | Command::Expire { .. }
            | Command::Seal { .. } => Err(Rejection::Unknown),
        };
    };
    match command {
        // Clients retry: repeating what is already recorded adds nothing.
        Command::Request(_) => Ok(Vec::new()),
        Command::Acknowledge(answer) => acknowledge(case, answer),
        Command::Quote { digest } => Ok(quote(case, digest)),
        Command::Reassess => reassess(case),
        Command::Confirm { digest, tokens, now } => confirm(case, digest, &tokens, now),
        Command::Revoke { sealed_reason, now } => revoke(case, sealed_reason, now),
        Command::Expire { by, now } => Ok(expire(case, by, now)),
        Command::Seal { receipt, now } => Ok(seal(case, receipt, now)),
    }
}

fn open(request: Request) -> Result<Vec<Event>, Rejection> {
    if request.roster.is_empty() {
        return Err(Rejection::NothingToCancel);
    }
    let gates_none = request.gates_none;
    let requested = Event::Requested(Arc::new(request));
    let Some(case) = evolve(None, requested.clone()) else { return Err(Rejection::NothingToCancel) };
    let (kind, participants) =
        if gates_none { (Kind::Execute, case.ready(1)) } else { (Kind::Assess, case.unfinished()) };
    Ok(vec![requested, Event::Instructed { kind, epoch: 1, participants }])
}

fn acknowledge(case: &Case, answer: Answer) -> Result<Vec<Event>, Rejection> {
    let Some(index) = case.index_of(&answer.participant) else {
        return Err(Rejection::UnknownParticipant(answer.participant));
    };
    let progress = &case.progress[index];
    let told = match answer.kind {
        Kind::Assess => case.phase.is_before_execution() && progress.assess_epoch == Some(answer.epoch),
        Kind::Execute => progress.execute_epoch == Some(answer.epoch),
        Kind::Freeze | Kind::Undo => false,
    };
    if told && answer.outcome == Outcome::Superseded && !progress.is_finished() {
        return Ok(again(case, &answer));
    }
    let news = (answer.epoch, answer.revision) > progress.last && answer.outcome != Outcome::Superseded;
    // Kafka redelivers and participants repeat themselves: only a higher answer to what was asked
    // changes anything.
    if !told || !news || case.phase.is_ended() || progress.is_finished() {
        return Ok(Vec::new());
    }
    let at = answer.at;
    let changed = answer.outcome == Outcome::Changed;
    let acknowledged = Event::Acknowledged(Arc::new(answer));
    let Some(after) = evolve(Some(Box::new(case.clone())), acknowledged.clone()) else {
        return Ok(Vec::new());
    };
    let mut events = vec![acknowledged];
    if changed && after.phase == Phase::Executing {
        events.extend(assess_again(&after));
    } else {
        events.extend(follow(&after, at));
    }
    Ok(events)
}

/// The participant has seen a later round than any that stands here, which a restored database has
/// forgotten. The same round under a higher number is answered, sooner or later.
fn again(case: &Case, answer: &Answer) -> Vec<Event> {
    let epoch = case.epoch.saturating_add(1);
    let participants = match answer.kind {
        _ if answer.epoch != case.epoch => Vec::new(),
        Kind::Execute if case.phase == Phase::Executing => case.ready(epoch),
        Kind::Assess => case.unfinished(),
        Kind::Execute | Kind::Freeze | Kind::Undo => Vec::new(),
    };
    let told = Event::Instructed { kind: answer.kind, epoch, participants: participants.clone() };
    if participants.is_empty() { Vec::new() } else { vec![told] }
}

/// What follows by itself from the state that an answer left.
fn follow(case: &Case, at: Timestamp) -> Option<Event> {
    match case.phase {
        Phase::Executing => {
            let participants = case.ready(case.epoch);
            (!participants.is_empty()).then_some(Event::Instructed {
                kind: Kind::Execute,
                epoch: case.epoch,
                participants,
            })
        }
        Phase::Assessing | Phase::Blocked | Phase::AwaitingConfirmation if case.all_assessed() => {
            if case.any_rejected() && !case.has_executed() {
                Some(Event::Rejected { at })
            } else if case.any_blocked() && case.phase != Phase::Blocked {
                Some(Event::Blocked)
            } else {
                None
            }
        }
        Phase::Assessing
        | Phase::Blocked
        | Phase::AwaitingConfirmation
        | Phase::Completed
        | Phase::Revoked
        | Phase::Rejected
        | Phase::Expired => None,
    }
}

fn quote(case: &Case, digest: Digest) -> Vec<Event> {
    match case.wants() {
        Some(super::Want::Quote) => vec![Event::Quoted { digest }],
        Some(super::Want::Receipt) | None => Vec::new(),
    }
}

fn seal(case: &Case, receipt: String, at: Timestamp) -> Vec<Event> {
    match case.wants() {
        Some(super::Want::Receipt) => vec![Event::Completed { receipt, at }],
        Some(super::Want::Quote) | None => Vec::new(),
    }
}

fn reassess(case: &Case) -> Result<Vec<Event>, Rejection> {
    match case.phase {
        Phase::Assessing | Phase::Blocked | Phase::AwaitingConfirmation => Ok(assess_again(case)),
        // Nothing else would have another try at what failed.
        Phase::Executing if case.any_failed() => Ok(assess_again(case)),
        Phase::Executing => Err(Rejection::ExecutionStarted),
        Phase::Completed | Phase::Revoked | Phase::Rejected | Phase::Expired => Err(Rejection::Ended),
    }
}

fn assess_again(case: &Case) -> Vec<Event> {
    let participants = case.unfinished();
    vec![Event::Instructed { kind: Kind::Assess, epoch: case.epoch.saturating_add(1), participants }]
}

fn confirm(case: &Case, digest: Digest, tokens: &[Token], at: Timestamp) -> Result<Vec<Event>, Rejection> {
    match case.phase {
        Phase::AwaitingConfirmation => {}
        Phase::Executing | Phase::Completed => {
            let same = case.confirmation.as_ref().is_some_and(|before| before.digest == digest);
            return if same { Ok(Vec::new()) } else { Err(Rejection::AlreadyConfirmed) };
        }
        Phase::Assessing => return Err(Rejection::NotQuoted),
        Phase::Blocked => return Err(Rejection::Blocked),
        Phase::Revoked | Phase::Rejected | Phase::Expired => return Err(Rejection::Ended),
    }
    if case.quote != Some(digest) {
        return Err(Rejection::QuoteChanged);
    }
    let token_ids = check_tokens(case, tokens, at)?;
    let epoch = case.epoch + 1;
    let confirmed = Event::Confirmed { digest, token_ids, at };
    let instructed = Event::Instructed { kind: Kind::Execute, epoch, participants: case.ready(epoch) };
    Ok(vec![confirmed, instructed])
}

fn check_tokens(case: &Case, tokens: &[Token], now: Timestamp) -> Result<Vec<String>, Rejection> {
    let mut ids: Vec<String> = Vec::new();
    for token in tokens {
        if token.subject != case.request.subject.as_str() || token.cancellation != case.request.id.as_str() {
            return Err(Rejection::TokenForeign);
        }
        if token.expires_at <= now {
            return Err(Rejection::TokenExpired);
        }
        if case.tokens_used.contains(&token.id) {
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

fn revoke(case: &Case, sealed_reason: Arc<[u8]>, at: Timestamp) -> Result<Vec<Event>, Rejection> {
    match case.phase {
        Phase::Revoked => Ok(Vec::new()),
        Phase::Completed | Phase::Rejected | Phase::Expired => Err(Rejection::Ended),
        Phase::Executing => Err(Rejection::ExecutionStarted),
        Phase::Assessing | Phase::Blocked | Phase::AwaitingConfirmation if case.has_executed() => {
            Err(Rejection::ExecutionStarted)
        }
        Phase::Assessing | Phase::Blocked | Phase::AwaitingConfirmation => {
            Ok(vec![Event::Revoked { sealed_reason, at }])
        }
    }
}

/// What is being executed goes on: participants answer that nothing is left, and it ends by itself.
fn expire(case: &Case, by: CancellationId, at: Timestamp) -> Vec<Event> {
    let untouched = case.phase.is_before_execution() && !case.has_executed() && case.request.id != by;
    if untouched { vec![Event::Expired { by, at }] } else { Vec::new() }
}
