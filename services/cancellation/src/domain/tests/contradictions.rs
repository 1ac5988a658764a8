//! Participants that say one thing and then another, before the cancellation has completed and after.

use super::*;
use crate::domain::state::RECEIPT_VERSIONS_MAX;

fn say(revision: u32, outcome: Outcome) -> Answer {
    Answer { revision, ..answer("a", Kind::Execute, 2, outcome) }
}

fn heard(answer: &Answer) -> Event {
    Event::Acknowledged(Arc::new(answer.clone()))
}

/// Everybody has finished, and the receipt is sealed.
fn completed() -> Vec<Event> {
    let told = instructed(Kind::Execute, 2, &["b", "c", "d"]);
    let ends = ["a", "b", "c", "d"].map(|by| Event::Acknowledged(Arc::new(done(by))));
    let history = after(after(executing(), [told]), ends);
    after(history, [Event::Completed { receipt: "one".into(), at: at(9) }])
}

fn amended(receipt: &str, unfinished: &[&str]) -> Event {
    Event::Amended { receipt: receipt.into(), unfinished: names(unfinished), at: at(11) }
}

#[test]
fn who_contradicts_itself_is_heard_in_its_newest_answer_before_and_after_it_has_finished() {
    let (failed, done) = (say(1, Outcome::Failed), say(3, Outcome::Done));
    given(executing()).when(Command::Acknowledge(failed.clone())).then([heard(&failed)]);
    let history = after(executing(), [heard(&failed)]);
    let next = instructed(Kind::Execute, 2, &["b", "c"]);
    given(history.clone()).when(Command::Acknowledge(done.clone())).then([heard(&done), next.clone()]);
    let history = after(history, [heard(&done), next]);
    // What is older, or the same once more, or answers what nobody asked.
    let not_asked = Answer { epoch: 9, ..say(9, Outcome::Failed) };
    for late in [failed, done.clone(), say(2, Outcome::Waiting), Answer { revision: 4, ..done }, not_asked] {
        given(history.clone()).when(Command::Acknowledge(late)).then([]);
    }
    // Who says now that it has not finished has not, and nothing completes over its head.
    let worse = say(4, Outcome::Failed);
    given(history.clone()).when(Command::Acknowledge(worse.clone())).then([heard(&worse)]);
    let history = after(history, [heard(&worse)]);
    let ends = ["b", "c"].map(|by| Event::Acknowledged(Arc::new(super::done(by))));
    let told = instructed(Kind::Execute, 2, &["d"]);
    let history = after(after(history, ends), [told, heard(&super::done("d"))]);
    assert_eq!(given(history.clone()).0.unwrap().wants(), None);
    let better = say(5, Outcome::Done);
    let history = after(history, [heard(&better)]);
    assert_eq!(given(history).0.unwrap().wants(), Some(Want::Receipt));
}

#[test]
fn b09_what_contradicts_a_receipt_is_recorded_and_a_new_version_is_wanted() {
    let worse = say(2, Outcome::Failed);
    given(completed()).when(Command::Acknowledge(worse.clone())).then([heard(&worse)]);
    let history = after(completed(), [heard(&worse)]);
    let case = given(history.clone()).0.unwrap();
    assert_eq!(
        (case.phase, case.ended_at, case.wants()),
        (Phase::Completed, Some(at(9)), Some(Want::Amendment))
    );
    let amend = |receipt: &str| Command::Amend { receipt: receipt.into(), now: at(11) };
    given(history.clone()).when(amend("two")).then([amended("two", &["a"])]);
    let history = after(history, [amended("two", &["a"])]);
    let case = given(history.clone()).0.unwrap();
    assert_eq!((case.receipts.clone(), case.wants()), (vec!["one".to_owned(), "two".to_owned()], None));
    given(history.clone()).when(amend("three")).then([]);
    // It says so once more, and then that it is done after all.
    given(history.clone()).when(Command::Acknowledge(say(3, Outcome::Failed))).then([]);
    let better = say(3, Outcome::Done);
    given(history.clone()).when(Command::Acknowledge(better.clone())).then([heard(&better)]);
    given(after(history, [heard(&better)])).when(amend("three")).then([amended("three", &[])]);
}

#[test]
fn b09_what_is_kept_otherwise_than_the_receipt_says_amends_it_too() {
    let keeps =
        |revision, what: &[u8]| Answer { said: Arc::from(what), ..say(revision, Outcome::Restricted) };
    let history = completed().into_iter().map(|event| match event {
        Event::Acknowledged(by) if by.participant == name("a") && by.kind == Kind::Execute => {
            heard(&keeps(1, b"until 2030"))
        }
        other => other,
    });
    let history: Vec<Event> = history.collect();
    given(history.clone()).when(Command::Acknowledge(keeps(2, b"until 2030"))).then([]);
    let longer = keeps(2, b"until 2031");
    given(history.clone()).when(Command::Acknowledge(longer.clone())).then([heard(&longer)]);
    let amend = Command::Amend { receipt: "two".into(), now: at(11) };
    given(after(history, [heard(&longer)])).when(amend).then([amended("two", &[])]);
}

