//! The answers, without a store.

mod cheaper;

use proto::participant::v1::{QuoteItem, QuoteItemKind, Waiting, WaitingOn};
use testkit::conformance::{self, Scenario};
use types::{CancellationId, Edition, Money, SubjectId};

use super::*;
use crate::domain::{Command, Plan, ProviderState, SubscriptionId, Terms, decide, evolve};

const NOW: &str = "2026-11-21T08:00:00Z";
const PERIOD_END: &str = "2026-12-01T00:00:00Z";
const LINK: &str = "https://apps.apple.com/account/subscriptions";
const AGAIN: &str = "https://video.example/plans";

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn record(state: State, id: &str, billing: Billing) -> State {
    let cny = |minor_units| Money { currency: types::Currency::parse("CNY").unwrap(), minor_units };
    let terms = Terms {
        plan: Plan {
            name: format!("Plan {id}"),
            tier: String::new(),
            price: Some(cny(2_500)),
            link: AGAIN.into(),
        },
        billing,
        provider: None,
        started_at: None,
        current_period_end: Some(at(PERIOD_END)),
        next_charge_at: Some(at("2026-11-21T20:00:00Z")),
        minimum_term_end: Some(at("2027-11-01T00:00:00Z")),
        early_termination_fee: Some(cny(9_900)),
        outstanding: Some(cny(100)),
        benefits: vec!["Ad-free".into(), "4K".into()],
        alternative: None,
    };
    let command = Command::Record {
        id: SubscriptionId::parse(id).unwrap(),
        subject: SubjectId::parse("sbj_1").unwrap(),
        terms: Box::new(terms),
        will_renew: true,
        now: at(NOW),
    };
    apply(state, &decide(&State::default(), command).unwrap())
}

fn apply(state: State, events: &[Event]) -> State {
    events.iter().fold(state, evolve)
}

fn observed(state: State, id: &str, told: ProviderState) -> State {
    let id = SubscriptionId::parse(id).unwrap();
    apply(state, &[Event::ProviderStateRecorded { id, state: told, observed_at: at(NOW) }])
}

fn case(scope: Scope) -> Case {
    Case {
        cancellation: CancellationId::parse("can_1").unwrap(),
        subject: SubjectId::parse("sbj_1").unwrap(),
        region: "CN".into(),
        edition: Edition::Domestic,
        scope,
        assessed_at: at(NOW),
    }
}

fn item(id: &str, action: Action) -> Item {
    Item { kind: ItemKind::Subscription, id: id.into(), action }
}

fn selected(id: &str, action: Action) -> Case {
    case(Scope::Selected(vec![item(id, action)]))
}

fn assess(case: &Case, state: &State) -> Assessed {
    let it = Subscriptions::default();
    let assessed = it.assess(case, state);
    assert_eq!(assessed, it.assess(case, state));
    assert!(assessed.blockers.is_empty(), "a subscription never blocks");
    assessed
}

fn execute(case: &Case, state: State) -> (State, Answer) {
    let step = Subscriptions::default().execute(case, &state, at(NOW));
    (apply(state, &step.events), step.answer)
}

fn resume(case: &Case, state: &State) -> (Vec<Event>, Answer) {
    let step = Subscriptions::default().resume(case, state, at(NOW));
    (step.events, step.answer)
}

fn codes(items: &[QuoteItem]) -> Vec<(&str, &str)> {
    items.iter().map(|item| (item.item_id.as_str(), item.code.as_str())).collect()
}

fn two() -> State {
    record(record(State::default(), "sub_m", Billing::Merchant), "sub_a", Billing::AppStore)
}

