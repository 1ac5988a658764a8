//! A coordinator whose database is an older copy: participants have seen rounds that it knows nothing of.

use super::*;

#[test]
fn a_round_that_a_restored_database_has_forgotten_is_told_again_under_a_higher_number() {
    let superseded = |kind, epoch| Command::Acknowledge(answer("a", kind, epoch, Outcome::Superseded));
    let again = instructed(Kind::Execute, 3, &["a"]);
    given(executing()).when(superseded(Kind::Execute, 2)).then([again.clone()]);
    let history = after(executing(), [again]);
    given(history.clone()).when(superseded(Kind::Execute, 2)).then([]);
    given(history.clone()).when(superseded(Kind::Execute, 3)).then([instructed(Kind::Execute, 4, &["a"])]);
    let done = Answer { epoch: 3, ..done("a") };
    let told = [Event::Acknowledged(Arc::new(done.clone())), instructed(Kind::Execute, 3, &["b", "c"])];
    given(history).when(Command::Acknowledge(done)).then(told);
    let again = instructed(Kind::Assess, 2, &["a", "b", "c", "d"]);
    given(requested()).when(superseded(Kind::Assess, 1)).then([again]);
}

#[test]
fn who_has_seen_a_later_round_is_told_again_though_another_was_told_since() {
    let superseded = |by, kind, epoch| Command::Acknowledge(answer(by, kind, epoch, Outcome::Superseded));
    let begun = [Event::Acknowledged(Arc::new(done("a"))), instructed(Kind::Execute, 2, &["b", "c"])];
    let failed = Event::Acknowledged(Arc::new(answer("c", Kind::Execute, 2, Outcome::Failed)));
    // An operator had `c` try once more, under a number that `b` knows nothing of.
    let history = after(after(executing(), begun), [failed, instructed(Kind::Execute, 3, &["c"])]);
    given(history.clone()).when(superseded("b", Kind::Execute, 2)).then([instructed(
        Kind::Execute,
        4,
        &["b", "c"],
    )]);
    // What answers an instruction that came twice, after others that were told since, asks for nothing.
    given(history.clone()).when(superseded("c", Kind::Execute, 2)).then([]);
    let asked_since = after(history, [instructed(Kind::Assess, 4, &["b", "c", "d"])]);
    given(asked_since.clone()).when(superseded("b", Kind::Execute, 2)).then([]);
    let again = after(asked_since, [instructed(Kind::Execute, 5, &["b", "c"])]);
    given(again).when(superseded("b", Kind::Assess, 4)).then([]);
    let until = Some(at(100));
    let cooling = after(quoted(), [confirmed(until), instructed(Kind::Freeze, 2, &["a"])]);
    given(cooling).when(superseded("b", Kind::Assess, 1)).then([]);
}
