//! Subjects: who they are, how they are reached, and the proof that it is them.
//!
//! Owns subjects with their sealed contact data, their standing and guardians, verifications and the
//! key that signs their tokens, and the stay-closed ledger. It must not know what else a subject has, nor what a cancellation
//! does elsewhere. Contact data is sealed with a key per subject before it is recorded; only
//! message files have it in the open, and both end with the account.

mod address;
mod app;
mod code;
mod domain;
mod effects;
mod error;
mod grpc;
mod messages;
mod participant;
mod publish;
#[cfg(test)]
mod tests;
mod token_key;
mod wire;

use std::{io, path::PathBuf, sync::Arc};

use ::participant::{Accounts, RunError, Runtime, topics};
use keys::{Secret, SigningKey, Vault};
use messaging::{ConsumerHandle, Follower, LogError};
use policy::Packs;
use proto::identity::v1::identity_service_server::IdentityServiceServer;
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    effects::{Effects, FOLLOWER, Outside},
    messages::MessageFolder,
};
pub use crate::{grpc::Api, participant::Identity, token_key::TokenKeyError};

/// What the service runs on.
#[derive(Clone)]
pub struct Options {
    /// Its store, the log, the clock and the key of its acknowledgements.
    pub participant: ::participant::Options,
    /// The secret of keyed hashes and of codes.
    pub secret: Arc<Secret>,
    /// Where contact data is sealed.
    pub vault: Arc<Vault>,
    /// What verification tokens are signed with.
    pub token_key: Arc<SigningKey>,
    /// Where messages to subjects are put.
    pub messages_dir: PathBuf,
    /// The rules of jurisdictions: by when appeals are decided, and who may come back.
    pub packs: Arc<Packs>,
}

/// The service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The message folder cannot be made.
    #[error("message folder {} cannot be made", path.display())]
    Messages {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its topic cannot be made.
    #[error("topic of closures cannot be declared")]
    Topics(#[source] LogError),
    /// The key of tokens cannot be published.
    #[error("token key cannot be published")]
    TokenKey(#[from] TokenKeyError),
    /// The participant cannot start.
    #[error("participant cannot start")]
    Participant(#[from] ::participant::StartError),
}

/// The service, ready to run.
pub struct Service {
    runtime: Runtime<Identity>,
    app: App,
}

/// Joins up the service's parts; publishes the token key when it is new.
///
/// # Errors
/// [`StartError`].
pub async fn build(options: Options) -> Result<Service, StartError> {
    let Options { participant, secret, vault, token_key, messages_dir, packs } = options;
    let messages = MessageFolder::open(&messages_dir)
        .map_err(|source| StartError::Messages { path: messages_dir, source })?;
    participant.log.declare(&[topics::closures()]).await.map_err(StartError::Topics)?;
    token_key::publish(&participant.store, &token_key, participant.clock.now()).await?;

    let identity = Arc::new(Identity::new(packs.clone()));
    let publisher = publish::publisher(identity.clone());
    let store = participant.store.clone();
    let runtime = Runtime::with_publisher(identity, participant, false, publisher).await?;
    let accounts = runtime.accounts().clone();
    let outside = Outside { vault: vault.clone(), secret: secret.clone(), messages };
    let effects = Effects { accounts: accounts.clone(), packs: packs.clone(), outside };
    let follower = Follower::new(store, FOLLOWER, Arc::new(effects));
    let app = App { accounts, secret, vault, token_key, packs, delivered: follower.progress() };
    Ok(Service { runtime: runtime.and_follower(follower), app })
}

impl Service {
    /// The gRPC side.
    #[must_use]
    pub fn grpc(&self) -> IdentityServiceServer<Api> {
        IdentityServiceServer::new(Api::new(self.app.clone()))
    }

    /// The subjects' accounts.
    #[must_use]
    pub fn accounts(&self) -> &Accounts<Identity> {
        self.runtime.accounts()
    }

    /// What may be asked of the consumer while it runs.
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
