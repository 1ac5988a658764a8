//! The watchdog: what waits for a person, found by looking at the state and the clock. It only
//! escalates, and ends by itself when what was missing comes; it never ends anybody's waiting.

use std::{sync::Arc, time::Duration};

use types::{ParticipantName, Timestamp};

use super::{
    Answer, Event, Kind, Outcome,
    state::{Case, Entry, Phase, Progress},
};

/// Why a person must look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// A participant has not answered within its deadline.
    AnswerOverdue,
    /// A participant waits for longer than it said, or without a date for too long.
    WaitingTooLong,
    /// A participant could not do it.
    Failed,
    /// After completion a participant says that it has not finished.
    Contradicted,
    /// The clock of the whole is about to pass, or has passed.
    DueSoon,
}

/// How far it has been escalated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// It is late.
    Reminder,
    /// It is somebody's, with a date.
    Attention,
    /// That date has passed.
    Overdue,
}

/// How what is late is escalated: data, frozen when the cancellation is requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ladder {
    /// How long after the moment at which it should have come it is somebody's.
    pub attention_after: Duration,
    /// How long after that moment it is overdue.
    pub overdue_after: Duration,
    /// How long somebody may wait who cannot say until when.
    pub waiting_max: Duration,
    /// How long before the clock of the whole passes it is somebody's.
    pub warn_before: Duration,
    /// Whose it is where nobody else is named.
    pub owner: Arc<str>,
}

impl Default for Ladder {
    fn default() -> Self {
        const HOUR: Duration = Duration::from_secs(3_600);
        Self {
            attention_after: HOUR,
            overdue_after: 25 * HOUR,
            waiting_max: 7 * 24 * HOUR,
            warn_before: 3 * 24 * HOUR,
            owner: "operations".into(),
        }
    }
}

/// Something that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attention {
    /// Why.
    pub cause: Cause,
    /// Who is late, or has failed; nobody where it is the whole. With the cause it says which one it is.
    pub participant: Option<ParticipantName>,
    /// How far it has been escalated.
    pub level: Level,
    /// When what is missing should have come, or what happened did.
    pub since: Timestamp,
    /// Whose it is.
    pub owner: Arc<str>,
    /// By when they should have dealt with it.
    pub due: Timestamp,
    /// Whether a person said whose it is, and by when.
    pub assigned: bool,
}

impl Attention {
    /// Whether it is this one.
    #[must_use]
    pub fn is(&self, cause: Cause, participant: Option<&ParticipantName>) -> bool {
        self.cause == cause && self.participant.as_ref() == participant
    }
}

/// What may come to wait for a person, and when it climbs to each level.
struct Watched {
    cause: Cause,
    participant: Option<ParticipantName>,
    since: Timestamp,
    /// Without one it begins as somebody's.
    reminder: Option<Timestamp>,
    attention: Timestamp,
    overdue: Timestamp,
    owner: Arc<str>,
    assigned: bool,
}

impl Watched {
    fn level_at(&self, now: Timestamp) -> Option<Level> {
        let reached = [
            (Level::Overdue, Some(self.overdue)),
            (Level::Attention, Some(self.attention)),
            (Level::Reminder, self.reminder),
        ];
        reached.into_iter().find(|(_, at)| at.is_some_and(|at| at <= now)).map(|(level, _)| level)
    }

    /// When it climbs beyond that level next.
    fn next_beyond(&self, level: Option<Level>) -> Option<Timestamp> {
        let levels = [
            (Level::Reminder, self.reminder),
            (Level::Attention, Some(self.attention)),
            (Level::Overdue, Some(self.overdue)),
        ];
        levels.into_iter().filter(|(next, _)| Some(*next) > level).find_map(|(_, at)| at)
    }

    fn at(self, level: Level) -> Attention {
        let Self { cause, participant, since, overdue: due, owner, assigned, .. } = self;
        Attention { cause, participant, level, since, owner, due, assigned }
    }
}

/// What waits for a person at that moment, each with the level that it has reached.
#[must_use]
pub fn attention(case: &Case, now: Timestamp) -> Vec<Attention> {
    let reached = |watched: Watched| watched.level_at(now).map(|level| watched.at(level));
    watched(case).into_iter().filter_map(reached).collect()
}

/// When anything climbs next that has not been told.
pub(super) fn next_due(case: &Case) -> Option<Timestamp> {
    let told =
        |watched: &Watched| find(case, watched.cause, watched.participant.as_ref()).map(|told| told.level);
    watched(case).iter().filter_map(|watched| watched.next_beyond(told(watched))).min()
}

/// What is to be told: what has climbed, and what waits no more.
pub(super) fn settle(case: &Case, now: Timestamp) -> Vec<Event> {
    let found = attention(case, now);
    let is_news = |found: &&Attention| {
        let told = find(case, found.cause, found.participant.as_ref());
        told.is_none_or(|told| told.level < found.level)
    };
    let risen = found.iter().filter(is_news).map(|news| Event::AttentionRaised(Arc::new(news.clone())));
    let over = case
        .attention
        .iter()
        .filter(|told| !found.iter().any(|found| told.is(found.cause, found.participant.as_ref())));
    let cleared = over.map(|told| Event::AttentionCleared {
        cause: told.cause,
        participant: told.participant.clone(),
        at: now,
    });
    cleared.chain(risen).collect()
}

/// Takes note of what waits, in the place of what was known of it.
pub(super) fn raise(case: &mut Case, raised: Arc<Attention>) {
    clear(case, raised.cause, raised.participant.as_ref());
    case.attention.push(Arc::unwrap_or_clone(raised));
}

