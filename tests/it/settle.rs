//! What a person has at the services before they leave.

use proto::{
    identity::v1 as idn, payscore::v1 as pay, retention::v1 as ret, subscription::v1 as sub,
    types::v1 as words, wallet::v1 as wal,
};
use types::{Clock as _, SystemClock};

use crate::client::{Client, surely};

fn cny(minor_units: i64) -> Option<words::Money> {
    Some(words::Money { currency_code: "CNY".into(), minor_units })
}

/// One person, with nothing yet: gives the subject's id.
pub async fn register(client: &Client, n: usize) -> String {
    surely(async || {
        let contact = idn::contact::Address::Email(format!("someone{n}@example.com"));
        let request = idn::RegisterSubjectRequest {
            request_id: format!("register-{n}"),
            region: "CN".into(),
            edition: words::Edition::Domestic.into(),
            contacts: vec![idn::Contact { address: Some(contact) }],
        };
        client.identity.clone().register_subject(request).await
    })
    .await
    .subject_id
}

/// One person with something at every service: gives the subject's id.
pub async fn settle_in(client: &Client, n: usize) -> String {
    let id = |what: &str| format!("{what}-{n}");
    let subject_id = register(client, n).await;
    let now = Some(SystemClock.now().to_proto());
    surely(async || {
        let plan = sub::Plan { name: "Video".into(), price: cny(2_500), ..sub::Plan::default() };
        let request = sub::RecordSubscriptionRequest {
            request_id: id("subscription"),
            subject_id: subject_id.clone(),
            plan: Some(plan),
            billing: sub::Billing::Merchant.into(),
            started_at: now,
            will_renew: true,
            ..Default::default()
        };
        client.subscription.clone().record_subscription(request).await
    })
    .await;
    surely(async || {
        let request = pay::RecordAuthorizationRequest {
            request_id: id("authorization"),
            subject_id: subject_id.clone(),
            scheme: pay::Scheme::WechatPayScore.into(),
            merchant: Some(pay::Merchant { mchid: "1900000001".into(), name: "Power bank".into() }),
            service_id: "500001".into(),
            authorization_code: id("code"),
        };
        client.payscore.clone().record_authorization(request).await
    })
    .await;
    surely(async || {
        let request = wal::RecordBenefitRequest {
            request_id: id("benefit"),
            subject_id: subject_id.clone(),
            kind: wal::BenefitKind::Points.into(),
            quantity: 1_250,
            ..Default::default()
        };
        client.wallet.clone().record_benefit(request).await
    })
    .await;
    surely(async || {
        let request = ret::RecordDataSetRequest {
            request_id: id("data"),
            subject_id: subject_id.clone(),
            system: "profiles".into(),
            controller: Some(ret::Controller {
                name: "Wallet".into(),
                jurisdiction: "CN".into(),
                ..Default::default()
            }),
            category: ret::DataCategory::Profile.into(),
            last_event_at: now,
            ..Default::default()
        };
        client.retention.clone().record_data_set(request).await
    })
    .await;
    subject_id
}
