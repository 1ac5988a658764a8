//! What is held does not go, whoever wants it, and goes with the end of the hold.

use proptest::prelude::*;

use super::*;

fn hold_id(text: &str) -> HoldId {
    HoldId::parse(text).unwrap()
}

fn hold(id: &str, reach: Reach, expires_at: Option<Timestamp>) -> NewHold {
    NewHold {
        id: hold_id(id),
        subject: SubjectId::parse("sbj_1").unwrap(),
        reach,
        ground: "LITIGATION".into(),
        authority: "District Court, 2026-4711".into(),
        expires_at,
        actor: "legal".into(),
        placed_at: at(1),
    }
}

fn placed(id: &str, reach: Reach) -> Event {
    Event::HoldPlaced(hold(id, reach, None))
}

fn over(data_sets: &[&str]) -> Reach {
    Reach { data_sets: data_sets.iter().map(|id| id_of(id)).collect(), ..Reach::default() }
}

fn release(second: i64) -> Release {
    Release { reason: "settled".into(), actor: "legal".into(), at: at(second) }
}

fn released(state: &State, id: &str, second: i64) -> Vec<Event> {
    let (id, release, open) = (hold_id(id), release(second), OpenCases::new());
    decide(state, Command::ReleaseHold { id, release, open }).unwrap()
}

fn suspended(id: &str, anonymise: bool) -> Event {
    let suspension = Suspension { cancellation: cancellation(), anonymise, basis: law(), since: at(10) };
    Event::Suspended { id: id_of(id), suspension }
}

fn apply(state: State, events: &[Event]) -> State {
    events.iter().fold(state, evolve)
}

#[test]
fn b17_what_is_held_waits_while_the_rest_goes() {
    let state = given([recorded("a"), recorded("b"), recorded("c"), placed("hld_1", over(&["a", "b"]))]);
    let all = vec![
        treated("a", Treatment::Erase),
        treated("b", Treatment::Anonymise),
        treated("c", Treatment::Erase),
    ];
    let events = treat(&state, &cancellation(), all.clone(), at(10));
    assert_eq!(events, [suspended("a", false), suspended("b", true), erased("c")]);
    let state = apply(state, &events);
    assert_eq!(treat(&state, &cancellation(), all, at(11)), [], "doing it twice adds nothing");
}

#[test]
fn b17_the_release_erases_what_it_alone_kept_as_it_was_demanded() {
    let state = given([
        recorded("a"),
        recorded("b"),
        recorded("c"),
        placed("hld_1", Reach::default()),
        placed("hld_2", over(&["c"])),
        suspended("a", false),
        suspended("b", true),
        suspended("c", false),
    ]);
    let events = released(&state, "hld_1", 20);
    let gone = Gone { basis: law(), since: at(20), due: None };
    let expected = [
        Event::HoldReleased { id: hold_id("hld_1"), release: release(20) },
        Event::Erased { id: id_of("a"), cancellation: cancellation(), gone: gone.clone() },
        Event::Anonymised { id: id_of("b"), cancellation: cancellation(), gone },
    ];
    assert_eq!(events, expected);
    let state = apply(state, &events);
    assert_eq!(released(&state, "hld_1", 21), [], "it has ended");
    assert_eq!(released(&state, "hld_2", 30).len(), 2);
}

#[test]
fn b17_a_date_that_comes_under_a_hold_has_its_effect_when_the_hold_ends() {
    let a = id_of("a");
    let state = given([recorded("a"), restricted("a", Some(at(90))), placed("hld_1", Reach::default())]);
    assert_eq!(expire(&state, &a, &OpenCases::new(), at(90)), None);
    assert_eq!(released(&state, "hld_1", 80).len(), 1, "its date has not come");
    let events = released(&state, "hld_1", 95);
    assert!(
        matches!(&events[1..], [Event::Erased { gone, .. }] if (gone.since, gone.due) == (at(95), Some(at(90)))),
        "{events:?}"
    );
}

#[test]
fn b17_a_hold_that_expires_does_what_its_release_would_have_done() {
    let until = hold("hld_1", Reach::default(), Some(at(50)));
    let state = given([recorded("a"), Event::HoldPlaced(until), suspended("a", false)]);
    let (id, none) = (hold_id("hld_1"), OpenCases::new());
    assert_eq!(expire_hold(&state, &id, &none, at(49)), []);
    let events = expire_hold(&state, &id, &none, at(50));
    assert!(matches!(&events[..], [Event::HoldExpired { .. }, Event::Erased { .. }]), "{events:?}");
    assert_eq!(expire_hold(&apply(state, &events), &id, &none, at(51)), []);
    let endless = given([placed("hld_1", Reach::default())]);
    assert_eq!(expire_hold(&endless, &id, &none, at(1_000)), []);
}

