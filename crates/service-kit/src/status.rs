//! How a service says no: one builder from a typed error to a gRPC status with google.rpc details.

use std::{collections::HashMap, error::Error, sync::Arc, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::FieldFault;

/// The domain of every reason.
pub const DOMAIN: &str = "exeunt.dev";

/// How many violations of one kind an answer names. They travel in headers, which clients take up
/// to 8 KiB or so. Whoever mends these is told the next ones.
const VIOLATIONS_MAX: usize = 40;

/// The reasons that this crate gives itself, each with its heading in `docs/errors.md`.
pub mod reason {
    /// Fields of the request are wrong; every one is named.
    pub const INVALID_ARGUMENT: &str = "INVALID_ARGUMENT";
    /// The request is not the message that the method takes.
    pub const MALFORMED_MESSAGE: &str = "MALFORMED_MESSAGE";
    /// The request has more bytes than the server takes.
    pub const MESSAGE_TOO_LARGE: &str = "MESSAGE_TOO_LARGE";
    /// As many requests as may be are being answered already.
    pub const OVERLOADED: &str = "OVERLOADED";
    /// The answer took longer than the caller or the server allows.
    pub const DEADLINE_EXCEEDED: &str = "DEADLINE_EXCEEDED";
    /// The server is at fault, and its log says how.
    pub const INTERNAL: &str = "INTERNAL";
    /// Nobody established who calls.
    pub const UNAUTHENTICATED: &str = "UNAUTHENTICATED";
    /// The service has not read yet what it must have read before it answers.
    pub const CATCHING_UP: &str = "CATCHING_UP";
    /// The server is stopping; another, or the same after its restart, will answer.
    pub const SHUTTING_DOWN: &str = "SHUTTING_DOWN";
}

/// One thing that stands in the way, as `google.rpc.PreconditionFailure` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Precondition {
    /// What kind of thing, UPPER_SNAKE_CASE.
    pub kind: String,
    /// What it is about: an id to act on.
    pub subject: String,
    /// What the caller must do, for people.
    pub description: String,
}

/// A refusal on its way to the caller. Each service's `error.rs` makes them, and nothing else.
#[derive(Debug)]
pub struct Refusal {
    code: Code,
    reason: &'static str,
    message: String,
    metadata: HashMap<String, String>,
    preconditions: Vec<Precondition>,
    fields: Vec<FieldFault>,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl Refusal {
    /// A refusal with a reason that never changes (UPPER_SNAKE_CASE, at most 63 characters) and one
    /// sentence for people, which must not carry personal data or what belongs in the log only.
    pub fn new(code: Code, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            metadata: HashMap::new(),
            preconditions: Vec::new(),
            fields: Vec::new(),
            retry_after: None,
            source: None,
        }
    }

    /// Adds a value that programs may read: an id, a state, a date.
    #[must_use]
    pub fn metadata(mut self, key: &str, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Adds one thing that stands in the way.
    #[must_use]
    pub fn precondition(
        mut self,
        kind: impl Into<String>,
        subject: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        let [kind, subject, description] = [kind.into(), subject.into(), description.into()];
        self.preconditions.push(Precondition { kind, subject, description });
        self
    }

    /// Adds everything that stands in the way.
    #[must_use]
    pub fn preconditions(mut self, all: impl IntoIterator<Item = Precondition>) -> Self {
        self.preconditions.extend(all);
        self
    }

    /// Adds fields that are wrong.
    #[must_use]
    pub fn fields(mut self, all: impl IntoIterator<Item = FieldFault>) -> Self {
        self.fields.extend(all);
        self
    }

    /// Says that the same call may succeed after this span.
    #[must_use]
    pub fn retry_after(mut self, span: Duration) -> Self {
        self.retry_after = Some(span);
        self
    }

    /// Attaches the error behind. It never leaves the process: the layer that answers logs its
    /// whole chain, once.
    #[must_use]
    pub fn caused_by(mut self, error: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(error));
        self
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let mut details = ErrorDetails::with_error_info(refusal.reason, DOMAIN, refusal.metadata);
        let fields = refusal.fields.into_iter().take(VIOLATIONS_MAX);
        for FieldFault { field, description } in fields {
            details.add_bad_request_violation(field, description);
        }
        let preconditions = refusal.preconditions.into_iter().take(VIOLATIONS_MAX);
        for Precondition { kind, subject, description } in preconditions {
            details.add_precondition_failure_violation(kind, subject, description);
        }
        if refusal.retry_after.is_some() {
            details.set_retry_info(refusal.retry_after);
        }
        let mut status = Status::with_error_details(refusal.code, refusal.message, details);
        if let Some(source) = refusal.source {
            status.set_source(source);
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("disk on fire")]
    struct Fire;

    #[test]
    fn a_refusal_carries_all_its_details() {
        let status: Status = Refusal::new(Code::FailedPrecondition, "BLOCKED", "two things stand in the way")
            .metadata("cancellation_id", "can_1")
            .precondition("OPEN_ORDER", "ord_1", "complete the order")
            .precondition("BALANCE", "CNY", "pay out the balance")
            .retry_after(Duration::from_secs(2))
            .into();
        assert_eq!(status.code(), Code::FailedPrecondition);
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("BLOCKED", DOMAIN));
        assert_eq!(info.metadata["cancellation_id"], "can_1");
        let subjects: Vec<_> = details
            .precondition_failure()
            .unwrap()
            .violations
            .iter()
            .map(|violation| violation.subject.as_str())
            .collect();
        assert_eq!(subjects, ["ord_1", "CNY"]);
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::from_secs(2)));
    }

    #[test]
    fn the_error_behind_stays_in_the_process() {
        let status: Status =
            Refusal::new(Code::Unavailable, "STORE_UNAVAILABLE", "try again").caused_by(Fire).into();
        assert_eq!(status.source().unwrap().to_string(), "disk on fire");
        let response = status.into_http::<String>();
        assert!(!format!("{:?}", response.headers()).contains("fire"));
    }

    #[test]
    fn an_answer_fits_into_headers_whatever_is_wrong() {
        let field = |n| FieldFault {
            field: format!("items[{n}].subscription_id"),
            description: "must have at most 64 characters".into(),
        };
        let status: Status =
            Refusal::new(Code::InvalidArgument, "X", "much is wrong").fields((0..10_000).map(field)).into();
        assert_eq!(status.get_error_details().bad_request().unwrap().field_violations.len(), 40);
        assert!(status.details().len() < 6 * 1024);
    }
}
