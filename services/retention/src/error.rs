//! Why a call is refused, and the one mapping of that to a status.

use service_kit::{CallError, Refusal, Refuse};
use tonic::Code;

use crate::domain::{DATA_SETS_MAX, Rejection};

/// A call that is not fulfilled.
pub type Error = CallError<Rejection>;

impl Refuse for Rejection {
    fn refusal(&self) -> Refusal {
        match self {
            Self::TooManyDataSets => {
                Refusal::new(Code::FailedPrecondition, "DATA_SETS_TOO_MANY", self.to_string())
                    .metadata("data_sets_max", DATA_SETS_MAX.to_string())
            }
        }
    }
}
