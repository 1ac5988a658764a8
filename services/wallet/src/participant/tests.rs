//! What blocks, what is quoted, and what lapses.

use types::{CancellationId, Currency, Edition, SubjectId};

use super::*;
use crate::domain::BenefitId;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn case(scope: Scope) -> Case {
    Case {
        cancellation: CancellationId::parse("can_1").unwrap(),
        subject: SubjectId::parse("sbj_1").unwrap(),
        region: "CN".into(),
        edition: Edition::Domestic,
        scope,
        assessed_at: at(50),
    }
}

fn closure() -> Case {
    case(Scope::WholeAccount)
}

fn cny(minor_units: i64) -> Money {
    Money { currency: Currency::parse("CNY").unwrap(), minor_units }
}

fn benefit(id: &str, kind: BenefitKind, quantity: i64, paid: Option<i64>, expires_at: Option<i64>) -> Event {
    Event::BenefitRecorded(Benefit {
        id: BenefitId::parse(id).unwrap(),
        kind,
        quantity,
        paid_value: paid.map(cny),
        expires_at: expires_at.map(at),
        lapsed_at: None,
    })
}

fn given(history: impl IntoIterator<Item = Event>) -> State {
    history.into_iter().fold(State::default(), |state, event| domain::evolve(state, &event))
}

fn benefits() -> State {
    given([
        benefit("ben_1", BenefitKind::Points, 1_250, None, None),
        benefit("ben_2", BenefitKind::Coupon, 1, Some(500), Some(90)),
        benefit("ben_3", BenefitKind::Coupon, 2, Some(0), Some(50)),
        benefit("ben_4", BenefitKind::StoredValue, 1, Some(2_000), Some(51)),
    ])
}

#[test]
fn every_balance_blocks_with_what_to_do_about_it() {
    let dollars = Money { currency: Currency::parse("USD").unwrap(), minor_units: 1 };
    let state = given([Event::BalanceRecorded(dollars), Event::BalanceRecorded(cny(12_840))]);
    let assessed = Wallet::default().assess(&closure(), &state);
    let told: Vec<_> = assessed.blockers.iter().map(|it| (it.item_id.as_str(), it.cause.as_str())).collect();
    assert_eq!(
        told,
        [("CNY", "CNY 128.40 is left in the wallet."), ("USD", "USD 0.01 is left in the wallet.")]
    );
    assert_eq!(assessed.blockers[0].code, "BALANCE_REMAINING");
    assert_eq!(assessed.blockers[0].amount, Some(money(cny(12_840))));
    assert!(!assessed.blockers[0].remedy.is_empty());

    let paid = domain::evolve(state, &Event::BalancePaidOut { amount: cny(12_840), at: None });
    assert_eq!(Wallet::default().assess(&closure(), &paid).blockers.len(), 1);
}

#[test]
fn what_lapses_is_quoted_with_what_was_paid_for_it_and_what_has_expired_is_not() {
    let assessed = Wallet::default().assess(&closure(), &benefits());
    assert_eq!((assessed.blockers, assessed.rejections), (vec![], vec![]));
    let told: Vec<_> = assessed
        .items
        .iter()
        .map(|it| (it.item_id.as_str(), it.title.as_str(), it.quantity, it.amount.clone()))
        .collect();
    assert_eq!(
        told,
        [
            ("ben_1", "1,250 points", 1_250, None),
            ("ben_2", "1 coupon", 1, Some(money(cny(500)))),
            ("ben_4", "Stored value", 1, Some(money(cny(2_000)))),
        ]
    );
    assert!(assessed.items.iter().all(|it| it.code == "BENEFIT_LAPSES"));
    assert!(assessed.items[1].text.contains("CNY 5.00"), "{}", assessed.items[1].text);
}

#[test]
fn what_was_quoted_lapses_and_a_second_time_there_is_nothing_to_do() {
    let wallet = Wallet::default();
    // One has expired since it was quoted; it was quoted as lapsing, and does.
    let step = wallet.execute(&closure(), &benefits(), at(60));
    assert_eq!(step.events.len(), 3);
    assert_eq!(step.answer, Answer::Done);
    let after = step.events.iter().fold(benefits(), domain::evolve);
    assert_eq!(wallet.execute(&closure(), &after, at(61)), Step::nothing_to_do());
    assert_eq!(wallet.assess(&closure(), &after), Assessed::default());
}

#[test]
fn b08_an_empty_wallet_is_success() {
    assert_eq!(Wallet::default().execute(&closure(), &State::default(), at(60)), Step::nothing_to_do());
}

#[test]
fn only_the_end_of_the_whole_account_concerns_the_wallet() {
    let state = domain::evolve(benefits(), &Event::BalanceRecorded(cny(1)));
    for scope in [Scope::Selected(vec![]), Scope::Named("demo".into())] {
        let case = case(scope);
        assert_eq!(Wallet::default().assess(&case, &state), Assessed::default());
        assert_eq!(Wallet::default().execute(&case, &state, at(60)), Step::nothing_to_do());
    }
}

