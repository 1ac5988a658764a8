//! Cancellations, from request to receipt: asks every participant, quotes, takes the confirmation,
//! has it done in order, and seals the proof.
//!
//! It owns cancellations, quotes and receipts. It knows participants by what the roster file says of
//! them and nothing else: adding one changes no line here.

mod acknowledgements;
mod app;
mod closing;
mod domain;
mod error;
mod grpc;
mod publish;
mod quote;
pub mod receipt;
mod roster;
mod shell;
mod streams;
mod watch;
mod wire;

use std::sync::Arc;

use acknowledgements::Acknowledgements;
use app::Cancellations;
use closing::Closing;
use event_store::Store;
pub use grpc::Api;
use keys::{Jwk, JwkSet, Secret, SigningKey, Vault};
use messaging::{
    BatchConsumer, ConsumerHandle, ConsumerOptions, EventLog, Follower, LogError, Relay, RunError,
    Subscription,
};
use participant::contract;
use proto::cancellation::v1::cancellation_service_server::CancellationServiceServer;
pub use roster::{DEFAULT as DEFAULT_ROSTER, Roster, RosterError};
use shell::Shell;
use tokio_util::sync::CancellationToken;
use types::{Clock, ParticipantName};
use watch::Watchers;

/// The service's name, and its consumer group's last part.
pub const NAME: &str = "cancellation";

/// What the service runs on.
pub struct Options {
    /// Its store.
    pub store: Store,
    /// The event log.
    pub log: Arc<dyn EventLog>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// This process's static id within the consumer group.
    pub member: Arc<str>,
    /// What receipts are sealed with.
    pub receipt_key: Arc<SigningKey>,
    /// Keys that sealed or signed before and do so no more, as `GetKeys` gave them: one that does not
    /// say whose it is proves nothing.
    pub retired_keys: Vec<Jwk>,
    /// Where the keys of free text lie.
    pub vault: Arc<Vault>,
    /// What requests' digests are keyed with.
    pub secret: Arc<Secret>,
    /// Who must acknowledge what, everybody's keys included.
    pub roster: Roster,
}

/// A service that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Acknowledgements of these could not be checked.
    #[error("the roster has no key of {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    KeysMissing(Vec<ParticipantName>),
    /// Its topics could not be made.
    #[error("topics could not be declared")]
    Topics(#[source] LogError),
}

/// Every public key that a receipt may need.
#[derive(Clone)]
pub struct Jwks(Arc<str>);

impl Jwks {
    /// As RFC 7517 JSON.
    #[must_use]
    pub fn json(&self) -> String {
        self.0.to_string()
    }
}

/// The service, ready to run.
pub struct Service {
    api: Api,
    consumer: BatchConsumer<Acknowledgements>,
    followers: Vec<Follower>,
}

/// Declares the topics and joins up the parts.
///
/// # Errors
/// [`StartError`].
pub async fn build(options: Options) -> Result<Service, StartError> {
    let Options { store, log, clock, member, receipt_key, retired_keys, vault, secret, roster } = options;
    let without = roster.without_keys();
    if !without.is_empty() {
        return Err(StartError::KeysMissing(without));
    }
    let mut topics: Vec<String> =
        roster.entries().map(|entry| contract::instructions_topic(&entry.name)).collect();
    let read = [contract::ACKNOWLEDGEMENTS, contract::IDENTITY_EVENTS];
    topics.extend(read.map(str::to_owned));
    topics.push(contract::events_topic(NAME));
    let topics: Vec<_> = topics.into_iter().map(contract::topic).collect();
    log.declare(&topics).await.map_err(StartError::Topics)?;

    let jwks = jwks(&receipt_key, &roster, retired_keys);
    let relay = Relay::new(store.clone(), "relay", log.clone(), Arc::new(publish::publisher(&roster)));
    let shell = Shell { clock: clock.clone(), receipt_key };
    let group = format!("exeunt.{NAME}").into();
    let reads = Subscription { group, member, topics: read.map(Arc::from).to_vec() };
    let handler = Arc::new(Acknowledgements::new(shell.clone()));
    let consumer = BatchConsumer::new(store.clone(), log, reads, handler, clock, ConsumerOptions::default());
    let watchers = Arc::new(Watchers::default());
    let cancellations = Cancellations { store, shell, roster: Arc::new(roster), vault, secret, watchers };
    let closing =
        Follower::new(cancellations.store.clone(), "closing", Arc::new(Closing(cancellations.clone())));
    Ok(Service { api: Api { cancellations, jwks }, consumer, followers: vec![relay, closing] })
}

fn jwks(receipt_key: &SigningKey, roster: &Roster, retired: Vec<Jwk>) -> Jwks {
    let mut keys = vec![receipt_key.jwk().owned_by(receipt::SEALERS)];
    let participants = roster.entries().flat_map(|entry| {
        let parsed = entry.keys.iter().filter_map(|json| Jwk::parse(json).ok());
        parsed.map(|key| key.owned_by(entry.name.as_str()))
    });
    for key in participants.chain(retired) {
        if !keys.iter().any(|known| known.kid() == key.kid() && known.owner() == key.owner()) {
            keys.push(key);
        }
    }
    Jwks(keys.into_iter().collect::<JwkSet>().to_json().into())
}

impl Service {
    /// The public API, to be served.
    #[must_use]
    pub fn grpc(&self) -> CancellationServiceServer<Api> {
        CancellationServiceServer::new(self.api.clone())
    }

    /// Every public key that a receipt may need.
    #[must_use]
    pub fn jwks(&self) -> Jwks {
        self.api.jwks.clone()
    }

    /// What may be asked of the consumer while it runs.
    #[must_use]
    pub fn consumer(&self) -> ConsumerHandle {
        self.consumer.handle()
    }

    /// Works until told to stop.
    ///
    /// # Errors
    /// [`RunError`] when a part cannot go on; the others are stopped then.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RunError> {
        let Self { api, consumer, followers } = self;
        let Cancellations { watchers, store, .. } = api.cancellations;
        let watching = |stop| async move { watchers.run(store, stop).await };
        messaging::run_together(consumer, followers, watching, shutdown).await
    }
}
