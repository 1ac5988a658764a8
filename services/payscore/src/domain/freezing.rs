//! Authorisations that a cancellation suspends while it can still be taken back: nothing new can be used
//! under them. What is in use goes on, and is collected.

use types::{CancellationId, Timestamp};

use super::{Authorization, Event, State, Wanted, ending::in_scope};

/// Suspends what is in scope and not unbound. What this cancellation suspends already adds nothing.
#[must_use]
pub fn freeze(state: &State, wanted: &Wanted, cancellation: &CancellationId, at: Timestamp) -> Vec<Event> {
    let open = in_scope(state, wanted).filter(|it| !it.frozen_by.contains(cancellation));
    open.map(|it| Event::AuthorizationFrozen { id: it.id.clone(), cancellation: cancellation.clone(), at })
        .collect()
}

/// Restores what this cancellation suspends. Another one may suspend it still.
#[must_use]
pub fn thaw(state: &State, cancellation: &CancellationId, at: Timestamp) -> Vec<Event> {
    frozen(state, cancellation)
        .map(|it| Event::AuthorizationThawed { id: it.id.clone(), cancellation: cancellation.clone(), at })
        .collect()
}

/// What this cancellation suspends, in the order in which it was recorded.
pub fn frozen<'a>(
    state: &'a State,
    cancellation: &'a CancellationId,
) -> impl Iterator<Item = &'a Authorization> {
    state.authorizations.iter().filter(move |it| it.frozen_by.contains(cancellation))
}
