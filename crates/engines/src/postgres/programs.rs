//! The programs and an empty cluster to copy, made once for all servers of a machine.

use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::packages::Packages;
use crate::process::{output, remove_dir, run};

/// Where the programs stand, and whom they run as when they may not run as us.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    dir: PathBuf,
    pub(super) run_as: Option<(u32, u32)>,
}

/// Makes what is missing; the caller holds the packages' lock.
pub(crate) fn prepare(packages: &Packages) -> Result<()> {
    let programs = Programs::of(packages)?;
    if programs.dir.exists() {
        return Ok(());
    }
    let staging = programs.dir.with_extension(std::process::id().to_string());
    remove_dir(&staging)?;
    fs::create_dir(&staging).with_context(|| staging.display().to_string())?;
    Programs { dir: staging.clone(), ..programs.clone() }.make(&packages.postgres_archive())?;
    match fs::rename(&staging, &programs.dir) {
        // Another checkout was faster.
        Err(_) if programs.dir.exists() => remove_dir(&staging),
        renamed => renamed.context("PostgreSQL's programs cannot be moved to their place"),
    }
}

impl Programs {
    /// They stand in the system's folder for temporary files, because the unprivileged user that a server runs as
    /// could not reach them in a checkout under root's home. Their folder's name says what they are of.
    pub(super) fn of(packages: &Packages) -> Result<Self> {
        let mut content = DefaultHasher::new();
        fs::read(packages.pom())?.hash(&mut content);
        let us = rustix::process::geteuid();
        let name = format!("exeunt-postgres-programs-{}-{:016x}", us.as_raw(), content.finish());
        let dir = env::temp_dir().join(name);
        if let Ok(there) = fs::symlink_metadata(&dir) {
            ensure!(there.is_dir() && there.uid() == us.as_raw(), "{} is not ours", dir.display());
        }
        let run_as = if us.is_root() { Some(unprivileged()?) } else { None };
        Ok(Self { dir, run_as })
    }

    fn make(&self, archive: &Path) -> Result<()> {
        let mut tar = Command::new("tar");
        run(tar.args(["--no-same-owner", "-xJf"]).arg(archive).arg("-C").arg(&self.dir))?;
        let data = self.empty_cluster();
        fs::create_dir(&data)?;
        self.own(&data)?;
        let mut initdb = self.command("initdb");
        initdb.args([
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-instructions",
        ]);
        output(initdb.arg("-D").arg(data)).map(drop)
    }

    /// A cluster that was never started.
    pub(super) fn empty_cluster(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Gives a file or folder to whom the programs run as.
    pub(super) fn own(&self, path: &Path) -> Result<()> {
        let Some((user, group)) = self.run_as else { return Ok(()) };
        chown(path, Some(user), Some(group)).with_context(|| path.display().to_string())
    }

    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.dir.join("bin").join(program));
        // Inherited settings of a client (`PGDATA`, `PGPORT`) must not reach this server.
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            command.env_remove(name);
        }
        if let Some((user, group)) = self.run_as {
            command.uid(user).gid(group);
        }
        // Where we are now may be closed to that user.
        command.current_dir(&self.dir);
        command
    }
}

/// The user `nobody` and its group: PostgreSQL refuses to run as root.
fn unprivileged() -> Result<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").context("/etc/passwd cannot be read")?;
    let nobody =
        users.lines().find(|line| line.starts_with("nobody:")).context("there is no user `nobody`")?;
    let mut ids = nobody.split(':').skip(2).map(str::parse::<u32>);
    match (ids.next(), ids.next()) {
        (Some(Ok(user)), Some(Ok(group))) => Ok((user, group)),
        _ => anyhow::bail!("the entry of the user `nobody` cannot be read: {nobody}"),
    }
}
