//! What callers ask about charges and refunds: every bad field of it at once.

use proto::subscription::v1 as pb;
use service_kit::{BadRequest, Violations};
use types::{Money, Timestamp};

use super::{destination_from, reason_from};
use crate::{
    domain::{Charge, Destination, RefundId, RefundReason, Refusal, SubscriptionId},
    work_list::{Place, Wanted},
};

/// Numbers that payers give, and those who decide.
const REFERENCE_LENGTH_MAX: usize = 64;
/// As reasons of this project's own refusals.
const CODE_LENGTH_MAX: usize = 63;
const BASIS_LENGTH_MAX: usize = 200;
const REMEDY_LENGTH_MAX: usize = 300;
/// How many refunds a page has where nobody says.
const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: i32 = 1_000;

/// Reads the request.
///
/// # Errors
/// [`BadRequest`] with every field that is wrong.
pub fn record_charge(request: &pb::RecordChargeRequest, now: Timestamp) -> Result<Charge, BadRequest> {
    let mut v = Violations::new();
    v.optional_request_id("request_id", &request.request_id);
    let subscription = v.id("subscription_id", &request.subscription_id, SubscriptionId::parse);
    let reference = v.text("charge_reference", &request.charge_reference, REFERENCE_LENGTH_MAX);
    let amount = positive(&mut v, "amount", request.amount.as_ref());
    let charged_at = v.past("charged_at", request.charged_at.as_ref(), now);
    v.finish(|| {
        Some(Charge {
            subscription: subscription?,
            reference: reference?,
            amount: amount?,
            charged_at: charged_at?,
        })
    })
}

fn positive(v: &mut Violations, field: &str, told: Option<&proto::types::v1::Money>) -> Option<Money> {
    let told = v.required(field, told)?;
    let money = v.money(field, &told.currency_code, told.minor_units)?;
    v.check(money.minor_units > 0, field, "must be more than zero");
    Some(money)
}

/// An application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplyForRefund {
    /// For which subscription.
    pub subscription: SubscriptionId,
    /// Why.
    pub reason: RefundReason,
}

/// Reads the request.
///
/// # Errors
/// [`BadRequest`] with every field that is wrong.
pub fn apply_for_refund(request: &pb::ApplyForRefundRequest) -> Result<ApplyForRefund, BadRequest> {
    let mut v = Violations::new();
    v.optional_request_id("request_id", &request.request_id);
    let subscription = v.id("subscription_id", &request.subscription_id, SubscriptionId::parse);
    let reason = v.enumeration::<pb::RefundReason>("reason", request.reason).and_then(reason_from);
    v.finish(|| Some(ApplyForRefund { subscription: subscription?, reason: reason? }))
}

/// What a person decides, without the dates that follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// So much is paid, and there.
    Approved(Money, Destination),
    /// It is not.
    Refused(Refusal),
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecideRefund {
    /// On which refund.
    pub id: RefundId,
    /// What.
    pub verdict: Verdict,
    /// Who.
    pub actor: String,
}

/// Reads the request.
///
/// # Errors
/// [`BadRequest`] with every field that is wrong.
pub fn decide_refund(request: &pb::DecideRefundRequest) -> Result<DecideRefund, BadRequest> {
    use pb::decide_refund_request::Decision;
    let mut v = Violations::new();
    v.optional_request_id("request_id", &request.request_id);
    let id = v.id("refund_id", &request.refund_id, RefundId::parse);
    let actor = v.text("actor", &request.actor, REFERENCE_LENGTH_MAX);
    let decision = v.required("decision", request.decision.as_ref());
    let verdict = decision.and_then(|decision| match decision {
        Decision::Approved(told) => v.within("approved", |v| approved(v, told)),
        Decision::Refused(told) => v.within("refused", |v| refused(v, told)),
    });
    v.finish(|| Some(DecideRefund { id: id?, verdict: verdict?, actor: actor? }))
}

fn approved(v: &mut Violations, told: &pb::RefundApproval) -> Option<Verdict> {
    let amount = positive(v, "amount", told.amount.as_ref());
    let destination = v.enumeration::<pb::RefundDestination>("destination", told.destination);
    Some(Verdict::Approved(amount?, destination.and_then(destination_from)?))
}

fn refused(v: &mut Violations, told: &pb::RefundRefusal) -> Option<Verdict> {
    let code = v.text("code", &told.code, CODE_LENGTH_MAX);
    let is_code = |text: &String| {
        text.starts_with(|c: char| c.is_ascii_uppercase())
            && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    v.check(code.as_ref().is_none_or(is_code), "code", "must be in UPPER_SNAKE_CASE");
    let basis = v.text("basis", &told.basis, BASIS_LENGTH_MAX);
    let remedy = v.text("remedy", &told.remedy, REMEDY_LENGTH_MAX);
    Some(Verdict::Refused(Refusal { code: code?, basis: basis?, remedy: remedy? }))
}

/// A payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRefundPaid {
    /// Of which refund.
    pub id: RefundId,
    /// The payer's own number of it.
    pub reference: String,
    /// When it was made.
    pub at: Timestamp,
}

/// Reads the request.
///
/// # Errors
/// [`BadRequest`] with every field that is wrong.
pub fn record_refund_paid(
    request: &pb::RecordRefundPaidRequest,
    now: Timestamp,
) -> Result<RecordRefundPaid, BadRequest> {
    let mut v = Violations::new();
    v.optional_request_id("request_id", &request.request_id);
    let id = v.id("refund_id", &request.refund_id, RefundId::parse);
    let reference = v.text("payment_reference", &request.payment_reference, REFERENCE_LENGTH_MAX);
    let at = v.past("paid_at", request.paid_at.as_ref(), now);
    v.finish(|| Some(RecordRefundPaid { id: id?, reference: reference?, at: at? }))
}

