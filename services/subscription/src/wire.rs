//! Between protobuf and the domain: what is told, and what is stored.

mod refund_requests;
mod refunds;
mod requests;

use std::collections::BTreeMap;

use bytes::Bytes;
use messaging::Unreadable;
use participant::{Encoded, unreadable, wire::money, wire::money_from};
use prost::{Message, Name};
use proto::subscription::v1 as pb;
pub(crate) use refund_requests::page_token;
pub use refund_requests::{
    ApplyForRefund, DecideRefund, RecordRefundPaid, Verdict, apply_for_refund, decide_refund, open_refunds,
    record_charge, record_refund_paid,
};
pub use refunds::{destination_from, erased_refund, reason_from, recorded_charge, refund};
pub use requests::{
    DowngradeSubscription, PauseSubscription, RecordProviderState, RecordSubscription, RenewSubscription,
    downgrade_subscription, pause_subscription, record_provider_state, record_subscription,
    renew_subscription, subject_id, subscription_id,
};
use types::{CancellationId, Money, SubjectId, Timestamp};

use crate::domain::{
    Billing, Event, Pause, Plan, ProviderRef, ProviderState, Status, Subscription, SubscriptionId, Terms,
};

/// A subscription as callers see it, and as it is stored.
#[must_use]
pub fn subscription(it: &Subscription) -> pb::Subscription {
    let instant = |at: Option<Timestamp>| at.map(Timestamp::to_proto);
    let terms = &it.terms;
    pb::Subscription {
        subscription_id: it.id.to_string(),
        subject_id: it.subject.to_string(),
        status: status(it.status).into(),
        plan: Some(plan_to(&terms.plan)),
        billing: billing(terms.billing).into(),
        provider_ref: terms.provider.as_ref().map(provider_ref),
        started_at: instant(terms.started_at),
        current_period_end: instant(terms.current_period_end),
        next_charge_at: instant(terms.next_charge_at),
        minimum_term_end: instant(terms.minimum_term_end),
        early_termination_fee: terms.early_termination_fee.map(money),
        outstanding_amount: terms.outstanding.map(money),
        benefits: terms.benefits.clone(),
        will_not_renew_at: instant(it.will_not_renew_at),
        access_ends_at: instant(it.access_ends_at),
        frozen_by: it.frozen_by.keys().map(ToString::to_string).collect(),
        paused_until: it.pause.map(|pause| pause.until.to_proto()),
        alternative: terms.alternative.as_ref().map(plan_to),
        downgraded_at: instant(it.downgraded_at),
    }
}

fn plan_to(plan: &Plan) -> pb::Plan {
    pb::Plan {
        name: plan.name.clone(),
        tier: plan.tier.clone(),
        price: plan.price.map(money),
        link: plan.link.clone(),
    }
}

fn plan_from(told: pb::Plan) -> Plan {
    let price = told.price.as_ref().and_then(money_from);
    Plan { name: told.name, tier: told.tier, price, link: told.link }
}

fn status(status: Status) -> pb::SubscriptionStatus {
    match status {
        Status::Active => pb::SubscriptionStatus::Active,
        Status::WillNotRenew => pb::SubscriptionStatus::WillNotRenew,
        Status::Ended => pb::SubscriptionStatus::Ended,
    }
}

fn billing(billing: Billing) -> pb::Billing {
    match billing {
        Billing::Merchant => pb::Billing::Merchant,
        Billing::WechatPay => pb::Billing::WechatPay,
        Billing::Alipay => pb::Billing::Alipay,
        Billing::AppStore => pb::Billing::AppStore,
        Billing::GooglePlay => pb::Billing::GooglePlay,
        Billing::Stripe => pb::Billing::Stripe,
        Billing::Carrier => pb::Billing::Carrier,
        Billing::QqWallet => pb::Billing::QqWallet,
    }
}

/// Who charges; `None` when nobody is named.
#[must_use]
pub fn billing_from(billing: pb::Billing) -> Option<Billing> {
    Some(match billing {
        pb::Billing::Unspecified => return None,
        pb::Billing::Merchant => Billing::Merchant,
        pb::Billing::WechatPay => Billing::WechatPay,
        pb::Billing::Alipay => Billing::Alipay,
        pb::Billing::AppStore => Billing::AppStore,
        pb::Billing::GooglePlay => Billing::GooglePlay,
        pb::Billing::Stripe => Billing::Stripe,
        pb::Billing::Carrier => Billing::Carrier,
        pb::Billing::QqWallet => Billing::QqWallet,
    })
}

