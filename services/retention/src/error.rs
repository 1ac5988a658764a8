//! What can go wrong at this service's edge, and the one mapping of it to a status.

use participant::{AccountError, WriteError};
use service_kit::{BadRequest, Refusal};
use tonic::{Code, Status};

use crate::domain::{DATA_SETS_MAX, Rejection};

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
        match error {
            Error::BadRequest(error) => error.into(),
            Error::Account(error) => service_kit::account_refusal(error).into(),
            Error::Rejected(Rejection::TooManyDataSets) => {
                Refusal::new(Code::FailedPrecondition, "DATA_SETS_TOO_MANY", message)
                    .metadata("data_sets_max", DATA_SETS_MAX.to_string())
                    .into()
            }
        }
    }
}
