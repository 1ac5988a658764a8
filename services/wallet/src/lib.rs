//! Wallet: what a subject has that is worth money.
//!
//! It owns balances by currency, points, coupons and stored value, and what was paid out. It must
//! not know who coordinates, nor how money reaches a bank.

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
use proto::wallet::v1::wallet_service_server::WalletServiceServer;
use tokio_util::sync::CancellationToken;

pub use error::Error;
pub use grpc::Api;
pub use participant::Wallet;

/// What the service runs on.
pub struct Options {
    /// What every participant runs on.
    pub participant: ::participant::Options,
    /// The key of requests' digests.
    pub secret: Arc<Secret>,
    /// The policy packs, which say how long records are kept; `None`: those of the program.
    pub packs: Option<Arc<Packs>>,
}

/// The service, ready to run.
pub struct Service {
    runtime: Runtime<Wallet>,
    secret: Arc<Secret>,
}

/// Joins up the parts.
///
/// # Errors
/// [`StartError`].
pub async fn build(options: Options) -> Result<Service, StartError> {
    let wallet = options.packs.map_or_else(Wallet::default, Wallet::new);
    let runtime = Runtime::new(Arc::new(wallet), options.participant, true).await?;
    Ok(Service { runtime, secret: options.secret })
}

impl Service {
    /// Its gRPC side.
    #[must_use]
    pub fn grpc(&self) -> WalletServiceServer<Api> {
        WalletServiceServer::new(Api::new(self.accounts().clone(), self.secret.clone()))
    }

    /// The subjects' accounts.
    #[must_use]
    pub fn accounts(&self) -> &Accounts<Wallet> {
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
