//! Which rules a new cancellation stands under: those of the roster where it says any, and those of the
//! policy pack of the subject's region.

use std::time::Duration;

use policy::{Gates, Packs};
use types::{Scope, Timestamp};

use crate::{
    domain::{CaseClock, DriftLimits, Terms},
    roster::{SELECTED, Selection, WHOLE_ACCOUNT},
};

/// The clock that measures the whole.
const COMPLETE: &str = "complete";

/// What is frozen into a cancellation beside its roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Neither assessment nor confirmation.
    pub(crate) gates_none: bool,
    /// How many tokens a confirmation needs.
    pub(crate) tokens_required: u32,
    /// What the pack says.
    pub(crate) terms: Terms,
}

/// By which rules a scope goes: those of its kind or, where a pack has any, of what is declared with it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind<'a> {
    scope: &'a str,
    intent: Option<&'a str>,
}

pub(crate) fn kind_of<'a>(scope: &'a Scope, intent: Option<&'a str>) -> Kind<'a> {
    let scope = match scope {
        Scope::WholeAccount => WHOLE_ACCOUNT,
        Scope::Selected(_) => SELECTED,
        Scope::Named(name) => name,
    };
    Kind { scope, intent }
}

/// The rules for what somebody of that region asks for at that moment.
pub(crate) fn rules(
    packs: &Packs,
    selection: &Selection,
    kind: Kind<'_>,
    region: &str,
    at: Timestamp,
) -> Rules {
    let pack = packs.of_region(region);
    let declared = kind.intent.filter(|intent| pack.is_some_and(|pack| pack.scopes.contains_key(*intent)));
    let kind = declared.unwrap_or(kind.scope);
    let scope = pack.and_then(|pack| pack.scope(kind));
    let gates_none = selection.gates_none.or(scope.map(|scope| scope.gates == Gates::None));
    let tokens_required = selection.tokens_required.or(scope.map(|scope| scope.factors));
    let gates_none = gates_none.unwrap_or_default();
    let terms = pack.zip(scope).map(|(pack, scope)| Terms {
        pack: pack.id.clone(),
        version: pack.version,
        scope_kind: kind.to_owned(),
        cooling_off: if gates_none { Duration::ZERO } else { scope.cooling_off.span() },
        clock: pack.reckon(COMPLETE, at, &[], false).map(|reckoned| CaseClock {
            due: reckoned.due,
            pauses: reckoned.pauses,
            extended: reckoned.extension_notice.and_then(|_| Some(pack.reckon(COMPLETE, at, &[], true)?.due)),
            notice_by: reckoned.extension_notice,
            rule: reckoned.rule,
        }),
        drift: DriftLimits { money_minor_units: pack.drift.money_minor_units_max, days: pack.drift.days_max },
        offers: scope.offers.iter().map(ToString::to_string).collect(),
    });
    Rules {
        gates_none,
        tokens_required: tokens_required.unwrap_or_default(),
        terms: terms.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use policy::Files;

    use super::*;

    const NOTHING_SAID: Selection =
        Selection { entries: Vec::new(), gates_none: None, tokens_required: None };

    fn of(selection: &Selection, scope: &Scope, intent: Option<&str>, region: &str) -> Rules {
        let packs = Packs::read(&Files::built_in()).unwrap();
        rules(&packs, selection, kind_of(scope, intent), region, Timestamp::EPOCH)
    }

    #[test]
    fn a_german_termination_is_accepted_at_once_and_elsewhere_it_is_a_choice_of_items() {
        let selected = Scope::Selected(Vec::new());
        let german = of(&NOTHING_SAID, &selected, Some("termination"), "DE");
        assert_eq!((german.gates_none, german.tokens_required), (true, 0));
        assert_eq!(german.terms.scope_kind, "termination");
        let chinese = of(&NOTHING_SAID, &selected, Some("termination"), "CN");
        assert_eq!((chinese.gates_none, chinese.tokens_required), (false, 1));
        assert_eq!(chinese.terms.scope_kind, "selected");
    }

    #[test]
    fn what_the_roster_says_goes_before_the_pack() {
        let said = Selection { gates_none: Some(true), tokens_required: Some(2), ..NOTHING_SAID };
        let rules = of(&said, &Scope::WholeAccount, None, "DE");
        assert_eq!((rules.gates_none, rules.tokens_required), (true, 2));
        // Nobody confirms it, so there is nothing to think over.
        assert_eq!(rules.terms.cooling_off, Duration::ZERO);
    }

    #[test]
    fn b21_the_clock_of_the_whole_is_counted_when_it_is_asked_for() {
        let clock = of(&NOTHING_SAID, &Scope::WholeAccount, None, "DE").terms.clock.unwrap();
        assert_eq!((clock.rule.as_str(), clock.pauses), ("eu.gdpr.12.3", true));
        // One month from 1 January 1970, the last day of which is a Sunday; three with the extension.
        assert_eq!(clock.due.day(), "1970-02-02");
        assert!(clock.extended.unwrap() > clock.due && clock.notice_by == Some(clock.due));
    }
}