fn provider_state(state: ProviderState) -> pb::ProviderState {
    match state {
        ProviderState::Active => pb::ProviderState::Active,
        ProviderState::WillNotRenew => pb::ProviderState::WillNotRenew,
        ProviderState::Ended => pb::ProviderState::Ended,
    }
}

/// What a provider says; `None` when it says nothing.
#[must_use]
pub fn provider_state_from(state: pb::ProviderState) -> Option<ProviderState> {
    Some(match state {
        pb::ProviderState::Unspecified => return None,
        pb::ProviderState::Active => ProviderState::Active,
        pb::ProviderState::WillNotRenew => ProviderState::WillNotRenew,
        pb::ProviderState::Ended => ProviderState::Ended,
    })
}

fn provider_ref(provider: &ProviderRef) -> pb::ProviderRef {
    use pb::provider_ref::Provider;
    let provider = match provider.clone() {
        ProviderRef::WechatPay { mchid, plan_id, contract_code, contract_id } => {
            Provider::WechatPay(pb::WechatPayContract { mchid, plan_id, contract_code, contract_id })
        }
        ProviderRef::Alipay { agreement_no, external_agreement_no, sign_scene } => {
            Provider::Alipay(pb::AlipayAgreement { agreement_no, external_agreement_no, sign_scene })
        }
        ProviderRef::AppStore { original_transaction_id } => {
            Provider::AppStore(pb::AppStoreSubscription { original_transaction_id })
        }
        ProviderRef::GooglePlay { package_name, purchase_token } => {
            Provider::GooglePlay(pb::GooglePlaySubscription { package_name, purchase_token })
        }
        ProviderRef::Stripe { subscription } => Provider::Stripe(pb::StripeSubscription { subscription }),
    };
    pb::ProviderRef { provider: Some(provider) }
}

fn provider_ref_from(provider: pb::provider_ref::Provider) -> ProviderRef {
    use pb::provider_ref::Provider;
    match provider {
        Provider::WechatPay(pb::WechatPayContract { mchid, plan_id, contract_code, contract_id }) => {
            ProviderRef::WechatPay { mchid, plan_id, contract_code, contract_id }
        }
        Provider::Alipay(pb::AlipayAgreement { agreement_no, external_agreement_no, sign_scene }) => {
            ProviderRef::Alipay { agreement_no, external_agreement_no, sign_scene }
        }
        Provider::AppStore(pb::AppStoreSubscription { original_transaction_id }) => {
            ProviderRef::AppStore { original_transaction_id }
        }
        Provider::GooglePlay(pb::GooglePlaySubscription { package_name, purchase_token }) => {
            ProviderRef::GooglePlay { package_name, purchase_token }
        }
        Provider::Stripe(pb::StripeSubscription { subscription }) => ProviderRef::Stripe { subscription },
    }
}

/// A fact as it is stored and told.
#[must_use]
pub fn encode(event: &Event) -> Encoded {
    match event {
        Event::Money(event) => refunds::encode(event),
        Event::Recorded(it) => {
            Encoded::of(&pb::SubscriptionRecorded { subscription: Some(subscription(it)) })
        }
        Event::ProviderStateRecorded { id, state, observed_at } => Encoded::of(&pb::ProviderStateRecorded {
            subscription_id: id.to_string(),
            state: provider_state(*state).into(),
            observed_at: Some(observed_at.to_proto()),
        }),
        Event::RenewalStopped { id, cancellation, will_not_renew_at, access_ends_at } => {
            Encoded::of(&pb::RenewalStopped {
                subscription_id: id.to_string(),
                cancellation_id: cancellation.to_string(),
                will_not_renew_at: Some(will_not_renew_at.to_proto()),
                access_ends_at: Some(access_ends_at.to_proto()),
            })
        }
        Event::AccessEnded { id, at, cancellation } => Encoded::of(&pb::AccessEnded {
            subscription_id: id.to_string(),
            access_ended_at: Some(at.to_proto()),
            cancellation_id: cancellation.as_ref().map(ToString::to_string).unwrap_or_default(),
        }),
        Event::RenewalFrozen { id, cancellation, at } => Encoded::of(&pb::RenewalFrozen {
            subscription_id: id.to_string(),
            cancellation_id: cancellation.to_string(),
            frozen_at: Some(at.to_proto()),
        }),
        Event::RenewalThawed { id, cancellation, at } => Encoded::of(&pb::RenewalThawed {
            subscription_id: id.to_string(),
            cancellation_id: cancellation.to_string(),
            thawed_at: Some(at.to_proto()),
        }),
        Event::Renewed { id, at, period_end, next_charge_at, plan } => {
            Encoded::of(&pb::SubscriptionRenewed {
                subscription_id: id.to_string(),
                renewed_at: Some(at.to_proto()),
                current_period_end: Some(period_end.to_proto()),
                next_charge_at: next_charge_at.map(Timestamp::to_proto),
                plan: plan.as_ref().map(plan_to),
            })
        }
        Event::Downgraded { id, at, plan, effective_at } => Encoded::of(&pb::SubscriptionDowngraded {
            subscription_id: id.to_string(),
            downgraded_at: Some(at.to_proto()),
            plan: plan.as_ref().map(plan_to),
            effective_at: effective_at.map(Timestamp::to_proto),
        }),
        Event::Paused { id, pause } => Encoded::of(&pb::SubscriptionPaused {
            subscription_id: id.to_string(),
            paused_at: Some(pause.since.to_proto()),
            paused_until: Some(pause.until.to_proto()),
        }),
    }
}

