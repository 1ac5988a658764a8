//! Charges as they land, also those that should not have been made any more.
//!
//! Within a day of its date nobody can promise that a charge is not made. What lands after renewal was
//! stopped or suspended is therefore no fault to be refused but money to be given back: by us where we
//! bill, by the store where it does, and by hand where neither is sure.

use types::{CancellationId, Money, Timestamp};

use super::{
    Approval, Billing, Decided, Destination, MoneyEvent, RefundId, RefundReason, Rejection, State, Status,
    Subscription, SubscriptionId,
};

/// Who decides where nobody has to.
pub const AUTOMATIC: &str = "automatic";

/// One charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// For which subscription.
    pub subscription: SubscriptionId,
    /// The number that who charged has of it.
    pub reference: String,
    /// How much.
    pub amount: Money,
    /// When it was made.
    pub charged_at: Timestamp,
}

/// A charge that should not have been made any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateCharge {
    /// The charge.
    pub charge: Charge,
    /// Who made it.
    pub billing: Billing,
    /// Since when it should not have been made.
    pub stopped_at: Timestamp,
    /// The cancellation that says so; none where renewal was switched off or paused without one.
    pub cancellation: Option<CancellationId>,
    /// The refund that follows; none where only the store pays back.
    pub refund: Option<RefundId>,
}

/// What a charge may bring about, worked out before it is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consequent {
    /// The id of a refund, should one follow.
    pub refund: RefundId,
    /// By when it is then paid.
    pub pay_by: Timestamp,
    /// By when a person decides, should one have to.
    pub review_until: Timestamp,
    /// When.
    pub now: Timestamp,
}

impl Subscription {
    /// Since when a charge at that moment should not have been made, and which cancellation says so.
    fn stopped(&self, at: Timestamp) -> Option<(Timestamp, Option<CancellationId>)> {
        let paused = self.pause.filter(|pause| (pause.since..pause.until).contains(&at));
        let stopped = match self.status {
            Status::Active => {
                let first = self.frozen_by.iter().min_by_key(|(_, since)| **since);
                first.map(|(cancellation, since)| (*since, Some(cancellation.clone())))
            }
            Status::WillNotRenew | Status::Ended => {
                self.will_not_renew_at.map(|since| (since, self.ended_by.clone()))
            }
        };
        stopped.filter(|(since, _)| at >= *since).or(paused.map(|pause| (pause.since, None)))
    }
}

/// Records a charge and what it brings about. The same again adds nothing.
pub(super) fn record(state: &State, charge: Charge, then: Consequent) -> Result<Vec<MoneyEvent>, Rejection> {
    let Some(subscription) = state.get(charge.subscription.as_str()) else {
        return Err(Rejection::Unknown(charge.subscription));
    };
    let gone = |(id, reference): &(SubscriptionId, String)| {
        (id, reference) == (&charge.subscription, &charge.reference)
    };
    if state.erased_charges.iter().any(gone) {
        return Ok(vec![]);
    }
    let known = |it: &&Charge| {
        (&it.subscription, it.reference.as_str()) == (&charge.subscription, charge.reference.as_str())
    };
    if let Some(first) = state.charges.iter().find(known) {
        let same = *first == charge;
        return if same { Ok(vec![]) } else { Err(Rejection::ChargeExists(charge.reference)) };
    }
    let stopped = subscription.stopped(charge.charged_at);
    let Some((stopped_at, cancellation)) = stopped else {
        return Ok(vec![MoneyEvent::ChargeRecorded(charge)]);
    };
    let billing = subscription.terms.billing;
    let Consequent { refund, pay_by, review_until, now } = then;
    let owed = (!billing.is_store()).then(|| refund.clone());
    let (id, reason, amount) = (charge.subscription.clone(), RefundReason::LateCharge, charge.amount);
    let seen = LateCharge { charge, billing, stopped_at, cancellation, refund: owed };
    let mut events = vec![MoneyEvent::LateChargeSeen(Box::new(seen))];
    match billing {
        Billing::Merchant => events.push(MoneyEvent::RefundApproved {
            id: refund,
            subscription: id,
            reason,
            approval: Approval { amount, destination: Destination::OriginalMeans, pay_by },
            decided: Decided { by: AUTOMATIC.into(), at: now },
        }),
        Billing::AppStore | Billing::GooglePlay => {}
        Billing::WechatPay | Billing::Alipay | Billing::Stripe | Billing::Carrier | Billing::QqWallet => {
            events.push(MoneyEvent::RefundApplied {
                id: refund,
                subscription: id,
                reason,
                at: now,
                review_until,
            });
        }
    }
    Ok(events)
}
