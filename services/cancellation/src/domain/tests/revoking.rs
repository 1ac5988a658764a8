//! The way back: before anything is accepted, and while cooling-off lasts.

use super::{
    cooling::{cooling, end, frozen},
    *,
};

fn revoking() -> Vec<Event> {
    let told = [
        Event::Revoking { sealed_reason: Arc::from([]), at: at(6) },
        instructed(Kind::Undo, 3, &["a", "b", "c", "d"]),
    ];
    after(cooling(), told)
}

fn undone(by: &str, outcome: Outcome) -> Answer {
    answer(by, Kind::Undo, 3, outcome)
}

fn revoked() -> Event {
    Event::Revoked { sealed_reason: Arc::from([]), at: AT }
}

#[test]
fn b11_revoke_works_until_the_first_irreversible_step_and_tells_what_it_could_not_undo() {
    given(cooling()).when(revoke()).then([
        Event::Revoking { sealed_reason: Arc::from([]), at: at(6) },
        instructed(Kind::Undo, 3, &["a", "b", "c", "d"]),
    ]);
    let first = undone("a", Outcome::Failed);
    given(revoking())
        .when(Command::Acknowledge(first.clone()))
        .then([Event::Acknowledged(Arc::new(first.clone()))]);
    let nothing = ["b", "c"].map(|by| undone(by, Outcome::NothingToDo));
    let heard = [first.clone()].into_iter().chain(nothing).map(|it| Event::Acknowledged(Arc::new(it)));
    let history = after(revoking(), heard);
    let last = undone("d", Outcome::Done);
    let told = [Event::Acknowledged(Arc::new(last.clone())), revoked()];
    given(history.clone()).when(Command::Acknowledge(last)).then(told.clone());
    let case = given(after(history, told)).0.unwrap();
    assert_eq!(case.phase, Phase::Revoked);
    assert_eq!(case.progress[0].undo.as_deref(), Some(&first));
}

#[test]
fn it_is_told_even_to_those_that_have_not_said_that_they_suspended_and_late_answers_change_nothing() {
    given(revoking())
        .when(Command::Acknowledge(frozen("a")))
        .then([Event::Acknowledged(Arc::new(frozen("a")))]);
    let history = after(revoking(), [Event::Acknowledged(Arc::new(undone("a", Outcome::Done)))]);
    given(history).when(Command::Acknowledge(frozen("a"))).then([]);
}

#[test]
fn of_revoke_and_the_first_step_that_cannot_be_undone_exactly_one_wins() {
    // Time is up, but nothing is executed yet.
    let asked = [Event::CooledOff { at: end() }, instructed(Kind::Assess, 3, &["a", "b", "c", "d"])];
    let late = after(cooling(), asked);
    given(late.clone()).when(revoke()).then([
        Event::Revoking { sealed_reason: Arc::from([]), at: at(6) },
        instructed(Kind::Undo, 4, &["a", "b", "c", "d"]),
    ]);
    let executing = after(late, [instructed(Kind::Execute, 4, &["a"])]);
    given(executing).when(revoke()).then_rejected(Rejection::ExecutionStarted);
    // And the other way round: what is being revoked is neither woken nor confirmed nor executed.
    given(revoking()).when(Command::Wake { now: end() }).then([]);
    given(revoking()).when(confirm()).then_rejected(Rejection::Revoking);
    given(revoking()).when(Command::Reassess).then_rejected(Rejection::Revoking);
    given(revoking()).when(revoke()).then([]);
    let recheck = Command::Recheck { digest: QUOTE, differences: vec![], now: end() };
    given(revoking()).when(recheck).then([]);
}

