//! What the user of the demo has before anything ends: recorded call by call, as the systems around
//! would.

use std::time::Duration;

use proto::{
    identity::v1 as identity,
    payscore::v1 as payscore,
    retention::v1 as retention,
    subscription::v1 as subscription,
    types::v1::{Edition, Money},
    wallet::v1 as wallet,
};
use types::{Clock, SystemClock, Timestamp};

use super::services::Services;
use crate::cli::Failure;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Where what is paid for is subscribed to.
const LINK: &str = "https://plans.example.com";

/// The ids that the story goes on with.
#[derive(Debug, Clone, Default)]
pub(super) struct Setting {
    pub(super) subject_id: String,
    /// The subscription that only its owner can end.
    pub(super) store_subscription_id: String,
    /// The power-bank rental.
    pub(super) order_id: String,
    pub(super) purchase_id: String,
}

pub(super) fn cny(minor_units: i64) -> Option<Money> {
    Some(Money { currency_code: "CNY".into(), minor_units })
}

pub(super) fn now() -> Timestamp {
    SystemClock.now()
}

#[expect(clippy::unnecessary_wraps, reason = "message fields are optional")]
pub(super) fn in_days(days: u32) -> Option<prost_types::Timestamp> {
    Some(now().plus(DAY * days).to_proto())
}

#[expect(clippy::unnecessary_wraps, reason = "message fields are optional")]
pub(super) fn days_ago(days: i64) -> Option<prost_types::Timestamp> {
    Some(Timestamp::from_micros(now().as_micros() - days * 86_400_000_000).to_proto())
}

/// Somebody in China who has nothing but data.
pub(super) async fn with_data(services: &mut Services) -> Result<String, Failure> {
    let address = identity::contact::Address::Email("user@example.com".into());
    let subject_id = register(services, "CN", Edition::Domestic, vec![address]).await?;
    record_data_sets(services, &subject_id).await?;
    Ok(subject_id)
}

/// Somebody who is known now.
pub(super) async fn register(
    services: &mut Services,
    region: &str,
    edition: Edition,
    contacts: Vec<identity::contact::Address>,
) -> Result<String, Failure> {
    let request = identity::RegisterSubjectRequest {
        region: region.into(),
        edition: edition.into(),
        contacts: contacts.into_iter().map(|address| identity::Contact { address: Some(address) }).collect(),
        ..identity::RegisterSubjectRequest::default()
    };
    Ok(services.identity.register_subject(request).await?.into_inner().subject_id)
}

/// Records everything.
pub(super) async fn furnish(services: &mut Services) -> Result<Setting, Failure> {
    let contacts = [
        identity::contact::Address::Sms("+8613812345678".into()),
        identity::contact::Address::Email("user@example.com".into()),
    ];
    let subject_id = register(services, "CN", Edition::Domestic, contacts.into()).await?;
    let mut setting = Setting { subject_id, ..Setting::default() };
    record_wallet(services, &setting.subject_id).await?;
    record_credit(services, &mut setting).await?;
    record_subscriptions(services, &mut setting).await?;
    record_data_sets(services, &setting.subject_id).await?;
    Ok(setting)
}

async fn record_wallet(services: &mut Services, subject_id: &str) -> Result<(), Failure> {
    let request = wallet::RecordBalanceRequest {
        subject_id: subject_id.into(),
        balance: cny(12_840),
        ..wallet::RecordBalanceRequest::default()
    };
    services.wallet.record_balance(request).await?;
    let benefits = [
        (wallet::BenefitKind::Points, 1_250, None, in_days(200)),
        (wallet::BenefitKind::Coupon, 1, cny(1_990), in_days(30)),
        (wallet::BenefitKind::Coupon, 1, None, in_days(7)),
    ];
    for (kind, quantity, paid_value, expires_at) in benefits {
        let request = wallet::RecordBenefitRequest {
            subject_id: subject_id.into(),
            kind: kind.into(),
            quantity,
            paid_value,
            expires_at,
            ..wallet::RecordBenefitRequest::default()
        };
        services.wallet.record_benefit(request).await?;
    }
    Ok(())
}

