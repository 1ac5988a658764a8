//! The table of what people do. A new command is a row here and an arm in `calls.rs`.

use crate::dice::Dice;

/// What somebody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Becomes known.
    Register,
    /// Asks for a cancellation.
    Request,
    /// Looks how it stands.
    Look,
    /// Clears one of the blockers that they saw.
    Clear,
    /// Asks for a code.
    Verify,
    /// Gives the code.
    Complete,
    /// Accepts the quote.
    Confirm,
    /// Wants it no more.
    Revoke,
    /// Has everybody asked again.
    Reassess,
    /// Reports what waits for them as done: the provider has ended it.
    Report,
    /// Has money in the wallet.
    Balance,
    /// Has it paid out.
    PayOut,
    /// Gets points.
    Benefit,
    /// Subscribes to something.
    Subscribe,
    /// Lets a merchant rely on their payment score.
    Authorize,
    /// Uses something on credit.
    Order,
    /// Buys something on credit.
    Purchase,
    /// Pays by face, or no more.
    Face,
    /// Leaves data somewhere.
    DataSet,
    /// A court keeps their data from being erased.
    Hold,
    /// It does so no more.
    Release,
}

/// What is done when nothing is done for a reason, and how often each comes.
const TABLE: [(Verb, u64); 20] = [
    (Verb::Request, 4),
    (Verb::Look, 4),
    (Verb::Clear, 2),
    (Verb::Verify, 2),
    (Verb::Complete, 2),
    (Verb::Confirm, 8),
    (Verb::Revoke, 5),
    (Verb::Reassess, 4),
    (Verb::Report, 3),
    (Verb::Balance, 5),
    (Verb::PayOut, 4),
    (Verb::Benefit, 5),
    (Verb::Subscribe, 5),
    (Verb::Authorize, 4),
    (Verb::Order, 3),
    (Verb::Purchase, 2),
    (Verb::Face, 2),
    (Verb::DataSet, 4),
    (Verb::Hold, 3),
    (Verb::Release, 3),
];

/// Something that anybody may do at any time.
pub fn any(dice: &mut Dice) -> Verb {
    dice.pick(&TABLE).unwrap_or(Verb::Look)
}

impl Verb {
    /// For transcripts and request ids.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Request => "request",
            Self::Look => "look",
            Self::Clear => "clear",
            Self::Verify => "verify",
            Self::Complete => "complete",
            Self::Confirm => "confirm",
            Self::Revoke => "revoke",
            Self::Reassess => "reassess",
            Self::Report => "report",
            Self::Balance => "balance",
            Self::PayOut => "pay-out",
            Self::Benefit => "benefit",
            Self::Subscribe => "subscribe",
            Self::Authorize => "authorize",
            Self::Order => "order",
            Self::Purchase => "purchase",
            Self::Face => "face",
            Self::DataSet => "data-set",
            Self::Hold => "hold",
            Self::Release => "release",
        }
    }

    /// Whether it is about one cancellation.
    #[must_use]
    pub fn is_about_a_case(self) -> bool {
        matches!(
            self,
            Self::Request
                | Self::Look
                | Self::Clear
                | Self::Verify
                | Self::Complete
                | Self::Confirm
                | Self::Revoke
                | Self::Reassess
                | Self::Report
        )
    }
}
