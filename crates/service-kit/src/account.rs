//! How every participant says no: to a request that is wrong, to one that its rules refuse, and when
//! an account cannot be read or written.

use std::time::Duration;

use participant::{AccountError, WriteError};
use tonic::{Code, Status};

use crate::{BadRequest, Refusal};

/// After what span a call that met a passing trouble is worth repeating.
pub const RETRY_AFTER: Duration = Duration::from_millis(500);

/// After what span a call is worth repeating that was refused because too much waits to be published.
pub const RETRY_BEHIND_AFTER: Duration = Duration::from_secs(5);

/// What a service's rules say no with. Each service's `error.rs` says how, exhaustively.
pub trait Refuse: std::fmt::Display {
    /// The refusal that the caller sees.
    fn refusal(&self) -> Refusal;
}

/// A call to a participant that is not fulfilled.
#[derive(Debug, thiserror::Error)]
pub enum CallError<R: std::fmt::Display> {
    /// Fields of the request are wrong.
    #[error(transparent)]
    BadRequest(#[from] BadRequest),
    /// The rules refuse it.
    #[error("{0}")]
    Rejected(R),
    /// The account cannot be read or written.
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl<R: std::fmt::Display> From<WriteError<R>> for CallError<R> {
    fn from(error: WriteError<R>) -> Self {
        match error {
            WriteError::Rejected(rejection) => Self::Rejected(rejection),
            WriteError::Account(error) => Self::Account(error),
        }
    }
}

impl<R: Refuse> From<CallError<R>> for Status {
    fn from(error: CallError<R>) -> Self {
        match error {
            CallError::BadRequest(bad) => bad.into(),
            CallError::Rejected(rejection) => rejection.refusal().into(),
            CallError::Account(error) => account_refusal(error).into(),
        }
    }
}

/// The refusal that an account's error means. The error itself stays in the process, for the log.
#[must_use]
pub fn account_refusal(error: AccountError) -> Refusal {
    let message = error.to_string();
    let refuse = |code, reason| Refusal::new(code, reason, message);
    let refusal = match &error {
        AccountError::NotFound => refuse(Code::NotFound, "NOT_FOUND"),
        AccountError::Closed => refuse(Code::FailedPrecondition, "SUBJECT_CLOSED"),
        AccountError::Closing => refuse(Code::FailedPrecondition, "SUBJECT_CLOSING"),
        AccountError::RequestIdTaken { reference } => {
            refuse(Code::AlreadyExists, "REQUEST_ID_TAKEN").metadata("first", reference)
        }
        AccountError::Conflict => refuse(Code::Aborted, "CONCURRENT_CHANGE").retry_after(RETRY_AFTER),
        AccountError::Busy => refuse(Code::ResourceExhausted, "BUSY").retry_after(RETRY_AFTER),
        AccountError::Behind(_) => {
            refuse(Code::ResourceExhausted, "PUBLISHING_BEHIND").retry_after(RETRY_BEHIND_AFTER)
        }
        AccountError::Oversize => refuse(Code::InvalidArgument, "TOO_LARGE"),
        AccountError::Unreadable(_) => refuse(Code::Internal, "HISTORY_UNREADABLE"),
        AccountError::Store(_) => refuse(Code::Unavailable, "STORE_UNAVAILABLE").retry_after(RETRY_AFTER),
    };
    refusal.caused_by(error)
}

#[cfg(test)]
mod tests {
    use event_store::StoreError;
    use tonic_types::StatusExt as _;

    use super::*;

    #[derive(Debug)]
    struct Never;
    impl std::fmt::Display for Never {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("never")
        }
    }
    impl Refuse for Never {
        fn refusal(&self) -> Refusal {
            Refusal::new(Code::FailedPrecondition, "NEVER", self.to_string())
        }
    }

    #[test]
    fn a_store_that_fails_or_is_full_is_unavailable_and_says_when_to_come_back() {
        let error = AccountError::Store(StoreError::unavailable("database or disk is full"));
        let status: Status = CallError::<Never>::from(error).into();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(!status.message().contains("disk"), "what is behind stays in the process");
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "STORE_UNAVAILABLE");
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(RETRY_AFTER));
    }

    #[test]
    fn rules_refuse_with_their_own_reason() {
        let status: Status = CallError::from(WriteError::Rejected(Never)).into();
        assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "never"));
    }
}
