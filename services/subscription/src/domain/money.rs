//! What happens to money: charges, and refunds from the application to the payment.

use types::Timestamp;

use super::{
    Approval, Billing, Charge, Decided, Gone, Late, LateCharge, Refund, RefundId, RefundReason, RefundState,
    Refusal, Restriction, State, SubscriptionId, records,
};

/// What has happened to money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MoneyEvent {
    /// This was charged, as it should be.
    ChargeRecorded(Charge),
    /// This was charged, and should not have been any more.
    LateChargeSeen(Box<LateCharge>),
    /// The subject asks for money back, or somebody must look into it for them.
    RefundApplied {
        /// The refund's id.
        id: RefundId,
        /// For which subscription.
        subscription: SubscriptionId,
        /// Why.
        reason: RefundReason,
        /// When.
        at: Timestamp,
        /// By when a person decides.
        review_until: Timestamp,
    },
    /// It is to be paid, once, under its id as the key.
    RefundApproved {
        /// The refund's id.
        id: RefundId,
        /// For which subscription.
        subscription: SubscriptionId,
        /// Why.
        reason: RefundReason,
        /// How much, where to, by when.
        approval: Approval,
        /// Who decided, and when.
        decided: Decided,
    },
    /// It is not paid.
    RefundRefused {
        /// The refund's id.
        id: RefundId,
        /// Why.
        refusal: Refusal,
        /// Who decided, and when.
        decided: Decided,
    },
    /// It was paid.
    RefundPaid {
        /// The refund's id.
        id: RefundId,
        /// For which subscription.
        subscription: SubscriptionId,
        /// How much, and where to.
        approval: Approval,
        /// The payer's own number of the payment.
        reference: String,
        /// When.
        at: Timestamp,
    },
    /// Nobody has decided on it, or paid it, in time.
    RefundOverdue {
        /// The refund's id.
        id: RefundId,
        /// For which subscription.
        subscription: SubscriptionId,
        /// Who is late.
        late: Late,
        /// By when they had to.
        due: Timestamp,
    },
    /// The records of refunds are kept for one ground only.
    RecordsRestricted {
        /// Of which.
        refunds: Vec<RefundId>,
        /// Why and until when.
        restriction: Restriction,
    },
    /// The records of refunds are gone.
    RecordsErased {
        /// Of which.
        refunds: Vec<RefundId>,
        /// Why and since when.
        gone: Gone,
    },
}

impl MoneyEvent {
    /// The refund that it brings into being.
    #[must_use]
    pub fn begins(&self) -> Option<&RefundId> {
        match self {
            Self::RefundApplied { id, .. } => Some(id),
            // Where we bill, nobody has to apply.
            Self::LateChargeSeen(late) if late.billing == Billing::Merchant => late.refund.as_ref(),
            Self::ChargeRecorded(_)
            | Self::LateChargeSeen(_)
            | Self::RefundApproved { .. }
            | Self::RefundRefused { .. }
            | Self::RefundPaid { .. }
            | Self::RefundOverdue { .. }
            | Self::RecordsRestricted { .. }
            | Self::RecordsErased { .. } => None,
        }
    }
}

/// Applies one fact. Total: what does not fit changes nothing.
pub(super) fn evolve(state: &mut State, event: &MoneyEvent) {
    let find = |refunds: &[Refund], id: &RefundId| refunds.iter().position(|it| it.id == *id);
    let refunds = &mut state.refunds;
    match event {
        MoneyEvent::ChargeRecorded(charge) => state.charges.push(charge.clone()),
        MoneyEvent::LateChargeSeen(late) => {
            state.charges.push(late.charge.clone());
            state.late_charges.push((**late).clone());
        }
        MoneyEvent::RefundApplied { id, subscription, reason, at, review_until } => refunds.push(Refund {
            id: id.clone(),
            subscription: subscription.clone(),
            reason: *reason,
            applied_at: *at,
            state: RefundState::UnderReview { until: *review_until },
            kept: None,
        }),
        MoneyEvent::RefundApproved { id, subscription, reason, approval, decided } => {
            let state = RefundState::Approved(*approval, decided.clone());
            match find(refunds, id) {
                Some(place) => refunds[place].state = state,
                // Nobody had to apply for it.
                None => refunds.push(Refund {
                    id: id.clone(),
                    subscription: subscription.clone(),
                    reason: *reason,
                    applied_at: decided.at,
                    state,
                    kept: None,
                }),
            }
        }
        MoneyEvent::RefundRefused { id, refusal, decided } => {
            if let Some(place) = find(refunds, id) {
                refunds[place].state = RefundState::Refused(refusal.clone(), decided.clone());
            }
        }
        MoneyEvent::RefundPaid { id, approval, reference, at, .. } => {
            if let Some(place) = find(refunds, id)
                && let RefundState::Approved(_, decided) = &refunds[place].state
            {
                let (approval, decided) = (*approval, decided.clone());
                refunds[place].state =
                    RefundState::Paid { approval, decided, reference: reference.clone(), at: *at };
            }
        }
        MoneyEvent::RefundOverdue { .. } => {}
        MoneyEvent::RecordsRestricted { refunds, restriction } => {
            records::restrict(state, refunds, restriction);
        }
        MoneyEvent::RecordsErased { refunds, gone } => records::erase(state, refunds, gone),
    }
}

#[cfg(test)]
mod tests;
