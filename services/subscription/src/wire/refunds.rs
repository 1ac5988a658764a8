//! Charges and refunds between protobuf and the domain: what is told, and what is stored.

use bytes::Bytes;
use messaging::Unreadable;
use participant::{Encoded, wire::money, wire::money_from};
use prost::Name;
use proto::subscription::v1 as pb;
use types::{CancellationId, Timestamp};

use super::{billing, billing_from, instant, message};
use crate::{
    domain::{
        Approval, Basis, Charge, Decided, Destination, ErasedRefund, Gone, Late, LateCharge, MoneyEvent,
        Refund, RefundId, RefundReason, RefundState, Refusal, Restriction, State, SubscriptionId,
    },
    quote,
};

/// A refund as callers see it.
#[must_use]
pub fn refund(it: &Refund, state: &State) -> pb::Refund {
    let subject = state.get(it.subscription.as_str()).map(|it| it.subject.to_string());
    let told = pb::Refund {
        refund_id: it.id.to_string(),
        subscription_id: it.subscription.to_string(),
        subject_id: subject.unwrap_or_default(),
        reason: reason(it.reason).into(),
        applied_at: Some(it.applied_at.to_proto()),
        record: it.kept.as_ref().map(|it| pb::RefundRecord {
            ground: it.ground.clone(),
            rule: it.basis.rule.clone(),
            source: it.basis.source.clone(),
            restricted_until: it.until.map(Timestamp::to_proto),
            changed_at: Some(it.since.to_proto()),
        }),
        ..pb::Refund::default()
    };
    let decided = |by: &Decided, state: pb::RefundState, told: pb::Refund| pb::Refund {
        state: state.into(),
        decided_by: by.by.clone(),
        decided_at: Some(by.at.to_proto()),
        ..told
    };
    let approved = |it: &Approval, told: pb::Refund| pb::Refund {
        approval: Some(approval(it)),
        pay_by: Some(it.pay_by.to_proto()),
        ..told
    };
    match &it.state {
        RefundState::UnderReview { until } => pb::Refund {
            state: pb::RefundState::UnderReview.into(),
            review_until: Some(until.to_proto()),
            ..told
        },
        RefundState::Refused(it, by) => {
            decided(by, pb::RefundState::Refused, pb::Refund { refusal: Some(refusal(it)), ..told })
        }
        RefundState::Approved(it, by) => decided(by, pb::RefundState::Approved, approved(it, told)),
        RefundState::Paid { approval, decided: by, reference, at } => pb::Refund {
            payment_reference: reference.clone(),
            paid_at: Some(at.to_proto()),
            ..decided(by, pb::RefundState::Paid, approved(approval, told))
        },
    }
}

/// What callers see of a refund whose record is gone.
#[must_use]
pub fn erased_refund(it: &ErasedRefund, state: &State) -> pb::Refund {
    let subject = state.get(it.subscription.as_str()).map(|it| it.subject.to_string());
    pb::Refund {
        refund_id: it.id.to_string(),
        subscription_id: it.subscription.to_string(),
        subject_id: subject.unwrap_or_default(),
        state: pb::RefundState::Erased.into(),
        record: Some(pb::RefundRecord {
            ground: String::new(),
            rule: it.gone.basis.rule.clone(),
            source: it.gone.basis.source.clone(),
            restricted_until: it.gone.due.map(Timestamp::to_proto),
            changed_at: Some(it.gone.since.to_proto()),
        }),
        ..pb::Refund::default()
    }
}

/// What became of a charge.
#[must_use]
pub fn recorded_charge(
    state: &State,
    subscription: &SubscriptionId,
    reference: &str,
) -> pb::RecordChargeResponse {
    let same =
        |late: &&LateCharge| late.charge.subscription == *subscription && late.charge.reference == reference;
    let Some(late) = state.late_charges.iter().find(same) else { return pb::RecordChargeResponse::default() };
    let owed = late.refund.as_ref().and_then(|id| state.refund(id));
    pb::RecordChargeResponse { late: true, refund: owed.map(|it| refund(it, state)), link: link(late).into() }
}

fn link(late: &LateCharge) -> &'static str {
    if late.refund.is_none() { quote::refund(late.billing).1 } else { "" }
}

