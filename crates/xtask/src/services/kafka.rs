//! One Apache Kafka node (broker and controller) on loopback.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::daemon::Daemon;
use super::packages::Packages;
use crate::process::{output, remove_dir};
use crate::workspace;

/// Any UUID in Kafka's spelling; the cluster lives as long as its data.
const CLUSTER_ID: &str = "ZXhldW50ZXhldW50ZXhldQ";
const HEAP: &str = "-Xmx512m";
const READY: &str = "Kafka Server started";
const READY_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A node as it was started: enough to find and end it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Instance {
    port: u16,
    daemon: Daemon,
    home: PathBuf,
}

/// A node that does not answer yet.
pub struct Starting {
    pub instance: Instance,
    child: Child,
    log: PathBuf,
}

/// Formats an empty node and starts it in a session of its own, so that it outlives this process and its terminal.
pub fn start(
    services: &Path,
    packages: &Packages,
    broker_port: u16,
    controller_port: u16,
) -> Result<Starting> {
    let home = services.join("kafka");
    remove_dir(&home)?;
    fs::create_dir_all(&home)?;
    let properties = home.join("server.properties");
    fs::write(&properties, configuration(&home, broker_port, controller_port))?;

    let mut format = java(packages, "java")?;
    format.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]).arg(&properties);
    output(&mut format).context("Kafka's storage could not be formatted")?;

    let log = services.join("kafka.log");
    let mut server = java(packages, "setsid")?;
    server.arg("kafka.Kafka").arg(&properties).current_dir(&home).stdin(Stdio::null());
    let both = File::create(&log)?;
    server.stdout(both.try_clone()?).stderr(both);
    let child = server.spawn().context("Kafka could not be started")?;
    let daemon = Daemon::of(i32::try_from(child.id())?)?;
    Ok(Starting { instance: Instance { port: broker_port, daemon, home }, child, log })
}

impl Starting {
    /// Waits until the node says in its log that it is up, or has ended, or too much time has passed.
    pub fn wait(self) -> Result<()> {
        let Self { mut child, log, .. } = self;
        let (ended, end) = mpsc::channel::<std::io::Result<ExitStatus>>();
        std::thread::spawn(move || ended.send(child.wait()));
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let said = fs::read_to_string(&log)?;
            if said.contains(READY) {
                return Ok(());
            }
            match end.recv_timeout(LOOK_EVERY) {
                Ok(status) => bail!("Kafka ended while starting ({}); its log:\n{said}", status?),
                Err(RecvTimeoutError::Disconnected) => bail!("Kafka cannot be watched; its log:\n{said}"),
                Err(RecvTimeoutError::Timeout) if Instant::now() > deadline => {
                    bail!("Kafka was not up within {READY_WITHIN:?}; its log:\n{said}")
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Instance {
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn is_alive(&self) -> bool {
        self.daemon.is_alive()
    }

    /// Kills the node, whose data goes with it.
    pub fn stop(&self) -> Result<()> {
        self.daemon.end(Signal::KILL)?;
        remove_dir(&self.home)
    }
}

/// `java` with Kafka's classes, run by `program`: itself, or `setsid`, which becomes it and so keeps its process id.
fn java(packages: &Packages, program: &str) -> Result<Command> {
    let mut command = Command::new(program);
    if program != "java" {
        command.arg("java");
    }
    let logging = workspace::root()?.join("deploy/dev/log4j2.properties");
    command.arg(HEAP).arg(format!("-Dlog4j2.configurationFile={}", logging.display()));
    command.arg("-cp").arg(packages.kafka_classes());
    Ok(command)
}

/// Topics are made on purpose only, and can be deleted; every internal topic has one replica, on the only node.
fn configuration(home: &Path, broker_port: u16, controller_port: u16) -> String {
    let logs = home.join("logs");
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{broker_port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker_port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={logs}
auto.create.topics.enable=false
delete.topic.enable=true
num.partitions=8
default.replication.factor=1
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=8
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.cleaner.dedupe.buffer.size=16777216
",
        logs = logs.display()
    )
}
