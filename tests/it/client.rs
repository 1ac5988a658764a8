//! A client of the public API that does not give up while the server is away.

use std::{future::Future, time::Duration};

use proto::{
    cancellation::v1::{self as can, cancellation_service_client::CancellationServiceClient},
    identity::v1::{self as idn, identity_service_client::IdentityServiceClient},
    payscore::v1::payscore_service_client::PayscoreServiceClient,
    retention::v1::retention_service_client::RetentionServiceClient,
    subscription::v1::subscription_service_client::SubscriptionServiceClient,
    types::v1 as words,
    wallet::v1::wallet_service_client::WalletServiceClient,
};
use tonic::{
    Code, Response, Status,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::process::BOUND;

/// All services of one server.
#[derive(Clone)]
pub struct Client {
    pub cancellation: CancellationServiceClient<Channel>,
    pub identity: IdentityServiceClient<Channel>,
    pub subscription: SubscriptionServiceClient<Channel>,
    pub payscore: PayscoreServiceClient<Channel>,
    pub wallet: WalletServiceClient<Channel>,
    pub retention: RetentionServiceClient<Channel>,
}

impl Client {
    pub fn new(url: &str) -> Self {
        let endpoint = Endpoint::from_shared(url.to_owned()).unwrap().timeout(Duration::from_secs(10));
        let channel = endpoint.connect_timeout(Duration::from_secs(2)).connect_lazy();
        Self {
            cancellation: CancellationServiceClient::new(channel.clone()),
            identity: IdentityServiceClient::new(channel.clone()),
            subscription: SubscriptionServiceClient::new(channel.clone()),
            payscore: PayscoreServiceClient::new(channel.clone()),
            wallet: WalletServiceClient::new(channel.clone()),
            retention: RetentionServiceClient::new(channel),
        }
    }

    pub async fn get(&self, cancellation_id: &str) -> can::Cancellation {
        let got = surely(async || {
            let request = can::GetCancellationRequest {
                cancellation_id: cancellation_id.to_owned(),
                ..Default::default()
            };
            self.cancellation.clone().get_cancellation(request).await
        });
        got.await.cancellation.unwrap()
    }

    /// Waits for a state, and gives the cancellation in it.
    pub async fn until(&self, cancellation_id: &str, state: can::State) -> can::Cancellation {
        until(&format!("{cancellation_id} in {}", state.as_str_name()), async || {
            let cancellation = self.get(cancellation_id).await;
            (cancellation.state() == state).then_some(cancellation)
        })
        .await
    }

    pub async fn request(
        &self,
        request_id: &str,
        subject_id: &str,
        scope: words::scope::Kind,
    ) -> can::Cancellation {
        let requested = surely(async || {
            let request = can::RequestCancellationRequest {
                request_id: request_id.to_owned(),
                subject_id: subject_id.to_owned(),
                scope: Some(words::Scope { kind: Some(scope.clone()) }),
                ..Default::default()
            };
            self.cancellation.clone().request_cancellation(request).await
        });
        requested.await.cancellation.unwrap()
    }

    /// Proves that it is the subject, with the code that arrives in the folder of messages.
    pub async fn verify(
        &self,
        subject_id: &str,
        cancellation_id: &str,
        messages: &std::path::Path,
    ) -> String {
        let started = surely(async || {
            let request = idn::StartVerificationRequest {
                request_id: format!("verify-{cancellation_id}"),
                subject_id: subject_id.to_owned(),
                cancellation_id: cancellation_id.to_owned(),
                factor: idn::Factor::EmailCode.into(),
            };
            self.identity.clone().start_verification(request).await
        });
        let verification_id = started.await.verification_id;
        let path = messages.join(format!("{verification_id}.eml"));
        until("the message with the code", async || path.exists().then_some(())).await;
        let code = crate::process::code_in(messages, &verification_id);
        let completed = surely(async || {
            let request = idn::CompleteVerificationRequest {
                verification_id: verification_id.clone(),
                code: code.clone(),
                ..Default::default()
            };
            self.identity.clone().complete_verification(request).await
        });
        completed.await.verification_token
    }

    pub async fn confirm(&self, cancellation_id: &str, quote_digest: &str, token: &str) -> can::Cancellation {
        let confirmed = surely(async || {
            let request = can::ConfirmCancellationRequest {
                cancellation_id: cancellation_id.to_owned(),
                quote_digest: quote_digest.to_owned(),
                verification_tokens: vec![token.to_owned()],
                ..Default::default()
            };
            self.cancellation.clone().confirm_cancellation(request).await
        });
        confirmed.await.cancellation.unwrap()
    }

    pub async fn receipt(&self, cancellation_id: &str) -> can::GetReceiptResponse {
        surely(async || {
            let request =
                can::GetReceiptRequest { cancellation_id: cancellation_id.to_owned(), ..Default::default() };
            self.cancellation.clone().get_receipt(request).await
        })
        .await
    }

    pub async fn keys(&self) -> keys::JwkSet {
        let got = surely(async || self.cancellation.clone().get_keys(can::GetKeysRequest {}).await).await;
        keys::JwkSet::parse(&got.jwks_json).unwrap()
    }
}

/// Waits until a process says of itself that it serves.
pub async fn serving(url: &str) {
    let health = HealthClient::new(Endpoint::from_shared(url.to_owned()).unwrap().connect_lazy());
    until("everything to be ready", async || {
        let answer = health.clone().check(HealthCheckRequest::default()).await.ok()?.into_inner();
        (answer.status() == ServingStatus::Serving).then_some(())
    })
    .await;
}

/// Looks every so often until there is something, within a bound.
pub async fn until<T, F>(what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let looking = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(25));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    };
    tokio::time::timeout(BOUND, looking).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// Calls until the server answers. What is refused for good fails the test.
pub async fn surely<T, F>(mut call: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    until("an answer", || {
        let answer = call();
        async {
            match answer.await {
                Ok(response) => Some(response.into_inner()),
                Err(status) if may_pass(&status) => None,
                Err(status) => panic!("{status:?}"),
            }
        }
    })
    .await
}

fn may_pass(status: &Status) -> bool {
    let passing = [
        Code::Unavailable,
        Code::Aborted,
        Code::ResourceExhausted,
        Code::DeadlineExceeded,
        Code::Cancelled,
        // Every id used here came from an answer: a service that does not know it yet will.
        Code::NotFound,
    ];
    // A connection that breaks under a call shows as UNKNOWN, without any detail of ours.
    passing.contains(&status.code()) || (status.code() == Code::Unknown && status.details().is_empty())
}
