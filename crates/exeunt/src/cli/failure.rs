//! What went wrong, why, and what to do next.

use std::{error::Error, fmt::Write};

use serde_json::{Map, Value, json};
use tonic::Status;
use tonic_types::StatusExt;

use crate::error;

/// Every reason with what it means and what to do.
const REASONS: &str = include_str!("../../../../docs/errors.md");

type Cause = Box<dyn Error + Send + Sync>;

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The server answered, and said no.
    #[error("{}", .0.message())]
    Refused(Box<Status>),
    /// There is no server, or none that is reached.
    #[error("the server at {server} cannot be reached")]
    Unreachable {
        /// Where it was looked for.
        server: String,
        /// What stands in the way.
        source: Cause,
    },
    /// Something on this side.
    #[error("{what}")]
    Local {
        /// What failed.
        what: String,
        /// Why.
        source: Option<Cause>,
    },
    /// A receipt proves nothing.
    #[error("the receipt does not hold")]
    NotVerified(#[source] Cause),
    /// A participant does otherwise than the contract says.
    #[error("{participant} does not keep to the contract: checks that failed: {failed}")]
    NotConforming {
        /// Which.
        participant: String,
        /// How many checks say so.
        failed: u32,
    },
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Refused(Box::new(status))
    }
}

impl Failure {
    /// Something on this side that has a cause.
    pub fn local(what: impl Into<String>, source: impl Into<Cause>) -> Self {
        Self::Local { what: what.into(), source: Some(source.into()) }
    }

    /// Something on this side that says all there is to say.
    pub fn plain(what: impl Into<String>) -> Self {
        Self::Local { what: what.into(), source: None }
    }

    /// The exit code that stands for it, as `--help` lists them.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(status) if error::is_refusal(status) => 3,
            Self::Refused(_) | Self::Unreachable { .. } | Self::Local { .. } => 1,
            Self::NotVerified(_) => 4,
            Self::NotConforming { .. } => 5,
        }
    }

    /// For people: what, every single fault, and what to do next.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("error: {self}");
        if let Self::Refused(status) = self {
            details(status, &mut text);
        }
        for cause in self.causes() {
            put(&mut text, format_args!("\n  because {cause}"));
        }
        if let Some(hint) = self.hint() {
            put(&mut text, format_args!("\nwhat to do: {hint}"));
        }
        text
    }

    /// For programs: one object.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut said = Map::new();
        said.insert("message".into(), self.to_string().into());
        if let Self::Refused(status) = self {
            said.extend(fields(status));
        }
        let causes = self.causes();
        if !causes.is_empty() {
            said.insert("causes".into(), causes.into());
        }
        if let Some(hint) = self.hint() {
            said.insert("hint".into(), hint.into());
        }
        json!({ "error": said })
    }

    /// The errors behind, outermost first; what repeats the one before is left out.
    fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut cause = self.source();
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        causes.dedup();
        causes
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Refused(status) => status.get_details_error_info().and_then(|info| meaning(&info.reason)),
            Self::Unreachable { .. } => {
                Some("start one with `exeunt serve`, or name another with --server or EXEUNT_SERVER".into())
            }
            Self::Local { .. } => None,
            Self::NotConforming { .. } => Some("docs/participants.md says what each rule means".into()),
            Self::NotVerified(_) => Some(
                "fetch the keys again from the server that sealed it; if it still does not hold, do not rely on it"
                    .into(),
            ),
        }
    }
}

/// What the documents say of a reason: its section on one line, without the code at its beginning,
/// which is told already.
fn meaning(reason: &str) -> Option<String> {
    let (_, rest) = REASONS.split_once(&format!("\n### {reason}\n"))?;
    let section = rest.split("\n#").next()?.trim();
    let section =
        section.strip_prefix('`').and_then(|code| code.split_once("`. ")).map_or(section, |(_, rest)| rest);
    let words: Vec<_> = section.split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

fn details(status: &Status, text: &mut String) {
    let details = status.get_error_details();
    let code = error::code_name(status);
    match details.error_info().map(|info| info.reason.as_str()) {
        Some(reason) if reason != code => put(text, format_args!(" ({code}: {reason})")),
        Some(_) | None => put(text, format_args!(" ({code})")),
    }
    for fault in details.bad_request().iter().flat_map(|wrong| &wrong.field_violations) {
        let fault = format!("{} {}", fault.field, fault.description);
        // A single one is the whole message.
        if fault != status.message() {
            put(text, format_args!("\n  {fault}"));
        }
    }
    for fault in details.precondition_failure().iter().flat_map(|unmet| &unmet.violations) {
        put(text, format_args!("\n  {} [{}]: {}", fault.r#type, fault.subject, fault.description));
    }
    if let Some(info) = details.error_info() {
        let mut metadata: Vec<_> = info.metadata.iter().collect();
        metadata.sort();
        for (name, value) in metadata {
            put(text, format_args!("\n  {name}: {value}"));
        }
    }
    if let Some(delay) = details.retry_info().and_then(|retry| retry.retry_delay) {
        put(text, format_args!("\n  worth trying again in {} ms", delay.as_millis()));
    }
}

fn fields(status: &Status) -> Map<String, Value> {
    let details = status.get_error_details();
    let mut said = Map::new();
    said.insert("code".into(), error::code_name(status).into());
    if let Some(info) = details.error_info() {
        said.insert("reason".into(), info.reason.clone().into());
        said.insert("metadata".into(), json!(info.metadata));
    }
    let wrong = details.bad_request().map(|wrong| wrong.field_violations.as_slice()).unwrap_or_default();
    let wrong: Vec<_> =
        wrong.iter().map(|fault| json!({ "field": fault.field, "description": fault.description })).collect();
    if !wrong.is_empty() {
        said.insert("violations".into(), wrong.into());
    }
    let unmet = details.precondition_failure().map(|unmet| unmet.violations.as_slice()).unwrap_or_default();
    let unmet: Vec<_> = unmet
        .iter()
        .map(|fault| {
            json!({ "kind": fault.r#type, "subject": fault.subject, "description": fault.description })
        })
        .collect();
    if !unmet.is_empty() {
        said.insert("preconditions".into(), unmet.into());
    }
    if let Some(delay) = details.retry_info().and_then(|retry| retry.retry_delay) {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        said.insert("retryAfterMs".into(), millis.into());
    }
    said
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use service_kit::{BadRequest, FieldFault};

    use super::*;

    fn refused() -> Failure {
        let fault = |field: &str| FieldFault { field: field.into(), description: "must be given".into() };
        let wrong = BadRequest { faults: vec![fault("subject_id"), fault("scope")] };
        Status::from(wrong).into()
    }

    #[test]
    fn a_refusal_names_its_reason_every_fault_and_what_to_do() {
        let text = refused().text();
        assert!(text.starts_with("error: 2 fields are wrong: subject_id, scope (INVALID_ARGUMENT)\n  subject_id must be given\n  scope must be given\nwhat to do: "), "{text}");
        let json = refused().json();
        assert_eq!(json["error"]["reason"], "INVALID_ARGUMENT");
        assert_eq!(json["error"]["violations"][1]["field"], "scope");
        assert_eq!(refused().exit_code(), 3);
    }

    #[test]
    fn a_server_that_is_not_there_is_no_refusal() {
        let failure = Failure::Unreachable { server: "http://x".into(), source: "connection refused".into() };
        assert_eq!(failure.exit_code(), 1);
        assert!(failure.text().contains("because connection refused\nwhat to do: start one"));
    }
}
