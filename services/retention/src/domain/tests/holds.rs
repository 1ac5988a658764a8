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
    decide(state, Command::ReleaseHold { id: hold_id(id), release: release(second) }).unwrap()
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
    assert_eq!(expire(&state, &a, at(90)), None);
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
    let id = hold_id("hld_1");
    assert_eq!(expire_hold(&state, &id, at(49)), []);
    let events = expire_hold(&state, &id, at(50));
    assert!(matches!(&events[..], [Event::HoldExpired { .. }, Event::Erased { .. }]), "{events:?}");
    assert_eq!(expire_hold(&apply(state, &events), &id, at(51)), []);
    let endless = given([placed("hld_1", Reach::default())]);
    assert_eq!(expire_hold(&endless, &id, at(1_000)), []);
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
fn b17_a_hold_is_over_everything_when_it_names_nothing_and_while_it_stands() {
    let of_profiles = Reach { categories: vec![Category::Profile], ..Reach::default() };
    let state = given([recorded("a"), placed("hld_1", of_profiles), placed("hld_2", over(&["a"]))]);
    assert_eq!(state.holds_over_everything().count(), 0);
    let state = evolve(state, &placed("hld_3", Reach::default()));
    assert_eq!(state.holds_over_everything().count(), 1);
    let state = evolve(state, &Event::HoldExpired { id: hold_id("hld_3"), at: at(5) });
    assert_eq!(state.holds_over_everything().count(), 0);
}

