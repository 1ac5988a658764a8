//! Money that goes back: applied for and decided by a person, or owed for a charge that came too late.
//!
//! A refund is an intent with an id that is also the key under which it is paid, and a confirmation that
//! it was. It goes to the means that was charged or is paid out: never into a wallet, where it could
//! block the end of the account.

use types::{Money, Timestamp};

use super::{Billing, MoneyEvent, Rejection, Restriction, State, SubscriptionId, Wanted};

types::minted_id!(
    /// One refund, and the key under which it is paid: once, whatever is repeated.
    RefundId, "ref"
);

/// How many refunds of one subject may be under review at once.
pub const REVIEWS_MAX: usize = 50;

/// Why money shall go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefundReason {
    /// What was paid for was not used.
    Unused,
    /// It was bought by mistake.
    Accidental,
    /// It is not what was promised.
    NotAsDescribed,
    /// It was charged for after it should not have been any more.
    LateCharge,
    /// Something else, told to whoever decides.
    Other,
}

/// Where money goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Destination {
    /// Where it came from.
    OriginalMeans,
    /// To the subject, on a way of theirs.
    PayOut,
}

/// That it shall be paid: the intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Approval {
    /// How much.
    pub amount: Money,
    /// Where to.
    pub destination: Destination,
    /// By when.
    pub pay_by: Timestamp,
}

/// Why it shall not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// UPPER_SNAKE_CASE.
    pub code: String,
    /// The legal or contractual basis.
    pub basis: String,
    /// What the subject can do about it.
    pub remedy: String,
}

/// What a person decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is paid.
    Approve(Approval),
    /// It is not.
    Refuse(Refusal),
}

/// Who decided, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Who, as the one who called said it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// Where a refund stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundState {
    /// A person decides on it.
    UnderReview {
        /// By then.
        until: Timestamp,
    },
    /// It is not paid.
    Refused(Refusal, Decided),
    /// It is to be paid.
    Approved(Approval, Decided),
    /// It was paid.
    Paid {
        /// What was approved.
        approval: Approval,
        /// By whom.
        decided: Decided,
        /// The payer's own number of the payment.
        reference: String,
        /// When it was paid.
        at: Timestamp,
    },
}

/// Who has to act on a refund next, and may be late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Late {
    /// Who decides.
    Review,
    /// Who pays.
    Payment,
}

/// One refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// Its id.
    pub id: RefundId,
    /// For which subscription.
    pub subscription: SubscriptionId,
    /// Why.
    pub reason: RefundReason,
    /// When it was applied for, or seen to be owed.
    pub applied_at: Timestamp,
    /// Where it stands.
    pub state: RefundState,
    /// Why and until when its record is kept for nothing else; none while it is in use.
    pub kept: Option<Restriction>,
}

impl Refund {
    /// By when a person decides, while nobody has.
    #[must_use]
    pub fn review_until(&self) -> Option<Timestamp> {
        match self.state {
            RefundState::UnderReview { until } => Some(until),
            RefundState::Refused(..) | RefundState::Approved(..) | RefundState::Paid { .. } => None,
        }
    }

    /// Who has to act on it next, and by when; none where nobody has.
    #[must_use]
    pub fn due(&self) -> Option<(Late, Timestamp)> {
        match &self.state {
            RefundState::UnderReview { until } => Some((Late::Review, *until)),
            RefundState::Approved(approval, _) => Some((Late::Payment, approval.pay_by)),
            RefundState::Refused(..) | RefundState::Paid { .. } => None,
        }
    }

    /// When it was paid.
    #[must_use]
    pub fn paid_at(&self) -> Option<Timestamp> {
        match self.state {
            RefundState::Paid { at, .. } => Some(at),
            RefundState::UnderReview { .. } | RefundState::Refused(..) | RefundState::Approved(..) => None,
        }
    }

    /// What is still to be paid.
    #[must_use]
    pub fn unpaid(&self) -> Option<&Approval> {
        match &self.state {
            RefundState::Approved(approval, _) => Some(approval),
            RefundState::UnderReview { .. } | RefundState::Refused(..) | RefundState::Paid { .. } => None,
        }
    }
}

impl State {
    /// The refund of that id.
    #[must_use]
    pub fn refund(&self, id: &RefundId) -> Option<&Refund> {
        self.refunds.iter().find(|refund| refund.id == *id)
    }
}

/// The refunds that a cancellation concerns, in the order in which they came up: those of what it ends,
/// also where that has ended before.
pub fn refunds<'a>(state: &'a State, wanted: &'a Wanted) -> impl Iterator<Item = &'a Refund> {
    state.refunds.iter().filter(|refund| wanted.names(refund.subscription.as_str()))
}

