//! Given what has happened, when this is asked, then that follows.

mod answered;
mod attention;
mod bulk;
mod contradictions;
mod cooling;
mod extension;
mod operating;
mod restored;
mod revoking;

use std::sync::Arc;

use proptest::prelude::*;
use testkit::Then as _;
use types::{CancellationId, Edition, ParticipantName, Scope, SubjectId, Timestamp};

use super::*;

/// History under test.
struct Given(State);

fn given(history: impl IntoIterator<Item = Event>) -> Given {
    Given(history.into_iter().fold(None, evolve))
}

impl Given {
    fn when(self, command: Command) -> Result<Vec<Event>, Rejection> {
        decide(&self.0, command)
    }
}

fn name(text: &str) -> ParticipantName {
    ParticipantName::parse(text).unwrap()
}

fn names(text: &[&str]) -> Vec<ParticipantName> {
    text.iter().map(|text| name(text)).collect()
}

const AT: Timestamp = Timestamp::EPOCH;
const QUOTE: Digest = [9; 32];

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

/// `a` first, then `b` and `c` beside each other, then `d`.
fn roster() -> Vec<Entry> {
    [("a", vec![]), ("b", vec!["a"]), ("c", vec!["a"]), ("d", vec!["b", "c"])]
        .map(|(of, after)| Entry {
            name: name(of),
            after: names(&after),
            keys: Vec::new(),
            deadline: None,
            item_kinds: Vec::new(),
            freezes: false,
            owner: None,
        })
        .into()
}

fn request() -> Request {
    Request {
        id: CancellationId::parse("can_1").unwrap(),
        subject: SubjectId::parse("sbj_1").unwrap(),
        region: "CN".into(),
        edition: Edition::Domestic,
        scope: Scope::WholeAccount,
        roster: roster(),
        gates_none: false,
        tokens_required: 1,
        terms: Terms::default(),
        ladder: Ladder::default(),
        channel: String::new(),
        sealed_reason: Arc::from([]),
        at: AT,
    }
}

fn answer(by: &str, kind: Kind, epoch: u32, outcome: Outcome) -> Answer {
    Answer {
        participant: name(by),
        kind,
        epoch,
        revision: 1,
        outcome,
        digest: Some([by.as_bytes()[0]; 32]),
        assessed_at: Some(AT),
        blocked: false,
        rejected: false,
        undo_until: None,
        said: Arc::default(),
        until: None,
        owner: None,
        at: at(1),
        signed: Signed { bytes: Arc::from([]), signature: Arc::from([]), kid: "".into(), batch: None },
    }
}

fn assessed(by: &str) -> Answer {
    answer(by, Kind::Assess, 1, Outcome::Assessed)
}

fn blocked(by: &str) -> Answer {
    Answer { blocked: true, ..assessed(by) }
}

fn done(by: &str) -> Answer {
    answer(by, Kind::Execute, 2, Outcome::Done)
}

fn instructed(kind: Kind, epoch: u32, who: &[&str]) -> Event {
    Event::Instructed { kind, epoch, participants: names(who) }
}

fn confirmed(cooling_off_until: Option<Timestamp>) -> Event {
    Event::Confirmed { digest: QUOTE, token_ids: vec!["t1".into()], cooling_off_until, at: at(5) }
}

fn token() -> Token {
    Token { id: "t1".into(), subject: "sbj_1".into(), cancellation: "can_1".into(), expires_at: at(100) }
}

fn confirm() -> Command {
    Command::Confirm { digest: QUOTE, tokens: vec![token()], now: at(5) }
}

fn requested() -> Vec<Event> {
    vec![Event::Requested(Arc::new(request())), instructed(Kind::Assess, 1, &["a", "b", "c", "d"])]
}

fn quoted() -> Vec<Event> {
    let mut history = requested();
    history.extend(["a", "b", "c", "d"].map(|by| Event::Acknowledged(Arc::new(assessed(by)))));
    history.push(Event::Quoted { digest: QUOTE, at: at(4) });
    history
}

