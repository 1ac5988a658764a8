//! What waits for a person, and what the watchdog makes of it.

use std::time::Duration;

use super::*;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A history in which each event has its moment.
fn told(history: impl IntoIterator<Item = (i64, Event)>) -> State {
    history.into_iter().fold(None, |mut state, (seconds, event)| {
        if let Some(case) = &mut state {
            case.at = at(seconds);
        }
        evolve(state, event)
    })
}

/// Everybody has a quarter of an hour; `b` is somebody's in particular.
fn watched() -> Request {
    let mut roster = roster();
    for entry in &mut roster {
        entry.deadline = Some(Duration::from_secs(15 * 60));
    }
    roster[1].owner = Some("tills".into());
    Request { roster, ..request() }
}

fn assessing() -> Vec<(i64, Event)> {
    vec![(0, Event::Requested(Arc::new(watched()))), (0, instructed(Kind::Assess, 1, &["a", "b", "c", "d"]))]
}

/// Confirmed a day later; `a` has finished, `b` and `c` are told.
fn under_way() -> Vec<(i64, Event)> {
    let mut history = assessing();
    history.extend(["a", "b", "c", "d"].map(|by| (1, Event::Acknowledged(Arc::new(assessed(by))))));
    history.extend([
        (1, Event::Quoted { digest: QUOTE, at: at(1) }),
        (
            DAY,
            Event::Confirmed { digest: QUOTE, token_ids: Vec::new(), cooling_off_until: None, at: at(DAY) },
        ),
        (DAY, instructed(Kind::Execute, 2, &["a"])),
        (DAY, Event::Acknowledged(Arc::new(done("a")))),
        (DAY, instructed(Kind::Execute, 2, &["b", "c"])),
    ]);
    history
}

fn heard(seconds: i64, answer: Answer) -> (i64, Event) {
    (seconds, Event::Acknowledged(Arc::new(answer)))
}

/// Wakes it at that moment; gives what is told, and how it stands then.
fn wake(state: State, seconds: i64) -> (Vec<Event>, State) {
    let events = decide(&state, Command::Wake { now: at(seconds) }).unwrap();
    let after = events.iter().cloned().fold(state, evolve);
    (events, after)
}

/// Who is late for what, how far that has climbed, and whose it is.
fn raised(events: &[Event]) -> Vec<(&str, Cause, Level, &str)> {
    fn of(event: &Event) -> Option<(&str, Cause, Level, &str)> {
        let Event::AttentionRaised(raised) = event else { return None };
        let who = raised.participant.as_ref().map_or("", ParticipantName::as_str);
        Some((who, raised.cause, raised.level, &raised.owner))
    }
    events.iter().filter_map(of).collect()
}

fn cleared(events: &[Event]) -> Vec<(&str, Cause)> {
    fn of(event: &Event) -> Option<(&str, Cause)> {
        let Event::AttentionCleared { cause, participant, at: _ } = event else { return None };
        Some((participant.as_ref()?.as_str(), *cause))
    }
    events.iter().filter_map(of).collect()
}

#[test]
fn b03_who_does_not_answer_is_late_then_somebodys_with_a_date_and_then_overdue() {
    let mut history = under_way();
    history.push(heard(DAY + 1, done("c")));
    let state = told(history);
    let late = DAY + 15 * MINUTE;
    assert_eq!(state.as_ref().unwrap().next_due(), Some(at(late)));
    let (events, state) = wake(state, late - 1);
    assert_eq!(events, []);
    let (events, state) = wake(state, late);
    assert_eq!(raised(&events), [("b", Cause::AnswerOverdue, Level::Reminder, "tills")]);
    assert_eq!(wake(state.clone(), late).0, [], "it is told once");
    let next = state.as_ref().unwrap().next_due();
    assert_eq!(next, Some(at(late + HOUR)));
    let (events, state) = wake(state, late + HOUR);
    assert_eq!(raised(&events), [("b", Cause::AnswerOverdue, Level::Attention, "tills")]);
    let case = state.as_ref().unwrap();
    assert_eq!(case.attention[0].due, at(late + 25 * HOUR));
    let (events, state) = wake(state, late + 25 * HOUR);
    assert_eq!(raised(&events), [("b", Cause::AnswerOverdue, Level::Overdue, "tills")]);
    let case = state.as_ref().unwrap();
    assert_eq!((case.next_due(), case.phase), (None, Phase::Executing));
}

