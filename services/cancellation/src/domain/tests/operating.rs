//! What operators do to a cancellation.

use std::time::Duration;

use super::*;

fn operate(action: Action) -> Command {
    Command::Operate(operation(action))
}

fn operation(action: Action) -> Operation {
    Operation { action, actor: "kim".into(), reason: "asked by phone".into(), at: at(50) }
}

fn deed(action: Action) -> Event {
    Event::Operated(Arc::new(operation(action)))
}

fn retry(of: &str) -> Action {
    Action::Retry { participant: name(of) }
}

fn attest(of: &str, evidence: &str) -> Action {
    Action::Attest { participant: name(of), evidence: evidence.into() }
}

fn attested(of: &str, evidence: &str) -> Event {
    Event::Attested(Arc::new(Attestation {
        participant: name(of),
        evidence: evidence.into(),
        actor: "kim".into(),
        at: at(50),
    }))
}

fn heard(answer: Answer) -> Event {
    Event::Acknowledged(Arc::new(answer))
}

/// `a` has finished; `b` has failed, and `c` has not answered yet.
fn failed() -> Vec<Event> {
    let told = instructed(Kind::Execute, 2, &["b", "c"]);
    let failed = answer("b", Kind::Execute, 2, Outcome::Failed);
    after(executing(), [heard(done("a")), told, heard(failed)])
}

#[test]
fn b06_a_retry_tells_one_participant_under_a_higher_epoch_and_no_other() {
    let again = instructed(Kind::Execute, 3, &["b"]);
    given(failed()).when(operate(retry("b"))).then([deed(retry("b")), again.clone()]);
    let history = after(failed(), [deed(retry("b")), again]);
    // What it said to the round before changes nothing, and what the others say goes on as before.
    let old = Answer { revision: 9, ..done("b") };
    given(history.clone()).when(Command::Acknowledge(old)).then([]);
    given(history.clone()).when(Command::Acknowledge(done("c"))).then([heard(done("c"))]);
    let history = after(history, [heard(done("c"))]);
    let new = Answer { epoch: 3, ..done("b") };
    let told = [heard(new.clone()), instructed(Kind::Execute, 3, &["d"])];
    given(history).when(Command::Acknowledge(new)).then(told);
}

#[test]
fn b04_who_waits_lawfully_is_not_told_again() {
    let waiting = Answer { until: Some(at(1_000)), ..answer("c", Kind::Execute, 2, Outcome::Waiting) };
    let history = after(failed(), [heard(waiting)]);
    given(history.clone()).when(operate(retry("c"))).then_rejected(Rejection::NotLate(name("c")));
    given(history.clone()).when(operate(retry("a"))).then_rejected(Rejection::NotAwaited(name("a")));
    given(history.clone()).when(operate(retry("d"))).then_rejected(Rejection::NotAwaited(name("d")));
    given(history.clone()).when(operate(retry("x"))).then_rejected(Rejection::UnknownParticipant(name("x")));
    // Once it waits for longer than it said, it may be.
    let state = given(history).0;
    let late = decide(&state, Command::Wake { now: at(1_000) }).unwrap();
    let state = late.into_iter().fold(state, evolve);
    let told = [deed(retry("c")), instructed(Kind::Execute, 3, &["c"])];
    Given(state).when(operate(retry("c"))).then(told);
}

#[test]
fn what_was_attested_counts_as_success_and_the_order_goes_on() {
    let history = after(failed(), [heard(done("c"))]);
    let next = instructed(Kind::Execute, 2, &["d"]);
    let all = [deed(attest("b", "T-1")), attested("b", "T-1"), next];
    given(history.clone()).when(operate(attest("b", "T-1"))).then(all.clone());
    let history = after(history, all);
    given(history.clone()).when(operate(attest("b", "T-1"))).then([]);
    given(history.clone())
        .when(operate(attest("d", "T-2")))
        .then([deed(attest("d", "T-2")), attested("d", "T-2")]);
    let case = given(after(history, [heard(done("d"))])).0.unwrap();
    assert_eq!(case.wants(), Some(Want::Receipt));
}

#[test]
fn nothing_is_attested_of_whom_nothing_is_awaited() {
    given(failed()).when(operate(attest("a", "T"))).then_rejected(Rejection::NotAwaited(name("a")));
    given(failed()).when(operate(attest("d", "T"))).then_rejected(Rejection::NotAwaited(name("d")));
    given(quoted()).when(operate(attest("a", "T"))).then_rejected(Rejection::NotAwaited(name("a")));
    let revoked = after(quoted(), [Event::Revoked { sealed_reason: Arc::from([]), at: at(6) }]);
    given(revoked).when(operate(attest("a", "T"))).then_rejected(Rejection::Ended);
}

/// Everybody has finished, `b` by attestation.
fn completed() -> Vec<Event> {
    let told = instructed(Kind::Execute, 2, &["d"]);
    let rest = [attested("b", "T-1"), heard(done("c")), told, heard(done("d"))];
    after(after(failed(), rest), [Event::Completed { receipt: "one".into(), at: at(60) }])
}

#[test]
fn b09_a_later_real_answer_amends_what_was_attested() {
    let waiting = Answer { revision: 2, ..answer("b", Kind::Execute, 2, Outcome::Waiting) };
    given(completed()).when(Command::Acknowledge(waiting)).then([]);
    let real = Answer { revision: 2, ..done("b") };
    given(completed()).when(Command::Acknowledge(real.clone())).then([heard(real.clone())]);
    let case = given(after(completed(), [heard(real)])).0.unwrap();
    assert_eq!((case.progress[1].attestation.clone(), case.wants()), (None, Some(Want::Amendment)));
}

