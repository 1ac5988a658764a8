//! Frozen, banned, appealing.

use super::*;
use crate::domain::standing::{
    Cause, Command as Do, Decision, Event as Fact, Outcome, Standing, Told, freeze, overdue, standing, thaw,
};

fn apl(n: u8) -> AppealId {
    AppealId::parse(&format!("apl_{n}")).unwrap()
}

fn cause() -> Cause {
    Cause { actor: "ops-1".into(), reason: "looked at the case".into() }
}

fn facts(events: impl IntoIterator<Item = Fact>) -> Vec<Event> {
    events.into_iter().map(Event::Standing).collect()
}

fn told(standing: Standing, frozen_by: &[u8], code: Option<&str>) -> Fact {
    let frozen_by = frozen_by.iter().map(|n| can(*n)).collect();
    let told = Told { standing, frozen_by, reason_code: code.map(Into::into) };
    Fact::Changed { subject: subject(), told, at: at(0) }
}

fn asks(command: Do) -> Command {
    Command::Standing { subject: subject(), command, now: at(0) }
}

fn ban(code: &str) -> Do {
    Do::Ban { reason_code: code.into(), actor: "ops-1".into() }
}

fn banned() -> Fact {
    Fact::Banned { reason_code: "FRAUD".into(), actor: "ops-1".into() }
}

fn appeal(n: u8) -> Do {
    Do::Appeal { id: apl(n), sealed: [n].into(), due: at(5) }
}

fn appealed(n: u8) -> Fact {
    Fact::Appealed { id: apl(n), sealed: [n].into(), at: at(0), due: at(5) }
}

fn decide_as(decision: Decision) -> Do {
    Do::Decide { id: apl(1), decision, cause: cause() }
}

fn decided(decision: Decision) -> Fact {
    Fact::AppealEnded { id: apl(1), outcome: Outcome::Decided(decision, cause()) }
}

fn withdrawn() -> Fact {
    Fact::AppealEnded { id: apl(1), outcome: Outcome::Withdrawn }
}

fn after(events: impl IntoIterator<Item = Fact>) -> State {
    given(history(facts(events))).0
}

#[test]
fn signing_in_is_frozen_until_the_last_cancellation_lets_go() {
    let active = after([]);
    let first = freeze(&active, &subject(), &can(1), at(0));
    assert_eq!(first, facts([Fact::SignInFrozen(can(1)), told(Standing::Frozen, &[1], None)]));
    let frozen = after([Fact::SignInFrozen(can(1))]);
    assert_eq!(freeze(&frozen, &subject(), &can(1), at(1)), []);
    let both = [Fact::SignInFrozen(can(2)), told(Standing::Frozen, &[1, 2], None)];
    assert_eq!(freeze(&frozen, &subject(), &can(2), at(0)), facts(both));

    let twice = after([Fact::SignInFrozen(can(1)), Fact::SignInFrozen(can(2))]);
    let one = [Fact::SignInThawed(can(1)), told(Standing::Frozen, &[2], None)];
    assert_eq!(thaw(&twice, &subject(), &can(1), at(0)), facts(one));
    let last = after([Fact::SignInFrozen(can(1)), Fact::SignInFrozen(can(2)), Fact::SignInThawed(can(1))]);
    let none = [Fact::SignInThawed(can(2)), told(Standing::Active, &[], None)];
    assert_eq!(thaw(&last, &subject(), &can(2), at(0)), facts(none));
    assert_eq!(thaw(&active, &subject(), &can(1), at(0)), []);
}

#[test]
fn of_several_reasons_the_one_that_lasts_longest_is_told() {
    let all = after([Fact::SignInFrozen(can(1)), banned()]);
    let Fact::Changed { told: expected, .. } = told(Standing::Banned, &[1], Some("FRAUD")) else { panic!() };
    assert_eq!(standing(&all), expected);
    let doomed = evolve(all, &Event::KeyDestructionIntended(can(1)));
    assert_eq!(standing(&doomed).standing, Standing::Closed);
}

#[test]
fn a_ban_is_told_once_and_for_one_reason() {
    let both = || facts([banned(), told(Standing::Banned, &[], Some("FRAUD"))]);
    given(registered()).when(asks(ban("FRAUD"))).then(both());
    given(history(both())).when(asks(ban("FRAUD"))).then([]);
    given(history(both()))
        .when(asks(ban("SPAM")))
        .then_rejected(Rejection::AlreadyBanned { reason_code: "FRAUD".into() });
}

