//! Between protobuf and the domain: requests inward with every bad field named at once, wallets
//! outward, and events as they are stored.

use bytes::Bytes;
use messaging::Unreadable;
use participant::{
    Encoded, unreadable,
    wire::{money, money_from},
};
use prost::{Message, Name};
use proto::{types::v1::Money as PbMoney, wallet::v1 as pb};
use service_kit::{BadRequest, Violations};
use types::{CancellationId, Currency, Money, SubjectId, Timestamp};

use crate::domain::{Basis, Benefit, BenefitId, BenefitKind, Event, Gone, Record, Restriction, State};

/// A request as it was read, with what it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked<T> {
    /// The request's own id; empty for none.
    pub request_id: String,
    /// Whose wallet.
    pub subject: SubjectId,
    /// What.
    pub what: T,
}

/// A benefit to record; its id is minted by whoever records it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBenefit {
    kind: BenefitKind,
    quantity: i64,
    paid_value: Option<Money>,
    expires_at: Option<Timestamp>,
}

impl NewBenefit {
    /// The benefit, with its id.
    #[must_use]
    pub fn with_id(&self, id: BenefitId) -> Benefit {
        let Self { kind, quantity, paid_value, expires_at } = self.clone();
        Benefit { id, kind, quantity, paid_value, expires_at, lapsed_at: None }
    }
}

fn asked<T>(
    request_id: &str,
    subject_id: &str,
    read: impl FnOnce(&mut Violations) -> Option<T>,
) -> Result<Asked<T>, BadRequest> {
    let mut v = Violations::new();
    let request_id = v.optional_request_id("request_id", request_id);
    let subject = v.subject_id("subject_id", subject_id);
    let what = read(&mut v);
    v.finish(|| Some(Asked { request_id: request_id?.unwrap_or_default(), subject: subject?, what: what? }))
}

/// Reads a RecordBalance.
///
/// # Errors
/// [`BadRequest`] with every bad field.
pub fn record_balance(request: &pb::RecordBalanceRequest) -> Result<Asked<Money>, BadRequest> {
    asked(&request.request_id, &request.subject_id, |v| {
        let balance = v.required("balance", request.balance.as_ref())?;
        v.money("balance", &balance.currency_code, balance.minor_units)
    })
}

/// Reads a PayOutBalance: one currency, or `None` for all.
///
/// # Errors
/// [`BadRequest`] with every bad field.
pub fn pay_out_balance(request: &pb::PayOutBalanceRequest) -> Result<Asked<Option<Currency>>, BadRequest> {
    asked(&request.request_id, &request.subject_id, |v| {
        if request.currency_code.is_empty() {
            return Some(None);
        }
        let currency = Currency::parse(&request.currency_code);
        currency.map(Some).map_err(|error| v.push("currency_code", error.to_string())).ok()
    })
}

/// Reads a RecordBenefit.
///
/// # Errors
/// [`BadRequest`] with every bad field.
pub fn record_benefit(request: &pb::RecordBenefitRequest) -> Result<Asked<NewBenefit>, BadRequest> {
    asked(&request.request_id, &request.subject_id, |v| {
        let kind = v.enumeration("kind", request.kind).and_then(kind_from);
        v.check(request.quantity >= 1, "quantity", "must be at least 1");
        let paid = request.paid_value.as_ref();
        let paid_value = match paid {
            Some(paid) => v.money("paid_value", &paid.currency_code, paid.minor_units).map(Some),
            None => Some(None),
        };
        let expires_at = v.optional_timestamp("expires_at", request.expires_at.as_ref());
        let (quantity, expires_at) = (request.quantity, expires_at?);
        Some(NewBenefit { kind: kind?, quantity, paid_value: paid_value?, expires_at })
    })
}

/// Reads a GetWallet.
///
/// # Errors
/// [`BadRequest`] with every bad field.
pub fn get_wallet(request: &pb::GetWalletRequest) -> Result<SubjectId, BadRequest> {
    let mut v = Violations::new();
    let subject = v.subject_id("subject_id", &request.subject_id);
    v.finish(|| subject)
}