fn executing() -> Vec<Event> {
    let mut history = quoted();
    history.push(confirmed(None));
    history.push(instructed(Kind::Execute, 2, &["a"]));
    history
}

fn after(mut history: Vec<Event>, more: impl IntoIterator<Item = Event>) -> Vec<Event> {
    history.extend(more);
    history
}

fn revoke() -> Command {
    Command::Revoke { sealed_reason: Arc::from([]), now: at(6) }
}

#[test]
fn a_request_asks_everybody_to_assess() {
    given([]).when(Command::Request(Box::new(request()))).then(requested());
    given(requested()).when(Command::Request(Box::new(request()))).then([]);
}

#[test]
fn a_request_that_concerns_nobody_is_refused() {
    let nobody = Request { roster: Vec::new(), ..request() };
    given([]).when(Command::Request(Box::new(nobody))).then_rejected(Rejection::NothingToCancel);
}

#[test]
fn without_gates_execution_starts_at_once_in_order() {
    let ungated = Request { gates_none: true, ..request() };
    let history = [Event::Requested(Arc::new(ungated.clone())), instructed(Kind::Execute, 1, &["a"])];
    given([]).when(Command::Request(Box::new(ungated))).then(history.clone());
    let done = answer("a", Kind::Execute, 1, Outcome::Done);
    let told = [Event::Acknowledged(Arc::new(done.clone())), instructed(Kind::Execute, 1, &["b", "c"])];
    given(history).when(Command::Acknowledge(done)).then(told);
}

#[test]
fn nothing_is_known_of_a_cancellation_that_was_not_requested() {
    for command in [confirm(), revoke(), Command::Reassess, Command::Acknowledge(assessed("a"))] {
        given([]).when(command).then_rejected(Rejection::Unknown);
    }
}

#[test]
fn a_blocker_is_told_only_when_all_have_assessed_so_that_all_blockers_are_told_together() {
    let three = after(requested(), ["a", "b"].map(|by| Event::Acknowledged(Arc::new(blocked(by)))));
    let three = after(three, [Event::Acknowledged(Arc::new(assessed("c")))]);
    given(requested())
        .when(Command::Acknowledge(blocked("a")))
        .then([Event::Acknowledged(Arc::new(blocked("a")))]);
    let last = assessed("d");
    given(three)
        .when(Command::Acknowledge(last.clone()))
        .then([Event::Acknowledged(Arc::new(last)), Event::Blocked { at: AT }]);
}

#[test]
fn when_the_last_blocker_clears_a_quote_is_wanted() {
    let history = after(requested(), [Event::Acknowledged(Arc::new(blocked("a")))]);
    let history = after(history, ["b", "c", "d"].map(|by| Event::Acknowledged(Arc::new(assessed(by)))));
    let history = after(history, [Event::Blocked { at: AT }]);
    let cleared = Answer { revision: 2, ..assessed("a") };
    given(history.clone())
        .when(Command::Acknowledge(cleared.clone()))
        .then([Event::Acknowledged(Arc::new(cleared.clone()))]);
    let case = given(after(history, [Event::Acknowledged(Arc::new(cleared))])).0.unwrap();
    assert_eq!(case.wants(), Some(Want::Quote));
}

#[test]
fn an_assessment_that_changes_takes_the_quote_back() {
    let changed = Answer { revision: 2, digest: Some([77; 32]), ..assessed("b") };
    let case = given(after(quoted(), [Event::Acknowledged(Arc::new(changed))])).0.unwrap();
    assert_eq!((case.phase, case.quote, case.wants()), (Phase::Assessing, None, Some(Want::Quote)));
    let worse = Answer { revision: 2, digest: Some([77; 32]), ..blocked("b") };
    given(quoted())
        .when(Command::Acknowledge(worse.clone()))
        .then([Event::Acknowledged(Arc::new(worse)), Event::Blocked { at: AT }]);
}