#[test]
fn a_lifted_ban_ends_the_appeal_against_it() {
    let lifted = || [Fact::BanLifted(cause()), told(Standing::Active, &[], None)];
    given(history(facts([banned()]))).when(asks(Do::Lift(cause()))).then(facts(lifted()));
    let ended = [decided(Decision::Lift)].into_iter().chain(lifted());
    given(history(facts([banned(), appealed(1)]))).when(asks(Do::Lift(cause()))).then(facts(ended));
    given(registered()).when(asks(Do::Lift(cause()))).then_rejected(Rejection::NotBanned);
}

#[test]
fn who_is_banned_appeals_once_at_a_time() {
    given(registered()).when(asks(appeal(1))).then_rejected(Rejection::NotBanned);
    given(history(facts([banned()]))).when(asks(appeal(1))).then(facts([appealed(1)]));
    given(history(facts([banned(), appealed(1)])))
        .when(asks(appeal(2)))
        .then_rejected(Rejection::AppealUndecided { appeal: apl(1), due: at(5) });
    let again = history(facts([banned(), appealed(1), decided(Decision::Uphold)]));
    given(again).when(asks(appeal(2))).then(facts([appealed(2)]));
}

#[test]
fn a_person_decides_on_an_appeal_once() {
    let undecided = || history(facts([banned(), appealed(1)]));
    given(undecided()).when(asks(decide_as(Decision::Uphold))).then(facts([decided(Decision::Uphold)]));
    let lifted =
        || facts([decided(Decision::Lift), Fact::BanLifted(cause()), told(Standing::Active, &[], None)]);
    given(undecided()).when(asks(decide_as(Decision::Lift))).then(lifted());

    let done = || undecided().into_iter().chain(lifted());
    given(done()).when(asks(decide_as(Decision::Lift))).then([]);
    given(done()).when(asks(decide_as(Decision::Uphold))).then_rejected(Rejection::AppealEnded);
    given(done()).when(asks(Do::Withdraw(apl(1)))).then_rejected(Rejection::AppealEnded);
    given(history([])).when(asks(decide_as(Decision::Lift))).then_rejected(Rejection::AppealUnknown);
}

#[test]
fn an_appeal_can_be_withdrawn_and_is_not_decided_then() {
    let undecided = || history(facts([banned(), appealed(1)]));
    given(undecided()).when(asks(Do::Withdraw(apl(1)))).then(facts([withdrawn()]));
    let done = || undecided().into_iter().chain(facts([withdrawn()]));
    given(done()).when(asks(Do::Withdraw(apl(1)))).then([]);
    given(done()).when(asks(decide_as(Decision::Lift))).then_rejected(Rejection::AppealEnded);
}

#[test]
fn b27_an_appeal_that_nobody_decides_on_in_time_is_told_and_stands() {
    let state = after([banned(), appealed(1)]).standing;
    let early = Timestamp::from_micros(at(5).as_micros() - 1);
    assert_eq!(overdue(&state, early), None);
    assert_eq!(overdue(&state, at(5)), Some(Fact::AppealOverdue { id: apl(1), due: at(5) }));
    let late = after([banned(), appealed(1), Fact::AppealOverdue { id: apl(1), due: at(5) }]);
    assert_eq!(late.standing, state);
    assert_eq!(overdue(&after([banned(), appealed(1), withdrawn()]).standing, at(9)), None);
}

#[test]
fn b05_n34_codes_for_leaving_are_made_and_taken_whatever_the_standing_is() {
    let all = [Fact::SignInFrozen(can(1)), Fact::SignInFrozen(can(2)), banned(), appealed(1)];
    for count in 0..=all.len() {
        let before = || history(facts(all[..count].to_vec()));
        given(before()).when(start(1, at(0))).then([started(1, at(0))]);
        let sent = before().into_iter().chain([started(1, at(0))]);
        given(sent).when(complete(true, at(1))).then([completed()]);
    }
}

#[test]
fn the_standing_of_an_account_that_is_about_to_close_changes_no_more() {
    let doomed = || history([Event::KeyDestructionIntended(can(1))]);
    for command in [ban("FRAUD"), Do::Lift(cause()), appeal(1), Do::Withdraw(apl(1))] {
        given(doomed()).when(asks(command)).then_rejected(Rejection::Closed);
    }
}
