//! What is refused at the edge, and what is stored.

use super::*;

fn pb_money(code: &str, minor_units: i64) -> Option<PbMoney> {
    Some(PbMoney { currency_code: code.into(), minor_units })
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn fields<T>(read: Result<T, BadRequest>) -> Vec<String> {
    let faults = read.map_or_else(|error| error.faults, |_| Vec::new());
    faults.into_iter().map(|fault| fault.field).collect()
}

#[track_caller]
fn check_balance(change: impl FnOnce(&mut pb::RecordBalanceRequest), expected: &[&str]) {
    let mut request = pb::RecordBalanceRequest {
        request_id: "r1".into(),
        subject_id: "sbj_1".into(),
        balance: pb_money("CNY", 12_840),
    };
    change(&mut request);
    assert_eq!(fields(record_balance(&request)), expected);
}

#[track_caller]
fn check_benefit(change: impl FnOnce(&mut pb::RecordBenefitRequest), expected: &[&str]) {
    let mut request = pb::RecordBenefitRequest {
        request_id: "r1".into(),
        subject_id: "sbj_1".into(),
        kind: pb::BenefitKind::Coupon.into(),
        quantity: 2,
        paid_value: pb_money("CNY", 500),
        expires_at: Some(at(90).to_proto()),
    };
    change(&mut request);
    assert_eq!(fields(record_benefit(&request)), expected);
}

#[test]
fn every_bad_field_of_a_balance_is_named() {
    check_balance(|_| {}, &[]);
    check_balance(|request| request.request_id.clear(), &[]);
    check_balance(|request| request.balance = pb_money("CNY", 0), &[]);
    check_balance(|request| request.request_id = "a".repeat(65), &["request_id"]);
    for wrong in ["", "a b", &"a".repeat(65)] {
        check_balance(|request| request.subject_id = wrong.into(), &["subject_id"]);
    }
    check_balance(|request| request.balance = None, &["balance"]);
    for wrong in ["", "cny", "CN", "YUAN", "C1Y"] {
        check_balance(|request| request.balance = pb_money(wrong, 1), &["balance.currency_code"]);
    }
    check_balance(|request| request.balance = pb_money("CNY", -1), &["balance.minor_units"]);
    check_balance(|request| *request = pb::RecordBalanceRequest::default(), &["subject_id", "balance"]);
}

#[test]
fn every_bad_field_of_a_payout_is_named() {
    let request = |request_id: &str, subject_id: &str, currency_code: &str| {
        let [request_id, subject_id, currency_code] =
            [request_id, subject_id, currency_code].map(str::to_owned);
        pay_out_balance(&pb::PayOutBalanceRequest { request_id, subject_id, currency_code })
    };
    assert_eq!(request("", "sbj_1", "").unwrap().what, None);
    assert_eq!(request("", "sbj_1", "CNY").unwrap().what, Currency::parse("CNY").ok());
    assert_eq!(fields(request("a b", "", "yuan")), ["request_id", "subject_id", "currency_code"]);
}

#[test]
fn every_bad_field_of_a_benefit_is_named() {
    check_benefit(|_| {}, &[]);
    check_benefit(|request| (request.paid_value, request.expires_at) = (None, None), &[]);
    check_benefit(|request| request.request_id = "é".into(), &["request_id"]);
    check_benefit(|request| request.subject_id.clear(), &["subject_id"]);
    for wrong in [0, 4, -1] {
        check_benefit(|request| request.kind = wrong, &["kind"]);
    }
    for wrong in [0, -1, i64::MIN] {
        check_benefit(|request| request.quantity = wrong, &["quantity"]);
    }
    let both = ["paid_value.currency_code", "paid_value.minor_units"];
    check_benefit(|request| request.paid_value = pb_money("", -1), &both);
    let wrong = prost_types::Timestamp { seconds: i64::MAX, nanos: 0 };
    check_benefit(|request| request.expires_at = Some(wrong), &["expires_at"]);
    check_benefit(
        |request| *request = pb::RecordBenefitRequest::default(),
        &["subject_id", "kind", "quantity"],
    );
}

#[test]
fn a_wallet_is_asked_for_by_its_subject() {
    let request = |subject_id: &str| get_wallet(&pb::GetWalletRequest { subject_id: subject_id.into() });
    assert!(request("sbj_1").is_ok());
    assert_eq!(fields(request("")), ["subject_id"]);
}

fn full_benefit() -> Benefit {
    Benefit {
        id: BenefitId::parse("ben_1").unwrap(),
        kind: BenefitKind::StoredValue,
        quantity: 3,
        paid_value: Some(Money { currency: Currency::parse("CNY").unwrap(), minor_units: 500 }),
        expires_at: Some(at(90)),
        lapsed_at: None,
    }
}

fn basis() -> Basis {
    Basis { rule: "cn.aml.transaction_records".into(), source: "AML Law 2024 Art. 34".into() }
}

#[test]
fn every_event_is_stored_and_read_back() {
    let amount = Money { currency: Currency::parse("JPY").unwrap(), minor_units: 600 };
    let cancellation = CancellationId::parse("can_1").unwrap();
    let plain = Benefit { paid_value: None, expires_at: None, kind: BenefitKind::Points, ..full_benefit() };
    let restricted = |until| {
        Event::PayoutRecordRestricted(Restriction {
            ground: "ANTI_MONEY_LAUNDERING".into(),
            basis: basis(),
            until,
            cancellation: cancellation.clone(),
            since: at(8),
        })
    };
    let erased = |due| {
        let (basis, cancellation) = (basis(), cancellation.clone());
        Event::PayoutRecordErased(Gone { basis, cancellation, since: at(9), due })
    };
    for event in [
        Event::BalanceRecorded(amount),
        Event::BalancePaidOut { amount, at: None },
        Event::BalancePaidOut { amount, at: Some(Timestamp::from_micros(5)) },
        Event::BenefitRecorded(full_benefit()),
        Event::BenefitRecorded(plain),
        Event::BenefitLapsed { id: full_benefit().id, cancellation: cancellation.clone(), at: at(7) },
        restricted(None),
        restricted(Some(at(10))),
        erased(None),
        erased(Some(at(10))),
    ] {
        let stored = encode(&event);
        assert_eq!(decode(&stored.kind, stored.schema, &stored.payload), Ok(event));
    }
}

#[test]
fn an_event_of_another_type_or_version_is_unreadable() {
    let stored = encode(&Event::BenefitRecorded(full_benefit()));
    assert!(decode(&stored.kind, 2, &stored.payload).is_err());
    assert!(decode("exeunt.wallet.v1.Unheard", 1, &stored.payload).is_err());
    assert!(decode(&stored.kind, 1, &Bytes::from_static(b"\xff")).is_err());
    assert!(decode(&stored.kind, 1, &Bytes::new()).is_err());
}
