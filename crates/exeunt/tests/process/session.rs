//! A session as a client of the public API has it.

use proto::{
    cancellation::v1 as pb,
    subscription::v1::{self as subscription, subscription_service_client::SubscriptionServiceClient},
    types::v1::{Action, Item, ItemKind, Money, Scope, SelectedItems, scope::Kind},
    wallet::v1::{self as wallet, wallet_service_client::WalletServiceClient},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_types::StatusExt as _;
use types::{Clock, SystemClock};

use crate::harness::{App, eventually, jwks_at, reason};

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_account_is_proven_and_takes_no_more_writes() {
    let mut app = App::start().await;
    let subject = app.register().await;
    let (completed, jws) = app.close_account(&subject).await;
    let names: Vec<_> = completed.participants.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["subscription", "payscore", "wallet", "retention", "identity"]);
    let finished = pb::ParticipantState::Finished;
    assert!(completed.participants.iter().all(|one| one.state() == finished), "{completed:?}");

    let keys = keys::JwkSet::parse(&app.keys().await).unwrap();
    let receipt = cancellation::receipt::verify(&jws, &keys).unwrap();
    assert_eq!(receipt.cancellation_id, completed.cancellation_id);
    assert_eq!(receipt.acknowledgements.len(), 5);
    let ended_at = types::Timestamp::from_proto(completed.ended_at.as_ref().unwrap()).unwrap();
    assert_eq!(receipt.completed_at, ended_at.to_string(), "one moment, wherever it is told");

    let late = wallet::RecordBalanceRequest {
        subject_id: subject.clone(),
        balance: Some(Money { currency_code: "CNY".into(), minor_units: 1 }),
        ..wallet::RecordBalanceRequest::default()
    };
    let refused = WalletServiceClient::new(app.channel.clone()).record_balance(late).await.unwrap_err();
    assert_eq!(reason(&refused), "SUBJECT_CLOSED");
    let refused = app.request("again", &subject).await.unwrap_err();
    assert_eq!(reason(&refused), "SUBJECT_CLOSED");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_again_changes_nothing_and_asking_otherwise_is_refused() {
    let mut app = App::start().await;
    let (one, other) = (app.register().await, app.register().await);
    let first = app.request("r-1", &one).await.unwrap();
    let again = app.request("r-1", &one).await.unwrap();
    assert_eq!(first.cancellation_id, again.cancellation_id);
    let refused = app.request("r-1", &other).await.unwrap_err();
    assert_eq!(reason(&refused), "REQUEST_ID_TAKEN");
    assert!(refused.message().contains(&first.cancellation_id), "{refused:?}");

    app.reach(&first.cancellation_id, pb::State::AwaitingConfirmation).await;
    let request = pb::RevokeCancellationRequest {
        cancellation_id: first.cancellation_id.clone(),
        reason: "I stay.".into(),
        ..pb::RevokeCancellationRequest::default()
    };
    let revoked =
        app.cancellation.revoke_cancellation(request).await.unwrap().into_inner().cancellation.unwrap();
    assert_eq!(revoked.state(), pb::State::Revoked);
    let listed = pb::ListCancellationsRequest { subject_id: one, ..pb::ListCancellationsRequest::default() };
    let listed = app.cancellation.list_cancellations(listed).await.unwrap().into_inner().cancellations;
    assert_eq!(listed.len(), 1);
    app.stop().await;
}

/// A membership that we charge every month; its id.
async fn subscribe(app: &App, subject: &str) -> String {
    let at =
        |days: u64| Some(SystemClock.now().plus(std::time::Duration::from_secs(days * 86_400)).to_proto());
    let price = Some(Money { currency_code: "CNY".into(), minor_units: 2_500 });
    let request = subscription::RecordSubscriptionRequest {
        subject_id: subject.into(),
        plan: Some(subscription::Plan {
            name: "Video".into(),
            tier: "monthly".into(),
            price,
            ..Default::default()
        }),
        billing: subscription::Billing::Merchant.into(),
        started_at: at(0),
        current_period_end: at(10),
        next_charge_at: at(10),
        will_renew: true,
        ..subscription::RecordSubscriptionRequest::default()
    };
    let mut subscriptions = SubscriptionServiceClient::new(app.channel.clone());
    let recorded = subscriptions.record_subscription(request).await.unwrap().into_inner();
    recorded.subscription.unwrap().subscription_id
}

/// Nothing but that its charges stop.
fn stop_renewal(id: &str) -> Option<Scope> {
    let item =
        Item { kind: ItemKind::Subscription.into(), id: id.into(), action: Action::StopRenewal.into() };
    Some(Scope { kind: Some(Kind::Selected(SelectedItems { items: vec![item] })) })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_german_termination_is_accepted_at_once_without_quote_code_or_confirmation() {
    let mut app = App::start().await;
    let subject = app.register_in("DE", "user@example.com").await;
    let id = subscribe(&app, &subject).await;
    let request = pb::RequestCancellationRequest {
        request_id: "terminate".into(),
        subject_id: subject.clone(),
        scope: stop_renewal(&id),
        intent: pb::Intent::Termination.into(),
        ..pb::RequestCancellationRequest::default()
    };
    let answer = app.cancellation.request_cancellation(request.clone()).await.unwrap().into_inner();
    let cancellation = answer.cancellation.unwrap();
    assert_eq!(cancellation.terms.as_ref().unwrap().scope_kind, "termination");
    let completed = app.reach(&cancellation.cancellation_id, pb::State::Completed).await;
    assert_eq!(completed.quote, None);
    let whole = pb::RequestCancellationRequest { scope: Some(app.whole_account()), ..request };
    let refused = app.cancellation.request_cancellation(whole).await.unwrap_err();
    assert!(refused.get_error_details().bad_request().unwrap().field_violations[0].field == "intent");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_stops_without_the_account() {
    let mut app = App::start().await;
    let subject = app.register().await;
    let id = subscribe(&app, &subject).await;
    let mut subscriptions = SubscriptionServiceClient::new(app.channel.clone());

    let request = pb::RequestCancellationRequest {
        request_id: "r-1".into(),
        subject_id: subject.clone(),
        scope: stop_renewal(&id),
        ..pb::RequestCancellationRequest::default()
    };
    let requested = app.cancellation.request_cancellation(request).await.unwrap().into_inner();
    let cancellation_id = requested.cancellation.unwrap().cancellation_id;
    let quoted = app.reach(&cancellation_id, pb::State::AwaitingConfirmation).await;
    let token = app.token(&subject, &cancellation_id).await;
    let request = pb::ConfirmCancellationRequest {
        cancellation_id: cancellation_id.clone(),
        quote_digest: quoted.quote.unwrap().digest,
        verification_tokens: vec![token],
        ..pb::ConfirmCancellationRequest::default()
    };
    let wrong = pb::ConfirmCancellationRequest { quote_digest: "0".repeat(64), ..request.clone() };
    assert!(app.cancellation.confirm_cancellation(wrong).await.is_err());
    app.cancellation.confirm_cancellation(request).await.unwrap();
    app.reach(&cancellation_id, pb::State::Completed).await;

    let request = subscription::GetSubscriptionRequest { subscription_id: id };
    let stopped = subscriptions.get_subscription(request).await.unwrap().into_inner().subscription.unwrap();
    assert_eq!(stopped.status(), subscription::SubscriptionStatus::WillNotRenew);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_port_has_health_and_the_public_keys_beside_the_services() {
    let mut app = App::start().await;
    let mut health = HealthClient::new(app.channel.clone());
    for service in
        ["", "exeunt.cancellation.v1.CancellationService", "exeunt.operations.v1.OperationsService"]
    {
        // Once every consumer has joined its group.
        eventually(async || {
            let answer = health.check(HealthCheckRequest { service: service.into() }).await.unwrap();
            (answer.into_inner().status() == ServingStatus::Serving).then_some(())
        })
        .await;
    }
    let answer = jwks_at(&app.server).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains(&app.keys().await), "{answer}");
    app.stop().await;
}
