//! What a participant answers.

use proto::participant::v1::{Failure, Kept, Outcome, QuoteItem, Waiting};
use types::Timestamp;

/// What became of an instruction.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// It has happened.
    Done,
    /// There was nothing to do, or it had happened already.
    NothingToDo,
    /// It has happened, but for what the law demands to keep.
    Restricted(Vec<Kept>),
    /// The law exempts it, whole.
    Exempt(Vec<Kept>),
    /// Taken on; the end of it will be told.
    Accepted,
    /// Somebody must act first.
    Waiting(Waiting),
    /// It could not be done.
    Failed(Failure),
}

impl Answer {
    /// The answer's word on the wire.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Done => Outcome::Done,
            Self::NothingToDo => Outcome::NothingToDo,
            Self::Restricted(_) => Outcome::Restricted,
            Self::Exempt(_) => Outcome::Exempt,
            Self::Accepted => Outcome::Accepted,
            Self::Waiting(_) => Outcome::Waiting,
            Self::Failed(_) => Outcome::Failed,
        }
    }
}

/// Whether an outcome is terminal and successful.
#[must_use]
pub fn is_success(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Done | Outcome::NothingToDo | Outcome::Exempt | Outcome::Restricted => true,
        Outcome::Unspecified
        | Outcome::Waiting
        | Outcome::Accepted
        | Outcome::Failed
        | Outcome::Changed
        | Outcome::Superseded
        | Outcome::Assessed => false,
    }
}

/// What one instruction makes happen.
#[derive(Debug, Clone, PartialEq)]
pub struct Step<E> {
    /// New facts.
    pub events: Vec<E>,
    /// The answer.
    pub answer: Answer,
    /// FREEZE: until when it can be taken back without loss, where that is earlier than EXECUTE.
    pub undo_until: Option<Timestamp>,
    /// UNDO: what could not be taken back, and what the subject must do themselves. FREEZE: what cannot
    /// be suspended.
    pub remaining: Vec<QuoteItem>,
}

impl<E> Step<E> {
    /// Facts and the answer to them.
    #[must_use]
    pub fn new(events: Vec<E>, answer: Answer) -> Self {
        Self { events, answer, undo_until: None, remaining: Vec::new() }
    }

    /// Nothing, successfully.
    #[must_use]
    pub fn nothing_to_do() -> Self {
        Self::new(Vec::new(), Answer::NothingToDo)
    }

    /// Of a FREEZE: it can be taken back without loss until then, not longer.
    #[must_use]
    pub fn undo_until(self, until: Timestamp) -> Self {
        Self { undo_until: Some(until), ..self }
    }

    /// Of an UNDO: this could not be taken back, or is left for the subject to do. Of a FREEZE: this
    /// could not be suspended.
    #[must_use]
    pub fn remaining(self, remaining: Vec<QuoteItem>) -> Self {
        Self { remaining, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_the_end_or_not_by_its_outcome() {
        let ends = [
            (Answer::Done, Outcome::Done, true),
            (Answer::NothingToDo, Outcome::NothingToDo, true),
            (Answer::Restricted(vec![]), Outcome::Restricted, true),
            (Answer::Exempt(vec![]), Outcome::Exempt, true),
            (Answer::Accepted, Outcome::Accepted, false),
            (Answer::Waiting(Waiting::default()), Outcome::Waiting, false),
            (Answer::Failed(Failure::default()), Outcome::Failed, false),
        ];
        for (answer, outcome, success) in ends {
            assert_eq!((answer.outcome(), is_success(outcome)), (outcome, success));
        }
        for other in [Outcome::Unspecified, Outcome::Changed, Outcome::Superseded, Outcome::Assessed] {
            assert!(!is_success(other));
        }
    }
}
