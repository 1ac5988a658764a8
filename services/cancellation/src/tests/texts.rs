//! What people write: nobody reads it but operators, and nobody at all once the account is closed.

use event_store::{Append, Expected, Position, StreamAppend};
use participant::Encoded;
use prost::Message as _;
use proto::{
    cancellation::v1::{self as pb, OperatorAction, State},
    operations::v1 as ops,
    participant::v1::Outcome,
};
use tonic::{Code, Request};
use types::{Caller, CancellationId, Scope};

use super::harness::{Coordinator, FIRST, Home, SECOND, signed, subject};
use crate::{
    CaseOperations,
    app::metadata,
    domain::{Command, Kind},
    streams,
};

const SAID: &str = "canary: my daughter was born";
const WHY: &str = "canary: she rang from 555 0100";
const BROKE: &str = "canary: account of Jo Doe is locked";

fn called<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Caller::local());
    request
}

async fn texts(coordinator: &Coordinator, id: &CancellationId) -> Vec<ops::Text> {
    let operations = CaseOperations(coordinator.cancellations.clone());
    let request = ops::ListTextsRequest { cancellation_id: id.to_string() };
    operations.list_texts(Request::new(request)).await.unwrap().into_inner().texts
}

/// One of which a participant failed.
async fn failed(coordinator: &Coordinator, reason: &str) -> CancellationId {
    let id = coordinator.leaving(&subject("sbj_1"), reason).await;
    let mut failed = coordinator.said(&id, FIRST.0, Kind::Execute, Outcome::Failed).await;
    if let Some(failure) = &mut failed.failure {
        failure.cause = BROKE.into();
    }
    let told = coordinator.carry_out(&id, Command::Acknowledge(signed(&failed, FIRST.1))).await;
    assert!(told.attention[0].text.ends_with(BROKE), "{:?}", told.attention);
    id
}

/// One that an operator carried to its end, since a participant failed.
async fn attested(coordinator: &Coordinator) -> CancellationId {
    let id = failed(coordinator, SAID).await;
    attest(coordinator, &id).await;
    id
}

