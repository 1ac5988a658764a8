//! What callers ask: every bad field of it at once.

use proto::{subscription::v1 as pb, types::v1::Money as PbMoney};
use service_kit::{BadRequest, Violations};
use types::{Money, SubjectId, Timestamp};

use super::{billing_from, provider_ref_from, provider_state_from};
use crate::domain::{Billing, Plan, ProviderRef, ProviderState, SubscriptionId, Terms};

const NAME_LENGTH_MAX: usize = 100;
const BENEFITS_MAX: usize = 50;
/// Numbers and codes that providers give.
const PROVIDER_ID_LENGTH_MAX: usize = 64;
/// Package names and Stripe's ids.
const LONG_ID_LENGTH_MAX: usize = 255;
const PURCHASE_TOKEN_LENGTH_MAX: usize = 1_000;
const LINK_LENGTH_MAX: usize = 500;

/// A subscription to record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSubscription {
    /// Whose.
    pub subject: SubjectId,
    /// What was agreed.
    pub terms: Terms,
    /// Whether it will be charged for again.
    pub will_renew: bool,
}

/// Reads the request.
///
/// # Errors
/// [`BadRequest`] with every field that is wrong.
pub fn record_subscription(
    request: &pb::RecordSubscriptionRequest,
) -> Result<RecordSubscription, BadRequest> {
    let mut v = Violations::new();
    v.optional_request_id("request_id", &request.request_id);
    let subject = v.subject_id("subject_id", &request.subject_id);
    let plan = v.required("plan", request.plan.as_ref());
    let plan = plan.and_then(|told| v.within("plan", |v| plan_of(v, told)));
    let billing = v.enumeration::<pb::Billing>("billing", request.billing).and_then(billing_from);
    let alternative = request.alternative.as_ref().map(|told| v.within("alternative", |v| plan_of(v, told)));
    if let Some(offer) = &alternative {
        v.check(
            billing.is_none_or(|it| it == Billing::Merchant),
            "alternative",
            "must be absent unless billing is MERCHANT",
        );
        let less = offer.as_ref().zip(plan.as_ref()).is_none_or(|(less, plan)| is_cheaper(less, plan));
        v.check(less, "alternative.price", "must be lower than the plan's, in its currency");
    }
    let provider = provider_of(&mut v, billing, request.provider_ref.as_ref());
    let times = times_of(&mut v, request);
    let fee = money_of(&mut v, "early_termination_fee", request.early_termination_fee.as_ref());
    let outstanding = money_of(&mut v, "outstanding_amount", request.outstanding_amount.as_ref());
    let benefits =
        v.each("benefits", &request.benefits, BENEFITS_MAX, |v, name| v.text("", name, NAME_LENGTH_MAX));
    let has_fee = fee.flatten().is_some_and(|fee| fee.minor_units > 0);
    let has_term = request.minimum_term_end.is_some();
    v.check(!has_fee || has_term, "minimum_term_end", "must be given when there is an early_termination_fee");
    v.finish(|| {
        let times = times?;
        let terms = Terms {
            plan: plan?,
            billing: billing?,
            provider: provider?,
            started_at: times.started_at,
            current_period_end: times.current_period_end,
            next_charge_at: times.next_charge_at,
            minimum_term_end: times.minimum_term_end,
            early_termination_fee: fee?,
            outstanding: outstanding?,
            benefits: benefits?,
            alternative: match alternative {
                Some(alternative) => Some(alternative?),
                None => None,
            },
        };
        Some(RecordSubscription { subject: subject?, terms, will_renew: request.will_renew })
    })
}

fn plan_of(v: &mut Violations, plan: &pb::Plan) -> Option<Plan> {
    let name = v.text("name", &plan.name, NAME_LENGTH_MAX);
    let tier = text_of(v, "tier", &plan.tier, NAME_LENGTH_MAX);
    let price = money_of(v, "price", plan.price.as_ref());
    let link = text_of(v, "link", &plan.link, LINK_LENGTH_MAX);
    v.check(plan.link.is_empty() || plan.link.starts_with("https://"), "link", "must begin with https://");
    Some(Plan { name: name?, tier: tier?, price: price?, link: link? })
}

fn is_cheaper(less: &Plan, plan: &Plan) -> bool {
    let prices = less.price.zip(plan.price);
    prices
        .is_some_and(|(less, price)| less.currency == price.currency && less.minor_units < price.minor_units)
}

fn text_of(v: &mut Violations, field: &str, text: &str, max: usize) -> Option<String> {
    v.optional_text(field, text, max).map(Option::unwrap_or_default)
}

