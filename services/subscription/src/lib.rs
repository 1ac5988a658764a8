//! Memberships and their renewal contracts.
//!
//! It owns what a subject subscribed to, with whom, and until when, and what of it is refunded; as a
//! participant it ends renewals. It must not know who coordinates a cancellation, nor what else the subject has: what
//! has a value of its own belongs to the wallet.

pub mod domain;
mod error;
mod grpc;
mod offers;
mod participant;
mod quote;
mod remaining;
mod review;
mod settlement;
#[cfg(test)]
mod tests;
pub mod wire;
mod work_list;

use std::sync::Arc;

use ::participant::{Accounts, RunError, Runtime, StartError};
use policy::Packs;
use proto::subscription::v1::subscription_service_server::SubscriptionServiceServer;
use tokio_util::sync::CancellationToken;

pub use crate::{error::Error, grpc::Api, participant::Subscriptions};

/// What the service runs on.
pub struct Options {
    /// Store, log, key and clock.
    pub participant: ::participant::Options,
    /// What requests are told apart with.
    pub secret: Arc<keys::Secret>,
    /// The policy packs, which say how long a review may take and how long records are kept; `None`:
    /// those of the program.
    pub packs: Option<Arc<Packs>>,
}

/// The service, ready to run.
pub struct Service {
    runtime: Runtime<Subscriptions>,
    secret: Arc<keys::Secret>,
    packs: Arc<Packs>,
}

/// Declares the topics and joins up the parts.
///
/// # Errors
/// [`StartError`].
pub async fn build(options: Options) -> Result<Service, StartError> {
    let packs = options.packs.unwrap_or_else(|| Arc::new(Packs::built_in()));
    let participant = Arc::new(Subscriptions::new(packs.clone()));
    let runtime = Runtime::new(participant, options.participant, true).await?;
    Ok(Service { runtime, secret: options.secret, packs })
}

impl Service {
    /// The calls, for a server.
    #[must_use]
    pub fn grpc(&self) -> SubscriptionServiceServer<Api> {
        SubscriptionServiceServer::new(self.api())
    }

    fn api(&self) -> Api {
        let (accounts, secret) = (self.accounts().clone(), self.secret.clone());
        Api { accounts, secret, packs: self.packs.clone() }
    }

    /// The subjects' accounts.
    #[must_use]
    pub fn accounts(&self) -> &Accounts<Subscriptions> {
        self.runtime.accounts()
    }

    /// What may be asked of the consumer while it runs.
    #[must_use]
    pub fn consumer(&self) -> messaging::ConsumerHandle {
        self.runtime.consumer()
    }

    /// Works until told to stop.
    ///
    /// # Errors
    /// [`RunError`].
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RunError> {
        self.runtime.run(shutdown).await
    }
}