/// Forgets what waits no more.
pub(super) fn clear(case: &mut Case, cause: Cause, participant: Option<&ParticipantName>) {
    case.attention.retain(|told| !told.is(cause, participant));
}

pub(super) fn find<'a>(
    case: &'a Case,
    cause: Cause,
    participant: Option<&ParticipantName>,
) -> Option<&'a Attention> {
    case.attention.iter().find(|told| told.is(cause, participant))
}

fn watched(case: &Case) -> Vec<Watched> {
    let of_participants = case.participants().filter_map(|(entry, progress)| {
        let (cause, since) = late(case, entry, progress)?;
        Some(climbing(case, cause, (entry, progress), since))
    });
    let mut all: Vec<Watched> = of_participants.chain(the_whole(case)).collect();
    for watched in &mut all {
        // Whom a person named has it, and has until they said.
        if let Some(told) =
            find(case, watched.cause, watched.participant.as_ref()).filter(|told| told.assigned)
        {
            (watched.owner, watched.overdue, watched.assigned) = (told.owner.clone(), told.due, true);
        }
    }
    all
}

/// What a participant has not done, or did wrong, and from when on that is late.
fn late(case: &Case, entry: &Entry, progress: &Progress) -> Option<(Cause, Timestamp)> {
    let (_, told_at) = progress.told?;
    let answered_at = progress.answered_at.unwrap_or(told_at);
    // Nothing was to happen any more, and everybody has been told that it has. Who says now this and now
    // that moves no date.
    if case.phase == Phase::Completed && (progress.untold > 0 || !progress.is_finished()) {
        let told = find(case, Cause::Contradicted, Some(&entry.name));
        return Some((Cause::Contradicted, told.map_or(answered_at, |told| told.since)));
    }
    let unanswered = || entry.deadline.map(|span| (Cause::AnswerOverdue, told_at.plus(span)));
    let Some(answer) = owed(case, progress)? else { return unanswered() };
    match answer.outcome {
        Outcome::Failed => Some((Cause::Failed, answered_at)),
        Outcome::Waiting => {
            let until = answer.until.unwrap_or_else(|| answered_at.plus(case.request.ladder.waiting_max));
            Some((Cause::WaitingTooLong, until))
        }
        _ => unanswered(),
    }
}

/// The answer that a participant owes: `None` when it owes none, else the one that it gave so far.
fn owed<'a>(case: &Case, progress: &'a Progress) -> Option<Option<&'a Answer>> {
    let assessment = || {
        let open = !progress.is_finished() && !progress.is_assessed();
        open.then_some(progress.assessment.as_deref())
    };
    let execution = || (!progress.is_finished()).then_some(progress.execution.as_deref());
    match case.phase {
        Phase::Assessing | Phase::Blocked | Phase::AwaitingConfirmation => assessment(),
        Phase::CoolingOff => match progress.told? {
            (Kind::Freeze, _) => case.is_freezing(progress).then_some(progress.freeze.as_deref()),
            (Kind::Assess, _) if case.recheck => assessment(),
            _ => None,
        },
        // What stands though the subject wants it no more, somebody looks at.
        Phase::Revoking | Phase::Revoked | Phase::Rejected | Phase::Expired => {
            (!progress.is_undone() || progress.is_not_undone()).then_some(progress.undo.as_deref())
        }
        // Whose turn has not come owes nothing.
        Phase::Executing => execution().filter(|_| matches!(progress.told, Some((Kind::Execute, _)))),
        Phase::Completed => execution(),
    }
}

fn climbing(case: &Case, cause: Cause, (entry, progress): (&Entry, &Progress), since: Timestamp) -> Watched {
    let ladder = &case.request.ladder;
    let happened = matches!(cause, Cause::Failed | Cause::Contradicted);
    let grace = ladder.overdue_after.saturating_sub(ladder.attention_after);
    Watched {
        cause,
        participant: Some(entry.name.clone()),
        since,
        reminder: (!happened).then_some(since),
        attention: if happened { since } else { since.plus(ladder.attention_after) },
        overdue: since.plus(if happened { grace } else { ladder.overdue_after }),
        owner: owner(case, entry, progress),
        assigned: false,
    }
}

/// The clock of the whole, while it runs.
fn the_whole(case: &Case) -> Option<Watched> {
    let clock = case.request.terms.clock.as_ref()?;
    // Somebody who is suspended, or half of whose services have ended, is not left to themselves.
    let touched = case.has_executed() || case.progress.iter().any(Progress::is_frozen);
    if case.phase.is_ended() || (clock.pauses && case.waiting_since.is_some() && !touched) {
        return None;
    }
    let (due, ladder) = (case.due()?, &case.request.ladder);
    // What has little time altogether is warned of in its last quarter.
    let warn_before = ladder.warn_before.min(due.since(case.request.at) / 4);
    let warned_at =
        due.as_micros().saturating_sub(i64::try_from(warn_before.as_micros()).unwrap_or(i64::MAX));
    Some(Watched {
        cause: Cause::DueSoon,
        participant: None,
        since: due,
        reminder: None,
        attention: Timestamp::from_micros(warned_at),
        overdue: due,
        owner: ladder.owner.clone(),
        assigned: false,
    })
}

/// Who fails says who deals with it; else the roster does.
fn owner(case: &Case, entry: &Entry, progress: &Progress) -> Arc<str> {
    let named = owed(case, progress).flatten().and_then(|answer| answer.owner.clone());
    named.or_else(|| entry.owner.clone()).unwrap_or_else(|| case.request.ladder.owner.clone())
}
