//! Why a call is refused, and the one mapping of that to a status.

use service_kit::{CallError, Refusal, Refuse};
use tonic::Code;

use crate::domain::{BALANCES_MAX, BENEFITS_MAX, Rejection};

/// A call that is not fulfilled.
pub type Error = CallError<Rejection>;

impl Refuse for Rejection {
    fn refusal(&self) -> Refusal {
        let refuse = |reason| Refusal::new(Code::FailedPrecondition, reason, self.to_string());
        match self {
            Self::NothingToPayOut => refuse("NOTHING_TO_PAY_OUT"),
            Self::TooManyBalances => {
                refuse("BALANCES_TOO_MANY").metadata("balances_max", BALANCES_MAX.to_string())
            }
            Self::TooManyBenefits => {
                refuse("BENEFITS_TOO_MANY").metadata("benefits_max", BENEFITS_MAX.to_string())
            }
        }
    }
}
