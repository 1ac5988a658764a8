//! Refunds from the application to the payment, who is late with them, and what becomes of their records.

use super::*;

#[tokio::test]
async fn a_refund_is_applied_for_decided_by_a_person_and_paid_and_only_then_the_account_closes() {
    let play = Play::begin().await;
    let id = play.record(pb::Billing::Merchant, "").await.unwrap().subscription_id;
    let apply = async |request_id: &str| {
        let (request_id, subscription_id) = (request_id.into(), id.clone());
        let reason = pb::RefundReason::Unused.into();
        let request = pb::ApplyForRefundRequest { request_id, subscription_id, reason };
        Ok::<_, Status>(play.api.apply_for_refund(called(request)).await?.into_inner().refund.unwrap())
    };
    let refund = apply("r-1").await.unwrap();
    assert_eq!(apply("r-1").await.unwrap(), refund);
    assert_eq!(reason(&apply("r-2").await.unwrap_err()), "REFUND_UNDER_REVIEW");
    // Seven working days from a Saturday.
    assert_eq!(refund.review_until, Some(at("2026-12-01T16:00:00Z").to_proto()));

    let cancellation = CancellationId::parse("can_1").unwrap();
    let waiting = execute(&play, &cancellation).await;
    assert_eq!(waiting.waiting.unwrap().code, "REFUND_UNDER_REVIEW");
    assert_eq!(play.get(&id).await.unwrap().status(), pb::SubscriptionStatus::Ended, "renewal ends at once");

    let decide = pb::DecideRefundRequest {
        request_id: "d-1".into(),
        refund_id: refund.refund_id.clone(),
        actor: "clerk 7".into(),
        decision: Some(pb::decide_refund_request::Decision::Approved(pb::RefundApproval {
            amount: cny(1_000),
            destination: pb::RefundDestination::OriginalMeans.into(),
        })),
    };
    let decided = play.api.decide_refund(called(decide)).await.unwrap().into_inner().refund.unwrap();
    assert_eq!((decided.state(), decided.decided_by.as_str()), (pb::RefundState::Approved, "clerk 7"));
    let answer = |at_least| play.stage.answer(&play.api.accounts, &play.subject, &cancellation, at_least);
    assert_eq!(answer((2, 2)).await.waiting.unwrap().code, "REFUND_UNPAID");

    let pay = pb::RecordRefundPaidRequest {
        request_id: String::new(),
        refund_id: refund.refund_id.clone(),
        payment_reference: "pay-1".into(),
        paid_at: Some(at(NOW).to_proto()),
    };
    let paid = play.api.record_refund_paid(called(pay.clone())).await.unwrap().into_inner().refund.unwrap();
    assert_eq!(paid.state(), pb::RefundState::Paid);
    assert!(::participant::is_success(answer((2, 3)).await.outcome()));
    // The account is closed; that the payment is told of again is no harm.
    let again = play.api.record_refund_paid(called(pay.clone())).await.unwrap().into_inner().refund.unwrap();
    let record = again.record.clone().unwrap();
    assert_eq!(again, pb::Refund { record: Some(record.clone()), ..paid });
    assert_eq!((record.ground.as_str(), record.source.as_str()), ("TRADE_RECORDS", "E-commerce Law Art. 31"));
    let list = async || {
        let request = pb::ListRefundsRequest { subject_id: play.subject.to_string() };
        play.api.list_refunds(called(request)).await.unwrap().into_inner().refunds
    };
    assert_eq!(list().await, [again]);

    // When its date comes the record goes, and whoever asks is told so.
    play.stage.clock.set(record.restricted_until.as_ref().and_then(Timestamp::from_proto).unwrap());
    play.stage.until(&play.api.accounts, &play.subject, |it| it.state.refunds.is_empty()).await;
    let gone = list().await.remove(0);
    let why = pb::RefundRecord { ground: String::new(), changed_at: record.restricted_until, ..record };
    let expected = pb::Refund {
        refund_id: refund.refund_id.clone(),
        subscription_id: id.clone(),
        subject_id: play.subject.to_string(),
        state: pb::RefundState::Erased.into(),
        record: Some(why),
        ..pb::Refund::default()
    };
    assert_eq!(gone, expected);
    let again = play.api.record_refund_paid(called(pay)).await.unwrap().into_inner().refund;
    assert_eq!(again, Some(expected));
    assert_eq!(reason(&apply("r-3").await.unwrap_err()), "SUBJECT_CLOSED");
    play.end().await;
}

