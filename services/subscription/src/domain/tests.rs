//! Given what happened, when something is asked, then what follows.

mod cheaper;

use super::*;

const START: &str = "2026-11-01T00:00:00Z";
const NOW: &str = "2026-11-21T08:00:00Z";
const PERIOD_END: &str = "2026-12-01T00:00:00Z";
const LATER: &str = "2026-12-05T00:00:00Z";

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn cny(minor_units: i64) -> Money {
    Money { currency: types::Currency::parse("CNY").unwrap(), minor_units }
}

fn id(text: &str) -> SubscriptionId {
    SubscriptionId::parse(text).unwrap()
}

fn terms(billing: Billing) -> Terms {
    Terms {
        plan: Plan {
            name: "Video".into(),
            tier: "Gold".into(),
            price: Some(cny(2_500)),
            link: "https://video.example".into(),
        },
        billing,
        provider: None,
        started_at: Some(at(START)),
        current_period_end: Some(at(PERIOD_END)),
        next_charge_at: Some(at(PERIOD_END)),
        minimum_term_end: None,
        early_termination_fee: None,
        outstanding: None,
        benefits: Vec::new(),
        alternative: None,
    }
}

fn record(text: &str, terms: Terms, will_renew: bool) -> Command {
    let subject = SubjectId::parse("sbj_1").unwrap();
    Command::Record { id: id(text), subject, terms: Box::new(terms), will_renew, now: at(NOW) }
}

fn observe(text: &str, state: ProviderState, observed_at: &str) -> Command {
    Command::RecordProviderState { id: id(text), state, observed_at: at(observed_at) }
}

fn given(commands: impl IntoIterator<Item = Command>) -> State {
    commands.into_iter().fold(State::default(), |state, command| {
        let events = decide(&state, command).unwrap();
        events.iter().fold(state, evolve)
    })
}

fn one(billing: Billing) -> State {
    given([record("sub_1", terms(billing), true)])
}

fn ended(state: State, wanted: &Wanted, now: &str) -> (State, Vec<Event>) {
    let cancellation = CancellationId::parse("can_1").unwrap();
    let events = end(&state, wanted, &cancellation, at(now));
    (events.iter().fold(state, evolve), events)
}

fn chosen(text: &str, ending: Ending) -> Wanted {
    Wanted::Chosen(vec![(text.into(), ending)])
}

fn dates(state: &State) -> (Status, Option<Timestamp>, Option<Timestamp>) {
    let it = &state.subscriptions[0];
    (it.status, it.will_not_renew_at, it.access_ends_at)
}

#[test]
fn a_subscription_that_renews_is_active_and_one_that_does_not_says_when_access_ends() {
    assert_eq!(dates(&one(Billing::Merchant)), (Status::Active, None, None));
    let state = given([record("sub_1", terms(Billing::Merchant), false)]);
    assert_eq!(dates(&state), (Status::WillNotRenew, Some(at(NOW)), Some(at(PERIOD_END))));
}

#[test]
fn an_account_takes_no_more_subscriptions_than_one_quote_can_tell_of() {
    let mut state = State::default();
    let refused = (0..200).find_map(|n| {
        match decide(&state, record(&format!("sub_{n}"), terms(Billing::Merchant), true)) {
            Ok(events) => {
                state = events.iter().fold(std::mem::take(&mut state), evolve);
                None
            }
            Err(rejection) => Some(rejection),
        }
    });
    assert_eq!(refused, Some(Rejection::TooMany));
    // What has ended makes room.
    let (state, _) = ended(state, &Wanted::All, NOW);
    assert!(decide(&state, record("sub_new", terms(Billing::Merchant), true)).is_ok());
}

#[test]
fn what_the_provider_says_moves_the_subscription() {
    let state = given([
        record("sub_1", terms(Billing::AppStore), true),
        observe("sub_1", ProviderState::WillNotRenew, NOW),
    ]);
    assert_eq!(dates(&state), (Status::WillNotRenew, Some(at(NOW)), Some(at(PERIOD_END))));
    let events = decide(&state, observe("sub_1", ProviderState::Ended, LATER)).unwrap();
    let state = events.iter().fold(state, evolve);
    assert_eq!(dates(&state), (Status::Ended, Some(at(NOW)), Some(at(LATER))));
}

#[test]
fn a_subscription_that_renews_again_is_active_again() {
    let state = given([
        record("sub_1", terms(Billing::AppStore), true),
        observe("sub_1", ProviderState::WillNotRenew, NOW),
        observe("sub_1", ProviderState::Active, LATER),
    ]);
    assert_eq!(dates(&state), (Status::Active, None, None));
}

