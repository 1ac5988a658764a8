//! A minor's account: it closes when a guardian has consented, verified as themselves.

use proto::{
    identity::v1::{self as pb, Factor, identity_service_server::IdentityService},
    participant::v1::{InstructionKind, Outcome},
};
use tonic::{Code, Response, Status};
use types::{Scope, SubjectId};

use super::harness::*;

const WHOLE: Scope = Scope::WholeAccount;

async fn record(service: &Running, ward: &SubjectId, guardian: &SubjectId) -> Result<(), Status> {
    let request = pb::RecordGuardianRequest {
        request_id: String::new(),
        subject_id: ward.to_string(),
        guardian_subject_id: guardian.to_string(),
        ground: "PARENT".into(),
    };
    service.api.record_guardian(called(request)).await.map(drop)
}

async fn verify(
    home: &Home,
    service: &Running,
    guardian: &SubjectId,
    ward: &SubjectId,
) -> Result<String, Status> {
    let request = pb::StartGuardianVerificationRequest {
        request_id: String::new(),
        guardian_subject_id: guardian.to_string(),
        subject_id: ward.to_string(),
        cancellation_id: can().to_string(),
        factor: Factor::EmailCode.into(),
    };
    let started = service.api.start_guardian_verification(called(request)).await.map(Response::into_inner)?;
    let id = started.verification_id;
    Ok(service.complete(&id, &home.code(&id), "").await?.verification_token)
}

async fn consent(service: &Running, ward: &SubjectId, token: &str) -> Result<(), Status> {
    let request = pb::RecordGuardianConsentRequest {
        request_id: String::new(),
        subject_id: ward.to_string(),
        cancellation_id: can().to_string(),
        verification_token: token.into(),
    };
    service.api.record_guardian_consent(called(request)).await.map(drop)
}

#[tokio::test]
async fn n35_a_minors_account_closes_with_the_consent_of_a_guardian_who_was_verified_for_it() {
    let home = Home::new().await;
    let service = home.run().await;
    let ward = service.register(registration("")).await.unwrap();
    let guardian = service.register(registration("")).await.unwrap();
    let stranger = service.register(registration("")).await.unwrap();
    record(&service, &ward, &guardian).await.unwrap();
    home.tell(&ward, &WHOLE, InstructionKind::Assess, 1).await;
    let blocked = home.stage.answer(&service.accounts, &ward, &can(), (1, 1)).await;
    let blockers = blocked.assessment.unwrap().blockers;
    assert_eq!((blockers.len(), blockers[0].code.as_str()), (1, "GUARDIAN_CONSENT_MISSING"));
    assert_eq!(blockers[0].item_id, guardian.as_str());
    assert!(!blockers[0].remedy.is_empty());

    let refused = verify(&home, &service, &stranger, &ward).await;
    assert_refused(refused, Code::FailedPrecondition, "NOT_A_GUARDIAN");
    // The ward's own token, one that is none, and nobody's.
    let own = service.start(starting(&ward, "", Factor::EmailCode)).await.unwrap().verification_id;
    let own = service.complete(&own, &home.code(&own), "").await.unwrap().verification_token;
    assert_refused(consent(&service, &ward, &own).await, Code::PermissionDenied, "TOKEN_FOREIGN");
    assert_refused(consent(&service, &ward, "none").await, Code::PermissionDenied, "TOKEN_INVALID");

    let token = verify(&home, &service, &guardian, &ward).await.unwrap();
    home.stage.clock.advance(crate::domain::TOKEN_LIFETIME);
    assert_refused(consent(&service, &ward, &token).await, Code::FailedPrecondition, "TOKEN_EXPIRED");
    let token = verify(&home, &service, &guardian, &ward).await.unwrap();
    for _ in 0..2 {
        consent(&service, &ward, &token).await.unwrap();
    }
    let free = home.stage.answer(&service.accounts, &ward, &can(), (1, 2)).await;
    assert!(free.assessment.clone().unwrap().blockers.is_empty());

    let name = types::ParticipantName::parse("identity").unwrap();
    let execute = told(&name, &ward, &WHOLE, InstructionKind::Execute, 2);
    home.stage.instruct_as_assessed(execute, &free).await;
    let done = home.stage.answer(&service.accounts, &ward, &can(), (2, 2)).await;
    assert_eq!(done.outcome(), Outcome::Done);
    service.stop().await;
}

#[tokio::test]
async fn an_account_whose_guardian_is_one_no_more_closes_without() {
    let home = Home::new().await;
    let service = home.run().await;
    let ward = service.assessed(&home, &WHOLE).await;
    let guardian = service.register(registration("")).await.unwrap();
    let nobody = SubjectId::parse("sbj_nobody").unwrap();
    assert_refused(record(&service, &ward, &nobody).await, Code::NotFound, "NOT_FOUND");
    record(&service, &ward, &guardian).await.unwrap();
    let blocked = home.stage.answer(&service.accounts, &ward, &can(), (1, 2)).await;
    assert_eq!(blocked.assessment.unwrap().blockers.len(), 1);
    let request = pb::EndGuardianRequest {
        request_id: String::new(),
        subject_id: ward.to_string(),
        guardian_subject_id: guardian.to_string(),
        actor: "ops-1".into(),
        reason: "came of age".into(),
    };
    service.api.end_guardian(called(request)).await.unwrap();
    let free = home.stage.answer(&service.accounts, &ward, &can(), (1, 3)).await;
    assert!(free.assessment.unwrap().blockers.is_empty());
    service.stop().await;
}
