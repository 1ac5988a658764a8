//! The time to think again: what is suspended, how it ends, and what the subject is asked again.

use std::time::Duration;

use super::*;

const DAYS: Duration = Duration::from_secs(7 * 86_400);
const NEW_QUOTE: Digest = [10; 32];

/// The end of cooling-off.
pub(super) fn end() -> Timestamp {
    at(5).plus(DAYS)
}

fn with_terms(terms: Terms, history: Vec<Event>) -> Vec<Event> {
    let freezes = |entry: Entry| Entry { freezes: ["a", "d"].contains(&entry.name.as_str()), ..entry };
    let roster = roster().into_iter().map(freezes).collect();
    let request = Arc::new(Request { roster, terms, ..request() });
    let requested = |event| match event {
        Event::Requested(_) => Event::Requested(request.clone()),
        other => other,
    };
    history.into_iter().map(requested).collect()
}

/// Quoted, where seven days of cooling-off follow a confirmation; `a` and `d` can suspend.
pub(super) fn quoted_with_cooling_off() -> Vec<Event> {
    with_terms(Terms { cooling_off: DAYS, ..Terms::default() }, quoted())
}

pub(super) fn cooling() -> Vec<Event> {
    after(quoted_with_cooling_off(), [confirmed(Some(end())), instructed(Kind::Freeze, 2, &["a", "d"])])
}

pub(super) fn frozen(by: &str) -> Answer {
    answer(by, Kind::Freeze, 2, Outcome::Done)
}

fn wake(now: Timestamp) -> Command {
    Command::Wake { now }
}

fn again(by: &str) -> Answer {
    Answer { epoch: 3, ..assessed(by) }
}

/// Everybody was asked again at the end of cooling-off, and nobody has answered yet.
fn asked_again() -> Vec<Event> {
    let everybody = instructed(Kind::Assess, 3, &["a", "b", "c", "d"]);
    after(cooling(), [Event::CooledOff { at: end() }, everybody])
}

fn answered_again() -> Vec<Event> {
    after(asked_again(), ["a", "b", "c", "d"].map(|by| Event::Acknowledged(Arc::new(again(by)))))
}

fn difference(material: bool) -> Difference {
    Difference {
        participant: name("b"),
        kind: DifferenceKind::Amount,
        item_kind: 8,
        code: "REFUND".into(),
        item_id: "sub_1".into(),
        before: "EUR 100".into(),
        after: "EUR 50".into(),
        material,
    }
}

fn recheck(differences: Vec<Difference>) -> Command {
    Command::Recheck { digest: NEW_QUOTE, differences, now: end() }
}

#[test]
fn a_confirmation_under_cooling_off_executes_nothing_and_has_suspended_what_can_be() {
    given(quoted_with_cooling_off())
        .when(confirm())
        .then([confirmed(Some(end())), instructed(Kind::Freeze, 2, &["a", "d"])]);
    let case = given(cooling()).0.unwrap();
    assert_eq!(
        (case.phase, case.next_due(), case.undo_until()),
        (Phase::CoolingOff, Some(end()), Some(end()))
    );
    given(cooling()).when(confirm()).then([]);
    given(cooling()).when(Command::Reassess).then_rejected(Rejection::CoolingOff);
}

#[test]
fn b26_who_confirms_again_is_checked_in_every_phase_as_whoever_confirmed_was() {
    let executing = after(quoted(), [confirmed(None), instructed(Kind::Execute, 2, &["a"])]);
    let confirm = |token: Token, now| Command::Confirm { digest: QUOTE, tokens: vec![token], now };
    let other = Token { id: "t2".into(), ..token() };
    for history in [cooling(), asked_again(), executing] {
        // What it was given with serves again, also when that has expired; so does another that holds.
        given(history.clone()).when(confirm(token(), at(200))).then([]);
        given(history.clone()).when(confirm(other.clone(), at(99))).then([]);
        let refused =
            |token: Token, now, why| given(history.clone()).when(confirm(token, now)).then_rejected(why);
        refused(other.clone(), at(200), Rejection::TokenExpired);
        refused(Token { subject: "sbj_2".into(), ..token() }, at(6), Rejection::TokenForeign);
        refused(Token { cancellation: "can_2".into(), ..token() }, at(6), Rejection::TokenForeign);
        let none = Command::Confirm { digest: QUOTE, tokens: Vec::new(), now: at(6) };
        let missing = Rejection::TokensMissing { required: 1, given: 0 };
        given(history.clone()).when(none).then_rejected(missing);
    }
}

#[test]
fn who_cannot_suspend_is_not_told_to() {
    let nobody = with_terms(Terms { cooling_off: DAYS, ..Terms::default() }, quoted());
    let plain = Event::Requested(Arc::new(Request {
        terms: Terms { cooling_off: DAYS, ..Terms::default() },
        ..request()
    }));
    let history = nobody.into_iter().map(|event| match event {
        Event::Requested(_) => plain.clone(),
        other => other,
    });
    given(history).when(confirm()).then([confirmed(Some(end()))]);
}

#[test]
fn it_ends_by_itself_once_and_everything_is_assessed_again() {
    given(cooling()).when(wake(at(6))).then([]);
    let everybody = instructed(Kind::Assess, 3, &["a", "b", "c", "d"]);
    given(cooling()).when(wake(end())).then([Event::CooledOff { at: end() }, everybody]);
    given(asked_again()).when(wake(end())).then([]);
    let case = given(asked_again()).0.unwrap();
    assert_eq!((case.phase, case.next_due(), case.quote), (Phase::CoolingOff, None, Some(QUOTE)));
}