/// A wallet for whoever reads it.
#[must_use]
pub fn wallet(subject: &SubjectId, state: &State) -> pb::Wallet {
    pb::Wallet {
        subject_id: subject.to_string(),
        balances: state.remaining().map(money).collect(),
        benefits: state.benefits.iter().map(benefit).collect(),
        paid_out: state.paid_out.iter().copied().map(money).collect(),
        payout_record: payout_record(&state.record),
    }
}

fn payout_record(record: &Record) -> Option<pb::PayoutRecord> {
    match record {
        Record::Open => None,
        Record::Restricted(it) => Some(pb::PayoutRecord {
            state: pb::PayoutRecordState::Restricted.into(),
            ground: it.ground.clone(),
            rule: it.basis.rule.clone(),
            source: it.basis.source.clone(),
            restricted_until: it.until.map(Timestamp::to_proto),
            changed_at: Some(it.since.to_proto()),
        }),
        Record::Erased(it) => Some(pb::PayoutRecord {
            state: pb::PayoutRecordState::Erased.into(),
            ground: String::new(),
            rule: it.basis.rule.clone(),
            source: it.basis.source.clone(),
            restricted_until: it.due.map(Timestamp::to_proto),
            changed_at: Some(it.since.to_proto()),
        }),
    }
}

/// A benefit for whoever reads it.
#[must_use]
pub fn benefit(benefit: &Benefit) -> pb::Benefit {
    let kind = match benefit.kind {
        BenefitKind::Points => pb::BenefitKind::Points,
        BenefitKind::Coupon => pb::BenefitKind::Coupon,
        BenefitKind::StoredValue => pb::BenefitKind::StoredValue,
    };
    pb::Benefit {
        benefit_id: benefit.id.to_string(),
        kind: kind.into(),
        quantity: benefit.quantity,
        paid_value: benefit.paid_value.map(money),
        expires_at: benefit.expires_at.map(Timestamp::to_proto),
        lapsed_at: benefit.lapsed_at.map(Timestamp::to_proto),
    }
}

fn kind_from(kind: pb::BenefitKind) -> Option<BenefitKind> {
    match kind {
        pb::BenefitKind::Unspecified => None,
        pb::BenefitKind::Points => Some(BenefitKind::Points),
        pb::BenefitKind::Coupon => Some(BenefitKind::Coupon),
        pb::BenefitKind::StoredValue => Some(BenefitKind::StoredValue),
    }
}

/// A fact as it is stored.
#[must_use]
pub fn encode(event: &Event) -> Encoded {
    match event {
        Event::BalanceRecorded(balance) => {
            Encoded::of(&pb::BalanceRecorded { balance: Some(money(*balance)) })
        }
        Event::BalancePaidOut { amount, at } => Encoded::of(&pb::BalancePaidOut {
            amount: Some(money(*amount)),
            paid_out_at: at.map(Timestamp::to_proto),
        }),
        Event::BenefitRecorded(recorded) => {
            Encoded::of(&pb::BenefitRecorded { benefit: Some(benefit(recorded)) })
        }
        Event::BenefitLapsed { id, cancellation, at } => Encoded::of(&pb::BenefitLapsed {
            benefit_id: id.to_string(),
            cancellation_id: cancellation.to_string(),
            lapsed_at: Some(at.to_proto()),
        }),
        Event::PayoutRecordRestricted(it) => Encoded::of(&pb::PayoutRecordRestricted {
            cancellation_id: it.cancellation.to_string(),
            ground: it.ground.clone(),
            rule: it.basis.rule.clone(),
            source: it.basis.source.clone(),
            restricted_until: it.until.map(Timestamp::to_proto),
            restricted_at: Some(it.since.to_proto()),
        }),
        Event::PayoutRecordErased(it) => Encoded::of(&pb::PayoutRecordErased {
            cancellation_id: it.cancellation.to_string(),
            rule: it.basis.rule.clone(),
            source: it.basis.source.clone(),
            erased_at: Some(it.since.to_proto()),
            restricted_until: it.due.map(Timestamp::to_proto),
        }),
    }
}