/// A stored fact.
///
/// # Errors
/// [`Unreadable`] for a type or version that this program does not know, or bytes that are not it.
pub fn decode(kind: &str, schema: u16, payload: &Bytes) -> Result<Event, Unreadable> {
    if schema != 1 {
        return Err(unreadable(kind, schema, "the schema's version is not known"));
    }
    let event = if let Some(event) = refunds::decode(kind, payload)? {
        event.map(Event::Money)
    } else if kind == pb::SubscriptionRecorded::full_name() {
        let told: pb::SubscriptionRecorded = message(kind, payload)?;
        told.subscription.and_then(subscription_from).map(|it| Event::Recorded(Box::new(it)))
    } else if kind == pb::ProviderStateRecorded::full_name() {
        provider_state_recorded(message(kind, payload)?)
    } else if kind == pb::RenewalStopped::full_name() {
        renewal_stopped(message(kind, payload)?)
    } else if kind == pb::AccessEnded::full_name() {
        access_ended(message(kind, payload)?)
    } else if kind == pb::RenewalFrozen::full_name() {
        renewal_frozen(message(kind, payload)?)
    } else if kind == pb::RenewalThawed::full_name() {
        renewal_thawed(message(kind, payload)?)
    } else if kind == pb::SubscriptionRenewed::full_name() {
        renewed(message(kind, payload)?)
    } else if kind == pb::SubscriptionDowngraded::full_name() {
        downgraded(message(kind, payload)?)
    } else if kind == pb::SubscriptionPaused::full_name() {
        paused(message(kind, payload)?)
    } else {
        return Err(unreadable(kind, schema, "the type is not known"));
    };
    event.ok_or_else(|| unreadable(kind, schema, "a field is not what it must be"))
}

fn message<M: Message + Default>(kind: &str, payload: &Bytes) -> Result<M, Unreadable> {
    M::decode(payload.clone()).map_err(|error| unreadable(kind, 1, error))
}

fn provider_state_recorded(told: pb::ProviderStateRecorded) -> Option<Event> {
    Some(Event::ProviderStateRecorded {
        id: SubscriptionId::parse(&told.subscription_id).ok()?,
        state: provider_state_from(told.state())?,
        observed_at: instant(told.observed_at.as_ref())?,
    })
}

fn renewal_stopped(told: pb::RenewalStopped) -> Option<Event> {
    Some(Event::RenewalStopped {
        id: SubscriptionId::parse(&told.subscription_id).ok()?,
        cancellation: CancellationId::parse(&told.cancellation_id).ok()?,
        will_not_renew_at: instant(told.will_not_renew_at.as_ref())?,
        access_ends_at: instant(told.access_ends_at.as_ref())?,
    })
}

fn access_ended(told: pb::AccessEnded) -> Option<Event> {
    Some(Event::AccessEnded {
        id: SubscriptionId::parse(&told.subscription_id).ok()?,
        at: instant(told.access_ended_at.as_ref())?,
        cancellation: CancellationId::parse(&told.cancellation_id).ok(),
    })
}

