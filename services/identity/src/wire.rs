//! Between protobuf and the domain: requests inward, with every bad field named at once. Facts as
//! they are stored are in [`events`].

pub mod events;
pub mod guardian;
pub mod standing;

use std::collections::HashSet;

use proto::{identity::v1 as pb, types::v1 as words};
use service_kit::{BadRequest, Violations};
use types::{CancellationId, Edition, SubjectId};

use crate::{
    address::Address,
    code,
    domain::{Factor, VerificationId},
};

/// How many contacts a subject may have.
const CONTACTS_MAX: usize = 10;

/// Who is to be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// ISO 3166-1 alpha-2.
    pub region: String,
    /// Which edition of the product.
    pub edition: Edition,
    /// 1 to 10, none twice.
    pub contacts: Vec<Address>,
}

/// Which verification is to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// Whose.
    pub subject: SubjectId,
    /// What for.
    pub cancellation: CancellationId,
    /// How.
    pub factor: Factor,
    /// Whose cancellation it is, where that is somebody's whom the subject guards.
    pub ward: Option<SubjectId>,
}

/// Which verification is to be completed.
#[derive(Clone, PartialEq, Eq)]
pub struct Completion {
    /// The verification.
    pub id: VerificationId,
    /// Six digits.
    pub code: String,
}

/// Reads a registration.
///
/// # Errors
/// [`BadRequest`] with every bad field; the addresses are not repeated in it.
pub fn registration(request: &pb::RegisterSubjectRequest) -> Result<Registration, BadRequest> {
    let mut v = Violations::new();
    v.optional_request_id("request_id", &request.request_id);
    let region = &request.region;
    let is_region = region.len() == 2 && region.bytes().all(|byte| byte.is_ascii_uppercase());
    v.check(is_region, "region", "must be two capital letters, as in ISO 3166-1 alpha-2");
    let edition = v.enumeration("edition", request.edition).and_then(edition_from);
    v.check(!request.contacts.is_empty(), "contacts", "must have at least 1 element");
    let mut seen = HashSet::new();
    let contacts = v.each("contacts", &request.contacts, CONTACTS_MAX, |v, contact| {
        let (field, address) = address(v, contact)?;
        let first = seen.insert(address.canonical());
        v.check(first, field, "must not be given twice");
        first.then_some(address)
    });
    v.finish(|| Some(Registration { region: region.clone(), edition: edition?, contacts: contacts? }))
}

fn address(v: &mut Violations, contact: &pb::Contact) -> Option<(&'static str, Address)> {
    let (field, address, rule) = match v.required("address", contact.address.as_ref())? {
        pb::contact::Address::Sms(text) => {
            ("sms", Address::sms(text), "must be a plus sign and 7 to 15 digits, as in E.164")
        }
        pb::contact::Address::Email(text) => {
            ("email", Address::email(text), "must be a mailbox of at most 254 characters, as in RFC 5321")
        }
    };
    v.check(address.is_some(), field, rule);
    Some((field, address?))
}

fn edition_from(edition: words::Edition) -> Option<Edition> {
    match edition {
        words::Edition::Unspecified => None,
        words::Edition::Domestic => Some(Edition::Domestic),
        words::Edition::International => Some(Edition::International),
    }
}

/// Reads the start of a verification.
///
/// # Errors
/// [`BadRequest`] with every bad field.
pub fn start(request: &pb::StartVerificationRequest) -> Result<Start, BadRequest> {
    let mut v = Violations::new();
    v.optional_request_id("request_id", &request.request_id);
    let subject = v.subject_id("subject_id", &request.subject_id);
    let cancellation = v.cancellation_id("cancellation_id", &request.cancellation_id);
    let factor = sent_factor(&mut v, request.factor);
    v.finish(|| Some(Start { subject: subject?, cancellation: cancellation?, factor: factor?, ward: None }))
}

/// Reads a code.
///
/// # Errors
/// [`BadRequest`] with every bad field.
pub fn completion(request: &pb::CompleteVerificationRequest) -> Result<Completion, BadRequest> {
    let mut v = Violations::new();
    v.optional_request_id("request_id", &request.request_id);
    let id = v.id("verification_id", &request.verification_id, VerificationId::parse);
    let code = &request.code;
    let is_code = code.len() == code::DIGITS && code.bytes().all(|byte| byte.is_ascii_digit());
    v.check(is_code, "code", "must be six digits");
    v.finish(|| Some(Completion { id: id?, code: code.clone() }))
}

/// Reads a factor of which a code can be sent.
fn sent_factor(v: &mut Violations, factor: i32) -> Option<Factor> {
    let factor = factor_from(v.enumeration("factor", factor)?);
    v.check(factor.is_some(), "factor", "must be FACTOR_EMAIL_CODE or FACTOR_SMS_CODE");
    factor
}

fn factor_from(factor: pb::Factor) -> Option<Factor> {
    match factor {
        pb::Factor::SmsCode => Some(Factor::SmsCode),
        pb::Factor::EmailCode => Some(Factor::EmailCode),
        pb::Factor::Unspecified
        | pb::Factor::Password
        | pb::Factor::Passkey
        | pb::Factor::Face
        | pb::Factor::Guardian => None,
    }
}

