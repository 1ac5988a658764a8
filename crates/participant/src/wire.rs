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
