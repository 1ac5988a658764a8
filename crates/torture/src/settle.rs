//! What a subject may have at the services, so that leaving has effects to count.

use anyhow::Result;
use proto::{
    payscore::v1::{self as pay, payscore_service_client::PayscoreServiceClient},
    retention::v1::{self as ret, retention_service_client::RetentionServiceClient},
    subscription::v1::{self as sub, subscription_service_client::SubscriptionServiceClient},
    types::v1 as words,
    wallet::v1::{self as wal, wallet_service_client::WalletServiceClient},
};
use types::{Clock as _, SystemClock};

use crate::Client;

/// One thing of a subject's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// A subscription that will renew.
    Subscription,
    /// An authorisation of the payment score.
    Authorization,
    /// Points.
    Benefit,
    /// Personal data.
    DataSet,
}

impl Thing {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Subscription, Self::Authorization, Self::Benefit, Self::DataSet];

    /// Which service has it, and the event of its end.
    #[must_use]
    pub fn end(self) -> (&'static str, &'static str) {
        match self {
            Self::Subscription => ("subscription", "exeunt.subscription.v1.RenewalStopped"),
            Self::Authorization => ("payscore", "exeunt.payscore.v1.AuthorizationUnbound"),
            Self::Benefit => ("wallet", "exeunt.wallet.v1.BenefitLapsed"),
            Self::DataSet => ("retention", "exeunt.retention.v1.DataSetErased"),
        }
    }
}

/// Has the subject have it.
///
/// # Errors
/// As [`Client::surely`].
pub(crate) async fn give(client: &Client, subject_id: &str, thing: Thing, request_id: &str) -> Result<()> {
    match thing {
        Thing::Subscription => subscription(client, subject_id, request_id).await,
        Thing::Authorization => authorization(client, subject_id, request_id).await,
        Thing::Benefit => benefit(client, subject_id, request_id).await,
        Thing::DataSet => data_set(client, subject_id, request_id).await,
    }
}

async fn subscription(client: &Client, subject_id: &str, request_id: &str) -> Result<()> {
    let price = words::Money { currency_code: "CNY".into(), minor_units: 2_500 };
    let request = sub::RecordSubscriptionRequest {
        request_id: request_id.to_owned(),
        subject_id: subject_id.to_owned(),
        plan: Some(sub::Plan { name: "Video".into(), price: Some(price), ..sub::Plan::default() }),
        billing: sub::Billing::Merchant.into(),
        started_at: Some(SystemClock.now().to_proto()),
        will_renew: true,
        ..Default::default()
    };
    let recorded = client.surely("subscription", |channel| {
        let request = request.clone();
        async move { SubscriptionServiceClient::new(channel).record_subscription(request).await }
    });
    recorded.await.map(|_| ())
}

async fn authorization(client: &Client, subject_id: &str, request_id: &str) -> Result<()> {
    let request = pay::RecordAuthorizationRequest {
        request_id: request_id.to_owned(),
        subject_id: subject_id.to_owned(),
        scheme: pay::Scheme::WechatPayScore.into(),
        merchant: Some(pay::Merchant { mchid: "1900000001".into(), name: "Power bank".into() }),
        service_id: "500001".into(),
        authorization_code: format!("code-{request_id}"),
    };
    let recorded = client.surely("payscore", |channel| {
        let request = request.clone();
        async move { PayscoreServiceClient::new(channel).record_authorization(request).await }
    });
    recorded.await.map(|_| ())
}

async fn benefit(client: &Client, subject_id: &str, request_id: &str) -> Result<()> {
    let request = wal::RecordBenefitRequest {
        request_id: request_id.to_owned(),
        subject_id: subject_id.to_owned(),
        kind: wal::BenefitKind::Points.into(),
        quantity: 1_250,
        ..Default::default()
    };
    let recorded = client.surely("wallet", |channel| {
        let request = request.clone();
        async move { WalletServiceClient::new(channel).record_benefit(request).await }
    });
    recorded.await.map(|_| ())
}

async fn data_set(client: &Client, subject_id: &str, request_id: &str) -> Result<()> {
    let request = ret::RecordDataSetRequest {
        request_id: request_id.to_owned(),
        subject_id: subject_id.to_owned(),
        system: "profiles".into(),
        controller: Some(ret::Controller {
            name: "Wallet".into(),
            jurisdiction: "CN".into(),
            ..Default::default()
        }),
        category: ret::DataCategory::Profile.into(),
        last_event_at: Some(SystemClock.now().to_proto()),
        ..Default::default()
    };
    let recorded = client.surely("retention", |channel| {
        let request = request.clone();
        async move { RetentionServiceClient::new(channel).record_data_set(request).await }
    });
    recorded.await.map(|_| ())
}
