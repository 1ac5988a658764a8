//! What operations can be refused for, and what a server's refusal means to its caller: the one
//! place of this crate that knows status codes.

use event_store::{AppendError, StoreError};
use participant::{AccountError, Taken};
use service_kit::{BadRequest, Refusal, account_refusal};
use tonic::{Code, Status};

/// A call of an operator that is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fields are wrong.
    #[error(transparent)]
    BadRequest(#[from] BadRequest),
    /// Cancellations are not coordinated in this process.
    #[error("cancellations are not coordinated in this process: ask one of the role cancellation")]
    NotCoordinator,
    /// Nothing is parked there.
    #[error("nothing is parked there")]
    NotParked,
    /// The request id was used for another request.
    #[error(transparent)]
    RequestIdTaken(#[from] Taken),
    /// The store could not be read.
    #[error("the store cannot be reached")]
    Store(#[from] StoreError),
    /// The store did not take it.
    #[error("the change was not recorded")]
    Append(#[from] AppendError),
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let refusal = match error {
            Error::BadRequest(wrong) => wrong.into(),
            Error::NotCoordinator | Error::NotParked => {
                Refusal::new(Code::NotFound, "NOT_FOUND", error.to_string())
            }
            Error::RequestIdTaken(taken) => account_refusal(taken.into()),
            Error::Store(error) => account_refusal(AccountError::Store(error)),
            Error::Append(error) => account_refusal(match error {
                AppendError::Conflict(_) | AppendError::Claimed { .. } | AppendError::OffsetMoved { .. } => {
                    AccountError::Conflict
                }
                AppendError::Oversize { .. } => AccountError::Oversize,
                AppendError::Busy => AccountError::Busy,
                AppendError::Store(error) => AccountError::Store(error),
            }),
        };
        refusal.into()
    }
}

/// Whether the caller must mend something before asking again. Otherwise the server, or the way to
/// it, is at fault, and the same call may succeed later.
#[must_use]
pub fn is_refusal(status: &Status) -> bool {
    match status.code() {
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Unauthenticated => true,
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => false,
    }
}

/// The code as gRPC's documents spell it: `INVALID_ARGUMENT`.
#[must_use]
pub fn code_name(status: &Status) -> &'static str {
    match status.code() {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
