//! In what a quote differs from the one that the subject accepted, item by item, and whether that is
//! theirs to accept again.

use std::collections::BTreeMap;

use proto::{
    participant::v1::{Kept, QuoteItem, QuoteItemKind},
    types::v1::Money,
};
use types::{ParticipantName, Timestamp};

use crate::{
    domain::{Answer, Case, Difference, DifferenceKind, DriftLimits},
    wire::decoded,
};

/// What makes an item the same one: its kind, code, item and data set, and its place among those alike.
type Key = (i32, String, String, String, usize);

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Every difference between what was accepted and what was assessed since, in the roster's order.
pub(crate) fn differences(case: &Case) -> Vec<Difference> {
    let limits = case.request.terms.drift;
    let unfinished = case.participants().filter(|(_, progress)| !progress.is_finished());
    unfinished
        .flat_map(|(entry, progress)| {
            let of = |answer: Option<&Answer>| answer.map(items).unwrap_or_default();
            compare(
                &entry.name,
                &of(progress.accepted.as_deref()),
                &of(progress.assessment.as_deref()),
                limits,
            )
        })
        .collect()
}

fn items(answer: &Answer) -> Vec<QuoteItem> {
    decoded(answer).assessment.map(|assessment| assessment.items).unwrap_or_default()
}

fn keyed(items: &[QuoteItem]) -> BTreeMap<Key, &QuoteItem> {
    let mut keyed = BTreeMap::new();
    for item in items {
        let data_set = item.kept.as_ref().map_or(String::new(), |kept| kept.data_set_id.clone());
        let mut key: Key = (item.kind, item.code.clone(), item.item_id.clone(), data_set, 0);
        while keyed.contains_key(&key) {
            key.4 += 1;
        }
        keyed.insert(key, item);
    }
    keyed
}

fn compare(
    participant: &ParticipantName,
    before: &[QuoteItem],
    after: &[QuoteItem],
    limits: DriftLimits,
) -> Vec<Difference> {
    let (before, after) = (keyed(before), keyed(after));
    let mut found = Vec::new();
    let mut differs = |item: &QuoteItem, kind, material, (before, after): (String, String)| {
        found.push(Difference {
            participant: participant.clone(),
            kind,
            item_kind: item.kind,
            code: item.code.clone(),
            item_id: item.item_id.clone(),
            before,
            after,
            material,
        });
    };
    for (key, was) in &before {
        match after.get(key) {
            None => differs(was, DifferenceKind::Removed, removal_is_material(was), Default::default()),
            Some(is) => {
                for (kind, material, texts) in changes(was, is, limits) {
                    differs(is, kind, material, texts);
                }
            }
        }
    }
    for (_, is) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
        differs(is, DifferenceKind::Added, is.kind() != QuoteItemKind::Effect, Default::default());
    }
    found
}

/// Money that would come back and does not is the subject's to accept. That less ends, lapses, is kept or
/// is to be done takes nothing from them.
fn removal_is_material(item: &QuoteItem) -> bool {
    item.kind() == QuoteItemKind::Money
}

fn changes(
    was: &QuoteItem,
    is: &QuoteItem,
    limits: DriftLimits,
) -> Vec<(DifferenceKind, bool, (String, String))> {
    let mut found = Vec::new();
    if was.amount != is.amount {
        let material = money_is_material(was.amount.as_ref(), is.amount.as_ref(), limits);
        found.push((DifferenceKind::Amount, material, (money(&was.amount), money(&is.amount))));
    }
    if was.quantity != is.quantity {
        // Less than was accepted to lapse is no loss.
        let material = is.quantity > was.quantity;
        found.push((DifferenceKind::Quantity, material, (was.quantity.to_string(), is.quantity.to_string())));
    }
    let dates = [
        (was.will_not_renew_at, is.will_not_renew_at),
        (was.access_ends_at, is.access_ends_at),
        (was.due_at, is.due_at),
        (until(was), until(is)),
    ];
    for (was, is) in dates.into_iter().filter(|(was, is)| was != is) {
        let (was, is) = (instant(was), instant(is));
        let texts = (text(was), text(is));
        found.push((DifferenceKind::Date, date_is_material(was, is, limits), texts));
    }
    if ground(was) != ground(is) {
        found.push((DifferenceKind::Kept, true, (ground(was), ground(is))));
    }
    if (&was.title, &was.text, &was.link) != (&is.title, &is.text, &is.link) {
        found.push((DifferenceKind::Wording, false, Default::default()));
    }
    found
}

fn money_is_material(was: Option<&Money>, is: Option<&Money>, limits: DriftLimits) -> bool {
    match (was, is) {
        (Some(was), Some(is)) if was.currency_code == is.currency_code => {
            was.minor_units.abs_diff(is.minor_units) > limits.money_minor_units
        }
        _ => true,
    }
}

