//! A quote: everything that will follow, grouped by what it means to the subject.

use proto::{
    cancellation::v1::Quote,
    participant::v1::{Kept, QuoteItem, QuoteItemKind as Kind},
};

use super::{Lines, day, money, word};

/// The groups, in the order in which they are told.
const GROUPS: [(&str, &[Kind]); 7] = [
    ("Ends", &[Kind::Ends]),
    ("Lapses", &[Kind::Lapses]),
    ("Money", &[Kind::Money]),
    ("Is kept, because the law demands it, and used for nothing else", &[Kind::Kept]),
    ("Is erased or made anonymous", &[Kind::Erased, Kind::Anonymised]),
    ("Will be different", &[Kind::Effect, Kind::Unspecified]),
    ("You must still do", &[Kind::SubjectAction]),
];

/// All consequences by group, and the digest: of what is to be confirmed, or was `confirmed`.
#[must_use]
pub fn quote(of: &Quote, confirmed: bool) -> String {
    let mut lines = Lines::default();
    lines.add("What will follow:");
    for (title, kinds) in GROUPS {
        let items: Vec<_> = of.items.iter().filter(|item| kinds.contains(&item.kind())).collect();
        if items.is_empty() {
            continue;
        }
        lines.add(format!("  {title}:"));
        for item in items {
            one(&mut lines, item);
        }
    }
    let digest = if confirmed { "Confirmed digest" } else { "Digest to confirm" };
    lines.add(format!("  {digest}: {}", of.digest));
    lines.0
}

fn one(lines: &mut Lines, item: &QuoteItem) {
    lines.add(format!("    • {}", title(item)));
    if !item.text.is_empty() && item.text != item.title {
        lines.add(format!("      {}", item.text));
    }
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: String| {
        if !value.is_empty() {
            facts.push(format!("{name} {value}"));
        }
    };
    fact("no charge from", day(item.will_not_renew_at.as_ref()));
    fact("access ends", day(item.access_ends_at.as_ref()));
    let paid = if item.kind() == Kind::Lapses { "paid for it:" } else { "amount:" };
    fact(paid, money(item.amount.as_ref()));
    fact("by", day(item.due_at.as_ref()));
    if !facts.is_empty() {
        lines.add(format!("      {}", facts.join(", ")));
    }
    // Whoever says it in words has said it in the controller's own zone.
    if let Some(kept) = item.kept.as_ref().filter(|_| item.text.is_empty()) {
        lines.add(format!("      {}", held(kept)));
    }
    if !item.link.is_empty() {
        lines.add(format!("      → {}", item.link));
    }
}

/// What it is called, and how many where that does not say.
fn title(item: &QuoteItem) -> String {
    let title = if item.title.is_empty() { word(&item.code, "") } else { item.title.clone() };
    let counted = item.quantity <= 1 || title.starts_with(|first: char| first.is_ascii_digit());
    if counted { title } else { format!("{} × {title}", item.quantity) }
}

/// By whom, why, until when.
fn held(kept: &Kept) -> String {
    let until = match day(kept.until.as_ref()) {
        day if day.is_empty() => "until its controller decides".to_owned(),
        day => format!("until {day}"),
    };
    format!("kept by {} for {} ({}), {until}", kept.controller, word(&kept.ground, ""), kept.source)
}

#[cfg(test)]
mod tests {
    use proto::types::v1::Money;

    use super::*;

    #[test]
    fn a_quote_is_told_by_what_it_means_to_the_subject() {
        let at = Some(prost_types::Timestamp { seconds: 1_763_712_000, nanos: 0 });
        let kept = Kept {
            ground: "ANTI_MONEY_LAUNDERING".into(),
            source: "Some Law, article 1".into(),
            controller: "Bank".into(),
            until: at,
            ..Kept::default()
        };
        let item = |kind: Kind, title: &str| QuoteItem {
            kind: kind.into(),
            title: title.into(),
            ..QuoteItem::default()
        };
        let items = vec![
            QuoteItem {
                link: "https://example.com".into(),
                due_at: at,
                ..item(Kind::SubjectAction, "Store")
            },
            QuoteItem { will_not_renew_at: at, access_ends_at: at, ..item(Kind::Ends, "Video") },
            QuoteItem { kept: Some(kept), ..item(Kind::Kept, "Records") },
            QuoteItem {
                quantity: 1_250,
                amount: Some(Money { currency_code: "CNY".into(), minor_units: 0 }),
                ..item(Kind::Lapses, "Points")
            },
        ];
        let text = quote(&Quote { digest: "ab".into(), items, ..Quote::default() }, false);
        let expected = "\
What will follow:
  Ends:
    • Video
      no charge from 2025-11-21, access ends 2025-11-21
  Lapses:
    • 1250 × Points
      paid for it: CNY 0.00
  Is kept, because the law demands it, and used for nothing else:
    • Records
      kept by Bank for anti money laundering (Some Law, article 1), until 2025-11-21
  You must still do:
    • Store
      by 2025-11-21
      → https://example.com
  Digest to confirm: ab
";
        assert_eq!(text, expected);
    }
}
