//! What callers ask: every bad field of it at once.

use proto::{payscore::v1 as pb, types::v1::Money as PbMoney};
use service_kit::{BadRequest, Violations};
use types::{Money, SubjectId};

use super::{collection_from, scheme_from};
use crate::domain::{AuthorizationId, Collection, Merchant, OrderId, PurchaseId, Scheme};

const MCHID_LENGTH_MAX: usize = 32;
const NAME_LENGTH_MAX: usize = 100;
const SERVICE_ID_LENGTH_MAX: usize = 32;
const CODE_LENGTH_MAX: usize = 64;
const OUT_ORDER_NO_LENGTH_MAX: usize = 32;
const OUT_TRADE_NO_LENGTH_MAX: usize = 64;

/// An authorisation to record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordAuthorization {
    /// Whose.
    pub subject: SubjectId,
    /// Of which score.
    pub scheme: Scheme,
    /// For whom.
    pub merchant: Merchant,
    /// For which service of theirs.
    pub service_id: String,
    /// The merchant's own code of it.
    pub code: String,
}

/// Reads the request.
///
/// # Errors
/// [`BadRequest`] with every field that is wrong.
pub fn record_authorization(
    request: &pb::RecordAuthorizationRequest,
) -> Result<RecordAuthorization, BadRequest> {
    let mut v = Violations::new();
    v.optional_request_id("request_id", &request.request_id);
    let subject = v.subject_id("subject_id", &request.subject_id);
    let scheme = v.enumeration::<pb::Scheme>("scheme", request.scheme).and_then(scheme_from);
    let merchant = v.required("merchant", request.merchant.as_ref()).and_then(|told| {
        v.within("merchant", |v| {
            let mchid = v.text("mchid", &told.mchid, MCHID_LENGTH_MAX);
            let name = v.text("name", &told.name, NAME_LENGTH_MAX);
            Some(Merchant { mchid: mchid?, name: name? })
        })
    });
    let service_id = v.text("service_id", &request.service_id, SERVICE_ID_LENGTH_MAX);
    let code = v.text("authorization_code", &request.authorization_code, CODE_LENGTH_MAX);
    if let Some(code) = &code {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-*".contains(&byte);
        v.check(
            code.bytes().all(allowed),
            "authorization_code",
            "must consist of letters, digits, _, - and *",
        );
    }
    v.finish(|| {
        Some(RecordAuthorization {
            subject: subject?,
            scheme: scheme?,
            merchant: merchant?,
            service_id: service_id?,
            code: code?,
        })
    })
}

/// A service order to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateServiceOrder {
    /// Under which authorisation.
    pub authorization: AuthorizationId,
    /// The merchant's own number of it.
    pub out_order_no: String,
    /// What it costs.
    pub amount: Money,
    /// The deposit that would be due without the score.
    pub deposit_waived: Option<Money>,
}

/// Reads the request.
///
/// # Errors
/// [`BadRequest`] with every field that is wrong.
pub fn create_service_order(
    request: &pb::CreateServiceOrderRequest,
) -> Result<CreateServiceOrder, BadRequest> {
    let mut v = Violations::new();
    v.optional_request_id("request_id", &request.request_id);
    let authorization = v.id("authorization_id", &request.authorization_id, AuthorizationId::parse);
    let out_order_no = v.text("out_order_no", &request.out_order_no, OUT_ORDER_NO_LENGTH_MAX);
    let amount = amount(&mut v, "amount", request.amount.as_ref());
    let deposit_waived = match &request.deposit_waived {
        Some(told) => v.money("deposit_waived", &told.currency_code, told.minor_units).map(Some),
        None => Some(None),
    };
    v.finish(|| {
        Some(CreateServiceOrder {
            authorization: authorization?,
            out_order_no: out_order_no?,
            amount: amount?,
            deposit_waived: deposit_waived?,
        })
    })
}

fn amount(v: &mut Violations, field: &str, told: Option<&PbMoney>) -> Option<Money> {
    let told = v.required(field, told)?;
    v.money(field, &told.currency_code, told.minor_units)
}

