//! What makes a node's start quick, made once beside the packages: a formatted storage to copy, and an archive of
//! the classes that a broker loads.

use std::fs;

use anyhow::{Context, Result};

use super::configuration::configuration;
use super::node::{CLUSTER_ID, Node, Ports, Shape, java, run_class};
use crate::packages::Packages;
use crate::process::{output, remove_dir};
use crate::secured::{PASSWORD, USER};

const HEAP_MIB: u32 = 256;

/// Makes what is missing; the caller holds the packages' lock.
pub(crate) fn prepare(packages: &Packages) -> Result<()> {
    // What an older checkout made knows nobody.
    let storage = packages.kafka_storage();
    if !fs::read(storage.join("bootstrap.checkpoint")).is_ok_and(|it| knows(&it, USER)) {
        remove_dir(&storage)?;
        format(packages).context("Kafka's storage could not be formatted")?;
    }
    if !packages.kafka_archive().exists()
        && let Err(error) = archive(packages)
    {
        // A Java without this ability warns of an empty archive and starts as it would without.
        eprintln!("Kafka starts slowly, its classes could not be archived: {error:#}");
        fs::write(packages.kafka_archive(), "")?;
    }
    Ok(())
}

fn knows(records: &[u8], user: &str) -> bool {
    records.windows(user.len()).any(|window| window == user.as_bytes())
}

/// The records that a storage begins with say nothing of the node; what does is written at each start.
fn format(packages: &Packages) -> Result<()> {
    let staging = packages.kafka_storage().with_extension("new");
    remove_dir(&staging)?;
    fs::create_dir_all(&staging)?;
    let ports = Ports { clients: 1, secured: 2, advertised: 1, brokers: 3, controllers: 4 };
    let properties = staging.join("server.properties");
    fs::write(&properties, configuration(&staging, 1, ports, &shape(ports)))?;
    let mut tool = java("java", HEAP_MIB)?;
    run_class(&mut tool, packages, "kafka.tools.StorageTool");
    tool.args(["format", "-t", CLUSTER_ID, "-c"]).arg(&properties);
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        tool.args(["--add-scram", &format!("{mechanism}=[name={USER},password={PASSWORD}]")]);
    }
    output(&mut tool)?;
    fs::remove_file(staging.join("logs/meta.properties"))?;
    fs::rename(staging.join("logs"), packages.kafka_storage())?;
    remove_dir(&staging)
}

/// Lets a broker start and end once, and keeps the classes that it had loaded.
fn archive(packages: &Packages) -> Result<()> {
    let home = packages.kafka_archive().with_extension("new");
    remove_dir(&home)?;
    let ports = Ports::free()?;
    let made = home.join("made.jsa");
    let starting = Node::create_archiving(packages, home.clone(), ports, &shape(ports), &made)?;
    let node = starting.wait()?;
    node.stop()?;
    fs::rename(&made, packages.kafka_archive())?;
    remove_dir(&home)
}

fn shape(ports: Ports) -> Shape {
    Shape {
        controllers: vec![ports.controllers],
        replicas: 1,
        insync_min: 1,
        heap_mib: HEAP_MIB,
        certificates: None,
        short_lived: true,
    }
}