#[test]
fn a_hold_reaches_over_what_it_names_also_when_that_comes_later() {
    let of_profiles = Reach { categories: vec![Category::Profile], ..Reach::default() };
    let all = [
        placed("hld_all", Reach::default()),
        placed("hld_profiles", of_profiles),
        recorded("a"),
        placed("hld_a", over(&["a"])),
    ];
    let state = given(all);
    let over: Vec<_> = state.holds_over(&state.data_sets[0]).map(|hold| hold.id.to_string()).collect();
    assert_eq!(over, ["hld_all", "hld_a"]);
    let profile = NewDataSet { category: Category::Profile, ..new("p") };
    let state = evolve(state, &Event::Recorded(profile));
    let over: Vec<_> = state.holds_over(&state.data_sets[1]).map(|hold| hold.id.to_string()).collect();
    assert_eq!(over, ["hld_all", "hld_profiles"]);
}

#[test]
fn it_is_known_when_nothing_is_held_any_more_unless_a_hold_has_no_end() {
    let until = |id: &str, second| Event::HoldPlaced(hold(id, Reach::default(), Some(at(second))));
    let state = given([recorded("a"), until("hld_1", 50), until("hld_2", 70)]);
    assert_eq!(free_at(&state, &state.data_sets), Some(at(70)));
    let state = evolve(state, &placed("hld_3", over(&["a"])));
    assert_eq!(free_at(&state, &state.data_sets), None);
}

#[test]
fn a_hold_is_placed_once_and_not_on_what_is_gone_nor_on_what_is_over() {
    let state = given([recorded("a"), recorded("b"), erased("b")]);
    let place = |state: &State, new| decide(state, Command::PlaceHold(new));
    let new = hold("hld_1", over(&["a"]), Some(at(50)));
    assert_eq!(place(&state, new.clone()), Ok(vec![Event::HoldPlaced(new.clone())]));
    let again = evolve(state.clone(), &Event::HoldPlaced(new.clone()));
    assert_eq!(place(&again, new), Ok(vec![]));
    let gone = Rejection::NothingToHold(vec![id_of("b"), id_of("x")]);
    assert_eq!(place(&state, hold("hld_1", over(&["a", "b", "x"]), None)), Err(gone));
    assert_eq!(place(&state, hold("hld_1", Reach::default(), Some(at(1)))), Err(Rejection::HoldOver));

    let full = (0..HOLDS_MAX)
        .fold(state, |state, number| evolve(state, &placed(&format!("hld_{number}"), Reach::default())));
    assert_eq!(place(&full, hold("hld_x", Reach::default(), None)), Err(Rejection::TooManyHolds));
    let ended = evolve(full, &Event::HoldExpired { id: hold_id("hld_7"), at: at(5) });
    assert!(place(&ended, hold("hld_x", Reach::default(), None)).is_ok());
}

#[test]
fn what_a_revoked_cancellation_could_not_have_stays() {
    let state = given([recorded("a"), placed("hld_1", Reach::default()), suspended("a", false)]);
    let dropped = drop_suspended(&state, &cancellation(), at(15));
    assert_eq!(dropped, [Event::Dropped { cancellation: cancellation(), at: at(15) }]);
    let state = apply(state, &dropped);
    assert_eq!(drop_suspended(&state, &cancellation(), at(16)), []);
    assert_eq!(released(&state, "hld_1", 20).len(), 1, "nothing is erased");
}

fn evidence() -> (State, OpenCases) {
    let of = CancellationId::parse("can_2").unwrap();
    let new = NewDataSet { evidence_of: Some(of.clone()), ..new("a") };
    (given([Event::Recorded(new), recorded("b"), restricted("a", Some(at(90)))]), OpenCases::from([of]))
}

#[test]
fn b18_evidence_of_an_open_cancellation_outlasts_its_date() {
    let (state, open) = evidence();
    let deferred = expire(&state, &id_of("a"), &open, at(90));
    let Some(Event::Deferred { cancellation, until, .. }) = &deferred else { panic!("{deferred:?}") };
    assert_eq!((cancellation.as_str(), *until), ("can_2", at(90 + 86_400)));
    let other = OpenCases::from([cancellation_id("can_3")]);
    assert!(matches!(expire(&state, &id_of("a"), &other, at(90)), Some(Event::Erased { .. })));
}

