//! Why a call is refused, and the one mapping of that to a status.

use service_kit::{CallError, Refusal, Refuse};
use tonic::Code;

use crate::domain::Rejection;

/// A call that is not fulfilled.
pub type Error = CallError<Rejection>;

impl Refuse for Rejection {
    fn refusal(&self) -> Refusal {
        let refuse = |code, reason| Refusal::new(code, reason, self.to_string());
        match self {
            Rejection::Unknown(_) => refuse(Code::NotFound, "NOT_FOUND"),
            Rejection::AuthorizationExists { first } => {
                refuse(Code::AlreadyExists, "AUTHORIZATION_EXISTS").metadata("first", first.as_str())
            }
            Rejection::Unbound(_) => refuse(Code::FailedPrecondition, "AUTHORIZATION_UNBOUND"),
            Rejection::Frozen { by, .. } => {
                refuse(Code::FailedPrecondition, "AUTHORIZATION_FROZEN").metadata("by", by.as_str())
            }
            Rejection::OrderExists { first } => {
                refuse(Code::AlreadyExists, "SERVICE_ORDER_EXISTS").metadata("first", first.as_str())
            }
            Rejection::OrderNotOpen { .. } => refuse(Code::FailedPrecondition, "SERVICE_ORDER_NOT_OPEN"),
            Rejection::OrderNotCompleted { .. } => {
                refuse(Code::FailedPrecondition, "SERVICE_ORDER_NOT_COMPLETED")
            }
            Rejection::TooMany(_) => refuse(Code::FailedPrecondition, "PAYSCORE_TOO_MANY"),
        }
    }
}
