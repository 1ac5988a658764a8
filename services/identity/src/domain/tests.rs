//! Given, when, then.

mod coming_back;
mod guardian;
mod standing;

use testkit::Then as _;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

struct Given(State);

fn given(history: impl IntoIterator<Item = Event>) -> Given {
    Given(history.into_iter().fold(State::default(), |state, event| evolve(state, &event)))
}

impl Given {
    fn when(self, command: Command) -> Result<Vec<Event>, Rejection> {
        decide(&self.0, command)
    }
}

/// Half a second past a whole one.
fn at(minutes: u32) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_500_000).plus(MINUTE * minutes)
}

fn can(n: u8) -> CancellationId {
    CancellationId::parse(&format!("can_{n}")).unwrap()
}

fn ver(n: u8) -> VerificationId {
    VerificationId::parse(&format!("ver_{n}")).unwrap()
}

fn subject() -> SubjectId {
    SubjectId::parse("sbj_1").unwrap()
}

fn token() -> Token {
    Token { id: TokenId::parse("tok_1").unwrap(), expires_at: Timestamp::from_micros(1_700_000_660_000_000) }
}

fn registered() -> Vec<Event> {
    let contact = |factor| SealedContact { factor, sealed: [1, 2].into() };
    register(
        subject(),
        "CN".into(),
        Edition::Domestic,
        vec![contact(Factor::SmsCode), contact(Factor::EmailCode)],
    )
}

fn start(n: u8, now: Timestamp) -> Command {
    let (id, cancellation, factor) = (ver(n), can(1), Factor::EmailCode);
    Command::Start(Start { id, cancellation, factor, code_hash: [n; 32], now })
}

fn started(n: u8, at: Timestamp) -> Event {
    Event::VerificationStarted {
        id: ver(n),
        cancellation: can(1),
        factor: Factor::EmailCode,
        contact: 1,
        code_hash: [n; 32],
        expires_at: at.plus(CODE_LIFETIME),
    }
}

fn complete(code_is_right: bool, now: Timestamp) -> Command {
    Command::Complete(Complete { id: ver(1), code_is_right, token: token().id, now })
}

fn completed() -> Event {
    Event::VerificationCompleted { id: ver(1), token: token() }
}

fn history(more: impl IntoIterator<Item = Event>) -> Vec<Event> {
    registered().into_iter().chain(more).collect()
}

fn refused(times: usize) -> impl Iterator<Item = Event> {
    std::iter::repeat_n(Event::CodeRefused(ver(1)), times)
}

#[test]
fn a_code_goes_to_the_first_contact_of_its_factor_and_stands_ten_minutes() {
    given(registered()).when(start(1, at(0))).then([started(1, at(0))]);
}

#[test]
fn a_factor_without_a_contact_is_refused() {
    let events = register(subject(), "CN".into(), Edition::Domestic, Vec::new());
    given(events).when(start(1, at(0))).then_rejected(Rejection::FactorUnavailable(Factor::EmailCode));
}

#[test]
fn of_one_cancellation_five_codes_are_made_within_ten_minutes() {
    let five = || history((1..=5).map(|n| started(n, at(u32::from(n)))));
    given(five()).when(start(6, at(6))).then_rejected(Rejection::TooManyCodes { retry_after: MINUTE * 5 });
    given(five()).when(start(6, at(11))).then([started(6, at(11))]);
}

#[test]
fn of_one_subject_twenty_codes_are_made_within_ten_minutes_however_many_cancellations_there_are() {
    let of = |n: u8| Event::VerificationStarted {
        id: ver(n),
        cancellation: can(1 + n / 4),
        factor: Factor::EmailCode,
        contact: 1,
        code_hash: [n; 32],
        expires_at: at(0).plus(CODE_LIFETIME),
    };
    let again = |now| {
        Command::Start(Start {
            id: ver(30),
            cancellation: can(100),
            factor: Factor::EmailCode,
            code_hash: [30; 32],
            now,
        })
    };
    assert!(given(history((1..=19).map(of))).when(again(at(1))).is_ok());
    let twenty = || history((1..=20).map(of));
    given(twenty()).when(again(at(1))).then_rejected(Rejection::TooManyCodes { retry_after: MINUTE * 9 });
    assert!(given(twenty()).when(again(at(10))).is_ok());
}

#[test]
fn another_cancellation_has_codes_of_its_own() {
    let five = history((1..=5).map(|n| started(n, at(0))));
    let command = Command::Start(Start {
        id: ver(6),
        cancellation: can(2),
        factor: Factor::EmailCode,
        code_hash: [6; 32],
        now: at(0),
    });
    assert!(matches!(given(five).when(command), Ok(events) if events.len() == 1));
}

