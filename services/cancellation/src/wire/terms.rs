//! The rules that a cancellation stands under, and how facts differ from those accepted.

use std::time::Duration;

use proto::cancellation::v1 as pb;
use types::{ParticipantName, Timestamp};

use crate::domain::{CaseClock, Difference, DifferenceKind, DriftLimits, Terms};

/// `None` for those of before there were packs.
pub(super) fn to_proto(terms: &Terms) -> Option<pb::Terms> {
    (*terms != Terms::default()).then(|| pb::Terms {
        pack: terms.pack.clone(),
        version: terms.version,
        scope_kind: terms.scope_kind.clone(),
        cooling_off_ms: u64::try_from(terms.cooling_off.as_millis()).unwrap_or(u64::MAX),
        clock: terms.clock.as_ref().map(|clock| pb::CaseClock {
            due_at: Some(clock.due.to_proto()),
            rule: clock.rule.clone(),
            extended_due_at: clock.extended.map(Timestamp::to_proto),
            extension_notice_by: clock.notice_by.map(Timestamp::to_proto),
            pauses: clock.pauses,
        }),
        drift: Some(pb::DriftLimits {
            money_minor_units_max: terms.drift.money_minor_units,
            days_max: terms.drift.days,
        }),
        offers: terms.offers.clone(),
    })
}

/// `None` for what no release wrote: a clock without its end, or a moment that is none.
pub(super) fn from_proto(stored: pb::Terms) -> Option<Terms> {
    let at = |at: Option<prost_types::Timestamp>| match at {
        None => Some(None),
        Some(at) => Timestamp::from_proto(&at).map(Some),
    };
    let clock = match stored.clock {
        None => None,
        Some(clock) => Some(CaseClock {
            due: at(clock.due_at)??,
            rule: clock.rule,
            extended: at(clock.extended_due_at)?,
            notice_by: at(clock.extension_notice_by)?,
            pauses: clock.pauses,
        }),
    };
    let drift = stored.drift.unwrap_or_default();
    Some(Terms {
        pack: stored.pack,
        version: stored.version,
        scope_kind: stored.scope_kind,
        cooling_off: Duration::from_millis(stored.cooling_off_ms),
        clock,
        drift: DriftLimits { money_minor_units: drift.money_minor_units_max, days: drift.days_max },
        offers: stored.offers,
    })
}

pub(super) fn difference_to(difference: &Difference) -> pb::Difference {
    let kind = match difference.kind {
        DifferenceKind::Added => pb::DifferenceKind::Added,
        DifferenceKind::Removed => pb::DifferenceKind::Removed,
        DifferenceKind::Amount => pb::DifferenceKind::Amount,
        DifferenceKind::Quantity => pb::DifferenceKind::Quantity,
        DifferenceKind::Date => pb::DifferenceKind::Date,
        DifferenceKind::Kept => pb::DifferenceKind::Kept,
        DifferenceKind::Wording => pb::DifferenceKind::Wording,
    };
    pb::Difference {
        participant: difference.participant.to_string(),
        kind: kind.into(),
        item_kind: difference.item_kind,
        code: difference.code.clone(),
        item_id: difference.item_id.clone(),
        before: difference.before.clone(),
        after: difference.after.clone(),
        material: difference.material,
    }
}

pub(super) fn difference(stored: pb::Difference) -> Option<Difference> {
    let kind = match stored.kind() {
        pb::DifferenceKind::Unspecified => return None,
        pb::DifferenceKind::Added => DifferenceKind::Added,
        pb::DifferenceKind::Removed => DifferenceKind::Removed,
        pb::DifferenceKind::Amount => DifferenceKind::Amount,
        pb::DifferenceKind::Quantity => DifferenceKind::Quantity,
        pb::DifferenceKind::Date => DifferenceKind::Date,
        pb::DifferenceKind::Kept => DifferenceKind::Kept,
        pb::DifferenceKind::Wording => DifferenceKind::Wording,
    };
    Some(Difference {
        participant: ParticipantName::parse(&stored.participant).ok()?,
        kind,
        item_kind: stored.item_kind,
        code: stored.code,
        item_id: stored.item_id,
        before: stored.before,
        after: stored.after,
        material: stored.material,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(change: impl FnOnce(&mut pb::CaseClock)) -> pb::Terms {
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let mut clock = pb::CaseClock {
            due_at: at(10),
            rule: "rule".into(),
            extended_due_at: at(20),
            extension_notice_by: at(9),
            pauses: true,
        };
        change(&mut clock);
        pb::Terms { pack: "cn".into(), version: 1, clock: Some(clock), ..pb::Terms::default() }
    }

    #[test]
    fn terms_are_read_as_they_were_written_and_a_clock_may_have_no_extension() {
        let without = stored(|clock| (clock.extended_due_at, clock.extension_notice_by) = (None, None));
        for stored in [stored(|_| {}), without, pb::Terms { pack: "cn".into(), ..pb::Terms::default() }] {
            let read = from_proto(stored.clone()).unwrap();
            let drift = Some(stored.drift.unwrap_or_default());
            assert_eq!(to_proto(&read), Some(pb::Terms { drift, ..stored }));
        }
    }

    #[test]
    fn terms_whose_clock_has_no_end_or_a_moment_that_is_none_are_not_read_as_others() {
        const NONE: Option<prost_types::Timestamp> =
            Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 });
        for wrong in [
            stored(|clock| clock.due_at = None),
            stored(|clock| clock.due_at = NONE),
            stored(|clock| clock.extended_due_at = NONE),
            stored(|clock| clock.extension_notice_by = NONE),
        ] {
            assert_eq!(from_proto(wrong), None);
        }
    }
}