#[test]
fn b03_a_timer_that_fires_late_tells_what_is_so_by_then() {
    let (events, _) = wake(told(assessing()), 2 * DAY);
    let all: Vec<_> = raised(&events).into_iter().map(|(who, cause, level, _)| (who, cause, level)).collect();
    assert_eq!(all, ["a", "b", "c", "d"].map(|by| (by, Cause::AnswerOverdue, Level::Overdue)));
}

#[test]
fn b03_what_waits_no_more_is_cleared_by_itself() {
    let (_, state) = wake(told(under_way()), 2 * DAY);
    let case = state.as_ref().unwrap();
    assert_eq!(case.attention.len(), 2);
    let answered = decide(&state, Command::Acknowledge(done("c"))).unwrap().into_iter().fold(state, evolve);
    let (events, state) = wake(answered, 2 * DAY);
    assert_eq!((cleared(&events), raised(&events)), (vec![("c", Cause::AnswerOverdue)], vec![]));
    let ended = evolve(state, Event::Revoked { sealed_reason: Arc::from([]), at: at(2 * DAY) });
    let (events, state) = wake(ended, 2 * DAY);
    assert_eq!(cleared(&events), [("b", Cause::AnswerOverdue)]);
    assert_eq!(state.unwrap().next_due(), None);
}

#[test]
fn b04_who_waits_lawfully_is_left_alone_until_the_date_that_it_gave_and_told_only_then() {
    let until = |days: Option<i64>, revision| Answer {
        until: days.map(|days| at(days * DAY)),
        revision,
        ..answer("b", Kind::Execute, 2, Outcome::Waiting)
    };
    let mut history = under_way();
    history.extend([heard(DAY + 1, done("c")), heard(DAY + 1, until(Some(30), 1))]);
    let (events, state) = wake(told(history.clone()), 30 * DAY - 1);
    assert_eq!(events, []);
    let (events, state) = wake(state, 30 * DAY);
    assert_eq!(raised(&events), [("b", Cause::WaitingTooLong, Level::Reminder, "tills")]);
    // It says a later date: that was all.
    let longer = Command::Acknowledge(until(Some(40), 2));
    let state = decide(&state, longer).unwrap().into_iter().fold(state, evolve);
    let (events, state) = wake(state, 30 * DAY + 1);
    assert_eq!(cleared(&events), [("b", Cause::WaitingTooLong)]);
    assert_eq!(state.unwrap().next_due(), Some(at(40 * DAY)));
    // Who cannot say until when is asked after a week.
    history.push(heard(DAY + 1, until(None, 2)));
    assert_eq!(told(history).unwrap().next_due(), Some(at(DAY + 1 + 7 * DAY)));
}

#[test]
fn b27_a_failure_is_at_once_its_owners_with_a_date() {
    let failed = |owner: Option<&str>| Answer {
        owner: owner.map(Into::into),
        ..answer("b", Kind::Execute, 2, Outcome::Failed)
    };
    for (named, owner) in [(Some("ledger"), "ledger"), (None, "tills")] {
        let mut history = under_way();
        history.push(heard(DAY + 9, failed(named)));
        let (events, state) = wake(told(history), DAY + 9);
        assert_eq!(raised(&events), [("b", Cause::Failed, Level::Attention, owner)]);
        assert_eq!(state.unwrap().attention[0].due, at(DAY + 9 + 24 * HOUR));
    }
}

