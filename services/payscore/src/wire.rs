//! Between protobuf and the domain: what is told, and what is stored.

mod requests;

use std::collections::BTreeSet;

use bytes::Bytes;
use messaging::Unreadable;
use participant::{Encoded, unreadable, wire::money, wire::money_from};
use prost::{Message, Name};
use proto::payscore::v1 as pb;
pub use requests::{
    CreateServiceOrder, RecordAuthorization, RecordCollection, RecordCreditPurchase, create_service_order,
    order_call, record_authorization, record_collection, record_credit_purchase, settled_call, subject_call,
    subject_id,
};
use types::{CancellationId, SubjectId, Timestamp};

use crate::domain::{
    Authorization, AuthorizationId, Collection, CreditPurchase, Event, Merchant, OrderId, OrderState,
    PurchaseId, Scheme, ServiceOrder, State,
};

/// An authorisation with its orders, as callers see it and as it is stored.
#[must_use]
pub fn authorization(it: &Authorization) -> pb::Authorization {
    let state = match it.unbound_at {
        None => pb::AuthorizationState::Available,
        Some(_) => pb::AuthorizationState::Unbound,
    };
    pb::Authorization {
        authorization_id: it.id.to_string(),
        subject_id: it.subject.to_string(),
        scheme: scheme(it.scheme).into(),
        merchant: Some(pb::Merchant { mchid: it.merchant.mchid.clone(), name: it.merchant.name.clone() }),
        service_id: it.service_id.clone(),
        authorization_code: it.code.clone(),
        state: state.into(),
        unbound_at: it.unbound_at.map(Timestamp::to_proto),
        orders: it.orders.iter().map(order).collect(),
        frozen_by: it.frozen_by.iter().map(ToString::to_string).collect(),
    }
}

/// A service order.
#[must_use]
pub fn order(it: &ServiceOrder) -> pb::ServiceOrder {
    pb::ServiceOrder {
        order_id: it.id.to_string(),
        authorization_id: it.authorization.to_string(),
        out_order_no: it.out_order_no.clone(),
        amount: Some(money(it.amount)),
        deposit_waived: it.deposit_waived.map(money),
        state: match it.state {
            OrderState::Doing => pb::ServiceOrderState::Doing,
            OrderState::Completed => pb::ServiceOrderState::Completed,
            OrderState::Paid => pb::ServiceOrderState::Paid,
            OrderState::Cancelled => pb::ServiceOrderState::Cancelled,
        }
        .into(),
    }
}

/// A purchase on credit.
#[must_use]
pub fn purchase(it: &CreditPurchase) -> pb::CreditPurchase {
    pb::CreditPurchase {
        purchase_id: it.id.to_string(),
        subject_id: it.subject.to_string(),
        amount: Some(money(it.amount)),
        out_trade_no: it.out_trade_no.clone(),
        settled: it.settled,
    }
}

/// Everything of a subject.
#[must_use]
pub fn everything(state: &State) -> pb::ListAuthorizationsResponse {
    pb::ListAuthorizationsResponse {
        authorizations: state.authorizations.iter().map(authorization).collect(),
        credit_purchases: state.purchases.iter().map(purchase).collect(),
        face_payment_enabled: state.face_payment,
    }
}

fn scheme(scheme: Scheme) -> pb::Scheme {
    match scheme {
        Scheme::WechatPayScore => pb::Scheme::WechatPayScore,
        Scheme::Zhima => pb::Scheme::Zhima,
    }
}

/// Whose score; `None` when nobody's.
#[must_use]
pub fn scheme_from(scheme: pb::Scheme) -> Option<Scheme> {
    match scheme {
        pb::Scheme::Unspecified => None,
        pb::Scheme::WechatPayScore => Some(Scheme::WechatPayScore),
        pb::Scheme::Zhima => Some(Scheme::Zhima),
    }
}

/// What is known of a collection; `None` when nothing is.
#[must_use]
pub fn collection_from(collection: pb::Collection) -> Option<Collection> {
    match collection {
        pb::Collection::Unspecified => None,
        pb::Collection::UserPaying => Some(Collection::UserPaying),
        pb::Collection::UserPaid => Some(Collection::UserPaid),
    }
}

