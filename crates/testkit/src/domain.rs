//! Given, when, then: for domains that decide and evolve by plain functions.

use std::fmt::Debug;

/// A domain's two functions.
#[derive(Debug, Clone, Copy)]
pub struct Domain<S, C, E, R> {
    /// Says which facts a command adds.
    pub decide: fn(&S, C) -> Result<Vec<E>, R>,
    /// Applies one fact.
    pub evolve: fn(S, &E) -> S,
}

/// What a command came to.
#[derive(Debug)]
pub struct Then<E, R>(Result<Vec<E>, R>);

impl<S: Default, C, E: Debug + PartialEq, R: Debug + PartialEq> Domain<S, C, E, R> {
    /// The state that this history leaves.
    pub fn given(&self, history: impl IntoIterator<Item = E>) -> S {
        history.into_iter().fold(S::default(), |state, event| (self.evolve)(state, &event))
    }

    /// What the command comes to after this history.
    pub fn when(&self, history: impl IntoIterator<Item = E>, command: C) -> Then<E, R> {
        Then((self.decide)(&self.given(history), command))
    }
}

impl<E: Debug + PartialEq, R: Debug + PartialEq> Then<E, R> {
    /// It adds just these facts.
    #[track_caller]
    pub fn then(self, events: impl IntoIterator<Item = E>) {
        assert_eq!(self.0, Ok(events.into_iter().collect()));
    }

    /// It is refused, for this.
    #[track_caller]
    pub fn then_rejected(self, rejection: R) {
        assert_eq!(self.0, Err(rejection));
    }
}
