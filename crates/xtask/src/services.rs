//! `cargo xtask services`: PostgreSQL and Apache Kafka on loopback, with nothing prepared.
//!
//! What `EXEUNT_TEST_POSTGRES_URL` and `EXEUNT_TEST_KAFKA_BROKERS` name is used as it is; the rest is started from
//! packages and recorded in `target/services/state.json`, and `down` ends exactly that.

use std::env;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Subcommand;
use engines::kafka::{Node, Ports, Shape};
use engines::postgres::Server;
use engines::process::remove_dir;
use engines::{Packages, ports};
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
    postgres: Option<Server>,
    kafka: Option<Node>,
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
    let dir = engines::checkout::services()?;
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
    let dir = engines::checkout::services()?;
    let _lock = lock(&dir)?;
    State::load(&dir)?.stop(&dir)
}

fn status() -> Result<Addresses> {
    let dir = engines::checkout::services()?;
    let _lock = lock(&dir)?;
    let mut state = State::load(&dir)?;
    state.postgres = state.postgres.filter(Server::is_alive);
    state.kafka = state.kafka.filter(Node::is_alive);
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
    let packages = Packages::get()?;
    let starting = if wants_kafka {
        let home = dir.join("kafka");
        remove_dir(&home)?;
        let ports = Ports::free()?;
        let starting = Node::create(&packages, home, 1, ports, &shape(ports))?;
        state.kafka = Some(starting.node().clone());
        state.save(dir)?;
        Some(starting)
    } else {
        None
    };
    if wants_postgres {
        state.postgres = Some(start_postgres(dir, &packages)?);
        state.save(dir)?;
    }
    if let Some(starting) = starting {
        starting.wait()?;
    }
    Ok(true)
}

/// The one node of everybody is there to be fast, once it has started.
fn shape(ports: Ports) -> Shape {
    Shape {
        controllers: vec![ports.controllers],
        replicas: 1,
        insync_min: 1,
        heap_mib: 512,
        short_lived: false,
    }
}

/// Data and log stand in the system's folder for temporary files, because the unprivileged user that the server runs
/// as could not reach them in a checkout under root's home.
fn start_postgres(dir: &Path, packages: &Packages) -> Result<Server> {
    const SETTINGS: &str = "max_connections = 400\nmax_wal_size = 2GB\n";
    let home = env::temp_dir().join(format!("exeunt-postgres-{}", std::process::id()));
    fs::create_dir(&home).with_context(|| home.display().to_string())?;
    let [port] = ports::free()?;
    let started = Server::create(packages, &home, port, SETTINGS);
    if started.is_err() {
        remove_dir(&home)?;
    }
    let server = started?;
    let link = dir.join("postgres.log");
    if link.is_symlink() {
        fs::remove_file(&link)?;
    }
    symlink(server.log(), &link)?;
    Ok(server)
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
        if let Some(server) = self.postgres.take_if(|server| !server.is_alive()) {
            remove_dir(server.home())?;
        }
        if let Some(node) = self.kafka.take_if(|node| !node.is_alive()) {
            remove_dir(node.home())?;
        }
        self.save(dir)
    }

    fn stop(&mut self, dir: &Path) -> Result<()> {
        if let Some(node) = self.kafka.take() {
            node.kill()?;
            remove_dir(node.home())?;
        }
        if let Some(server) = self.postgres.take() {
            server.end_at_once()?;
            remove_dir(server.home())?;
        }
        self.save(dir)
    }

    fn addresses(&self) -> Addresses {
        Addresses {
            postgres_url: self.postgres.as_ref().map(Server::url),
            kafka_brokers: self.kafka.as_ref().map(|node| format!("127.0.0.1:{}", node.ports.clients)),
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
