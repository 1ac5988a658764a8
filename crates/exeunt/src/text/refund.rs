//! A refund: where it stands, and what is next.

use proto::subscription::v1 as pb;

use super::{Lines, moment, money, word};

/// A refund.
#[must_use]
pub fn refund(of: &pb::Refund) -> String {
    let mut lines = Lines::default();
    let mut add = |name: &str, value: String| {
        if !value.is_empty() {
            lines.add(format!("  {name:<16}{value}"));
        }
    };
    add("state", word(of.state().as_str_name(), "REFUND_STATE_"));
    add("subscription", of.subscription_id.clone());
    add("reason", word(of.reason().as_str_name(), "REFUND_REASON_"));
    add("review until", moment(of.review_until.as_ref()));
    if let Some(approval) = &of.approval {
        let where_to = word(approval.destination().as_str_name(), "REFUND_DESTINATION_");
        add("amount", format!("{} to {where_to}", money(approval.amount.as_ref())));
    }
    if let Some(refusal) = &of.refusal {
        add("refused", refusal.code.clone());
        add("basis", refusal.basis.clone());
        add("remedy", refusal.remedy.clone());
    }
    add("decision of", of.decided_by.clone());
    match of.state() {
        pb::RefundState::Paid => {
            add("paid", moment(of.paid_at.as_ref()));
            add("payment", of.payment_reference.clone());
        }
        _ => add("paid by", moment(of.pay_by.as_ref())),
    }
    format!("Refund {}\n{}", of.refund_id, lines.0)
}

#[cfg(test)]
mod tests {
    use proto::types::v1::Money;

    use super::*;

    #[test]
    fn a_refund_tells_where_it_stands_and_by_when_it_goes_on() {
        let at = Some(prost_types::Timestamp { seconds: 1_763_712_000, nanos: 0 });
        let under_review = pb::Refund {
            refund_id: "ref_1".into(),
            subscription_id: "sub_1".into(),
            reason: pb::RefundReason::NotAsDescribed.into(),
            state: pb::RefundState::UnderReview.into(),
            review_until: at,
            ..pb::Refund::default()
        };
        let expected = "\
Refund ref_1
  state           under review
  subscription    sub_1
  reason          not as described
  review until    2025-11-21 08:00:00 UTC
";
        assert_eq!(refund(&under_review), expected);
        let amount = Some(Money { currency_code: "CNY".into(), minor_units: 2_500 });
        let approved = pb::Refund {
            state: pb::RefundState::Approved.into(),
            review_until: None,
            approval: Some(pb::RefundApproval {
                amount,
                destination: pb::RefundDestination::OriginalMeans.into(),
            }),
            decided_by: "clerk 7".into(),
            pay_by: at,
            ..under_review
        };
        let expected = "\
Refund ref_1
  state           approved
  subscription    sub_1
  reason          not as described
  amount          CNY 25.00 to original means
  decision of     clerk 7
  paid by         2025-11-21 08:00:00 UTC
";
        assert_eq!(refund(&approved), expected);
    }
}
