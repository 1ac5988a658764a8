//! One PostgreSQL server on loopback, for everybody on this machine to trust.

use std::env;
use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::daemon::Daemon;
use super::packages::Packages;
use crate::process::{output, remove_dir, run};

/// Appended to what `initdb` writes. Commits reach the disk as in production; only loopback, no socket file.
const CONFIGURATION: &str = "
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 400
max_wal_size = 2GB
fsync = on
log_min_duration_statement = 1000
";

/// A server as it was started: enough to find and end it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Instance {
    port: u16,
    daemon: Daemon,
    home: PathBuf,
}

/// Makes an empty cluster and starts a server on it, which accepts connections when this returns.
pub fn start(services: &Path, packages: &Packages, port: u16) -> Result<Instance> {
    // Programs, data and log stand in the system's folder for temporary files, because the unprivileged user that
    // the server runs as could not reach them in a checkout under root's home.
    let dir = env::temp_dir().join(format!("exeunt-postgres-{}", std::process::id()));
    let run_as = if rustix::process::geteuid().is_root() { Some(unprivileged()?) } else { None };
    fs::create_dir(&dir).with_context(|| dir.display().to_string())?;
    let home = Home { dir, run_as };
    let started =
        home.make_cluster(&packages.postgres_archive()).and_then(|()| home.start_server(services, port));
    if started.is_err() {
        remove_dir(&home.dir)?;
    }
    Ok(Instance { port, daemon: started?, home: home.dir })
}

impl Instance {
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    pub fn is_alive(&self) -> bool {
        self.daemon.is_alive()
    }

    /// Ends the server at once, without a checkpoint, for its data goes with it.
    pub fn stop(&self) -> Result<()> {
        self.daemon.end(Signal::QUIT)?;
        remove_dir(&self.home)
    }
}

/// Where a server's programs and data stand, and whom they run as when they may not run as us.
struct Home {
    dir: PathBuf,
    run_as: Option<(u32, u32)>,
}

impl Home {
    fn make_cluster(&self, archive: &Path) -> Result<()> {
        let mut tar = Command::new("tar");
        run(tar.args(["--no-same-owner", "-xJf"]).arg(archive).arg("-C").arg(&self.dir))?;
        if let Some((user, group)) = self.run_as {
            chown(&self.dir, Some(user), Some(group))?;
        }
        let mut initdb = self.command("initdb");
        initdb.args([
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-instructions",
        ]);
        output(initdb.arg("-D").arg(self.data()))?;
        let path = self.data().join("postgresql.conf");
        let made = fs::read_to_string(&path)?;
        fs::write(&path, made + CONFIGURATION)?;
        Ok(())
    }

    fn start_server(&self, services: &Path, port: u16) -> Result<Daemon> {
        let log = self.dir.join("postgres.log");
        let link = services.join("postgres.log");
        if link.is_symlink() {
            fs::remove_file(&link)?;
        }
        symlink(&log, &link)?;
        let mut pg_ctl = self.command("pg_ctl");
        pg_ctl.args(["start", "-w", "-t", "60", "-D"]).arg(self.data()).arg("-l").arg(&log);
        output(pg_ctl.args(["-o", &format!("-p {port}")])).with_context(|| {
            let said = fs::read_to_string(&log).unwrap_or_default();
            format!("PostgreSQL did not start; its log:\n{said}")
        })?;
        let recorded = fs::read_to_string(self.data().join("postmaster.pid"))?;
        let pid = recorded.lines().next().and_then(|line| line.parse().ok());
        Daemon::of(pid.context("PostgreSQL did not record its process id")?)
    }

    fn command(&self, program: &str) -> Command {
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

    fn data(&self) -> PathBuf {
        self.dir.join("data")
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