#[test]
fn b09_what_was_taken_back_after_completion_can_be_attested() {
    let worse = Answer { revision: 2, ..answer("c", Kind::Execute, 2, Outcome::Failed) };
    let two = Event::Amended { receipt: "two".into(), unfinished: names(&["c"]), at: at(70) };
    let history = after(completed(), [heard(worse), two]);
    given(history.clone()).when(operate(retry("c"))).then_rejected(Rejection::NotLate(name("c")));
    given(history.clone())
        .when(operate(attest("c", "T-3")))
        .then([deed(attest("c", "T-3")), attested("c", "T-3")]);
    let case = given(after(history, [attested("c", "T-3")])).0.unwrap();
    assert_eq!(case.wants(), Some(Want::Amendment));
}

#[test]
fn b27_what_waits_can_be_given_to_somebody_with_a_date_of_their_own() {
    let state = given(failed()).0;
    let raised = decide(&state, Command::Wake { now: at(1) }).unwrap();
    let state = raised.into_iter().fold(state, evolve);
    let due = at(9_000);
    let to = |owner: &str, due| Action::Assign {
        cause: Cause::Failed,
        participant: Some(name("b")),
        owner: owner.into(),
        due,
    };
    let events = decide(&state, operate(to("lee", due))).unwrap();
    let state = events.into_iter().fold(state, evolve);
    let told = &state.as_ref().unwrap().attention[0];
    assert_eq!((&*told.owner, told.due, told.level, told.assigned), ("lee", due, Level::Attention, true));
    Given(state.clone()).when(operate(to("lee", due))).then([]);
    assert_eq!(state.as_ref().unwrap().next_due(), Some(due));
    let overdue = decide(&state, Command::Wake { now: due }).unwrap();
    let [Event::AttentionRaised(told)] = &overdue[..] else { panic!("{overdue:?}") };
    assert_eq!((&*told.owner, told.level), ("lee", Level::Overdue));
    // Whoever has it next has time of their own.
    let state = overdue.into_iter().fold(state, evolve);
    let later = due.plus(Duration::from_secs(60));
    let events = decide(&state, operate(to("pat", later))).unwrap();
    let state = events.into_iter().fold(state, evolve);
    assert_eq!(decide(&state, Command::Wake { now: due }).unwrap(), []);
    let elsewhere = Action::Assign { cause: Cause::DueSoon, participant: None, owner: "lee".into(), due };
    Given(state).when(operate(elsewhere)).then_rejected(Rejection::NothingWaits);
}

#[test]
fn an_operator_reassesses_where_anybody_could_and_it_is_recorded() {
    let told = instructed(Kind::Assess, 2, &["a", "b", "c", "d"]);
    given(quoted()).when(operate(Action::Reassess)).then([deed(Action::Reassess), told]);
    given(executing()).when(operate(Action::Reassess)).then_rejected(Rejection::ExecutionStarted);
}

#[test]
fn b06_who_does_not_take_back_in_time_is_told_again() {
    let mut roster = roster();
    roster[0].deadline = Some(Duration::from_secs(60));
    let requested = Event::Requested(Arc::new(Request { roster, ..request() }));
    let revoking = [
        requested,
        instructed(Kind::Freeze, 2, &["a"]),
        Event::Revoking { sealed_reason: Arc::from([]), at: at(6) },
        instructed(Kind::Undo, 3, &["a"]),
    ];
    given(revoking.clone()).when(operate(retry("a"))).then_rejected(Rejection::NotAwaited(name("a")));
    let state = given(revoking.clone()).0;
    let late = decide(&state, Command::Wake { now: at(86_400) }).unwrap();
    let history = after(revoking.into(), late);
    given(history).when(operate(retry("a"))).then([deed(retry("a")), instructed(Kind::Undo, 4, &["a"])]);
}

#[test]
fn who_does_not_suspend_is_told_again_until_it_has() {
    let cooling = cooling::cooling();
    given(cooling.clone()).when(operate(retry("a"))).then_rejected(Rejection::NotAwaited(name("a")));
    let refuses = Answer { revision: 2, ..answer("a", Kind::Freeze, 2, Outcome::Failed) };
    let failed = after(cooling, [Event::Acknowledged(Arc::new(refuses))]);
    let raised = decide(&given(failed.clone()).0, Command::Wake { now: at(6) }).unwrap();
    let failed = after(failed, raised);
    let told = [deed(retry("a")), instructed(Kind::Freeze, 3, &["a"])];
    given(failed.clone()).when(operate(retry("a"))).then(told.clone());
    given(failed.clone()).when(operate(retry("d"))).then_rejected(Rejection::NotAwaited(name("d")));
    let done = Answer { epoch: 3, ..cooling::frozen("a") };
    let told_again = after(failed, told);
    let cleared = Event::AttentionCleared { cause: Cause::Failed, participant: Some(name("a")), at: at(7) };
    let suspended = after(told_again, [Event::Acknowledged(Arc::new(done))]);
    given(suspended.clone()).when(Command::Wake { now: at(7) }).then([cleared.clone()]);
    let again = given(after(suspended, [cleared])).when(operate(retry("a")));
    again.then_rejected(Rejection::NotAwaited(name("a")));
}

#[test]
fn b09_who_finds_other_facts_after_an_attestation_contradicts_nothing() {
    let attested = after(failed(), decide(&given(failed()).0, operate(attest("b", "ticket 7"))).unwrap());
    let changed = Answer { revision: 2, ..answer("b", Kind::Execute, 2, Outcome::Changed) };
    given(attested).when(Command::Acknowledge(changed)).then([]);
}