fn factor(factor: Factor) -> pb::Factor {
    match factor {
        Factor::SmsCode => pb::Factor::SmsCode,
        Factor::EmailCode => pb::Factor::EmailCode,
    }
}

/// A factor's name in a token: `EMAIL_CODE`.
#[must_use]
pub fn factor_name(factor: Factor) -> &'static str {
    match factor {
        Factor::SmsCode => "SMS_CODE",
        Factor::EmailCode => "EMAIL_CODE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sms(text: &str) -> pb::Contact {
        pb::Contact { address: Some(pb::contact::Address::Sms(text.into())) }
    }

    fn email(text: &str) -> pb::Contact {
        pb::Contact { address: Some(pb::contact::Address::Email(text.into())) }
    }

    fn registration_request() -> pb::RegisterSubjectRequest {
        pb::RegisterSubjectRequest {
            request_id: "r-1".into(),
            region: "CN".into(),
            edition: words::Edition::Domestic.into(),
            contacts: vec![sms("+8613812345678"), email("user@example.com")],
        }
    }

    #[track_caller]
    fn wrong<T>(read: Result<T, BadRequest>) -> Vec<String> {
        let error = read.err().expect("must be refused");
        error.faults.into_iter().map(|fault| fault.field).collect()
    }

    #[test]
    fn a_registration_is_read() {
        let read = registration(&registration_request()).unwrap();
        assert_eq!((read.region.as_str(), read.edition, read.contacts.len()), ("CN", Edition::Domestic, 2));
        assert_eq!(read.contacts[1].expose(), "user@example.com");
    }

    #[test]
    fn everything_wrong_with_a_registration_is_told_at_once() {
        let request = pb::RegisterSubjectRequest {
            request_id: "with space".into(),
            region: "cn".into(),
            edition: 9,
            contacts: vec![sms("123"), email("secret-canary@"), pb::Contact::default()],
        };
        let error = registration(&request).unwrap_err();
        assert!(!format!("{error:?}{error}").contains("canary"));
        assert_eq!(
            wrong::<()>(Err(error)),
            [
                "request_id",
                "region",
                "edition",
                "contacts[0].sms",
                "contacts[1].email",
                "contacts[2].address"
            ]
        );
        assert_eq!(
            wrong(registration(&pb::RegisterSubjectRequest::default())),
            ["region", "edition", "contacts"]
        );
    }

    #[test]
    fn each_field_of_a_registration_has_its_rule() {
        let with = |change: fn(&mut pb::RegisterSubjectRequest)| {
            let mut request = registration_request();
            change(&mut request);
            registration(&request)
        };
        for (change, field) in [
            ((|r| r.request_id = "r".repeat(65)) as fn(&mut pb::RegisterSubjectRequest), "request_id"),
            (|r| r.region = String::new(), "region"),
            (|r| r.region = "CHN".into(), "region"),
            (|r| r.region = "C1".into(), "region"),
            (|r| r.edition = 0, "edition"),
            (|r| r.contacts.clear(), "contacts"),
            (|r| r.contacts = (0..11).map(|n| sms(&format!("+861381234567{n}"))).collect(), "contacts"),
            (|r| r.contacts.push(sms("+8613812345678")), "contacts[2].sms"),
            (|r| r.contacts.push(email("User@Example.com")), "contacts[2].email"),
            (|r| r.contacts.push(email("")), "contacts[2].email"),
        ] {
            assert_eq!(wrong(with(change)), [field]);
        }
        assert!(with(|r| r.request_id.clear()).is_ok());
        assert!(with(|r| r.contacts = (0..10).map(|n| sms(&format!("+861381234567{n}"))).collect()).is_ok());
    }

    #[test]
    fn each_field_of_a_start_has_its_rule() {
        let right = || pb::StartVerificationRequest {
            request_id: String::new(),
            subject_id: "sbj_1".into(),
            cancellation_id: "can_1".into(),
            factor: pb::Factor::SmsCode.into(),
        };
        assert_eq!(start(&right()).unwrap().factor, Factor::SmsCode);
        assert_eq!(
            wrong(start(&pb::StartVerificationRequest::default())),
            ["subject_id", "cancellation_id", "factor"]
        );
        for factor in [-1, 0, 3, 4, 5, 6, 7] {
            assert_eq!(wrong(start(&pb::StartVerificationRequest { factor, ..right() })), ["factor"]);
        }
        let long = "a".repeat(65);
        let request = pb::StartVerificationRequest {
            request_id: long.clone(),
            subject_id: long.clone(),
            cancellation_id: "a b".into(),
            ..right()
        };
        assert_eq!(wrong(start(&request)), ["request_id", "subject_id", "cancellation_id"]);
    }

    #[test]
    fn each_field_of_a_completion_has_its_rule() {
        let read = |verification_id: &str, code: &str| {
            let (verification_id, code) = (verification_id.to_owned(), code.to_owned());
            let request_id = String::new();
            completion(&pb::CompleteVerificationRequest { request_id, verification_id, code })
        };
        assert_eq!(read("ver_1", "012345").unwrap_or_else(|e| panic!("{e}")).code, "012345");
        assert_eq!(wrong(read("", "")), ["verification_id", "code"]);
        for code in ["12345", "1234567", "12345a", "１２３４５６", " 12345"] {
            assert_eq!(wrong(read("ver_1", code)), ["code"], "{code}");
        }
    }
}
