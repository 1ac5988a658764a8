//! What can go wrong with a subject's account.

use event_store::{AppendError, StoreError};
use messaging::{Behind, Unreadable};

use crate::request::Taken;

/// An account could not be read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AccountError {
    /// No such subject, or nothing of theirs with that id.
    #[error("no such subject, or nothing of theirs has that id")]
    NotFound,
    /// The subject's account is closed.
    #[error("the subject's account is closed")]
    Closed,
    /// The account is being closed, and nothing new may come into it that nobody has accepted the
    /// end of.
    #[error("the subject's account is being closed")]
    Closing,
    /// The request id was used for another request.
    #[error("the request id was used for another request, which gave {reference}")]
    RequestIdTaken {
        /// What the first one gave.
        reference: String,
    },
    /// The account kept changing while it was being written.
    #[error("the account kept changing while it was being written")]
    Conflict,
    /// Too much is waiting to be written.
    #[error("too much is waiting to be written")]
    Busy,
    /// Too much is waiting to be published.
    #[error(transparent)]
    Behind(#[from] Behind),
    /// An event would be larger than the store takes.
    #[error("the request is too large to be recorded")]
    Oversize,
    /// The account's history has an event that this program does not know.
    #[error("the account's history cannot be read by this version")]
    Unreadable(#[source] Unreadable),
    /// The store could not answer.
    #[error("the store cannot be reached")]
    Store(#[from] StoreError),
}

impl From<Taken> for AccountError {
    fn from(Taken { reference }: Taken) -> Self {
        Self::RequestIdTaken { reference }
    }
}

/// A write did not take place.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WriteError<R> {
    /// The domain refuses.
    #[error("refused")]
    Rejected(R),
    /// The account cannot be written.
    #[error(transparent)]
    Account(AccountError),
}

impl<R> From<AccountError> for WriteError<R> {
    fn from(error: AccountError) -> Self {
        Self::Account(error)
    }
}

/// What an append's failure means to a writer that cannot decide again.
pub(crate) fn of_append(error: AppendError) -> AccountError {
    match error {
        AppendError::Conflict(_) | AppendError::Claimed { .. } | AppendError::OffsetMoved { .. } => {
            AccountError::Conflict
        }
        AppendError::Oversize { .. } => AccountError::Oversize,
        AppendError::Busy => AccountError::Busy,
        AppendError::Store(error) => AccountError::Store(error),
    }
}
