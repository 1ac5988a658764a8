//! Fetching PostgreSQL and Kafka as `deploy/dev/pom.xml` names them, and preparing what every start needs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{output, remove_dir, require};
use crate::{checkout, kafka, postgres};

/// What was fetched, under `target/services/packages`.
#[derive(Clone, Debug)]
pub struct Packages {
    dir: PathBuf,
}

impl Packages {
    /// Fetches and prepares once per content of the pom; later calls only look.
    pub fn get() -> Result<Self> {
        let dir = checkout::services()?.join("packages");
        let _lock = lock("packages")?;
        fetch(&dir)?;
        let packages = Self { dir };
        kafka::prepare(&packages)?;
        postgres::prepare(&packages)?;
        Ok(packages)
    }

    /// Kafka's class path.
    pub(crate) fn kafka_classes(&self) -> String {
        format!("{}/kafka/*", self.dir.display())
    }

    /// An archive of Kafka's classes as Java has them in memory; empty where this Java makes none.
    pub(crate) fn kafka_archive(&self) -> PathBuf {
        self.dir.join("kafka.jsa")
    }

    /// What a formatted storage begins with, the same for every node.
    pub(crate) fn kafka_storage(&self) -> PathBuf {
        self.dir.join("kafka-storage")
    }

    /// The archive (tar, xz) of PostgreSQL's programs and libraries.
    pub(crate) fn postgres_archive(&self) -> PathBuf {
        self.dir.join("postgres/postgres-linux-x86_64.txz")
    }

    /// The pom that these packages are of.
    pub(crate) fn pom(&self) -> PathBuf {
        self.dir.join("pom.xml")
    }
}

/// A copy of the pom beside the packages, written last, says that they are complete and which they are.
fn fetch(dir: &Path) -> Result<()> {
    for (program, package) in [("java", "default-jre-headless"), ("xz", "xz-utils"), ("setsid", "util-linux")]
    {
        require(program, package)?;
    }
    let pom = checkout::root()?.join("deploy/dev/pom.xml");
    let wanted = fs::read(&pom).with_context(|| pom.display().to_string())?;
    let done = dir.join("pom.xml");
    if fs::read(&done).is_ok_and(|fetched| fetched == wanted) {
        return Ok(());
    }
    require("mvn", "maven")?;
    remove_dir(dir)?;
    eprintln!("fetching PostgreSQL and Kafka");
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", "-f"]).arg(&pom).arg("package").arg(format!("-Dservices.dir={}", dir.display()));
    output(&mut maven).context("PostgreSQL and Kafka could not be fetched")?;
    fs::write(&done, wanted)?;
    Ok(())
}

/// Only one process at a time makes what all of a checkout share.
pub(crate) fn lock(name: &str) -> Result<File> {
    let dir = checkout::services()?;
    fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    let file = File::create(dir.join(format!("{name}.lock"))).context("a lock cannot be made")?;
    file.lock().context("a lock cannot be taken")?;
    Ok(file)
}
