//! Requests about a subject's standing, and the answers.

use event_store::{ListQuery, Listed, StreamId};
use participant::{Account, stream_of};
use proto::identity::v1 as pb;
use service_kit::{BadRequest, Violations};
use types::{SubjectId, Timestamp};

use crate::{
    address::Address,
    app::standing::{Opened, SignIn},
    domain::{
        AppealId, Key, State,
        standing::{Cause, Decision, Outcome, Standing},
    },
    participant::{APPEALS, UNDECIDED},
};

/// How long an actor's name may be, in characters.
const ACTOR_MAX: usize = 64;
/// How long a reason may be, in characters.
const REASON_MAX: usize = 500;
/// How long an appeal may be, in characters.
const TEXT_MAX: usize = 2_000;
/// How long a code may be, in characters.
const CODE_MAX: usize = 64;
/// How many appeals a page has, when the request does not say so.
const PAGE_DEFAULT: usize = 100;
/// How many it has at the most.
const PAGE_MAX: i32 = 1_000;

/// Whom to ban, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// Who.
    pub subject: SubjectId,
    /// Why, as a code.
    pub reason_code: String,
    /// Who does it.
    pub actor: String,
}

/// Whose ban to end, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lift {
    /// Whose.
    pub subject: SubjectId,
    /// By whom, and why.
    pub cause: Cause,
}

/// An appeal as it comes.
#[derive(Clone, PartialEq, Eq)]
pub struct Appeal {
    /// Whose.
    pub subject: SubjectId,
    /// What the subject says. Personal: it is sealed at once.
    pub text: String,
}

/// Which appeals are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listing {
    /// All of this subject's.
    Of(SubjectId),
    /// Those of everybody that a person has to decide on.
    Undecided(ListQuery),
}

/// A decision on an appeal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decide {
    /// Which.
    pub id: AppealId,
    /// What.
    pub decision: Decision,
    /// By whom, and why.
    pub cause: Cause,
}

/// Reads a ban.
///
/// # Errors
/// [`BadRequest`] with every bad field.
pub fn ban(request: &pb::BanSubjectRequest) -> Result<Ban, BadRequest> {
    let mut v = Violations::new();
    v.optional_request_id("request_id", &request.request_id);
    let subject = v.subject_id("subject_id", &request.subject_id);
    let reason_code = code(&mut v, "reason_code", &request.reason_code);
    let actor = v.text("actor", &request.actor, ACTOR_MAX);
    v.finish(|| Some(Ban { subject: subject?, reason_code: reason_code?, actor: actor? }))
}

/// Reads the end of a ban.
///
/// # Errors
/// [`BadRequest`] with every bad field.
pub fn lift(request: &pb::LiftBanRequest) -> Result<Lift, BadRequest> {
    let mut v = Violations::new();
    v.optional_request_id("request_id", &request.request_id);
    let subject = v.subject_id("subject_id", &request.subject_id);
    let cause = cause(&mut v, &request.actor, &request.reason);
    v.finish(|| Some(Lift { subject: subject?, cause: cause? }))
}

/// Reads an appeal.
///
/// # Errors
/// [`BadRequest`] with every bad field; the text is not repeated in it.
pub fn appeal(request: &pb::AppealBanRequest) -> Result<Appeal, BadRequest> {
    let mut v = Violations::new();
    v.optional_request_id("request_id", &request.request_id);
    let subject = v.subject_id("subject_id", &request.subject_id);
    let text = &request.text;
    v.check(!text.trim().is_empty(), "text", "must not be empty");
    v.check(text.chars().nth(TEXT_MAX).is_none(), "text", format!("must have at most {TEXT_MAX} characters"));
    v.finish(|| Some(Appeal { subject: subject?, text: text.clone() }))
}

/// Reads which appeal is asked for.
///
/// # Errors
/// [`BadRequest`] with every bad field.
pub fn of_appeal(request_id: &str, appeal_id: &str) -> Result<AppealId, BadRequest> {
    let mut v = Violations::new();
    v.optional_request_id("request_id", request_id);
    let id = v.id("appeal_id", appeal_id, AppealId::parse);
    v.finish(|| id)
}