#[test]
fn without_anything_suspended_it_is_revoked_at_once_and_who_may_have_been_forgotten_is_told() {
    let is_freeze = |event: &Event| matches!(event, Event::Instructed { kind: Kind::Freeze, .. });
    let nobody: Vec<Event> = cooling().into_iter().filter(|event| !is_freeze(event)).collect();
    let revoked = Event::Revoked { sealed_reason: Arc::from([]), at: at(6) };
    // A database that was restored knows of no FREEZE that was told since.
    let told = [revoked, instructed(Kind::Undo, 2, &["a", "b", "c", "d"])];
    given(nobody.clone()).when(revoke()).then(told.clone());
    let revoked = after(nobody, told);
    let failed = answer("a", Kind::Undo, 2, Outcome::Failed);
    given(revoked.clone())
        .when(Command::Acknowledge(failed.clone()))
        .then([Event::Acknowledged(Arc::new(failed))]);
    // It has seen a later round, which is forgotten here.
    let superseded = answer("d", Kind::Undo, 2, Outcome::Superseded);
    given(revoked).when(Command::Acknowledge(superseded)).then([instructed(
        Kind::Undo,
        3,
        &["a", "b", "c", "d"],
    )]);
}

#[test]
fn an_undo_that_a_participant_finds_too_old_is_told_again() {
    let superseded = undone("d", Outcome::Superseded);
    let told = instructed(Kind::Undo, 4, &["a", "b", "c", "d"]);
    given(revoking()).when(Command::Acknowledge(superseded)).then([told]);
}

#[test]
fn a_revoke_holds_until_execution_starts() {
    let revoked = Event::Revoked { sealed_reason: Arc::from([]), at: at(6) };
    let told = [revoked.clone(), instructed(Kind::Undo, 2, &["a", "b", "c", "d"])];
    given(requested()).when(revoke()).then(told.clone());
    given(after(quoted(), [Event::Blocked { at: AT }])).when(revoke()).then(told.clone());
    given(quoted()).when(revoke()).then(told);
    given(executing()).when(revoke()).then_rejected(Rejection::ExecutionStarted);
    let ended = after(quoted(), [revoked]);
    given(ended.clone()).when(revoke()).then([]);
    given(ended.clone()).when(confirm()).then_rejected(Rejection::Ended);
    given(ended.clone()).when(Command::Reassess).then_rejected(Rejection::Ended);
    given(ended).when(Command::Acknowledge(Answer { revision: 2, ..assessed("a") })).then([]);
}

#[test]
fn what_another_cancellation_has_left_nothing_of_expires_unless_it_is_being_done() {
    let by = CancellationId::parse("can_2").unwrap();
    let expire = Command::Expire { by: by.clone(), now: at(7) };
    let expired = Event::Expired { by, at: at(7) };
    given(requested()).when(expire.clone()).then([expired.clone()]);
    given(quoted()).when(expire.clone()).then([expired.clone()]);
    given(executing()).when(expire.clone()).then([]);
    // Back with the subject, who can confirm no more: what was done before does not keep it open.
    let changed = answer("b", Kind::Execute, 2, Outcome::Changed);
    let back = [done("a"), changed].map(|answer| Event::Acknowledged(Arc::new(answer)));
    let back = after(after(executing(), back), [instructed(Kind::Assess, 3, &["b", "c", "d"])]);
    given(back).when(expire.clone()).then([expired.clone()]);
    let ended = after(quoted(), [expired]);
    given(ended.clone()).when(expire).then([]);
    given(ended.clone()).when(confirm()).then_rejected(Rejection::Ended);
    given(ended).when(revoke()).then_rejected(Rejection::Ended);
}

