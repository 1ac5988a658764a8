//! Then: what a pure decision must come to.

use std::fmt::Debug;

/// Says what a decision must come to: `given(history).when(command).then([event])`.
pub trait Then<E, R> {
    /// It adds just these facts.
    fn then(self, events: impl IntoIterator<Item = E>);

    /// It is refused, for this.
    fn then_rejected(self, rejection: R);
}

impl<E: Debug + PartialEq, R: Debug + PartialEq> Then<E, R> for Result<Vec<E>, R> {
    #[track_caller]
    fn then(self, events: impl IntoIterator<Item = E>) {
        assert_eq!(self, Ok(events.into_iter().collect()));
    }

    #[track_caller]
    fn then_rejected(self, rejection: R) {
        assert_eq!(self, Err(rejection));
    }
}
