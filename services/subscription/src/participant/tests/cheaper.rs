//! An offer to go on for less.

use super::*;

#[test]
fn a_cheaper_plan_is_offered_only_where_the_law_allows_it_and_changes_no_deadline_of_the_exit() {
    let cheaper = |state: State| {
        let mut state = state;
        for it in &mut state.subscriptions {
            let price = it.terms.plan.price.map(|price| Money { minor_units: 900, ..price });
            let (name, tier, link) = ("Video".into(), "Basic".into(), String::new());
            it.terms.alternative = Some(Plan { name, tier, price, link });
        }
        state
    };
    let offered = |case: &Case, state: &State| {
        let items = assess(case, state).items;
        let offers = items.into_iter().filter(|item| item.code == "DOWNGRADE_POSSIBLE");
        offers.map(|item| (item.item_id, item.text)).collect::<Vec<_>>()
    };
    let both = ["sub_m", "sub_a"].map(|id| item(id, Action::StopRenewal));
    let chosen = case(Scope::Selected(both.into()));
    let text = "It could go on as Video (Basic) for CNY 9.00 a period instead, once the paid period is over.";
    let two = cheaper(two());
    assert_eq!(offered(&chosen, &two), [("sub_m".to_owned(), text.to_owned())]);
    assert_eq!(offered(&case(Scope::WholeAccount), &two), []);
    assert_eq!(offered(&Case { scope: Scope::Named("termination".into()), ..chosen.clone() }, &two), []);
    assert_eq!(offered(&chosen, &super::two()), [], "there is nothing cheaper");

    // It is told beside the rest and moves no date of it; nor does choosing it.
    let rest = |state: &State| {
        let mut items = assess(&chosen, state).items;
        items.retain(|item| item.code != "DOWNGRADE_POSSIBLE");
        items
    };
    assert_eq!(rest(&two), rest(&super::two()));
    let (id, now) = (SubscriptionId::parse("sub_m").unwrap(), at(NOW));
    let taken = decide(&two, Command::Downgrade { id, withdraw: false, now }).unwrap();
    let taken = apply(two.clone(), &taken);
    assert_eq!(assess(&chosen, &taken), assess(&chosen, &two));
    let it = Subscriptions::default();
    for step in [Subscriptions::execute, Subscriptions::resume, Subscriptions::freeze, Subscriptions::undo] {
        assert_eq!(step(&it, &chosen, &taken, at(NOW)), step(&it, &chosen, &two, at(NOW)));
    }
}