#[tokio::test]
async fn b12_money_that_is_charged_after_completion_is_not_lost_with_the_account() {
    let play = Play::begin().await;
    let ours = play.record(pb::Billing::Merchant, "").await.unwrap().subscription_id;
    let stores = play.record(pb::Billing::AppStore, "").await.unwrap().subscription_id;
    let cancellation = CancellationId::parse("can_1").unwrap();
    execute(&play, &cancellation).await;
    let charge = async |id: &str, reference: &str| {
        let request = pb::RecordChargeRequest {
            request_id: String::new(),
            subscription_id: id.into(),
            charge_reference: reference.into(),
            amount: cny(2_500),
            charged_at: Some(at(NOW).to_proto()),
        };
        play.api.record_charge(called(request)).await.map(tonic::Response::into_inner)
    };
    // While the store is waited for, nothing new may come in, but money.
    assert_eq!(reason(&play.record(pb::Billing::Merchant, "").await.unwrap_err()), "SUBJECT_CLOSING");
    let early = charge(&ours, "c-1").await.unwrap();
    assert!(early.late);
    play.observe(&stores, pb::ProviderState::Ended).await.unwrap();
    let pay = pb::RecordRefundPaidRequest {
        request_id: String::new(),
        refund_id: early.refund.unwrap().refund_id,
        payment_reference: "pay-1".into(),
        paid_at: Some(at(NOW).to_proto()),
    };
    play.api.record_refund_paid(called(pay)).await.unwrap();
    play.stage.until(&play.api.accounts, &play.subject, |account| account.closed.is_some()).await;

    let late = charge(&ours, "c-2").await.unwrap();
    let refund = late.refund.clone().unwrap();
    assert_eq!((refund.state(), refund.decided_by.as_str()), (pb::RefundState::Approved, "automatic"));
    assert_eq!(charge(&ours, "c-2").await.unwrap(), late, "seen twice, it is refunded once");
    let pay = pb::RecordRefundPaidRequest {
        request_id: String::new(),
        refund_id: refund.refund_id,
        payment_reference: "pay-2".into(),
        paid_at: Some(at(NOW).to_proto()),
    };
    let paid = play.api.record_refund_paid(called(pay)).await.unwrap().into_inner().refund.unwrap();
    assert_eq!(
        paid.record.unwrap().restricted_until,
        Some(at("2029-11-20T16:00:00Z").to_proto()),
        "also what is paid after the end has its period"
    );
    let late = charge(&stores, "c-3").await.unwrap();
    assert_eq!((late.late, late.link.as_str()), (true, "https://reportaproblem.apple.com"));
    assert_eq!(reason(&play.record(pb::Billing::Merchant, "").await.unwrap_err()), "SUBJECT_CLOSED");
    play.end().await;
}

#[tokio::test]
async fn b21_a_refund_that_nobody_decides_on_or_pays_in_time_is_told_and_stands_in_the_work_list() {
    let play = Play::begin().await;
    let refund = apply(&play, "r-1").await;
    let review_until = refund.review_until.unwrap();
    let open = async |states: &[pb::RefundState]| {
        let states = states.iter().map(|state| i32::from(*state)).collect();
        let request = pb::ListOpenRefundsRequest { states, page_size: 0, page_token: String::new() };
        play.api.list_open_refunds(called(request)).await.unwrap().into_inner().refunds
    };
    let (review, payment) = (pb::RefundState::UnderReview, pb::RefundState::Approved);
    assert_eq!(open(&[]).await, std::slice::from_ref(&refund));
    assert_eq!((open(&[review]).await.len(), open(&[payment]).await.len()), (1, 0));

    play.stage.clock.set(Timestamp::from_proto(&review_until).unwrap());
    let overdue = overdue(&play, 1).await;
    assert_eq!((overdue[0].late(), overdue[0].due_at), (pb::RefundLate::Review, Some(review_until)));
    assert_eq!(overdue[0].refund_id, refund.refund_id);
    assert_eq!(open(&[review]).await, std::slice::from_ref(&refund), "nothing ends by that");

    let approved = approve(&play, &refund.refund_id).await;
    assert_eq!((open(&[review]).await.len(), open(&[payment]).await), (0, vec![approved.clone()]));
    play.stage.clock.set(Timestamp::from_proto(&approved.pay_by.unwrap()).unwrap());
    let overdue = self::overdue(&play, 2).await;
    assert_eq!((overdue[1].late(), overdue[1].due_at), (pb::RefundLate::Payment, approved.pay_by));

    let pay = pb::RecordRefundPaidRequest {
        request_id: String::new(),
        refund_id: refund.refund_id,
        payment_reference: "pay-1".into(),
        paid_at: Some(at(NOW).to_proto()),
    };
    play.api.record_refund_paid(called(pay)).await.unwrap();
    assert_eq!(open(&[]).await, []);
    play.end().await;
}

