//! The public API of every service, as a client sees it.

use proto::{
    cancellation::v1::cancellation_service_client::CancellationServiceClient,
    identity::v1::identity_service_client::IdentityServiceClient,
    payscore::v1::payscore_service_client::PayscoreServiceClient,
    retention::v1::retention_service_client::RetentionServiceClient,
    subscription::v1::subscription_service_client::SubscriptionServiceClient,
    wallet::v1::wallet_service_client::WalletServiceClient,
};
use tonic::transport::Channel;

use crate::{
    cli::{Failure, Servers, connect},
    compose::Role,
};

/// A client of each.
#[derive(Debug, Clone)]
pub(super) struct Services {
    pub(super) cancellation: CancellationServiceClient<Channel>,
    pub(super) identity: IdentityServiceClient<Channel>,
    pub(super) payscore: PayscoreServiceClient<Channel>,
    pub(super) retention: RetentionServiceClient<Channel>,
    pub(super) subscription: SubscriptionServiceClient<Channel>,
    pub(super) wallet: WalletServiceClient<Channel>,
}

impl Services {
    /// Connects to the server of every role.
    pub(super) async fn connect(servers: &Servers) -> Result<Self, Failure> {
        let mut channels = Vec::with_capacity(Role::ALL.len());
        for role in Role::ALL {
            channels.push((role, connect(servers.of(role)?).await?));
        }
        let of = |wanted| {
            let found = channels.iter().find(|(role, _)| *role == wanted);
            found.map(|(_, channel)| channel.clone()).expect("every role was connected to")
        };
        Ok(Self {
            cancellation: CancellationServiceClient::new(of(Role::Cancellation)),
            identity: IdentityServiceClient::new(of(Role::Identity)),
            payscore: PayscoreServiceClient::new(of(Role::Payscore)),
            retention: RetentionServiceClient::new(of(Role::Retention)),
            subscription: SubscriptionServiceClient::new(of(Role::Subscription)),
            wallet: WalletServiceClient::new(of(Role::Wallet)),
        })
    }
}
