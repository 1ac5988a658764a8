//! The record of what was paid out: after the end of the account it is kept for one ground and nothing
//! else, and goes when its date comes.

use types::{CancellationId, Timestamp};

use super::{Event, Gone, Restriction, State, Treatment};

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