/// Reads which appeals are asked for: whose, or a page of those that a person has to decide on.
///
/// # Errors
/// [`BadRequest`] with every bad field.
pub fn appeals(request: &pb::ListAppealsRequest) -> Result<Listing, BadRequest> {
    let mut v = Violations::new();
    let subject = &request.subject_id;
    let subject = (!subject.is_empty()).then(|| v.subject_id("subject_id", subject));
    let size = v.within_range("page_size", request.page_size, 0..=PAGE_MAX);
    let token = &request.page_token;
    let after = page_from(token);
    v.check(token.is_empty() || after.is_some(), "page_token", "must come from the response before");
    v.finish(|| {
        if let Some(subject) = subject {
            return Some(Listing::Of(subject?));
        }
        let limit = usize::try_from(size?).ok().filter(|size| *size > 0).unwrap_or(PAGE_DEFAULT);
        Some(Listing::Undecided(ListQuery {
            list: APPEALS.into(),
            owner: None,
            states: vec![UNDECIDED.into()],
            after,
            limit,
        }))
    })
}

fn page_from(token: &str) -> Option<(Timestamp, StreamId)> {
    let (micros, stream) = token.split_once('.')?;
    let subject = SubjectId::parse(stream).ok()?;
    Some((Timestamp::from_micros(micros.parse().ok()?), stream_of(&subject)))
}

/// The token of the page after that row.
pub(crate) fn page_token(last: &Listed) -> String {
    format!("{}.{}", last.since.as_micros(), last.stream)
}

/// Reads a decision on an appeal.
///
/// # Errors
/// [`BadRequest`] with every bad field.
pub fn decide(request: &pb::DecideAppealRequest) -> Result<Decide, BadRequest> {
    let mut v = Violations::new();
    v.optional_request_id("request_id", &request.request_id);
    let id = v.id("appeal_id", &request.appeal_id, AppealId::parse);
    let decision = v.enumeration("decision", request.decision).and_then(|decision| match decision {
        pb::AppealDecision::Unspecified => None,
        pb::AppealDecision::Uphold => Some(Decision::Uphold),
        pb::AppealDecision::Lift => Some(Decision::Lift),
    });
    let cause = cause(&mut v, &request.actor, &request.reason);
    v.finish(|| Some(Decide { id: id?, decision: decision?, cause: cause? }))
}

/// Reads who acts, and why.
pub(super) fn cause(v: &mut Violations, actor: &str, reason: &str) -> Option<Cause> {
    let actor = v.text("actor", actor, ACTOR_MAX);
    let reason = v.text("reason", reason, REASON_MAX);
    Some(Cause { actor: actor?, reason: reason? })
}

/// Reads a code: `FRAUD`.
pub(super) fn code(v: &mut Violations, field: &str, text: &str) -> Option<String> {
    let holds = text.len() <= CODE_MAX
        && text.starts_with(|first: char| first.is_ascii_uppercase())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    v.check(holds, field, "must be 1 to 64 of A-Z, 0-9 and _, beginning with a letter");
    holds.then(|| text.to_owned())
}

/// Reads which contact may register again, and why.
///
/// # Errors
/// [`BadRequest`] with every bad field; the address is not repeated in it.
pub fn allow(request: &pb::AllowReRegistrationRequest) -> Result<(Address, Cause), BadRequest> {
    let mut v = Violations::new();
    let contact = v.required("contact", request.contact.as_ref());
    let contact = contact.and_then(|contact| v.within("contact", |v| super::address(v, contact)));
    let cause = cause(&mut v, &request.actor, &request.reason);
    v.finish(|| Some((contact?.1, cause?)))
}

/// Reads whose sign-in is asked about.
///
/// # Errors
/// [`BadRequest`] with every bad field.
pub fn checked(request: &pb::CheckSignInRequest) -> Result<SubjectId, BadRequest> {
    let mut v = Violations::new();
    let subject = v.subject_id("subject_id", &request.subject_id);
    v.finish(|| subject)
}

/// Whether somebody may sign in.
pub(crate) fn sign_in(answer: SignIn) -> pb::CheckSignInResponse {
    let SignIn { told, closed_by, appeal } = answer;
    pb::CheckSignInResponse {
        standing: standing(told.standing).into(),
        frozen_by: told.frozen_by.iter().map(ToString::to_string).collect(),
        reason_code: told.reason_code.unwrap_or_default(),
        closed_by,
        appeal_id: appeal.map(|id| id.to_string()).unwrap_or_default(),
    }
}

/// How an appeal stands, and who decided why.
fn outcome(outcome: Option<Outcome>) -> (pb::AppealState, String, String) {
    let (state, cause) = match outcome {
        None => (pb::AppealState::Undecided, None),
        Some(Outcome::Withdrawn) => (pb::AppealState::Withdrawn, None),
        Some(Outcome::Decided(Decision::Uphold, cause)) => (pb::AppealState::Upheld, Some(cause)),
        Some(Outcome::Decided(Decision::Lift, cause)) => (pb::AppealState::Lifted, Some(cause)),
    };
    let (actor, reason) = cause.map(|Cause { actor, reason }| (actor, reason)).unwrap_or_default();
    (state, actor, reason)
}