#[test]
fn an_observation_older_than_the_last_is_refused() {
    let state = given([
        record("sub_1", terms(Billing::AppStore), true),
        observe("sub_1", ProviderState::WillNotRenew, LATER),
    ]);
    let refused = decide(&state, observe("sub_1", ProviderState::Active, NOW));
    assert_eq!(refused, Err(Rejection::ObservationOutdated { last: at(LATER) }));
    assert_eq!(decide(&state, observe("sub_1", ProviderState::WillNotRenew, LATER)), Ok(vec![]));
}

#[test]
fn the_end_is_final_and_telling_it_again_adds_nothing() {
    let state =
        given([record("sub_1", terms(Billing::AppStore), true), observe("sub_1", ProviderState::Ended, NOW)]);
    assert_eq!(decide(&state, observe("sub_1", ProviderState::Ended, LATER)), Ok(vec![]));
    let refused = decide(&state, observe("sub_1", ProviderState::Active, LATER));
    assert_eq!(refused, Err(Rejection::Ended(id("sub_1"))));
}

#[test]
fn no_provider_has_a_state_of_what_the_merchant_bills() {
    let refused = decide(&one(Billing::Merchant), observe("sub_1", ProviderState::Ended, NOW));
    assert_eq!(refused, Err(Rejection::NotProviderBilled(id("sub_1"))));
    let refused = decide(&State::default(), observe("sub_1", ProviderState::Ended, NOW));
    assert_eq!(refused, Err(Rejection::Unknown(id("sub_1"))));
}

#[test]
fn the_whole_account_ends_the_mandate_and_access_at_once_and_only_once() {
    let (state, events) = ended(one(Billing::Merchant), &Wanted::All, NOW);
    let [Event::RenewalStopped { access_ends_at, .. }, Event::AccessEnded { at: ended_at, .. }] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((*access_ends_at, *ended_at), (at(NOW), at(NOW)));
    assert_eq!(dates(&state), (Status::Ended, Some(at(NOW)), Some(at(NOW))));
    assert_eq!(ended(state, &Wanted::All, LATER).1, []);
}

#[test]
fn stopping_renewal_leaves_access_until_the_period_ends_and_no_longer() {
    let wanted = chosen("sub_1", Ending::StopRenewal);
    let (state, events) = ended(one(Billing::Merchant), &wanted, NOW);
    assert!(matches!(&events[..], [Event::RenewalStopped { .. }]), "{events:?}");
    assert_eq!(dates(&state), (Status::WillNotRenew, Some(at(NOW)), Some(at(PERIOD_END))));
    assert_eq!(ended(state.clone(), &wanted, NOW).1, []);

    assert_eq!(access_due(&state, "sub_1", at(NOW)), None);
    let event = access_due(&state, "sub_1", at(LATER)).unwrap();
    assert_eq!(event, Event::AccessEnded { id: id("sub_1"), at: at(PERIOD_END), cancellation: None });
    let state = evolve(state, &event);
    assert_eq!(dates(&state), (Status::Ended, Some(at(NOW)), Some(at(PERIOD_END))));
    assert_eq!(access_due(&state, "sub_1", at(LATER)), None);
}

#[test]
fn stopping_renewal_ends_access_at_once_where_no_paid_period_is_left() {
    let wanted = chosen("sub_1", Ending::StopRenewal);
    let (state, events) = ended(one(Billing::Merchant), &wanted, LATER);
    assert_eq!(events.len(), 2);
    assert_eq!(dates(&state), (Status::Ended, Some(at(LATER)), Some(at(LATER))));
    let without = Terms { current_period_end: None, next_charge_at: None, ..terms(Billing::Merchant) };
    let (state, _) = ended(given([record("sub_1", without, true)]), &wanted, NOW);
    assert_eq!(dates(&state), (Status::Ended, Some(at(NOW)), Some(at(NOW))));
}

#[test]
fn what_renews_no_more_only_loses_access_when_it_shall_end_now() {
    let state = given([record("sub_1", terms(Billing::Merchant), false)]);
    let (_, events) = ended(state, &chosen("sub_1", Ending::Now), NOW);
    let cancellation = CancellationId::parse("can_1").ok();
    assert_eq!(events, [Event::AccessEnded { id: id("sub_1"), at: at(NOW), cancellation }]);
}