#[test]
fn thousands_stand_apart() {
    for (number, text) in [(1, "1"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
        assert_eq!(grouped(number), text);
    }
    assert_eq!(grouped(i64::MAX), "9,223,372,036,854,775,807");
}

#[test]
fn nothing_is_suspended_and_what_lapsed_is_named_when_it_is_to_be_taken_back() {
    let wallet = Wallet::default();
    let state = domain::evolve(benefits(), &Event::BalanceRecorded(cny(1)));
    assert_eq!(wallet.freeze(&closure(), &state, at(60)), Step::nothing_to_do());
    assert_eq!(wallet.undo(&closure(), &state, at(60)), Step::nothing_to_do());
    let after =
        wallet.execute(&closure(), &benefits(), at(60)).events.iter().fold(benefits(), domain::evolve);
    let undone = wallet.undo(&closure(), &after, at(61));
    let Answer::Failed(failure) = undone.answer else { panic!("says so") };
    assert_eq!(failure.code, "BENEFITS_LAPSED");
    assert!(failure.cause.starts_with("1,250 points, 1 coupon, Stored value lapsed"), "{}", failure.cause);
    let left: Vec<_> = undone.remaining.iter().map(|it| (it.item_id.as_str(), it.code.as_str())).collect();
    assert_eq!(left, [("ben_1", "BENEFIT_LAPSED"), ("ben_2", "BENEFIT_LAPSED"), ("ben_4", "BENEFIT_LAPSED")]);
}

#[test]
fn what_was_paid_out_is_told_and_kept_as_a_record_of_its_own() {
    let wallet = Wallet::default();
    let day = 86_400;
    let paid = Event::BalancePaidOut { amount: cny(12_840), at: Some(at(10 * day)) };
    let state = domain::evolve(benefits(), &paid);
    let case = Case { assessed_at: at(12 * day), ..closure() };
    let items = wallet.assess(&case, &state).items;
    let item = items.last().unwrap();
    assert_eq!((item.kind(), item.code.as_str()), (pb::QuoteItemKind::Kept, "PAYOUT_RECORD_KEPT"));
    let Answer::Restricted(kept) = wallet.execute(&case, &state, at(13 * day)).answer else {
        panic!("is kept")
    };
    assert_eq!(item.kept.as_ref(), Some(&kept[0]));
    assert_eq!(
        (kept[0].ground.as_str(), kept[0].source.as_str()),
        ("ANTI_MONEY_LAUNDERING", "AML Law 2024 Art. 34")
    );
    assert_eq!(kept[0].until, Timestamp::parse("1980-01-10T16:00:00Z").map(Timestamp::to_proto));
    // Once its time is over, nothing is kept of it.
    let later = Case { assessed_at: Timestamp::parse("1981-01-01T00:00:00Z").unwrap(), ..case };
    assert_eq!(wallet.execute(&later, &State::default(), at(0)), Step::nothing_to_do());
    let over = domain::evolve(State::default(), &paid);
    let step = wallet.execute(&later, &over, at(0));
    assert_eq!(step.answer, Answer::Done);
    let gone = step.events.iter().fold(over, domain::evolve);
    assert_eq!(gone.paid_out, []);
    assert_eq!(wallet.execute(&later, &gone, at(0)), Step::nothing_to_do());
}

#[test]
fn what_was_paid_out_goes_when_its_date_comes_and_not_before() {
    let wallet = Wallet::default();
    let day = 86_400;
    let state = given([Event::BalancePaidOut { amount: cny(12_840), at: Some(at(10 * day)) }]);
    let case = Case { assessed_at: at(12 * day), ..closure() };
    let step = wallet.execute(&case, &state, at(13 * day));
    let until = Timestamp::parse("1980-01-10T16:00:00Z").unwrap();
    let wished = |events: &[Event]| events.iter().flat_map(|it| wallet.timers(it)).collect::<Vec<_>>();
    let timer = |due| vec![TimerWish { kind: "erase/payout".into(), due }];
    assert_eq!(wished(&step.events), timer(Some(until)));

    let kept = step.events.iter().fold(state, domain::evolve);
    let again = wallet.execute(&case, &kept, at(14 * day));
    assert_eq!((again.events, again.answer), (vec![], step.answer), "it does not begin twice");
    assert_eq!(wallet.due(&kept, "erase/payout", Timestamp::from_micros(until.as_micros() - 1)), []);
    assert_eq!(wallet.due(&kept, "something else", until), []);
    let erased = wallet.due(&kept, "erase/payout", until);
    assert_eq!((erased.len(), wished(&erased)), (1, timer(None)));

    let gone = erased.iter().fold(kept, domain::evolve);
    assert_eq!((gone.paid_out.as_slice(), gone.paid_out_at), (&[][..], None));
    assert_eq!(wallet.due(&gone, "erase/payout", until), [], "what is gone does not go again");
}

#[test]
fn a_payout_whose_date_nobody_noted_is_kept_as_if_it_were_made_at_the_end() {
    let state = given([Event::BalancePaidOut { amount: cny(12_840), at: None }]);
    let Answer::Restricted(kept) = Wallet::default().execute(&closure(), &state, at(60)).answer else {
        panic!("is kept")
    };
    assert_eq!(kept[0].until, Timestamp::parse("1979-12-31T16:00:00Z").map(Timestamp::to_proto));
}