#[test]
fn an_assessment_that_says_the_same_again_leaves_the_quote_be() {
    let same = Answer { revision: 2, ..assessed("b") };
    let case = given(after(quoted(), [Event::Acknowledged(Arc::new(same))])).0.unwrap();
    assert_eq!((case.phase, case.quote), (Phase::AwaitingConfirmation, Some(QUOTE)));
}

#[test]
fn what_cannot_be_asked_at_all_is_rejected() {
    let history = after(requested(), ["a", "b", "c"].map(|by| Event::Acknowledged(Arc::new(assessed(by)))));
    let unknown = Answer { rejected: true, ..assessed("d") };
    let rejected = [Event::Acknowledged(Arc::new(unknown.clone())), Event::Rejected { at: AT }];
    given(history).when(Command::Acknowledge(unknown)).then(rejected);
}

#[test]
fn a_confirmation_starts_execution_with_those_that_wait_for_nobody() {
    given(quoted()).when(confirm()).then([confirmed(None), instructed(Kind::Execute, 2, &["a"])]);
}

#[test]
fn the_same_confirmation_again_is_answered_alike_and_another_is_refused() {
    given(executing()).when(confirm()).then([]);
    let other = Command::Confirm { digest: [1; 32], tokens: vec![token()], now: at(5) };
    given(executing()).when(other).then_rejected(Rejection::AlreadyConfirmed);
}

#[test]
fn a_confirmation_is_refused_for_a_reason() {
    let with = |digest, tokens| Command::Confirm { digest, tokens, now: at(5) };
    given(requested()).when(confirm()).then_rejected(Rejection::NotQuoted);
    given(after(quoted(), [Event::Blocked { at: AT }])).when(confirm()).then_rejected(Rejection::Blocked);
    given(quoted()).when(with([1; 32], vec![token()])).then_rejected(Rejection::QuoteChanged);
    let foreign = Token { subject: "sbj_2".into(), ..token() };
    given(quoted()).when(with(QUOTE, vec![foreign])).then_rejected(Rejection::TokenForeign);
    let other_case = Token { cancellation: "can_2".into(), ..token() };
    given(quoted()).when(with(QUOTE, vec![other_case])).then_rejected(Rejection::TokenForeign);
    let expired = Token { expires_at: at(5), ..token() };
    given(quoted()).when(with(QUOTE, vec![expired])).then_rejected(Rejection::TokenExpired);
    let missing = Rejection::TokensMissing { required: 1, given: 0 };
    given(quoted()).when(with(QUOTE, vec![])).then_rejected(missing);
}

#[test]
fn one_token_twice_counts_once() {
    let two = Request { tokens_required: 2, ..request() };
    let history = quoted().into_iter().map(|event| match event {
        Event::Requested(_) => Event::Requested(Arc::new(two.clone())),
        other => other,
    });
    let command = Command::Confirm { digest: QUOTE, tokens: vec![token(), token()], now: at(5) };
    given(history).when(command).then_rejected(Rejection::TokensMissing { required: 2, given: 1 });
}

#[test]
fn execution_follows_the_order_and_goes_side_by_side_where_it_may() {
    let told = |by: &str, next: &[&str]| {
        let mut events = vec![Event::Acknowledged(Arc::new(done(by)))];
        events.extend((!next.is_empty()).then(|| instructed(Kind::Execute, 2, next)));
        events
    };
    given(executing()).when(Command::Acknowledge(done("a"))).then(told("a", &["b", "c"]));
    let second = after(executing(), told("a", &["b", "c"]));
    given(second.clone()).when(Command::Acknowledge(done("c"))).then(told("c", &[]));
    let third = after(second, told("c", &[]));
    given(third).when(Command::Acknowledge(done("b"))).then(told("b", &["d"]));
}

