//! Records of what was paid back: once what they are about has ended they are kept for one ground and
//! nothing else, and go when their date comes.

use types::{CancellationId, Timestamp};

use super::{
    Gone, MoneyEvent, Refund, RefundId, Restriction, State, SubscriptionId, Treatment, Wanted, refunds,
};

/// How many refunds one fact is about, so that it always fits into an event of the store.
const TOGETHER_MAX: usize = 500;

/// What is left of a refund whose record is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasedRefund {
    /// Its id.
    pub id: RefundId,
    /// For which subscription it was.
    pub subscription: SubscriptionId,
    /// Why it is gone, and since when.
    pub gone: Gone,
}

impl State {
    /// What is left of the refund of that id, whose record is gone.
    #[must_use]
    pub fn erased(&self, id: &RefundId) -> Option<&ErasedRefund> {
        self.erased_refunds.iter().find(|refund| refund.id == *id)
    }
}

impl Refund {
    /// Whether it is kept for that long already.
    fn is_kept_until(&self, until: Option<Timestamp>) -> bool {
        match (self.kept.as_ref().map(|kept| kept.until), until) {
            (None, _) | (Some(Some(_)), None) => false,
            (Some(None), _) => true,
            (Some(Some(known)), Some(until)) => known >= until,
        }
    }
}

/// Treats the records of a cancellation's refunds as the law says, when it is carried out. Doing it twice
/// adds nothing.
#[must_use]
pub fn treat(
    state: &State,
    wanted: &Wanted,
    treatment: Treatment,
    cancellation: &CancellationId,
    now: Timestamp,
) -> Vec<MoneyEvent> {
    let paid = refunds(state, wanted).filter(|refund| refund.paid_at().is_some());
    let mut ids: Vec<_> = match &treatment {
        Treatment::Restrict { until, .. } => {
            paid.filter(|refund| !refund.is_kept_until(*until)).map(|it| it.id.clone()).collect()
        }
        // While the account goes on, what was paid back is the subject's to look at.
        Treatment::Erase(_) if *wanted != Wanted::All => Vec::new(),
        Treatment::Erase(_) => paid.filter(|refund| refund.kept.is_none()).map(|it| it.id.clone()).collect(),
    };
    let mut events = Vec::new();
    while !ids.is_empty() {
        let rest = ids.split_off(ids.len().min(TOGETHER_MAX));
        let together = std::mem::replace(&mut ids, rest);
        events.push(treated(together, treatment.clone(), cancellation, now));
    }
    events
}

/// That these refunds' records are treated so.
#[must_use]
pub fn treated(
    refunds: Vec<RefundId>,
    treatment: Treatment,
    cancellation: &CancellationId,
    now: Timestamp,
) -> MoneyEvent {
    let cancellation = cancellation.clone();
    match treatment {
        Treatment::Restrict { ground, basis, until } => {
            let restriction = Restriction { ground, basis, until, cancellation, since: now };
            MoneyEvent::RecordsRestricted { refunds, restriction }
        }
        Treatment::Erase(basis) => {
            let gone = Gone { basis, cancellation, since: now, due: None };
            MoneyEvent::RecordsErased { refunds, gone }
        }
    }
}

/// Erases a record whose date has come, and with it those that were restricted by the same fact.
#[must_use]
pub fn expire(state: &State, id: &str, now: Timestamp) -> Option<MoneyEvent> {
    let found = state.refunds.iter().find(|refund| refund.id.as_str() == id)?;
    let restriction = found.kept.as_ref()?;
    let due = restriction.until.filter(|until| *until <= now)?;
    let alike = state.refunds.iter().filter(|refund| refund.kept.as_ref() == Some(restriction));
    // That one first, so that it goes however many there are.
    let others = alike.map(|refund| &refund.id).filter(|other| *other != &found.id);
    let refunds = std::iter::once(&found.id).chain(others).take(TOGETHER_MAX).cloned().collect();
    let gone = Gone {
        basis: restriction.basis.clone(),
        cancellation: restriction.cancellation.clone(),
        since: now,
        due: Some(due),
    };
    Some(MoneyEvent::RecordsErased { refunds, gone })
}

/// Restricts the records of refunds.
pub(super) fn restrict(state: &mut State, ids: &[RefundId], restriction: &Restriction) {
    for refund in state.refunds.iter_mut().filter(|refund| ids.contains(&refund.id)) {
        refund.kept = Some(restriction.clone());
    }
}

/// Lets the records of refunds go, and with each the charge that it paid back. Of that charge only its
/// number stays: told of once more, it must not be paid back again.
pub(super) fn erase(state: &mut State, ids: &[RefundId], gone: &Gone) {
    for id in ids {
        let Some(place) = state.refunds.iter().position(|refund| refund.id == *id) else { continue };
        let Refund { id, subscription, .. } = state.refunds.remove(place);
        let paid_back = state.late_charges.iter().position(|late| late.refund.as_ref() == Some(&id));
        if let Some(place) = paid_back {
            let charge = state.late_charges.remove(place).charge;
            state.charges.retain(|it| *it != charge);
            state.erased_charges.push((charge.subscription, charge.reference));
        }
        state.erased_refunds.push(ErasedRefund { id, subscription, gone: gone.clone() });
    }
}

#[cfg(test)]
mod tests;