fn money_of(v: &mut Violations, field: &str, money: Option<&PbMoney>) -> Option<Option<Money>> {
    let Some(money) = money else { return Some(None) };
    v.money(field, &money.currency_code, money.minor_units).map(Some)
}

struct Times {
    started_at: Option<Timestamp>,
    current_period_end: Option<Timestamp>,
    next_charge_at: Option<Timestamp>,
    minimum_term_end: Option<Timestamp>,
}

fn times_of(v: &mut Violations, request: &pb::RecordSubscriptionRequest) -> Option<Times> {
    let started_at = v.optional_timestamp("started_at", request.started_at.as_ref());
    let period_end = v.optional_timestamp("current_period_end", request.current_period_end.as_ref());
    let next_charge_at = v.optional_timestamp("next_charge_at", request.next_charge_at.as_ref());
    let term_end = v.optional_timestamp("minimum_term_end", request.minimum_term_end.as_ref());
    if let Some(start) = started_at.flatten() {
        let after = |end: Option<Option<Timestamp>>| end.flatten().is_none_or(|end| end > start);
        v.check(after(period_end), "current_period_end", "must be later than started_at");
        v.check(after(term_end), "minimum_term_end", "must be later than started_at");
        let due = next_charge_at.flatten().is_none_or(|due| due >= start);
        v.check(due, "next_charge_at", "must not be earlier than started_at");
    }
    let renews = request.will_renew || request.next_charge_at.is_none();
    v.check(renews, "next_charge_at", "must be absent unless will_renew is true");
    Some(Times {
        started_at: started_at?,
        current_period_end: period_end?,
        next_charge_at: next_charge_at?,
        minimum_term_end: term_end?,
    })
}

fn provider_of(
    v: &mut Violations,
    billing: Option<Billing>,
    provider: Option<&pb::ProviderRef>,
) -> Option<Option<ProviderRef>> {
    let Some(provider) = provider else { return Some(None) };
    let told = v.within("provider_ref", |v| v.required("provider", provider.provider.clone()))?;
    let provider = provider_ref_from(told);
    let own = match &provider {
        ProviderRef::WechatPay { .. } => Billing::WechatPay,
        ProviderRef::Alipay { .. } => Billing::Alipay,
        ProviderRef::AppStore { .. } => Billing::AppStore,
        ProviderRef::GooglePlay { .. } => Billing::GooglePlay,
        ProviderRef::Stripe { .. } => Billing::Stripe,
    };
    let fits = billing.is_none_or(|billing| billing == own);
    v.check(fits, "provider_ref", "must be of the billing's own kind, or absent");
    v.within("provider_ref", |v| check_provider(v, &provider));
    Some(Some(provider))
}

/// Only remembers what is wrong: the texts are taken as they are.
fn check_provider(v: &mut Violations, provider: &ProviderRef) {
    let max = PROVIDER_ID_LENGTH_MAX;
    match provider {
        ProviderRef::WechatPay { mchid, plan_id, contract_code, contract_id } => {
            v.within("wechat_pay", |v| {
                v.text("mchid", mchid, 32);
                v.optional_text("plan_id", plan_id, max);
                v.optional_text("contract_code", contract_code, max);
                v.optional_text("contract_id", contract_id, max);
                let named = !contract_id.is_empty() || !(plan_id.is_empty() || contract_code.is_empty());
                v.check(named, "contract_id", "must be given, or plan_id and contract_code must");
            });
        }
        ProviderRef::Alipay { agreement_no, external_agreement_no, sign_scene } => {
            v.within("alipay", |v| {
                v.optional_text("agreement_no", agreement_no, max);
                v.optional_text("external_agreement_no", external_agreement_no, max);
                v.optional_text("sign_scene", sign_scene, max);
                let named = !(agreement_no.is_empty() && external_agreement_no.is_empty());
                v.check(named, "agreement_no", "must be given, or external_agreement_no must");
            });
        }
        ProviderRef::AppStore { original_transaction_id } => {
            v.within("app_store", |v| v.text("original_transaction_id", original_transaction_id, max));
        }
        ProviderRef::GooglePlay { package_name, purchase_token } => {
            v.within("google_play", |v| {
                v.text("package_name", package_name, LONG_ID_LENGTH_MAX);
                v.text("purchase_token", purchase_token, PURCHASE_TOKEN_LENGTH_MAX);
            });
        }
        ProviderRef::Stripe { subscription } => {
            v.within("stripe", |v| v.text("subscription", subscription, LONG_ID_LENGTH_MAX));
        }
    }
}

