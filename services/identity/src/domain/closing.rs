//! The end of the key that seals, and with it of the account.

use types::{CancellationId, SubjectId, Timestamp};

use super::{Event, State};

/// The subject's key, which opens its contacts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Key {
    /// It stands.
    #[default]
    Stands,
    /// This cancellation demands that it be destroyed.
    Doomed(CancellationId),
    /// It was destroyed, for this cancellation.
    Destroyed(CancellationId),
}

impl Key {
    /// The cancellation that ends it, or has ended it.
    #[must_use]
    pub fn ended_by(&self) -> Option<&CancellationId> {
        match self {
            Self::Stands => None,
            Self::Doomed(by) | Self::Destroyed(by) => Some(by),
        }
    }
}

/// The facts that bring about the end of the subject's key; none when they stand already.
#[must_use]
pub fn doom(state: &State, cancellation: &CancellationId) -> Vec<Event> {
    match state.key {
        Key::Stands => vec![Event::KeyDestructionIntended(cancellation.clone())],
        Key::Doomed(_) | Key::Destroyed(_) => Vec::new(),
    }
}

/// The facts of a subject that was closed then, as the ledger tells, when they were lost here.
#[must_use]
pub fn stay_closed(
    state: &State,
    subject: &SubjectId,
    cancellation: &CancellationId,
    at: Timestamp,
) -> Vec<Event> {
    let mut events = doom(state, cancellation);
    if !state.closed {
        let (subject, cancellation) = (subject.clone(), cancellation.clone());
        events.push(Event::Closed { subject, cancellation, at });
    }
    events
}

/// The facts that follow when the key is destroyed: the stay-closed entry among them, unless it is
/// there. None when they stand already.
#[must_use]
pub fn close(state: &State, subject: &SubjectId, now: Timestamp) -> Vec<Event> {
    let Key::Doomed(cancellation) = &state.key else { return Vec::new() };
    let mut events = vec![Event::KeyDestroyed(cancellation.clone())];
    if !state.closed {
        let (subject, cancellation) = (subject.clone(), cancellation.clone());
        events.push(Event::Closed { subject, cancellation, at: now });
    }
    events
}
