//! What can go wrong at this service's edge, and the one mapping of it to a status.

use participant::{AccountError, WriteError};
use service_kit::{BadRequest, Refusal};
use tonic::{Code, Status};

use crate::domain::{BALANCES_MAX, BENEFITS_MAX, Rejection};

/// A request that is not fulfilled.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fields of it are wrong.
    #[error(transparent)]
    BadRequest(#[from] BadRequest),
    /// The domain refuses.
    #[error(transparent)]
    Rejected(Rejection),
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
        let message = error.to_string();
        let refuse = |reason| Refusal::new(Code::FailedPrecondition, reason, message);
        match error {
            Error::BadRequest(error) => error.into(),
            Error::Account(error) => service_kit::account_refusal(error).into(),
            Error::Rejected(Rejection::NothingToPayOut) => refuse("NOTHING_TO_PAY_OUT").into(),
            Error::Rejected(Rejection::TooManyBalances) => {
                refuse("BALANCES_TOO_MANY").metadata("balances_max", BALANCES_MAX.to_string()).into()
            }
            Error::Rejected(Rejection::TooManyBenefits) => {
                refuse("BENEFITS_TOO_MANY").metadata("benefits_max", BENEFITS_MAX.to_string()).into()
            }
        }
    }
}
