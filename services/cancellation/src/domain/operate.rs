//! What operators do to a cancellation. Every deed is recorded with who did it and why, beside what it
//! leads to.

use std::sync::Arc;

use types::{ParticipantName, Timestamp};

use super::{
    Attention, Cause, Event, Kind, Level, Outcome, Rejection,
    attention::{find, settle},
    decide::{follow, next_round, reassess},
    evolve,
    state::{Case, Phase, Progress},
};

/// Something that an operator does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// What.
    pub action: Action,
    /// Who does it.
    pub actor: Arc<str>,
    /// Why.
    pub reason: Words,
    /// When.
    pub at: Timestamp,
}

/// What somebody wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Words {
    /// In clear: an id, or nothing. Releases before had all of them so.
    Clear(Arc<str>),
    /// Sealed with the cancellation's key.
    Sealed(Arc<[u8]>),
}

impl From<&str> for Words {
    fn from(text: &str) -> Self {
        Self::Clear(text.into())
    }
}

/// What an operator can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Say whose something is that waits for a person, and by when.
    Assign {
        /// Which one.
        cause: Cause,
        /// Which one.
        participant: Option<ParticipantName>,
        /// Whose it is from here on.
        owner: Arc<str>,
        /// By when.
        due: Timestamp,
    },
    /// Ask everybody again what blocks and what follows.
    Reassess,
    /// Have one participant execute once more.
    Retry {
        /// Which.
        participant: ParticipantName,
    },
    /// Say that a participant's work was done outside.
    Attest {
        /// Whose.
        participant: ParticipantName,
        /// Where the evidence for it is.
        evidence: String,
    },
    /// Have the clock of the whole run as long as its rule allows, once.
    Extend,
    /// Say that the subject was told of that.
    Notice {
        /// When they were told.
        told_at: Timestamp,
    },
}

/// That a participant's work was done outside, and by whom that was attested. Why is in the record of the deed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attestation {
    /// Whose work.
    pub participant: ParticipantName,
    /// Where the evidence is.
    pub evidence: String,
    /// Who attested it.
    pub actor: Arc<str>,
    /// When.
    pub at: Timestamp,
}

/// The facts that a deed adds: that it was done, and what follows. What was done before adds nothing.
pub(super) fn operate(case: &Case, operation: Operation) -> Result<Vec<Event>, Rejection> {
    let mut effects = match &operation.action {
        Action::Assign { cause, participant, owner, due } => {
            assign(case, (*cause, participant.as_ref()), owner, *due)?
        }
        Action::Reassess => reassess(case)?,
        Action::Retry { participant } => retry(case, participant)?,
        Action::Attest { participant, evidence } => attest(case, participant, evidence, &operation)?,
        Action::Extend => extend(case, &operation)?,
        Action::Notice { told_at } => notice(case, *told_at, operation.at)?,
    };
    if !effects.is_empty() {
        effects.insert(0, Event::Operated(Arc::new(operation)));
    }
    Ok(effects)
}

fn assign(
    case: &Case,
    (cause, participant): (Cause, Option<&ParticipantName>),
    owner: &Arc<str>,
    due: Timestamp,
) -> Result<Vec<Event>, Rejection> {
    let told = find(case, cause, participant).ok_or(Rejection::NothingWaits)?;
    if told.assigned && told.owner == *owner && told.due == due {
        return Ok(Vec::new());
    }
    // Whoever has it from here on has a date of their own; what was overdue for another is not for them.
    let (owner, level) = (owner.clone(), Level::Attention);
    Ok(vec![Event::AttentionRaised(Arc::new(Attention {
        owner,
        due,
        level,
        assigned: true,
        ..told.clone()
    }))])
}

