//! Single values: money, instants, names of enumerations, scopes.

use proto::types::v1 as pb;
use types::{Currency, Money, Timestamp};

/// `CNY 128.40`; empty where there is none.
#[must_use]
pub fn money(amount: Option<&pb::Money>) -> String {
    let Some(amount) = amount else { return String::new() };
    match Currency::parse(&amount.currency_code) {
        Ok(currency) => Money { currency, minor_units: amount.minor_units }.to_string(),
        Err(_) => format!("{} {}", amount.currency_code, amount.minor_units),
    }
}

/// `2026-12-05`, the day in UTC; empty where there is none.
#[must_use]
pub fn day(at: Option<&prost_types::Timestamp>) -> String {
    format(at, "%Y-%m-%d")
}

/// `2026-12-05 08:00:00 UTC`; empty where there is none.
#[must_use]
pub fn moment(at: Option<&prost_types::Timestamp>) -> String {
    format(at, "%Y-%m-%d %H:%M:%S UTC")
}

fn format(at: Option<&prost_types::Timestamp>, pattern: &str) -> String {
    let instant = at.and_then(Timestamp::from_proto);
    instant.map(|instant| instant.to_jiff().strftime(pattern).to_string()).unwrap_or_default()
}

/// An enumeration's name as people say it: `STATE_AWAITING_CONFIRMATION` without its prefix is
/// `awaiting confirmation`.
#[must_use]
pub fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase().replace('_', " ")
}

/// What ends.
#[must_use]
pub fn scope(scope: Option<&pb::Scope>) -> String {
    match scope.and_then(|scope| scope.kind.as_ref()) {
        None => "nothing".into(),
        Some(pb::scope::Kind::WholeAccount(_)) => "the whole account".into(),
        Some(pb::scope::Kind::Named(name)) => format!("scope {name}"),
        Some(pb::scope::Kind::Selected(selected)) => {
            let items: Vec<_> = selected.items.iter().map(item).collect();
            items.join(", ")
        }
    }
}

fn item(item: &pb::Item) -> String {
    let action = word(item.action().as_str_name(), "ACTION_");
    let kind = word(item.kind().as_str_name(), "ITEM_KIND_");
    format!("{action} of {kind} {}", item.id).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_people_write_them() {
        let amount = pb::Money { currency_code: "CNY".into(), minor_units: 12_840 };
        assert_eq!(money(Some(&amount)), "CNY 128.40");
        assert_eq!(money(None), "");
        let at = prost_types::Timestamp { seconds: 1_763_712_000, nanos: 0 };
        assert_eq!(day(Some(&at)), "2025-11-21");
        assert_eq!(moment(Some(&at)), "2025-11-21 08:00:00 UTC");
        assert_eq!(word("STATE_AWAITING_CONFIRMATION", "STATE_"), "awaiting confirmation");
    }

    #[test]
    fn a_scope_names_each_item_and_what_becomes_of_it() {
        let item = pb::Item {
            kind: pb::ItemKind::Subscription.into(),
            id: "sub_1".into(),
            action: pb::Action::StopRenewal.into(),
        };
        let selected = pb::SelectedItems { items: vec![item] };
        let selected = pb::Scope { kind: Some(pb::scope::Kind::Selected(selected)) };
        assert_eq!(scope(Some(&selected)), "stop renewal of subscription sub_1");
        assert_eq!(scope(None), "nothing");
    }
}