#[test]
fn only_what_is_chosen_ends_and_the_harder_way_when_chosen_twice() {
    let state = given([
        record("sub_1", terms(Billing::Merchant), true),
        record("sub_2", terms(Billing::Merchant), true),
    ]);
    let wanted = Wanted::Chosen(vec![("sub_2".into(), Ending::Now), ("sub_2".into(), Ending::StopRenewal)]);
    let (state, events) = ended(state, &wanted, NOW);
    assert_eq!(events.len(), 2);
    assert_eq!(
        (state.subscriptions[0].status, state.subscriptions[1].status),
        (Status::Active, Status::Ended)
    );
}

#[test]
fn an_id_that_the_subject_does_not_have_is_unknown() {
    let wanted = Wanted::Chosen(vec![("sub_1".into(), Ending::Now), ("sub 9".into(), Ending::Now)]);
    assert_eq!(wanted.unknown(&one(Billing::Merchant)), ["sub 9"]);
    assert!(Wanted::All.unknown(&State::default()).is_empty());
}

#[test]
fn b13_what_others_bill_is_waited_for_until_they_say_that_it_has_ended() {
    let names = |state: &State, wanted: &Wanted| waiting(state, wanted).len();
    for billing in [Billing::AppStore, Billing::WechatPay, Billing::Carrier] {
        let state = one(billing);
        assert_eq!(ended(state.clone(), &Wanted::All, NOW).1, []);
        assert_eq!(names(&state, &Wanted::All), 1);
        let off = evolve(state, &observed(ProviderState::WillNotRenew));
        assert_eq!(names(&off, &Wanted::All), 1);
        assert_eq!(names(&off, &chosen("sub_1", Ending::StopRenewal)), 0);
        assert_eq!(names(&evolve(off, &observed(ProviderState::Ended)), &Wanted::All), 0);
    }
    assert_eq!(names(&one(Billing::Merchant), &Wanted::All), 0);
}

fn observed(state: ProviderState) -> Event {
    Event::ProviderStateRecorded { id: id("sub_1"), state, observed_at: at(NOW) }
}

fn follows(terms: Terms, ending: Ending, now: &str) -> Vec<Consequence> {
    let state = given([record("sub_1", terms, true)]);
    consequences(&state.subscriptions[0], ending, at(now))
}

fn ends(will_not_renew_at: &str, access_ends_at: &str) -> Consequence {
    Consequence::Ends {
        will_not_renew_at: Some(at(will_not_renew_at)),
        access_ends_at: Some(at(access_ends_at)),
    }
}

#[test]
fn ending_now_cuts_the_paid_period_short_and_stopping_renewal_does_not() {
    let lapses = Consequence::PaidPeriodLapses { paid: cny(2_500), until: at(PERIOD_END) };
    assert_eq!(follows(terms(Billing::Merchant), Ending::Now, NOW), [ends(NOW, NOW), lapses]);
    assert_eq!(follows(terms(Billing::Merchant), Ending::StopRenewal, NOW), [ends(NOW, PERIOD_END)]);
    assert_eq!(follows(terms(Billing::Merchant), Ending::StopRenewal, LATER), [ends(LATER, LATER)]);
    let mut free = terms(Billing::Merchant);
    free.plan.price = Some(cny(0));
    assert_eq!(follows(free, Ending::Now, NOW), [ends(NOW, NOW)]);
}

#[test]
fn the_app_store_ends_with_the_period_and_only_the_subject_can_end_it() {
    let act = Consequence::SubjectMustEnd { due_at: Some(at("2026-11-30T00:00:00Z")) };
    assert_eq!(follows(terms(Billing::AppStore), Ending::Now, NOW), [ends(PERIOD_END, PERIOD_END), act]);
    let unknown = Consequence::Ends { will_not_renew_at: None, access_ends_at: None };
    let act = Consequence::SubjectMustEnd { due_at: None };
    assert_eq!(follows(terms(Billing::AppStore), Ending::Now, LATER), [unknown, act]);
    let manual = follows(terms(Billing::Alipay), Ending::StopRenewal, NOW);
    assert_eq!(manual, [ends(PERIOD_END, PERIOD_END), Consequence::EndedByHand]);
}

#[test]
fn what_is_settled_asks_nobody_to_act() {
    let state = evolve(one(Billing::AppStore), &observed(ProviderState::WillNotRenew));
    let found = consequences(&state.subscriptions[0], Ending::StopRenewal, at(NOW));
    assert_eq!(found, [ends(NOW, PERIOD_END)]);
}