fn renewal_frozen(told: pb::RenewalFrozen) -> Option<Event> {
    Some(Event::RenewalFrozen {
        id: SubscriptionId::parse(&told.subscription_id).ok()?,
        cancellation: CancellationId::parse(&told.cancellation_id).ok()?,
        at: instant(told.frozen_at.as_ref())?,
    })
}

fn renewal_thawed(told: pb::RenewalThawed) -> Option<Event> {
    Some(Event::RenewalThawed {
        id: SubscriptionId::parse(&told.subscription_id).ok()?,
        cancellation: CancellationId::parse(&told.cancellation_id).ok()?,
        at: instant(told.thawed_at.as_ref())?,
    })
}

fn renewed(told: pb::SubscriptionRenewed) -> Option<Event> {
    Some(Event::Renewed {
        id: SubscriptionId::parse(&told.subscription_id).ok()?,
        at: instant(told.renewed_at.as_ref())?,
        period_end: instant(told.current_period_end.as_ref())?,
        next_charge_at: instant(told.next_charge_at.as_ref()),
        plan: told.plan.map(plan_from),
    })
}

fn downgraded(told: pb::SubscriptionDowngraded) -> Option<Event> {
    Some(Event::Downgraded {
        id: SubscriptionId::parse(&told.subscription_id).ok()?,
        at: instant(told.downgraded_at.as_ref())?,
        plan: told.plan.map(plan_from),
        effective_at: instant(told.effective_at.as_ref()),
    })
}

fn paused(told: pb::SubscriptionPaused) -> Option<Event> {
    let (since, until) = (instant(told.paused_at.as_ref())?, instant(told.paused_until.as_ref())?);
    Some(Event::Paused {
        id: SubscriptionId::parse(&told.subscription_id).ok()?,
        pause: Pause { since, until },
    })
}

fn instant(told: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    told.and_then(Timestamp::from_proto)
}

