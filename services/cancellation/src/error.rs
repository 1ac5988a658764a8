//! What can go wrong with a cancellation, and the one mapping of it to what callers see.

use event_store::{AppendError, StoreError};
use messaging::{Behind, Unreadable};
use participant::Taken;
use proto::participant::v1::Blocker;
use service_kit::{BadRequest, RETRY_AFTER, RETRY_BEHIND_AFTER, Refusal};
use tonic::{Code, Status};
use types::{CancellationId, ParticipantName};

use crate::{case_token::CaseTokenError, domain::Rejection};

/// A call that is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fields are wrong.
    #[error(transparent)]
    BadRequest(#[from] BadRequest),
    /// The rules refuse.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Things must be cleared first.
    #[error("{} things must be cleared first", .0.len())]
    Blocked(Vec<Blocker>),
    /// No such cancellation.
    #[error("there is no cancellation {0}")]
    NotFound(CancellationId),
    /// No such subject.
    #[error("there is no such subject")]
    SubjectNotFound,
    /// The subject's account is closed.
    #[error("the subject's account is closed")]
    SubjectClosed,
    /// The request id was used for another request.
    #[error("the request id was used for another request, which gave {}", .0.reference)]
    RequestIdTaken(#[from] Taken),
    /// A verification token that is none of ours.
    #[error("a verification token does not hold")]
    TokenInvalid(#[source] keys::TokenError),
    /// A case token that is none of ours, or holds no more.
    #[error("the case token does not hold: {0}")]
    CaseToken(#[source] CaseTokenError),
    /// Who must acknowledge has not announced its key yet.
    #[error("no key is known yet of {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    KeysUnknown(Vec<ParticipantName>),
    /// Not completed.
    #[error("there is no receipt: the cancellation is not completed")]
    NoReceipt,
    /// No such version of the receipt.
    #[error("there is no version {0} of the receipt")]
    NoReceiptVersion(u32),
    /// No such bulk retry.
    #[error("there is no bulk retry {0}")]
    NoBulkRetry(String),
    /// The cancellation kept changing.
    #[error("the cancellation kept changing while it was being updated")]
    Conflict,
    /// Too much waits to be written.
    #[error("too much is waiting to be written")]
    Busy,
    /// Too much waits to be published.
    #[error(transparent)]
    Behind(#[from] Behind),
    /// An event would be too large.
    #[error("the request is too large to be recorded")]
    Oversize,
    /// An event of a later version.
    #[error("the cancellation's history cannot be read by this version")]
    Unreadable(#[source] Unreadable),
    /// The store does not answer.
    #[error("the store cannot be reached")]
    Store(#[from] StoreError),
    /// Free text could not be sealed.
    #[error("the vault cannot be written")]
    Vault(#[source] keys::VaultError),
}

impl From<AppendError> for Error {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Conflict(_) | AppendError::Claimed { .. } | AppendError::OffsetMoved { .. } => {
                Self::Conflict
            }
            AppendError::Oversize { .. } => Self::Oversize,
            AppendError::Busy => Self::Busy,
            AppendError::Store(error) => Self::Store(error),
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        let refuse = |code, reason| Refusal::new(code, reason, message.clone());
        let refusal = match &error {
            Error::BadRequest(bad) => return Self::from(bad.clone()),
            Error::Rejected(rejection) => rejected(rejection, message),
            Error::Blocked(blockers) => {
                blockers.iter().fold(refuse(Code::FailedPrecondition, "BLOCKED"), |all, blocker| {
                    all.precondition(
                        &blocker.code,
                        &blocker.item_id,
                        format!("{} {}", blocker.cause, blocker.remedy),
                    )
                })
            }
            Error::NotFound(_)
            | Error::SubjectNotFound
            | Error::NoReceiptVersion(_)
            | Error::NoBulkRetry(_) => refuse(Code::NotFound, "NOT_FOUND"),
            Error::SubjectClosed => refuse(Code::FailedPrecondition, "SUBJECT_CLOSED"),
            Error::RequestIdTaken(Taken { reference }) => {
                refuse(Code::AlreadyExists, "REQUEST_ID_TAKEN").metadata("first", reference)
            }
            Error::TokenInvalid(_) => refuse(Code::PermissionDenied, "TOKEN_INVALID"),
            Error::CaseToken(CaseTokenError::Expired) => {
                refuse(Code::FailedPrecondition, "CASE_TOKEN_EXPIRED")
            }
            Error::CaseToken(_) => refuse(Code::PermissionDenied, "CASE_TOKEN_INVALID"),
            Error::KeysUnknown(_) => {
                refuse(Code::Unavailable, "PARTICIPANT_KEY_UNKNOWN").retry_after(RETRY_AFTER)
            }
            Error::NoReceipt => refuse(Code::FailedPrecondition, "NOT_COMPLETED"),
            Error::Conflict => refuse(Code::Aborted, "CONCURRENT_CHANGE").retry_after(RETRY_AFTER),
            Error::Busy => refuse(Code::ResourceExhausted, "BUSY").retry_after(RETRY_AFTER),
            Error::Behind(_) => {
                refuse(Code::ResourceExhausted, "PUBLISHING_BEHIND").retry_after(RETRY_BEHIND_AFTER)
            }
            Error::Oversize => refuse(Code::InvalidArgument, "TOO_LARGE"),
            Error::Unreadable(_) => refuse(Code::Internal, "HISTORY_UNREADABLE"),
            Error::Store(_) | Error::Vault(_) => {
                refuse(Code::Unavailable, "STORE_UNAVAILABLE").retry_after(RETRY_AFTER)
            }
        };
        refusal.caused_by(error).into()
    }
}

fn rejected(rejection: &Rejection, message: String) -> Refusal {
    let (code, reason) = match rejection {
        Rejection::Unknown => (Code::NotFound, "NOT_FOUND"),
        Rejection::NothingToCancel => (Code::InvalidArgument, "NOTHING_TO_CANCEL"),
        Rejection::UnknownParticipant(_) => (Code::InvalidArgument, "UNKNOWN_PARTICIPANT"),
        Rejection::NotQuoted => (Code::FailedPrecondition, "NOT_QUOTED"),
        Rejection::Blocked => (Code::FailedPrecondition, "BLOCKED"),
        Rejection::QuoteChanged => (Code::FailedPrecondition, "QUOTE_CHANGED"),
        Rejection::AlreadyConfirmed => (Code::FailedPrecondition, "ALREADY_CONFIRMED"),
        Rejection::Ended => (Code::FailedPrecondition, "ENDED"),
        Rejection::TokensMissing { .. } => (Code::FailedPrecondition, "TOKENS_MISSING"),
        Rejection::TokenForeign => (Code::PermissionDenied, "TOKEN_FOREIGN"),
        Rejection::TokenExpired => (Code::FailedPrecondition, "TOKEN_EXPIRED"),
        Rejection::TokenUsed => (Code::FailedPrecondition, "TOKEN_USED"),
        Rejection::NothingWaits => (Code::NotFound, "NOTHING_WAITS"),
        Rejection::NotAwaited(_) => (Code::FailedPrecondition, "NOT_AWAITED"),
        Rejection::NotExtendable => (Code::FailedPrecondition, "NOT_EXTENDABLE"),
        Rejection::ExtensionTooLate => (Code::FailedPrecondition, "EXTENSION_TOO_LATE"),
        Rejection::NotExtended => (Code::FailedPrecondition, "NOT_EXTENDED"),
        Rejection::NotLate(_) => (Code::FailedPrecondition, "NOT_LATE"),
        Rejection::ExecutionStarted => (Code::FailedPrecondition, "EXECUTION_STARTED"),
        Rejection::CoolingOff => (Code::FailedPrecondition, "COOLING_OFF"),
        Rejection::Revoking => (Code::FailedPrecondition, "REVOKING"),
    };
    Refusal::new(code, reason, message)
}
