//! The record of what was paid out: after the end of the account it is kept for one ground and nothing
//! else, and goes when its date comes.

use types::{CancellationId, Timestamp};

use super::{Event, State};

/// The rule that decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basis {
    /// Its id.
    pub rule: String,
    /// Law and article.
    pub source: String,
}

/// Why it is kept for nothing else, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restriction {
    /// The only ground on which it is kept.
    pub ground: String,
    /// The rule that says so.
    pub basis: Basis,
    /// Until when; `None` while nobody can say.
    pub until: Option<Timestamp>,
    /// The cancellation that restricted it.
    pub cancellation: CancellationId,
    /// Since when.
    pub since: Timestamp,
}

/// Why it is gone, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// The rule that says so.
    pub basis: Basis,
    /// The cancellation that erased or restricted it.
    pub cancellation: CancellationId,
    /// Since when.
    pub since: Timestamp,
    /// Where it went because a date came: that date.
    pub due: Option<Timestamp>,
}

/// What has become of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Record {
    /// The account goes on, or nothing was paid out.
    #[default]
    Open,
    /// It is kept for one ground.
    Restricted(Restriction),
    /// It is gone.
    Erased(Gone),
}

/// What the law says of it, its date worked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Treatment {
    /// It is kept for one ground.
    Restrict {
        /// The ground.
        ground: String,
        /// The rule that says so.
        basis: Basis,
        /// Until when; `None` while nobody can say.
        until: Option<Timestamp>,
    },
    /// Nothing keeps it.
    Erase(Basis),
}

/// Treats it as the law says when the account closes. Doing it twice adds nothing.
#[must_use]
pub fn treat(
    state: &State,
    treatment: Treatment,
    cancellation: &CancellationId,
    now: Timestamp,
) -> Option<Event> {
    let cancellation = cancellation.clone();
    match (&state.record, treatment) {
        (Record::Erased(_), _) | (Record::Restricted(_), Treatment::Restrict { .. }) => None,
        (Record::Open, Treatment::Restrict { ground, basis, until }) => {
            let restriction = Restriction { ground, basis, until, cancellation, since: now };
            Some(Event::PayoutRecordRestricted(restriction))
        }
        (Record::Open | Record::Restricted(_), Treatment::Erase(basis)) => {
            Some(Event::PayoutRecordErased(Gone { basis, cancellation, since: now, due: None }))
        }
    }
}

/// Erases it when its date has come.
#[must_use]
pub fn expire(state: &State, now: Timestamp) -> Option<Event> {
    let Record::Restricted(restriction) = &state.record else { return None };
    let due = restriction.until.filter(|until| *until <= now)?;
    Some(Event::PayoutRecordErased(Gone {
        basis: restriction.basis.clone(),
        cancellation: restriction.cancellation.clone(),
        since: now,
        due: Some(due),
    }))
}