#[test]
fn waiting_finishes_nobody_and_a_higher_revision_does() {
    let waiting = answer("a", Kind::Execute, 2, Outcome::Waiting);
    given(executing())
        .when(Command::Acknowledge(waiting.clone()))
        .then([Event::Acknowledged(Arc::new(waiting.clone()))]);
    let history = after(executing(), [Event::Acknowledged(Arc::new(waiting))]);
    let over = Answer { revision: 2, ..done("a") };
    let told = [Event::Acknowledged(Arc::new(over.clone())), instructed(Kind::Execute, 2, &["b", "c"])];
    given(history).when(Command::Acknowledge(over)).then(told);
}

#[test]
fn a_failure_completes_nothing() {
    let failed = answer("a", Kind::Execute, 2, Outcome::Failed);
    let history = after(executing(), [Event::Acknowledged(Arc::new(failed))]);
    let case = given(history.clone()).0.unwrap();
    assert_eq!((case.phase, case.wants()), (Phase::Executing, None));
    // It can be tried again, from a new quote on.
    given(history).when(Command::Reassess).then([instructed(Kind::Assess, 3, &["a", "b", "c", "d"])]);
}

#[test]
fn repeated_late_and_superseded_answers_change_nothing() {
    given(quoted()).when(Command::Acknowledge(assessed("a"))).then([]);
    let superseded = answer("a", Kind::Assess, 1, Outcome::Superseded);
    given(executing()).when(Command::Acknowledge(superseded)).then([]);
    given(executing()).when(Command::Acknowledge(Answer { revision: 2, ..assessed("b") })).then([]);
    // Nobody told `b` to execute yet, and no round 7 was ever sent.
    given(executing()).when(Command::Acknowledge(done("b"))).then([]);
    given(executing()).when(Command::Acknowledge(Answer { epoch: 7, ..done("a") })).then([]);
}

#[test]
fn who_answers_assess_with_anything_but_an_assessment_has_not_assessed() {
    for outcome in [Outcome::Accepted, Outcome::Waiting, Outcome::Failed, Outcome::Done, Outcome::Changed] {
        let answered = Answer { digest: None, assessed_at: None, ..answer("a", Kind::Assess, 1, outcome) };
        let history = after(requested(), [Event::Acknowledged(Arc::new(answered.clone()))]);
        let history = after(history, ["b", "c", "d"].map(|by| Event::Acknowledged(Arc::new(assessed(by)))));
        let case = given(history.clone()).0.unwrap();
        assert_eq!((case.phase, case.wants()), (Phase::Assessing, None), "{outcome:?}");
        let late = Answer { revision: 2, ..assessed("a") };
        let case = given(after(history, [Event::Acknowledged(Arc::new(late))])).0.unwrap();
        assert_eq!(case.wants(), Some(Want::Quote));
        // What was assessed and is no more takes the quote back.
        let withdrawn = Answer { revision: 2, digest: Some([b'a'; 32]), ..answered };
        let case = given(after(quoted(), [Event::Acknowledged(Arc::new(withdrawn))])).0.unwrap();
        assert_eq!((case.phase, case.quote, case.wants()), (Phase::Assessing, None, None));
    }
}

#[test]
fn a_participant_off_the_roster_is_refused() {
    let stranger = Rejection::UnknownParticipant(name("x"));
    given(requested()).when(Command::Acknowledge(assessed("x"))).then_rejected(stranger);
}

