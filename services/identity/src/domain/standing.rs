//! Whether a subject may sign in: suspended while a cancellation cools off, banned by an operator,
//! and what the appeal against a ban comes to.
//!
//! Standing is about signing in and nothing else. Who is suspended or banned can ask to leave, be
//! verified for it and go: no rule here looks at a cancellation but to suspend for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use types::{CancellationId, SubjectId, Timestamp};

use super::{Event as Fact, Rejection, State as Whole};

types::minted_id!(
    /// An appeal against a ban.
    AppealId, "apl"
);

/// What an app is told that asks whether a subject may sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Yes.
    Active,
    /// Not while a cancellation of the account cools off.
    Frozen,
    /// Not while an operator's ban stands.
    Banned,
    /// Never again.
    Closed,
}

/// A subject's standing, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The standing; of several the one that lasts longest.
    pub standing: Standing,
    /// The cancellations that suspend signing in, whatever else does.
    pub frozen_by: Vec<CancellationId>,
    /// Why the subject is banned, as a code.
    pub reason_code: Option<String>,
}

/// Who banned, or decides: a person on the operator's side, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The person, as the operator calls them.
    pub actor: String,
    /// Why, in their words; nothing personal.
    pub reason: String,
}

/// What a person decides on an appeal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The ban stands.
    Uphold,
    /// The ban ends.
    Lift,
}

/// How an appeal ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A person decided.
    Decided(Decision, Cause),
    /// The subject wants no decision any more.
    Withdrawn,
}

/// An appeal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appeal {
    /// What the subject says, sealed with the subject's key.
    pub sealed: Arc<[u8]>,
    /// When it was made.
    pub made_at: Timestamp,
    /// By when a person must have decided.
    pub due: Timestamp,
    /// How it ended.
    pub outcome: Option<Outcome>,
}

/// What there is about a subject's standing, but for the end of the account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// The cancellations that suspend signing in. It is possible again when the last lets go.
    pub frozen_by: BTreeSet<CancellationId>,
    /// Why the subject is banned, as a code.
    pub ban: Option<String>,
    /// Every appeal; at most one is undecided.
    pub appeals: BTreeMap<AppealId, Appeal>,
}

impl State {
    /// The appeal that a person must decide on.
    #[must_use]
    pub fn undecided(&self) -> Option<(&AppealId, &Appeal)> {
        self.appeals.iter().find(|(_, appeal)| appeal.outcome.is_none())
    }
}

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Ban the subject.
    Ban {
        /// Why, as a code: `FRAUD`.
        reason_code: String,
        /// Who does it.
        actor: String,
    },
    /// End the ban.
    Lift(Cause),
    /// Appeal against the ban.
    Appeal {
        /// The appeal's id.
        id: AppealId,
        /// What the subject says, sealed.
        sealed: Arc<[u8]>,
        /// By when a person must have decided.
        due: Timestamp,
    },
    /// Take the appeal back.
    Withdraw(AppealId),
    /// Decide on it.
    Decide {
        /// The appeal.
        id: AppealId,
        /// What is decided.
        decision: Decision,
        /// By whom, and why.
        cause: Cause,
    },
}

/// What has happened to a subject's standing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Signing in is suspended for this cancellation.
    SignInFrozen(CancellationId),
    /// It is so no more.
    SignInThawed(CancellationId),
    /// The subject is banned.
    Banned {
        /// Why, as a code.
        reason_code: String,
        /// Who did it.
        actor: String,
    },
    /// The ban has ended.
    BanLifted(Cause),
    /// The subject appeals against the ban.
    Appealed {
        /// The appeal's id.
        id: AppealId,
        /// What the subject says, sealed.
        sealed: Arc<[u8]>,
        /// When it was made.
        at: Timestamp,
        /// By when a person must have decided.
        due: Timestamp,
    },
    /// The appeal has ended.
    AppealEnded {
        /// The appeal.
        id: AppealId,
        /// How.
        outcome: Outcome,
    },
    /// Nobody has decided on the appeal in time.
    AppealOverdue {
        /// The appeal.
        id: AppealId,
        /// When it should have been decided.
        due: Timestamp,
    },
    /// The standing is another one: what everybody is told.
    Changed {
        /// Who.
        subject: SubjectId,
        /// What it is now.
        told: Told,
        /// Since when.
        at: Timestamp,
    },
}

/// A subject's standing.
#[must_use]
pub fn standing(whole: &Whole) -> Told {
    let state = &whole.standing;
    let standing = if whole.key.ended_by().is_some() {
        Standing::Closed
    } else if state.ban.is_some() {
        Standing::Banned
    } else if state.frozen_by.is_empty() {
        Standing::Active
    } else {
        Standing::Frozen
    };
    Told { standing, frozen_by: state.frozen_by.iter().cloned().collect(), reason_code: state.ban.clone() }
}