/// Reads which part of the work list is asked for; without a state both are.
///
/// # Errors
/// [`BadRequest`] with every field that is wrong.
pub fn open_refunds(request: &pb::ListOpenRefundsRequest) -> Result<Wanted, BadRequest> {
    let mut v = Violations::new();
    let (mut review, mut payment) = (request.states.is_empty(), request.states.is_empty());
    for (number, state) in request.states.iter().enumerate() {
        match pb::RefundState::try_from(*state) {
            Ok(pb::RefundState::UnderReview) => review = true,
            Ok(pb::RefundState::Approved) => payment = true,
            _ => v.push(&format!("states[{number}]"), "must be UNDER_REVIEW or APPROVED"),
        }
    }
    let size = v.within_range("page_size", request.page_size, 0..=PAGE_MAX);
    let token = &request.page_token;
    let after = page_from(token);
    v.check(token.is_empty() || after.is_some(), "page_token", "must come from the response before");
    v.finish(|| {
        let limit = usize::try_from(size?).ok().filter(|size| *size > 0).unwrap_or(PAGE_DEFAULT);
        Some(Wanted { review, payment, after, limit })
    })
}

fn page_from(token: &str) -> Option<Place> {
    let (micros, id) = token.split_once('.')?;
    Some((Timestamp::from_micros(micros.parse().ok()?), RefundId::parse(id).ok()?))
}

/// The token of the page after that place.
#[must_use]
pub(crate) fn page_token((due, id): &Place) -> String {
    format!("{}.{id}", due.as_micros())
}

#[cfg(test)]
mod tests {
    use proto::types::v1::Money as PbMoney;

    use super::*;

    const NOW: &str = "2026-12-01T00:00:00Z";

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn cny(minor_units: i64) -> Option<PbMoney> {
        Some(PbMoney { currency_code: "CNY".into(), minor_units })
    }

    fn faults<T>(read: Result<T, BadRequest>) -> Vec<String> {
        read.err().map(|bad| bad.faults).unwrap_or_default().into_iter().map(|fault| fault.field).collect()
    }

    #[test]
    fn a_charge_needs_a_subscription_a_number_an_amount_and_a_moment() {
        let good = pb::RecordChargeRequest {
            request_id: String::new(),
            subscription_id: "sub_1".into(),
            charge_reference: "4200001".into(),
            amount: cny(2_500),
            charged_at: Some(at(NOW).to_proto()),
        };
        assert!(record_charge(&good, at(NOW)).is_ok());
        let all = ["subscription_id", "charge_reference", "amount", "charged_at"];
        assert_eq!(faults(record_charge(&pb::RecordChargeRequest::default(), at(NOW))), all);
        let wrong = pb::RecordChargeRequest { amount: cny(0), ..good };
        assert_eq!(faults(record_charge(&wrong, Timestamp::EPOCH)), ["amount", "charged_at"]);
    }

    #[test]
    fn an_application_needs_a_subscription_and_a_reason() {
        let good = pb::ApplyForRefundRequest {
            request_id: String::new(),
            subscription_id: "sub_1".into(),
            reason: pb::RefundReason::Unused.into(),
        };
        assert!(apply_for_refund(&good).is_ok());
        let empty = pb::ApplyForRefundRequest::default();
        assert_eq!(faults(apply_for_refund(&empty)), ["subscription_id", "reason"]);
    }

    #[test]
    fn a_decision_names_who_decides_and_what_follows_of_it() {
        use pb::decide_refund_request::Decision;
        let with = |decision| pb::DecideRefundRequest {
            request_id: String::new(),
            refund_id: "ref_1".into(),
            actor: "clerk 7".into(),
            decision,
        };
        let approved = |minor_units, destination: pb::RefundDestination| {
            let destination = destination.into();
            with(Some(Decision::Approved(pb::RefundApproval { amount: cny(minor_units), destination })))
        };
        let refused = |code: &str, basis: &str| {
            let (code, basis, remedy) = (code.into(), basis.into(), "Complain.".into());
            with(Some(Decision::Refused(pb::RefundRefusal { code, basis, remedy })))
        };
        let none: [&str; 0] = [];
        assert_eq!(faults(decide_refund(&approved(1, pb::RefundDestination::PayOut))), none);
        assert_eq!(faults(decide_refund(&refused("PERIOD_USED", "Terms 4"))), none);
        assert_eq!(faults(decide_refund(&with(None))), ["decision"]);
        let wrong = decide_refund(&approved(0, pb::RefundDestination::Unspecified));
        assert_eq!(faults(wrong), ["approved.amount", "approved.destination"]);
        let wrong = decide_refund(&refused("used", ""));
        assert_eq!(faults(wrong), ["refused.code", "refused.basis"]);
        let empty = decide_refund(&pb::DecideRefundRequest::default());
        assert_eq!(faults(empty), ["refund_id", "actor", "decision"]);
    }

    #[test]
    fn a_payment_needs_a_refund_a_number_and_a_moment() {
        let good = pb::RecordRefundPaidRequest {
            request_id: String::new(),
            refund_id: "ref_1".into(),
            payment_reference: "pay-1".into(),
            paid_at: Some(at(NOW).to_proto()),
        };
        assert!(record_refund_paid(&good, at(NOW)).is_ok());
        assert_eq!(faults(record_refund_paid(&good, Timestamp::EPOCH)), ["paid_at"]);
        let empty = record_refund_paid(&pb::RecordRefundPaidRequest::default(), at(NOW));
        assert_eq!(faults(empty), ["refund_id", "payment_reference", "paid_at"]);
    }
}