#[test]
fn fees_debts_and_benefits_are_told() {
    let rich = Terms {
        minimum_term_end: Some(at("2027-11-01T00:00:00Z")),
        early_termination_fee: Some(cny(9_900)),
        outstanding: Some(cny(100)),
        benefits: vec!["Ad-free".into()],
        alternative: None,
        ..terms(Billing::Merchant)
    };
    let fee = Consequence::EarlyTerminationFee { fee: cny(9_900), term_end: at("2027-11-01T00:00:00Z") };
    let expected =
        [ends(NOW, PERIOD_END), Consequence::BenefitsLapse, fee, Consequence::Outstanding(cny(100))];
    assert_eq!(follows(rich.clone(), Ending::StopRenewal, NOW), expected);
    // Access that lasts as long as the minimum term costs no fee.
    let over = Terms { minimum_term_end: Some(at(PERIOD_END)), ..rich };
    let fee = |found: Vec<Consequence>| {
        found.iter().any(|it| matches!(it, Consequence::EarlyTerminationFee { .. }))
    };
    assert!(!fee(follows(over.clone(), Ending::StopRenewal, NOW)));
    assert!(fee(follows(over, Ending::Now, NOW)));
}

#[test]
fn the_deadline_is_a_day_before_the_next_charge() {
    let state = one(Billing::AppStore);
    let it = &state.subscriptions[0];
    assert_eq!(it.deadline(at(NOW)), Some(at("2026-11-30T00:00:00Z")));
    assert_eq!(it.deadline(at("2026-11-30T00:00:00Z")), None);
}

#[test]
fn a_charge_within_a_day_may_still_happen() {
    let may = |now| {
        follows(terms(Billing::Merchant), Ending::Now, now)
            .contains(&Consequence::ChargeMayStillHappen { at: at(PERIOD_END) })
    };
    assert!(!may("2026-11-29T23:59:59Z"));
    assert!(may("2026-11-30T00:00:00Z"));
    assert!(may(PERIOD_END));
    assert!(!may(LATER));
}

fn can(text: &str) -> CancellationId {
    CancellationId::parse(text).unwrap()
}

fn frozen_by(text: &str, state: State, wanted: &Wanted, now: &str) -> State {
    freeze(&state, wanted, &can(text), at(now)).iter().fold(state, evolve)
}

fn renewal(period_end: &str, now: &str) -> Command {
    let (period_end, next_charge_at) = (at(period_end), Some(at(period_end)));
    Command::Renew { id: id("sub_1"), period_end, next_charge_at, now: at(now) }
}

const NEXT_PERIOD_END: &str = "2027-01-01T00:00:00Z";

#[test]
fn a_renewal_that_falls_due_while_it_is_suspended_is_not_charged_and_is_once_it_is_resumed() {
    let state = frozen_by("can_1", one(Billing::Merchant), &Wanted::All, NOW);
    let refused = decide(&state, renewal(NEXT_PERIOD_END, PERIOD_END));
    assert_eq!(refused, Err(Rejection::RenewalFrozen { id: id("sub_1"), by: can("can_1") }));
    let due = |now| {
        let by = can("can_1");
        overdue(&state, &by, at(now)).map(|(it, due)| (it.id.clone(), due)).collect::<Vec<_>>()
    };
    assert_eq!(due(LATER), [(id("sub_1"), at(PERIOD_END))]);
    assert_eq!(due(NOW), []);

    let state = thaw(&state, &can("can_1"), at(LATER)).iter().fold(state, evolve);
    let events = decide(&state, renewal(NEXT_PERIOD_END, LATER)).unwrap();
    let state = events.iter().fold(state, evolve);
    let terms = &state.subscriptions[0].terms;
    let next = Some(at(NEXT_PERIOD_END));
    assert_eq!((terms.current_period_end, terms.next_charge_at), (next, next));
}

#[test]
fn renewals_are_suspended_as_long_as_one_cancellation_suspends_them() {
    let one = frozen_by("can_1", one(Billing::Merchant), &Wanted::All, NOW);
    assert_eq!(freeze(&one, &Wanted::All, &can("can_1"), at(LATER)), [], "suspending again adds nothing");
    let both = frozen_by("can_2", one, &chosen("sub_1", Ending::StopRenewal), NOW);
    let left = thaw(&both, &can("can_1"), at(NOW)).iter().fold(both, evolve);
    let refused = decide(&left, renewal(NEXT_PERIOD_END, NOW));
    assert_eq!(refused, Err(Rejection::RenewalFrozen { id: id("sub_1"), by: can("can_2") }));
    assert_eq!(thaw(&left, &can("can_1"), at(NOW)), []);
    let none = thaw(&left, &can("can_2"), at(NOW)).iter().fold(left, evolve);
    assert!(decide(&none, renewal(NEXT_PERIOD_END, NOW)).is_ok());
}

