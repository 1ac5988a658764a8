//! What can go wrong at this service's edge, and the one mapping of it to a status.

use keys::{TokenError, VaultError};
use participant::{AccountError, WriteError};
use service_kit::{BadRequest, RETRY_AFTER, Refusal, account_refusal, reason};
use tonic::{Code, Status};

use crate::{domain::Rejection, wire::factor_name};

/// A request that is not fulfilled.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fields of it are wrong.
    #[error(transparent)]
    BadRequest(#[from] BadRequest),
    /// The account cannot be read or written.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The domain refuses.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The subject has no such cancellation.
    #[error("the subject has no such cancellation")]
    CancellationUnknown,
    /// The code is not the one that was sent.
    #[error("the code is wrong")]
    CodeWrong {
        /// How many more wrong ones are taken.
        tries_left: u32,
    },
    /// The text is no token, or none of ours.
    #[error("the verification token is not one that identity signed")]
    TokenInvalid(#[source] TokenError),
    /// A contact can be neither sealed nor opened.
    #[error("contact data cannot be sealed or opened")]
    Vault(#[from] VaultError),
    /// Work on a contact panicked.
    #[error("work on contact data ended before it was done")]
    Interrupted(#[from] tokio::task::JoinError),
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
        let refuse = |code, reason| Refusal::new(code, reason, message);
        let refusal = match error {
            Error::BadRequest(error) => error.into(),
            Error::Account(error) => account_refusal(error),
            Error::Vault(VaultError::Destroyed) => account_refusal(AccountError::Closed),
            Error::Rejected(rejection) => rejected(rejection),
            Error::CancellationUnknown => refuse(Code::NotFound, "NOT_FOUND"),
            Error::TokenInvalid(error) => refuse(Code::PermissionDenied, "TOKEN_INVALID").caused_by(error),
            Error::CodeWrong { tries_left } => {
                refuse(Code::FailedPrecondition, "CODE_WRONG").metadata("tries_left", tries_left.to_string())
            }
            Error::Vault(error @ (VaultError::Io { .. } | VaultError::Random(_))) => {
                refuse(Code::Unavailable, "VAULT_UNAVAILABLE").retry_after(RETRY_AFTER).caused_by(error)
            }
            Error::Vault(
                error @ (VaultError::Unknown
                | VaultError::Tampered
                | VaultError::Owner
                | VaultError::Kek { .. }),
            ) => refuse(Code::Internal, "VAULT_UNREADABLE").caused_by(error),
            Error::Interrupted(error) => refuse(Code::Internal, reason::INTERNAL).caused_by(error),
        };
        refusal.into()
    }
}

fn rejected(rejection: Rejection) -> Refusal {
    let message = rejection.to_string();
    let refuse = |code, reason| Refusal::new(code, reason, message);
    match rejection {
        Rejection::Closed => account_refusal(AccountError::Closed),
        Rejection::FactorUnavailable(factor) => {
            refuse(Code::FailedPrecondition, "FACTOR_UNAVAILABLE").metadata("factor", factor_name(factor))
        }
        Rejection::TooManyCodes { retry_after } => {
            refuse(Code::ResourceExhausted, "TOO_MANY_CODES").retry_after(retry_after)
        }
        Rejection::VerificationUnknown => refuse(Code::NotFound, "NOT_FOUND"),
        Rejection::TooManyTries => refuse(Code::FailedPrecondition, "TOO_MANY_TRIES"),
        Rejection::CodeExpired => refuse(Code::FailedPrecondition, "CODE_EXPIRED"),
        Rejection::AlreadyBanned { reason_code } => {
            refuse(Code::FailedPrecondition, "ALREADY_BANNED").metadata("reason_code", reason_code)
        }
        Rejection::NotBanned => refuse(Code::FailedPrecondition, "NOT_BANNED"),
        Rejection::AppealUndecided { appeal, due } => refuse(Code::FailedPrecondition, "APPEAL_UNDECIDED")
            .metadata("appeal_id", appeal.as_str())
            .metadata("due_at", due.to_string()),
        Rejection::AppealUnknown => refuse(Code::NotFound, "NOT_FOUND"),
        Rejection::AppealEnded => refuse(Code::FailedPrecondition, "APPEAL_ENDED"),
        Rejection::TooManyGuardians => refuse(Code::FailedPrecondition, "GUARDIANS_TOO_MANY"),
        Rejection::NotGuardian => refuse(Code::FailedPrecondition, "NOT_A_GUARDIAN"),
        Rejection::TokenForeign => refuse(Code::PermissionDenied, "TOKEN_FOREIGN"),
        Rejection::TokenExpired => refuse(Code::FailedPrecondition, "TOKEN_EXPIRED"),
        Rejection::ComingBackRefused { code, basis, until } => {
            refuse(Code::FailedPrecondition, "REREGISTRATION_REFUSED")
                .metadata("reason_code", code)
                .metadata("basis", basis)
                .metadata("until", until.to_string())
                .metadata("remedy", "ask support, where a person reviews it")
                .metadata("human_review", "AllowReRegistration")
        }
        Rejection::ComingBackEarly { basis, from } => {
            refuse(Code::FailedPrecondition, "REREGISTRATION_TOO_EARLY")
                .metadata("basis", basis)
                .metadata("from", from.to_string())
        }
    }
}