/// Reads a call that names a service order and nothing more.
///
/// # Errors
/// [`BadRequest`] with every field that is wrong.
pub fn order_call(request_id: &str, order_id: &str) -> Result<OrderId, BadRequest> {
    let mut v = Violations::new();
    v.optional_request_id("request_id", request_id);
    let id = v.id("order_id", order_id, OrderId::parse);
    v.finish(|| id)
}

/// What the provider says of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordCollection {
    /// For which order.
    pub order: OrderId,
    /// What.
    pub state: Collection,
}

/// Reads the request.
///
/// # Errors
/// [`BadRequest`] with every field that is wrong.
pub fn record_collection(request: &pb::RecordCollectionRequest) -> Result<RecordCollection, BadRequest> {
    let mut v = Violations::new();
    v.optional_request_id("request_id", &request.request_id);
    let order = v.id("order_id", &request.order_id, OrderId::parse);
    let state = v.enumeration::<pb::Collection>("state", request.state).and_then(collection_from);
    v.finish(|| Some(RecordCollection { order: order?, state: state? }))
}

/// A purchase on credit to record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordCreditPurchase {
    /// Whose.
    pub subject: SubjectId,
    /// What it cost.
    pub amount: Money,
    /// The merchant's own number of it; empty when it has none.
    pub out_trade_no: String,
}

/// Reads the request.
///
/// # Errors
/// [`BadRequest`] with every field that is wrong.
pub fn record_credit_purchase(
    request: &pb::RecordCreditPurchaseRequest,
) -> Result<RecordCreditPurchase, BadRequest> {
    let mut v = Violations::new();
    v.optional_request_id("request_id", &request.request_id);
    let subject = v.subject_id("subject_id", &request.subject_id);
    let amount = amount(&mut v, "amount", request.amount.as_ref());
    let nothing = amount.is_some_and(|amount| amount.minor_units == 0);
    v.check(!nothing, "amount.minor_units", "must be more than zero");
    let out_trade_no = v.optional_text("out_trade_no", &request.out_trade_no, OUT_TRADE_NO_LENGTH_MAX);
    v.finish(|| {
        let out_trade_no = out_trade_no?.unwrap_or_default();
        Some(RecordCreditPurchase { subject: subject?, amount: amount?, out_trade_no })
    })
}

/// Reads a call that names a purchase and nothing more.
///
/// # Errors
/// [`BadRequest`] with every field that is wrong.
pub fn settled_call(request: &pb::RecordCreditPurchaseSettledRequest) -> Result<PurchaseId, BadRequest> {
    let mut v = Violations::new();
    v.optional_request_id("request_id", &request.request_id);
    let id = v.id("purchase_id", &request.purchase_id, PurchaseId::parse);
    v.finish(|| id)
}

/// Reads a call that names a subject and nothing more that can be wrong.
///
/// # Errors
/// [`BadRequest`] with every field that is wrong.
pub fn subject_call(request_id: &str, subject_id: &str) -> Result<SubjectId, BadRequest> {
    let mut v = Violations::new();
    v.optional_request_id("request_id", request_id);
    let id = v.subject_id("subject_id", subject_id);
    v.finish(|| id)
}

