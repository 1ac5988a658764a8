//! Starts the services of one process, on what the configuration says, and stops them in order.

mod engines;
mod guest;
mod keyring;
mod packs;
mod part;
mod readiness;
mod role;
mod services;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use cancellation::{Roster, RosterError};
use event_store::StoreError;
use keys::{JwkError, KeyError, VaultError};
use messaging::{EventLog, LogError, TopicSpec};
use service_kit::{Config, DataDirLock, config::EventLogPlace, lock::LockedError, server::ServerError};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use types::{Clock, ParticipantName, SystemClock};

pub(crate) use engines::log_options;
pub use guest::Guest;
pub use packs::PacksError;
pub(crate) use packs::packs;
use part::{Cause, Part};
pub use role::{Role, UnknownRole};
use services::Composed;

use crate::operations::Stored;

/// How long services may take to flush once the server has drained.
const SERVICES_END_WITHIN: Duration = Duration::from_secs(10);

/// Puts something before the event log.
pub type BeforeLog = dyn FnOnce(Arc<dyn EventLog>) -> Arc<dyn EventLog> + Send;

/// What a test, the demo or the bench has differently.
#[derive(Default)]
pub struct Overrides {
    /// The clock; the machine's when there is none.
    pub clock: Option<Arc<dyn Clock>>,
    /// Participants beside our own. The roster must name them.
    pub guests: Vec<Guest>,
    /// What stands before the event log; nothing when there is none.
    pub before_log: Option<Box<BeforeLog>>,
}