fn reason(reason: RefundReason) -> pb::RefundReason {
    match reason {
        RefundReason::Unused => pb::RefundReason::Unused,
        RefundReason::Accidental => pb::RefundReason::Accidental,
        RefundReason::NotAsDescribed => pb::RefundReason::NotAsDescribed,
        RefundReason::LateCharge => pb::RefundReason::LateCharge,
        RefundReason::Other => pb::RefundReason::Other,
    }
}

/// Why money shall go back; `None` when no reason is given.
#[must_use]
pub fn reason_from(reason: pb::RefundReason) -> Option<RefundReason> {
    Some(match reason {
        pb::RefundReason::Unspecified => return None,
        pb::RefundReason::Unused => RefundReason::Unused,
        pb::RefundReason::Accidental => RefundReason::Accidental,
        pb::RefundReason::NotAsDescribed => RefundReason::NotAsDescribed,
        pb::RefundReason::LateCharge => RefundReason::LateCharge,
        pb::RefundReason::Other => RefundReason::Other,
    })
}

/// Where money goes; `None` when nowhere.
#[must_use]
pub fn destination_from(destination: pb::RefundDestination) -> Option<Destination> {
    match destination {
        pb::RefundDestination::Unspecified => None,
        pb::RefundDestination::OriginalMeans => Some(Destination::OriginalMeans),
        pb::RefundDestination::PayOut => Some(Destination::PayOut),
    }
}

fn late_to(late: Late) -> pb::RefundLate {
    match late {
        Late::Review => pb::RefundLate::Review,
        Late::Payment => pb::RefundLate::Payment,
    }
}

fn late_from_wire(late: pb::RefundLate) -> Option<Late> {
    match late {
        pb::RefundLate::Unspecified => None,
        pb::RefundLate::Review => Some(Late::Review),
        pb::RefundLate::Payment => Some(Late::Payment),
    }
}

fn approval(it: &Approval) -> pb::RefundApproval {
    let destination = match it.destination {
        Destination::OriginalMeans => pb::RefundDestination::OriginalMeans,
        Destination::PayOut => pb::RefundDestination::PayOut,
    };
    pb::RefundApproval { amount: Some(money(it.amount)), destination: destination.into() }
}

fn refusal(it: &Refusal) -> pb::RefundRefusal {
    pb::RefundRefusal { code: it.code.clone(), basis: it.basis.clone(), remedy: it.remedy.clone() }
}

fn charged(it: &Charge) -> pb::ChargeRecorded {
    pb::ChargeRecorded {
        subscription_id: it.subscription.to_string(),
        charge_reference: it.reference.clone(),
        amount: Some(money(it.amount)),
        charged_at: Some(it.charged_at.to_proto()),
    }
}

fn late(it: &LateCharge) -> pb::LateChargeSeen {
    let pb::ChargeRecorded { subscription_id, charge_reference, amount, charged_at } = charged(&it.charge);
    pb::LateChargeSeen {
        subscription_id,
        charge_reference,
        amount,
        charged_at,
        billing: billing(it.billing).into(),
        stopped_at: Some(it.stopped_at.to_proto()),
        cancellation_id: it.cancellation.as_ref().map(ToString::to_string).unwrap_or_default(),
        refund_id: it.refund.as_ref().map(ToString::to_string).unwrap_or_default(),
        link: link(it).into(),
    }
}

