//! Given what was charged and asked back, when money moves, then what follows.

use types::{CancellationId, Money, SubjectId};

use super::*;
use crate::domain::{
    AUTOMATIC, Billing, Command, Consequent, Decision, Destination, Ending, Event, Plan, ProviderState,
    Rejection, Terms, Wanted, decide, end, freeze, refunds,
};

const NOW: &str = "2026-11-21T08:00:00Z";
const LATER: &str = "2026-11-23T08:00:00Z";
const PERIOD_END: &str = "2026-12-01T00:00:00Z";

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn cny(minor_units: i64) -> Money {
    Money { currency: types::Currency::parse("CNY").unwrap(), minor_units }
}

fn sub(text: &str) -> SubscriptionId {
    SubscriptionId::parse(text).unwrap()
}

fn refund_id(text: &str) -> RefundId {
    RefundId::parse(text).unwrap()
}

fn can() -> CancellationId {
    CancellationId::parse("can_1").unwrap()
}

fn record(text: &str, billing: Billing) -> Command {
    let terms = Terms {
        plan: Plan {
            name: "Video".into(),
            tier: String::new(),
            price: Some(cny(2_500)),
            link: String::new(),
        },
        billing,
        provider: None,
        started_at: None,
        current_period_end: Some(at(PERIOD_END)),
        next_charge_at: Some(at(PERIOD_END)),
        minimum_term_end: None,
        early_termination_fee: None,
        outstanding: None,
        benefits: Vec::new(),
        alternative: None,
    };
    let (subject, terms) = (SubjectId::parse("sbj_1").unwrap(), Box::new(terms));
    Command::Record { id: sub(text), subject, terms, will_renew: true, now: at(NOW) }
}

fn given(commands: impl IntoIterator<Item = Command>) -> State {
    commands.into_iter().fold(State::default(), when)
}

fn when(state: State, command: Command) -> State {
    let events = decide(&state, command).unwrap();
    fold(state, &events)
}

fn fold(state: State, events: &[Event]) -> State {
    events.iter().fold(state, crate::domain::evolve)
}

fn one(billing: Billing) -> State {
    given([record("sub_1", billing)])
}

fn stopped(billing: Billing) -> State {
    let state = one(billing);
    if billing == Billing::Merchant {
        let events = end(&state, &Wanted::All, &can(), at(NOW));
        return fold(state, &events);
    }
    let told = ProviderState::WillNotRenew;
    when(state, Command::RecordProviderState { id: sub("sub_1"), state: told, observed_at: at(NOW) })
}

fn charge(reference: &str, charged_at: &str) -> Command {
    let charge = Charge {
        subscription: sub("sub_1"),
        reference: reference.into(),
        amount: cny(2_500),
        charged_at: at(charged_at),
    };
    let then = Consequent {
        refund: refund_id(&format!("ref_{reference}")),
        pay_by: at("2026-12-14T16:00:00Z"),
        review_until: at("2026-12-02T16:00:00Z"),
        now: at(LATER),
    };
    Command::RecordCharge { charge, then }
}

fn apply_for(refund: &str, subscription: &str) -> Command {
    Command::ApplyForRefund {
        id: refund_id(refund),
        subscription: sub(subscription),
        reason: RefundReason::Unused,
        now: at(NOW),
        review_until: at(PERIOD_END),
    }
}

fn approve(minor_units: i64, pay_by: &str) -> Decision {
    let destination = Destination::OriginalMeans;
    Decision::Approve(Approval { amount: cny(minor_units), destination, pay_by: at(pay_by) })
}

fn refuse() -> Decision {
    let (code, basis, remedy) = ("PERIOD_USED".into(), "Terms 4".into(), "Complain.".into());
    Decision::Refuse(Refusal { code, basis, remedy })
}

fn decision(decision: Decision) -> Command {
    let decided = Decided { by: "clerk 7".into(), at: at(LATER) };
    Command::DecideRefund { id: refund_id("ref_1"), decision, decided }
}

fn paid(reference: &str) -> Command {
    Command::RecordRefundPaid { id: refund_id("ref_1"), reference: reference.into(), at: at(LATER) }
}

#[test]
fn a_charge_of_what_renews_is_as_it_should_be_and_told_again_it_adds_nothing() {
    let state = when(one(Billing::Merchant), charge("a", NOW));
    assert_eq!((state.charges.len(), state.late_charges.len(), state.refunds.len()), (1, 0, 0));
    assert_eq!(decide(&state, charge("a", NOW)), Ok(vec![]));
    assert_eq!(decide(&state, charge("a", LATER)), Err(Rejection::ChargeExists("a".into())));
    let refused = decide(&State::default(), charge("a", NOW));
    assert_eq!(refused, Err(Rejection::Unknown(sub("sub_1"))));
}

