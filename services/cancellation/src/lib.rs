//! Cancellations, from request to receipt: asks every participant, quotes, takes the confirmation,
//! has it done in order, and seals the proof.
//!
//! It owns cancellations, quotes and receipts. It knows participants by what the roster file says of
//! them and nothing else: adding one changes no line here.

mod acknowledgements;
mod app;
mod bulk;
mod case_token;
mod closing;
mod domain;
mod drift;
mod error;
mod grpc;
mod late_keys;
mod operations;
mod participant_keys;
mod publish;
mod quote;
pub mod receipt;
mod roster;
mod rules;
mod shell;
mod streams;
mod sweep;
#[cfg(test)]
mod tests;
mod wake;
mod watch;
mod wire;
mod words;

use std::sync::Arc;

use acknowledgements::Acknowledgements;
use app::Cancellations;
use closing::Closing;
use event_store::{Store, StoreError};
pub use grpc::Api;
use keys::{Jwk, JwkSet, Secret, SigningKey, Vault};
use messaging::{
    Backlog, BatchConsumer, ConsumerHandle, ConsumerOptions, EventLog, Follower, LogError, Relay, RunError,
    Subscription, TopicSpec,
};
pub use operations::CaseOperations;
use participant::{
    contract,
    topics::{self as declared, Announces},
};
use participant_keys::ParticipantKeys;
use policy::Packs;
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
    /// Who must acknowledge what. Those whose keys it has not must announce them.
    pub roster: Roster,
    /// The rules of jurisdictions.
    pub packs: Arc<Packs>,
}

/// A service that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The keys that participants announced could not be read.
    #[error("announced keys could not be read")]
    Keys(#[source] StoreError),
    /// Its topics could not be made.
    #[error("topics could not be declared")]
    Topics(#[source] LogError),
}

/// Every public key that a receipt may need.
#[derive(Clone)]
pub struct Jwks {
    receipt_key: Jwk,
    participants: Arc<ParticipantKeys>,
    retired: Arc<[Jwk]>,
}

impl Jwks {
    /// Those that seal receipts and case tokens, retired ones too.
    pub(crate) fn sealers(&self) -> JwkSet {
        let retired = self.retired.iter().filter(|key| key.owner() == Some(receipt::SEALERS)).cloned();
        [self.receipt_key.clone()].into_iter().chain(retired).collect()
    }

    /// As RFC 7517 JSON: those known at this moment, each with its owner.
    #[must_use]
    pub fn json(&self) -> String {
        let mut keys = vec![self.receipt_key.clone()];
        for key in self.participants.owned().into_iter().chain(self.retired.iter().cloned()) {
            if !keys.iter().any(|known| known.kid() == key.kid() && known.owner() == key.owner()) {
                keys.push(key);
            }
        }
        keys.into_iter().collect::<JwkSet>().to_json()
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
    let Options { store, log, clock, member, receipt_key, retired_keys, vault, secret, roster, packs } =
        options;
    let roster = Arc::new(roster);
    let (declared, read) = topics(&roster);
    log.declare(&declared).await.map_err(StartError::Topics)?;
    let participant_keys = Arc::new(ParticipantKeys::new(roster.clone()));
    participant_keys.read(&store).await.map_err(StartError::Keys)?;

    let jwks = Jwks {
        receipt_key: receipt_key.jwk().owned_by(receipt::SEALERS),
        participants: participant_keys.clone(),
        retired: retired_keys.into(),
    };
    let relay = Relay::keeping(
        store.clone(),
        log.clone(),
        Arc::new(publish::publisher(&roster)),
        contract::is_compacted,
        Vec::new(),
    );
    let shell = Shell { clock: clock.clone(), receipt_key };
    let group = group().into();
    let reads = Subscription { group, member, topics: read };
    let handler = Arc::new(Acknowledgements::new(shell.clone(), participant_keys.clone()));
    let consumer = BatchConsumer::new(store.clone(), log, reads, handler, clock, ConsumerOptions::default())
        .reading_first([contract::CLOSURES.into()])
        .await;
    let watchers = Arc::new(Watchers::default());
    let backlog = Backlog::of(store.clone());
    let cancellations =
        Cancellations { store, shell, roster, packs, participant_keys, vault, secret, watchers, backlog };
    let closing = Arc::new(Closing(cancellations.clone()));
    let closing = Follower::new(cancellations.store.clone(), closing::FOLLOWER, closing);
    Ok(Service { api: Api { cancellations, jwks }, consumer, followers: vec![relay, closing] })
}

/// The consumer group, which is the consumer's name in the store too.
pub(crate) fn group() -> String {
    format!("exeunt.{NAME}")
}

/// The topics that the service declares, and of them those that it reads.
fn topics(roster: &Roster) -> (Vec<TopicSpec>, Vec<Arc<str>>) {
    let declared = declared::of_coordinator(NAME, announcers(roster));
    let announcing = announcers(roster).into_iter().filter(|(_, announces)| *announces == Announces::Keys);
    let keys = announcing.map(|(name, _)| contract::keys_topic(name).into());
    let read = [contract::ACKNOWLEDGEMENTS, contract::IDENTITY_EVENTS, contract::CLOSURES];
    let read = read.map(Arc::<str>::from);
    (declared, read.into_iter().chain(keys).collect())
}

/// Who takes part, and who of them announces its keys.
fn announcers(roster: &Roster) -> Vec<(&ParticipantName, Announces)> {
    let announces = |name| if roster.pins(name) { Announces::Nothing } else { Announces::Keys };
    roster.entries().map(|entry| (&entry.name, announces(&entry.name))).collect()
}

/// Every topic of an installation with that roster.
#[must_use]
pub fn topics_of_installation(roster: &Roster) -> Vec<TopicSpec> {
    declared::of_installation(NAME, announcers(roster))
}

impl Service {
    /// The public API, to be served.
    #[must_use]
    pub fn grpc(&self) -> CancellationServiceServer<Api> {
        CancellationServiceServer::new(self.api.clone())
    }

    /// What operators can ask of it.
    #[must_use]
    pub fn operations(&self) -> CaseOperations {
        CaseOperations(self.api.cancellations.clone())
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
        let (waking, sweeping) = (api.cancellations.clone(), api.cancellations.clone());
        let Cancellations { watchers, store, participant_keys, .. } = api.cancellations;
        let watching = |stop: CancellationToken| async move {
            let keeping_up = participant_keys.run(store.clone(), watchers.clone(), stop.clone());
            let watching = watchers.run(store, stop.clone());
            let timers = wake::run(waking, stop.clone());
            tokio::join!(keeping_up, watching, timers, sweep::run(sweeping, stop));
        };
        messaging::run_together(consumer, followers, watching, shutdown).await
    }
}
