//! The session that the README promises, and what is refused, through the public API of a process.

use cancellation::receipt;
use proto::{
    cancellation::v1::{self as can, State},
    identity::v1 as idn,
    payscore::v1 as pay,
    retention::v1 as ret,
    subscription::v1 as sub,
    types::v1 as words,
    wallet::v1 as wal,
};
use tokio_stream::StreamExt as _;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use types::{Clock as _, SystemClock};

use crate::{
    client::Client,
    process::{Engines, Installation},
};

fn cny(minor_units: i64) -> Option<words::Money> {
    Some(words::Money { currency_code: "CNY".into(), minor_units })
}

fn whole() -> words::scope::Kind {
    words::scope::Kind::WholeAccount(words::WholeAccount {})
}

fn now() -> Option<prost_types::Timestamp> {
    Some(SystemClock.now().to_proto())
}

fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

async fn register(client: &Client) -> String {
    let email = idn::contact::Address::Email("user@example.com".into());
    let sms = idn::contact::Address::Sms("+8613812345678".into());
    let contact = |address| idn::Contact { address: Some(address) };
    let request = idn::RegisterSubjectRequest {
        region: "CN".into(),
        edition: words::Edition::Domestic.into(),
        contacts: vec![contact(sms), contact(email)],
        ..Default::default()
    };
    client.identity.clone().register_subject(request).await.unwrap().into_inner().subject_id
}

/// A subscription of the subject's; gives its id.
async fn subscribe(client: &Client, subject_id: &str, billing: sub::Billing) -> String {
    let plan =
        sub::Plan { name: "Video".into(), tier: "gold".into(), price: cny(2_500), ..sub::Plan::default() };
    let at = |days: i64| {
        let now = SystemClock.now().to_proto();
        Some(prost_types::Timestamp { seconds: now.seconds + days * 86_400, ..now })
    };
    let request = sub::RecordSubscriptionRequest {
        subject_id: subject_id.into(),
        plan: Some(plan),
        billing: billing.into(),
        started_at: at(-10),
        current_period_end: at(20),
        next_charge_at: at(20),
        will_renew: true,
        ..Default::default()
    };
    let recorded = client.subscription.clone().record_subscription(request).await.unwrap().into_inner();
    recorded.subscription.unwrap().subscription_id
}

async fn confirm(client: &Client, installation: &Installation, subject_id: &str, id: &str) {
    let quoted = client.until(id, State::AwaitingConfirmation).await.quote.unwrap();
    assert_eq!(quoted.digest.len(), 64);
    let token = client.verify(subject_id, id, &installation.messages()).await;
    client.confirm(id, &quoted.digest, &token).await;
}