#[tokio::test]
async fn the_work_list_tells_what_is_due_first_page_by_page() {
    let play = Play::begin().await;
    let late = apply(&play, "r-1").await;
    let late = approve(&play, &late.refund_id).await;
    let early = apply(&play, "r-2").await;
    play.stage.clock.set(at("2026-11-24T08:00:00Z"));
    let last = approve(&play, &apply(&play, "r-3").await.refund_id).await;
    assert!(early.review_until.unwrap().seconds < late.pay_by.unwrap().seconds);

    let mut request = pb::ListOpenRefundsRequest { page_size: 1, ..pb::ListOpenRefundsRequest::default() };
    let mut told = Vec::new();
    loop {
        let page = play.api.list_open_refunds(called(request.clone())).await.unwrap().into_inner();
        told.extend(page.refunds.into_iter().map(|refund| refund.refund_id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(told, [early.refund_id, late.refund_id, last.refund_id]);

    let states = vec![pb::RefundState::Paid.into(), 99, pb::RefundState::Approved.into()];
    let wrong = pb::ListOpenRefundsRequest { states, page_size: 1_001, page_token: "x".into() };
    let refused = play.api.list_open_refunds(called(wrong)).await.unwrap_err();
    let faults = refused.get_details_bad_request().unwrap().field_violations;
    let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["states[0]", "states[1]", "page_size", "page_token"]);
    play.end().await;
}

/// An application for a refund of a new subscription.
async fn apply(play: &Play, request_id: &str) -> pb::Refund {
    let subscription_id = play.record(pb::Billing::Merchant, "").await.unwrap().subscription_id;
    let reason = pb::RefundReason::Unused.into();
    let request = pb::ApplyForRefundRequest { request_id: request_id.into(), subscription_id, reason };
    play.api.apply_for_refund(called(request)).await.unwrap().into_inner().refund.unwrap()
}

async fn approve(play: &Play, refund_id: &str) -> pb::Refund {
    let request = pb::DecideRefundRequest {
        request_id: String::new(),
        refund_id: refund_id.into(),
        actor: "clerk 7".into(),
        decision: Some(pb::decide_refund_request::Decision::Approved(pb::RefundApproval {
            amount: cny(1_000),
            destination: pb::RefundDestination::OriginalMeans.into(),
        })),
    };
    play.api.decide_refund(called(request)).await.unwrap().into_inner().refund.unwrap()
}

/// What was told of being late, once it is that often.
async fn overdue(play: &Play, times: usize) -> Vec<pb::RefundOverdue> {
    let store = play.api.accounts.store();
    let stream = ::participant::stream_of(&play.subject);
    let mut tail = store.tail(store.head().await.unwrap());
    loop {
        let events = store.load(&stream).await.unwrap();
        let kind = <pb::RefundOverdue as prost::Name>::full_name();
        let told = events.into_iter().filter(|event| *event.kind == *kind);
        let told: Vec<_> =
            told.map(|it| <pb::RefundOverdue as prost::Message>::decode(it.payload).unwrap()).collect();
        if told.len() >= times {
            return told;
        }
        tail.pass_until(&stream).await.unwrap();
    }
}
