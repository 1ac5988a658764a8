//! The real services, each as a process of its own: built on a simulated store, log and clock, run by
//! the very code that runs in production, and called through the very API.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use cancellation::{CaseOperations, Roster};
use event_store::{Store, StoreOptions};
use keys::{Secret, SigningKey, Vault};
use policy::Packs;
use proto::{
    cancellation::v1::{
        cancellation_service_client::CancellationServiceClient as CancellationClient,
        cancellation_service_server::CancellationServiceServer,
    },
    identity::v1::{
        identity_service_client::IdentityServiceClient as IdentityClient,
        identity_service_server::IdentityServiceServer,
    },
    payscore::v1::{
        payscore_service_client::PayscoreServiceClient as PayscoreClient,
        payscore_service_server::PayscoreServiceServer,
    },
    retention::v1::{
        retention_service_client::RetentionServiceClient as RetentionClient,
        retention_service_server::RetentionServiceServer,
    },
    subscription::v1::{
        subscription_service_client::SubscriptionServiceClient as SubscriptionClient,
        subscription_service_server::SubscriptionServiceServer,
    },
    wallet::v1::{
        wallet_service_client::WalletServiceClient as WalletClient,
        wallet_service_server::WalletServiceServer,
    },
};
use testkit::Intercepted;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use types::Clock;

use crate::{
    life::{Life, OwnClock},
    log::Wire,
    store::Between,
};

/// The services, in the order in which they are started.
pub const SERVICES: [&str; 6] =
    ["identity", "subscription", "payscore", "wallet", "retention", "cancellation"];

/// The processes, in the order in which they are started, each with the service that it runs. Two of the
/// coordinator share its store and its consumer group.
pub const PROCESSES: [(&str, &str); 7] = [
    ("identity", "identity"),
    ("subscription", "subscription"),
    ("payscore", "payscore"),
    ("wallet", "wallet"),
    ("retention", "retention"),
    ("cancellation", "cancellation"),
    (REPLICA, "cancellation"),
];

/// The second process of the coordinator.
pub const REPLICA: &str = "cancellation-2";

/// Where a service is called, while it is up.
pub struct Door<T>(Arc<Mutex<Option<T>>>);

impl<T> Clone for Door<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Door<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Door<T> {
    /// A client, while the service is up.
    #[must_use]
    pub fn get(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, client: Option<T>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = client;
    }
}

/// Every service's public API, called in this process.
#[derive(Clone, Default)]
pub struct Doors {
    /// Cancellations.
    pub cancellation: Door<CancellationClient<CancellationServiceServer<cancellation::Api>>>,
    /// What operators do to those.
    pub operations: Door<CaseOperations>,
    /// Subjects.
    pub identity: Door<IdentityClient<IdentityServiceServer<identity::Api>>>,
    /// Authorisations.
    pub payscore: Door<PayscoreClient<PayscoreServiceServer<payscore::Api>>>,
    /// Data sets.
    pub retention: Door<RetentionClient<RetentionServiceServer<retention::Api>>>,
    /// Subscriptions.
    pub subscription: Door<SubscriptionClient<SubscriptionServiceServer<subscription::Api>>>,
    /// Wallets.
    pub wallet: Door<WalletClient<WalletServiceServer<wallet::Api>>>,
}

impl Doors {
    /// The same, but that the coordinator's is that of its second process.
    #[must_use]
    pub fn of_replica(&self) -> Self {
        Self { cancellation: Door::default(), operations: Door::default(), ..self.clone() }
    }

    /// Nobody can call that process any more.
    pub fn close(&self, process: &str) {
        match process {
            "cancellation" | REPLICA => {
                self.cancellation.set(None);
                self.operations.set(None);
            }
            "identity" => self.identity.set(None),
            "payscore" => self.payscore.set(None),
            "retention" => self.retention.set(None),
            "subscription" => self.subscription.set(None),
            _ => self.wallet.set(None),
        }
    }

    /// Whether that process can be called.
    #[must_use]
    pub fn is_open(&self, process: &str) -> bool {
        match process {
            "cancellation" | REPLICA => self.cancellation.get().is_some(),
            "identity" => self.identity.get().is_some(),
            "payscore" => self.payscore.get().is_some(),
            "retention" => self.retention.get().is_some(),
            "subscription" => self.subscription.get().is_some(),
            _ => self.wallet.get().is_some(),
        }
    }
}