/// Reads a subject's id.
///
/// # Errors
/// [`BadRequest`].
pub fn subject_id(text: &str) -> Result<SubjectId, BadRequest> {
    subject_call("", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cny(minor_units: i64) -> Option<PbMoney> {
        Some(PbMoney { currency_code: "CNY".into(), minor_units })
    }

    fn faults<T>(read: Result<T, BadRequest>) -> Vec<String> {
        read.err().map(|bad| bad.faults).unwrap_or_default().into_iter().map(|fault| fault.field).collect()
    }

    fn authorization() -> pb::RecordAuthorizationRequest {
        pb::RecordAuthorizationRequest {
            request_id: "r-1".into(),
            subject_id: "sbj_1".into(),
            scheme: pb::Scheme::Zhima.into(),
            merchant: Some(pb::Merchant { mchid: "1900000109".into(), name: "街电".into() }),
            service_id: "00004000000000159".into(),
            authorization_code: "a_b-c*1".into(),
        }
    }

    #[test]
    fn every_wrong_field_of_an_authorization_is_named() {
        assert!(record_authorization(&authorization()).is_ok());
        type Change = fn(&mut pb::RecordAuthorizationRequest);
        let table: [(&str, Change); 14] = [
            ("request_id", |r| r.request_id = "r".repeat(65)),
            ("subject_id", |r| r.subject_id.clear()),
            ("subject_id", |r| r.subject_id = "s b".into()),
            ("scheme", |r| r.scheme = 0),
            ("scheme", |r| r.scheme = 9),
            ("merchant", |r| r.merchant = None),
            ("merchant.mchid", |r| r.merchant.as_mut().unwrap().mchid.clear()),
            ("merchant.mchid", |r| r.merchant.as_mut().unwrap().mchid = "1".repeat(33)),
            ("merchant.name", |r| r.merchant.as_mut().unwrap().name = "n".repeat(101)),
            ("service_id", |r| r.service_id.clear()),
            ("service_id", |r| r.service_id = "1".repeat(33)),
            ("authorization_code", |r| r.authorization_code.clear()),
            ("authorization_code", |r| r.authorization_code = "a".repeat(65)),
            ("authorization_code", |r| r.authorization_code = "a.b".into()),
        ];
        for (field, change) in table {
            let mut request = authorization();
            change(&mut request);
            assert_eq!(faults(record_authorization(&request)), [field]);
        }
        let empty = record_authorization(&pb::RecordAuthorizationRequest::default());
        let all = ["subject_id", "scheme", "merchant", "service_id", "authorization_code"];
        assert_eq!(faults(empty), all);
    }

    #[test]
    fn every_wrong_field_of_an_order_is_named() {
        let good = || pb::CreateServiceOrderRequest {
            request_id: String::new(),
            authorization_id: "aut_1".into(),
            out_order_no: "n-1".into(),
            amount: cny(0),
            deposit_waived: None,
        };
        assert!(create_service_order(&good()).is_ok());
        type Change = fn(&mut pb::CreateServiceOrderRequest);
        let table: [(&str, Change); 7] = [
            ("request_id", |r| r.request_id = "é".into()),
            ("authorization_id", |r| r.authorization_id.clear()),
            ("out_order_no", |r| r.out_order_no.clear()),
            ("out_order_no", |r| r.out_order_no = "n".repeat(33)),
            ("amount", |r| r.amount = None),
            ("amount.minor_units", |r| r.amount = cny(-1)),
            ("deposit_waived.minor_units", |r| r.deposit_waived = cny(-1)),
        ];
        for (field, change) in table {
            let mut request = good();
            change(&mut request);
            assert_eq!(faults(create_service_order(&request)), [field]);
        }
    }

    #[test]
    fn every_wrong_field_of_the_other_calls_is_named() {
        assert_eq!(faults(order_call("a b", "")), ["request_id", "order_id"]);
        assert_eq!(faults(subject_call("a b", &"s".repeat(65))), ["request_id", "subject_id"]);
        assert_eq!(faults(subject_id("")), ["subject_id"]);
        let settled =
            pb::RecordCreditPurchaseSettledRequest { request_id: "a b".into(), ..Default::default() };
        assert_eq!(faults(settled_call(&settled)), ["request_id", "purchase_id"]);
        let collection = pb::RecordCollectionRequest { state: 9, ..Default::default() };
        assert_eq!(faults(record_collection(&collection)), ["order_id", "state"]);
        let purchase = pb::RecordCreditPurchaseRequest {
            request_id: "a b".into(),
            subject_id: String::new(),
            amount: None,
            out_trade_no: "t".repeat(65),
        };
        let all = ["request_id", "subject_id", "amount", "out_trade_no"];
        assert_eq!(faults(record_credit_purchase(&purchase)), all);
        let nothing = pb::RecordCreditPurchaseRequest {
            subject_id: "sbj_1".into(),
            amount: cny(0),
            ..Default::default()
        };
        assert_eq!(faults(record_credit_purchase(&nothing)), ["amount.minor_units"]);
        let good = pb::RecordCreditPurchaseRequest { amount: cny(1), ..nothing };
        assert!(record_credit_purchase(&good).is_ok());
    }
}
