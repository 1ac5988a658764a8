//! `cargo xtask services`: PostgreSQL and Apache Kafka on loopback, with nothing prepared.
//!
//! What `EXEUNT_TEST_POSTGRES_URL` and `EXEUNT_TEST_KAFKA_BROKERS` name is used as it is; the rest is started from
//! packages and recorded in `target/services/state.json`, and `down` ends exactly that.

mod daemon;
mod kafka;
mod packages;
mod postgres;

use std::env;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Subcommand;
use serde::{Deserialize, Serialize};

pub const POSTGRES_URL: &str = "EXEUNT_TEST_POSTGRES_URL";
pub const KAFKA_BROKERS: &str = "EXEUNT_TEST_KAFKA_BROKERS";

#[derive(Subcommand)]
pub enum Command {
    /// Starts what is not running yet, and prints where it is.
    Up {
        /// Prints one JSON object instead of lines.
        #[arg(long)]
        json: bool,
    },
    /// Ends what `up` started, and deletes its data.
    Down,
    /// Prints what is running, and where.
    Status {
        /// Prints one JSON object instead of lines.
        #[arg(long)]
        json: bool,
    },
}

/// Where the services are; `None` for one that is not running.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Addresses {
    /// `postgres://postgres@127.0.0.1:PORT/postgres`, trusted without a password.
    pub postgres_url: Option<String>,
    /// `host:port`, more of them with commas between.
    pub kafka_brokers: Option<String>,
}

/// What `up` has started and `down` must end.
#[derive(Default, Serialize, Deserialize)]
struct State {
    postgres: Option<postgres::Instance>,
    kafka: Option<kafka::Instance>,
}

pub fn run(command: &Command) -> Result<()> {
    match command {
        Command::Up { json } => print(&up()?.0, *json),
        Command::Down => down(),
        Command::Status { json } => print(&status()?, *json),
    }
}

/// Starts what the environment does not name and what is not running yet. Also says whether anything was started.
pub fn up() -> Result<(Addresses, bool)> {
    let mut named = Addresses { postgres_url: named(POSTGRES_URL), kafka_brokers: named(KAFKA_BROKERS) };
    if named.postgres_url.is_some() && named.kafka_brokers.is_some() {
        return Ok((named, false));
    }
    let dir = crate::workspace::services()?;
    let _lock = lock(&dir)?;
    let mut state = State::load(&dir)?;
    state.stop_dead(&dir)?;
    let started = start_missing(&dir, &named, &mut state);
    if started.is_err() {
        state.stop(&dir).context("what was started could not be ended")?;
    }
    let started = started?;
    let running = state.addresses();
    named.postgres_url = named.postgres_url.or(running.postgres_url);
    named.kafka_brokers = named.kafka_brokers.or(running.kafka_brokers);
    Ok((named, started))
}

/// Ends what `up` started, and deletes its data. Nothing to end is fine.
pub fn down() -> Result<()> {
    let dir = crate::workspace::services()?;
    let _lock = lock(&dir)?;
    State::load(&dir)?.stop(&dir)
}

fn status() -> Result<Addresses> {
    let dir = crate::workspace::services()?;
    let _lock = lock(&dir)?;
    let mut state = State::load(&dir)?;
    state.postgres = state.postgres.filter(postgres::Instance::is_alive);
    state.kafka = state.kafka.filter(kafka::Instance::is_alive);
    let running = state.addresses();
    Ok(Addresses {
        postgres_url: named(POSTGRES_URL).or(running.postgres_url),
        kafka_brokers: named(KAFKA_BROKERS).or(running.kafka_brokers),
    })
}

/// Starts both at once, as far as they are missing: the broker comes up while the database is made.
fn start_missing(dir: &Path, named: &Addresses, state: &mut State) -> Result<bool> {
    let wants_postgres = named.postgres_url.is_none() && state.postgres.is_none();
    let wants_kafka = named.kafka_brokers.is_none() && state.kafka.is_none();
    if !wants_postgres && !wants_kafka {
        return Ok(false);
    }
    let packages = packages::fetch(dir)?;
    let [postgres_port, broker_port, controller_port] = free_ports()?;
    let starting = if wants_kafka {
        let starting = kafka::start(dir, &packages, broker_port, controller_port)?;
        state.kafka = Some(starting.instance.clone());
        state.save(dir)?;
        Some(starting)
    } else {
        None
    };
    if wants_postgres {
        state.postgres = Some(postgres::start(dir, &packages, postgres_port)?);
        state.save(dir)?;
    }
    starting.map_or(Ok(()), kafka::Starting::wait)?;
    Ok(true)
}

impl State {
    fn load(dir: &Path) -> Result<Self> {
        let path = Self::path(dir);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{} is not what `services up` wrote", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }

    fn save(&self, dir: &Path) -> Result<()> {
        fs::write(Self::path(dir), serde_json::to_vec_pretty(self)?).context("the state cannot be written")
    }

    /// Clears away what has died since it was started, so that it is started afresh.
    fn stop_dead(&mut self, dir: &Path) -> Result<()> {
        if let Some(instance) = self.postgres.take_if(|instance| !instance.is_alive()) {
            instance.stop()?;
        }
        if let Some(instance) = self.kafka.take_if(|instance| !instance.is_alive()) {
            instance.stop()?;
        }
        self.save(dir)
    }

    fn stop(&mut self, dir: &Path) -> Result<()> {
        if let Some(instance) = self.kafka.take() {
            instance.stop()?;
        }
        if let Some(instance) = self.postgres.take() {
            instance.stop()?;
        }
        self.save(dir)
    }

    fn addresses(&self) -> Addresses {
        Addresses {
            postgres_url: self.postgres.as_ref().map(postgres::Instance::url),
            kafka_brokers: self.kafka.as_ref().map(kafka::Instance::brokers),
        }
    }

    fn path(dir: &Path) -> PathBuf {
        dir.join("state.json")
    }
}

/// Only one `up` or `down` of a checkout at a time.
fn lock(dir: &Path) -> Result<File> {
    fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    let file = File::create(dir.join("lock")).context("the lock cannot be made")?;
    file.lock().context("the lock cannot be taken")?;
    Ok(file)
}

/// Free ports below those that the system gives to outgoing connections, so that none is taken in between.
fn free_ports<const N: usize>() -> Result<[u16; N]> {
    const FIRST: u16 = 20_000;
    const SPAN: u16 = 12_000;
    let start = (std::process::id() % u32::from(SPAN)) as u16;
    let ports: Vec<TcpListener> = (0..SPAN)
        .map(|offset| FIRST + (start + offset) % SPAN)
        .filter_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
        .take(N)
        .collect();
    let ports = ports.iter().map(|listener| Ok(listener.local_addr()?.port())).collect::<Result<Vec<_>>>()?;
    ports.try_into().ok().context("there are not enough free ports on loopback")
}

fn named(variable: &str) -> Option<String> {
    env::var(variable).ok().filter(|value| !value.is_empty())
}

fn print(addresses: &Addresses, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(addresses)?);
        return Ok(());
    }
    let or_down = |address: &Option<String>| address.clone().unwrap_or_else(|| "not running".to_owned());
    println!("postgres  {}", or_down(&addresses.postgres_url));
    println!("kafka     {}", or_down(&addresses.kafka_brokers));
    Ok(())
}
