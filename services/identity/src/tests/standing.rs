//! Signing in: suspended, banned, appealed against; and that none of it keeps anybody from leaving.

use participant::{contract, timers};
use prost::Message as _;
use proto::{
    identity::v1::{self as pb, Factor, identity_service_server::IdentityService},
    participant::v1::{InstructionKind, Outcome, WaitingOn},
};
use tonic::{Code, Response, Status};
use types::{Scope, SubjectId, Timestamp};

use super::harness::*;

const WHOLE: Scope = Scope::WholeAccount;
const ACTOR: &str = "ops-1";
const TEXT: &str = "It was not me.\nMy telephone was stolen.";

async fn check(service: &Running, subject: &SubjectId) -> pb::CheckSignInResponse {
    let request = pb::CheckSignInRequest { subject_id: subject.to_string() };
    service.api.check_sign_in(called(request)).await.unwrap().into_inner()
}

async fn ban(service: &Running, subject: &SubjectId, reason_code: &str) -> Result<(), Status> {
    let (subject_id, reason_code) = (subject.to_string(), reason_code.to_owned());
    let (request_id, actor) = (String::new(), ACTOR.to_owned());
    let request = pb::BanSubjectRequest { request_id, subject_id, reason_code, actor };
    service.api.ban_subject(called(request)).await.map(drop)
}

async fn appeal(
    service: &Running,
    subject: &SubjectId,
    request_id: &str,
) -> Result<pb::AppealBanResponse, Status> {
    let (request_id, subject_id, text) = (request_id.to_owned(), subject.to_string(), TEXT.to_owned());
    let request = pb::AppealBanRequest { request_id, subject_id, text };
    service.api.appeal_ban(called(request)).await.map(Response::into_inner)
}

async fn decide(service: &Running, appeal_id: &str, decision: pb::AppealDecision) -> Result<(), Status> {
    let request = pb::DecideAppealRequest {
        request_id: String::new(),
        appeal_id: appeal_id.into(),
        decision: decision.into(),
        actor: ACTOR.into(),
        reason: "the recording was heard".into(),
    };
    service.api.decide_appeal(called(request)).await.map(drop)
}

async fn opened(service: &Running, appeal_id: &str) -> Result<pb::GetAppealResponse, Status> {
    let request = pb::GetAppealRequest { appeal_id: appeal_id.into() };
    service.api.get_appeal(called(request)).await.map(Response::into_inner)
}

/// What everybody was told of a subject's standing, in order.
async fn changes(home: &Home, subject: &SubjectId) -> Vec<pb::StandingChanged> {
    let events = home.stage.store.load(&participant::stream_of(subject)).await.unwrap();
    let changed = events.iter().filter(|event| event.kind.ends_with(".StandingChanged"));
    changed.map(|event| pb::StandingChanged::decode(event.payload.clone()).unwrap()).collect()
}

#[tokio::test]
async fn b05_who_is_kept_from_signing_in_is_verified_for_their_own_cancellation_and_can_go() {
    let home = Home::new().await;
    let service = home.run().await;
    let subject = service.assessed(&home, &WHOLE).await;
    let before = home.stage.answer(&service.accounts, &subject, &can(), (1, 1)).await;
    assert_eq!(check(&service, &subject).await.standing(), pb::Standing::Active);

    home.tell(&subject, &WHOLE, InstructionKind::Freeze, 2).await;
    let frozen = home.stage.answer(&service.accounts, &subject, &can(), (2, 1)).await;
    assert_eq!(frozen.outcome(), Outcome::Done);
    let told = check(&service, &subject).await;
    assert_eq!((told.standing(), told.frozen_by), (pb::Standing::Frozen, vec![can().to_string()]));
    let id = service.start(starting(&subject, "", Factor::EmailCode)).await.unwrap().verification_id;
    assert!(service.complete(&id, &home.code(&id), "").await.is_ok());

    // Neither is it another quote, nor another end.
    home.tell(&subject, &WHOLE, InstructionKind::Assess, 3).await;
    let again = home.stage.answer(&service.accounts, &subject, &can(), (3, 1)).await;
    assert_eq!(again.assessment_digest, before.assessment_digest);
    home.tell(&subject, &WHOLE, InstructionKind::Execute, 4).await;
    let done = home.stage.answer(&service.accounts, &subject, &can(), (4, 2)).await;
    assert_eq!(done.outcome(), Outcome::Done);
    let told = check(&service, &subject).await;
    assert_eq!((told.standing(), told.closed_by), (pb::Standing::Closed, can().to_string()));
    service.stop().await;
}