/// What a provider says of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordProviderState {
    /// Of which.
    pub id: SubscriptionId,
    /// What.
    pub state: ProviderState,
    /// When that was true.
    pub observed_at: Timestamp,
}

/// Reads the request. What was observed later than `now` is wrong: no true state could replace it.
///
/// # Errors
/// [`BadRequest`] with every field that is wrong.
pub fn record_provider_state(
    request: &pb::RecordProviderStateRequest,
    now: Timestamp,
) -> Result<RecordProviderState, BadRequest> {
    let mut v = Violations::new();
    v.optional_request_id("request_id", &request.request_id);
    let id = v.id("subscription_id", &request.subscription_id, SubscriptionId::parse);
    let state = v.enumeration::<pb::ProviderState>("state", request.state).and_then(provider_state_from);
    let observed_at = v.past("observed_at", request.observed_at.as_ref(), now);
    v.finish(|| Some(RecordProviderState { id: id?, state: state?, observed_at: observed_at? }))
}

/// A period that is about to be charged for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewSubscription {
    /// Of which.
    pub id: SubscriptionId,
    /// Until when it lasts.
    pub period_end: Timestamp,
    /// When the charge after this one is due.
    pub next_charge_at: Option<Timestamp>,
}

/// Reads the request. A period that is over by `now` is wrong: nobody is charged for it any more.
///
/// # Errors
/// [`BadRequest`] with every field that is wrong.
pub fn renew_subscription(
    request: &pb::RenewSubscriptionRequest,
    now: Timestamp,
) -> Result<RenewSubscription, BadRequest> {
    let mut v = Violations::new();
    v.optional_request_id("request_id", &request.request_id);
    let id = v.id("subscription_id", &request.subscription_id, SubscriptionId::parse);
    let period_end = v.timestamp("current_period_end", request.current_period_end.as_ref());
    v.check(period_end.is_none_or(|end| end > now), "current_period_end", "must lie in the future");
    let next_charge_at = v.optional_timestamp("next_charge_at", request.next_charge_at.as_ref());
    let later = next_charge_at.flatten().is_none_or(|due| due > now);
    v.check(later, "next_charge_at", "must lie in the future");
    v.finish(|| Some(RenewSubscription { id: id?, period_end: period_end?, next_charge_at: next_charge_at? }))
}

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PauseSubscription {
    /// Of which.
    pub id: SubscriptionId,
    /// Until when.
    pub until: Timestamp,
}

/// Reads the request.
///
/// # Errors
/// [`BadRequest`] with every field that is wrong.
pub fn pause_subscription(request: &pb::PauseSubscriptionRequest) -> Result<PauseSubscription, BadRequest> {
    let mut v = Violations::new();
    v.optional_request_id("request_id", &request.request_id);
    let id = v.id("subscription_id", &request.subscription_id, SubscriptionId::parse);
    let until = v.timestamp("paused_until", request.paused_until.as_ref());
    v.finish(|| Some(PauseSubscription { id: id?, until: until? }))
}

/// A wish for the cheaper alternative, or that there is none any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DowngradeSubscription {
    /// Of which.
    pub id: SubscriptionId,
    /// Whether the subject stays with what they have.
    pub withdraw: bool,
}

/// Reads the request.
///
/// # Errors
/// [`BadRequest`] with every field that is wrong.
pub fn downgrade_subscription(
    request: &pb::DowngradeSubscriptionRequest,
) -> Result<DowngradeSubscription, BadRequest> {
    let mut v = Violations::new();
    v.optional_request_id("request_id", &request.request_id);
    let id = v.id("subscription_id", &request.subscription_id, SubscriptionId::parse);
    v.finish(|| Some(DowngradeSubscription { id: id?, withdraw: request.withdraw }))
}

/// Reads a subscription's id.
///
/// # Errors
/// [`BadRequest`].
pub fn subscription_id(text: &str) -> Result<SubscriptionId, BadRequest> {
    let mut v = Violations::new();
    let id = v.id("subscription_id", text, SubscriptionId::parse);
    v.finish(|| id)
}