#[test]
fn b20_the_quote_previews_everything_that_goes_in_the_order_in_which_it_was_recorded() {
    let items = assess(&case(Scope::WholeAccount), &two()).items;
    assert_eq!(
        codes(&items),
        [
            ("sub_m", "SUBSCRIPTION_ENDS"),
            ("sub_m", "PAID_PERIOD_LAPSES"),
            ("sub_m", "BENEFITS_LAPSE"),
            ("sub_m", "EARLY_TERMINATION_FEE"),
            ("sub_m", "OUTSTANDING_AMOUNT"),
            ("sub_m", "CHARGE_MAY_STILL_HAPPEN"),
            ("sub_a", "SUBSCRIPTION_ENDS"),
            ("sub_a", "BENEFITS_LAPSE"),
            ("sub_a", "EARLY_TERMINATION_FEE"),
            ("sub_a", "OUTSTANDING_AMOUNT"),
            ("sub_a", "CHARGE_MAY_STILL_HAPPEN"),
            ("sub_a", "APP_STORE_SUBSCRIPTION"),
        ]
    );
    let amounts: Vec<_> = items[..6].iter().map(|it| it.amount.as_ref().map(|it| it.minor_units)).collect();
    assert_eq!(amounts, [None, Some(2_500), None, Some(9_900), Some(100), Some(2_500)]);
    assert!(items[2].text.contains("Ad-free, 4K"), "{}", items[2].text);
    assert!(items[5].text.contains("refunded"), "{}", items[5].text);
    assert_eq!(items[0].title, "Plan sub_m");
    let dates = |item: &QuoteItem| {
        let read = |it: Option<prost_types::Timestamp>| it.and_then(|it| Timestamp::from_proto(&it));
        (read(item.will_not_renew_at), read(item.access_ends_at))
    };
    assert_eq!(dates(&items[0]), (Some(at(NOW)), Some(at(NOW))));
    assert_eq!(dates(&items[6]), (Some(at(PERIOD_END)), Some(at(PERIOD_END))));
}

#[test]
fn b25_no_further_charge_and_the_end_of_access_are_two_dates_and_both_are_told() {
    let it = Subscriptions::default();
    let case = selected("sub_m", Action::StopRenewal);
    let ends = &assess(&case, &two()).items[0];
    let told = (ends.will_not_renew_at, ends.access_ends_at);
    assert_eq!(told, (Some(at(NOW).to_proto()), Some(at(PERIOD_END).to_proto())));
    let step = it.execute(&case, &two(), at(NOW));
    let [Event::RenewalStopped { will_not_renew_at, access_ends_at, .. }] = &step.events[..] else {
        panic!("{:?}", step.events)
    };
    assert_eq!((*will_not_renew_at, *access_ends_at), (at(NOW), at(PERIOD_END)));
    let state = apply(two(), &step.events);
    let stopped = &state.subscriptions[0];
    assert_eq!((stopped.will_not_renew_at, stopped.access_ends_at), (Some(at(NOW)), Some(at(PERIOD_END))));
}

#[test]
fn what_only_the_subject_can_end_comes_with_a_link_and_a_date() {
    let items = assess(&case(Scope::WholeAccount), &two()).items;
    let action = items.last().unwrap();
    assert_eq!(action.kind(), QuoteItemKind::SubjectAction);
    assert_eq!((action.link.as_str(), action.due_at), (LINK, Some(at(PERIOD_END).to_proto())));
    assert!(action.text.contains("does not stop the store's billing"), "{}", action.text);
    let refund = items.iter().rfind(|item| item.code == "CHARGE_MAY_STILL_HAPPEN").unwrap();
    assert!(!refund.link.is_empty());
}

#[test]
fn a_store_that_charges_no_more_is_not_said_to_charge_until_it_is_ended_there() {
    let state =
        observed(record(State::default(), "sub_a", Billing::AppStore), "sub_a", ProviderState::WillNotRenew);
    let texts: Vec<_> =
        assess(&case(Scope::WholeAccount), &state).items.into_iter().map(|it| it.text).collect();
    assert!(
        texts[0].starts_with("The App Store makes no further charge, and access stays until "),
        "{texts:?}"
    );
}

#[test]
fn other_providers_are_ended_by_hand() {
    let others = [
        Billing::WechatPay,
        Billing::Alipay,
        Billing::GooglePlay,
        Billing::Stripe,
        Billing::Carrier,
        Billing::QqWallet,
    ];
    for billing in others {
        let state = record(State::default(), "sub_p", billing);
        let items = assess(&selected("sub_p", Action::StopRenewal), &state).items;
        let last = items.last().unwrap();
        assert_eq!((last.kind(), last.code.as_str()), (QuoteItemKind::Effect, "PROVIDER_MANUAL"));
        let (_, answer) = execute(&selected("sub_p", Action::StopRenewal), state);
        let Answer::Waiting(Waiting { waiting_on, code, item_ids, .. }) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(waiting_on, i32::from(WaitingOn::Provider));
        assert_eq!((code.as_str(), item_ids), ("PROVIDER_MANUAL", vec!["sub_p".to_owned()]));
    }
}