#[tokio::test]
async fn what_is_revoked_is_thawed_and_everybody_is_told() {
    let home = Home::new().await;
    let service = home.run().await;
    let subject = service.assessed(&home, &WHOLE).await;
    home.tell(&subject, &WHOLE, InstructionKind::Freeze, 2).await;
    home.tell(&subject, &WHOLE, InstructionKind::Undo, 3).await;
    let undone = home.stage.answer(&service.accounts, &subject, &can(), (3, 1)).await;
    assert_eq!((undone.outcome(), undone.remaining.len()), (Outcome::Done, 0));
    assert_eq!(check(&service, &subject).await.standing(), pb::Standing::Active);
    let changes = changes(&home, &subject).await;
    let standings: Vec<_> = changes.iter().map(pb::StandingChanged::standing).collect();
    assert_eq!(standings, [pb::Standing::Frozen, pb::Standing::Active]);
    // The token key, the registration, and both of them.
    let public = home.records(contract::IDENTITY_EVENTS, 4).await;
    let told = public.iter().filter(|it| it.key == subject.as_str()).map(|it| it.payload.clone());
    for change in &changes {
        assert!(told.clone().any(|payload| payload == change.encode_to_vec()));
    }
    service.stop().await;
}

#[tokio::test]
async fn ending_services_freezes_no_account() {
    let home = Home::new().await;
    let service = home.run().await;
    let scope = Scope::Selected(Vec::new());
    let subject = service.assessed(&home, &scope).await;
    home.tell(&subject, &scope, InstructionKind::Freeze, 2).await;
    let answer = home.stage.answer(&service.accounts, &subject, &can(), (2, 1)).await;
    assert_eq!(answer.outcome(), Outcome::NothingToDo);
    assert_eq!(check(&service, &subject).await.standing(), pb::Standing::Active);
    service.stop().await;
}

#[tokio::test]
async fn n34_who_is_banned_appeals_and_leaves_at_the_same_time() {
    let home = Home::new().await;
    let service = home.run().await;
    let subject = service.assessed(&home, &WHOLE).await;
    ban(&service, &subject, "SPAM").await.unwrap();
    let appeal = appeal(&service, &subject, "").await.unwrap();
    let told = check(&service, &subject).await;
    assert_eq!((told.standing(), told.reason_code.as_str()), (pb::Standing::Banned, "SPAM"));
    assert_eq!(told.appeal_id, appeal.appeal_id);
    let id = service.start(starting(&subject, "", Factor::EmailCode)).await.unwrap().verification_id;
    assert!(service.complete(&id, &home.code(&id), "").await.is_ok());
    // That ban ends with the account, and so does what an appeal could change.
    home.tell(&subject, &WHOLE, InstructionKind::Execute, 2).await;
    let done = home.stage.answer(&service.accounts, &subject, &can(), (2, 2)).await;
    assert_eq!(done.outcome(), Outcome::Done);
    let refused = decide(&service, &appeal.appeal_id, pb::AppealDecision::Lift).await;
    assert_refused(refused, Code::FailedPrecondition, "SUBJECT_CLOSED");
    assert_refused(opened(&service, &appeal.appeal_id).await, Code::FailedPrecondition, "SUBJECT_CLOSED");
    service.stop().await;
}

