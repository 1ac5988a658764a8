//! The processes of one installation, and what they stand on.

use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{
    Client,
    server::{Server, current_binary},
};

/// The scope without gates that the load asks for, beside whole accounts.
pub const NAMED_SCOPE: &str = "torture";

/// Every role that a process can have.
pub const ROLES: [&str; 6] = ["cancellation", "identity", "subscription", "payscore", "wallet", "retention"];

/// Who takes part in the scopes of the load: everybody but the coordinator.
pub(crate) const PARTICIPANTS: &[&str] = ROLES.split_at(1).1;

/// What several processes must share.
const SHARED: [&str; 3] = ["keys", "vault", "messages"];

/// What wraps the keys of the vaults, for every process of every release.
const KEK: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

/// Whose program a process runs.
#[derive(Debug, Clone)]
pub enum Release {
    /// The build under test.
    Current,
    /// The one before it, which is started without naming a shared folder.
    Previous(PathBuf),
}

/// On what the product runs.
#[derive(Debug, Clone)]
pub enum Engines {
    /// SQLite and the embedded log: one process.
    Embedded,
    /// PostgreSQL and Kafka.
    Real {
        /// A database whose name begins those of the services.
        event_store: String,
        /// Brokers and a prefix of topics.
        event_log: String,
    },
}

impl Engines {
    /// The shared ones that the tests are given, each time under names of their own; `None` where nobody
    /// named any.
    #[must_use]
    pub fn shared() -> Option<Self> {
        Some(Self::on(&shared_postgres()?, &shared_kafka()?))
    }

    /// These servers, under names of our own; of the URL only the server counts.
    #[must_use]
    pub fn on(postgres: &str, brokers: &str) -> Self {
        let name = format!("torture_{}", types::fresh_uuid().simple());
        let server = postgres.rsplit_once('/').map_or(postgres, |(server, _)| server);
        Self::Real { event_store: format!("{server}/{name}"), event_log: format!("kafka://{brokers}/{name}") }
    }
}

/// The PostgreSQL that tests share, where somebody named it.
#[must_use]
pub fn shared_postgres() -> Option<String> {
    std::env::var("EXEUNT_TEST_POSTGRES_URL").ok()
}

/// The brokers that tests share, where somebody named them.
#[must_use]
pub fn shared_kafka() -> Option<String> {
    std::env::var("EXEUNT_TEST_KAFKA_BROKERS").ok()
}

/// Which processes there are: the roles of each, none meaning all.
#[derive(Debug, Clone)]
pub struct Layout(pub Vec<Vec<String>>);

impl Layout {
    /// Everything in one process.
    #[must_use]
    pub fn one() -> Self {
        Self(vec![Vec::new()])
    }

    /// A process for each role, and so many of each.
    #[must_use]
    pub fn each(replicas: usize) -> Self {
        let of = |role: &str| vec![vec![role.to_owned()]; replicas];
        Self(ROLES.iter().flat_map(|role| of(role)).collect())
    }
}

/// The roster, in the fleet's folder.
const ROSTER: &str = "roster.toml";

/// Processes on common engines, in one folder that goes when this goes.
pub struct Fleet {
    /// Everything that stands in files.
    pub dir: TempDir,
    /// What they stand on.
    pub engines: Engines,
    /// All of them, running or not.
    pub servers: Vec<Server>,
    client: Client,
    numbered: usize,
}

impl Fleet {
    /// Nothing runs yet.
    ///
    /// # Errors
    /// When folders, ports or the binary cannot be had.
    pub fn new(engines: Engines, layout: &Layout) -> Result<Self> {
        let dir = TempDir::new()?;
        let client = Client::new(&dir.path().join("shared/messages"));
        std::fs::write(dir.path().join(ROSTER), roster()?)?;
        for place in SHARED {
            std::fs::create_dir_all(dir.path().join("shared").join(place))?;
        }
        let mut fleet = Self { dir, engines, servers: Vec::new(), client, numbered: 0 };
        for roles in &layout.0 {
            fleet.add(roles, &Release::Current)?;
        }
        Ok(fleet)
    }