/// A fact as it is stored and told.
#[must_use]
pub fn encode(event: &Event) -> Encoded {
    match event {
        Event::AuthorizationRecorded(it) => {
            Encoded::of(&pb::AuthorizationRecorded { authorization: Some(authorization(it)) })
        }
        Event::AuthorizationUnbound { id, cancellation, at } => Encoded::of(&pb::AuthorizationUnbound {
            authorization_id: id.to_string(),
            cancellation_id: cancellation.to_string(),
            unbound_at: Some(at.to_proto()),
        }),
        Event::AuthorizationFrozen { id, cancellation, at } => Encoded::of(&pb::AuthorizationFrozen {
            authorization_id: id.to_string(),
            cancellation_id: cancellation.to_string(),
            frozen_at: Some(at.to_proto()),
        }),
        Event::AuthorizationThawed { id, cancellation, at } => Encoded::of(&pb::AuthorizationThawed {
            authorization_id: id.to_string(),
            cancellation_id: cancellation.to_string(),
            thawed_at: Some(at.to_proto()),
        }),
        Event::OrderCreated(it) => Encoded::of(&pb::ServiceOrderCreated { order: Some(order(it)) }),
        Event::OrderCompleted(id) => Encoded::of(&pb::ServiceOrderCompleted { order_id: id.to_string() }),
        Event::OrderPaid(id) => Encoded::of(&pb::ServiceOrderPaid { order_id: id.to_string() }),
        Event::OrderCancelled(id) => Encoded::of(&pb::ServiceOrderCancelled { order_id: id.to_string() }),
        Event::PurchaseRecorded(it) => {
            Encoded::of(&pb::CreditPurchaseRecorded { purchase: Some(purchase(it)) })
        }
        Event::PurchaseSettled(id) => Encoded::of(&pb::CreditPurchaseSettled { purchase_id: id.to_string() }),
        Event::FacePaymentSet { enabled, cancellation } => Encoded::of(&pb::FacePaymentSet {
            enabled: *enabled,
            cancellation_id: cancellation.as_ref().map(ToString::to_string).unwrap_or_default(),
        }),
    }
}

type Read = fn(&Bytes) -> Result<Option<Event>, prost::DecodeError>;

/// How each type of stored facts is read: `None` when a field is not what it must be.
fn readers() -> [(String, Read); 11] {
    [
        (pb::AuthorizationRecorded::full_name(), |bytes| {
            let told = pb::AuthorizationRecorded::decode(bytes.clone())?.authorization;
            Ok(told.and_then(authorization_from).map(|it| Event::AuthorizationRecorded(Box::new(it))))
        }),
        (pb::AuthorizationUnbound::full_name(), |bytes| {
            Ok(unbound_from(&pb::AuthorizationUnbound::decode(bytes.clone())?))
        }),
        (pb::AuthorizationFrozen::full_name(), |bytes| {
            Ok(frozen_from(&pb::AuthorizationFrozen::decode(bytes.clone())?))
        }),
        (pb::AuthorizationThawed::full_name(), |bytes| {
            Ok(thawed_from(&pb::AuthorizationThawed::decode(bytes.clone())?))
        }),
        (pb::ServiceOrderCreated::full_name(), |bytes| {
            let told = pb::ServiceOrderCreated::decode(bytes.clone())?.order;
            Ok(told.and_then(order_from).map(|it| Event::OrderCreated(Box::new(it))))
        }),
        (pb::ServiceOrderCompleted::full_name(), |bytes| {
            let told = pb::ServiceOrderCompleted::decode(bytes.clone())?;
            Ok(OrderId::parse(&told.order_id).ok().map(Event::OrderCompleted))
        }),
        (pb::ServiceOrderPaid::full_name(), |bytes| {
            let told = pb::ServiceOrderPaid::decode(bytes.clone())?;
            Ok(OrderId::parse(&told.order_id).ok().map(Event::OrderPaid))
        }),
        (pb::ServiceOrderCancelled::full_name(), |bytes| {
            let told = pb::ServiceOrderCancelled::decode(bytes.clone())?;
            Ok(OrderId::parse(&told.order_id).ok().map(Event::OrderCancelled))
        }),
        (pb::CreditPurchaseRecorded::full_name(), |bytes| {
            let told = pb::CreditPurchaseRecorded::decode(bytes.clone())?.purchase;
            Ok(told.and_then(purchase_from).map(|it| Event::PurchaseRecorded(Box::new(it))))
        }),
        (pb::CreditPurchaseSettled::full_name(), |bytes| {
            let told = pb::CreditPurchaseSettled::decode(bytes.clone())?;
            Ok(PurchaseId::parse(&told.purchase_id).ok().map(Event::PurchaseSettled))
        }),
        (pb::FacePaymentSet::full_name(), |bytes| {
            let told = pb::FacePaymentSet::decode(bytes.clone())?;
            let cancellation = CancellationId::parse(&told.cancellation_id).ok();
            Ok(Some(Event::FacePaymentSet { enabled: told.enabled, cancellation }))
        }),
    ]
}