/// A process that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration names a role that there is not.
    #[error(transparent)]
    Role(#[from] UnknownRole),
    /// No role, and no guest.
    #[error("roles: a process without a role has nothing to do")]
    Idle,
    /// A process that is not alone, on a log that is one process's own.
    #[error(
        "roles: {} and other processes can meet on Apache Kafka only, and event_log names the embedded \
         log, which is one process's own: set event_log (--event-log, EXEUNT_EVENT_LOG) to kafka://host:port",
        .0.iter().map(|role| role.name()).collect::<Vec<_>>().join(", ")
    )]
    LogOfOneProcess(Vec<Role>),
    /// Nobody else can announce keys on the embedded log, and these have none.
    #[error("the roster has no key of {}, and nobody can announce one on the embedded log",
        .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    KeysMissing(Vec<ParticipantName>),
    /// The roster's file could not be read.
    #[error("roster {} cannot be read", path.display())]
    RosterFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The roster is wrong.
    #[error("the roster cannot be used")]
    Roster(#[from] RosterError),
    /// Services of this process have personal data, and the roster leaves them out.
    #[error("{} have personal data and take no part in the roster's scope whole_account: nobody would erase it", .0.join(", "))]
    LeftOut(Vec<String>),
    /// The policy packs cannot be used.
    #[error("the policy packs cannot be used")]
    Packs(#[from] PacksError),
    /// The data directory cannot be had.
    #[error(transparent)]
    DataDir(#[from] LockedError),
    /// A directory could not be made.
    #[error("directory {} cannot be made", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A key could not be had.
    #[error("keys cannot be read or made")]
    Key(#[from] KeyError),
    /// The file of retired keys is none.
    #[error("{} does not hold public keys", path.display())]
    RetiredKeys {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: JwkError,
    },
    /// A vault could not be opened.
    #[error("vault of {service} cannot be opened")]
    Vault {
        /// Whose.
        service: String,
        /// Why.
        source: VaultError,
    },
    /// A store could not be opened.
    #[error("event store of {service} cannot be opened")]
    Store {
        /// Whose.
        service: String,
        /// Why.
        source: StoreError,
    },
    /// The log could not be opened.
    #[error("event log cannot be opened")]
    Log(#[source] LogError),
    /// A service could not start.
    #[error("{service} cannot start")]
    Service {
        /// Which.
        service: String,
        /// Why.
        source: Cause,
    },
    /// The server could not start.
    #[error("the server cannot start")]
    Server(#[from] ServerError),
}

/// A process that stopped before it was asked to, or not as it should.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// A service cannot go on.
    #[error("{service} stopped")]
    Service {
        /// Which.
        service: Arc<str>,
        /// Why.
        source: Cause,
    },
    /// A service ended although nobody asked it to.
    #[error("a service ended without being asked to")]
    Unasked,
    /// A task of ours panicked.
    #[error("a task panicked")]
    Panicked(#[from] JoinError),
    /// Services did not flush in time; at the next start they go on where they were.
    #[error("services did not end within {} s", SERVICES_END_WITHIN.as_secs())]
    TooSlow,
}

/// Everything of one process, running. Dropped, it all stops at once, as if the process were killed.
pub struct Running {
    address: SocketAddr,
    log: Arc<dyn EventLog>,
    stores: Vec<Stored>,
    shutdown: CancellationToken,
    supervisor: JoinSet<Result<(), StopError>>,
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The log that its services meet on, for whoever stands beside them: tests, the bench.
    #[must_use]
    pub fn log(&self) -> Arc<dyn EventLog> {
        self.log.clone()
    }

    /// The stores of its services, for whoever stands beside them.
    #[must_use]
    pub fn stores(&self) -> &[Stored] {
        &self.stores
    }

    /// Asks it to stop.
    pub fn shutdown(&self) {
        self.shutdown.cancel();
    }

    /// Waits until all has ended. May be given up and called again.
    ///
    /// # Errors
    /// [`StopError`] when something ended otherwise than asked.
    pub async fn join(&mut self) -> Result<(), StopError> {
        match self.supervisor.join_next().await {
            Some(ended) => ended?,
            None => Ok(()),
        }
    }
}

/// Where messages to subjects are put: within the shared directory, which is the data directory unless
/// another is set.
#[must_use]
pub fn messages_directory(shared_dir: &Path) -> PathBuf {
    shared_dir.join("messages")
}

/// Starts the services of the process's roles, and its guests. When it returns, the address is bound and calls are answered.
///
/// # Errors
/// [`StartError`]; then nothing runs, and the data directory is free again.
pub async fn start(config: Config, overrides: Overrides) -> Result<Running, StartError> {
    let roles = Role::parse(&config.roles)?;
    if roles.is_empty() && overrides.guests.is_empty() {
        return Err(StartError::Idle);
    }
    if roles.len() < Role::ALL.len() && matches!(config.event_log, EventLogPlace::Embedded { .. }) {
        return Err(StartError::LogOfOneProcess(roles));
    }
    let roster = roster(config.roster.as_deref())?;
    let holders = roles.iter().filter(|role| **role != Role::Cancellation).map(|role| role.name());
    let left_out = roster.left_out(holders);
    if !left_out.is_empty() {
        return Err(StartError::LeftOut(left_out.into_iter().map(Into::into).collect()));
    }
    let packs = packs(config.policy.as_deref(), &config.cooling_off)?;
    let lock = DataDirLock::acquire(&config.data_dir)?;
    let (address, grace) = (config.listen, config.shutdown_grace);
    let clock = overrides.clock.unwrap_or_else(|| Arc::new(SystemClock));
    let Composed { server, parts, watched, engines } =
        services::build(config, roles, (roster, packs), clock, overrides.guests, overrides.before_log)
            .await?;
    let bound = server.bind(address).await?;
    let health = bound.health();
    readiness::begin(&health, &watched).await;
    let address = bound.address();
    let shutdown = CancellationToken::new();
    let (asked, log, stores) = (shutdown.clone(), engines.log.clone(), engines.stores.clone());
    let mut supervisor = JoinSet::new();
    supervisor.spawn(async move {
        let serve = |stop: CancellationToken| async move {
            let telling = readiness::tell(health, watched, stop.clone());
            tokio::join!(bound.serve(stop, grace), telling).0
        };
        let ended = supervise(serve, parts, asked).await;
        engines.close().await;
        drop(lock);
        ended
    });
    Ok(Running { address, log, stores, shutdown, supervisor })
}

/// Every topic of an installation whose roster is that file, or the embedded one.
///
/// # Errors
/// [`StartError`] when the roster cannot be read.
pub(crate) fn topics(path: Option<&Path>) -> Result<Vec<TopicSpec>, StartError> {
    Ok(cancellation::topics_of_installation(&roster(path)?))
}

fn roster(path: Option<&Path>) -> Result<Roster, StartError> {
    let Some(path) = path else { return Ok(Roster::parse(cancellation::DEFAULT_ROSTER)?) };
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|source| StartError::RosterFile { path: path.into(), source })?;
    Ok(Roster::parse(&text)?)
}

/// Runs until asked to stop, or until a service ends by itself. The server drains before the services
/// are told, so that what it has accepted is relayed.
async fn supervise<S, D>(
    serve: impl FnOnce(CancellationToken) -> S,
    parts: Vec<Part>,
    asked: CancellationToken,
) -> Result<(), StopError>
where
    S: Future<Output = D> + Send + 'static,
    D: std::fmt::Debug + Send + 'static,
{
    let (stop_server, stop_services) = (CancellationToken::new(), CancellationToken::new());
    let mut server = JoinSet::new();
    server.spawn(serve(stop_server.clone()));
    let mut services = JoinSet::new();
    for part in parts {
        services.spawn(part.run(stop_services.clone()));
    }
    let mut first = tokio::select! {
        () = asked.cancelled() => Ok(()),
        Some(ended) = services.join_next() => flat(ended).and(Err(StopError::Unasked)),
    };
    stop_server.cancel();
    while let Some(drained) = server.join_next().await {
        match drained {
            Ok(drained) => tracing::info!(?drained, "server stopped"),
            Err(error) => first = first.and(Err(error.into())),
        }
    }
    stop_services.cancel();
    let flushed = tokio::time::timeout(SERVICES_END_WITHIN, async {
        let mut all = Ok(());
        while let Some(ended) = services.join_next().await {
            all = all.and(flat(ended));
        }
        all
    });
    first.and(flushed.await.unwrap_or(Err(StopError::TooSlow)))
}

fn flat(ended: Result<Result<(), StopError>, JoinError>) -> Result<(), StopError> {
    ended.unwrap_or_else(|error| Err(error.into()))
}