    /// One more process, which is not started yet; gives its place among `servers`.
    ///
    /// # Errors
    /// As [`Fleet::new`].
    pub fn add(&mut self, roles: &[String], release: &Release) -> Result<usize> {
        let what = if roles.is_empty() { "all".to_owned() } else { roles.join("+") };
        let name = format!("{what}-{}", self.numbered);
        self.numbered += 1;
        let dir = self.dir.path().join(&name);
        let binary = match release {
            Release::Current => current_binary()?,
            Release::Previous(binary) => binary.clone(),
        };
        let mut server = Server::new(&name, binary, dir, roles)?;
        server.flag("--roster", &self.dir.path().join(ROSTER).to_string_lossy());
        server.variable("EXEUNT_MEMBER_ID", &name);
        server.variable("EXEUNT_KEK", KEK);
        server.variable("EXEUNT_LOG", "info,messaging=debug");
        if let Engines::Real { event_store, event_log } = &self.engines {
            server.flag("--event-store", event_store);
            server.flag("--event-log", event_log);
        }
        let shared = self.dir.path().join("shared");
        match release {
            Release::Current => server.flag("--shared-dir", &shared.to_string_lossy()),
            // Links make what stands in its own folder common to all, so that it need not know a shared one.
            Release::Previous(_) => {
                for place in SHARED {
                    let link = server.dir().join(place);
                    symlink(shared.join(place), &link).with_context(|| link.display().to_string())?;
                }
            }
        }
        self.servers.push(server);
        Ok(self.servers.len() - 1)
    }

    /// Starts all that do not run, and waits until they serve.
    ///
    /// # Errors
    /// When one does not come up.
    pub async fn start(&mut self) -> Result<()> {
        for server in self.servers.iter_mut().filter(|server| !server.is_started()) {
            server.start()?;
        }
        for server in &mut self.servers {
            server.ready().await?;
        }
        self.route();
        Ok(())
    }

    /// Tells callers where the roles answer now: at every process that is started.
    pub fn route(&self) {
        let started = self.servers.iter().filter(|server| server.is_started());
        self.client.route(started.map(|server| (server.roles.as_slice(), server.url())));
    }

    /// Kills one and starts it again at once; it is ready later.
    ///
    /// # Errors
    /// When it had ended by itself, or cannot be run.
    pub fn kill(&mut self, number: usize) -> Result<()> {
        self.servers[number].kill()?;
        self.servers[number].start()
    }

    /// Kills all at once and starts them again.
    ///
    /// # Errors
    /// When one had ended by itself, or cannot be run.
    pub fn kill_all(&mut self) -> Result<()> {
        for server in &mut self.servers {
            server.kill()?;
        }
        self.servers.iter_mut().try_for_each(Server::start)
    }

    /// Stops one in order, for good; callers are told first.
    ///
    /// # Errors
    /// When it does not end in order.
    pub async fn remove(&mut self, number: usize) -> Result<()> {
        let mut server = self.servers.remove(number);
        self.route();
        server.stop().await
    }

    /// Stops all in order.
    ///
    /// # Errors
    /// When one does not end in order.
    pub async fn stop(&mut self) -> Result<()> {
        for server in &mut self.servers {
            server.stop().await?;
        }
        Ok(())
    }

    /// A caller that finds every role, wherever it is served.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The store of a service, as the oracle reaches it.
    #[must_use]
    pub fn ledger_url(&self, service: &str) -> String {
        match &self.engines {
            Engines::Embedded => {
                let file = self.servers[0].dir().join(format!("store/{service}.db"));
                format!("sqlite:{}", file.display())
            }
            Engines::Real { event_store, .. } => format!("{event_store}_{service}"),
        }
    }

    /// What the processes said last, for whoever has to find out why something failed.
    #[must_use]
    pub fn last_words(&self) -> String {
        let told = self.servers.iter().map(|server| format!("--- {}\n{}", server.name, server.last_words()));
        told.collect::<Vec<_>>().join("\n")
    }

    /// Keeps the folder with everybody's logs, and says where it is.
    #[must_use]
    pub fn keep(mut self) -> PathBuf {
        self.servers.clear();
        self.dir.disable_cleanup(true);
        self.dir.path().to_owned()
    }

    /// Where messages to subjects are put.
    #[must_use]
    pub fn messages(&self) -> &Path {
        self.client.messages()
    }
}

/// The product's own roster with one more scope, without gates, in which everybody takes part.
fn roster() -> Result<String> {
    let mut roster: toml::Table = toml::from_str(cancellation::DEFAULT_ROSTER)?;
    let without_gates = toml::Table::from_iter([("gates".to_owned(), "none".into())]);
    scopes(&mut roster)?.insert(NAMED_SCOPE.to_owned(), without_gates.into());
    for participant in participants(&mut roster)? {
        let scopes = participant.get_mut("scopes").and_then(toml::Value::as_array_mut);
        scopes.context("a participant has no scopes")?.push(NAMED_SCOPE.into());
    }
    Ok(toml::to_string(&roster)?)
}

fn scopes(roster: &mut toml::Table) -> Result<&mut toml::Table> {
    roster.get_mut("scopes").and_then(toml::Value::as_table_mut).context("there are no scopes")
}

fn participants(roster: &mut toml::Table) -> Result<&mut Vec<toml::Value>> {
    let found = roster.get_mut("participant").and_then(toml::Value::as_array_mut);
    found.context("there are no participants")
}
