//! What is told of money that goes back, and who is waited for until it has.

use participant::{Answer, Case, Participant as _};
use testkit::conformance::{self, Scenario};
use types::{CancellationId, Currency, Edition, Scope, SubjectId};

use super::*;
use crate::{
    Subscriptions,
    domain::{
        Approval, Billing, Charge, Command, Decided, Event, MoneyEvent, Plan, RefundId, RefundReason, Status,
        SubscriptionId, Terms, decide, evolve,
    },
};

const NOW: &str = "2026-11-21T08:00:00Z";
const REVIEW_UNTIL: &str = "2026-12-02T16:00:00Z";
const PAY_BY: &str = "2026-12-14T16:00:00Z";

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn cny(minor_units: i64) -> Money {
    Money { currency: Currency::parse("CNY").unwrap(), minor_units }
}

fn sub(billing: Billing) -> SubscriptionId {
    SubscriptionId::parse(if billing == Billing::Merchant { "sub_m" } else { "sub_x" }).unwrap()
}

fn with(state: State, billing: Billing) -> State {
    let terms = Terms {
        plan: Plan { name: "Video".into(), tier: String::new(), price: None, link: String::new() },
        billing,
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
    let (subject, terms) = (SubjectId::parse("sbj_1").unwrap(), Box::new(terms));
    let command = Command::Record { id: sub(billing), subject, terms, will_renew: true, now: at(NOW) };
    let events = decide(&state, command).unwrap();
    events.iter().fold(state, evolve)
}

fn then(state: State, event: MoneyEvent) -> State {
    evolve(state, &Event::Money(event))
}

fn applied(state: State, refund: &str) -> State {
    then(
        state,
        MoneyEvent::RefundApplied {
            id: RefundId::parse(refund).unwrap(),
            subscription: sub(Billing::Merchant),
            reason: RefundReason::Unused,
            at: at(NOW),
            review_until: at(REVIEW_UNTIL),
        },
    )
}

fn approved(state: State, refund: &str, minor_units: i64, destination: Destination) -> State {
    let approval = Approval { amount: cny(minor_units), destination, pay_by: at(PAY_BY) };
    then(
        state,
        MoneyEvent::RefundApproved {
            id: RefundId::parse(refund).unwrap(),
            subscription: sub(Billing::Merchant),
            reason: RefundReason::Unused,
            approval,
            decided: Decided { by: "clerk 7".into(), at: at(NOW) },
        },
    )
}

fn paid(state: State, refund: &str) -> State {
    let id = RefundId::parse(refund).unwrap();
    let approval = *state.refund(&id).unwrap().unpaid().unwrap();
    let (subscription, reference) = (sub(Billing::Merchant), "pay-1".to_owned());
    then(state, MoneyEvent::RefundPaid { id, subscription, approval, reference, at: at(NOW) })
}

fn case() -> Case {
    Case {
        cancellation: CancellationId::parse("can_1").unwrap(),
        subject: SubjectId::parse("sbj_1").unwrap(),
        region: "CN".into(),
        edition: Edition::Domestic,
        scope: Scope::WholeAccount,
        assessed_at: at(NOW),
    }
}

fn ours() -> State {
    with(State::default(), Billing::Merchant)
}

#[test]
fn execution_ends_renewals_at_once_and_then_waits_for_the_review_and_the_payment() {
    let it = Subscriptions::default();
    let state = applied(ours(), "ref_1");
    let step = it.execute(&case(), &state, at(NOW));
    let Answer::Waiting(waiting) = step.answer else { panic!("{:?}", step.answer) };
    assert_eq!((waiting.waiting_on(), waiting.code.as_str()), (WaitingOn::Review, "REFUND_UNDER_REVIEW"));
    assert_eq!(
        (waiting.until, &waiting.item_ids[..]),
        (Some(at(REVIEW_UNTIL).to_proto()), &["ref_1".to_owned()][..])
    );
    assert!(!waiting.remedy.is_empty());
    let state = step.events.iter().fold(state, evolve);
    assert_eq!(state.subscriptions[0].status, Status::Ended);
    let again = it.resume(&case(), &state, at(NOW));
    assert_eq!((again.events, again.answer), (vec![], Answer::Waiting(waiting)));

    let state = approved(state, "ref_1", 1_000, Destination::OriginalMeans);
    let Answer::Waiting(waiting) = it.resume(&case(), &state, at(NOW)).answer else { panic!("not paid yet") };
    assert_eq!((waiting.waiting_on(), waiting.code.as_str()), (WaitingOn::Provider, "REFUND_UNPAID"));
    assert_eq!(waiting.until, Some(at(PAY_BY).to_proto()));
    let state = paid(state, "ref_1");
    let Answer::Restricted(kept) = it.resume(&case(), &state, at(NOW)).answer else { panic!("is kept") };
    assert_eq!(
        (kept[0].ground.as_str(), kept[0].source.as_str()),
        ("TRADE_RECORDS", "E-commerce Law Art. 31")
    );
    assert_eq!(kept[0].until, Some(at("2029-11-20T16:00:00Z").to_proto()), "three years after the payment");
}

#[test]
fn a_refusal_ends_the_waiting() {
    let it = Subscriptions::default();
    let state = applied(ours(), "ref_1");
    let refusal =
        domain::Refusal { code: "PERIOD_USED".into(), basis: "Terms 4".into(), remedy: "Complain.".into() };
    let decided = Decided { by: "clerk 7".into(), at: at(NOW) };
    let id = RefundId::parse("ref_1").unwrap();
    let state = then(state, MoneyEvent::RefundRefused { id, refusal, decided });
    assert_eq!(it.execute(&case(), &state, at(NOW)).answer, Answer::Done);
}

#[test]
fn the_subject_is_waited_for_first_then_the_review_and_then_what_others_end() {
    let it = Subscriptions::default();
    let state = applied(ours(), "ref_1");
    let on = |state: &State| match it.execute(&case(), state, at(NOW)).answer {
        Answer::Waiting(waiting) => waiting.waiting_on(),
        other => panic!("{other:?}"),
    };
    assert_eq!(on(&with(state.clone(), Billing::AppStore)), WaitingOn::Subject);
    assert_eq!(on(&with(state, Billing::Carrier)), WaitingOn::Review);
    assert_eq!(on(&with(ours(), Billing::Carrier)), WaitingOn::Provider);
}

#[test]
fn no_refund_holds_up_the_end_without_having_been_told_before() {
    let told = |state: &State| {
        let items = Subscriptions::default().assess(&case(), state).items;
        items.into_iter().filter(|item| item.title == "Refund").collect::<Vec<_>>()
    };
    assert_eq!(told(&ours()), []);
    let state = applied(ours(), "ref_1");
    let [review] = &told(&state)[..] else { panic!("one") };
    assert_eq!((review.kind(), review.code.as_str()), (QuoteItemKind::Effect, "REFUND_UNDER_REVIEW"));
    assert!(review.text.contains("2026-12-02"), "{}", review.text);

    let state = approved(state, "ref_1", 1_000, Destination::OriginalMeans);
    let state = approved(state, "ref_2", 500, Destination::OriginalMeans);
    let state = approved(state, "ref_3", 300, Destination::PayOut);
    let sums: Vec<_> =
        told(&state).iter().map(|it| (it.code.clone(), it.amount.as_ref().unwrap().minor_units)).collect();
    assert_eq!(sums, [("REFUND".to_owned(), 1_500), ("REFUND".to_owned(), 300)]);
    assert!(told(&state).iter().all(|it| it.kind() == QuoteItemKind::Money));
}

#[test]
fn b12_what_a_store_charged_late_comes_with_the_stores_link() {
    let state = with(State::default(), Billing::AppStore);
    let charge = Charge {
        subscription: sub(Billing::AppStore),
        reference: "a".into(),
        amount: cny(2_500),
        charged_at: at(NOW),
    };
    let (billing, stopped_at) = (Billing::AppStore, at(NOW));
    let late = LateCharge { charge, billing, stopped_at, cancellation: None, refund: None };
    let state = then(state, MoneyEvent::LateChargeSeen(Box::new(late)));
    let items = items(&state, &Wanted::All);
    let [item] = &items[..] else { panic!("{items:?}") };
    assert_eq!((item.kind(), item.code.as_str()), (QuoteItemKind::SubjectAction, "LATE_CHARGE"));
    assert_eq!((item.item_id.as_str(), item.title.as_str()), ("sub_x", "Video"));
    assert_eq!(item.link, "https://reportaproblem.apple.com");
}

#[test]
fn that_money_went_back_is_told_and_kept_as_a_record_of_its_own() {
    let it = Subscriptions::default();
    let state = paid(approved(ours(), "ref_1", 1_000, Destination::OriginalMeans), "ref_1");
    let items = it.assess(&case(), &state).items;
    let item = items.last().unwrap();
    assert_eq!((item.kind(), item.code.as_str()), (QuoteItemKind::Kept, "REFUND_RECORD_KEPT"));
    let Answer::Restricted(kept) = it.execute(&case(), &state, at(NOW)).answer else { panic!("is kept") };
    assert_eq!(item.kept.as_ref(), Some(&kept[0]));
    let later = Case { assessed_at: at("2030-01-01T00:00:00Z"), ..case() };
    assert_eq!(it.execute(&later, &state, at(NOW)).answer, Answer::Done, "its time is over");
}

#[test]
fn the_record_of_what_went_back_is_restricted_and_goes_when_its_date_comes() {
    let it = Subscriptions::default();
    let state = paid(approved(ours(), "ref_1", 1_000, Destination::OriginalMeans), "ref_1");
    let step = it.execute(&case(), &state, at(NOW));
    let Answer::Restricted(told) = &step.answer else { panic!("is kept") };
    let until = told[0].until.as_ref().and_then(Timestamp::from_proto).unwrap();
    let wished = |events: &[Event]| {
        let wishes = events.iter().flat_map(|event| it.timers(event));
        wishes.filter(|wish| wish.kind == "erase/ref_1").map(|wish| wish.due).collect::<Vec<_>>()
    };
    assert_eq!(wished(&step.events), [Some(until)]);
    let state = step.events.iter().fold(state, evolve);
    let again = it.resume(&case(), &state, at(NOW));
    assert_eq!((again.events, &again.answer), (vec![], &step.answer), "it does not begin twice");

    let before = Timestamp::from_micros(until.as_micros() - 1);
    assert_eq!(it.due(&state, "erase/ref_1", before), []);
    let erased = it.due(&state, "erase/ref_1", until);
    assert_eq!(wished(&erased), [None]);
    let state = erased.iter().fold(state, evolve);
    assert_eq!((state.refunds.len(), state.erased_refunds.len()), (0, 1));
    // What is gone is told of nowhere.
    let later = Case { assessed_at: until, ..case() };
    assert!(it.assess(&later, &state).items.iter().all(|item| item.code != "REFUND_RECORD_KEPT"));
}

#[test]
fn an_account_that_stays_closed_keeps_no_record_without_a_date_though_a_review_is_open() {
    let state = paid(approved(ours(), "ref_1", 1_000, Destination::OriginalMeans), "ref_1");
    let events = Subscriptions::default().stay_closed(&case(), &applied(state, "ref_2"), at(NOW), at(NOW));
    let restricted = events.iter().filter_map(|event| match event {
        Event::Money(MoneyEvent::RecordsRestricted { refunds, .. }) => Some(refunds.as_slice()),
        _ => None,
    });
    assert_eq!(restricted.collect::<Vec<_>>(), [[RefundId::parse("ref_1").unwrap()]]);
}

#[tokio::test]
async fn it_conforms_while_a_person_decides_on_a_refund() {
    let given = |subject: &SubjectId| {
        let recorded = domain::Subscription { subject: subject.clone(), ..ours().subscriptions[0].clone() };
        let review = MoneyEvent::RefundApplied {
            id: RefundId::parse("ref_1").unwrap(),
            subscription: sub(Billing::Merchant),
            reason: RefundReason::Unused,
            at: at(NOW),
            review_until: at(REVIEW_UNTIL),
        };
        vec![Event::Recorded(Box::new(recorded)), Event::Money(review)]
    };
    let id = || RefundId::parse("ref_1").unwrap();
    let approval =
        Approval { amount: cny(1_000), destination: Destination::OriginalMeans, pay_by: at(PAY_BY) };
    let approved = MoneyEvent::RefundApproved {
        id: id(),
        subscription: sub(Billing::Merchant),
        reason: RefundReason::Unused,
        approval,
        decided: Decided { by: "clerk 7".into(), at: at(NOW) },
    };
    let (subscription, reference) = (sub(Billing::Merchant), "pay-1".to_owned());
    let paid = MoneyEvent::RefundPaid { id: id(), subscription, approval, reference, at: at(NOW) };
    let scenario = Scenario::new(Subscriptions::default(), given)
        .at(at(NOW))
        .then([Event::Money(approved)])
        .then([Event::Money(paid)])
        .adds([
            "exeunt.subscription.v1.RenewalStopped",
            "exeunt.subscription.v1.AccessEnded",
            "exeunt.subscription.v1.RefundRecordsRestricted",
        ]);
    conformance::check(scenario).await;
}