async fn proven(client: &Client, id: &str) -> receipt::Receipt {
    receipt::verify(&client.receipt(id).await.receipt_jws, &client.keys().await).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_account_is_left_on_embedded_storage() {
    a_whole_account_is_left(Engines::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_account_is_left_on_postgresql_and_kafka() {
    match Engines::real() {
        Some(engines) => a_whole_account_is_left(engines).await,
        None => eprintln!("skipped: no PostgreSQL and Kafka are named"),
    }
}

async fn a_whole_account_is_left(engines: Engines) {
    let mut installation = Installation::new(engines);
    installation.start();
    let client = Client::new(&installation.url());
    let subject_id = register(&client).await;
    let order_id = owe(&client, &subject_id).await;
    let store_subscription = subscribe(&client, &subject_id, sub::Billing::AppStore).await;

    let other = client.request("other", &subject_id, whole()).await.cancellation_id;
    let id = client.request("leave", &subject_id, whole()).await.cancellation_id;
    let blocked = client.until(&id, State::Blocked).await;
    let mut codes: Vec<&str> = blocked.blockers.iter().map(|blocker| blocker.code.as_str()).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["BALANCE_REMAINING", "SERVICE_ORDER_OPEN"]);
    assert!(
        blocked
            .blockers
            .iter()
            .all(|it| !it.cause.is_empty() && !it.remedy.is_empty() && !it.item_id.is_empty())
    );

    // Confirming while it is blocked names everything that stands in the way.
    let too_soon = can::ConfirmCancellationRequest {
        cancellation_id: id.clone(),
        quote_digest: "0".repeat(64),
        verification_tokens: vec![client.verify(&subject_id, &id, &installation.messages()).await],
        ..Default::default()
    };
    let refused = client.cancellation.clone().confirm_cancellation(too_soon).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "BLOCKED"));
    assert_eq!(refused.get_error_details().precondition_failure().unwrap().violations.len(), 2);

    let mut wallet = client.wallet.clone();
    let pay_out = wal::PayOutBalanceRequest { subject_id: subject_id.clone(), ..Default::default() };
    wallet.pay_out_balance(pay_out).await.unwrap();
    let complete = pay::CompleteServiceOrderRequest { order_id: order_id.clone(), ..Default::default() };
    client.payscore.clone().complete_service_order(complete).await.unwrap();
    // Completed is not paid.
    let still = crate::client::until("the unpaid order", async || {
        let blockers = client.get(&id).await.blockers;
        (blockers.len() == 1 && blockers[0].code == "SERVICE_ORDER_UNPAID").then_some(blockers)
    });
    assert_eq!(still.await[0].item_id, order_id);
    let paid = pay::Collection::UserPaid.into();
    let collected = pay::RecordCollectionRequest { order_id, state: paid, ..Default::default() };
    client.payscore.clone().record_collection(collected).await.unwrap();

    confirm(&client, &installation, &subject_id, &id).await;
    let watch = can::WatchCancellationRequest { cancellation_id: id.clone(), ..Default::default() };
    let mut changes = client.cancellation.clone().watch_cancellation(watch).await.unwrap().into_inner();
    let waits = |cancellation: &can::Cancellation| {
        cancellation.participants.iter().any(|it| it.name == "subscription" && it.waiting.is_some())
    };
    // Only the subject can end what a store bills; until then everybody after it waits.
    while !waits(&changes.next().await.unwrap().unwrap().cancellation.unwrap()) {}
    nothing_new_comes_into_a_closing_account(&client, &subject_id).await;
    let ended = sub::RecordProviderStateRequest {
        subscription_id: store_subscription,
        state: sub::ProviderState::Ended.into(),
        observed_at: now(),
        ..Default::default()
    };
    client.subscription.clone().record_provider_state(ended).await.unwrap();
    let mut last = None;
    while let Some(change) = changes.next().await {
        last = change.unwrap().cancellation;
    }
    assert_eq!(last.unwrap().state(), State::Completed, "the stream ends when the cancellation has");

    // What else was asked for has nothing left to end.
    let expired = client.until(&other, State::Expired).await;
    assert_eq!(expired.closed_by_cancellation_id, id);

    let receipt = proven(&client, &id).await;
    let roster = ["subscription", "payscore", "wallet", "retention", "identity"];
    assert!(roster.iter().all(|name| receipt.roster.iter().any(|it| it == name)), "{:?}", receipt.roster);
    nobody_writes_for_a_closed_subject(&client, &subject_id).await;

    // What is proven is proven after a restart, and by the same keys.
    installation.stop();
    installation.start();
    assert_eq!(proven(&client, &id).await, receipt);
    installation.stop();
}

/// A balance and an order in use; gives the order's id.
async fn owe(client: &Client, subject_id: &str) -> String {
    let balance = wal::RecordBalanceRequest {
        subject_id: subject_id.into(),
        balance: cny(12_840),
        ..Default::default()
    };
    client.wallet.clone().record_balance(balance).await.unwrap();
    let mut payscore = client.payscore.clone();
    let request = pay::RecordAuthorizationRequest {
        subject_id: subject_id.into(),
        scheme: pay::Scheme::WechatPayScore.into(),
        merchant: Some(pay::Merchant { mchid: "1900000001".into(), name: "Power bank".into() }),
        service_id: "500001".into(),
        authorization_code: "code-1".into(),
        ..Default::default()
    };
    let authorization =
        payscore.record_authorization(request).await.unwrap().into_inner().authorization.unwrap();
    let order = pay::CreateServiceOrderRequest {
        authorization_id: authorization.authorization_id,
        out_order_no: "order-1".into(),
        amount: cny(600),
        deposit_waived: cny(9_900),
        ..Default::default()
    };
    payscore.create_service_order(order).await.unwrap().into_inner().order.unwrap().order_id
}