#[test]
fn when_nothing_differs_it_is_executed_as_accepted() {
    assert_eq!(given(answered_again()).0.unwrap().wants(), Some(Want::Recheck));
    given(answered_again()).when(recheck(vec![])).then([instructed(Kind::Execute, 4, &["a"])]);
    // What nobody asked for changes nothing.
    given(asked_again()).when(recheck(vec![])).then([]);
    given(cooling()).when(recheck(vec![])).then([]);
}

#[test]
fn an_immaterial_difference_is_recorded_and_executed() {
    let drifted = Event::Drifted { digest: NEW_QUOTE, differences: vec![difference(false)], at: end() };
    given(answered_again())
        .when(recheck(vec![difference(false)]))
        .then([drifted, instructed(Kind::Execute, 4, &["a"])]);
}

#[test]
fn a_material_difference_goes_back_to_the_subject_who_has_had_the_time_to_think() {
    let differences = vec![difference(false), difference(true)];
    let drifted = Event::Drifted { digest: NEW_QUOTE, differences: differences.clone(), at: end() };
    let requoted = Event::Quoted { digest: NEW_QUOTE, at: end() };
    given(answered_again()).when(recheck(differences)).then([drifted.clone(), requoted.clone()]);
    let history = after(answered_again(), [drifted, requoted]);
    let case = given(history.clone()).0.unwrap();
    assert_eq!((case.phase, case.quote, case.wants()), (Phase::AwaitingConfirmation, Some(NEW_QUOTE), None));
    let token = Token { id: "t2".into(), ..token() };
    let accept = Command::Confirm { digest: NEW_QUOTE, tokens: vec![token], now: at(6) };
    let accepted = Event::Confirmed {
        digest: NEW_QUOTE,
        token_ids: vec!["t2".into()],
        cooling_off_until: None,
        at: at(6),
    };
    given(history).when(accept).then([accepted, instructed(Kind::Execute, 4, &["a"])]);
}

#[test]
fn what_blocks_at_the_end_is_cleared_first_and_then_compared_without_asking_again() {
    let three = ["a", "c", "d"].map(|by| Event::Acknowledged(Arc::new(again(by))));
    let history = after(asked_again(), three);
    let blocks = Answer { epoch: 3, ..blocked("b") };
    let told = [Event::Acknowledged(Arc::new(blocks.clone())), Event::Blocked { at: AT }];
    given(history.clone()).when(Command::Acknowledge(blocks)).then(told.clone());
    let cleared = Answer { revision: 2, ..again("b") };
    let history = after(history, told);
    assert_eq!(given(history.clone()).0.unwrap().wants(), None);
    let history = after(history, [Event::Acknowledged(Arc::new(cleared))]);
    assert_eq!(given(history.clone()).0.unwrap().wants(), Some(Want::Recheck));
    let executing = instructed(Kind::Execute, 4, &["a"]);
    given(history.clone()).when(recheck(vec![])).then([executing.clone()]);
    // The clock of the whole goes on.
    assert_eq!(given(after(history, [executing])).0.unwrap().waiting_since, None);
}

#[test]
fn what_is_impossible_at_the_end_is_rejected_and_lets_go_of_what_was_suspended() {
    let three = ["a", "c", "d"].map(|by| Event::Acknowledged(Arc::new(again(by))));
    let history = after(asked_again(), three);
    let unknown = Answer { rejected: true, ..again("b") };
    given(history).when(Command::Acknowledge(unknown.clone())).then([
        Event::Acknowledged(Arc::new(unknown)),
        Event::Rejected { at: AT },
        instructed(Kind::Undo, 4, &["a", "d"]),
    ]);
}

#[test]
fn a_participants_point_of_no_return_shortens_the_time_in_which_nothing_is_lost() {
    let early = at(1_000);
    let told = Answer { undo_until: Some(early), ..frozen("a") };
    let history = after(cooling(), [told, frozen("d")].map(|answer| Event::Acknowledged(answer.into())));
    assert_eq!(given(history).0.unwrap().undo_until(), Some(early));
}

#[test]
fn the_clock_stands_still_while_the_subject_is_waited_for_where_the_law_says_so() {
    let due = at(1_000_000);
    let clock = |pauses| CaseClock { due, rule: "r".into(), extended: None, notice_by: None, pauses };
    let confirmed = [confirmed(None), instructed(Kind::Execute, 2, &["a"])];
    for (pauses, expected) in [(true, at(1_000_001)), (false, due)] {
        let terms = Terms { clock: Some(clock(pauses)), ..Terms::default() };
        let history = after(with_terms(terms, quoted()), confirmed.clone());
        // Asked at 4 s, accepted at 5 s.
        assert_eq!(given(history).0.unwrap().due(), Some(expected));
    }
}

#[test]
fn another_cancellation_that_closes_the_account_ends_one_that_is_thought_over() {
    let by = CancellationId::parse("can_2").unwrap();
    let expire = Command::Expire { by: by.clone(), now: at(7) };
    let let_go = instructed(Kind::Undo, 3, &["a", "d"]);
    given(cooling()).when(expire).then([Event::Expired { by: by.clone(), at: at(7) }, let_go.clone()]);
    // What becomes of what was suspended is heard still.
    let history = after(cooling(), [Event::Expired { by, at: at(7) }, let_go]);
    let failed = answer("a", Kind::Undo, 3, Outcome::Failed);
    given(history).when(Command::Acknowledge(failed.clone())).then([Event::Acknowledged(Arc::new(failed))]);
}
