//! A clock that runs longer once the subject has been told.

use std::time::Duration;

use super::*;
use crate::domain::{Action, Attention, CaseClock, Cause, Ladder, Level, Operation, Terms};

fn clock() -> CaseClock {
    CaseClock {
        due: at(1_000),
        rule: "r".into(),
        extended: Some(at(3_000)),
        notice_by: Some(at(900)),
        pauses: false,
    }
}

fn under(clock: Option<CaseClock>) -> Vec<Event> {
    let terms = Terms { clock, ..Terms::default() };
    let ladder = Ladder { warn_before: Duration::from_secs(100), ..Ladder::default() };
    vec![Event::Requested(Arc::new(Request { terms, ladder, ..request() }))]
}

fn operation(action: Action, seconds: i64) -> Operation {
    Operation { action, actor: "kim".into(), reason: "the request is complex".into(), at: at(seconds) }
}

fn extend(seconds: i64) -> Command {
    Command::Operate(operation(Action::Extend, seconds))
}

fn notice(told_at: i64, seconds: i64) -> Command {
    Command::Operate(operation(Action::Notice { told_at: at(told_at) }, seconds))
}

fn extended(seconds: i64) -> Event {
    Event::Extended { due: at(3_000), told_at: None, at: at(seconds) }
}

fn due(history: Vec<Event>) -> Option<Timestamp> {
    given(history).0.unwrap().due()
}

#[test]
fn b21_a_clock_is_extended_once_while_the_subject_can_be_told() {
    let history = under(Some(clock()));
    let done = Event::Operated(Arc::new(operation(Action::Extend, 899)));
    given(history.clone()).when(extend(899)).then([done, extended(899)]);
    given(after(history.clone(), [extended(899)])).when(extend(899)).then_rejected(Rejection::NotExtendable);
    given(history).when(extend(901)).then_rejected(Rejection::ExtensionTooLate);
    let rigid = CaseClock { extended: None, notice_by: None, ..clock() };
    given(under(Some(rigid))).when(extend(1)).then_rejected(Rejection::NotExtendable);
    given(under(None)).when(extend(1)).then_rejected(Rejection::NotExtendable);
}

#[test]
fn b21_a_clock_runs_longer_from_when_the_subject_was_told_in_time_and_not_before() {
    let history = after(under(Some(clock())), [extended(10)]);
    assert_eq!(due(history.clone()), Some(at(1_000)));
    let noticed = |told_at, seconds| Event::ExtensionNoticed { told_at: at(told_at), at: at(seconds) };
    // It counts when they were told, and not when that is recorded.
    let done = Event::Operated(Arc::new(operation(Action::Notice { told_at: at(900) }, 950)));
    given(history.clone()).when(notice(900, 950)).then([done, noticed(900, 950)]);
    given(history.clone()).when(notice(901, 950)).then_rejected(Rejection::ExtensionTooLate);
    let told = after(history, [noticed(900, 950)]);
    assert_eq!(due(told.clone()), Some(at(3_000)));
    given(told).when(notice(20, 960)).then([]);
    given(under(Some(clock()))).when(notice(20, 20)).then_rejected(Rejection::NotExtended);
}

#[test]
fn b21_where_the_subject_was_waited_for_they_may_be_told_as_much_later() {
    let pausing = under(Some(CaseClock { pauses: true, ..clock() }));
    let blocked = Event::Blocked { at: at(10) };
    let confirmed =
        Event::Confirmed { digest: QUOTE, token_ids: Vec::new(), cooling_off_until: None, at: at(60) };
    let waited = after(pausing, [blocked, confirmed]);
    given(waited.clone()).when(extend(951)).then_rejected(Rejection::ExtensionTooLate);
    let done = Event::Operated(Arc::new(operation(Action::Extend, 950)));
    given(waited.clone()).when(extend(950)).then([done, extended(950)]);
    let case = given(after(waited, [extended(950)])).0.unwrap();
    assert_eq!(
        (case.due(), case.notice_by(), case.extended_due()),
        (Some(at(1_050)), Some(at(950)), Some(at(3_050)))
    );
}

#[test]
fn b21_whose_subject_was_not_told_is_warned_of_by_the_first_date_until_they_are() {
    let history = after(under(Some(clock())), [extended(10)]);
    let warned = given(history.clone()).when(Command::Wake { now: at(950) });
    let raised = Event::AttentionRaised(Arc::new(Attention {
        cause: Cause::DueSoon,
        participant: None,
        level: Level::Attention,
        since: at(1_000),
        owner: "operations".into(),
        due: at(1_000),
        assigned: false,
    }));
    assert!(warned.as_ref().unwrap().contains(&raised), "{warned:?}");
    // That they were told is recorded only now, and ends it.
    let cleared = Event::AttentionCleared { cause: Cause::DueSoon, participant: None, at: at(951) };
    let told = given(after(history, [raised])).when(notice(800, 951));
    assert!(told.as_ref().unwrap().contains(&cleared), "{told:?}");
}