#[test]
fn b18_evidence_goes_when_its_cancellation_has_ended_if_its_date_has_come() {
    let (state, _) = evidence();
    assert_eq!(let_evidence_go(&state, &cancellation_id("can_2"), at(89)), []);
    assert_eq!(let_evidence_go(&state, &cancellation_id("can_3"), at(91)), []);
    let gone = let_evidence_go(&state, &cancellation_id("can_2"), at(91));
    assert!(matches!(&gone[..], [Event::Erased { .. }]), "{gone:?}");
}

#[test]
fn b18_the_end_of_a_hold_takes_no_evidence_of_an_open_cancellation() {
    let (state, open) = evidence();
    let state = evolve(state, &placed("hld_1", Reach::default()));
    let (id, release) = (hold_id("hld_1"), release(95));
    let events = decide(&state, Command::ReleaseHold { id, release, open }).unwrap();
    assert!(matches!(&events[1..], [Event::Deferred { .. }]), "{events:?}");
}

fn cancellation_id(text: &str) -> CancellationId {
    CancellationId::parse(text).unwrap()
}

/// Something that is asked of a subject's data.
#[derive(Debug, Clone)]
enum Ask {
    Record(u8),
    Treat(u8, Treatment),
    Expire(u8),
    Place(u8, Reach, Option<i64>),
    Release(u8),
    ExpireHold(u8),
    Revoke,
}

fn asks() -> impl Strategy<Value = Ask> {
    let reach = prop_oneof![
        Just(Reach::default()),
        Just(Reach { categories: vec![Category::TransactionRecords], ..Reach::default() }),
        (0u8..4).prop_map(|set| over(&[&format!("dat_{set}")])),
    ];
    let treatment = prop_oneof![
        Just(Treatment::Erase),
        Just(Treatment::Anonymise),
        Just(restrict(None)),
        (0i64..40).prop_map(|until| restrict(Some(at(until)))),
    ];
    prop_oneof![
        (0u8..4).prop_map(Ask::Record),
        (0u8..4, treatment).prop_map(|(set, treatment)| Ask::Treat(set, treatment)),
        (0u8..4).prop_map(Ask::Expire),
        (0u8..3, reach, proptest::option::of(5i64..40))
            .prop_map(|(hold, reach, end)| Ask::Place(hold, reach, end)),
        (0u8..3).prop_map(Ask::Release),
        (0u8..3).prop_map(Ask::ExpireHold),
        Just(Ask::Revoke),
    ]
}

fn answered(state: &State, ask: Ask, now: Timestamp) -> Vec<Event> {
    let (set, hold_of) = (|set: u8| format!("dat_{set}"), |hold: u8| hold_id(&format!("hld_{hold}")));
    let none = OpenCases::new();
    match ask {
        Ask::Record(number) => decide(state, Command::Record(new(&set(number)))).unwrap_or_default(),
        Ask::Treat(number, treatment) => {
            treat(state, &cancellation(), vec![treated(&set(number), treatment)], now)
        }
        Ask::Expire(number) => expire(state, &id_of(&set(number)), &none, now).into_iter().collect(),
        Ask::Place(number, reach, end) => {
            let new = NewHold { placed_at: now, ..hold(&format!("hld_{number}"), reach, end.map(at)) };
            decide(state, Command::PlaceHold(new)).unwrap_or_default()
        }
        Ask::Release(number) => {
            let release = Release { at: now, ..release(0) };
            decide(state, Command::ReleaseHold { id: hold_of(number), release, open: none })
                .unwrap_or_default()
        }
        Ask::ExpireHold(number) => expire_hold(state, &hold_of(number), &none, now),
        Ask::Revoke => drop_suspended(state, &cancellation(), now),
    }
}

proptest! {
    #[test]
    fn b17_whatever_is_asked_in_whatever_order_nothing_goes_that_is_held_and_nothing_stays_that_is_free(
        asked in proptest::collection::vec(asks(), 1..40),
    ) {
        let mut state = State::default();
        for (second, ask) in (0..).zip(asked) {
            for event in answered(&state, ask, at(second)) {
                if let Event::Erased { id, .. } | Event::Anonymised { id, .. } = &event {
                    let set = state.find(id).unwrap();
                    prop_assert_eq!(state.holds_over(set).count(), 0, "{} is held", id);
                }
                state = evolve(state, &event);
            }
            for set in state.data_sets.iter().filter(|set| !set.suspended.is_empty()) {
                prop_assert!(state.holds_over(set).count() > 0, "{} waits for nothing", set.id);
                prop_assert!(set.content().is_some());
            }
        }
    }
}
