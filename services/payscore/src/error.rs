//! Why a call is refused, and the one mapping of that to a status.

use participant::{AccountError, WriteError};
use service_kit::{BadRequest, Refusal, account_refusal};
use tonic::{Code, Status};

use crate::domain::Rejection;

/// A call that could not be answered as it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fields are wrong.
    #[error(transparent)]
    Request(#[from] BadRequest),
    /// The rules refuse it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The account cannot be read or written.
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl From<WriteError<Rejection>> for Error {
    fn from(error: WriteError<Rejection>) -> Self {
        match error {
            WriteError::Rejected(rejection) => Self::Rejected(rejection),
            WriteError::Account(error) => Self::Account(error),
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            Error::Request(bad) => bad.into(),
            Error::Rejected(rejection) => refusal(&rejection).into(),
            Error::Account(error) => account_refusal(error).into(),
        }
    }
}

fn refusal(rejection: &Rejection) -> Refusal {
    let refuse = |code, reason| Refusal::new(code, reason, rejection.to_string());
    match rejection {
        Rejection::Unknown(_) => refuse(Code::NotFound, "NOT_FOUND"),
        Rejection::AuthorizationExists { first } => {
            refuse(Code::AlreadyExists, "AUTHORIZATION_EXISTS").metadata("first", first.as_str())
        }
        Rejection::Unbound(_) => refuse(Code::FailedPrecondition, "AUTHORIZATION_UNBOUND"),
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
