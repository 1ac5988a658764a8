//! Going on for less.

use super::*;

#[test]
fn a_cheaper_plan_begins_with_the_next_period_and_can_be_left_all_the_same() {
    let basic = Plan { tier: "Basic".into(), price: Some(cny(900)), ..terms(Billing::Merchant).plan };
    let offered = Terms { alternative: Some(basic.clone()), ..terms(Billing::Merchant) };
    let downgrade = |withdraw| Command::Downgrade { id: id("sub_1"), withdraw, now: at(NOW) };
    let before = given([record("sub_1", offered, true)]);
    let taken = given_after(&before, downgrade(false));
    assert_eq!(taken.subscriptions[0].terms, before.subscriptions[0].terms, "what is paid stays");
    assert_eq!(taken.subscriptions[0].downgraded_at, Some(at(NOW)));
    assert_eq!(decide(&taken, downgrade(false)), Ok(vec![]));
    assert_eq!(ended(taken.clone(), &Wanted::All, NOW).1, ended(before.clone(), &Wanted::All, NOW).1);

    let renewed = given_after(&taken, renewal(NEXT_PERIOD_END, PERIOD_END));
    let it = &renewed.subscriptions[0];
    assert_eq!((&it.terms.plan, &it.terms.alternative, it.downgraded_at), (&basic, &None, None));
    let refused = decide(&renewed, downgrade(false));
    assert_eq!(refused, Err(Rejection::NoAlternative(id("sub_1"))));

    // Who thinks again stays with what they have.
    let back = given_after(&taken, downgrade(true));
    assert_eq!((&back, decide(&back, downgrade(true))), (&before, Ok(vec![])));
    let renewed = given_after(&back, renewal(NEXT_PERIOD_END, PERIOD_END));
    assert_eq!(renewed.subscriptions[0].terms.plan, before.subscriptions[0].terms.plan);
    let refused = decide(&one(Billing::Carrier), downgrade(false));
    assert_eq!(refused, Err(Rejection::NotMerchantBilled(id("sub_1"))));
}

fn given_after(state: &State, command: Command) -> State {
    decide(state, command).unwrap().iter().fold(state.clone(), evolve)
}
