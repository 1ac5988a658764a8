//! The table of what people do. A new command is a row here and an arm in `calls.rs`.

use testkit::Dice;

/// Each verb: its word for transcripts and request ids, how often it comes when nothing is done for a
/// reason, and whether it is about one cancellation.
macro_rules! verbs {
    ($($(#[$doc:meta])+ $verb:ident = $word:literal, $weight:literal, $about:expr;)+) => {
        /// What somebody does.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Verb {
            $($(#[$doc])+ $verb,)+
        }

        const TABLE: &[(Verb, u64)] = &[$((Verb::$verb, $weight),)+];

        impl Verb {
            /// For transcripts and request ids.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$verb => $word,)+
                }
            }

            /// Whether it is about one cancellation.
            #[must_use]
            pub fn is_about_a_case(self) -> bool {
                match self {
                    $(Self::$verb => $about,)+
                }
            }
        }
    };
}

const CASE: bool = true;
const PERSON: bool = false;

verbs! {
    /// Becomes known.
    Register = "register", 0, PERSON;
    /// Comes back after the account was closed: somebody new.
    Return = "return", 2, PERSON;
    /// Asks for a cancellation.
    Request = "request", 4, CASE;
    /// Looks how it stands.
    Look = "look", 4, CASE;
    /// Gets a token with which to look and to revoke, however signing in stands.
    Token = "token", 2, CASE;
    /// Clears one of the blockers that they saw.
    Clear = "clear", 2, CASE;
    /// Asks for a code.
    Verify = "verify", 2, CASE;
    /// Gives the code.
    Complete = "complete", 2, CASE;
    /// Accepts the quote.
    Confirm = "confirm", 8, CASE;
    /// Wants it no more.
    Revoke = "revoke", 5, CASE;
    /// Has everybody asked again.
    Reassess = "reassess", 4, CASE;
    /// Reports what waits for them as done: the provider has ended it.
    Report = "report", 3, CASE;
    /// An operator has everybody asked again.
    Recheck = "recheck", 1, CASE;
    /// An operator has somebody execute once more.
    Retry = "retry", 4, CASE;
    /// An operator says that somebody's work was done outside.
    Attest = "attest", 1, CASE;
    /// An operator has the clock run longer.
    Extend = "extend", 1, CASE;
    /// An operator says whose something is that waits for a person.
    Assign = "assign", 2, CASE;
    /// Has money in the wallet.
    Balance = "balance", 5, PERSON;
    /// Has it paid out.
    PayOut = "pay-out", 4, PERSON;
    /// Gets points.
    Benefit = "benefit", 5, PERSON;
    /// Subscribes to something.
    Subscribe = "subscribe", 5, PERSON;
    /// Is charged for it.
    Charge = "charge", 3, PERSON;
    /// Wants money back.
    Apply = "apply", 3, PERSON;
    /// Looks which of their money comes back.
    Refunds = "refunds", 2, PERSON;
    /// Somebody decides whether it does.
    DecideRefund = "decide-refund", 2, PERSON;
    /// It is paid.
    PayRefund = "pay-refund", 2, PERSON;
    /// Lets a merchant rely on their payment score.
    Authorize = "authorize", 4, PERSON;
    /// Uses something on credit.
    Order = "order", 3, PERSON;
    /// Buys something on credit.
    Purchase = "purchase", 2, PERSON;
    /// Pays by face, or no more.
    Face = "face", 2, PERSON;
    /// Leaves data somewhere.
    DataSet = "data-set", 5, PERSON;
    /// Has what is on a device cleared.
    CleanUp = "clean-up", 2, PERSON;
    /// A court keeps their data from being erased.
    Hold = "hold", 3, PERSON;
    /// It does so no more.
    Release = "release", 3, PERSON;
    /// Is banned.
    Ban = "ban", 2, PERSON;
    /// Is banned no more.
    Lift = "lift", 1, PERSON;
    /// Says why that is wrong.
    Appeal = "appeal", 3, PERSON;
    /// Does not insist.
    Withdraw = "withdraw", 1, PERSON;
    /// Somebody decides about it.
    DecideAppeal = "decide-appeal", 1, PERSON;
}

/// Something that anybody may do at any time.
pub fn any(dice: &mut Dice) -> Verb {
    dice.pick(TABLE).unwrap_or(Verb::Look)
}