#[test]
fn what_was_done_and_cannot_be_undone_is_told_of_a_revoked_one_and_is_somebodys_with_a_date() {
    // The copy knows of no confirmation, and `a` has executed since.
    let told = decide(&given(quoted()).0, revoke()).unwrap();
    let history = after(quoted(), told);
    let failed = Answer { owner: Some("till team".into()), ..answer("a", Kind::Undo, 2, Outcome::Failed) };
    given(history.clone())
        .when(Command::Acknowledge(failed.clone()))
        .then([Event::Acknowledged(Arc::new(failed.clone()))]);
    let nothing = ["b", "c", "d"].map(|by| answer(by, Kind::Undo, 2, Outcome::NothingToDo));
    let ends = [failed.clone()].into_iter().chain(nothing).map(|it| Event::Acknowledged(Arc::new(it)));
    let history = after(history, ends);
    let case = given(history.clone()).0.unwrap();
    assert_eq!((case.phase, case.progress[0].undo.as_deref()), (Phase::Revoked, Some(&failed)));
    let raised = decide(&given(history.clone()).0, Command::Wake { now: at(9) }).unwrap();
    let [Event::AttentionRaised(waiting)] = &raised[..] else { panic!("{raised:?}") };
    assert_eq!((waiting.cause, &waiting.participant), (Cause::Failed, &Some(name("a"))));
    assert_eq!((waiting.level, &*waiting.owner), (Level::Attention, "till team"));
    assert!(waiting.due > AT);
    let history = after(history, raised);
    // It is tried once more, or dealt with outside.
    let operate = |action| {
        Command::Operate(Operation { action, actor: "kim".into(), reason: "seen".into(), at: at(10) })
    };
    let retried = decide(&given(history.clone()).0, operate(Action::Retry { participant: name("a") }));
    assert_eq!(retried.unwrap()[1], instructed(Kind::Undo, 3, &["a"]));
    let attest = operate(Action::Attest { participant: name("a"), evidence: "T-1".into() });
    let state = given(history).0;
    let state = decide(&state, attest).unwrap().into_iter().fold(state, evolve);
    let cleared = Event::AttentionCleared { cause: Cause::Failed, participant: Some(name("a")), at: at(11) };
    assert_eq!(decide(&state, Command::Wake { now: at(11) }).unwrap(), [cleared]);
    assert_eq!(state.unwrap().phase, Phase::Revoked);
}

#[test]
fn b16_a_copy_that_forgot_that_it_closed_the_account_has_everybody_say_so_once_more() {
    let own = Command::Expire { by: CancellationId::parse("can_1").unwrap(), now: at(7) };
    // Nobody is there any more who could confirm.
    let once_more = instructed(Kind::Execute, 2, &["a"]);
    given(requested()).when(own.clone()).then([once_more.clone()]);
    given(quoted()).when(own.clone()).then([once_more.clone()]);
    given(cooling()).when(own.clone()).then([instructed(Kind::Execute, 3, &["a"])]);
    let begun = after(quoted(), [once_more]);
    given(begun.clone()).when(own.clone()).then([]);
    // Whoever saw their cancellation unconfirmed, and confirms it again, may come a moment later.
    given(begun.clone()).when(confirm()).then([]);
    let other = Command::Confirm { digest: [1; 32], tokens: vec![token()], now: at(5) };
    given(begun.clone()).when(other).then_rejected(Rejection::AlreadyConfirmed);
    given(begun.clone()).when(revoke()).then_rejected(Rejection::ExecutionStarted);
    let superseded = answer("a", Kind::Execute, 2, Outcome::Superseded);
    given(begun.clone()).when(Command::Acknowledge(superseded)).then([instructed(Kind::Execute, 3, &["a"])]);
    let rounds: [&[&str]; 3] = [&["b", "c"], &[], &["d"]];
    let mut history = begun;
    for (name, next) in ["a", "b", "c"].into_iter().zip(rounds) {
        let heard = Event::Acknowledged(Arc::new(done(name)));
        let told = (!next.is_empty()).then(|| instructed(Kind::Execute, 2, next));
        let said: Vec<Event> = [Some(heard), told].into_iter().flatten().collect();
        given(history.clone()).when(Command::Acknowledge(done(name))).then(said.clone());
        history = after(history, said);
    }
    let all = after(history, [Event::Acknowledged(Arc::new(done("d")))]);
    assert_eq!(given(all).0.unwrap().wants(), Some(Want::Receipt));
}