fn date_is_material(was: Option<Timestamp>, is: Option<Timestamp>, limits: DriftLimits) -> bool {
    match (was, is) {
        (Some(was), Some(is)) => {
            let apart = was.as_micros().abs_diff(is.as_micros());
            apart > u64::from(limits.days).saturating_mul(MICROS_PER_DAY.unsigned_abs())
        }
        _ => true,
    }
}

fn instant(at: Option<prost_types::Timestamp>) -> Option<Timestamp> {
    at.as_ref().and_then(Timestamp::from_proto)
}

fn text(at: Option<Timestamp>) -> String {
    at.map(|at| at.to_string()).unwrap_or_default()
}

fn until(item: &QuoteItem) -> Option<prost_types::Timestamp> {
    item.kept.as_ref().and_then(|kept| kept.until)
}

fn ground(item: &QuoteItem) -> String {
    let named = |kept: &Kept| format!("{} {} {}", kept.category, kept.ground, kept.controller);
    item.kept.as_ref().map(named).unwrap_or_default()
}

fn money(amount: &Option<Money>) -> String {
    let named = |money: &Money| format!("{} {}", money.currency_code, money.minor_units);
    amount.as_ref().map(named).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: DriftLimits = DriftLimits { money_minor_units: 10, days: 15 };
    const DAY: i64 = MICROS_PER_DAY;

    fn item(kind: QuoteItemKind) -> QuoteItem {
        QuoteItem { kind: kind.into(), code: "CODE".into(), item_id: "it_1".into(), ..QuoteItem::default() }
    }

    fn amount(minor_units: i64) -> Option<Money> {
        Some(Money { currency_code: "CNY".into(), minor_units })
    }

    fn on(day: i64) -> Option<prost_types::Timestamp> {
        Some(Timestamp::from_micros(day * DAY).to_proto())
    }

    #[track_caller]
    fn check(before: &[QuoteItem], after: &[QuoteItem], expected: &[(DifferenceKind, bool)]) {
        let name = ParticipantName::parse("a").unwrap();
        let found = compare(&name, before, after, LIMITS);
        let found: Vec<_> = found.iter().map(|found| (found.kind, found.material)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_the_same_does_not_differ_in_whatever_order() {
        let (ends, kept) = (item(QuoteItemKind::Ends), item(QuoteItemKind::Kept));
        check(&[ends.clone(), kept.clone()], &[kept, ends], &[]);
    }

    #[test]
    fn what_is_new_is_asked_again_but_for_a_mere_effect() {
        check(&[], &[item(QuoteItemKind::Lapses)], &[(DifferenceKind::Added, true)]);
        check(&[], &[item(QuoteItemKind::Effect)], &[(DifferenceKind::Added, false)]);
    }

    #[test]
    fn what_is_gone_is_asked_again_only_where_it_was_money() {
        check(&[item(QuoteItemKind::Money)], &[], &[(DifferenceKind::Removed, true)]);
        check(&[item(QuoteItemKind::Ends)], &[], &[(DifferenceKind::Removed, false)]);
    }

    #[test]
    fn amounts_and_dates_differ_materially_beyond_the_packs_thresholds() {
        let money = |units| vec![QuoteItem { amount: amount(units), ..item(QuoteItemKind::Money) }];
        check(&money(100), &money(110), &[(DifferenceKind::Amount, false)]);
        check(&money(100), &money(89), &[(DifferenceKind::Amount, true)]);
        let ends = |day| vec![QuoteItem { access_ends_at: on(day), ..item(QuoteItemKind::Ends) }];
        check(&ends(1), &ends(16), &[(DifferenceKind::Date, false)]);
        check(&ends(20), &ends(1), &[(DifferenceKind::Date, true)]);
        let never = vec![item(QuoteItemKind::Ends)];
        check(&never, &ends(1), &[(DifferenceKind::Date, true)]);
    }

    #[test]
    fn more_that_lapses_and_another_keeper_are_material_and_less_and_words_are_not() {
        let lapses = |quantity| vec![QuoteItem { quantity, ..item(QuoteItemKind::Lapses) }];
        check(&lapses(5), &lapses(6), &[(DifferenceKind::Quantity, true)]);
        check(&lapses(5), &lapses(4), &[(DifferenceKind::Quantity, false)]);
        let kept = |controller: &str| {
            let kept = Some(Kept { controller: controller.into(), ..Kept::default() });
            vec![QuoteItem { kept, ..item(QuoteItemKind::Kept) }]
        };
        check(&kept("a bank"), &kept("another"), &[(DifferenceKind::Kept, true)]);
        let titled = |title: &str| vec![QuoteItem { title: title.into(), ..item(QuoteItemKind::Ends) }];
        check(&titled("Music"), &titled("Songs"), &[(DifferenceKind::Wording, false)]);
    }
}