/// What does not end with a process.
#[derive(Clone)]
pub struct Ground {
    /// Everybody's.
    pub doors: Doors,
    /// Where fields are sealed.
    pub vault: Arc<Vault>,
    /// Where messages to subjects are put.
    pub messages: PathBuf,
    /// Who must acknowledge.
    pub roster: Roster,
    /// The rules of jurisdictions.
    pub packs: Arc<Packs>,
}

/// A process that runs a service.
pub struct Process {
    /// Its life.
    pub life: Arc<Life>,
    /// What it does, and what callers wait for: all of it ends with the process.
    pub tasks: JoinSet<Result<(), String>>,
}

/// The key that a service signs with.
#[must_use]
pub fn key(service: &str) -> Arc<SigningKey> {
    let mut seed = [7; 32];
    seed.iter_mut().zip(service.bytes()).for_each(|(byte, letter)| *byte = letter);
    Arc::new(SigningKey::from_seed(seed))
}

/// Starts a process. It may crash before it is up.
pub fn start(
    process: &'static str,
    ground: Ground,
    between: Between,
    clock: OwnClock,
    wire: Wire,
) -> Process {
    let life = between.life.clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(run(process, ground, between, Arc::new(clock), wire));
    Process { life, tasks }
}

async fn run(
    process: &'static str,
    ground: Ground,
    between: Between,
    clock: Arc<dyn Clock>,
    wire: Wire,
) -> Result<(), String> {
    let Ground { doors, vault, messages, roster, packs } = ground;
    let service = between.service;
    let engine = Intercepted::with(between.memory.clone(), between);
    let (store, log) = (Store::with_engine(engine, StoreOptions::default()), Arc::new(wire));
    let (member, secret) = (process.into(), Arc::new(Secret::from_bytes([9; 32])));
    let stop = CancellationToken::new();
    if service == "cancellation" {
        let receipt_key = key("receipt");
        let retired_keys = Vec::new();
        let options = cancellation::Options {
            store,
            log,
            clock,
            member,
            receipt_key,
            retired_keys,
            vault,
            secret,
            roster,
            packs,
        };
        let built = cancellation::build(options).await.map_err(said)?;
        doors.cancellation.set(Some(CancellationClient::new(built.grpc())));
        doors.operations.set(Some(built.operations()));
        return built.run(stop).await.map_err(said);
    }
    let participant =
        participant::Options { store, log, key: key(service), clock, member, batched_signatures: true };
    match service {
        "identity" => {
            let (token_key, messages_dir) = (key("token"), messages);
            let options = identity::Options { participant, secret, vault, token_key, messages_dir, packs };
            let built = identity::build(options).await.map_err(said)?;
            doors.identity.set(Some(IdentityClient::new(built.grpc())));
            built.run(stop).await.map_err(said)
        }
        "subscription" => {
            let options = subscription::Options { participant, secret, packs: Some(packs) };
            let built = subscription::build(options).await.map_err(said)?;
            doors.subscription.set(Some(SubscriptionClient::new(built.grpc())));
            built.run(stop).await.map_err(said)
        }
        "payscore" => {
            let built = payscore::build(payscore::Options { participant, secret }).await.map_err(said)?;
            doors.payscore.set(Some(PayscoreClient::new(built.grpc())));
            built.run(stop).await.map_err(said)
        }
        "retention" => {
            let options = retention::Options { participant, secret, packs };
            let built = retention::build(options).await.map_err(said)?;
            doors.retention.set(Some(RetentionClient::new(built.grpc())));
            built.run(stop).await.map_err(said)
        }
        _ => {
            let options = wallet::Options { participant, secret, packs: Some(packs) };
            let built = wallet::build(options).await.map_err(said)?;
            doors.wallet.set(Some(WalletClient::new(built.grpc())));
            built.run(stop).await.map_err(said)
        }
    }
}

fn said(error: impl std::error::Error) -> String {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        said = format!("{said}: {cause}");
        source = cause.source();
    }
    said
}