/// A stored subscription. More lenient than what is asked of callers: what was stored once must be
/// readable for ever.
fn subscription_from(it: pb::Subscription) -> Option<Subscription> {
    let amount = |told: Option<&proto::types::v1::Money>| -> Option<Money> { told.and_then(money_from) };
    let status = match it.status() {
        pb::SubscriptionStatus::Unspecified => return None,
        pb::SubscriptionStatus::Active => Status::Active,
        pb::SubscriptionStatus::WillNotRenew => Status::WillNotRenew,
        pb::SubscriptionStatus::Ended => Status::Ended,
    };
    let billing = billing_from(it.billing())?;
    let terms = Terms {
        plan: plan_from(it.plan?),
        billing,
        provider: it.provider_ref.and_then(|told| told.provider).map(provider_ref_from),
        started_at: instant(it.started_at.as_ref()),
        current_period_end: instant(it.current_period_end.as_ref()),
        next_charge_at: instant(it.next_charge_at.as_ref()),
        minimum_term_end: instant(it.minimum_term_end.as_ref()),
        early_termination_fee: amount(it.early_termination_fee.as_ref()),
        outstanding: amount(it.outstanding_amount.as_ref()),
        benefits: it.benefits,
        alternative: it.alternative.map(plan_from),
    };
    Some(Subscription {
        id: SubscriptionId::parse(&it.subscription_id).ok()?,
        subject: SubjectId::parse(&it.subject_id).ok()?,
        terms,
        status,
        will_not_renew_at: instant(it.will_not_renew_at.as_ref()),
        access_ends_at: instant(it.access_ends_at.as_ref()),
        observed_at: None,
        ended_by: None,
        frozen_by: BTreeMap::new(),
        pause: None,
        downgraded_at: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    fn whole() -> Subscription {
        let cny =
            |units| money_from(&proto::types::v1::Money { currency_code: "CNY".into(), minor_units: units });
        Subscription {
            id: SubscriptionId::parse("sub_1").unwrap(),
            subject: SubjectId::parse("sbj_1").unwrap(),
            terms: Terms {
                plan: Plan {
                    name: "Video".into(),
                    tier: "Gold".into(),
                    price: cny(2_500),
                    link: "https://video.example/gold".into(),
                },
                billing: Billing::AppStore,
                provider: Some(ProviderRef::AppStore { original_transaction_id: "2000".into() }),
                started_at: Some(at(1)),
                current_period_end: Some(at(2)),
                next_charge_at: Some(at(3)),
                minimum_term_end: Some(at(4)),
                early_termination_fee: cny(1),
                outstanding: cny(0),
                benefits: vec!["Ad-free".into()],
                alternative: Some(basic()),
            },
            status: Status::WillNotRenew,
            will_not_renew_at: Some(at(5)),
            access_ends_at: Some(at(6)),
            observed_at: None,
            ended_by: None,
            frozen_by: BTreeMap::new(),
            pause: None,
            downgraded_at: None,
        }
    }

    fn basic() -> Plan {
        let price = proto::types::v1::Money { currency_code: "CNY".into(), minor_units: 900 };
        let (name, tier, link) = ("Video".into(), "Basic".into(), "https://video.example/basic".into());
        Plan { name, tier, price: money_from(&price), link }
    }

    #[test]
    fn every_fact_is_read_as_it_was_written() {
        let id = SubscriptionId::parse("sub_1").unwrap();
        let states = [ProviderState::Active, ProviderState::WillNotRenew, ProviderState::Ended];
        let observed = |state| Event::ProviderStateRecorded { id: id.clone(), state, observed_at: at(7) };
        let cancellation = CancellationId::parse("can_1").unwrap();
        let (will_not_renew_at, access_ends_at) = (at(8), at(9));
        let events = states.map(observed).into_iter().chain([
            Event::Recorded(Box::new(whole())),
            Event::AccessEnded { id: id.clone(), at: at(10), cancellation: Some(cancellation.clone()) },
            Event::AccessEnded { id: id.clone(), at: at(11), cancellation: None },
            Event::RenewalStopped {
                id: id.clone(),
                cancellation: cancellation.clone(),
                will_not_renew_at,
                access_ends_at,
            },
            Event::RenewalFrozen { id: id.clone(), cancellation: cancellation.clone(), at: at(12) },
            Event::RenewalThawed { id: id.clone(), cancellation, at: at(13) },
            Event::Paused { id: id.clone(), pause: Pause { since: at(19), until: at(20) } },
            Event::Renewed {
                id: id.clone(),
                at: at(14),
                period_end: at(15),
                next_charge_at: None,
                plan: Some(basic()),
            },
            Event::Renewed {
                id: id.clone(),
                at: at(16),
                period_end: at(17),
                next_charge_at: Some(at(18)),
                plan: None,
            },
            Event::Downgraded { id: id.clone(), at: at(19), plan: Some(basic()), effective_at: Some(at(20)) },
            Event::Downgraded { id: id.clone(), at: at(19), plan: None, effective_at: None },
        ]);
        for event in events {
            let Encoded { kind, schema, payload } = encode(&event);
            assert_eq!(decode(&kind, schema, &payload), Ok(event));
        }
    }

    #[test]
    fn every_billing_and_contract_is_read_as_it_was_written() {
        let text = || "x".to_owned();
        let providers = [
            (Billing::Merchant, None),
            (Billing::Carrier, None),
            (Billing::QqWallet, None),
            (
                Billing::WechatPay,
                Some(ProviderRef::WechatPay {
                    mchid: text(),
                    plan_id: text(),
                    contract_code: text(),
                    contract_id: String::new(),
                }),
            ),
            (
                Billing::Alipay,
                Some(ProviderRef::Alipay {
                    agreement_no: text(),
                    external_agreement_no: String::new(),
                    sign_scene: text(),
                }),
            ),
            (
                Billing::GooglePlay,
                Some(ProviderRef::GooglePlay { package_name: text(), purchase_token: text() }),
            ),
            (Billing::Stripe, Some(ProviderRef::Stripe { subscription: text() })),
        ];
        for (billing, provider) in providers {
            let mut it = whole();
            (it.terms.billing, it.terms.provider) = (billing, provider);
            assert_eq!(subscription_from(subscription(&it)), Some(it));
        }
    }

    #[test]
    fn what_is_not_known_is_unreadable() {
        let Encoded { kind, payload, .. } = encode(&Event::Recorded(Box::new(whole())));
        assert!(decode(&kind, 2, &payload).is_err());
        assert!(decode("exeunt.subscription.v1.Other", 1, &payload).is_err());
        assert!(decode(&kind, 1, &Bytes::from_static(b"\xff")).is_err());
        assert!(decode(&kind, 1, &Bytes::new()).is_err());
    }
}
