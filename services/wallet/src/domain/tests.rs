//! Given what happened, when something is asked, then this is what follows.

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn money(code: &str, minor_units: i64) -> Money {
    Money { currency: Currency::parse(code).unwrap(), minor_units }
}

fn id(text: &str) -> BenefitId {
    BenefitId::parse(text).unwrap()
}

fn benefit(name: &str) -> Benefit {
    Benefit {
        id: id(name),
        kind: BenefitKind::Coupon,
        quantity: 2,
        paid_value: None,
        expires_at: Some(at(90)),
        lapsed_at: None,
    }
}

fn balance(code: &str, minor_units: i64) -> Event {
    Event::BalanceRecorded(money(code, minor_units))
}

fn paid_out(code: &str, minor_units: i64) -> Event {
    Event::BalancePaidOut { amount: money(code, minor_units), at: Some(at(7)) }
}

fn pay_out(currency: Option<Currency>) -> Command {
    Command::PayOut { currency, now: at(7) }
}

fn given(history: impl IntoIterator<Item = Event>) -> Given {
    Given(history.into_iter().fold(State::default(), |state, event| evolve(state, &event)))
}

struct Given(State);

impl Given {
    #[track_caller]
    fn when_then(&self, command: Command, expected: Result<Vec<Event>, Rejection>) {
        assert_eq!(decide(&self.0, command), expected);
    }
}

#[test]
fn a_balance_is_set_and_setting_it_again_adds_nothing() {
    given([]).when_then(Command::RecordBalance(money("CNY", 5)), Ok(vec![balance("CNY", 5)]));
    given([balance("CNY", 5)]).when_then(Command::RecordBalance(money("CNY", 5)), Ok(vec![]));
    given([balance("CNY", 5)])
        .when_then(Command::RecordBalance(money("CNY", 0)), Ok(vec![balance("CNY", 0)]));
    given([]).when_then(Command::RecordBalance(money("CNY", 0)), Ok(vec![]));
}

#[test]
fn a_balance_of_nothing_is_no_balance() {
    assert_eq!(given([balance("CNY", 5), balance("CNY", 0)]).0, State::default());
}

#[test]
fn one_currency_or_all_are_paid_out_whole() {
    let two = given([balance("USD", 7), balance("CNY", 5)]);
    two.when_then(pay_out(None), Ok(vec![paid_out("CNY", 5), paid_out("USD", 7)]));
    two.when_then(pay_out(Currency::parse("USD").ok()), Ok(vec![paid_out("USD", 7)]));
    let state = given([balance("USD", 7), balance("CNY", 5), paid_out("USD", 7)]).0;
    assert_eq!(state.remaining().collect::<Vec<_>>(), [money("CNY", 5)]);
    assert_eq!((state.paid_out, state.paid_out_at), (vec![money("USD", 7)], Some(at(7))));
}

#[test]
fn what_is_not_there_cannot_be_paid_out() {
    let refused = || Err(Rejection::NothingToPayOut);
    given([]).when_then(pay_out(None), refused());
    let paid = given([balance("CNY", 5), paid_out("CNY", 5)]);
    paid.when_then(pay_out(None), refused());
    given([balance("CNY", 5)]).when_then(pay_out(Currency::parse("EUR").ok()), refused());
}

#[test]
fn a_benefit_is_recorded_once() {
    let record = || Command::RecordBenefit { benefit: benefit("ben_1"), now: at(1) };
    given([]).when_then(record(), Ok(vec![Event::BenefitRecorded(benefit("ben_1"))]));
    given([Event::BenefitRecorded(benefit("ben_1"))]).when_then(record(), Ok(vec![]));
}

#[test]
fn a_wallet_has_no_more_in_it_than_an_assessment_can_name() {
    let full = given((0..BENEFITS_MAX).map(|n| Event::BenefitRecorded(benefit(&format!("ben_{n}")))));
    let record = |now| Command::RecordBenefit { benefit: benefit("ben_x"), now };
    full.when_then(record(at(1)), Err(Rejection::TooManyBenefits));
    // By then all have expired.
    full.when_then(record(at(90)), Ok(vec![Event::BenefitRecorded(benefit("ben_x"))]));

    let letter = |n: usize| char::from(b'A' + u8::try_from(n).unwrap());
    let code = |n: usize| format!("X{}{}", letter(n / 26), letter(n % 26));
    let full = given((0..BALANCES_MAX).map(|n| balance(&code(n), 1)));
    full.when_then(Command::RecordBalance(money("CNY", 5)), Err(Rejection::TooManyBalances));
    full.when_then(Command::RecordBalance(money("XAA", 5)), Ok(vec![balance("XAA", 5)]));
}

#[test]
fn what_was_good_when_it_was_told_lapses_and_only_once() {
    let cancellation = CancellationId::parse("can_1").unwrap();
    let lasting = Benefit { expires_at: None, ..benefit("ben_2") };
    let expired = Benefit { expires_at: Some(at(50)), ..benefit("ben_3") };
    let history = [benefit("ben_1"), lasting, expired].map(Event::BenefitRecorded);
    let state = given(history).0;
    let lapsed = |name| Event::BenefitLapsed { id: id(name), cancellation: cancellation.clone(), at: at(95) };
    let events = lapse(&state, &cancellation, at(50), at(95));
    assert_eq!(events, [lapsed("ben_1"), lapsed("ben_2")]);
    let state = events.iter().fold(state, evolve);
    assert_eq!(state.find(&id("ben_1")).unwrap().lapsed_at, Some(at(95)));
    assert_eq!(lapse(&state, &cancellation, at(50), at(96)), []);
}