#[test]
fn it_is_known_when_nothing_is_held_any_more_unless_a_hold_has_no_end() {
    let until = |id: &str, second| Event::HoldPlaced(hold(id, Reach::default(), Some(at(second))));
    let state = given([recorded("a"), until("hld_1", 50), until("hld_2", 70)]);
    assert_eq!(free_at(state.holds_over(&state.data_sets[0])), Some(at(70)));
    let state = evolve(state, &placed("hld_3", over(&["a"])));
    assert_eq!(free_at(state.holds_over(&state.data_sets[0])), None);
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

/// Evidence of another cancellation, which is open.
fn evidence(id: &str) -> Event {
    Event::Recorded(NewDataSet { evidence_of: Some(other()), ..new(id) })
}

fn other() -> CancellationId {
    cancellation_id("can_2")
}

fn with_open<const N: usize>(history: [Event; N], open: CancellationId) -> State {
    State { open: BTreeMap::from([(open, None)]), ..given(history) }
}

fn restricted_evidence() -> State {
    with_open([evidence("a"), recorded("b"), restricted("a", Some(at(90)))], other())
}

/// That a cancellation would have taken it away, were it not evidence.
fn kept_as_evidence(id: &str, second: i64) -> Event {
    let restriction = Restriction {
        ground: EVIDENCE.into(),
        basis: law(),
        until: Some(at(second + 86_400)),
        cancellation: cancellation(),
        since: at(second),
    };
    Event::Restricted { id: id_of(id), restriction }
}

#[test]
fn b18_evidence_of_an_open_cancellation_outlasts_its_date() {
    let state = restricted_evidence();
    let deferred = expire(&state, &id_of("a"), at(90));
    let Some(Event::Deferred { cancellation, until, .. }) = &deferred else { panic!("{deferred:?}") };
    assert_eq!((cancellation.as_str(), *until), ("can_2", at(90 + 86_400)));
    assert!(matches!(expire(&state.ended(&other()), &id_of("a"), at(90)), Some(Event::Erased { .. })));
}

#[test]
fn b18_a_cancellation_that_nobody_goes_on_with_protects_its_evidence_for_a_time() {
    let mut state = restricted_evidence();
    state.open.insert(other(), Some(at(95)));
    assert!(matches!(expire(&state, &id_of("a"), at(94)), Some(Event::Deferred { .. })));
    assert!(matches!(expire(&state, &id_of("a"), at(95)), Some(Event::Erased { .. })));
}

#[test]
fn b18_evidence_goes_when_its_cancellation_has_ended_if_its_date_has_come() {
    let state = restricted_evidence();
    assert_eq!(let_evidence_go(&state, &other(), at(89)), []);
    assert_eq!(let_evidence_go(&state, &cancellation_id("can_3"), at(91)), []);
    let gone = let_evidence_go(&state, &other(), at(91));
    assert!(matches!(&gone[..], [Event::Erased { .. }]), "{gone:?}");
}

#[test]
fn b18_the_end_of_a_hold_takes_no_evidence_of_an_open_cancellation() {
    let state = evolve(restricted_evidence(), &placed("hld_1", Reach::default()));
    let events = released(&state, "hld_1", 95);
    assert!(matches!(&events[1..], [Event::Deferred { .. }]), "{events:?}");
}

#[test]
fn b18_a_cancellation_takes_no_evidence_of_another_that_is_open_and_does_not_wait_for_it() {
    let state = with_open([evidence("a"), recorded("b")], other());
    let all = vec![treated("a", Treatment::Erase), treated("b", Treatment::Erase)];
    let events = treat(&state, &cancellation(), all.clone(), at(10));
    assert_eq!(events, [kept_as_evidence("a", 10), erased("b")]);
    let state = apply(state, &events);
    assert_eq!(treat(&state, &cancellation(), all, at(11)), [], "doing it twice adds nothing");
    assert!(matches!(expire(&state, &id_of("a"), at(86_410)), Some(Event::Deferred { .. })));
    let gone = Gone { basis: law(), since: at(20), due: None };
    let expected = Event::Erased { id: id_of("a"), cancellation: cancellation(), gone };
    assert_eq!(let_evidence_go(&state, &other(), at(20)), [expected], "its date need not come");
}

#[test]
fn b18_evidence_that_was_held_too_is_kept_when_the_hold_ends() {
    let state = with_open([evidence("a"), placed("hld_1", Reach::default())], other());
    let events = treat(&state, &cancellation(), vec![treated("a", Treatment::Erase)], at(10));
    assert_eq!(events, [suspended("a", false)]);
    let state = apply(state, &events);
    let events = released(&state, "hld_1", 20);
    assert_eq!(events[1..], [kept_as_evidence("a", 20)]);
    assert!(!apply(state, &events).data_sets[0].waits_for(&cancellation()), "nobody waits any more");
}

#[test]
fn b18_what_is_evidence_of_the_cancellation_itself_goes_with_its_end() {
    let own = NewDataSet { evidence_of: Some(cancellation()), ..new("a") };
    let state = with_open([Event::Recorded(own)], cancellation());
    let all = vec![treated("a", Treatment::Anonymise)];
    let events = treat(&state, &cancellation(), all.clone(), at(10));
    assert_eq!(events, [suspended("a", true)]);
    let state = apply(state, &events);
    assert_eq!(treat(&state, &cancellation(), all, at(11)), []);
    assert_eq!(state.held_from(&cancellation()).count(), 0, "it waits for nobody else");
    assert_eq!(resume(&state, &cancellation(), at(12)), []);
    let gone = let_evidence_go(&state, &cancellation(), at(20));
    assert!(matches!(&gone[..], [Event::Anonymised { .. }]), "{gone:?}");
}

fn cancellation_id(text: &str) -> CancellationId {
    CancellationId::parse(text).unwrap()
}

/// Something that is asked of a subject's data.
#[derive(Debug, Clone)]
enum Ask {
    Record(u8),
    RecordEvidence(u8),
    Open,
    End,
    Treat(u8, bool, Treatment),
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
        (0u8..4).prop_map(Ask::RecordEvidence),
        Just(Ask::Open),
        Just(Ask::End),
        (0u8..4, any::<bool>(), treatment).prop_map(|(set, own, it)| Ask::Treat(set, own, it)),
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
    match ask {
        Ask::Record(number) => decide(state, Command::Record(new(&set(number)))).unwrap_or_default(),
        Ask::RecordEvidence(number) => {
            let new = NewDataSet { evidence_of: Some(other()), ..new(&set(number)) };
            decide(state, Command::Record(new)).unwrap_or_default()
        }
        Ask::Open => vec![],
        Ask::End => let_evidence_go(state, &other(), now),
        Ask::Treat(number, own, treatment) => {
            let by = if own { other() } else { cancellation() };
            treat(state, &by, vec![treated(&set(number), treatment)], now)
        }
        Ask::Expire(number) => expire(state, &id_of(&set(number)), now).into_iter().collect(),
        Ask::Place(number, reach, end) => {
            let new = NewHold { placed_at: now, ..hold(&format!("hld_{number}"), reach, end.map(at)) };
            decide(state, Command::PlaceHold(new)).unwrap_or_default()
        }
        Ask::Release(number) => {
            let release = Release { at: now, ..release(0) };
            decide(state, Command::ReleaseHold { id: hold_of(number), release }).unwrap_or_default()
        }
        Ask::ExpireHold(number) => expire_hold(state, &hold_of(number), now),
        Ask::Revoke => drop_suspended(state, &cancellation(), now),
    }
}

/// Whether it is evidence of the cancellation that opens and ends.
fn protects(state: &State, set: &DataSet) -> bool {
    set.evidence_of.as_ref().is_some_and(|of| state.open.contains_key(of))
}

/// Whether that fact takes away nothing that is held, or is evidence of what is open.
fn may_go(state: &State, event: &Event) -> bool {
    match event {
        Event::Erased { id, .. } | Event::Anonymised { id, .. } => {
            let set = state.find(id).unwrap();
            state.holds_over(set).count() == 0 && !protects(state, set)
        }
        _ => true,
    }
}

proptest! {
    #[test]
    fn b17_whatever_is_asked_in_whatever_order_nothing_goes_that_is_held_and_nothing_stays_that_is_free(
        asked in proptest::collection::vec(asks(), 1..40),
    ) {
        let mut state = State::default();
        for (second, ask) in (0..).zip(asked) {
            let events = answered(&state, ask.clone(), at(second));
            match ask {
                Ask::Open => state.open.extend([(other(), None)]),
                Ask::End => state = state.ended(&other()),
                _ => {}
            }
            for event in events {
                prop_assert!(may_go(&state, &event), "{event:?}");
                state = evolve(state, &event);
            }
            for set in state.data_sets.iter().filter(|set| !set.suspended.is_empty()) {
                let waits = state.holds_over(set).count() > 0 || protects(&state, set);
                prop_assert!(waits, "{} waits for nothing", set.id);
                prop_assert!(set.content().is_some());
            }
        }
    }
}
