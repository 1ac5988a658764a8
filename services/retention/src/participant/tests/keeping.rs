//! What is kept for others: by the order of a hold, and as evidence of what is open.

use super::*;
use crate::domain::{NewHold, Reach};

fn held(until: Option<&str>) -> Event {
    Event::HoldPlaced(NewHold {
        id: HoldId::parse("hld_1").unwrap(),
        subject: SubjectId::parse("sbj_1").unwrap(),
        reach: Reach { categories: vec![Category::Marketing, Category::DeviceLogs], data_sets: vec![] },
        ground: "LITIGATION".into(),
        authority: "District Court, 2026-4711".into(),
        expires_at: until.map(instant),
        actor: "legal".into(),
        placed_at: instant("2026-11-22T04:00:00Z"),
    })
}

fn waiting(step: &Step<Event>) -> &pb::Waiting {
    let Answer::Waiting(waiting) = &step.answer else { panic!("{:?}", step.answer) };
    waiting
}

#[test]
fn b17_an_execute_whose_data_is_held_waits_for_it_and_does_the_rest() {
    let (retention, now) = (retention(), instant("2026-12-03T00:00:00Z"));
    let state = domain::evolve(everything("CN"), &held(Some("2027-02-01T00:00:00Z")));
    let step = retention.execute(&closure(), &state, now);
    let told = waiting(&step);
    assert_eq!((told.waiting_on(), told.code.as_str()), (pb::WaitingOn::Hold, "LEGAL_HOLD"));
    assert_eq!(told.item_ids, ["dat_marketing"], "device logs are restricted, held or not");
    assert_eq!(told.until, Some(instant("2027-02-01T00:00:00Z").to_proto()));
    assert!(!told.remedy.is_empty());
    let state = step.events.iter().fold(state, domain::evolve);
    let still: Vec<_> =
        state.data_sets.iter().filter(|set| matches!(set.holding, Holding::Held(_))).collect();
    assert_eq!(still.len(), 1);

    let resumed = retention.resume(&closure(), &state, now);
    assert_eq!((resumed.events.len(), &resumed.answer), (0, &step.answer), "nothing moved");
    let ended = retention.due(&state, "hold/hld_1", instant("2027-02-01T00:00:00Z"));
    let state = ended.iter().fold(state, domain::evolve);
    let Answer::Restricted(kept) = retention.resume(&closure(), &state, now).answer else { panic!() };
    let kept: Vec<_> = kept.iter().map(|kept| kept.category.as_str()).collect();
    assert_eq!(kept, ["TRANSACTION_RECORDS", "IDENTITY_DOCUMENTS", "ENTERPRISE_CHAT", "DEVICE_LOGS"]);
}

#[test]
fn b17_a_hold_changes_no_assessment_so_that_nobody_is_asked_again() {
    let state = everything("CN");
    for hold in [held(None), over_everything(None)] {
        let with = domain::evolve(state.clone(), &hold);
        assert_eq!(retention().assess(&closure(), &with), retention().assess(&closure(), &state));
    }
    let with = given([over_everything(None)]);
    assert_eq!(retention().assess(&closure(), &with), Assessed::default());
}

fn over_everything(until: Option<&str>) -> Event {
    let Event::HoldPlaced(new) = held(until) else { unreachable!() };
    Event::HoldPlaced(NewHold { reach: Reach::default(), ..new })
}

fn release_the_hold(state: &State) -> Vec<Event> {
    let (id, at) = (HoldId::parse("hld_1").unwrap(), instant("2026-12-04T00:00:00Z"));
    let release = domain::Release { reason: "settled".into(), actor: "legal".into(), at };
    domain::decide(state, domain::Command::ReleaseHold { id, release }).unwrap()
}

fn without_the_hold(state: &State) -> State {
    after(state, &release_the_hold(state))
}

#[test]
fn b17_a_hold_over_everything_keeps_the_account_though_no_data_set_waits_for_its_end() {
    let (retention, now) = (retention(), instant("2026-12-03T00:00:00Z"));
    let transactions = recorded("CN", Category::TransactionRecords, "2026-11-21T04:00:00Z");
    for (sets, kept) in [(vec![transactions], 1), (vec![], 0)] {
        let state = domain::evolve(given(sets), &over_everything(Some("2027-02-01T00:00:00Z")));
        let step = retention.execute(&closure(), &state, now);
        assert_eq!(step.events.len(), kept, "it does what it can");
        let told = waiting(&step);
        assert_eq!((told.waiting_on(), told.code.as_str()), (pb::WaitingOn::Hold, "LEGAL_HOLD"));
        assert_eq!(told.until, Some(instant("2027-02-01T00:00:00Z").to_proto()));
        assert!(told.item_ids.is_empty() && told.remedy.contains("account"), "{told:?}");
        let state = step.events.iter().fold(state, domain::evolve);
        let again = retention.execute(&closure(), &state, now);
        assert_eq!((again.events.len(), &again.answer), (0, &step.answer), "nothing moved");
        assert_eq!(retention.resume(&closure(), &state, now), again);

        let ended = retention.resume(&closure(), &without_the_hold(&state), now);
        assert_eq!(ended.events, []);
        match ended.answer {
            Answer::Restricted(told) => assert_eq!(told.len(), kept),
            other => assert_eq!((other, kept), (Answer::NothingToDo, 0)),
        }
    }
}

