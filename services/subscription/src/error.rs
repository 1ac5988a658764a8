//! Why a call is refused, and the one mapping of that to a status.

use service_kit::{CallError, Refusal, Refuse};
use tonic::Code;

use crate::{domain::Rejection, quote};

/// A call that is not fulfilled.
pub type Error = CallError<Rejection>;

impl Refuse for Rejection {
    fn refusal(&self) -> Refusal {
        let refuse = |code, reason| Refusal::new(code, reason, self.to_string());
        match self {
            Rejection::Unknown(_) => refuse(Code::NotFound, "NOT_FOUND"),
            Rejection::NotProviderBilled(_) => refuse(Code::FailedPrecondition, "NOT_PROVIDER_BILLED"),
            Rejection::Ended(_) => refuse(Code::FailedPrecondition, "SUBSCRIPTION_ENDED"),
            Rejection::ObservationOutdated { last } => {
                refuse(Code::FailedPrecondition, "OBSERVATION_OUTDATED").metadata("last", last.to_string())
            }
            Rejection::NotMerchantBilled(_) => refuse(Code::FailedPrecondition, "NOT_MERCHANT_BILLED"),
            Rejection::RenewalFrozen { by, .. } => {
                refuse(Code::FailedPrecondition, "RENEWAL_FROZEN").metadata("by", by.as_str())
            }
            Rejection::RenewalStopped(_) => refuse(Code::FailedPrecondition, "RENEWAL_STOPPED"),
            Rejection::NoAlternative(_) => refuse(Code::FailedPrecondition, "NO_ALTERNATIVE"),
            Rejection::Paused { until, .. } => {
                refuse(Code::FailedPrecondition, "SUBSCRIPTION_PAUSED").metadata("until", until.to_string())
            }
            Rejection::PeriodPaid { until, .. } => {
                refuse(Code::FailedPrecondition, "PERIOD_PAID").metadata("until", until.to_string())
            }
            Rejection::ChargeExists(_) => refuse(Code::AlreadyExists, "CHARGE_EXISTS"),
            Rejection::UnknownRefund(_) => refuse(Code::NotFound, "NOT_FOUND"),
            Rejection::RefundedByStore { billing, .. } => {
                refuse(Code::FailedPrecondition, "REFUNDED_BY_STORE")
                    .metadata("link", quote::refund(*billing).1)
            }
            Rejection::RefundUnderReview { first } => {
                refuse(Code::AlreadyExists, "REFUND_UNDER_REVIEW").metadata("first", first.as_str())
            }
            Rejection::TooManyReviews => refuse(Code::FailedPrecondition, "REFUNDS_TOO_MANY"),
            Rejection::RefundDecided(_) => refuse(Code::FailedPrecondition, "REFUND_DECIDED"),
            Rejection::RefundNotApproved(_) => refuse(Code::FailedPrecondition, "REFUND_NOT_APPROVED"),
            Rejection::RefundPaid { first, .. } => {
                refuse(Code::FailedPrecondition, "REFUND_PAID").metadata("first", first)
            }
            Rejection::TooMany => refuse(Code::FailedPrecondition, "SUBSCRIPTIONS_TOO_MANY"),
        }
    }
}