/// A stored fact.
///
/// # Errors
/// [`Unreadable`] for a type or version that this program does not know, or bytes that are not it.
pub fn decode(kind: &str, schema: u16, payload: &Bytes) -> Result<Event, Unreadable> {
    if schema != 1 {
        return Err(unreadable(kind, schema, "the schema's version is not known"));
    }
    let reader = readers().into_iter().find(|(name, _)| name == kind);
    let (_, read) = reader.ok_or_else(|| unreadable(kind, schema, "the type is not known"))?;
    let event = read(payload).map_err(|error| unreadable(kind, schema, error))?;
    event.ok_or_else(|| unreadable(kind, schema, "a field is not what it must be"))
}

fn instant(told: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    told.and_then(Timestamp::from_proto)
}

fn unbound_from(told: &pb::AuthorizationUnbound) -> Option<Event> {
    Some(Event::AuthorizationUnbound {
        id: AuthorizationId::parse(&told.authorization_id).ok()?,
        cancellation: CancellationId::parse(&told.cancellation_id).ok()?,
        at: instant(told.unbound_at.as_ref())?,
    })
}

fn frozen_from(told: &pb::AuthorizationFrozen) -> Option<Event> {
    Some(Event::AuthorizationFrozen {
        id: AuthorizationId::parse(&told.authorization_id).ok()?,
        cancellation: CancellationId::parse(&told.cancellation_id).ok()?,
        at: instant(told.frozen_at.as_ref())?,
    })
}

fn thawed_from(told: &pb::AuthorizationThawed) -> Option<Event> {
    Some(Event::AuthorizationThawed {
        id: AuthorizationId::parse(&told.authorization_id).ok()?,
        cancellation: CancellationId::parse(&told.cancellation_id).ok()?,
        at: instant(told.thawed_at.as_ref())?,
    })
}

fn authorization_from(it: pb::Authorization) -> Option<Authorization> {
    let scheme = scheme_from(it.scheme())?;
    let merchant = it.merchant?;
    Some(Authorization {
        id: AuthorizationId::parse(&it.authorization_id).ok()?,
        subject: SubjectId::parse(&it.subject_id).ok()?,
        scheme,
        merchant: Merchant { mchid: merchant.mchid, name: merchant.name },
        service_id: it.service_id,
        code: it.authorization_code,
        unbound_at: instant(it.unbound_at.as_ref()),
        unbound_by: None,
        frozen_by: BTreeSet::new(),
        orders: it.orders.into_iter().map(order_from).collect::<Option<_>>()?,
    })
}