#[test]
fn changed_facts_bring_the_case_back_to_a_new_quote_and_the_finished_stay_finished() {
    let history = after(
        executing(),
        [Event::Acknowledged(Arc::new(done("a"))), instructed(Kind::Execute, 2, &["b", "c"])],
    );
    let changed = answer("b", Kind::Execute, 2, Outcome::Changed);
    let told =
        [Event::Acknowledged(Arc::new(changed.clone())), instructed(Kind::Assess, 3, &["b", "c", "d"])];
    given(history.clone()).when(Command::Acknowledge(changed)).then(told.clone());
    // `c` was under way, and its end counts.
    let history = after(history, told);
    given(history.clone())
        .when(Command::Acknowledge(done("c")))
        .then([Event::Acknowledged(Arc::new(done("c")))]);
    let again = |by: &str| Answer { epoch: 3, ..assessed(by) };
    let history =
        after(history, [done("c"), again("b"), again("d")].map(|answer| Event::Acknowledged(answer.into())));
    let case = given(history.clone()).0.unwrap();
    assert_eq!(case.wants(), Some(Want::Quote));
    given(history.clone()).when(revoke()).then_rejected(Rejection::ExecutionStarted);
    // The token of the first confirmation is used up.
    let history = after(history, [Event::Quoted { digest: QUOTE, at: at(4) }]);
    given(history).when(confirm()).then_rejected(Rejection::TokenUsed);
}

#[test]
fn b01_the_receipt_is_wanted_only_when_everybody_has_finished_and_is_sealed_once() {
    let ends =
        |who: &[&str]| who.iter().map(|by| Event::Acknowledged(Arc::new(done(by)))).collect::<Vec<_>>();
    let told = instructed(Kind::Execute, 2, &["b", "c", "d"]);
    let three = after(after(executing(), [told]), ends(&["a", "b", "c"]));
    assert_eq!(given(three.clone()).0.unwrap().wants(), None);
    let all = after(three, ends(&["d"]));
    assert_eq!(given(all.clone()).0.unwrap().wants(), Some(Want::Receipt));
    let seal = Command::Seal { receipt: "r".into(), now: at(9) };
    let completed = Event::Completed { receipt: "r".into(), at: at(9) };
    given(all.clone()).when(seal.clone()).then([completed.clone()]);
    given(after(all, [completed])).when(seal).then([]);
    given(executing()).when(Command::Seal { receipt: "r".into(), now: at(9) }).then([]);
}

#[test]
fn assessing_again_is_a_new_round_of_those_that_have_not_finished() {
    given(quoted()).when(Command::Reassess).then([instructed(Kind::Assess, 2, &["a", "b", "c", "d"])]);
    given(executing()).when(Command::Reassess).then_rejected(Rejection::ExecutionStarted);
}

/// Answers as participants would give them, to whatever they were told so far.
fn told_so_far(case: &Case) -> Vec<Answer> {
    case.participants()
        .filter_map(|(entry, progress)| {
            let epoch = progress.execute_epoch?;
            Some(answer(entry.name.as_str(), Kind::Execute, epoch, Outcome::Done))
        })
        .collect()
}

proptest! {
    /// Whatever the order, and however often repeated: everybody executes after those it waits for,
    /// and all that is left at the end is the receipt.
    #[test]
    fn answers_may_come_in_any_order_and_repeatedly(picks in prop::collection::vec(any::<prop::sample::Index>(), 60)) {
        let mut state = given(executing()).0;
        for pick in picks {
            let answers = told_so_far(state.as_ref().unwrap());
            let answer = answers[pick.index(answers.len())].clone();
            for event in decide(&state, Command::Acknowledge(answer)).unwrap() {
                if let Event::Instructed { participants, .. } = &event {
                    let case = state.as_ref().unwrap();
                    let finished = |name: &ParticipantName| case.participants().any(|(e, p)| e.name == *name && p.is_finished());
                    prop_assert!(!participants.iter().any(finished), "told again");
                }
                state = evolve(state, event);
            }
        }
        // Sixty picks of at most four answers finish everybody in practice; finish what is left.
        loop {
            let answers = told_so_far(state.as_ref().unwrap());
            let mut news = Vec::new();
            for answer in answers {
                let events = decide(&state, Command::Acknowledge(answer)).unwrap();
                news.extend(events.clone());
                state = events.into_iter().fold(state, evolve);
            }
            if news.is_empty() { break; }
        }
        prop_assert_eq!(state.unwrap().wants(), Some(Want::Receipt));
    }
}