#[test]
fn the_right_code_gives_a_token_that_ends_on_a_whole_second() {
    given(history([started(1, at(0))])).when(complete(true, at(1))).then([completed()]);
    assert_eq!(token().issued_at(), Timestamp::from_micros(1_700_000_060_000_000));
}

#[test]
fn the_right_code_again_adds_nothing() {
    given(history([started(1, at(0)), completed()])).when(complete(true, at(2))).then([]);
}

#[test]
fn a_token_that_expired_is_not_given_again() {
    given(history([started(1, at(0)), completed()]))
        .when(complete(true, at(11)))
        .then_rejected(Rejection::CodeExpired);
}

#[test]
fn a_wrong_code_counts() {
    given(history([started(1, at(0))])).when(complete(false, at(1))).then(refused(1));
    given(history([started(1, at(0)), completed()])).when(complete(false, at(1))).then(refused(1));
}

#[test]
fn after_five_wrong_codes_the_right_one_is_refused_too() {
    let tried = |times| given(history([started(1, at(0))].into_iter().chain(refused(times))));
    tried(4).when(complete(true, at(1))).then([completed()]);
    tried(5).when(complete(true, at(1))).then_rejected(Rejection::TooManyTries);
    tried(5).when(complete(false, at(1))).then_rejected(Rejection::TooManyTries);
}

#[test]
fn a_code_is_taken_until_it_expires() {
    let almost = Timestamp::from_micros(at(10).as_micros() - 1);
    assert!(given(history([started(1, at(0))])).when(complete(true, almost)).is_ok());
    given(history([started(1, at(0))])).when(complete(true, at(10))).then_rejected(Rejection::CodeExpired);
}

#[test]
fn an_unknown_verification_is_refused() {
    given(registered()).when(complete(true, at(0))).then_rejected(Rejection::VerificationUnknown);
}

#[test]
fn nothing_is_taken_once_the_key_is_to_be_destroyed() {
    let doomed = || history([started(1, at(0)), Event::KeyDestructionIntended(can(1))]);
    given(doomed()).when(start(2, at(1))).then_rejected(Rejection::Closed);
    given(doomed()).when(complete(true, at(1))).then_rejected(Rejection::Closed);
    let destroyed = doomed().into_iter().chain([Event::KeyDestroyed(can(1))]);
    given(destroyed).when(start(2, at(1))).then_rejected(Rejection::Closed);
}

#[test]
fn the_key_is_doomed_once_and_closed_once() {
    let Given(open) = given(registered());
    let doomed = doom(&open, &can(1));
    assert_eq!(doomed, [Event::KeyDestructionIntended(can(1))]);
    assert_eq!(close(&open, &subject(), at(0)), []);

    let Given(doomed) = given(history(doomed));
    assert_eq!(doom(&doomed, &can(2)), []);
    let closed = close(&doomed, &subject(), at(1));
    let entry = Event::Closed { subject: subject(), cancellation: can(1), at: at(1) };
    assert_eq!(closed, [Event::KeyDestroyed(can(1)), entry]);

    let closed = closed.iter().fold(doomed, evolve);
    assert_eq!(doom(&closed, &can(2)), []);
    assert_eq!(close(&closed, &subject(), at(2)), []);
}

#[test]
fn b16_what_the_ledger_closed_is_closed_again_with_its_own_date_and_told_alike() {
    let entry = Event::Closed { subject: subject(), cancellation: can(1), at: at(1) };
    let Given(open) = given(registered());
    let events = stay_closed(&open, &subject(), &can(1), at(1));
    assert_eq!(events, [Event::KeyDestructionIntended(can(1)), entry.clone()]);

    let Given(closing) = given(history(events));
    assert_eq!(stay_closed(&closing, &subject(), &can(1), at(1)), []);
    assert_eq!(close(&closing, &subject(), at(9)), [Event::KeyDestroyed(can(1))]);
    // One whose end had begun is only told.
    let Given(doomed) = given(history([Event::KeyDestructionIntended(can(1))]));
    assert_eq!(stay_closed(&doomed, &subject(), &can(1), at(1)), [entry]);
}

#[test]
fn a_fact_of_an_unknown_verification_changes_nothing() {
    let Given(state) = given(registered());
    for event in [Event::CodeRefused(ver(9)), Event::VerificationCompleted { id: ver(9), token: token() }] {
        assert_eq!(evolve(state.clone(), &event), state);
    }
}