/// A fact about money as it is stored and told.
pub(super) fn encode(event: &MoneyEvent) -> Encoded {
    match event {
        MoneyEvent::ChargeRecorded(it) => Encoded::of(&charged(it)),
        MoneyEvent::LateChargeSeen(it) => Encoded::of(&late(it)),
        MoneyEvent::RefundApplied { id, subscription, reason: why, at, review_until } => {
            Encoded::of(&pb::RefundApplied {
                refund_id: id.to_string(),
                subscription_id: subscription.to_string(),
                reason: reason(*why).into(),
                applied_at: Some(at.to_proto()),
                review_until: Some(review_until.to_proto()),
            })
        }
        MoneyEvent::RefundApproved { id, subscription, reason: why, approval: it, decided } => {
            Encoded::of(&pb::RefundApproved {
                refund_id: id.to_string(),
                subscription_id: subscription.to_string(),
                reason: reason(*why).into(),
                approval: Some(approval(it)),
                pay_by: Some(it.pay_by.to_proto()),
                approved_by: decided.by.clone(),
                approved_at: Some(decided.at.to_proto()),
            })
        }
        MoneyEvent::RefundRefused { id, refusal: it, decided } => Encoded::of(&pb::RefundRefused {
            refund_id: id.to_string(),
            refusal: Some(refusal(it)),
            refused_by: decided.by.clone(),
            refused_at: Some(decided.at.to_proto()),
        }),
        MoneyEvent::RefundPaid { id, subscription, approval: it, reference, at } => {
            Encoded::of(&pb::RefundPaid {
                refund_id: id.to_string(),
                subscription_id: subscription.to_string(),
                approval: Some(approval(it)),
                pay_by: Some(it.pay_by.to_proto()),
                payment_reference: reference.clone(),
                paid_at: Some(at.to_proto()),
            })
        }
        MoneyEvent::RefundOverdue { id, subscription, late, due } => Encoded::of(&pb::RefundOverdue {
            refund_id: id.to_string(),
            subscription_id: subscription.to_string(),
            late: late_to(*late).into(),
            due_at: Some(due.to_proto()),
        }),
        MoneyEvent::RecordsRestricted { refunds, restriction: it } => {
            Encoded::of(&pb::RefundRecordsRestricted {
                refund_ids: refunds.iter().map(ToString::to_string).collect(),
                cancellation_id: it.cancellation.to_string(),
                ground: it.ground.clone(),
                rule: it.basis.rule.clone(),
                source: it.basis.source.clone(),
                restricted_until: it.until.map(Timestamp::to_proto),
                restricted_at: Some(it.since.to_proto()),
            })
        }
        MoneyEvent::RecordsErased { refunds, gone } => Encoded::of(&pb::RefundRecordsErased {
            refund_ids: refunds.iter().map(ToString::to_string).collect(),
            cancellation_id: gone.cancellation.to_string(),
            rule: gone.basis.rule.clone(),
            source: gone.basis.source.clone(),
            erased_at: Some(gone.since.to_proto()),
            restricted_until: gone.due.map(Timestamp::to_proto),
        }),
    }
}

/// A stored fact about money; `None` for a type that is not about money. The inner `None`: a field is not
/// what it must be.
pub(super) fn decode(kind: &str, payload: &Bytes) -> Result<Option<Option<MoneyEvent>>, Unreadable> {
    let event = if kind == pb::ChargeRecorded::full_name() {
        charge_from(message(kind, payload)?).map(MoneyEvent::ChargeRecorded)
    } else if kind == pb::LateChargeSeen::full_name() {
        late_from(message(kind, payload)?).map(|it| MoneyEvent::LateChargeSeen(Box::new(it)))
    } else if kind == pb::RefundApplied::full_name() {
        applied_from(&message(kind, payload)?)
    } else if kind == pb::RefundApproved::full_name() {
        approved_from(message(kind, payload)?)
    } else if kind == pb::RefundRefused::full_name() {
        refused_from(message(kind, payload)?)
    } else if kind == pb::RefundPaid::full_name() {
        paid_from(message(kind, payload)?)
    } else if kind == pb::RefundOverdue::full_name() {
        overdue_from(&message(kind, payload)?)
    } else if kind == pb::RefundRecordsRestricted::full_name() {
        restricted_from(message(kind, payload)?)
    } else if kind == pb::RefundRecordsErased::full_name() {
        erased_from(message(kind, payload)?)
    } else {
        return Ok(None);
    };
    Ok(Some(event))
}

fn charge_from(told: pb::ChargeRecorded) -> Option<Charge> {
    Some(Charge {
        subscription: SubscriptionId::parse(&told.subscription_id).ok()?,
        reference: told.charge_reference,
        amount: told.amount.as_ref().and_then(money_from)?,
        charged_at: instant(told.charged_at.as_ref())?,
    })
}

