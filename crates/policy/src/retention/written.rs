//! Retention as packs write it, read with every fault named.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Anchor, Category, ControllerClass, Retention, RetentionAction, RetentionRule, Term, is_ground};
use crate::{Authority, Period, Tier, read::Reader};

pub(super) const GROUND_CHARS_MAX: usize = 63;

/// A category's rules as they are written.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenRetention {
    rules: Vec<WrittenRule>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    id: String,
    action: WrittenAction,
    ground: Option<String>,
    period: Option<String>,
    anchor: Option<Anchor>,
    longest: Option<String>,
    #[serde(default)]
    controllers: Vec<ControllerClass>,
    authority: Authority,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WrittenAction {
    Erase,
    Anonymise,
    Restrict,
}

/// Reads the rules of every category. Each must say something for every class of controllers; and no
/// rule that binds less than `keeps_by` may have anything kept.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    written: BTreeMap<String, WrittenRetention>,
    keeps_by: Tier,
) -> Retention {
    let mut all = BTreeMap::new();
    for (name, category) in &written {
        let at = format!("retention.{name}");
        match Category::parse(&name.to_uppercase()).filter(|it| it.name().to_lowercase() == *name) {
            Some(it) => drop(all.insert(it, rules(reader, &at, category, keeps_by))),
            None => reader.fault(&at, "there is no such category of data"),
        }
    }
    for category in Category::ALL.into_iter().filter(|category| !all.contains_key(category)) {
        let at = format!("retention.{}", category.name().to_lowercase());
        reader.fault(&at, "is missing, here and in what this extends: what becomes of such data?");
    }
    Retention(all)
}

fn rules(
    reader: &mut Reader<'_>,
    at: &str,
    category: &WrittenRetention,
    keeps_by: Tier,
) -> Vec<RetentionRule> {
    let mut rules = Vec::new();
    for (number, written) in category.rules.iter().enumerate() {
        rules.extend(rule(reader, &format!("{at}.rules[{number}]"), written, keeps_by));
    }
    let of = |class: &ControllerClass| {
        let binds = |it: &WrittenRule| it.controllers.is_empty() || it.controllers.contains(class);
        category.rules.iter().any(binds)
    };
    for class in ControllerClass::ALL.iter().filter(|class| !of(class)) {
        reader.fault(at, &format!("says nothing for a controller of class {}", class.name()));
    }
    rules
}

fn rule(reader: &mut Reader<'_>, at: &str, written: &WrittenRule, keeps_by: Tier) -> Option<RetentionRule> {
    let action = match written.action {
        WrittenAction::Restrict => {
            if written.authority.tier > keeps_by {
                let message = format!(
                    "data is kept by a {}, and here no less than {keeps_by} may do that",
                    written.authority.tier
                );
                reader.fault(at, &message);
            }
            let ground = written.ground.clone().unwrap_or_default();
            if !is_ground(&ground) {
                let message = format!("must be 1 to {GROUND_CHARS_MAX} capital letters, digits and _");
                reader.fault(&format!("{at}.ground"), &message);
            }
            RetentionAction::Restrict { ground, term: term(reader, at, written)? }
        }
        other => {
            let surplus = [&written.ground, &written.period, &written.longest];
            if written.anchor.is_some() || surplus.iter().any(|field| field.is_some()) {
                reader.fault(at, "ground, period, anchor and longest are for what is restricted");
            }
            if other == WrittenAction::Erase { RetentionAction::Erase } else { RetentionAction::Anonymise }
        }
    };
    let WrittenRule { id, controllers, authority, .. } = written.clone();
    Some(RetentionRule { id, action, controllers, authority })
}

/// For how long; `None` when that cannot be read.
fn term(reader: &mut Reader<'_>, at: &str, written: &WrittenRule) -> Option<Option<Term>> {
    let mut civil = |field: &str, text: &Option<String>| match text {
        None => Some(None),
        Some(text) => {
            let at = format!("{at}.{field}");
            let period: Period = reader.parsed(&at, text)?;
            if !matches!(period, Period::Civil { .. }) || period.is_zero() {
                reader.fault(&at, "must be years, months and days, and not none");
            }
            Some(Some(period))
        }
    };
    let (period, longest) = (civil("period", &written.period), civil("longest", &written.longest));
    match (period?, written.anchor, longest?) {
        (Some(period), Some(anchor), longest) => Some(Some(Term { period, anchor, longest })),
        (None, None, None) => Some(None),
        _ => {
            reader.fault(at, "period and anchor stand both or neither, and longest only with them");
            None
        }
    }
}