/// That nobody has decided on a refund, or paid it, in time. Nothing ends by that.
#[must_use]
pub fn refund_overdue(state: &State, id: &str, now: Timestamp) -> Option<MoneyEvent> {
    let refund = state.refunds.iter().find(|refund| refund.id.as_str() == id)?;
    let (late, due) = refund.due().filter(|(_, due)| *due <= now)?;
    let (id, subscription) = (refund.id.clone(), refund.subscription.clone());
    Some(MoneyEvent::RefundOverdue { id, subscription, late, due })
}

/// Takes an application.
pub(super) fn apply_for(
    state: &State,
    id: RefundId,
    subscription: SubscriptionId,
    reason: RefundReason,
    (now, review_until): (Timestamp, Timestamp),
) -> Result<Vec<MoneyEvent>, Rejection> {
    let Some(found) = state.get(subscription.as_str()) else { return Err(Rejection::Unknown(subscription)) };
    if found.terms.billing.is_store() {
        return Err(Rejection::RefundedByStore { id: subscription, billing: found.terms.billing });
    }
    let mut reviews = state.refunds.iter().filter(|refund| refund.review_until().is_some());
    if let Some(first) = reviews.clone().find(|refund| refund.subscription == subscription) {
        return Err(Rejection::RefundUnderReview { first: first.id.clone() });
    }
    if reviews.nth(REVIEWS_MAX - 1).is_some() {
        return Err(Rejection::TooManyReviews);
    }
    Ok(vec![MoneyEvent::RefundApplied { id, subscription, reason, at: now, review_until }])
}

/// Takes a person's decision. The same again adds nothing; another is refused.
pub(super) fn decide_on(
    state: &State,
    id: RefundId,
    decision: Decision,
    decided: Decided,
) -> Result<Vec<MoneyEvent>, Rejection> {
    if state.erased(&id).is_some() {
        return Err(Rejection::RefundDecided(id));
    }
    let Some(refund) = state.refund(&id) else { return Err(Rejection::UnknownRefund(id)) };
    let same = match (&refund.state, &decision) {
        (RefundState::UnderReview { .. }, _) => None,
        (RefundState::Refused(before, _), Decision::Refuse(now)) => Some(before == now),
        (
            RefundState::Approved(before, _) | RefundState::Paid { approval: before, .. },
            Decision::Approve(now),
        ) => Some((before.amount, before.destination) == (now.amount, now.destination)),
        (RefundState::Refused(..), Decision::Approve(_))
        | (RefundState::Approved(..) | RefundState::Paid { .. }, Decision::Refuse(_)) => Some(false),
    };
    match (same, decision) {
        (Some(true), _) => Ok(vec![]),
        (Some(false), _) => Err(Rejection::RefundDecided(id)),
        (None, Decision::Approve(approval)) => {
            let (subscription, reason) = (refund.subscription.clone(), refund.reason);
            Ok(vec![MoneyEvent::RefundApproved { id, subscription, reason, approval, decided }])
        }
        (None, Decision::Refuse(refusal)) => Ok(vec![MoneyEvent::RefundRefused { id, refusal, decided }]),
    }
}

/// Takes the confirmation that it was paid. The same again adds nothing.
pub(super) fn record_paid(
    state: &State,
    id: RefundId,
    reference: String,
    at: Timestamp,
) -> Result<Vec<MoneyEvent>, Rejection> {
    // Only the record of one that was paid is erased.
    if state.erased(&id).is_some() {
        return Ok(vec![]);
    }
    let Some(refund) = state.refund(&id) else { return Err(Rejection::UnknownRefund(id)) };
    match &refund.state {
        RefundState::Approved(approval, _) => {
            let (subscription, approval) = (refund.subscription.clone(), *approval);
            Ok(vec![MoneyEvent::RefundPaid { id, subscription, approval, reference, at }])
        }
        RefundState::Paid { reference: first, .. } if *first == reference => Ok(vec![]),
        RefundState::Paid { reference: first, .. } => Err(Rejection::RefundPaid { id, first: first.clone() }),
        RefundState::UnderReview { .. } | RefundState::Refused(..) => Err(Rejection::RefundNotApproved(id)),
    }
}

impl Billing {
    /// Whether a store bills, which alone pays back what it charged.
    #[must_use]
    pub fn is_store(self) -> bool {
        match self {
            Self::AppStore | Self::GooglePlay => true,
            Self::Merchant
            | Self::WechatPay
            | Self::Alipay
            | Self::Stripe
            | Self::Carrier
            | Self::QqWallet => false,
        }
    }
}