fn order_from(it: pb::ServiceOrder) -> Option<ServiceOrder> {
    let state = match it.state() {
        pb::ServiceOrderState::Unspecified => return None,
        pb::ServiceOrderState::Doing => OrderState::Doing,
        pb::ServiceOrderState::Completed => OrderState::Completed,
        pb::ServiceOrderState::Paid => OrderState::Paid,
        pb::ServiceOrderState::Cancelled => OrderState::Cancelled,
    };
    Some(ServiceOrder {
        id: OrderId::parse(&it.order_id).ok()?,
        authorization: AuthorizationId::parse(&it.authorization_id).ok()?,
        out_order_no: it.out_order_no,
        amount: it.amount.as_ref().and_then(money_from)?,
        deposit_waived: it.deposit_waived.as_ref().and_then(money_from),
        state,
    })
}

fn purchase_from(it: pb::CreditPurchase) -> Option<CreditPurchase> {
    Some(CreditPurchase {
        id: PurchaseId::parse(&it.purchase_id).ok()?,
        subject: SubjectId::parse(&it.subject_id).ok()?,
        amount: it.amount.as_ref().and_then(money_from)?,
        out_trade_no: it.out_trade_no,
        settled: it.settled,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Authorization {
        let cny = |units| {
            let told = proto::types::v1::Money { currency_code: "CNY".into(), minor_units: units };
            money_from(&told).unwrap()
        };
        let id = AuthorizationId::parse("aut_1").unwrap();
        let order = |state| ServiceOrder {
            id: OrderId::parse("ord_1").unwrap(),
            authorization: id.clone(),
            out_order_no: "n-1".into(),
            amount: cny(600),
            deposit_waived: Some(cny(9_900)),
            state,
        };
        let states = [OrderState::Doing, OrderState::Completed, OrderState::Paid, OrderState::Cancelled];
        Authorization {
            id: id.clone(),
            subject: SubjectId::parse("sbj_1").unwrap(),
            scheme: Scheme::Zhima,
            merchant: Merchant { mchid: "1900000109".into(), name: "Power Bank".into() },
            service_id: "rent".into(),
            code: "c-1".into(),
            unbound_at: Some(Timestamp::from_micros(1)),
            unbound_by: None,
            frozen_by: BTreeSet::new(),
            orders: states.map(order).into(),
        }
    }

    fn bought() -> CreditPurchase {
        CreditPurchase {
            id: PurchaseId::parse("pur_1").unwrap(),
            subject: whole().subject,
            amount: whole().orders[0].amount,
            out_trade_no: String::new(),
            settled: true,
        }
    }

    #[test]
    fn every_fact_is_read_as_it_was_written() {
        let order = || OrderId::parse("ord_1").unwrap();
        let cancellation = CancellationId::parse("can_1").unwrap();
        let events = [
            Event::AuthorizationRecorded(Box::new(whole())),
            Event::AuthorizationUnbound {
                id: whole().id,
                cancellation: cancellation.clone(),
                at: Timestamp::from_micros(2),
            },
            Event::AuthorizationFrozen {
                id: whole().id,
                cancellation: cancellation.clone(),
                at: Timestamp::from_micros(3),
            },
            Event::AuthorizationThawed {
                id: whole().id,
                cancellation: cancellation.clone(),
                at: Timestamp::from_micros(4),
            },
            Event::OrderCreated(Box::new(whole().orders[0].clone())),
            Event::OrderCompleted(order()),
            Event::OrderPaid(order()),
            Event::OrderCancelled(order()),
            Event::PurchaseRecorded(Box::new(bought())),
            Event::PurchaseSettled(bought().id),
            Event::FacePaymentSet { enabled: true, cancellation: None },
            Event::FacePaymentSet { enabled: false, cancellation: Some(cancellation) },
        ];
        for event in events {
            let Encoded { kind, schema, payload } = encode(&event);
            assert_eq!(decode(&kind, schema, &payload), Ok(event));
        }
    }

    #[test]
    fn what_is_not_known_is_unreadable() {
        let Encoded { kind, payload, .. } = encode(&Event::AuthorizationRecorded(Box::new(whole())));
        assert!(decode(&kind, 2, &payload).is_err());
        assert!(decode("exeunt.payscore.v1.Other", 1, &payload).is_err());
        assert!(decode(&kind, 1, &Bytes::from_static(b"\xff")).is_err());
        assert!(decode(&kind, 1, &Bytes::new()).is_err());
    }
}