async fn record_credit(services: &mut Services, setting: &mut Setting) -> Result<(), Failure> {
    let request = payscore::RecordAuthorizationRequest {
        subject_id: setting.subject_id.clone(),
        scheme: payscore::Scheme::WechatPayScore.into(),
        merchant: Some(payscore::Merchant { mchid: "1900009191".into(), name: "Juice Power Banks".into() }),
        service_id: "power-bank".into(),
        authorization_code: "A2026-4711".into(),
        ..payscore::RecordAuthorizationRequest::default()
    };
    let answer = services.payscore.record_authorization(request).await?.into_inner();
    let request = payscore::CreateServiceOrderRequest {
        authorization_id: answer.authorization.unwrap_or_default().authorization_id,
        out_order_no: "PB-0815".into(),
        amount: cny(600),
        deposit_waived: cny(9_900),
        ..payscore::CreateServiceOrderRequest::default()
    };
    let answer = services.payscore.create_service_order(request).await?.into_inner();
    setting.order_id = answer.order.unwrap_or_default().order_id;
    let request = payscore::RecordCreditPurchaseRequest {
        subject_id: setting.subject_id.clone(),
        amount: cny(39_900),
        out_trade_no: "HEADPHONES-1".into(),
        ..payscore::RecordCreditPurchaseRequest::default()
    };
    let answer = services.payscore.record_credit_purchase(request).await?.into_inner();
    setting.purchase_id = answer.purchase.unwrap_or_default().purchase_id;
    Ok(())
}

async fn record_subscriptions(services: &mut Services, setting: &mut Setting) -> Result<(), Failure> {
    let base = subscription::RecordSubscriptionRequest {
        subject_id: setting.subject_id.clone(),
        will_renew: true,
        ..subscription::RecordSubscriptionRequest::default()
    };
    let plan = |name: &str, tier: &str, fen| {
        Some(subscription::Plan { name: name.into(), tier: tier.into(), price: cny(fen), link: LINK.into() })
    };
    let video = subscription::RecordSubscriptionRequest {
        plan: plan("Video membership", "monthly", 2_500),
        billing: subscription::Billing::Merchant.into(),
        started_at: days_ago(200),
        current_period_end: in_days(11),
        next_charge_at: in_days(11),
        benefits: vec!["No advertisements".into(), "Films in 4K".into()],
        ..base.clone()
    };
    services.subscription.record_subscription(video).await?;
    let reference = subscription::provider_ref::Provider::AppStore(subscription::AppStoreSubscription {
        original_transaction_id: "2000000123456789".into(),
    });
    let cloud = subscription::RecordSubscriptionRequest {
        plan: plan("Cloud storage", "200 GB", 2_100),
        billing: subscription::Billing::AppStore.into(),
        provider_ref: Some(subscription::ProviderRef { provider: Some(reference) }),
        started_at: days_ago(90),
        current_period_end: in_days(19),
        next_charge_at: in_days(19),
        ..base
    };
    let answer = services.subscription.record_subscription(cloud).await?.into_inner();
    setting.store_subscription_id = answer.subscription.unwrap_or_default().subscription_id;
    Ok(())
}

async fn record_data_sets(services: &mut Services, subject_id: &str) -> Result<(), Failure> {
    use retention::DataCategory as Category;
    let ours = "Example Pay Co., Ltd.";
    let sets = [
        ("ledger", ours, Category::TransactionRecords, 3),
        ("onboarding", ours, Category::IdentityDocuments, 700),
        ("accounts", ours, Category::Profile, 30),
        ("campaigns", ours, Category::Marketing, 2),
        ("messenger", ours, Category::ChatMessages, 1),
        ("workspace", "Harbour Logistics Ltd.", Category::EnterpriseChat, 5),
    ];
    for (system, controller, category, days) in sets {
        let request = retention::RecordDataSetRequest {
            subject_id: subject_id.into(),
            system: system.into(),
            controller: Some(retention::Controller {
                name: controller.into(),
                jurisdiction: "CN".into(),
                ..Default::default()
            }),
            category: category.into(),
            last_event_at: days_ago(days),
            ..retention::RecordDataSetRequest::default()
        };
        services.retention.record_data_set(request).await?;
    }
    Ok(())
}