fn late_from(told: pb::LateChargeSeen) -> Option<LateCharge> {
    let billing = billing_from(told.billing())?;
    let pb::LateChargeSeen { subscription_id, charge_reference, amount, charged_at, .. } = told;
    Some(LateCharge {
        charge: charge_from(pb::ChargeRecorded { subscription_id, charge_reference, amount, charged_at })?,
        billing,
        stopped_at: instant(told.stopped_at.as_ref())?,
        cancellation: CancellationId::parse(&told.cancellation_id).ok(),
        refund: RefundId::parse(&told.refund_id).ok(),
    })
}

fn applied_from(told: &pb::RefundApplied) -> Option<MoneyEvent> {
    Some(MoneyEvent::RefundApplied {
        id: RefundId::parse(&told.refund_id).ok()?,
        subscription: SubscriptionId::parse(&told.subscription_id).ok()?,
        reason: reason_from(told.reason())?,
        at: instant(told.applied_at.as_ref())?,
        review_until: instant(told.review_until.as_ref())?,
    })
}

fn approval_from(
    told: Option<&pb::RefundApproval>,
    pay_by: Option<&prost_types::Timestamp>,
) -> Option<Approval> {
    let told = told?;
    Some(Approval {
        amount: told.amount.as_ref().and_then(money_from)?,
        destination: destination_from(told.destination())?,
        pay_by: instant(pay_by)?,
    })
}

fn decided_from(by: String, at: Option<&prost_types::Timestamp>) -> Option<Decided> {
    Some(Decided { by, at: instant(at)? })
}

fn approved_from(told: pb::RefundApproved) -> Option<MoneyEvent> {
    Some(MoneyEvent::RefundApproved {
        id: RefundId::parse(&told.refund_id).ok()?,
        subscription: SubscriptionId::parse(&told.subscription_id).ok()?,
        reason: reason_from(told.reason())?,
        approval: approval_from(told.approval.as_ref(), told.pay_by.as_ref())?,
        decided: decided_from(told.approved_by, told.approved_at.as_ref())?,
    })
}

fn refused_from(told: pb::RefundRefused) -> Option<MoneyEvent> {
    let pb::RefundRefusal { code, basis, remedy } = told.refusal?;
    Some(MoneyEvent::RefundRefused {
        id: RefundId::parse(&told.refund_id).ok()?,
        refusal: Refusal { code, basis, remedy },
        decided: decided_from(told.refused_by, told.refused_at.as_ref())?,
    })
}

fn paid_from(told: pb::RefundPaid) -> Option<MoneyEvent> {
    Some(MoneyEvent::RefundPaid {
        id: RefundId::parse(&told.refund_id).ok()?,
        subscription: SubscriptionId::parse(&told.subscription_id).ok()?,
        approval: approval_from(told.approval.as_ref(), told.pay_by.as_ref())?,
        reference: told.payment_reference,
        at: instant(told.paid_at.as_ref())?,
    })
}

fn overdue_from(told: &pb::RefundOverdue) -> Option<MoneyEvent> {
    Some(MoneyEvent::RefundOverdue {
        id: RefundId::parse(&told.refund_id).ok()?,
        subscription: SubscriptionId::parse(&told.subscription_id).ok()?,
        late: late_from_wire(told.late())?,
        due: instant(told.due_at.as_ref())?,
    })
}

fn ids_from(told: &[String]) -> Option<Vec<RefundId>> {
    told.iter().map(|id| RefundId::parse(id).ok()).collect()
}

fn restricted_from(told: pb::RefundRecordsRestricted) -> Option<MoneyEvent> {
    Some(MoneyEvent::RecordsRestricted {
        refunds: ids_from(&told.refund_ids)?,
        restriction: Restriction {
            ground: told.ground,
            basis: Basis { rule: told.rule, source: told.source },
            until: instant(told.restricted_until.as_ref()),
            cancellation: CancellationId::parse(&told.cancellation_id).ok()?,
            since: instant(told.restricted_at.as_ref())?,
        },
    })
}

fn erased_from(told: pb::RefundRecordsErased) -> Option<MoneyEvent> {
    Some(MoneyEvent::RecordsErased {
        refunds: ids_from(&told.refund_ids)?,
        gone: Gone {
            basis: Basis { rule: told.rule, source: told.source },
            cancellation: CancellationId::parse(&told.cancellation_id).ok()?,
            since: instant(told.erased_at.as_ref())?,
            due: instant(told.restricted_until.as_ref()),
        },
    })
}