/// A stored fact.
///
/// # Errors
/// [`Unreadable`] for what this program does not know.
pub fn decode(kind: &str, schema: u16, payload: &Bytes) -> Result<Event, Unreadable> {
    let event = match schema {
        1 if kind == pb::BalanceRecorded::full_name() => {
            message(payload, |it: pb::BalanceRecorded| Some(Event::BalanceRecorded(amount(it.balance)?)))
        }
        1 if kind == pb::BalancePaidOut::full_name() => message(payload, |it: pb::BalancePaidOut| {
            let at = optional(it.paid_out_at, |at| Timestamp::from_proto(&at))?;
            Some(Event::BalancePaidOut { amount: amount(it.amount)?, at })
        }),
        1 if kind == pb::BenefitRecorded::full_name() => message(payload, benefit_recorded),
        1 if kind == pb::BenefitLapsed::full_name() => message(payload, benefit_lapsed),
        1 if kind == pb::PayoutRecordRestricted::full_name() => message(payload, record_restricted),
        1 if kind == pb::PayoutRecordErased::full_name() => message(payload, record_erased),
        _ => Err("is not known".to_owned()),
    };
    event.map_err(|detail| unreadable(kind, schema, detail))
}

fn message<M: Message + Default>(payload: &Bytes, read: fn(M) -> Option<Event>) -> Result<Event, String> {
    let message = M::decode(payload.clone()).map_err(|error| error.to_string())?;
    read(message).ok_or_else(|| "lacks a field".to_owned())
}

fn benefit_recorded(message: pb::BenefitRecorded) -> Option<Event> {
    let told = message.benefit?;
    Some(Event::BenefitRecorded(Benefit {
        id: BenefitId::parse(&told.benefit_id).ok()?,
        kind: kind_from(told.kind())?,
        quantity: told.quantity,
        paid_value: optional(told.paid_value, |paid| amount(Some(paid)))?,
        expires_at: optional(told.expires_at, |at| Timestamp::from_proto(&at))?,
        lapsed_at: None,
    }))
}

fn benefit_lapsed(message: pb::BenefitLapsed) -> Option<Event> {
    Some(Event::BenefitLapsed {
        id: BenefitId::parse(&message.benefit_id).ok()?,
        cancellation: CancellationId::parse(&message.cancellation_id).ok()?,
        at: Timestamp::from_proto(&message.lapsed_at?)?,
    })
}

fn record_restricted(message: pb::PayoutRecordRestricted) -> Option<Event> {
    Some(Event::PayoutRecordRestricted(Restriction {
        ground: message.ground,
        basis: Basis { rule: message.rule, source: message.source },
        until: optional(message.restricted_until, |at| Timestamp::from_proto(&at))?,
        cancellation: CancellationId::parse(&message.cancellation_id).ok()?,
        since: Timestamp::from_proto(&message.restricted_at?)?,
    }))
}

fn record_erased(message: pb::PayoutRecordErased) -> Option<Event> {
    Some(Event::PayoutRecordErased(Gone {
        basis: Basis { rule: message.rule, source: message.source },
        cancellation: CancellationId::parse(&message.cancellation_id).ok()?,
        since: Timestamp::from_proto(&message.erased_at?)?,
        due: optional(message.restricted_until, |at| Timestamp::from_proto(&at))?,
    }))
}

fn amount(message: Option<PbMoney>) -> Option<Money> {
    money_from(&message?)
}

/// What may be absent, but not be wrong.
fn optional<A, B>(value: Option<A>, read: impl FnOnce(A) -> Option<B>) -> Option<Option<B>> {
    match value {
        Some(value) => read(value).map(Some),
        None => Some(None),
    }
}

#[cfg(test)]
mod tests;