#[test]
fn b09_who_takes_its_success_back_after_completion_is_somebodys_until_it_is_done() {
    let mut history = under_way();
    history.extend([heard(DAY + 1, done("b")), heard(DAY + 1, done("c"))]);
    history.push((DAY + 1, instructed(Kind::Execute, 2, &["d"])));
    history.push(heard(DAY + 2, done("d")));
    history.push((DAY + 2, Event::Completed { receipt: "one".into(), at: at(DAY + 2) }));
    let state = told(history.clone());
    assert_eq!(state.as_ref().unwrap().next_due(), None);
    history.push(heard(9 * DAY, Answer { revision: 2, ..answer("c", Kind::Execute, 2, Outcome::Failed) }));
    let (events, state) = wake(told(history), 9 * DAY);
    assert_eq!(raised(&events), [("c", Cause::Contradicted, Level::Attention, "operations")]);
    let better = Answer { revision: 3, ..done("c") };
    let state = decide(&state, Command::Acknowledge(better)).unwrap().into_iter().fold(state, evolve);
    assert_eq!(cleared(&wake(state, 9 * DAY + 1).0), [("c", Cause::Contradicted)]);
}

#[test]
fn whose_turn_has_not_come_and_who_has_no_deadline_is_never_late() {
    let (events, _) = wake(told(under_way()), 300 * DAY);
    assert!(raised(&events).iter().all(|(who, ..)| *who != "d"), "{events:?}");
    let (events, state) = wake(given(executing()).0, 300 * DAY);
    assert_eq!((events, state.unwrap().next_due()), (vec![], None));
}

/// Under a clock of forty days, which stands still while the subject is waited for.
fn clocked(pauses: bool) -> Vec<(i64, Event)> {
    let clock = CaseClock { due: at(40 * DAY), rule: "r".into(), extended: None, notice_by: None, pauses };
    let request =
        Request { terms: Terms { clock: Some(clock), ..Terms::default() }, roster: roster(), ..request() };
    let told = instructed(Kind::Assess, 1, &["a", "b", "c", "d"]);
    vec![(0, Event::Requested(Arc::new(request))), (0, told)]
}

#[test]
fn b21_the_clock_of_the_whole_is_measured_warned_of_and_told_when_it_has_passed() {
    let (events, state) = wake(told(clocked(false)), 37 * DAY - 1);
    assert_eq!((events, state.as_ref().unwrap().next_due()), (vec![], Some(at(37 * DAY))));
    let (events, state) = wake(state, 37 * DAY);
    assert_eq!(raised(&events), [("", Cause::DueSoon, Level::Attention, "operations")]);
    assert_eq!(state.as_ref().unwrap().attention[0].due, at(40 * DAY));
    let (events, state) = wake(state, 40 * DAY);
    assert_eq!(raised(&events), [("", Cause::DueSoon, Level::Overdue, "operations")]);
    assert_eq!(state.unwrap().phase, Phase::Assessing, "it is told, and nothing is ended");
}

#[test]
fn b21_a_clock_that_stands_still_for_the_subject_warns_of_nothing_meanwhile() {
    let mut history = clocked(true);
    history.extend(["a", "b", "c", "d"].map(|by| heard(DAY, assessed(by))));
    history.push((DAY, Event::Quoted { digest: QUOTE, at: at(DAY) }));
    let (events, state) = wake(told(history.clone()), 300 * DAY);
    assert_eq!((events, state.unwrap().next_due()), (vec![], None));
    // Thirty days were the subject's own.
    let confirmed =
        Event::Confirmed { digest: QUOTE, token_ids: Vec::new(), cooling_off_until: None, at: at(31 * DAY) };
    history.extend([(31 * DAY, confirmed), (31 * DAY, instructed(Kind::Execute, 2, &["a"]))]);
    let state = told(history);
    assert_eq!(state.as_ref().unwrap().next_due(), Some(at(67 * DAY)));
    let (events, _) = wake(state, 70 * DAY);
    assert_eq!(raised(&events), [("", Cause::DueSoon, Level::Overdue, "operations")]);
}

