//! Guardians and their consent.

use super::*;
use crate::domain::{
    guardian::{Command as Do, Event as Fact, GUARDIANS_MAX, Shown},
    standing::{Cause, Event as StandingFact},
};

fn sbj(n: usize) -> SubjectId {
    SubjectId::parse(&format!("sbj_{n}")).unwrap()
}

fn recorded(n: usize) -> Event {
    Event::Guardian(Fact::Recorded { guardian: sbj(n), ground: "PARENT".into() })
}

fn asks(command: Do, now: Timestamp) -> Command {
    Command::Guardian { command, now }
}

fn record(n: usize, ground: &str) -> Command {
    asks(Do::Record { guardian: sbj(n), ground: ground.into() }, at(0))
}

fn shown(guardian: usize, cancellation: u8) -> Shown {
    let (subject, cancellation) = (sbj(guardian), can(cancellation));
    Shown { subject, cancellation, token: token().id, expires_at: at(10) }
}

fn consent(cancellation: u8, shown: Shown, now: Timestamp) -> Command {
    asks(Do::Consent { cancellation: can(cancellation), shown }, now)
}

fn consented(cancellation: u8, guardian: usize) -> Event {
    let (cancellation, guardian) = (can(cancellation), sbj(guardian));
    Event::Guardian(Fact::Consented { cancellation, guardian, token: token().id })
}

#[test]
fn guardians_are_recorded_once_each_and_end() {
    given(registered()).when(record(2, "PARENT")).then([recorded(2)]);
    given(history([recorded(2)])).when(record(2, "PARENT")).then([]);
    let other = Event::Guardian(Fact::Recorded { guardian: sbj(2), ground: "COURT".into() });
    given(history([recorded(2)])).when(record(2, "COURT")).then([other]);
    let full = || history((2..2 + GUARDIANS_MAX).map(recorded));
    given(full()).when(record(9, "PARENT")).then_rejected(Rejection::TooManyGuardians);

    let cause = Cause { actor: "ops-1".into(), reason: "came of age".into() };
    let end = asks(Do::End { guardian: sbj(2), cause: cause.clone() }, at(0));
    let ended = Event::Guardian(Fact::Ended { guardian: sbj(2), cause });
    given(history([recorded(2)])).when(end.clone()).then([ended.clone()]);
    given(history([recorded(2), ended])).when(end).then([]);
}

#[test]
fn n35_consent_lacks_until_a_guardian_gave_it_for_that_cancellation() {
    let lacks = |events: &[Event], n| given(history(events.to_vec())).0.guardians.lacks_consent(&can(n));
    assert!(!lacks(&[], 1));
    assert!(lacks(&[recorded(2)], 1));
    let given_for_one = [recorded(2), consented(1, 2)];
    assert!(!lacks(&given_for_one, 1) && lacks(&given_for_one, 2));
}

#[test]
fn b26_who_consents_is_checked_in_the_decision_however_the_account_stands() {
    let frozen = Event::Standing(StandingFact::SignInFrozen(can(1)));
    let banned = Event::Standing(StandingFact::Banned { reason_code: "FRAUD".into(), actor: "ops-1".into() });
    let odd =
        [vec![], vec![frozen.clone()], vec![banned.clone()], vec![frozen, banned], vec![consented(1, 2)]];
    for before in odd {
        let account = || history([recorded(2)].into_iter().chain(before.clone()));
        // Another's token, one for another cancellation, the ward's own, and one that is too old.
        for (wrong, now, why) in [
            (shown(3, 1), at(1), Rejection::TokenForeign),
            (shown(2, 2), at(1), Rejection::TokenForeign),
            (shown(1, 1), at(1), Rejection::TokenForeign),
            (shown(2, 1), at(10), Rejection::TokenExpired),
        ] {
            given(account()).when(consent(1, wrong, now)).then_rejected(why);
        }
        let first = !before.contains(&consented(1, 2));
        let right = given(account()).when(consent(1, shown(2, 1), at(1)));
        right.then(first.then(|| consented(1, 2)));
    }
    // Without a guardian nobody can consent, and when the account closes it is too late.
    given(registered()).when(consent(1, shown(2, 1), at(1))).then_rejected(Rejection::TokenForeign);
    let doomed = history([recorded(2), Event::KeyDestructionIntended(can(1))]);
    given(doomed).when(consent(1, shown(2, 1), at(1))).then_rejected(Rejection::Closed);
}
