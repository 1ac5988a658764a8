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
use engines::{Certificates, Packages, ports, secured};
use serde::{Deserialize, Serialize};

pub const POSTGRES_URL: &str = "EXEUNT_TEST_POSTGRES_URL";
pub const KAFKA_BROKERS: &str = "EXEUNT_TEST_KAFKA_BROKERS";
/// The folder of certificates among the services' own.
const CERTIFICATES: &str = "certificates";

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
    /// `host:port` of the PostgreSQL that demands TLS and a password of its user `exeunt`.
    pub postgres_secured: Option<String>,
    /// `host:port` of the listener that demands TLS and SCRAM.
    pub kafka_secured: Option<String>,
    /// The folder of the certificates of both.
    pub certificates: Option<PathBuf>,
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
    let mut named = Addresses::named();
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
    named.or(state.addresses(&dir));
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
    let mut addresses = Addresses::named();
    addresses.or(state.addresses(&dir));
    Ok(addresses)
}

impl Addresses {
    /// What the environment names.
    fn named() -> Self {
        let named = |variable| env::var(variable).ok().filter(|value| !value.is_empty());
        Self {
            postgres_url: named(POSTGRES_URL),
            kafka_brokers: named(KAFKA_BROKERS),
            postgres_secured: named(secured::POSTGRES),
            kafka_secured: named(secured::KAFKA),
            certificates: named(secured::CERTIFICATES).map(PathBuf::from),
        }
    }

    /// Takes from others what is missing; who brings engines of their own is not given listeners of ours.
    fn or(&mut self, others: Self) {
        if self.postgres_url.is_none() && self.kafka_brokers.is_none() {
            self.postgres_secured = others.postgres_secured;
            self.kafka_secured = others.kafka_secured;
            self.certificates = others.certificates;
        }
        self.postgres_url = self.postgres_url.take().or(others.postgres_url);
        self.kafka_brokers = self.kafka_brokers.take().or(others.kafka_brokers);
    }

    /// Tells a process's environment.
    pub fn tell(&self, command: &mut std::process::Command) {
        let certificates = self.certificates.as_ref().map(|dir| dir.display().to_string());
        for (variable, value) in [
            (POSTGRES_URL, &self.postgres_url),
            (KAFKA_BROKERS, &self.kafka_brokers),
            (secured::POSTGRES, &self.postgres_secured),
            (secured::KAFKA, &self.kafka_secured),
            (secured::CERTIFICATES, &certificates),
        ] {
            if let Some(value) = value {
                command.env(variable, value);
            }
        }
    }
}

/// Starts both at once, as far as they are missing: the broker comes up while the database is made.
fn start_missing(dir: &Path, named: &Addresses, state: &mut State) -> Result<bool> {
    let wants_postgres = named.postgres_url.is_none() && state.postgres.is_none();
    let wants_kafka = named.kafka_brokers.is_none() && state.kafka.is_none();
    if !wants_postgres && !wants_kafka {
        return Ok(false);
    }
    let packages = Packages::get()?;
    let certificates = certificates(dir)?;
    let starting = if wants_kafka {
        let home = dir.join("kafka");
        remove_dir(&home)?;
        let ports = Ports::free()?;
        let starting = Node::create(&packages, home, 1, ports, &shape(ports, dir))?;
        state.kafka = Some(starting.node().clone());
        state.save(dir)?;
        Some(starting)
    } else {
        None
    };
    if wants_postgres {
        state.postgres = Some(start_postgres(dir, &packages, &certificates)?);
        state.save(dir)?;
    }
    if let Some(starting) = starting {
        starting.wait()?;
    }
    Ok(true)
}

/// Those of the listeners that demand encryption, made once per checkout.
fn certificates(dir: &Path) -> Result<Certificates> {
    let dir = dir.join(CERTIFICATES);
    if dir.join("made").exists() {
        return Ok(Certificates::of(&dir));
    }
    remove_dir(&dir)?;
    fs::create_dir(&dir)?;
    let certificates = Certificates::make(&dir)?;
    fs::write(dir.join("made"), "")?;
    Ok(certificates)
}

/// The one node of everybody is there to be fast, once it has started.
fn shape(ports: Ports, dir: &Path) -> Shape {
    Shape {
        controllers: vec![ports.controllers],
        replicas: 1,
        insync_min: 1,
        heap_mib: 512,
        certificates: Some(dir.join(CERTIFICATES)),
        short_lived: false,
    }
}

/// Data and log stand in the system's folder for temporary files, because the unprivileged user that the server runs
/// as could not reach them in a checkout under root's home.
fn start_postgres(dir: &Path, packages: &Packages, certificates: &Certificates) -> Result<Server> {
    const SETTINGS: &str = "max_connections = 400\nshared_buffers = 512MB\nmax_wal_size = 8GB\n";
    let home = env::temp_dir().join(format!("exeunt-postgres-{}", std::process::id()));
    fs::create_dir(&home).with_context(|| home.display().to_string())?;
    let [port] = ports::free()?;
    let started = Server::create(packages, &home, port, SETTINGS);
    if started.is_err() {
        remove_dir(&home)?;
    }
    let server = started?;
    server.secure(packages, certificates)?;
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

    fn addresses(&self, dir: &Path) -> Addresses {
        let started = self.postgres.is_some() && self.kafka.is_some();
        Addresses {
            postgres_secured: self.postgres.as_ref().map(|server| format!("127.0.0.1:{}", server.port())),
            kafka_secured: self.kafka.as_ref().map(|node| format!("127.0.0.1:{}", node.ports.secured)),
            certificates: started.then(|| dir.join(CERTIFICATES)),
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

fn print(addresses: &Addresses, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(addresses)?);
        return Ok(());
    }
    let or_down = |address: &Option<String>| address.clone().unwrap_or_else(|| "not running".to_owned());
    println!("postgres  {}", or_down(&addresses.postgres_url));
    println!("kafka     {}", or_down(&addresses.kafka_brokers));
    if let (Some(postgres), Some(kafka), Some(certificates)) =
        (&addresses.postgres_secured, &addresses.kafka_secured, &addresses.certificates)
    {
        println!("secured   {postgres} {kafka}, certificates in {}", certificates.display());
    }
    Ok(())
}
