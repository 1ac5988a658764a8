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

/// The rules for a scope that somebody of that region asks for at that moment.
pub(crate) fn rules(
    packs: &Packs,
    selection: &Selection,
    scope: &Scope,
    region: &str,
    at: Timestamp,
) -> Rules {
    let kind = match scope {
        Scope::WholeAccount => WHOLE_ACCOUNT,
        Scope::Selected(_) => SELECTED,
        Scope::Named(name) => name,
    };
    let pack = packs.of_region(region);
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
