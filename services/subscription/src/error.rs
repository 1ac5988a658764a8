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
        Rejection::NotProviderBilled(_) => refuse(Code::FailedPrecondition, "NOT_PROVIDER_BILLED"),
        Rejection::Ended(_) => refuse(Code::FailedPrecondition, "SUBSCRIPTION_ENDED"),
        Rejection::ObservationOutdated { last } => {
            refuse(Code::FailedPrecondition, "OBSERVATION_OUTDATED").metadata("last", last.to_string())
        }
        Rejection::TooMany => refuse(Code::FailedPrecondition, "SUBSCRIPTIONS_TOO_MANY"),
    }
}
