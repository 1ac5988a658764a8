//! Why a call is refused, and the one mapping of that to a status.

use service_kit::{CallError, Refusal, Refuse};
use tonic::Code;

use crate::domain::{CLEAN_UPS_MAX, DATA_SETS_MAX, DataSetId, HOLDS_MAX, Rejection};

/// A call that is not fulfilled.
pub type Error = CallError<Rejection>;

impl Refuse for Rejection {
    fn refusal(&self) -> Refusal {
        match self {
            Self::TooManyDataSets => {
                Refusal::new(Code::FailedPrecondition, "DATA_SETS_TOO_MANY", self.to_string())
                    .metadata("data_sets_max", DATA_SETS_MAX.to_string())
            }
            Self::TooManyHolds => Refusal::new(Code::FailedPrecondition, "HOLDS_TOO_MANY", self.to_string())
                .metadata("holds_max", HOLDS_MAX.to_string()),
            Self::NothingToHold(ids) => {
                let ids: Vec<_> = ids.iter().map(DataSetId::as_str).collect();
                Refusal::new(Code::FailedPrecondition, "NOTHING_TO_HOLD", self.to_string())
                    .metadata("data_set_ids", ids.join(","))
            }
            Self::HoldOver => Refusal::new(Code::FailedPrecondition, "HOLD_OVER", self.to_string()),
            Self::NotOnDevice => Refusal::new(Code::NotFound, "NOT_ON_DEVICE", self.to_string()),
            Self::TooManyCleanUps => {
                Refusal::new(Code::FailedPrecondition, "CLEAN_UPS_TOO_MANY", self.to_string())
                    .metadata("clean_ups_max", CLEAN_UPS_MAX.to_string())
            }
        }
    }
}