fn retry(case: &Case, name: &ParticipantName) -> Result<Vec<Event>, Rejection> {
    let late =
        |told: &Attention| told.participant.as_ref() == Some(name) && told.cause != Cause::Contradicted;
    let once_more = |kind| Ok(vec![next_round(case, kind, vec![name.clone()])]);
    let stands = |progress: &Progress| match case.phase {
        Phase::Revoking => !progress.is_undone() || progress.is_not_undone(),
        _ => progress.is_not_undone(),
    };
    let undoing = case.index_of(name).is_some_and(|index| stands(&case.progress[index]));
    if undoing && case.attention.iter().any(late) {
        return once_more(Kind::Undo);
    }
    let freezing = case.index_of(name).is_some_and(|index| case.is_freezing(&case.progress[index]));
    if freezing && case.attention.iter().any(late) {
        return once_more(Kind::Freeze);
    }
    let progress = awaited(case, name)?;
    let failed = progress.execution.as_ref().is_some_and(|answer| answer.outcome == Outcome::Failed);
    // Who waits lawfully is left alone.
    if case.phase != Phase::Executing || !(failed || case.attention.iter().any(late)) {
        return Err(Rejection::NotLate(name.clone()));
    }
    once_more(Kind::Execute)
}

fn attest(
    case: &Case,
    name: &ParticipantName,
    evidence: &str,
    operation: &Operation,
) -> Result<Vec<Event>, Rejection> {
    let index = case.index_of(name).ok_or_else(|| Rejection::UnknownParticipant(name.clone()))?;
    let before = case.progress[index].attestation.as_ref();
    if before.is_some_and(|before| before.evidence == evidence) {
        return Ok(Vec::new());
    }
    awaited(case, name)?;
    let attested = Event::Attested(Arc::new(Attestation {
        participant: name.clone(),
        evidence: evidence.to_owned(),
        actor: operation.actor.clone(),
        at: operation.at,
    }));
    let mut events = vec![attested.clone()];
    if let Some(after) = evolve(Some(Box::new(case.clone())), attested) {
        events.extend(follow(&after, operation.at));
    }
    Ok(events)
}

/// The rule's own extension, while there is time to tell the subject of it. Before they are told the
/// clock stays as it is, so that nobody overlooks it when they are not.
fn extend(case: &Case, operation: &Operation) -> Result<Vec<Event>, Rejection> {
    if case.phase.is_ended() {
        return Err(Rejection::Ended);
    }
    let clock = case.request.terms.clock.as_ref().filter(|_| case.extension.is_none());
    let due = clock.and_then(|clock| clock.extended).ok_or(Rejection::NotExtendable)?;
    in_time(case, operation.at)?;
    Ok(vec![Event::Extended { due, told_at: None, at: operation.at }])
}

/// That the subject was told of it. What they were told first is what counts.
fn notice(case: &Case, told_at: Timestamp, at: Timestamp) -> Result<Vec<Event>, Rejection> {
    let extension = case.extension.as_ref().ok_or(Rejection::NotExtended)?;
    if extension.told_at.is_some() {
        return Ok(Vec::new());
    }
    if case.phase.is_ended() {
        return Err(Rejection::Ended);
    }
    in_time(case, told_at)?;
    let noticed = Event::ExtensionNoticed { told_at, at };
    let after = evolve(Some(Box::new(case.clone())), noticed.clone());
    let settled = after.map(|after| settle(&after, at)).unwrap_or_default();
    Ok(std::iter::once(noticed).chain(settled).collect())
}

/// Whether the subject is told of an extension in time when they are told then.
fn in_time(case: &Case, told_at: Timestamp) -> Result<(), Rejection> {
    let late = case.notice_by().is_some_and(|by| by < told_at);
    if late { Err(Rejection::ExtensionTooLate) } else { Ok(()) }
}

/// A participant whose end is missing: it was told to execute, has taken its success back or takes it back
/// ever again, or could not undo what it did.
fn awaited<'a>(case: &'a Case, name: &ParticipantName) -> Result<&'a Progress, Rejection> {
    let index = case.index_of(name).ok_or_else(|| Rejection::UnknownParticipant(name.clone()))?;
    let progress = &case.progress[index];
    let told = match case.phase {
        Phase::Executing => matches!(progress.told, Some((Kind::Execute, _))),
        Phase::Completed if progress.untold > 0 => return Ok(progress),
        Phase::Completed => true,
        _ if progress.is_not_undone() => true,
        _ if case.phase.is_ended() => return Err(Rejection::Ended),
        _ => false,
    };
    if told && !progress.is_finished() { Ok(progress) } else { Err(Rejection::NotAwaited(name.clone())) }
}