#[cfg(test)]
mod tests {
    use types::{Currency, Money, Timestamp};

    use super::*;
    use crate::{
        domain::{Billing, Event},
        wire,
    };

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    fn charge() -> Charge {
        Charge {
            subscription: SubscriptionId::parse("sub_1").unwrap(),
            reference: "4200001".into(),
            amount: Money { currency: Currency::parse("CNY").unwrap(), minor_units: 2_500 },
            charged_at: at(1),
        }
    }

    #[test]
    fn every_fact_about_money_is_read_as_it_was_written() {
        let id = RefundId::parse("ref_1").unwrap();
        let subscription = charge().subscription;
        let decided = Decided { by: "clerk 7".into(), at: at(2) };
        let late = |billing, cancellation: Option<&str>, refund: Option<&RefundId>| {
            MoneyEvent::LateChargeSeen(Box::new(LateCharge {
                charge: charge(),
                billing,
                stopped_at: at(3),
                cancellation: cancellation.map(|text| CancellationId::parse(text).unwrap()),
                refund: refund.cloned(),
            }))
        };
        let mut events = vec![
            MoneyEvent::ChargeRecorded(charge()),
            late(Billing::Merchant, Some("can_1"), Some(&id)),
            late(Billing::AppStore, None, None),
            MoneyEvent::RefundRefused {
                id: id.clone(),
                refusal: Refusal {
                    code: "PERIOD_USED".into(),
                    basis: "Terms 4".into(),
                    remedy: "Ask.".into(),
                },
                decided: decided.clone(),
            },
        ];
        let reasons = [
            RefundReason::Unused,
            RefundReason::Accidental,
            RefundReason::NotAsDescribed,
            RefundReason::LateCharge,
            RefundReason::Other,
        ];
        events.extend(reasons.map(|reason| MoneyEvent::RefundApplied {
            id: id.clone(),
            subscription: subscription.clone(),
            reason,
            at: at(4),
            review_until: at(5),
        }));
        for destination in [Destination::OriginalMeans, Destination::PayOut] {
            let approval = Approval { amount: charge().amount, destination, pay_by: at(6) };
            events.push(MoneyEvent::RefundApproved {
                id: id.clone(),
                subscription: subscription.clone(),
                reason: RefundReason::Unused,
                approval,
                decided: decided.clone(),
            });
            let (id, subscription, reference) = (id.clone(), subscription.clone(), "pay-1".to_owned());
            events.push(MoneyEvent::RefundPaid { id, subscription, approval, reference, at: at(7) });
        }
        for late in [Late::Review, Late::Payment] {
            let (id, subscription) = (id.clone(), subscription.clone());
            events.push(MoneyEvent::RefundOverdue { id, subscription, late, due: at(8) });
        }
        let cancellation = || CancellationId::parse("can_1").unwrap();
        let basis = || Basis { rule: "cn.ecl.transaction_records".into(), source: "E-commerce Law".into() };
        for date in [None, Some(at(8))] {
            let (ground, basis, until) = ("TRADE_RECORDS".to_owned(), basis, date);
            events.push(MoneyEvent::RecordsRestricted {
                refunds: vec![id.clone()],
                restriction: Restriction {
                    ground,
                    basis: basis(),
                    until,
                    cancellation: cancellation(),
                    since: at(9),
                },
            });
            events.push(MoneyEvent::RecordsErased {
                refunds: vec![id.clone()],
                gone: Gone { basis: basis(), cancellation: cancellation(), since: at(9), due: date },
            });
        }
        for event in events {
            let event = Event::Money(event);
            let Encoded { kind, schema, payload } = wire::encode(&event);
            assert_eq!(wire::decode(&kind, schema, &payload), Ok(event));
        }
    }

    #[test]
    fn a_charge_that_only_the_store_pays_back_is_told_with_its_link() {
        let seen = LateCharge {
            charge: charge(),
            billing: Billing::GooglePlay,
            stopped_at: at(3),
            cancellation: None,
            refund: None,
        };
        assert_eq!(late(&seen).link, "https://play.google.com/store/account/orderhistory");
        let ours = LateCharge { billing: Billing::Merchant, refund: RefundId::parse("ref_1").ok(), ..seen };
        assert_eq!(late(&ours).link, "");
    }
}