#[tokio::test]
async fn an_appeal_against_a_ban_that_outlives_the_account_is_decided_first_or_withdrawn() {
    for decision in [Some(pb::AppealDecision::Uphold), Some(pb::AppealDecision::Lift), None] {
        let home = Home::new().await;
        let service = home.run().await;
        let subject = service.assessed(&home, &WHOLE).await;
        ban(&service, &subject, "FRAUD").await.unwrap();
        let appeal = appeal(&service, &subject, "a-1").await.unwrap();
        home.tell(&subject, &WHOLE, InstructionKind::Execute, 2).await;
        let waits = home.stage.answer(&service.accounts, &subject, &can(), (2, 1)).await;
        let waiting = waits.waiting.clone().unwrap();
        assert_eq!(waits.outcome(), Outcome::Waiting);
        assert_eq!((waiting.waiting_on(), waiting.code.as_str()), (WaitingOn::Review, "APPEAL_UNDECIDED"));
        assert_eq!(waiting.until, appeal.due_at);
        assert!(waiting.remedy.contains("withdraw"));
        match decision {
            Some(decision) => decide(&service, &appeal.appeal_id, decision).await.unwrap(),
            None => {
                let (request_id, appeal_id) = (String::new(), appeal.appeal_id.clone());
                let request = pb::WithdrawAppealRequest { request_id, appeal_id };
                service.api.withdraw_appeal(called(request)).await.unwrap();
            }
        }
        let done = home.stage.answer(&service.accounts, &subject, &can(), (2, 3)).await;
        assert_eq!(done.outcome(), Outcome::Done, "{decision:?}");
        service.stop().await;
    }
}

#[tokio::test]
async fn an_appeal_is_decided_by_a_person_within_five_working_days() {
    let home = Home::new().await;
    let service = home.run().await;
    let subject = service.register(registration("")).await.unwrap();
    let refused = appeal(&service, &subject, "").await;
    assert_refused(refused, Code::FailedPrecondition, "NOT_BANNED");
    ban(&service, &subject, "FRAUD").await.unwrap();
    let made = appeal(&service, &subject, "a-1").await.unwrap();
    assert_eq!(appeal(&service, &subject, "a-1").await.unwrap(), made);
    let refused = appeal(&service, &subject, "a-2").await;
    let status = assert_refused(refused, Code::FailedPrecondition, "APPEAL_UNDECIDED");
    assert_eq!(metadata(&status, "appeal_id"), made.appeal_id);
    // Saturday the 21st of November; the fifth working day after it is Friday the 27th.
    let due = Timestamp::from_proto(&made.due_at.unwrap()).unwrap();
    assert_eq!(due, Timestamp::parse("2026-11-27T16:00:00Z").unwrap());

    home.stage.clock.set(due);
    timers::fire_due(&service.accounts).await.unwrap();
    assert_eq!(home.facts(&subject).await.last().unwrap(), "AppealOverdue");
    let shown = opened(&service, &made.appeal_id).await.unwrap();
    assert_eq!((shown.state(), shown.text.as_str()), (pb::AppealState::Undecided, TEXT));
    decide(&service, &made.appeal_id, pb::AppealDecision::Lift).await.unwrap();
    let shown = opened(&service, &made.appeal_id).await.unwrap();
    assert_eq!((shown.state(), shown.actor.as_str()), (pb::AppealState::Lifted, ACTOR));
    assert_eq!(check(&service, &subject).await.standing(), pb::Standing::Active);
    let refused = decide(&service, &made.appeal_id, pb::AppealDecision::Uphold).await;
    assert_refused(refused, Code::FailedPrecondition, "APPEAL_ENDED");
    let unknown = decide(&service, "apl_none", pb::AppealDecision::Uphold).await;
    assert_refused(unknown, Code::NotFound, "NOT_FOUND");
    service.stop().await;
}