/// The appeals of a subject, as they came, without what is said in them.
pub(crate) fn listed(subject: &SubjectId, account: &Account<State>) -> Vec<pb::Appeal> {
    let ends = account.closed.is_some() || account.state.key != Key::Stands;
    let standing = &account.state.standing;
    let one = |(id, appeal): (&AppealId, &crate::domain::standing::Appeal)| {
        let (state, actor, reason) = outcome(appeal.outcome.clone());
        let moot = ends && state == pb::AppealState::Undecided;
        pb::Appeal {
            appeal_id: id.to_string(),
            subject_id: subject.to_string(),
            state: if moot { pb::AppealState::Moot } else { state }.into(),
            reason_code: standing.ban.clone().unwrap_or_default(),
            appealed_at: Some(appeal.made_at.to_proto()),
            due_at: Some(appeal.due.to_proto()),
            actor,
            reason,
        }
    };
    standing.appeals.iter().map(one).collect()
}

/// An appeal, opened.
pub(crate) fn opened(opened: Opened) -> pb::GetAppealResponse {
    let Opened { subject, text, appeal } = opened;
    let (state, actor, reason) = outcome(appeal.outcome);
    pb::GetAppealResponse {
        subject_id: subject.to_string(),
        state: state.into(),
        text,
        appealed_at: Some(appeal.made_at.to_proto()),
        due_at: Some(appeal.due.to_proto()),
        actor,
        reason,
    }
}

/// A standing on the wire.
#[must_use]
pub fn standing(standing: Standing) -> pb::Standing {
    match standing {
        Standing::Active => pb::Standing::Active,
        Standing::Frozen => pb::Standing::Frozen,
        Standing::Banned => pb::Standing::Banned,
        Standing::Closed => pb::Standing::Closed,
    }
}

/// A standing from the wire.
#[must_use]
pub fn standing_from(standing: pb::Standing) -> Option<Standing> {
    match standing {
        pb::Standing::Unspecified => None,
        pb::Standing::Active => Some(Standing::Active),
        pb::Standing::Frozen => Some(Standing::Frozen),
        pb::Standing::Banned => Some(Standing::Banned),
        pb::Standing::Closed => Some(Standing::Closed),
    }
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
        assert_eq!(wrong(ban(&pb::BanSubjectRequest::default())), ["subject_id", "reason_code", "actor"]);
        assert_eq!(wrong(lift(&pb::LiftBanRequest::default())), ["subject_id", "actor", "reason"]);
        assert_eq!(wrong(appeal(&pb::AppealBanRequest::default())), ["subject_id", "text"]);
        assert_eq!(
            wrong(decide(&pb::DecideAppealRequest::default())),
            ["appeal_id", "decision", "actor", "reason"]
        );
        let nothing = pb::AllowReRegistrationRequest::default();
        assert_eq!(wrong(allow(&nothing)), ["contact", "actor", "reason"]);
        let contact = Some(pb::Contact::default());
        let nobody = pb::AllowReRegistrationRequest { contact, ..nothing };
        assert_eq!(wrong(allow(&nobody)), ["contact.address", "actor", "reason"]);
        assert_eq!(wrong(of_appeal("a b", "")), ["request_id", "appeal_id"]);
        let (subject_id, page_token) = ("a b".into(), "7".into());
        let list = pb::ListAppealsRequest { subject_id, page_size: -1, page_token };
        assert_eq!(wrong(appeals(&list)), ["subject_id", "page_size", "page_token"]);
    }

    #[test]
    fn a_code_is_a_word_in_capitals() {
        let read = |text: &str| {
            let mut v = Violations::new();
            (code(&mut v, "code", text), v.into_result().is_ok())
        };
        assert_eq!(read("FRAUD_2"), (Some("FRAUD_2".into()), true));
        for bad in ["", "fraud", "2FRAUD", "_FRAUD", "FRAUD ", &"F".repeat(65)] {
            assert_eq!(read(bad), (None, false), "{bad}");
        }
    }

    #[test]
    fn an_appeal_has_lines_and_an_end() {
        let read = |text: String| {
            let (request_id, subject_id) = (String::new(), "sbj_1".to_owned());
            appeal(&pb::AppealBanRequest { request_id, subject_id, text })
        };
        assert!(read("One line.\nAnother.".into()).is_ok() && read("好".repeat(2_000)).is_ok());
        assert_eq!(wrong(read(" \n".into())), ["text"]);
        let error = read("canary".repeat(400)).err().unwrap();
        assert!(!format!("{error:?}").contains("canary"));
    }
}
