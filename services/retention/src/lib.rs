//! Retention: whose personal data is where, and what becomes of it when an account closes.
//!
//! It owns the data sets of every subject and the holds over them, and erases, anonymises or restricts
//! them as the packs say, by the law of each data set's controller. It must not know who coordinates,
//! nor what other services have: of their data it knows what they recorded here.

pub mod domain;
pub mod participant;
pub mod wire;

mod error;
mod grpc;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use ::participant::{Accounts, RunError, Runtime, StartError};
use keys::Secret;
use messaging::ConsumerHandle;
use policy::Packs;
use proto::retention::v1::retention_service_server::RetentionServiceServer;
use tokio_util::sync::CancellationToken;

pub use error::Error;
pub use grpc::Api;
pub use participant::Retention;

/// What the service runs on.
pub struct Options {
    /// What every participant runs on.
    pub participant: ::participant::Options,
    /// The key of requests' digests.
    pub secret: Arc<Secret>,
    /// What the law of jurisdictions says of data.
    pub packs: Arc<Packs>,
}

/// The service, ready to run.
pub struct Service {
    runtime: Runtime<Retention>,
    secret: Arc<Secret>,
}

/// Joins up the parts.
///
/// # Errors
/// [`StartError`].
pub async fn build(options: Options) -> Result<Service, StartError> {
    let participant = Arc::new(Retention::new(options.packs));
    let runtime = Runtime::new(participant, options.participant, true).await?;
    Ok(Service { runtime, secret: options.secret })
}

impl Service {
    /// Its gRPC side.
    #[must_use]
    pub fn grpc(&self) -> RetentionServiceServer<Api> {
        RetentionServiceServer::new(Api::new(self.accounts().clone(), self.secret.clone()))
    }

    /// The subjects' accounts.
    #[must_use]
    pub fn accounts(&self) -> &Accounts<Retention> {
        self.runtime.accounts()
    }

    /// What may be asked of its consumer while it runs.
    #[must_use]
    pub fn consumer(&self) -> ConsumerHandle {
        self.runtime.consumer()
    }

    /// Works until told to stop.
    ///
    /// # Errors
    /// [`RunError`] when a part cannot go on.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RunError> {
        self.runtime.run(shutdown).await
    }
}