async fn attest(coordinator: &Coordinator, id: &CancellationId) {
    let operations = CaseOperations(coordinator.cancellations.clone());
    let attest = ops::AttestRequest {
        request_id: "attest".into(),
        cancellation_id: id.to_string(),
        participant: FIRST.0.into(),
        evidence: "T-17".into(),
        reason: WHY.into(),
    };
    // Again is the same.
    for _ in 0..2 {
        operations.attest(called(attest.clone())).await.unwrap();
    }
    coordinator.answer(id, SECOND, Kind::Execute, Outcome::Done).await;
    assert_eq!(coordinator.state(id).await, State::Completed);
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn what_people_wrote_is_for_operators_to_read_until_the_account_is_closed() {
    let home = Home::new().await;
    let coordinator = home.coordinator().await;
    let id = attested(&coordinator).await;
    let written = texts(&coordinator, &id).await;
    let told = |text: &ops::Text| (text.kind(), text.text.clone(), text.erased);
    let expected =
        [(ops::TextKind::Request, SAID.to_owned(), false), (ops::TextKind::Operation, WHY.to_owned(), false)];
    assert_eq!(written.iter().map(told).collect::<Vec<_>>(), expected);
    assert_eq!((written[1].action(), written[1].participant.as_str()), (OperatorAction::Attest, FIRST.0));
    assert_eq!(written[1].written_by, Caller::local().name.as_ref());
    coordinator.close().await.unwrap();
    let written = texts(&coordinator, &id).await;
    assert!(written.iter().all(|text| text.erased && text.text.is_empty()), "{written:?}");
    assert_eq!(written.len(), 2);
}

#[tokio::test]
async fn what_is_written_of_an_account_that_is_closed_already_is_not_kept() {
    let home = Home::new().await;
    let coordinator = home.coordinator().await;
    let id = failed(&coordinator, "").await;
    let running = home.run().await;
    home.stage.close(&subject("sbj_1"), &id).await;
    home.until_known(&subject("sbj_1"), 2).await;
    running.stop().await;
    coordinator.close().await.unwrap();
    attest(&coordinator, &id).await;
    let written = texts(&coordinator, &id).await;
    assert!(written.iter().all(|text| text.erased && text.text.is_empty()), "{written:?}");
    assert_eq!(written.len(), 1);
    let key = home.vault.open_sealed(id.as_str(), "operation", &[1; 64]);
    assert!(matches!(key, Err(keys::VaultError::Destroyed)), "{key:?}");
}

#[tokio::test]
async fn no_event_and_no_receipt_has_what_anybody_wrote() {
    let home = Home::new().await;
    let coordinator = home.coordinator().await;
    let id = attested(&coordinator).await;
    for event in home.stage.store.read(Position::default(), 1_000).await.unwrap() {
        assert!(!contains(&event.payload, SAID) && !contains(&event.payload, WHY), "{}", event.kind);
        // A participant's own words stand where they were signed, and nowhere else.
        let signed = &*event.kind == "exeunt.cancellation.v1.Acknowledged";
        assert!(signed || !contains(&event.payload, BROKE), "{}", event.kind);
    }
    let receipt = coordinator.cancellations.receipt(&id, 0).await.unwrap();
    let attestation = &receipt.receipt.as_ref().unwrap().attestations[0];
    assert_eq!((attestation.evidence.as_str(), attestation.reason.as_str()), ("T-17", ""));
    let payload = keys::jws::parse(&receipt.receipt_jws).unwrap().payload;
    assert!(!contains(&payload, WHY) && !contains(&receipt.encode_to_vec(), WHY));
}

#[tokio::test]
async fn what_an_operator_writes_of_a_closed_account_is_not_kept_and_what_they_did_is() {
    let home = Home::new().await;
    let coordinator = home.coordinator().await;
    let id = attested(&coordinator).await;
    coordinator.close().await.unwrap();
    coordinator.answer(&id, SECOND, Kind::Execute, Outcome::Failed).await;
    let attest = ops::AttestRequest {
        cancellation_id: id.to_string(),
        participant: SECOND.0.into(),
        evidence: "T-18".into(),
        reason: WHY.into(),
        ..ops::AttestRequest::default()
    };
    CaseOperations(coordinator.cancellations.clone()).attest(called(attest)).await.unwrap();
    let last = texts(&coordinator, &id).await.pop().unwrap();
    assert_eq!((last.action(), last.participant.as_str()), (OperatorAction::Attest, SECOND.0));
    assert!(last.erased && last.text.is_empty());
}

#[tokio::test]
async fn what_an_older_release_recorded_in_clear_is_read_and_published_no_more() {
    let home = Home::new().await;
    let coordinator = home.coordinator().await;
    let asks = subject("sbj_1");
    coordinator.know(&asks).await;
    let id = coordinator.request(&asks, Scope::WholeAccount, "").await;
    let operated = pb::Operated {
        action: OperatorAction::Reassess.into(),
        actor: "kim".into(),
        reason: WHY.into(),
        ..pb::Operated::default()
    };
    let stream = StreamAppend {
        stream: streams::of_case(&id),
        expected: Expected::Any,
        metadata: metadata("kim".into(), "", id.as_str()),
        at: types::Timestamp::EPOCH,
        events: vec![Encoded::of(&operated).into()],
    };
    home.stage.store.append(Append { streams: vec![stream], ..Append::default() }).await.unwrap();
    let written = texts(&coordinator, &id).await;
    assert_eq!((written[0].text.as_str(), written[0].written_by.as_str()), (WHY, "kim"));
    let operations = CaseOperations(coordinator.cancellations.clone());
    let refused = |cancellation_id: &str| ops::ListTextsRequest { cancellation_id: cancellation_id.into() };
    let unknown = operations.list_texts(Request::new(refused("can_none"))).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let wrong = operations.list_texts(Request::new(refused(""))).await.unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);
}
