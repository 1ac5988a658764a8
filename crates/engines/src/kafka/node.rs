//! One node, broker and controller in one.

use std::fs::{self, OpenOptions};
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::configuration::configuration;
use crate::daemon::Daemon;
use crate::packages::Packages;
use crate::{checkout, ports, wait};

/// Any UUID in Kafka's spelling; the cluster lives as long as its data.
pub(super) const CLUSTER_ID: &str = "ZXhldW50ZXhldW50ZXhldQ";
const READY: &str = "Kafka Server started";
const READY_WITHIN: Duration = Duration::from_secs(90);

/// Where a node listens.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Ports {
    /// For clients, without encryption.
    pub clients: u16,
    /// For clients that encrypt and authenticate themselves.
    pub secured: u16,
    /// What clients are told to connect to: the same, or a proxy before it.
    pub advertised: u16,
    /// For other brokers.
    pub brokers: u16,
    /// For other controllers.
    pub controllers: u16,
}

impl Ports {
    /// Free ones.
    pub fn free() -> Result<Self> {
        let [clients, secured, brokers, controllers] = ports::free()?;
        Ok(Self { clients, secured, advertised: clients, brokers, controllers })
    }
}

/// What all nodes of a cluster have in common.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shape {
    /// The controllers' ports; node ids count from 1.
    pub controllers: Vec<u16>,
    /// How many replicas a partition has, and how many must have a record before it counts.
    pub replicas: usize,
    /// As [`Shape::replicas`].
    pub insync_min: usize,
    /// Each node's heap.
    pub heap_mib: u32,
    /// The folder of certificates of the listener that demands encryption; none: there is no such listener.
    pub certificates: Option<PathBuf>,
    /// Whether to start quickly rather than run fast.
    pub short_lived: bool,
}

/// A node as it was started: enough to find, end and start it again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Node {
    /// Where it listens.
    pub ports: Ports,
    home: PathBuf,
    daemon: Daemon,
}

/// A node that does not answer yet.
pub struct Starting {
    pub(super) node: Node,
    ended: Receiver<std::io::Result<ExitStatus>>,
    log: PathBuf,
    /// How long the log was before.
    said_before: usize,
}

impl Node {
    /// Makes an empty node in a new folder and starts it in a session of its own, so that it outlives this process
    /// and its terminal.
    pub fn create(
        packages: &Packages,
        home: PathBuf,
        id: usize,
        ports: Ports,
        shape: &Shape,
    ) -> Result<Starting> {
        lay_out(packages, &home, id, ports, shape)?;
        let archive = format!("-XX:SharedArchiveFile={}", packages.kafka_archive().display());
        Self::start(packages, home, ports, shape, &archive)
    }

    /// The same for the one node whose loaded classes are written into a file when it ends.
    pub(super) fn create_archiving(
        packages: &Packages,
        home: PathBuf,
        ports: Ports,
        shape: &Shape,
        archive: &Path,
    ) -> Result<Starting> {
        lay_out(packages, &home, 1, ports, shape)?;
        let archive = format!("-XX:ArchiveClassesAtExit={}", archive.display());
        Self::start(packages, home, ports, shape, &archive)
    }

    /// Starts a node that has been ended, on what it holds.
    pub fn start_again(&self, packages: &Packages, shape: &Shape) -> Result<Starting> {
        let archive = format!("-XX:SharedArchiveFile={}", packages.kafka_archive().display());
        Self::start(packages, self.home.clone(), self.ports, shape, &archive)
    }

    fn start(
        packages: &Packages,
        home: PathBuf,
        ports: Ports,
        shape: &Shape,
        archive: &str,
    ) -> Result<Starting> {
        let log = home.join("server.log");
        let both = OpenOptions::new().create(true).append(true).open(&log)?;
        let said_before = usize::try_from(both.metadata()?.len())?;
        let mut server = java("setsid", shape.heap_mib)?;
        server.arg(archive);
        if shape.short_lived {
            server.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]);
        }
        run_class(&mut server, packages, "kafka.Kafka");
        server.arg(home.join("server.properties")).current_dir(&home).stdin(Stdio::null());
        server.stdout(both.try_clone()?).stderr(both);
        let mut child = server.spawn().context("Kafka could not be started")?;
        let daemon = Daemon::of(i32::try_from(child.id())?)?;
        let (tell, ended) = mpsc::channel();
        std::thread::spawn(move || tell.send(child.wait()));
        Ok(Starting { node: Self { ports, home, daemon }, ended, log, said_before })
    }

    /// Whether its process runs.
    pub fn is_alive(&self) -> bool {
        self.daemon.is_alive()
    }

    /// Its process.
    pub fn pid(&self) -> i32 {
        self.daemon.pid()
    }

    /// Kills it.
    pub fn kill(&self) -> Result<()> {
        self.daemon.end(Signal::KILL)
    }

    /// Ends it in order.
    pub fn stop(&self) -> Result<()> {
        self.daemon.end(Signal::TERM)
    }

    /// Where all it has is.
    pub fn home(&self) -> &Path {
        &self.home
    }
}

impl Starting {
    /// The node, which may not answer yet.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Waits until the node says in its log that it is up, or has ended, or too much time has passed.
    pub fn wait(self) -> Result<Node> {
        let said = || -> Result<String> {
            let said = fs::read(&self.log)?;
            Ok(String::from_utf8_lossy(said.get(self.said_before..).unwrap_or_default()).into_owned())
        };
        let up = wait::until("Kafka's start", READY_WITHIN, || match self.ended.try_recv() {
            Ok(status) => bail!("Kafka ended while starting ({})", status?),
            Err(TryRecvError::Disconnected) => bail!("Kafka cannot be watched"),
            Err(TryRecvError::Empty) => Ok(said()?.contains(READY).then_some(())),
        });
        up.with_context(|| format!("its log:\n{}", said().unwrap_or_default()))?;
        Ok(self.node)
    }
}

/// `java`, run by `program`: itself, or `setsid`, which becomes it and so keeps its process id.
pub(super) fn java(program: &str, heap_mib: u32) -> Result<Command> {
    let mut command = Command::new(program);
    if program != "java" {
        command.arg("java");
    }
    let logging = checkout::root()?.join("deploy/dev/log4j2.properties");
    command.arg(format!("-Xmx{heap_mib}m"));
    command.arg(format!("-Dlog4j2.configurationFile={}", logging.display()));
    Ok(command)
}

/// Lets it run a class of Kafka's.
pub(super) fn run_class(java: &mut Command, packages: &Packages, class: &str) {
    java.arg("-cp").arg(packages.kafka_classes()).arg(class);
}

/// Formats a node's storage and writes its configuration.
fn lay_out(packages: &Packages, home: &Path, id: usize, ports: Ports, shape: &Shape) -> Result<()> {
    let storage = home.join("logs");
    fs::create_dir_all(&storage).with_context(|| storage.display().to_string())?;
    for file in fs::read_dir(packages.kafka_storage())? {
        let file = file?;
        fs::copy(file.path(), storage.join(file.file_name()))?;
    }
    let meta = format!("version=1\ncluster.id={CLUSTER_ID}\nnode.id={id}\ndirectory.id={}\n", directory_id());
    fs::write(storage.join("meta.properties"), meta)?;
    fs::write(home.join("server.properties"), configuration(home, id, ports, shape))?;
    Ok(())
}

/// An id that no other folder has: 21 digits of it are random, the last is one that Kafka's spelling may end with.
fn directory_id() -> String {
    let random = || RandomState::new().hash_one(std::process::id());
    let digits = format!("{:016x}{:016x}", random(), random());
    format!("{}A", &digits[..21])
}