#[test]
fn b17_an_account_waits_for_every_hold_over_everything_and_nobody_knows_when_one_has_no_end() {
    let (retention, now) = (retention(), instant("2026-12-03T00:00:00Z"));
    let Event::HoldPlaced(first) = over_everything(Some("2027-02-01T00:00:00Z")) else { unreachable!() };
    let second = NewHold { id: HoldId::parse("hld_2").unwrap(), expires_at: None, ..first.clone() };
    let state = given([Event::HoldPlaced(first), Event::HoldPlaced(second)]);
    let step = retention.execute(&closure(), &state, now);
    assert_eq!(waiting(&step).until, None);
    let resumed = retention.resume(&closure(), &without_the_hold(&state), now);
    assert_eq!(waiting(&resumed).until, None);
}

#[test]
fn b17_what_leaves_the_account_open_does_not_wait_for_a_hold_over_everything() {
    let now = instant("2026-12-03T00:00:00Z");
    let state = given([over_everything(None)]);
    assert_eq!(retention().execute(&selected(["MARKETING"]), &state, now), Step::nothing_to_do());
}

#[test]
fn b17_an_end_of_the_account_that_only_waits_can_be_undone() {
    let (retention, now) = (retention(), instant("2026-12-03T00:00:00Z"));
    let state = given([over_everything(None)]);
    let step = retention.execute(&closure(), &state, now);
    assert_eq!(waiting(&step).until, None);
    assert_eq!(retention.undo(&closure(), &state, now), Step::nothing_to_do());
}

#[test]
fn what_is_recorded_while_a_cancellation_waits_does_not_go_with_it() {
    let (retention, now) = (retention(), instant("2026-12-03T00:00:00Z"));
    let case = selected(["MARKETING"]);
    let state = given([recorded("CN", Category::Marketing, "2026-11-21T04:00:00Z"), held(None)]);
    let step = retention.execute(&case, &state, now);
    assert_eq!(waiting(&step).until, None);
    let mut state = step.events.iter().fold(state, domain::evolve);
    let Event::Recorded(mut later) = recorded("CN", Category::Marketing, "2026-12-03T00:00:00Z") else {
        unreachable!()
    };
    later.id = DataSetId::parse("dat_later").unwrap();
    state = domain::evolve(state, &Event::Recorded(later));
    state = without_the_hold(&state);
    let resumed = retention.resume(&case, &state, now);
    assert_eq!((resumed.events.len(), resumed.answer), (0, Answer::Done));
    let left: Vec<_> = state.data_sets.iter().map(|set| set.content().is_some()).collect();
    assert_eq!(left, [false, true]);
}

#[test]
fn what_waited_is_not_wanted_any_more_when_the_cancellation_is_undone() {
    let (retention, now) = (retention(), instant("2026-12-03T00:00:00Z"));
    let state = given([recorded("CN", Category::Marketing, "2026-11-21T04:00:00Z"), held(None)]);
    let step = retention.execute(&closure(), &state, now);
    let state = step.events.iter().fold(state, domain::evolve);
    let undone = retention.undo(&closure(), &state, now);
    assert!(matches!(undone.events.as_slice(), [Event::Dropped { .. }]));
    assert_eq!(undone.answer, Answer::Done);
    let state = undone.events.iter().fold(state, domain::evolve);
    assert_eq!(retention.undo(&closure(), &state, now), Step::nothing_to_do());
}

#[test]
fn a_hold_with_an_end_has_a_timer_until_it_is_released() {
    let due = Some(instant("2027-02-01T00:00:00Z"));
    let wish = |due| TimerWish { kind: "hold/hld_1".into(), due };
    assert_eq!(retention().timers(&held(Some("2027-02-01T00:00:00Z"))), [wish(due)]);
    assert_eq!(retention().timers(&held(None)), []);
    let id = HoldId::parse("hld_1").unwrap();
    let release = domain::Release { reason: "x".into(), actor: "x".into(), at: Timestamp::EPOCH };
    assert_eq!(retention().timers(&Event::HoldReleased { id, release }), [wish(None)]);
}