/// The facts that suspend signing in for a cancellation; none when they stand already.
#[must_use]
pub fn freeze(whole: &Whole, subject: &SubjectId, by: &CancellationId, now: Timestamp) -> Vec<Fact> {
    let frozen = whole.standing.frozen_by.contains(by);
    let events = (!frozen).then(|| Event::SignInFrozen(by.clone()));
    told(whole, subject, events.into_iter().collect(), now)
}

/// The facts that let a cancellation suspend it no more; none when it does not.
#[must_use]
pub fn thaw(whole: &Whole, subject: &SubjectId, by: &CancellationId, now: Timestamp) -> Vec<Fact> {
    let frozen = whole.standing.frozen_by.contains(by);
    let events = frozen.then(|| Event::SignInThawed(by.clone()));
    told(whole, subject, events.into_iter().collect(), now)
}

/// What follows when the time for a decision is over: it is told, and nothing ends by it.
#[must_use]
pub fn overdue(state: &State, now: Timestamp) -> Option<Event> {
    let (id, appeal) = state.undecided().filter(|(_, appeal)| appeal.due <= now)?;
    Some(Event::AppealOverdue { id: id.clone(), due: appeal.due })
}

/// Says which facts a command adds, what everybody is told included.
pub(super) fn decide(
    whole: &Whole,
    subject: &SubjectId,
    command: Command,
    now: Timestamp,
) -> Result<Vec<Fact>, Rejection> {
    let state = &whole.standing;
    let events = match command {
        Command::Ban { reason_code, actor } => match &state.ban {
            None => vec![Event::Banned { reason_code, actor }],
            Some(code) if *code == reason_code => Vec::new(),
            Some(code) => return Err(Rejection::AlreadyBanned { reason_code: code.clone() }),
        },
        Command::Lift(cause) => {
            if state.ban.is_none() {
                return Err(Rejection::NotBanned);
            }
            let outcome = Outcome::Decided(Decision::Lift, cause.clone());
            let undecided = state.undecided();
            let ended = undecided.map(|(id, _)| Event::AppealEnded { id: id.clone(), outcome });
            ended.into_iter().chain([Event::BanLifted(cause)]).collect()
        }
        Command::Appeal { id, sealed, due } => {
            if state.ban.is_none() {
                return Err(Rejection::NotBanned);
            }
            if let Some((id, appeal)) = state.undecided() {
                return Err(Rejection::AppealUndecided { appeal: id.clone(), due: appeal.due });
            }
            vec![Event::Appealed { id, sealed, at: now, due }]
        }
        Command::Withdraw(id) => ended(state, id, Outcome::Withdrawn)?,
        Command::Decide { id, decision, cause } => {
            let mut events = ended(state, id, Outcome::Decided(decision, cause.clone()))?;
            if decision == Decision::Lift && !events.is_empty() && state.ban.is_some() {
                events.push(Event::BanLifted(cause));
            }
            events
        }
    };
    Ok(told(whole, subject, events, now))
}

/// Ends an appeal. One that ended so already is left as it is; one that ended otherwise stays so.
fn ended(state: &State, id: AppealId, outcome: Outcome) -> Result<Vec<Event>, Rejection> {
    let appeal = state.appeals.get(&id).ok_or(Rejection::AppealUnknown)?;
    match (&appeal.outcome, &outcome) {
        (None, _) => Ok(vec![Event::AppealEnded { id, outcome }]),
        (Some(Outcome::Withdrawn), Outcome::Withdrawn) => Ok(Vec::new()),
        (Some(Outcome::Decided(then, _)), Outcome::Decided(now, _)) if then == now => Ok(Vec::new()),
        (Some(_), _) => Err(Rejection::AppealEnded),
    }
}

/// These facts, and what everybody is told if they change the standing.
fn told(whole: &Whole, subject: &SubjectId, events: Vec<Event>, now: Timestamp) -> Vec<Fact> {
    let mut after = whole.clone();
    events.iter().for_each(|event| evolve(&mut after.standing, event));
    let (before, told) = (standing(whole), standing(&after));
    let changed = (before != told).then(|| Event::Changed { subject: subject.clone(), told, at: now });
    events.into_iter().chain(changed).map(Fact::Standing).collect()
}

/// Applies one fact. Total.
pub(super) fn evolve(state: &mut State, event: &Event) {
    match event {
        Event::SignInFrozen(by) => drop(state.frozen_by.insert(by.clone())),
        Event::SignInThawed(by) => drop(state.frozen_by.remove(by)),
        Event::Banned { reason_code, .. } => state.ban = Some(reason_code.clone()),
        Event::BanLifted(_) => state.ban = None,
        Event::Appealed { id, sealed, at, due } => {
            let appeal = Appeal { sealed: sealed.clone(), made_at: *at, due: *due, outcome: None };
            state.appeals.insert(id.clone(), appeal);
        }
        Event::AppealEnded { id, outcome } => {
            if let Some(appeal) = state.appeals.get_mut(id) {
                appeal.outcome = Some(outcome.clone());
            }
        }
        Event::AppealOverdue { .. } | Event::Changed { .. } => {}
    }
}