async fn listed(service: &Running, request: pb::ListAppealsRequest) -> pb::ListAppealsResponse {
    service.api.list_appeals(called(request)).await.unwrap().into_inner()
}

#[tokio::test]
async fn whoever_decides_finds_the_appeals_that_are_undecided_and_a_subjects_all() {
    let home = Home::new().await;
    let service = home.run().await;
    let mut made = Vec::new();
    for minute in 0..3 {
        let subject = service.register(registration("")).await.unwrap();
        ban(&service, &subject, "SPAM").await.unwrap();
        let at = Timestamp::parse("2026-11-21T09:00:00Z").unwrap();
        home.stage.clock.set(at.plus(std::time::Duration::from_secs(60 * minute)));
        made.push((subject.clone(), appeal(&service, &subject, "").await.unwrap().appeal_id));
    }
    let page = pb::ListAppealsRequest { page_size: 2, ..pb::ListAppealsRequest::default() };
    let first = listed(&service, page.clone()).await;
    let ids = |page: &pb::ListAppealsResponse| -> Vec<String> {
        page.appeals.iter().map(|appeal| appeal.appeal_id.clone()).collect()
    };
    assert_eq!(ids(&first), [made[2].1.clone(), made[1].1.clone()]);
    assert_eq!(
        (first.appeals[0].state(), &*first.appeals[0].reason_code),
        (pb::AppealState::Undecided, "SPAM")
    );
    let rest = pb::ListAppealsRequest { page_token: first.next_page_token, ..page.clone() };
    let rest = listed(&service, rest).await;
    assert_eq!((ids(&rest), rest.next_page_token.as_str()), (vec![made[0].1.clone()], ""));

    // One is decided and made anew, one is decided, and of one the account ends.
    decide(&service, &made[0].1, pb::AppealDecision::Uphold).await.unwrap();
    let anew = appeal(&service, &made[0].0, "").await.unwrap().appeal_id;
    decide(&service, &made[1].1, pb::AppealDecision::Lift).await.unwrap();
    home.tell(&made[2].0, &WHOLE, InstructionKind::Execute, 1).await;
    home.stage.answer(&service.accounts, &made[2].0, &can(), (1, 2)).await;
    let left = listed(&service, pb::ListAppealsRequest::default()).await;
    assert_eq!(ids(&left), [anew]);
    for (place, expected) in [
        (0, vec![pb::AppealState::Upheld, pb::AppealState::Undecided]),
        (1, vec![pb::AppealState::Lifted]),
        (2, vec![pb::AppealState::Moot]),
    ] {
        let subject_id = made[place].0.to_string();
        let of_one = listed(&service, pb::ListAppealsRequest { subject_id, ..page.clone() }).await;
        let states: Vec<_> = of_one.appeals.iter().map(pb::Appeal::state).collect();
        assert_eq!(states, expected, "{place}");
    }
    service.stop().await;
}

#[tokio::test]
async fn a_ban_is_lifted_by_an_operator_with_a_reason() {
    let home = Home::new().await;
    let service = home.run().await;
    let subject = service.register(registration("")).await.unwrap();
    let lift = || pb::LiftBanRequest {
        request_id: String::new(),
        subject_id: subject.to_string(),
        actor: ACTOR.into(),
        reason: "the debt was paid".into(),
    };
    let refused = service.api.lift_ban(called(lift())).await;
    assert_refused(refused, Code::FailedPrecondition, "NOT_BANNED");
    ban(&service, &subject, "DEBT").await.unwrap();
    let refused = ban(&service, &subject, "SPAM").await;
    let status = assert_refused(refused, Code::FailedPrecondition, "ALREADY_BANNED");
    assert_eq!(metadata(&status, "reason_code"), "DEBT");
    service.api.lift_ban(called(lift())).await.unwrap();
    assert_eq!(check(&service, &subject).await.standing(), pb::Standing::Active);
    service.stop().await;
}
