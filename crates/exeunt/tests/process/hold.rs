//! Holds on the command line, and an account that closes when the one that it waits for is released.

use proto::{
    cancellation::v1::{self as pb, ParticipantState, State},
    participant::v1::WaitingOn,
    retention::v1::{self as retention, retention_service_client::RetentionServiceClient},
};
use serde_json::Value;
use types::{Clock, SystemClock};

use crate::harness::{App, program, stderr, stdout};

async fn record_marketing(app: &App, subject: &str) -> String {
    let request = retention::RecordDataSetRequest {
        subject_id: subject.into(),
        system: "mailer".into(),
        controller: Some(retention::Controller {
            name: "Example Pay".into(),
            jurisdiction: "CN".into(),
            ..Default::default()
        }),
        category: retention::DataCategory::Marketing.into(),
        last_event_at: Some(SystemClock.now().to_proto()),
        ..retention::RecordDataSetRequest::default()
    };
    let mut service = RetentionServiceClient::new(app.channel.clone());
    let recorded = service.record_data_set(request).await.unwrap().into_inner();
    recorded.data_set.unwrap().data_set_id
}

/// Confirms the end of the whole account.
async fn confirm(app: &mut App, subject: &str) -> String {
    let id = app.request("close", subject).await.unwrap().cancellation_id;
    let quoted = app.reach(&id, State::AwaitingConfirmation).await;
    let token = app.token(subject, &id).await;
    let request = pb::ConfirmCancellationRequest {
        cancellation_id: id.clone(),
        quote_digest: quoted.quote.unwrap().digest,
        verification_tokens: vec![token],
        ..pb::ConfirmCancellationRequest::default()
    };
    app.cancellation.confirm_cancellation(request).await.unwrap();
    id
}

/// Watches until the participant waits.
async fn waiting(app: &mut App, id: &str, name: &str) -> pb::Participant {
    let request = pb::WatchCancellationRequest { cancellation_id: id.into(), ..Default::default() };
    let mut changes = app.cancellation.watch_cancellation(request).await.unwrap().into_inner();
    loop {
        let now = changes.message().await.unwrap().unwrap().cancellation.unwrap();
        let waits = |one: &pb::Participant| one.name == name && one.state() == ParticipantState::Waiting;
        if let Some(one) = now.participants.into_iter().find(waits) {
            return one;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b17_an_account_waits_for_a_hold_and_closes_when_that_is_released() {
    let mut app = App::start().await;
    let subject = app.register().await;
    let data_set = record_marketing(&app, &subject).await;
    let server = app.server.clone();
    let ask = |arguments: &[&str]| program(&[&["--server", &server, "hold"], arguments].concat());
    let place = ["place", "--subject", &subject, "--category", "MARKETING", "--ground", "LITIGATION"];
    let order = ["--authority", "District Court, 2026-4711", "--request-id", "h1", "--actor", "legal-7"];
    let placed = ask(&[&place[..], &order].concat());
    assert_eq!(placed.status.code(), Some(0), "{}", stderr(&placed));
    let hold = stdout(&placed).trim_end().to_owned();
    let again = ask(&[&place[..], &order, &["--output", "json"]].concat());
    let again: Value = serde_json::from_str(stdout(&again)).unwrap();
    assert_eq!(
        (&again["hold"]["holdId"], &again["hold"]["actor"]),
        (&hold.clone().into(), &"legal-7".into())
    );

    let id = confirm(&mut app, &subject).await;
    let waits = waiting(&mut app, &id, "retention").await.waiting.unwrap();
    assert_eq!((waits.waiting_on(), waits.code.as_str()), (WaitingOn::Hold, "LEGAL_HOLD"));
    assert_eq!(waits.item_ids, [data_set]);

    let unknown = ask(&["release", "hld_none", "--reason", "settled"]);
    assert_eq!(unknown.status.code(), Some(3), "{}", stderr(&unknown));
    let released = ask(&["release", &hold, "--reason", "settled", "--output", "json"]);
    assert_eq!(released.status.code(), Some(0), "{}", stderr(&released));
    let released: Value = serde_json::from_str(stdout(&released)).unwrap();
    assert_eq!(released["hold"]["state"], "HOLD_STATE_RELEASED");
    app.reach(&id, State::Completed).await;
    let listed = ask(&["list", "--subject", &subject]);
    let said = stdout(&listed);
    assert!(said.contains(&hold) && said.contains("released") && said.contains("marketing"), "{said}");
    app.stop().await;
}

#[test]
fn a_hold_needs_a_ground_an_authority_and_categories_that_there_are() {
    let place = ["hold", "place", "--subject", "sbj_1"];
    assert_eq!(program(&place).status.code(), Some(2));
    let wrong =
        program(&[&place[..], &["--ground", "A", "--authority", "b", "--category", "SHOES"]].concat());
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("there are TRANSACTION_RECORDS, "), "{}", stderr(&wrong));
}
