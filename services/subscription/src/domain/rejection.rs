//! Why a command about subscriptions is refused.

use types::{CancellationId, Timestamp};

use super::{Billing, REVIEWS_MAX, RefundId, SubscriptionId};

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The subject has no such subscription.
    #[error("the subject has no subscription {0}")]
    Unknown(SubscriptionId),
    /// No provider charges for it: what happens to it is decided here.
    #[error("subscription {0} is billed by the merchant: no provider has a state of it")]
    NotProviderBilled(SubscriptionId),
    /// It has ended, and that is final.
    #[error("subscription {0} has ended, and that is final")]
    Ended(SubscriptionId),
    /// Something newer is recorded already.
    #[error("a state observed at {last} is recorded already")]
    ObservationOutdated {
        /// When that was true.
        last: Timestamp,
    },
    /// Its provider renews it, and says so.
    #[error("subscription {0} is billed by its provider: nothing is renewed here")]
    NotMerchantBilled(SubscriptionId),
    /// Its renewals are suspended.
    #[error(
        "the renewals of subscription {id} are suspended by cancellation {by}: it must not be charged for"
    )]
    RenewalFrozen {
        /// Of which.
        id: SubscriptionId,
        /// By which cancellation.
        by: CancellationId,
    },
    /// No further charge is made for it.
    #[error("the renewal of subscription {0} is stopped: it must not be charged for")]
    RenewalStopped(SubscriptionId),
    /// There is nothing cheaper to go on with.
    #[error("subscription {0} has no cheaper alternative")]
    NoAlternative(SubscriptionId),
    /// The subject paused it.
    #[error("subscription {id} is paused until {until}: it must not be charged for")]
    Paused {
        /// Which.
        id: SubscriptionId,
        /// Until when.
        until: Timestamp,
    },
    /// The period has been charged for already.
    #[error("subscription {id} is paid until {until} already: the new period must end later")]
    PeriodPaid {
        /// Which.
        id: SubscriptionId,
        /// Until when.
        until: Timestamp,
    },
    /// Who charged has told of another charge under that number.
    #[error("the reference {0} stands for another charge of the subscription already")]
    ChargeExists(String),
    /// The subject has no such refund.
    #[error("the subject has no refund {0}")]
    UnknownRefund(RefundId),
    /// Only the store pays back what it charged.
    #[error("subscription {id} is billed by a store, which alone pays back what it charged")]
    RefundedByStore {
        /// Which.
        id: SubscriptionId,
        /// Which store.
        billing: Billing,
    },
    /// A person looks into one for the same subscription.
    #[error("refund {first} for the same subscription is under review")]
    RefundUnderReview {
        /// That one.
        first: RefundId,
    },
    /// Nobody could look into one more.
    #[error("{REVIEWS_MAX} refunds of the subject are under review, and there may be no more")]
    TooManyReviews,
    /// It was decided otherwise.
    #[error("refund {0} is decided otherwise already")]
    RefundDecided(RefundId),
    /// Nobody said that it is to be paid.
    #[error("refund {0} is not approved: nothing of it is to be paid")]
    RefundNotApproved(RefundId),
    /// It was paid under another number.
    #[error("refund {id} was paid already, with payment {first}")]
    RefundPaid {
        /// Which.
        id: RefundId,
        /// The number of that payment.
        first: String,
    },
    /// One quote could not tell of all the subscriptions any more.
    #[error("the subject has as many subscriptions as one account can have")]
    TooMany,
}