/// What the subject accepted the end of is what ends.
async fn nothing_new_comes_into_a_closing_account(client: &Client, subject_id: &str) {
    let request = sub::RecordSubscriptionRequest {
        subject_id: subject_id.to_owned(),
        plan: Some(sub::Plan { name: "Music".into(), price: cny(1), ..sub::Plan::default() }),
        billing: sub::Billing::Merchant.into(),
        started_at: now(),
        ..Default::default()
    };
    let refused = client.subscription.clone().record_subscription(request).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "SUBJECT_CLOSING"));
}

async fn nobody_writes_for_a_closed_subject(client: &Client, subject_id: &str) {
    let subject = || subject_id.to_owned();
    let balance = wal::RecordBalanceRequest { subject_id: subject(), balance: cny(1), ..Default::default() };
    let data = ret::RecordDataSetRequest {
        subject_id: subject(),
        system: "crm".into(),
        controller: Some(ret::Controller {
            name: "Wallet".into(),
            jurisdiction: "CN".into(),
            ..Default::default()
        }),
        category: ret::DataCategory::Profile.into(),
        last_event_at: now(),
        ..Default::default()
    };
    let face = pay::SetFacePaymentRequest { subject_id: subject(), enabled: true, ..Default::default() };
    let plan = sub::Plan { name: "Music".into(), price: cny(1), ..sub::Plan::default() };
    let membership = sub::RecordSubscriptionRequest {
        subject_id: subject(),
        plan: Some(plan),
        billing: sub::Billing::Merchant.into(),
        started_at: now(),
        ..Default::default()
    };
    let again = can::RequestCancellationRequest {
        request_id: "again".into(),
        subject_id: subject(),
        scope: Some(words::Scope { kind: Some(whole()) }),
        ..Default::default()
    };
    let verification = idn::StartVerificationRequest {
        subject_id: subject(),
        cancellation_id: "can_1".into(),
        factor: idn::Factor::EmailCode.into(),
        ..Default::default()
    };
    let refusals = [
        client.wallet.clone().record_balance(balance).await.unwrap_err(),
        client.retention.clone().record_data_set(data).await.unwrap_err(),
        client.payscore.clone().set_face_payment(face).await.unwrap_err(),
        client.subscription.clone().record_subscription(membership).await.unwrap_err(),
        client.cancellation.clone().request_cancellation(again).await.unwrap_err(),
        client.identity.clone().start_verification(verification).await.unwrap_err(),
    ];
    for refused in refusals {
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "SUBJECT_CLOSED"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn selected_items_end_and_the_account_goes_on() {
    let mut installation = Installation::new(Engines::Embedded);
    installation.start();
    let client = Client::new(&installation.url());
    let subject_id = register(&client).await;
    let subscription_id = subscribe(&client, &subject_id, sub::Billing::Merchant).await;
    let other = subscribe(&client, &subject_id, sub::Billing::Merchant).await;
    let item = |id: &str| words::Item {
        kind: words::ItemKind::Subscription.into(),
        id: id.into(),
        action: words::Action::StopRenewal.into(),
    };
    let selected = |id: &str| words::scope::Kind::Selected(words::SelectedItems { items: vec![item(id)] });
    let id = client.request("one", &subject_id, selected(&subscription_id)).await.cancellation_id;
    confirm(&client, &installation, &subject_id, &id).await;
    client.until(&id, State::Completed).await;
    proven(&client, &id).await;

    let request = sub::ListSubscriptionsRequest { subject_id: subject_id.clone() };
    let listed = client.subscription.clone().list_subscriptions(request).await.unwrap().into_inner();
    let status = |id: &str| listed.subscriptions.iter().find(|it| it.subscription_id == id).unwrap().status();
    assert_eq!(status(&subscription_id), sub::SubscriptionStatus::WillNotRenew);
    assert_eq!(status(&other), sub::SubscriptionStatus::Active);

    // Somebody else's subscription, or none at all, cannot be asked for.
    let stranger = register(&client).await;
    let foreign = client.request("foreign", &stranger, selected(&other)).await.cancellation_id;
    let rejected = client.until(&foreign, State::Rejected).await;
    assert_eq!(rejected.rejections[0].code, "ITEM_UNKNOWN");

    // Revoked before execution: nothing has happened.
    let third = client.request("third", &subject_id, selected(&other)).await.cancellation_id;
    client.until(&third, State::AwaitingConfirmation).await;
    let revoke = can::RevokeCancellationRequest { cancellation_id: third.clone(), ..Default::default() };
    let revoked = client.cancellation.clone().revoke_cancellation(revoke.clone()).await.unwrap().into_inner();
    assert_eq!(revoked.cancellation.unwrap().state(), State::Revoked);
    let over = can::RevokeCancellationRequest { cancellation_id: id, ..revoke };
    let refused = client.cancellation.clone().revoke_cancellation(over).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "ENDED"));

    // Pages, newest first.
    let mut list = can::ListCancellationsRequest { subject_id, page_size: 1, ..Default::default() };
    let first = client.cancellation.clone().list_cancellations(list.clone()).await.unwrap().into_inner();
    assert_eq!(first.cancellations[0].cancellation_id, third);
    list.page_token = first.next_page_token;
    let second = client.cancellation.clone().list_cancellations(list).await.unwrap().into_inner();
    assert_eq!((second.cancellations.len(), second.next_page_token.as_str()), (1, ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_request_again_is_the_same_cancellation_and_another_is_refused() {
    let mut installation = Installation::new(Engines::Embedded);
    installation.start();
    let client = Client::new(&installation.url());
    let subject_id = register(&client).await;
    let first = client.request("r-1", &subject_id, whole()).await;
    let again = client.request("r-1", &subject_id, whole()).await;
    assert_eq!(first.cancellation_id, again.cancellation_id);
    let other = can::RequestCancellationRequest {
        request_id: "r-1".into(),
        subject_id: register(&client).await,
        scope: Some(words::Scope { kind: Some(whole()) }),
        ..Default::default()
    };
    let refused = client.cancellation.clone().request_cancellation(other).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::AlreadyExists, "REQUEST_ID_TAKEN"));
    let details = refused.get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["first"], first.cancellation_id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_field_is_named_at_once_and_what_is_unknown_is_not_found() {
    let mut installation = Installation::new(Engines::Embedded);
    installation.start();
    let client = Client::new(&installation.url());
    let item = |kind: i32, id: &str, action: i32| words::Item { kind, id: id.into(), action };
    let items = vec![item(99, "", 0), item(1, &"x".repeat(65), 3), item(1, "a b", 1)];
    let bad = can::RequestCancellationRequest {
        request_id: "ä".into(),
        subject_id: "no id!".into(),
        scope: Some(words::Scope {
            kind: Some(words::scope::Kind::Selected(words::SelectedItems { items })),
        }),
        channel: "no spaces".into(),
        reason: "x".repeat(1_001),
        effective: Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 }),
        intent: 99,
    };
    let refused = client.cancellation.clone().request_cancellation(bad).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let details = refused.get_error_details();
    let fields: Vec<&str> =
        details.bad_request().unwrap().field_violations.iter().map(|it| it.field.as_str()).collect();
    for field in
        ["request_id", "subject_id", "scope.selected.items[0].kind", "scope.selected.items[0].action"]
    {
        assert!(fields.contains(&field), "{field} in {fields:?}");
    }
    for field in [
        "scope.selected.items[1].id",
        "scope.selected.items[2].id",
        "channel",
        "reason",
        "effective",
        "intent",
    ] {
        assert!(fields.contains(&field), "{field} in {fields:?}");
    }
    let empty = can::RequestCancellationRequest::default();
    let refused = client.cancellation.clone().request_cancellation(empty).await.unwrap_err();
    let details = refused.get_error_details();
    let fields: Vec<&str> =
        details.bad_request().unwrap().field_violations.iter().map(|it| it.field.as_str()).collect();
    assert_eq!(fields, ["request_id", "subject_id", "scope"]);

    let unknown = can::GetCancellationRequest { cancellation_id: "can_0".into(), ..Default::default() };
    let refused = client.cancellation.clone().get_cancellation(unknown).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "NOT_FOUND"));
    let nobody = can::RequestCancellationRequest {
        request_id: "r".into(),
        subject_id: "sbj_nobody".into(),
        scope: Some(words::Scope { kind: Some(whole()) }),
        ..Default::default()
    };
    let refused = client.cancellation.clone().request_cancellation(nobody).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "NOT_FOUND"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_the_same_data_says_so_and_ends() {
    let mut installation = Installation::new(Engines::Embedded);
    installation.start();
    let second = installation.command().output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(installation.last_words().contains("data directory"), "{}", installation.last_words());
}
