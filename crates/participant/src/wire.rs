//! Between protobuf and the shared words: scopes, money, editions.

use proto::types::v1 as pb;
use types::{Action, Currency, Edition, Item, ItemKind, Money, Scope};

/// Money for the wire.
#[must_use]
pub fn money(money: Money) -> pb::Money {
    pb::Money { currency_code: money.currency.as_str().to_owned(), minor_units: money.minor_units }
}

/// Money from the wire; `None` when the currency is not one.
#[must_use]
pub fn money_from(money: &pb::Money) -> Option<Money> {
    let currency = Currency::parse(&money.currency_code).ok()?;
    Some(Money { currency, minor_units: money.minor_units })
}

/// An edition for the wire.
#[must_use]
pub fn edition(edition: Edition) -> pb::Edition {
    match edition {
        Edition::Domestic => pb::Edition::Domestic,
        Edition::International => pb::Edition::International,
    }
}

/// An edition from the wire; what is not told is domestic.
#[must_use]
pub fn edition_from(edition: i32) -> Edition {
    match pb::Edition::try_from(edition) {
        Ok(pb::Edition::International) => Edition::International,
        Ok(pb::Edition::Domestic | pb::Edition::Unspecified) | Err(_) => Edition::Domestic,
    }
}

/// An item's kind for the wire.
#[must_use]
pub fn item_kind(kind: ItemKind) -> pb::ItemKind {
    match kind {
        ItemKind::Subscription => pb::ItemKind::Subscription,
        ItemKind::PayscoreAuthorization => pb::ItemKind::PayscoreAuthorization,
        ItemKind::FacePayment => pb::ItemKind::FacePayment,
        ItemKind::DataCategory => pb::ItemKind::DataCategory,
    }
}

/// An item's kind from the wire.
#[must_use]
pub fn item_kind_from(kind: i32) -> Option<ItemKind> {
    match pb::ItemKind::try_from(kind).ok()? {
        pb::ItemKind::Unspecified => None,
        pb::ItemKind::Subscription => Some(ItemKind::Subscription),
        pb::ItemKind::PayscoreAuthorization => Some(ItemKind::PayscoreAuthorization),
        pb::ItemKind::FacePayment => Some(ItemKind::FacePayment),
        pb::ItemKind::DataCategory => Some(ItemKind::DataCategory),
    }
}

/// An action from the wire.
#[must_use]
pub fn action_from(action: i32) -> Option<Action> {
    match pb::Action::try_from(action).ok()? {
        pb::Action::Unspecified => None,
        pb::Action::StopRenewal => Some(Action::StopRenewal),
        pb::Action::EndNow => Some(Action::EndNow),
        pb::Action::Unbind => Some(Action::Unbind),
        pb::Action::Disable => Some(Action::Disable),
        pb::Action::Erase => Some(Action::Erase),
    }
}

fn action(action: Action) -> pb::Action {
    match action {
        Action::StopRenewal => pb::Action::StopRenewal,
        Action::EndNow => pb::Action::EndNow,
        Action::Unbind => pb::Action::Unbind,
        Action::Disable => pb::Action::Disable,
        Action::Erase => pb::Action::Erase,
    }
}

/// An item for the wire.
#[must_use]
pub fn item(item: &Item) -> pb::Item {
    pb::Item { kind: item_kind(item.kind).into(), id: item.id.clone(), action: action(item.action).into() }
}

/// An item from the wire; `None` when its kind or action is not one.
#[must_use]
pub fn item_from(item: &pb::Item) -> Option<Item> {
    let (kind, action) = (item_kind_from(item.kind)?, action_from(item.action)?);
    Some(Item { kind, id: item.id.clone(), action })
}

/// A scope for the wire.
#[must_use]
pub fn scope(scope: &Scope) -> pb::Scope {
    let kind = match scope {
        Scope::WholeAccount => pb::scope::Kind::WholeAccount(pb::WholeAccount {}),
        Scope::Selected(items) => {
            pb::scope::Kind::Selected(pb::SelectedItems { items: items.iter().map(item).collect() })
        }
        Scope::Named(name) => pb::scope::Kind::Named(name.clone()),
    };
    pb::Scope { kind: Some(kind) }
}

/// A scope from the wire; `None` when it is empty or has an item that is not one.
#[must_use]
pub fn scope_from(scope: &pb::Scope) -> Option<Scope> {
    Some(match scope.kind.as_ref()? {
        pb::scope::Kind::WholeAccount(_) => Scope::WholeAccount,
        pb::scope::Kind::Selected(selected) => {
            Scope::Selected(selected.items.iter().map(item_from).collect::<Option<_>>()?)
        }
        pb::scope::Kind::Named(name) => Scope::Named(name.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [ItemKind; 4] = [
        ItemKind::Subscription,
        ItemKind::PayscoreAuthorization,
        ItemKind::FacePayment,
        ItemKind::DataCategory,
    ];
    const ACTIONS: [Action; 5] =
        [Action::StopRenewal, Action::EndNow, Action::Unbind, Action::Disable, Action::Erase];

    #[test]
    fn every_item_comes_back_from_the_wire_as_it_went() {
        for kind in KINDS {
            for action in ACTIONS {
                let there = Item { kind, id: "thing".into(), action };
                assert_eq!(item_from(&item(&there)), Some(there));
            }
        }
    }

    #[test]
    fn every_word_of_the_wire_is_known_here_but_for_the_one_that_says_nothing() {
        for number in 1..=4 {
            assert_eq!(item_kind_from(number).map(|kind| item_kind(kind).into()), Some(number));
        }
        for number in 1..=5 {
            assert_eq!(action_from(number).map(|word| action(word).into()), Some(number));
        }
        for number in [0, 6, 99, -1] {
            assert_eq!(item_kind_from(number), None);
            assert_eq!(action_from(number), None);
        }
    }

    #[test]
    fn every_edition_comes_back_and_what_is_not_told_is_domestic() {
        for there in [Edition::Domestic, Edition::International] {
            assert_eq!(edition_from(edition(there).into()), there);
        }
        assert_eq!(edition_from(0), Edition::Domestic);
        assert_eq!(edition_from(99), Edition::Domestic);
    }

    #[test]
    fn every_scope_comes_back_and_an_empty_or_partly_unknown_one_is_none() {
        let thing = Item { kind: ItemKind::FacePayment, id: "thing".into(), action: Action::Disable };
        for there in [Scope::WholeAccount, Scope::Selected(vec![thing.clone()]), Scope::Named("part".into())]
        {
            assert_eq!(scope_from(&scope(&there)), Some(there));
        }
        assert_eq!(scope_from(&pb::Scope { kind: None }), None);
        let items = vec![item(&thing), pb::Item { action: 0, ..item(&thing) }];
        let partly = pb::Scope { kind: Some(pb::scope::Kind::Selected(pb::SelectedItems { items })) };
        assert_eq!(scope_from(&partly), None);
    }

    #[test]
    fn money_comes_back_unless_its_currency_is_none() {
        let there = Money { currency: Currency::parse("CNY").unwrap(), minor_units: -150 };
        assert_eq!(money_from(&money(there)), Some(there));
        for currency_code in ["", "yuan", "CN"] {
            let strange = pb::Money { currency_code: currency_code.into(), minor_units: 1 };
            assert_eq!(money_from(&strange), None);
        }
    }
}
