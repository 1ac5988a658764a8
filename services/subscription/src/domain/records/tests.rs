//! Given what was paid back, when its record is kept or goes, then this is left.

use types::{Currency, Money};

use super::*;
use crate::domain::{
    Approval, Basis, Billing, Charge, Command, Consequent, Decided, Decision, Destination, LateCharge, Plan,
    RefundReason, Rejection, Terms, decide, evolve, money,
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn id(text: &str) -> RefundId {
    RefundId::parse(text).unwrap()
}

fn can() -> CancellationId {
    CancellationId::parse("can_1").unwrap()
}

fn sub() -> SubscriptionId {
    SubscriptionId::parse("sub_1").unwrap()
}

fn basis() -> Basis {
    Basis { rule: "cn.ecl.transaction_records".into(), source: "E-commerce Law Art. 31".into() }
}

fn restrict_until(until: Option<Timestamp>) -> Treatment {
    Treatment::Restrict { ground: "TRADE_RECORDS".into(), basis: basis(), until }
}

fn approval() -> Approval {
    let amount = Money { currency: Currency::parse("CNY").unwrap(), minor_units: 2_500 };
    Approval { amount, destination: Destination::OriginalMeans, pay_by: at(5) }
}

fn charge() -> Charge {
    Charge { subscription: sub(), reference: "4200001".into(), amount: approval().amount, charged_at: at(2) }
}

fn fold(mut state: State, events: &[MoneyEvent]) -> State {
    for event in events {
        money::evolve(&mut state, event);
    }
    state
}

fn subscribed() -> State {
    let terms = Terms {
        plan: Plan { name: "Video".into(), tier: String::new(), price: None, link: String::new() },
        billing: Billing::Merchant,
        provider: None,
        started_at: None,
        current_period_end: None,
        next_charge_at: None,
        minimum_term_end: None,
        early_termination_fee: None,
        outstanding: None,
        benefits: Vec::new(),
        alternative: None,
    };
    let (subject, terms) = (types::SubjectId::parse("sbj_1").unwrap(), Box::new(terms));
    let command = Command::Record { id: sub(), subject, terms, will_renew: true, now: at(0) };
    decide(&State::default(), command).unwrap().iter().fold(State::default(), evolve)
}

/// One refund paid for a charge that came late, one paid, and one that is not.
fn given() -> State {
    let approved = |text: &str| MoneyEvent::RefundApproved {
        id: id(text),
        subscription: sub(),
        reason: RefundReason::LateCharge,
        approval: approval(),
        decided: Decided { by: "clerk 7".into(), at: at(3) },
    };
    let paid = |text: &str| MoneyEvent::RefundPaid {
        id: id(text),
        subscription: sub(),
        approval: approval(),
        reference: "pay-1".into(),
        at: at(4),
    };
    let late = LateCharge {
        charge: charge(),
        billing: Billing::Merchant,
        stopped_at: at(1),
        cancellation: Some(can()),
        refund: Some(id("ref_1")),
    };
    let events = [
        MoneyEvent::LateChargeSeen(Box::new(late)),
        approved("ref_1"),
        approved("ref_2"),
        approved("ref_3"),
        paid("ref_1"),
        paid("ref_2"),
    ];
    fold(State::default(), &events)
}

fn kept(until: i64) -> State {
    let events = treat(&given(), &Wanted::All, restrict_until(Some(at(until))), &can(), at(6));
    assert_eq!(events.len(), 1);
    fold(given(), &events)
}

#[test]
fn what_was_paid_is_kept_and_that_is_said_once() {
    let state = kept(100);
    let kept: Vec<_> = state.refunds.iter().map(|it| it.kept.as_ref().and_then(|it| it.until)).collect();
    assert_eq!(kept, [Some(at(100)), Some(at(100)), None], "what is not paid is not over");
    let again = |until| treat(&state, &Wanted::All, restrict_until(until), &can(), at(7));
    assert_eq!(again(Some(at(100))), []);
    assert_eq!(again(Some(at(99))), [], "what was told holds");
    assert_eq!(again(Some(at(101))).len(), 1);
    assert_eq!(again(None).len(), 1);
}

#[test]
fn it_goes_when_its_date_comes_and_not_before() {
    let state = kept(100);
    assert_eq!(expire(&state, "ref_1", at(99)), None);
    assert_eq!(expire(&state, "ref_3", at(100)), None);
    assert_eq!(expire(&state, "ref_x", at(100)), None);
    let event = expire(&state, "ref_2", at(101)).unwrap();
    let gone = Gone { basis: basis(), cancellation: can(), since: at(101), due: Some(at(100)) };
    let refunds = vec![id("ref_2"), id("ref_1")];
    assert_eq!(event, MoneyEvent::RecordsErased { refunds, gone: gone.clone() });

    let state = fold(state, &[event]);
    assert_eq!(state.refunds.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["ref_3"]);
    let left = |text| ErasedRefund { id: id(text), subscription: sub(), gone: gone.clone() };
    assert_eq!(state.erased_refunds, [left("ref_2"), left("ref_1")]);
    assert_eq!((&state.charges[..], &state.late_charges[..]), (&[][..], &[][..]));
    assert_eq!(expire(&state, "ref_1", at(102)), None, "what is gone does not go again");
}

#[test]
fn what_nothing_keeps_goes_with_the_account_and_not_before() {
    let chosen = Wanted::Chosen(vec![(sub().to_string(), crate::domain::Ending::Now)]);
    assert_eq!(treat(&given(), &chosen, Treatment::Erase(basis()), &can(), at(6)), []);
    let events = treat(&given(), &Wanted::All, Treatment::Erase(basis()), &can(), at(6));
    let gone = Gone { basis: basis(), cancellation: can(), since: at(6), due: None };
    let refunds = vec![id("ref_1"), id("ref_2")];
    assert_eq!(events, [MoneyEvent::RecordsErased { refunds, gone }]);
    assert_eq!(treat(&kept(100), &Wanted::All, Treatment::Erase(basis()), &can(), at(7)), []);
}

#[test]
fn what_comes_again_of_a_refund_that_is_gone_moves_no_money() {
    let state = kept(100);
    let event = expire(&state, "ref_1", at(100)).unwrap();
    let mut state = fold(state, &[event]);
    let paid = Command::RecordRefundPaid { id: id("ref_1"), reference: "pay-1".into(), at: at(4) };
    assert_eq!(decide(&state, paid), Ok(vec![]));
    let decision = Decision::Approve(approval());
    let decided = Decided { by: "clerk 7".into(), at: at(101) };
    let again = Command::DecideRefund { id: id("ref_1"), decision, decided };
    assert_eq!(decide(&state, again), Err(Rejection::RefundDecided(id("ref_1"))));

    state.subscriptions = subscribed().subscriptions;
    let then = Consequent { refund: id("ref_9"), pay_by: at(9), review_until: at(9), now: at(101) };
    assert_eq!(decide(&state, Command::RecordCharge { charge: charge(), then }), Ok(vec![]));
}
