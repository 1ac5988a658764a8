//! Requests about guardians.

use proto::identity::v1 as pb;
use service_kit::{BadRequest, Violations};
use types::{CancellationId, SubjectId};

use super::{
    Start, sent_factor,
    standing::{cause, code},
};
use crate::domain::standing::Cause;

/// Who is whose guardian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Whose account it is.
    pub subject: SubjectId,
    /// Who guards them.
    pub guardian: SubjectId,
    /// Why, as a code.
    pub ground: String,
}

/// Who is whose guardian no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Whose account it is.
    pub subject: SubjectId,
    /// Who guarded them.
    pub guardian: SubjectId,
    /// Who says so, and why.
    pub cause: Cause,
}

/// A guardian's consent as it comes.
#[derive(Clone, PartialEq, Eq)]
pub struct Consent {
    /// Whose account ends.
    pub subject: SubjectId,
    /// By which cancellation.
    pub cancellation: CancellationId,
    /// What the guardian shows.
    pub token: String,
}

/// Reads who is whose guardian.
///
/// # Errors
/// [`BadRequest`] with every bad field.
pub fn record(request: &pb::RecordGuardianRequest) -> Result<Record, BadRequest> {
    let mut v = Violations::new();
    v.optional_request_id("request_id", &request.request_id);
    let subject = v.subject_id("subject_id", &request.subject_id);
    let guardian = v.subject_id("guardian_subject_id", &request.guardian_subject_id);
    v.check(guardian.is_none() || guardian != subject, "guardian_subject_id", "must be somebody else");
    let ground = code(&mut v, "ground", &request.ground);
    v.finish(|| Some(Record { subject: subject?, guardian: guardian?, ground: ground? }))
}

/// Reads who is whose guardian no more.
///
/// # Errors
/// [`BadRequest`] with every bad field.
pub fn end(request: &pb::EndGuardianRequest) -> Result<End, BadRequest> {
    let mut v = Violations::new();
    v.optional_request_id("request_id", &request.request_id);
    let subject = v.subject_id("subject_id", &request.subject_id);
    let guardian = v.subject_id("guardian_subject_id", &request.guardian_subject_id);
    let cause = cause(&mut v, &request.actor, &request.reason);
    v.finish(|| Some(End { subject: subject?, guardian: guardian?, cause: cause? }))
}

/// Reads the start of a guardian's verification.
///
/// # Errors
/// [`BadRequest`] with every bad field.
pub fn start(request: &pb::StartGuardianVerificationRequest) -> Result<Start, BadRequest> {
    let mut v = Violations::new();
    v.optional_request_id("request_id", &request.request_id);
    let guardian = v.subject_id("guardian_subject_id", &request.guardian_subject_id);
    let ward = v.subject_id("subject_id", &request.subject_id);
    let cancellation = v.cancellation_id("cancellation_id", &request.cancellation_id);
    let factor = sent_factor(&mut v, request.factor);
    v.finish(|| {
        let (subject, ward) = (guardian?, Some(ward?));
        Some(Start { subject, cancellation: cancellation?, factor: factor?, ward })
    })
}

/// Reads a consent.
///
/// # Errors
/// [`BadRequest`] with every bad field.
pub fn consent(request: &pb::RecordGuardianConsentRequest) -> Result<Consent, BadRequest> {
    let mut v = Violations::new();
    v.optional_request_id("request_id", &request.request_id);
    let subject = v.subject_id("subject_id", &request.subject_id);
    let cancellation = v.cancellation_id("cancellation_id", &request.cancellation_id);
    let token = &request.verification_token;
    v.check(!token.is_empty(), "verification_token", "must not be empty");
    v.finish(|| Some(Consent { subject: subject?, cancellation: cancellation?, token: token.clone() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn wrong<T>(read: Result<T, BadRequest>) -> Vec<String> {
        let error = read.err().expect("must be refused");
        error.faults.into_iter().map(|fault| fault.field).collect()
    }

    #[test]
    fn every_bad_field_is_named_at_once() {
        let ids = ["subject_id", "guardian_subject_id"];
        assert_eq!(wrong(record(&pb::RecordGuardianRequest::default())), [&ids[..], &["ground"]].concat());
        assert_eq!(
            wrong(start(&pb::StartGuardianVerificationRequest::default())),
            ["guardian_subject_id", "subject_id", "cancellation_id", "factor"]
        );
        assert_eq!(wrong(end(&pb::EndGuardianRequest::default())), [&ids[..], &["actor", "reason"]].concat());
        assert_eq!(
            wrong(consent(&pb::RecordGuardianConsentRequest::default())),
            ["subject_id", "cancellation_id", "verification_token"]
        );
    }

    #[test]
    fn nobody_is_their_own_guardian() {
        let request = pb::RecordGuardianRequest {
            request_id: String::new(),
            subject_id: "sbj_1".into(),
            guardian_subject_id: "sbj_1".into(),
            ground: "PARENT".into(),
        };
        assert_eq!(wrong(record(&request)), ["guardian_subject_id"]);
    }
}
