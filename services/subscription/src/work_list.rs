//! The work of those who decide on refunds and of those who pay them: whatever is undecided or unpaid,
//! whoever's it is, what is due first standing first.

use std::collections::BTreeMap;

use event_store::ListQuery;
use participant::{AccountError, Accounts, ListWish};
use proto::subscription::v1 as pb;
use types::{SubjectId, Timestamp};

use crate::{
    Subscriptions,
    domain::{Late, MoneyEvent, Refund, RefundId, State},
    wire,
};

/// A subject stands in it with one row, by what is open of theirs.
const LIST: &str = "refunds";
const REVIEW: &str = "review";
const PAYMENT: &str = "payment";
const BOTH: &str = "both";
const NONE: &str = "none";

/// How many rows are read together.
const ROWS: usize = 500;

/// Where a refund stands in the list.
pub(crate) type Place = (Timestamp, RefundId);

/// Which part of it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What waits for a decision.
    pub review: bool,
    /// What waits for a payment.
    pub payment: bool,
    /// What stands after this place.
    pub after: Option<Place>,
    /// How many at the most.
    pub limit: usize,
}

impl Wanted {
    fn wants(&self, late: Late) -> bool {
        match late {
            Late::Review => self.review,
            Late::Payment => self.payment,
        }
    }

    fn states(&self) -> Vec<&'static str> {
        let one = |wanted, state| if wanted { Some(state) } else { None };
        [one(self.review, REVIEW), one(self.payment, PAYMENT), Some(BOTH)].into_iter().flatten().collect()
    }
}

/// The row of a subject after a fact that moves one of their refunds.
pub(crate) fn row(state: &State, event: &MoneyEvent) -> Option<ListWish> {
    match event {
        MoneyEvent::RefundApplied { .. }
        | MoneyEvent::RefundApproved { .. }
        | MoneyEvent::RefundRefused { .. }
        | MoneyEvent::RefundPaid { .. } => {}
        MoneyEvent::ChargeRecorded(_)
        | MoneyEvent::LateChargeSeen(_)
        | MoneyEvent::RefundOverdue { .. }
        | MoneyEvent::RecordsRestricted { .. }
        | MoneyEvent::RecordsErased { .. } => return None,
    }
    let since = state.refunds.iter().map(|refund| refund.applied_at).min()?;
    let open = |late| state.refunds.iter().filter_map(Refund::due).any(|(by, _)| by == late);
    let state = match (open(Late::Review), open(Late::Payment)) {
        (true, true) => BOTH,
        (true, false) => REVIEW,
        (false, true) => PAYMENT,
        (false, false) => NONE,
    };
    Some(ListWish { list: LIST, state, since })
}

/// A page of it, and the place that it ended with when there are more. All that is open is looked at, for
/// the store keeps no order of dates that move; of it no more is held than the page has.
pub(crate) async fn page(
    accounts: &Accounts<Subscriptions>,
    wanted: &Wanted,
) -> Result<(Vec<pb::Refund>, Option<Place>), AccountError> {
    let states = wanted.states().into_iter().map(Into::into).collect();
    let mut query = ListQuery { list: LIST.into(), owner: None, states, after: None, limit: ROWS };
    let mut found = BTreeMap::new();
    loop {
        let rows = accounts.store().list(&query).await?;
        for row in &rows.rows {
            let Ok(subject) = SubjectId::parse(&row.owner) else { continue };
            gather(&mut found, &accounts.stored(&subject).await?.state, wanted);
        }
        match rows.rows.last() {
            Some(last) if rows.more => query.after = Some((last.since, last.stream.clone())),
            _ => break,
        }
    }
    let more = found.len() > wanted.limit;
    if more {
        found.pop_last();
    }
    let last = found.last_key_value().map(|(place, _)| place.clone()).filter(|_| more);
    Ok((found.into_values().collect(), last))
}

/// Takes what is wanted of a subject's refunds, and lets go what is too much for a page and one more.
fn gather(found: &mut BTreeMap<Place, pb::Refund>, state: &State, wanted: &Wanted) {
    for refund in &state.refunds {
        let Some((_, due)) = refund.due().filter(|(late, _)| wanted.wants(*late)) else { continue };
        let place = (due, refund.id.clone());
        if wanted.after.as_ref().is_some_and(|after| place <= *after) {
            continue;
        }
        found.insert(place, wire::refund(refund, state));
        if found.len() > wanted.limit.saturating_add(1) {
            found.pop_last();
        }
    }
}