#[test]
fn b12_a_charge_after_the_end_is_refunded_by_itself_where_we_bill() {
    let events = decide(&stopped(Billing::Merchant), charge("a", LATER)).unwrap();
    let [
        Event::Money(MoneyEvent::LateChargeSeen(late)),
        Event::Money(MoneyEvent::RefundApproved { id, approval, decided, .. }),
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(
        (late.refund.as_ref(), &late.cancellation, late.stopped_at),
        (Some(id), &Some(can()), at(NOW))
    );
    assert_eq!((approval.amount, approval.destination), (cny(2_500), Destination::OriginalMeans));
    assert_eq!(decided.by, AUTOMATIC);
    let state = fold(stopped(Billing::Merchant), &events);
    assert_eq!(decide(&state, charge("a", LATER)), Ok(vec![]), "seen twice, it is refunded once");
    assert_eq!(state.refunds[0].unpaid(), Some(approval));
}

#[test]
fn b12_a_charge_while_renewals_are_suspended_is_late_and_one_from_before_is_not() {
    let state = one(Billing::Merchant);
    let frozen = freeze(&state, &Wanted::All, &can(), at(NOW));
    let state = fold(state, &frozen);
    let before = when(state.clone(), charge("a", "2026-11-21T07:59:59Z"));
    assert_eq!((before.charges.len(), before.late_charges.len()), (1, 0));
    let late = when(state, charge("b", NOW));
    assert_eq!((late.late_charges[0].cancellation.as_ref(), late.refunds.len()), (Some(&can()), 1));
}

#[test]
fn b12_what_a_store_charged_late_only_the_store_pays_back_and_others_are_looked_into() {
    for store in [Billing::AppStore, Billing::GooglePlay] {
        let state = when(stopped(store), charge("a", LATER));
        assert_eq!((state.late_charges.len(), state.refunds.len()), (1, 0));
        assert_eq!(state.late_charges[0].refund, None);
    }
    for other in [Billing::WechatPay, Billing::Alipay, Billing::Stripe, Billing::Carrier, Billing::QqWallet] {
        let state = when(stopped(other), charge("a", LATER));
        let refund = &state.refunds[0];
        assert_eq!(state.late_charges[0].refund.as_ref(), Some(&refund.id));
        assert_eq!(refund.review_until(), Some(at("2026-12-02T16:00:00Z")));
        assert_eq!(refund.reason, RefundReason::LateCharge);
    }
}

#[test]
fn an_application_is_under_review_until_a_person_decides_and_there_is_one_at_a_time() {
    let state = when(one(Billing::Merchant), apply_for("ref_1", "sub_1"));
    assert_eq!(state.refunds[0].review_until(), Some(at(PERIOD_END)));
    let first = refund_id("ref_1");
    let again = decide(&state, apply_for("ref_2", "sub_1"));
    assert_eq!(again, Err(Rejection::RefundUnderReview { first }));
    let state = when(state, decision(refuse()));
    assert_eq!(state.refunds[0].review_until(), None);
    assert!(decide(&state, apply_for("ref_2", "sub_1")).is_ok(), "new facts may be told after a refusal");
    let refused = decide(&state, apply_for("ref_2", "sub_9"));
    assert_eq!(refused, Err(Rejection::Unknown(sub("sub_9"))));
    let billing = Billing::AppStore;
    let refused = decide(&one(billing), apply_for("ref_1", "sub_1"));
    assert_eq!(refused, Err(Rejection::RefundedByStore { id: sub("sub_1"), billing }));
}

#[test]
fn no_more_is_under_review_than_one_person_can_be_told_of() {
    let mut state = State::default();
    for n in 0..=crate::domain::REVIEWS_MAX {
        state = when(state, record(&format!("sub_{n}"), Billing::Merchant));
        let asked = decide(&state, apply_for(&format!("ref_{n}"), &format!("sub_{n}")));
        if n == crate::domain::REVIEWS_MAX {
            assert_eq!(asked, Err(Rejection::TooManyReviews));
        } else {
            state = fold(state, &asked.unwrap());
        }
    }
}

#[test]
fn a_decision_holds_and_the_same_again_adds_nothing() {
    let applied = when(one(Billing::Merchant), apply_for("ref_1", "sub_1"));
    let approved = when(applied.clone(), decision(approve(1_000, PERIOD_END)));
    assert_eq!(approved.refunds[0].unpaid().unwrap().amount, cny(1_000));
    // By when it is paid is counted from the first decision.
    assert_eq!(decide(&approved, decision(approve(1_000, LATER))), Ok(vec![]));
    let otherwise = Err(Rejection::RefundDecided(refund_id("ref_1")));
    assert_eq!(decide(&approved, decision(approve(2_000, PERIOD_END))), otherwise);
    assert_eq!(decide(&approved, decision(refuse())), otherwise);
    let refused = when(applied, decision(refuse()));
    assert_eq!(decide(&refused, decision(refuse())), Ok(vec![]));
    assert_eq!(decide(&refused, decision(approve(1_000, PERIOD_END))), otherwise);
    let unknown = decide(&State::default(), decision(refuse()));
    assert_eq!(unknown, Err(Rejection::UnknownRefund(refund_id("ref_1"))));
}

#[test]
fn what_is_approved_is_paid_once_and_nothing_else_is() {
    let applied = when(one(Billing::Merchant), apply_for("ref_1", "sub_1"));
    let not_approved = Err(Rejection::RefundNotApproved(refund_id("ref_1")));
    assert_eq!(decide(&applied, paid("pay-1")), not_approved);
    assert_eq!(decide(&when(applied.clone(), decision(refuse())), paid("pay-1")), not_approved);
    let state = when(when(applied, decision(approve(1_000, PERIOD_END))), paid("pay-1"));
    assert_eq!(state.refunds[0].unpaid(), None);
    assert_eq!(decide(&state, paid("pay-1")), Ok(vec![]));
    let first = "pay-1".to_owned();
    assert_eq!(decide(&state, paid("pay-2")), Err(Rejection::RefundPaid { id: refund_id("ref_1"), first }));
    assert_eq!(decide(&state, decision(approve(1_000, PERIOD_END))), Ok(vec![]));
    assert_eq!(decide(&State::default(), paid("x")), Err(Rejection::UnknownRefund(refund_id("ref_1"))));
}

#[test]
fn a_cancellation_concerns_the_refunds_of_what_it_names_also_where_that_has_ended() {
    let state = when(stopped(Billing::Merchant), charge("a", LATER));
    let chosen = |id: &str| Wanted::Chosen(vec![(id.into(), Ending::StopRenewal)]);
    assert_eq!(refunds(&state, &Wanted::All).count(), 1);
    assert_eq!(refunds(&state, &chosen("sub_1")).count(), 1);
    assert_eq!(refunds(&state, &chosen("sub_2")).count(), 0);
}

#[test]
fn b21_who_is_late_with_a_refund_is_named_and_nothing_ends_by_that() {
    let state = one(Billing::Merchant);
    let applied = MoneyEvent::RefundApplied {
        id: refund_id("ref_1"),
        subscription: sub("sub_1"),
        reason: RefundReason::Unused,
        at: at(NOW),
        review_until: at(LATER),
    };
    let state = fold(state, &[Event::Money(applied)]);
    let overdue = |state: &State, now: &str| crate::domain::refund_overdue(state, "ref_1", at(now));
    assert_eq!(overdue(&state, NOW), None);
    let late = |late, due| {
        let (id, subscription) = (refund_id("ref_1"), sub("sub_1"));
        Some(MoneyEvent::RefundOverdue { id, subscription, late, due: at(due) })
    };
    let event = overdue(&state, LATER);
    assert_eq!(event, late(Late::Review, LATER));
    let events: Vec<_> = event.into_iter().map(Event::Money).collect();
    assert_eq!(fold(state.clone(), &events), state);

    let approval =
        Approval { amount: cny(1), destination: Destination::OriginalMeans, pay_by: at(PERIOD_END) };
    let decided = Decided { by: AUTOMATIC.into(), at: at(LATER) };
    let decide_it =
        Command::DecideRefund { id: refund_id("ref_1"), decision: Decision::Approve(approval), decided };
    let state = when(state, decide_it);
    assert_eq!(overdue(&state, LATER), None);
    assert_eq!(overdue(&state, PERIOD_END), late(Late::Payment, PERIOD_END));
    let (id, reference) = (refund_id("ref_1"), "pay-1".to_owned());
    let state = when(state, Command::RecordRefundPaid { id, reference, at: at(LATER) });
    assert_eq!(overdue(&state, PERIOD_END), None);
}
