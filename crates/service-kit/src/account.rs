//! How every participant says that an account cannot be read or written.

use std::time::Duration;

use participant::AccountError;
use tonic::Code;

use crate::Refusal;

/// After what span a call that met a passing trouble is worth repeating.
pub const RETRY_AFTER: Duration = Duration::from_millis(500);

/// The refusal that an account's error means. The error itself stays in the process, for the log.
#[must_use]
pub fn account_refusal(error: AccountError) -> Refusal {
    let message = error.to_string();
    let refuse = |code, reason| Refusal::new(code, reason, message);
    let refusal = match &error {
        AccountError::NotFound => refuse(Code::NotFound, "NOT_FOUND"),
        AccountError::Closed => refuse(Code::FailedPrecondition, "SUBJECT_CLOSED"),
        AccountError::RequestIdTaken { reference } => {
            refuse(Code::AlreadyExists, "REQUEST_ID_TAKEN").metadata("first", reference)
        }
        AccountError::Conflict => refuse(Code::Aborted, "CONCURRENT_CHANGE").retry_after(RETRY_AFTER),
        AccountError::Busy => refuse(Code::ResourceExhausted, "BUSY").retry_after(RETRY_AFTER),
        AccountError::Oversize => refuse(Code::InvalidArgument, "TOO_LARGE"),
        AccountError::Unreadable(_) => refuse(Code::Internal, "HISTORY_UNREADABLE"),
        AccountError::Store(_) => refuse(Code::Unavailable, "STORE_UNAVAILABLE").retry_after(RETRY_AFTER),
    };
    refusal.caused_by(error)
}