#[test]
fn an_id_that_the_subject_does_not_have_cannot_be_asked_for() {
    let scope = Scope::Selected(vec![
        item("sub_x", Action::EndNow),
        item("sub_m", Action::Unbind),
        Item { kind: ItemKind::FacePayment, id: String::new(), action: Action::Disable },
    ]);
    let assessed = assess(&case(scope), &two());
    let found: Vec<_> =
        assessed.rejections.iter().map(|it| (it.item_id.as_str(), it.code.as_str())).collect();
    assert_eq!(found, [("sub_x", "ITEM_UNKNOWN"), ("sub_m", "ACTION_NOT_POSSIBLE")]);
    assert!(
        assessed
            .rejections
            .iter()
            .all(|it| !it.cause.is_empty() && !it.basis.is_empty() && !it.remedy.is_empty())
    );
    assert!(assessed.items.is_empty());
}

#[test]
fn what_can_be_done_is_done_at_once_while_the_rest_waits() {
    let whole = case(Scope::WholeAccount);
    let state = record(two(), "sub_w", Billing::WechatPay);
    let (state, answer) = execute(&whole, state);
    assert_eq!(state.subscriptions[0].status, Status::Ended);
    let Answer::Waiting(waiting) = answer else { panic!("{answer:?}") };
    assert_eq!(waiting.waiting_on(), WaitingOn::Subject);
    assert_eq!((waiting.link.as_str(), waiting.code.as_str()), (LINK, "APP_STORE_SUBSCRIPTION"));
    assert_eq!(waiting.until, Some(at(PERIOD_END).to_proto()));
    assert_eq!(waiting.item_ids, ["sub_a", "sub_w"]);

    // Nothing moved: nothing is added, and the answer is the same.
    assert_eq!(resume(&whole, &state), (vec![], Answer::Waiting(waiting)));

    let state = observed(state, "sub_a", ProviderState::WillNotRenew);
    assert!(matches!(resume(&whole, &state).1, Answer::Waiting(_)), "renewal off is not yet the end");
    let state = observed(state, "sub_a", ProviderState::Ended);
    let (events, answer) = resume(&whole, &state);
    let Answer::Waiting(waiting) = answer else { panic!("{answer:?}") };
    assert_eq!((waiting.waiting_on(), events), (WaitingOn::Provider, vec![]));
    let state = observed(state, "sub_w", ProviderState::Ended);
    assert_eq!(resume(&whole, &state), (vec![], Answer::Done));
}

#[test]
fn for_stopped_renewal_it_is_enough_that_the_store_will_not_renew() {
    let case = selected("sub_a", Action::StopRenewal);
    let (state, answer) = execute(&case, two());
    assert!(matches!(answer, Answer::Waiting(_)), "{answer:?}");
    assert_eq!(state.subscriptions[0].status, Status::Active, "what was not chosen goes on");
    let state = observed(state, "sub_a", ProviderState::WillNotRenew);
    assert_eq!(resume(&case, &state), (vec![], Answer::Done));
}

#[test]
fn executing_again_adds_nothing() {
    for action in [Action::StopRenewal, Action::EndNow] {
        let case = selected("sub_m", action);
        let (state, answer) = execute(&case, two());
        assert_eq!(answer, Answer::Done);
        let (again, answer) = execute(&case, state.clone());
        assert_eq!((again, answer), (state, Answer::NothingToDo));
    }
}

#[test]
fn b08_nothing_left_to_end_is_success() {
    let whole = case(Scope::WholeAccount);
    assert_eq!(execute(&whole, State::default()).1, Answer::NothingToDo);
    let (state, _) = execute(&whole, record(State::default(), "sub_m", Billing::Merchant));
    assert_eq!(assess(&whole, &state), Assessed::default());
    assert_eq!(execute(&whole, state).1, Answer::NothingToDo);
    let named = case(Scope::Named("bench".into()));
    assert_eq!(execute(&named, two()).1, Answer::NothingToDo);
}

#[test]
fn an_assessment_changes_when_the_facts_do() {
    let whole = case(Scope::WholeAccount);
    let before = assess(&whole, &two());
    assert_ne!(before, assess(&whole, &observed(two(), "sub_a", ProviderState::Ended)));
    assert_ne!(before, assess(&whole, &record(two(), "sub_n", Billing::Merchant)));
}

