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
    pub(super) fn new(channel: Channel) -> Self {
        Self {
            cancellation: CancellationServiceClient::new(channel.clone()),
            identity: IdentityServiceClient::new(channel.clone()),
            payscore: PayscoreServiceClient::new(channel.clone()),
            retention: RetentionServiceClient::new(channel.clone()),
            subscription: SubscriptionServiceClient::new(channel.clone()),
            wallet: WalletServiceClient::new(channel),
        }
    }
}
