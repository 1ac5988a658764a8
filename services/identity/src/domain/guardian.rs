//! Guardians: whose account ends only when a guardian has consented, verified as themselves for that
//! very cancellation (PIPL Art. 31).

use std::collections::BTreeMap;

use types::{CancellationId, SubjectId, Timestamp};

use super::{Rejection, TokenId, standing::Cause};

/// How many guardians a subject may have.
pub const GUARDIANS_MAX: usize = 4;

/// Who guards a subject, and what they consented to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// Guardians, each with the ground as a code: `PARENT`.
    pub guardians: BTreeMap<SubjectId, String>,
    /// Who consented to which cancellation.
    pub consents: BTreeMap<CancellationId, SubjectId>,
}

impl State {
    /// Whether a guardian must consent to this cancellation still.
    #[must_use]
    pub fn lacks_consent(&self, cancellation: &CancellationId) -> bool {
        !self.guardians.is_empty() && !self.consents.contains_key(cancellation)
    }
}

/// What a verification token says, once its signature was found good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Who was verified.
    pub subject: SubjectId,
    /// For which cancellation.
    pub cancellation: CancellationId,
    /// The token's id.
    pub token: TokenId,
    /// The first instant at which it holds no more.
    pub expires_at: Timestamp,
}

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Somebody is the subject's guardian.
    Record {
        /// Who.
        guardian: SubjectId,
        /// Why, as a code.
        ground: String,
    },
    /// They are it no more: the subject has come of age, or somebody else is.
    End {
        /// Who.
        guardian: SubjectId,
        /// Who says so, and why.
        cause: Cause,
    },
    /// A guardian consents to a cancellation.
    Consent {
        /// Which cancellation.
        cancellation: CancellationId,
        /// The token that they show.
        shown: Shown,
    },
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Somebody is the subject's guardian.
    Recorded {
        /// Who.
        guardian: SubjectId,
        /// Why, as a code.
        ground: String,
    },
    /// They are it no more.
    Ended {
        /// Who.
        guardian: SubjectId,
        /// Who says so, and why.
        cause: Cause,
    },
    /// A guardian consented.
    Consented {
        /// To which cancellation.
        cancellation: CancellationId,
        /// Who.
        guardian: SubjectId,
        /// The token that they showed.
        token: TokenId,
    },
}

/// Says which facts a command adds. Who consents is looked at here and nowhere else: whatever way a
/// consent comes in, and however the account stands, it needs a guardian's own token for just this
/// cancellation, and one that holds.
pub(super) fn decide(state: &State, command: Command, now: Timestamp) -> Result<Vec<Event>, Rejection> {
    match command {
        Command::Record { guardian, ground } => match state.guardians.get(&guardian) {
            Some(recorded) if *recorded == ground => Ok(Vec::new()),
            None if state.guardians.len() >= GUARDIANS_MAX => Err(Rejection::TooManyGuardians),
            Some(_) | None => Ok(vec![Event::Recorded { guardian, ground }]),
        },
        Command::End { guardian, cause } => {
            let known = state.guardians.contains_key(&guardian);
            Ok(known.then_some(Event::Ended { guardian, cause }).into_iter().collect())
        }
        Command::Consent { cancellation, shown } => {
            if shown.cancellation != cancellation || !state.guardians.contains_key(&shown.subject) {
                return Err(Rejection::TokenForeign);
            }
            if now >= shown.expires_at {
                return Err(Rejection::TokenExpired);
            }
            if state.consents.contains_key(&cancellation) {
                return Ok(Vec::new());
            }
            Ok(vec![Event::Consented { cancellation, guardian: shown.subject, token: shown.token }])
        }
    }
}

/// Applies one fact. Total.
pub(super) fn evolve(state: &mut State, event: &Event) {
    match event {
        Event::Recorded { guardian, ground } => {
            state.guardians.insert(guardian.clone(), ground.clone());
        }
        Event::Ended { guardian, .. } => {
            state.guardians.remove(guardian);
        }
        Event::Consented { cancellation, guardian, .. } => {
            state.consents.insert(cancellation.clone(), guardian.clone());
        }
    }
}