#[test]
fn who_does_not_suspend_or_take_back_in_time_is_late_too() {
    let mut history = assessing();
    history.extend(["a", "b", "c", "d"].map(|by| heard(1, assessed(by))));
    let until = Some(at(30 * DAY));
    history.extend([
        (1, Event::Quoted { digest: QUOTE, at: at(1) }),
        (
            DAY,
            Event::Confirmed { digest: QUOTE, token_ids: Vec::new(), cooling_off_until: until, at: at(DAY) },
        ),
        (DAY, instructed(Kind::Freeze, 2, &["a", "b"])),
        heard(DAY + 1, answer("a", Kind::Freeze, 2, Outcome::Done)),
    ]);
    let (events, state) = wake(told(history.clone()), DAY + HOUR);
    assert_eq!(raised(&events), [("b", Cause::AnswerOverdue, Level::Reminder, "tills")]);
    assert_eq!(state.unwrap().phase, Phase::CoolingOff);
    history.push((2 * DAY, Event::Revoking { sealed_reason: Arc::from([]), at: at(2 * DAY) }));
    history.push((2 * DAY, instructed(Kind::Undo, 3, &["a", "b"])));
    history.push(heard(2 * DAY, answer("b", Kind::Undo, 3, Outcome::Done)));
    let (events, _) = wake(told(history), 2 * DAY + HOUR);
    assert_eq!(raised(&events), [("a", Cause::AnswerOverdue, Level::Reminder, "operations")]);
}

proptest! {
    /// However often and whenever it is woken: it tells of what is late and changes nothing else, no level
    /// falls, and the next moment lies ahead.
    #[test]
    fn b04_the_watchdog_only_escalates(
        waits in any::<bool>(),
        fails in any::<bool>(),
        mut moments in prop::collection::vec(0..60 * DAY, 1..12),
    ) {
        let mut history = under_way();
        if waits {
            history.push(heard(DAY + 1, answer("b", Kind::Execute, 2, Outcome::Waiting)));
        }
        if fails {
            history.push(heard(DAY + 1, answer("c", Kind::Execute, 2, Outcome::Failed)));
        }
        let mut state = told(history);
        moments.sort_unstable();
        for moment in moments {
            let before = state.clone().unwrap();
            let (events, after) = wake(state, DAY + moment);
            let case = after.as_ref().unwrap();
            let quiet = |event: &Event| matches!(event, Event::AttentionRaised(_));
            prop_assert!(events.iter().all(quiet), "{:?}", events);
            let same = Case { attention: before.attention.clone(), ..(**case).clone() };
            prop_assert_eq!(&same, &*before);
            for told in &before.attention {
                let now = case.attention.iter().find(|it| it.is(told.cause, told.participant.as_ref()));
                prop_assert!(now.is_some_and(|now| now.level >= told.level));
            }
            prop_assert!(case.next_due().is_none_or(|next| next > at(DAY + moment)));
            state = after;
        }
    }
}

#[test]
fn whoever_is_suspended_is_not_left_to_themselves_though_the_clock_stands_still_for_them() {
    let clock = CaseClock { due: at(DAY), rule: "r".into(), extended: None, notice_by: None, pauses: true };
    let terms = Terms { clock: Some(clock), ..Terms::default() };
    let requested = Event::Requested(Arc::new(Request { terms, ..request() }));
    let asked = [(0, requested), (1, Event::Quoted { digest: QUOTE, at: at(1) })];
    let waits = told(asked.clone());
    assert_eq!(waits.unwrap().next_due(), None);
    let frozen = told(asked.into_iter().chain([(2, instructed(Kind::Freeze, 2, &["a"]))]));
    let (events, _) = wake(frozen, DAY);
    assert!(matches!(&events[..], [Event::AttentionRaised(raised)] if raised.cause == Cause::DueSoon));
}
