//! Participants that say one thing and then another.

use super::*;

#[test]
fn who_contradicts_itself_is_heard_until_it_has_finished_and_not_after() {
    let say = |revision, outcome| Answer { revision, ..answer("a", Kind::Execute, 2, outcome) };
    let heard = |answer: &Answer| Event::Acknowledged(Arc::new(answer.clone()));
    let (failed, done) = (say(1, Outcome::Failed), say(3, Outcome::Done));
    given(executing()).when(Command::Acknowledge(failed.clone())).then([heard(&failed)]);
    let history = after(executing(), [heard(&failed)]);
    let next = instructed(Kind::Execute, 2, &["b", "c"]);
    given(history.clone()).when(Command::Acknowledge(done.clone())).then([heard(&done), next.clone()]);
    let history = after(history, [heard(&done), next]);
    for late in [failed, done, say(2, Outcome::Waiting), say(4, Outcome::Failed), say(5, Outcome::Changed)] {
        given(history.clone()).when(Command::Acknowledge(late)).then([]);
    }
    let of_others = Answer { epoch: 9, ..say(9, Outcome::Failed) };
    given(history).when(Command::Acknowledge(of_others)).then([]);
}