#[test]
fn access_that_ends_later_has_a_timer_and_loses_it_when_it_has_ended() {
    let it = Subscriptions::default();
    let case = selected("sub_m", Action::StopRenewal);
    let stopped = it.execute(&case, &two(), at(NOW));
    let timers = it.timers(&stopped.events[0]);
    let timer = TimerWish { kind: "access-ends/sub_m".into(), due: Some(at(PERIOD_END)) };
    assert_eq!(timers, [timer]);
    let state = apply(two(), &stopped.events);
    assert_eq!(it.due(&state, "access-ends/sub_m", at(NOW)), []);
    let ended = it.due(&state, "access-ends/sub_m", at(PERIOD_END));
    assert_eq!(ended.len(), 1);
    assert_eq!(it.timers(&ended[0]), [TimerWish { kind: "access-ends/sub_m".into(), due: None }]);
    assert_eq!(it.due(&state, "something-else", at(PERIOD_END)), []);
}

#[test]
fn b02_a_failure_to_take_back_names_what_did_happen_and_what_the_subject_can_do() {
    let it = Subscriptions::default();
    let whole = case(Scope::WholeAccount);
    assert_eq!(it.undo(&whole, &two(), at(NOW)), Step::nothing_to_do());
    let (state, _) = execute(&whole, two());
    let undone = it.undo(&whole, &state, at(NOW));
    let Answer::Failed(failure) = undone.answer else { panic!("says so") };
    assert_eq!((failure.code.as_str(), failure.owner.as_str()), ("MANDATE_ENDED", "subscription"));
    assert!(failure.cause.contains("sub_m") && !failure.cause.contains("sub_a"), "{}", failure.cause);
    assert_eq!(codes(&undone.remaining), [("sub_m", "MANDATE_ENDED"), ("sub_m", "SUBSCRIBE_AGAIN")]);
    let kinds: Vec<_> = undone.remaining.iter().map(QuoteItem::kind).collect();
    assert_eq!(kinds, [QuoteItemKind::Effect, QuoteItemKind::SubjectAction]);
    assert_eq!(undone.remaining[1].link, AGAIN);
    let other = Case { cancellation: CancellationId::parse("can_2").unwrap(), ..whole };
    assert_eq!(it.undo(&other, &state, at(NOW)), Step::nothing_to_do());
}

#[test]
fn what_is_suspended_says_until_when_it_can_be_resumed_and_what_nobody_could_suspend() {
    let it = Subscriptions::default();
    let whole = case(Scope::WholeAccount);
    let frozen = it.freeze(&whole, &two(), at(NOW));
    assert_eq!((&frozen.answer, frozen.undo_until), (&Answer::Done, Some(at(PERIOD_END))));
    assert!(matches!(&frozen.events[..], [Event::RenewalFrozen { .. }]), "{:?}", frozen.events);
    assert_eq!(codes(&frozen.remaining), [("sub_a", "RENEWAL_NOT_SUSPENDED")]);
    assert!(!frozen.remaining[0].link.is_empty());

    let state = apply(two(), &frozen.events);
    assert_eq!(assess(&whole, &state), assess(&whole, &two()), "being suspended changes no assessment");
    let again = it.freeze(&whole, &state, at(NOW));
    assert_eq!((again.events, again.answer), (vec![], Answer::Done));

    let undone = it.undo(&whole, &state, at(NOW));
    assert_eq!((&undone.answer, &undone.remaining[..]), (&Answer::Done, &[][..]));
    let state = apply(state, &undone.events);
    assert_eq!(it.undo(&whole, &state, at(NOW)), Step::nothing_to_do());
    assert_eq!(
        it.freeze(&selected("sub_a", Action::StopRenewal), &state, at(NOW)).answer,
        Answer::NothingToDo
    );
}

#[test]
fn b11_taking_it_back_tells_what_was_missed_and_what_is_off_elsewhere() {
    let it = Subscriptions::default();
    let whole = case(Scope::WholeAccount);
    let frozen = it.freeze(&whole, &two(), at(NOW));
    let state = apply(two(), &frozen.events);
    let state = observed(state, "sub_a", ProviderState::WillNotRenew);
    let undone = it.undo(&whole, &state, at("2026-11-22T08:00:00Z"));
    assert_eq!(undone.answer, Answer::Done);
    assert_eq!(codes(&undone.remaining), [("sub_m", "RENEWAL_OVERDUE"), ("sub_a", "RENEWAL_OFF")]);
    assert!(undone.remaining[0].text.contains("2026-11-21 20:00 UTC"), "{}", undone.remaining[0].text);
    let off = &undone.remaining[1];
    assert_eq!((off.kind(), off.link.as_str()), (QuoteItemKind::SubjectAction, LINK));
    assert_eq!(off.due_at, Some(at(PERIOD_END).to_proto()));
}

