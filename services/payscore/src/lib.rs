//! Payment-score authorisations, what was used or bought on credit, and face payment.
//!
//! It owns which merchants may rely on a subject's score and what is still open with them; as a
//! participant it unbinds them once everything is settled. It must not know who coordinates a
//! cancellation.

pub mod domain;
mod error;
mod grpc;
mod participant;
mod quote;
#[cfg(test)]
mod tests;
pub mod wire;

use std::sync::Arc;

use ::participant::{Accounts, RunError, Runtime, StartError};
use proto::payscore::v1::payscore_service_server::PayscoreServiceServer;
use tokio_util::sync::CancellationToken;

pub use crate::{error::Error, grpc::Api, participant::Payscore};

/// What the service runs on.
pub struct Options {
    /// Store, log, key and clock.
    pub participant: ::participant::Options,
    /// What requests are told apart with.
    pub secret: Arc<keys::Secret>,
}

/// The service, ready to run.
pub struct Service {
    runtime: Runtime<Payscore>,
    secret: Arc<keys::Secret>,
}

/// Declares the topics and joins up the parts.
///
/// # Errors
/// [`StartError`].
pub async fn build(options: Options) -> Result<Service, StartError> {
    let runtime = Runtime::new(Arc::new(Payscore::default()), options.participant, true).await?;
    Ok(Service { runtime, secret: options.secret })
}

impl Service {
    /// The calls, for a server.
    #[must_use]
    pub fn grpc(&self) -> PayscoreServiceServer<Api> {
        let api = Api { accounts: self.accounts().clone(), secret: self.secret.clone() };
        PayscoreServiceServer::new(api)
    }

    /// The subjects' accounts.
    #[must_use]
    pub fn accounts(&self) -> &Accounts<Payscore> {
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
