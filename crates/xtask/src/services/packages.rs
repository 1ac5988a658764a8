//! Fetching PostgreSQL and Kafka as `deploy/dev/pom.xml` names them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{output, remove_dir, require};
use crate::workspace;

/// What was fetched, under `target/services/packages`.
pub struct Packages {
    dir: PathBuf,
}

impl Packages {
    /// Kafka's class path.
    pub fn kafka_classes(&self) -> String {
        format!("{}/kafka/*", self.dir.display())
    }

    /// The archive (tar, xz) of PostgreSQL's programs and libraries.
    pub fn postgres_archive(&self) -> PathBuf {
        self.dir.join("postgres/postgres-linux-x86_64.txz")
    }
}

/// Fetches once per content of the pom. A copy of the pom beside the packages, written last, says that they are
/// complete and which they are.
pub fn fetch(services: &Path) -> Result<Packages> {
    for (program, package) in [("java", "default-jre-headless"), ("xz", "xz-utils"), ("setsid", "util-linux")]
    {
        require(program, package)?;
    }
    let dir = services.join("packages");
    let pom = workspace::root()?.join("deploy/dev/pom.xml");
    let wanted = fs::read(&pom).with_context(|| pom.display().to_string())?;
    let done = dir.join("pom.xml");
    if fs::read(&done).is_ok_and(|fetched| fetched == wanted) {
        return Ok(Packages { dir });
    }
    require("mvn", "maven")?;
    remove_dir(&dir)?;
    eprintln!("fetching PostgreSQL and Kafka");
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", "-f"]).arg(&pom).arg("package").arg(format!("-Dservices.dir={}", dir.display()));
    output(&mut maven).context("PostgreSQL and Kafka could not be fetched")?;
    fs::write(&done, wanted)?;
    Ok(Packages { dir })
}