#[test]
fn b17_the_ledger_of_closed_subjects_takes_nothing_that_is_held() {
    let (retention, now) = (retention(), instant("2026-12-03T00:00:00Z"));
    let state = domain::evolve(everything("CN"), &held(None));
    let events = retention.stay_closed(&closure(), &state, closure().assessed_at, now);
    let state = events.iter().fold(state, domain::evolve);
    let held: Vec<_> = state.data_sets.iter().filter(|set| set.waits_for(&closure().cancellation)).collect();
    assert!(matches!(held[..], [set] if set.category == Category::Marketing && set.content().is_some()));
    let events = release_the_hold(&state);
    assert!(matches!(&events[1..], [Event::Erased { .. }]), "{events:?}");
}

/// Evidence of another cancellation of the subject's.
fn evidence(category: Category, of: &str) -> Event {
    let Event::Recorded(new) = recorded("CN", category, "2026-11-21T04:00:00Z") else { unreachable!() };
    Event::Recorded(NewDataSet { evidence_of: Some(CancellationId::parse(of).unwrap()), ..new })
}

fn other() -> Case {
    Case { cancellation: CancellationId::parse("can_2").unwrap(), ..selected(["MARKETING"]) }
}

#[test]
fn b18_a_closing_account_keeps_the_evidence_of_what_is_open_and_says_so() {
    let (retention, now) = (retention(), instant("2026-12-03T00:00:00Z"));
    let plain = given([evidence(Category::Profile, "can_2"), evidence(Category::Marketing, "can_x")]);
    let quoted = retention.assess(&closure(), &plain);
    for phase in [Phase::Assessed, Phase::Stopped, Phase::Frozen, Phase::Working] {
        let state = retention.evolve_case(plain.clone(), &other(), phase);
        assert_eq!(retention.assess(&closure(), &state), quoted, "nobody is asked again");
        let step = retention.execute(&closure(), &state, now);
        let Answer::Restricted(kept) = &step.answer else { panic!("{:?}", step.answer) };
        let told: Vec<_> = kept.iter().map(|it| (it.data_set_id.as_str(), it.ground.as_str())).collect();
        assert_eq!(told, [("dat_profile", domain::EVIDENCE)]);
        let until = instant("2026-12-04T00:00:00Z");
        assert_eq!(kept[0].until, Some(until.to_proto()));
        let wish = TimerWish { kind: "erase/dat_profile".into(), due: Some(until) };
        assert_eq!(retention.timers(&step.events[0]), [wish]);

        let state = after(&state, &step.events);
        let ended = retention.undo(&other(), &state, now);
        assert!(matches!(&ended.events[..], [Event::Erased { .. }]), "{:?}", ended.events);
        let state = retention.evolve_case(state, &other(), Phase::Finished);
        assert!(matches!(&retention.due(&state, "erase/dat_profile", until)[..], [Event::Erased { .. }]));
    }
    for phase in [Phase::Finished, Phase::Undone] {
        let state = retention.evolve_case(plain.clone(), &other(), phase);
        assert_eq!(retention.execute(&closure(), &state, now).answer, Answer::Done);
    }
}

#[test]
fn b18_what_is_evidence_of_the_closing_itself_goes_with_it_and_not_while_it_waits() {
    let (retention, now) = (retention(), instant("2026-12-03T00:00:00Z"));
    let own = evidence(Category::Profile, "can_1");
    let state = retention.evolve_case(given([own]), &closure(), Phase::Assessed);
    let step = retention.execute(&closure(), &state, now);
    assert!(matches!(&step.events[..], [Event::Erased { .. }]), "{:?}", step.events);
    assert_eq!(step.answer, Answer::Done);

    let marketing = recorded("CN", Category::Marketing, "2026-11-21T04:00:00Z");
    let state = after(&state, &[marketing, held(None)]);
    let step = retention.execute(&closure(), &state, now);
    assert_eq!(waiting(&step).item_ids, ["dat_marketing"], "nobody waits for its evidence");
    let state = retention.evolve_case(after(&state, &step.events), &closure(), Phase::Working);
    assert!(state.data_sets[0].content().is_some());
    assert_eq!(retention.resume(&closure(), &state, now), Step { events: vec![], ..step });
    let resumed = retention.resume(&closure(), &without_the_hold(&state), now);
    assert_eq!(resumed.answer, Answer::Done);
    let undone = retention.undo(&closure(), &state, now);
    assert!(matches!(&undone.events[..], [Event::Dropped { .. }]), "{:?}", undone.events);
}
