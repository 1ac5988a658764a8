//! What waits for a person, as it is stored, told and listed.

use std::{sync::Arc, time::Duration};

use event_store::{Listing, StreamId};
use proto::cancellation::v1 as pb;
use types::{ParticipantName, Timestamp};

use super::view::decoded;
use crate::domain::{Attention, Case, Cause, Ladder, Level};

/// The list in which cancellations stand that wait for a person, or have.
pub(crate) const ATTENTION: &str = "attention";

/// The state, in that list, of those that do.
pub(crate) const OPEN: &str = "OPEN";

/// The state of those that do no more.
const CLEARED: &str = "CLEARED";

/// The row of that list for a cancellation as it is.
pub(crate) fn attention_listing(case: &Case) -> Listing {
    Listing {
        stream: StreamId::new(case.request.id.as_str()),
        list: ATTENTION.into(),
        owner: case.request.subject.as_str().into(),
        state: if case.attention.is_empty() { CLEARED } else { OPEN }.into(),
        since: case.request.at,
    }
}

/// As its cancellation's readers see it.
pub(crate) fn to_proto(case: &Case, told: &Attention) -> pb::Attention {
    pb::Attention { text: text(case, told, true), ..published(case, told) }
}

/// As everybody is told of it: nothing that somebody wrote.
pub(super) fn published(case: &Case, told: &Attention) -> pb::Attention {
    pb::Attention {
        cause: cause(told.cause).into(),
        level: level(told.level).into(),
        participant: told.participant.as_ref().map(ToString::to_string).unwrap_or_default(),
        text: text(case, told, false),
        owner: told.owner.to_string(),
        due_at: Some(told.due.to_proto()),
        since: Some(told.since.to_proto()),
        assigned: told.assigned,
    }
}

pub(super) fn from_proto(told: &pb::Attention) -> Option<Attention> {
    let (cause, participant) = key_from(told.cause, &told.participant)?;
    Some(Attention {
        cause,
        participant,
        level: level_from(told.level())?,
        since: Timestamp::from_proto(told.since.as_ref()?)?,
        owner: told.owner.as_str().into(),
        due: Timestamp::from_proto(told.due_at.as_ref()?)?,
        assigned: told.assigned,
    })
}

/// The cause, in one sentence; with the words of who failed, where they are wanted.
fn text(case: &Case, told: &Attention, words: bool) -> String {
    let since = told.since;
    let Some(name) = &told.participant else { return of_the_whole(case, told) };
    let progress = case.participants().find(|(entry, _)| entry.name == *name).map(|(_, progress)| progress);
    let said = progress.and_then(|progress| {
        let answer = progress.undo.as_ref().or(progress.execution.as_ref());
        Some(decoded(answer.or(progress.assessment.as_ref())?))
    });
    match told.cause {
        Cause::AnswerOverdue => format!("{name} should have answered by {since}."),
        Cause::WaitingTooLong => {
            let waiting = said.and_then(|said| said.waiting).unwrap_or_default();
            let code = if waiting.code.is_empty() { String::new() } else { format!(" ({})", waiting.code) };
            format!("{name} should have waited{code} until {since} at the most.")
        }
        Cause::Failed => match said.and_then(|said| said.failure) {
            Some(failure) if words => format!("{name} failed ({}): {}", failure.code, failure.cause),
            Some(failure) => format!("{name} failed ({}).", failure.code),
            None => format!("{name} failed."),
        },
        Cause::Contradicted => {
            let outcome = said.map(|said| said.outcome().as_str_name()).unwrap_or_default();
            match progress.map_or(0, |progress| progress.untold) {
                0 => format!("After completion {name} says otherwise: {outcome}."),
                times => format!(
                    "After completion {name} says now this and now that: {outcome} in the end. No version of \
                     the receipt has what it said the last {times} times."
                ),
            }
        }
        Cause::DueSoon => of_the_whole(case, told),
    }
}

/// By when all of it must be done; where it may be later, what that depends on.
fn of_the_whole(case: &Case, told: &Attention) -> String {
    let untold = case.extension.as_ref().is_some_and(|extension| extension.told_at.is_none());
    match case.notice_by().zip(case.extended_due()).filter(|_| untold) {
        Some((by, later)) => format!(
            "All of it must be done by {}, or by {later} if the subject is told of the extension by {by}.",
            told.due
        ),
        None => format!("All of it must be done by {}.", told.due),
    }
}

pub(crate) fn cause(cause: Cause) -> pb::AttentionCause {
    match cause {
        Cause::AnswerOverdue => pb::AttentionCause::AnswerOverdue,
        Cause::WaitingTooLong => pb::AttentionCause::WaitingTooLong,
        Cause::Failed => pb::AttentionCause::Failed,
        Cause::Contradicted => pb::AttentionCause::Contradicted,
        Cause::DueSoon => pb::AttentionCause::DueSoon,
    }
}

pub(crate) fn cause_from(cause: pb::AttentionCause) -> Option<Cause> {
    Some(match cause {
        pb::AttentionCause::Unspecified => return None,
        pb::AttentionCause::AnswerOverdue => Cause::AnswerOverdue,
        pb::AttentionCause::WaitingTooLong => Cause::WaitingTooLong,
        pb::AttentionCause::Failed => Cause::Failed,
        pb::AttentionCause::Contradicted => Cause::Contradicted,
        pb::AttentionCause::DueSoon => Cause::DueSoon,
    })
}

fn level(level: Level) -> pb::AttentionLevel {
    match level {
        Level::Reminder => pb::AttentionLevel::Reminder,
        Level::Attention => pb::AttentionLevel::Attention,
        Level::Overdue => pb::AttentionLevel::Overdue,
    }
}

fn level_from(level: pb::AttentionLevel) -> Option<Level> {
    Some(match level {
        pb::AttentionLevel::Unspecified => return None,
        pb::AttentionLevel::Reminder => Level::Reminder,
        pb::AttentionLevel::Attention => Level::Attention,
        pb::AttentionLevel::Overdue => Level::Overdue,
    })
}

/// Which one it is: its cause, and who is late.
pub(crate) fn key_from(cause: i32, participant: &str) -> Option<(Cause, Option<ParticipantName>)> {
    let cause = pb::AttentionCause::try_from(cause).ok().and_then(cause_from)?;
    let participant = match participant {
        "" => None,
        name => Some(ParticipantName::parse(name).ok()?),
    };
    Some((cause, participant))
}

pub(super) fn ladder(ladder: &Ladder) -> pb::AttentionLadder {
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    pb::AttentionLadder {
        attention_after_ms: millis(ladder.attention_after),
        overdue_after_ms: millis(ladder.overdue_after),
        waiting_ms_max: millis(ladder.waiting_max),
        warn_before_ms: millis(ladder.warn_before),
        owner: ladder.owner.to_string(),
    }
}

pub(super) fn ladder_from(stored: &pb::AttentionLadder) -> Ladder {
    Ladder {
        attention_after: Duration::from_millis(stored.attention_after_ms),
        overdue_after: Duration::from_millis(stored.overdue_after_ms),
        waiting_max: Duration::from_millis(stored.waiting_ms_max),
        warn_before: Duration::from_millis(stored.warn_before_ms),
        owner: Arc::from(stored.owner.as_str()),
    }
}
