//! What the product stands on during one measurement, and its removal.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use cancellation::Roster;
use event_store::{Store, StoreOptions};
use messaging::EventLog;
use participant::contract::{ACKNOWLEDGEMENTS, CLOSURES, events_topic, instructions_topic};
use serde::Serialize;
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use types::fresh_uuid;

use crate::{procfs::Group, unit};

const POSTGRES_URL: &str = "EXEUNT_TEST_POSTGRES_URL";
const KAFKA_BROKERS: &str = "EXEUNT_TEST_KAFKA_BROKERS";

/// Which engines.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// SQLite and the embedded log, in files.
    Embedded,
    /// PostgreSQL and Apache Kafka, which `EXEUNT_TEST_POSTGRES_URL` and `EXEUNT_TEST_KAFKA_BROKERS` name.
    Production,
}

impl EngineKind {
    /// As one says it on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Production => "production",
        }
    }
}

/// Where the engines of production are.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// A superuser's URL.
    pub postgres: String,
    /// `host:port`.
    pub brokers: String,
}

/// Where the environment says that they are.
pub fn addresses() -> Result<Addresses> {
    Ok(Addresses { postgres: named(POSTGRES_URL)?, brokers: named(KAFKA_BROKERS)? })
}

/// The engines' processes, whose CPU counts beside ours, as far as they run on this machine.
pub fn processes(addresses: &Addresses) -> Vec<(&'static str, Group)> {
    let found = [
        ("postgres", Group::listening(&addresses.postgres)),
        ("kafka", Group::listening(&addresses.brokers)),
    ];
    found.into_iter().filter_map(|(name, group)| Some((name, group?))).collect()
}

/// The places of one measurement, empty at first.
pub struct Engine {
    directory: TempDir,
    production: Option<Production>,
}

struct Production {
    addresses: Addresses,
    /// The database's name, and the prefix of topics: no two measurements meet.
    name: String,
}

impl Engine {
    pub fn new(kind: EngineKind, directory: &Path) -> Result<Self> {
        let production = match kind {
            EngineKind::Embedded => None,
            EngineKind::Production => Some(Production {
                addresses: addresses()?,
                name: format!("bench_{}", &fresh_uuid().simple().to_string()[20..]),
            }),
        };
        let directory = tempfile::Builder::new().prefix("run-").tempdir_in(directory)?;
        std::fs::write(directory.path().join("roster.toml"), unit::roster())?;
        Ok(Self { directory, production })
    }

    /// What a process of that name is told of where things are.
    pub fn arguments(&self, process: &str, with_units: bool) -> Vec<String> {
        let data_dir = self.directory.path().join(process);
        let mut arguments = vec![
            format!("--data-dir={}", data_dir.display()),
            format!("--shared-dir={}", self.shared_dir().display()),
            format!("--event-store={}", self.event_store()),
            format!("--event-log={}", self.production.as_ref().map(Production::log).unwrap_or_default()),
        ];
        if with_units {
            arguments.push(format!("--roster={}", self.directory.path().join("roster.toml").display()));
        }
        arguments
    }

    /// Where the messages to subjects arrive.
    pub fn messages(&self) -> PathBuf {
        exeunt::compose::messages_directory(&self.shared_dir())
    }

    /// Where the stores are, as the configuration has it.
    fn event_store(&self) -> String {
        match &self.production {
            Some(it) => it.database(&it.name),
            None => format!("sqlite:{}", self.directory.path().join("store").display()),
        }
    }

    /// Opens the store of a service that does not run any more.
    pub async fn store(&self, service: &str) -> Result<Store> {
        let url = match &self.production {
            Some(it) => it.database(&format!("{}_{}", it.name, service.replace('-', "_"))),
            None => format!("{}/{service}.db", self.event_store()),
        };
        Ok(Store::open(&url, StoreOptions::default()).await?)
    }

    /// Opens the log when nobody else uses it any more; on the embedded engines it is that process's.
    pub async fn log(&self, process: &str) -> Result<Arc<dyn EventLog>> {
        let url = match &self.production {
            Some(it) => it.log(),
            None => format!("sqlite:{}", self.directory.path().join(process).join("log/log.db").display()),
        };
        Ok(messaging::open_log(&url).await?)
    }

    /// The engines' processes.
    pub fn processes(&self) -> Vec<(&'static str, Group)> {
        self.production.as_ref().map_or_else(Vec::new, |it| processes(&it.addresses))
    }

    /// Drops databases and topics; what is in files goes by itself.
    pub async fn remove(&self) -> Result<()> {
        let Some(it) = &self.production else { return Ok(()) };
        it.drop_databases().await.context("databases cannot be dropped")?;
        it.delete_topics().await.context("topics cannot be deleted")
    }

    fn shared_dir(&self) -> PathBuf {
        self.directory.path().join("shared")
    }
}

impl Production {
    /// The server's URL without a database.
    fn address(&self) -> &str {
        let server = &self.addresses.postgres;
        let after_scheme = server.find("://").map_or(0, |at| at + 3);
        server[after_scheme..].find('/').map_or(server, |at| &server[..after_scheme + at])
    }

    /// That database's URL; without TLS, as the floor and all of Kafka's connections are: they stay on
    /// this machine.
    fn database(&self, name: &str) -> String {
        format!("{}/{name}?sslmode=disable", self.address())
    }

    fn log(&self) -> String {
        format!("kafka://{}/{}", self.addresses.brokers, self.name)
    }

    async fn drop_databases(&self) -> Result<()> {
        let mut server = PgConnection::connect(&self.addresses.postgres).await?;
        let names: Vec<String> =
            sqlx::query_scalar("select datname::text from pg_database where starts_with(datname, $1)")
                .bind(format!("{}_", self.name))
                .fetch_all(&mut server)
                .await?;
        for name in names {
            let sql = format!("drop database if exists \"{name}\" with (force)");
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut server).await?;
        }
        server.close().await?;
        Ok(())
    }

    async fn delete_topics(&self) -> Result<()> {
        let log = messaging::open_log(&self.log()).await?;
        let mut topics =
            vec![ACKNOWLEDGEMENTS.to_owned(), CLOSURES.to_owned(), events_topic(cancellation::NAME)];
        for entry in Roster::parse(&unit::roster())?.entries() {
            topics.extend([instructions_topic(&entry.name), events_topic(entry.name.as_str())]);
        }
        for topic in topics {
            log.delete(&topic).await?;
        }
        log.close().await;
        Ok(())
    }
}

fn named(variable: &str) -> Result<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty()).with_context(|| {
        format!("{variable} is not set; `cargo xtask bench` brings the engines up and sets it")
    })
}