/// A subject with one subscription that we bill and one that the App Store does.
fn scenario() -> Scenario<Subscriptions> {
    let recorded = |subject: &SubjectId| {
        let whose =
            |it: &domain::Subscription| domain::Subscription { subject: subject.clone(), ..it.clone() };
        two().subscriptions.iter().map(|it| Event::Recorded(Box::new(whose(it)))).collect()
    };
    let another = record(State::default(), "sub_n", Billing::AppStore).subscriptions.remove(0);
    Scenario::new(Subscriptions::default(), recorded)
        .at(at(NOW))
        .changed_by([Event::Recorded(Box::new(another))])
}

fn told(state: ProviderState) -> Event {
    Event::ProviderStateRecorded { id: SubscriptionId::parse("sub_a").unwrap(), state, observed_at: at(NOW) }
}

const STOPPED: &str = "exeunt.subscription.v1.RenewalStopped";
const ENDED: &str = "exeunt.subscription.v1.AccessEnded";

#[tokio::test]
async fn it_conforms_when_the_account_closes() {
    conformance::check(scenario().then([told(ProviderState::Ended)]).adds([STOPPED, ENDED])).await;
}

#[tokio::test]
async fn it_conforms_when_renewal_stops() {
    let items = ["sub_m", "sub_a"].map(|id| item(id, Action::StopRenewal));
    // Of chosen items only their own changes count.
    let scenario = scenario().changed_by([told(ProviderState::Ended)]).ending(Scope::Selected(items.into()));
    conformance::check(scenario.then([told(ProviderState::WillNotRenew)]).adds([STOPPED])).await;
}

#[test]
fn the_fullest_account_still_fits_into_one_event() {
    let mut state = State::default();
    let full = (0..500).any(|n| {
        let mut it =
            record(State::default(), &format!("sub_{n:060}"), Billing::AppStore).subscriptions.remove(0);
        it.terms.plan.name = if n % 2 == 0 { "名".repeat(100) } else { "N".into() };
        it.terms.benefits = vec!["益".repeat(100); n % 3];
        let (id, subject, terms) = (it.id, it.subject, Box::new(it.terms));
        let command = Command::Record { id, subject, terms, will_renew: true, now: at(NOW) };
        match decide(&state, command) {
            Ok(events) => state = apply(std::mem::take(&mut state), &events),
            Err(_) => return true,
        }
        false
    });
    assert!(full);
    let items = assess(&case(Scope::WholeAccount), &state).items;
    let bytes: usize = items.iter().map(|item| prost::Message::encoded_len(item) + 8).sum();
    assert!((100_000..240_000).contains(&bytes), "{bytes} bytes");
}

#[test]
fn a_pause_is_offered_only_where_the_law_allows_it_and_changes_nothing_of_the_exit() {
    let offered = |case: &Case| {
        let items = Subscriptions::default().assess(case, &two()).items;
        let offers = items.into_iter().filter(|item| item.code == "PAUSE_POSSIBLE");
        offers.map(|item| item.item_id).collect::<Vec<_>>()
    };
    let both = ["sub_m", "sub_a"].map(|id| item(id, Action::StopRenewal));
    let chosen = case(Scope::Selected(both.into()));
    assert_eq!(offered(&chosen), ["sub_m"], "nobody else's billing can be paused");
    assert_eq!(offered(&case(Scope::WholeAccount)), [""; 0]);
    assert_eq!(offered(&Case { scope: Scope::Named("termination".into()), ..chosen.clone() }), [""; 0]);
    let pause = domain::Pause { since: at(NOW), until: at(PERIOD_END) };
    let paused = apply(two(), &[Event::Paused { id: SubscriptionId::parse("sub_m").unwrap(), pause }]);
    assert_eq!(assess(&chosen, &paused), assess(&chosen, &two()));
    assert_eq!(execute(&chosen, paused).1, execute(&chosen, two()).1);
}