/// Reads a subject's id.
///
/// # Errors
/// [`BadRequest`].
pub fn subject_id(text: &str) -> Result<SubjectId, BadRequest> {
    let mut v = Violations::new();
    let id = v.subject_id("subject_id", text);
    v.finish(|| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<prost_types::Timestamp> {
        Some(Timestamp::parse(text).unwrap().to_proto())
    }

    fn cny(minor_units: i64) -> Option<PbMoney> {
        Some(PbMoney { currency_code: "CNY".into(), minor_units })
    }

    fn good() -> pb::RecordSubscriptionRequest {
        pb::RecordSubscriptionRequest {
            request_id: "r-1".into(),
            subject_id: "sbj_1".into(),
            plan: Some(pb::Plan {
                name: "Video".into(),
                tier: "Gold".into(),
                price: cny(2_500),
                link: "https://video.example/gold".into(),
            }),
            billing: pb::Billing::Merchant.into(),
            provider_ref: None,
            started_at: at("2026-11-01T00:00:00Z"),
            current_period_end: at("2026-12-01T00:00:00Z"),
            next_charge_at: at("2026-12-01T00:00:00Z"),
            will_renew: true,
            minimum_term_end: at("2027-11-01T00:00:00Z"),
            early_termination_fee: cny(100),
            outstanding_amount: cny(0),
            benefits: vec!["Ad-free".into()],
            alternative: None,
        }
    }

    type Change = fn(&mut pb::RecordSubscriptionRequest);

    fn faults<T>(read: Result<T, BadRequest>) -> Vec<String> {
        read.err().map(|bad| bad.faults).unwrap_or_default().into_iter().map(|fault| fault.field).collect()
    }

    fn wrong(change: Change) -> Vec<String> {
        let mut request = good();
        change(&mut request);
        faults(record_subscription(&request))
    }

    fn contract(provider: pb::provider_ref::Provider) -> Option<pb::ProviderRef> {
        Some(pb::ProviderRef { provider: Some(provider) })
    }

    #[test]
    fn a_whole_request_and_the_least_one_are_taken() {
        assert!(record_subscription(&good()).is_ok());
        let least = pb::RecordSubscriptionRequest {
            subject_id: "sbj_1".into(),
            plan: Some(pb::Plan { name: "Video".into(), ..pb::Plan::default() }),
            billing: pb::Billing::Carrier.into(),
            ..pb::RecordSubscriptionRequest::default()
        };
        assert!(record_subscription(&least).is_ok());
    }

    #[test]
    fn every_wrong_field_is_named() {
        let table: [(&str, Change); 24] = [
            ("request_id", |r| r.request_id = "a b".into()),
            ("subject_id", |r| r.subject_id.clear()),
            ("subject_id", |r| r.subject_id = "s".repeat(65)),
            ("plan", |r| r.plan = None),
            ("plan.name", |r| r.plan.as_mut().unwrap().name.clear()),
            ("plan.name", |r| r.plan.as_mut().unwrap().name = "n".repeat(101)),
            ("plan.tier", |r| r.plan.as_mut().unwrap().tier = "t".repeat(101)),
            ("plan.link", |r| r.plan.as_mut().unwrap().link = "http://video.example".into()),
            ("plan.link", |r| r.plan.as_mut().unwrap().link = format!("https://{}", "x".repeat(500))),
            ("plan.price.minor_units", |r| r.plan.as_mut().unwrap().price = cny(-1)),
            ("billing", |r| r.billing = 0),
            ("billing", |r| r.billing = 99),
            ("started_at", |r| r.started_at.as_mut().unwrap().nanos = -1),
            ("current_period_end", |r| r.current_period_end = r.started_at),
            ("next_charge_at", |r| r.next_charge_at = at("2026-10-01T00:00:00Z")),
            ("next_charge_at", |r| r.will_renew = false),
            ("minimum_term_end", |r| r.minimum_term_end = at("2026-10-01T00:00:00Z")),
            ("minimum_term_end", |r| r.minimum_term_end = None),
            ("early_termination_fee.minor_units", |r| r.early_termination_fee = cny(-1)),
            ("outstanding_amount.minor_units", |r| r.outstanding_amount = cny(-1)),
            ("outstanding_amount.currency_code", |r| {
                r.outstanding_amount.as_mut().unwrap().currency_code = "yuan".into();
            }),
            ("benefits[1]", |r| r.benefits.push(String::new())),
            ("benefits[0]", |r| r.benefits = vec!["b".repeat(101)]),
            ("benefits", |r| r.benefits = vec!["b".into(); 51]),
        ];
        for (field, change) in table {
            assert_eq!(wrong(change), [field]);
        }
    }

    #[test]
    fn a_contract_is_of_the_billings_own_kind_and_names_itself() {
        use pb::provider_ref::Provider;
        let app = |id: &str| {
            contract(Provider::AppStore(pb::AppStoreSubscription { original_transaction_id: id.into() }))
        };
        let with = |billing: pb::Billing, provider_ref| {
            let request = pb::RecordSubscriptionRequest { billing: billing.into(), provider_ref, ..good() };
            faults(record_subscription(&request))
        };
        let none: [&str; 0] = [];
        assert_eq!(with(pb::Billing::AppStore, app("2000")), none);
        assert_eq!(with(pb::Billing::AppStore, app("")), ["provider_ref.app_store.original_transaction_id"]);
        assert_eq!(with(pb::Billing::Merchant, app("2000")), ["provider_ref"]);
        assert_eq!(with(pb::Billing::Carrier, app("2000")), ["provider_ref"]);
        assert_eq!(
            with(pb::Billing::Stripe, Some(pb::ProviderRef { provider: None })),
            ["provider_ref.provider"]
        );
        let papay = |contract: pb::WechatPayContract| self::contract(Provider::WechatPay(contract));
        let by_code = pb::WechatPayContract {
            mchid: "1900000109".into(),
            plan_id: "12535".into(),
            contract_code: "c-1".into(),
            contract_id: String::new(),
        };
        assert_eq!(with(pb::Billing::WechatPay, papay(by_code.clone())), none);
        let half = pb::WechatPayContract { plan_id: String::new(), ..by_code };
        assert_eq!(with(pb::Billing::WechatPay, papay(half)), ["provider_ref.wechat_pay.contract_id"]);
        let alipay = contract(Provider::Alipay(pb::AlipayAgreement::default()));
        assert_eq!(with(pb::Billing::Alipay, alipay), ["provider_ref.alipay.agreement_no"]);
        let play = contract(Provider::GooglePlay(pb::GooglePlaySubscription::default()));
        assert_eq!(
            with(pb::Billing::GooglePlay, play),
            ["provider_ref.google_play.package_name", "provider_ref.google_play.purchase_token"]
        );
        let stripe = contract(Provider::Stripe(pb::StripeSubscription { subscription: "s".repeat(256) }));
        assert_eq!(with(pb::Billing::Stripe, stripe), ["provider_ref.stripe.subscription"]);
    }

    #[test]
    fn a_renewal_needs_an_id_and_a_period_that_is_to_come() {
        let good = pb::RenewSubscriptionRequest {
            request_id: String::new(),
            subscription_id: "sub_1".into(),
            current_period_end: at("2027-01-01T00:00:00Z"),
            next_charge_at: at("2027-01-01T00:00:00Z"),
        };
        let now = Timestamp::parse("2026-12-01T00:00:00Z").unwrap();
        assert!(renew_subscription(&good, now).is_ok());
        let least = pb::RenewSubscriptionRequest { next_charge_at: None, ..good.clone() };
        assert!(renew_subscription(&least, now).is_ok());
        let late = Timestamp::parse("2027-01-01T00:00:00Z").unwrap();
        assert_eq!(faults(renew_subscription(&good, late)), ["current_period_end", "next_charge_at"]);
        let empty = renew_subscription(&pb::RenewSubscriptionRequest::default(), now);
        assert_eq!(faults(empty), ["subscription_id", "current_period_end"]);
        let empty = pause_subscription(&pb::PauseSubscriptionRequest::default());
        assert_eq!(faults(empty), ["subscription_id", "paused_until"]);
        let empty = downgrade_subscription(&pb::DowngradeSubscriptionRequest::default());
        assert_eq!(faults(empty), ["subscription_id"]);
    }

    #[test]
    fn a_providers_word_needs_an_id_a_state_and_a_moment() {
        let good = pb::RecordProviderStateRequest {
            request_id: String::new(),
            subscription_id: "sub_1".into(),
            state: pb::ProviderState::Ended.into(),
            observed_at: at("2026-12-01T00:00:00Z"),
        };
        let now = Timestamp::parse("2026-12-01T00:00:00Z").unwrap();
        assert!(record_provider_state(&good, now).is_ok());
        assert_eq!(faults(record_provider_state(&good, Timestamp::EPOCH)), ["observed_at"]);
        let empty = record_provider_state(&pb::RecordProviderStateRequest::default(), now);
        assert_eq!(faults(empty), ["subscription_id", "state", "observed_at"]);
        let unknown = pb::RecordProviderStateRequest { state: 9, request_id: "é".into(), ..good };
        assert_eq!(faults(record_provider_state(&unknown, now)), ["request_id", "state"]);
        assert_eq!(faults(subscription_id("a b")), ["subscription_id"]);
        assert_eq!(faults(subject_id("")), ["subject_id"]);
    }
}