#[test]
fn b09_what_was_repeated_superseded_or_never_asked_for_amends_nothing() {
    let assessed = Answer { epoch: 2, revision: 7, ..assessed("a") };
    let foreign = Answer { epoch: 3, ..say(9, Outcome::Failed) };
    for late in [say(1, Outcome::Done), say(2, Outcome::Done), say(2, Outcome::Superseded), assessed, foreign]
    {
        given(completed()).when(Command::Acknowledge(late)).then([]);
    }
    let ended = after(quoted(), [Event::Revoked { sealed_reason: Arc::from([]), at: at(6) }]);
    given(ended).when(Command::Acknowledge(say(2, Outcome::Failed))).then([]);
    given(executing()).when(Command::Amend { receipt: "two".into(), now: at(11) }).then([]);
}

/// Answers as they come, and the versions of the receipt that follow.
fn hear_all(mut state: State, answers: impl IntoIterator<Item = Answer>) -> (State, usize) {
    let mut recorded = 0;
    for answer in answers {
        for event in decide(&state, Command::Acknowledge(answer)).unwrap() {
            recorded += usize::from(matches!(event, Event::Acknowledged(_)));
            state = evolve(state, event);
        }
        if state.as_ref().unwrap().wants() == Some(Want::Amendment) {
            state = amended_anew(state);
        }
    }
    (state, recorded)
}

fn amended_anew(state: State) -> State {
    let receipt = format!("version {}", state.as_ref().unwrap().receipts.len() + 1);
    let amend = Command::Amend { receipt, now: at(20) };
    decide(&state, amend).unwrap().into_iter().fold(state, evolve)
}

#[test]
fn who_goes_on_contradicting_itself_gets_no_version_more_but_a_person_and_nothing_it_said_is_lost() {
    let flips = |revisions: std::ops::Range<u32>| {
        revisions
            .map(|revision| say(revision, if revision % 2 == 0 { Outcome::Failed } else { Outcome::Done }))
    };
    let (state, recorded) = hear_all(given(completed()).0, flips(2..42));
    let case = state.clone().unwrap();
    assert_eq!((case.receipts.len(), recorded), (RECEIPT_VERSIONS_MAX, 40));
    // The last word is the one that counts, and that no receipt has it is somebody's, once.
    assert_eq!(case.progress[0].execution.as_deref(), Some(&say(41, Outcome::Done)));
    assert_eq!(case.progress[0].untold as usize, 40 - (RECEIPT_VERSIONS_MAX - 1));
    let waits = attention(&case, at(21));
    let [waiting] = &waits[..] else { panic!("{waits:?}") };
    assert_eq!((waiting.cause, &waiting.participant), (Cause::Contradicted, &Some(name("a"))));
    let raised = decide(&state, Command::Wake { now: at(21) }).unwrap();
    assert_eq!(raised, [Event::AttentionRaised(Arc::new(waiting.clone()))]);
    let state = raised.into_iter().fold(state, evolve);
    // More of the same raises nothing more and moves no date.
    let mut later = hear_all(state, flips(42..80)).0.unwrap();
    later.at = at(500);
    let later = hear_all(Some(later), flips(80..82)).0;
    assert_eq!(decide(&later, Command::Wake { now: at(501) }).unwrap(), []);
    assert_eq!(attention(later.as_ref().unwrap(), at(501)), waits);
    // Somebody has looked at it: the receipt says so, and nobody waits any more.
    let attest = Command::Operate(Operation {
        action: Action::Attest { participant: name("a"), evidence: "T-1".into() },
        actor: "kim".into(),
        reason: "looked at it".into(),
        at: at(600),
    });
    let state = decide(&later, attest).unwrap().into_iter().fold(later, evolve);
    assert_eq!(state.as_ref().unwrap().wants(), Some(Want::Amendment));
    let state = amended_anew(state);
    assert_eq!(state.as_ref().unwrap().receipts.len(), RECEIPT_VERSIONS_MAX + 1);
    let cleared =
        Event::AttentionCleared { cause: Cause::Contradicted, participant: Some(name("a")), at: at(601) };
    assert_eq!(decide(&state, Command::Wake { now: at(601) }).unwrap(), [cleared]);
}