#[test]
fn only_what_we_bill_and_will_be_charged_for_can_be_suspended() {
    let state = given([
        record("sub_1", terms(Billing::Merchant), true),
        record("sub_2", terms(Billing::AppStore), true),
        record("sub_3", terms(Billing::Carrier), true),
        record("sub_4", terms(Billing::Merchant), false),
    ]);
    let names = |all: Vec<&Subscription>| all.into_iter().map(|it| it.id.to_string()).collect::<Vec<_>>();
    assert_eq!(names(not_suspended(&state, &Wanted::All)), ["sub_2", "sub_3"]);
    let state = frozen_by("can_1", state, &Wanted::All, NOW);
    assert_eq!(names(frozen(&state, &can("can_1")).collect()), ["sub_1"]);
}

#[test]
fn what_is_suspended_is_resumed_without_loss_until_a_paid_period_ends() {
    let early = Terms { current_period_end: Some(at(LATER)), ..terms(Billing::Merchant) };
    let free = Terms { current_period_end: None, next_charge_at: None, ..terms(Billing::Merchant) };
    let state = given([
        record("sub_1", early, true),
        record("sub_2", terms(Billing::Merchant), true),
        record("sub_3", free, true),
    ]);
    let until = |state: &State, now| resumable_until(state, &can("can_1"), at(now));
    assert_eq!(until(&state, NOW), None, "nothing is suspended");
    let state = frozen_by("can_1", state, &Wanted::All, NOW);
    assert_eq!(until(&state, NOW), Some(at(PERIOD_END)));
    assert_eq!(until(&state, PERIOD_END), Some(at(LATER)));
    assert_eq!(until(&state, LATER), None);
}

#[test]
fn what_is_suspended_ends_like_what_is_not() {
    let plain = ended(one(Billing::Merchant), &Wanted::All, NOW);
    let frozen = frozen_by("can_1", one(Billing::Merchant), &Wanted::All, NOW);
    assert_eq!(ended(frozen.clone(), &Wanted::All, NOW), plain);
    let all = |state: &State| consequences(&state.subscriptions[0], Ending::Now, at(NOW));
    assert_eq!(all(&frozen), all(&one(Billing::Merchant)));
}

#[test]
fn a_period_is_charged_for_once_and_never_after_renewal_is_stopped() {
    let state = one(Billing::Merchant);
    let paid = Rejection::PeriodPaid { id: id("sub_1"), until: at(PERIOD_END) };
    assert_eq!(decide(&state, renewal(PERIOD_END, NOW)), Err(paid));
    let (stopped, _) = ended(state.clone(), &chosen("sub_1", Ending::StopRenewal), NOW);
    let refused = decide(&stopped, renewal(NEXT_PERIOD_END, NOW));
    assert_eq!(refused, Err(Rejection::RenewalStopped(id("sub_1"))));
    let (over, _) = ended(state, &Wanted::All, NOW);
    assert_eq!(decide(&over, renewal(NEXT_PERIOD_END, NOW)), Err(Rejection::Ended(id("sub_1"))));
    let refused = decide(&one(Billing::Stripe), renewal(NEXT_PERIOD_END, NOW));
    assert_eq!(refused, Err(Rejection::NotMerchantBilled(id("sub_1"))));
    let refused = decide(&State::default(), renewal(NEXT_PERIOD_END, NOW));
    assert_eq!(refused, Err(Rejection::Unknown(id("sub_1"))));
}

#[test]
fn what_is_paused_is_not_charged_until_the_pause_is_over_and_can_be_left_all_the_same() {
    let pause = |until| Command::Pause { id: id("sub_1"), until: at(until), now: at(NOW) };
    let state = given([record("sub_1", terms(Billing::Merchant), true), pause(LATER)]);
    assert_eq!(decide(&state, pause(LATER)), Ok(vec![]));
    let refused = decide(&state, renewal(NEXT_PERIOD_END, PERIOD_END));
    assert_eq!(refused, Err(Rejection::Paused { id: id("sub_1"), until: at(LATER) }));
    assert!(decide(&state, renewal(NEXT_PERIOD_END, LATER)).is_ok());
    assert_eq!(ended(state.clone(), &Wanted::All, NOW).1, ended(one(Billing::Merchant), &Wanted::All, NOW).1);
    let on = decide(&state, pause(NOW)).unwrap().iter().fold(state, evolve);
    assert!(decide(&on, renewal(NEXT_PERIOD_END, NOW)).is_ok(), "the subject goes on before");
    assert_eq!(decide(&on, pause(NOW)), Ok(vec![]));
    let refused = decide(&one(Billing::Carrier), pause(LATER));
    assert_eq!(refused, Err(Rejection::NotMerchantBilled(id("sub_1"))));
}
