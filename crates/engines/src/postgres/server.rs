//! One server on a folder of its own.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::client::Session;
use super::copy;
use super::programs::Programs;
use crate::certificates::Certificates;
use crate::daemon::Daemon;
use crate::packages::Packages;
use crate::process::output;
use crate::secured::{PASSWORD, USER};
use crate::wait;

const RELOADED_WITHIN: Duration = Duration::from_secs(20);

/// Commits reach the disk as in production; only loopback, no socket file.
const CONFIGURATION: &str = "
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = on
log_min_duration_statement = 1000
";

/// A server as it was started: enough to find and end it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Server {
    port: u16,
    daemon: Daemon,
    home: PathBuf,
}

impl Server {
    /// Makes an empty cluster in a folder that is there and starts a server on it, which accepts connections when
    /// this returns. `settings` is appended to the configuration.
    pub fn create(packages: &Packages, home: &Path, port: u16, settings: &str) -> Result<Self> {
        let programs = Programs::of(packages)?;
        programs.own(home)?;
        let data = home.join("data");
        copy::cluster(&programs, &programs.empty_cluster(), &data)?;
        let path = data.join("postgresql.conf");
        let made = fs::read_to_string(&path)?;
        fs::write(&path, made + CONFIGURATION + settings)?;
        Self::start(packages, home, port)
    }

    /// Has a user who must encrypt and know a password; everybody else goes on as before.
    pub fn secure(&self, packages: &Packages, certificates: &Certificates) -> Result<()> {
        let programs = Programs::of(packages)?;
        let data = self.home.join("data");
        for (file, of) in [("server.key", "server.key"), ("server.crt", "server.pem"), ("root.crt", "ca.pem")]
        {
            let path = data.join(file);
            fs::write(&path, certificates.read(of)?)?;
            // A key that others may read is refused.
            fs::set_permissions(&path, Permissions::from_mode(0o600))?;
            programs.own(&path)?;
        }
        let rules = data.join("pg_hba.conf");
        let before = fs::read_to_string(&rules)?;
        let demand = format!("hostssl all {USER} all scram-sha-256\nhost all {USER} all reject\n");
        fs::write(&rules, demand + &before)?;
        let mut session = Session::open(self.port)?;
        session.query(&format!("create role {USER} login createdb password '{PASSWORD}'"))?;
        for setting in ["ssl = on", "ssl_ca_file = 'root.crt'"] {
            session.query(&format!("alter system set {setting}"))?;
        }
        session.query("select pg_reload_conf()")?;
        wait::until("PostgreSQL's encryption", RELOADED_WITHIN, || {
            let on = Session::open(self.port)?.query("show ssl")?;
            Ok((on == [[Some("on".to_owned())]]).then_some(()))
        })
    }

    /// Starts a server on what the folder holds.
    pub fn start(packages: &Packages, home: &Path, port: u16) -> Result<Self> {
        let programs = Programs::of(packages)?;
        let log = Self::log_in(home);
        let mut pg_ctl = programs.command("pg_ctl");
        pg_ctl.args(["start", "-w", "-t", "60", "-D"]).arg(home.join("data")).arg("-l").arg(&log);
        output(pg_ctl.args(["-o", &format!("-p {port}")])).with_context(|| {
            let said = fs::read_to_string(&log).unwrap_or_default();
            format!("PostgreSQL did not start; its log:\n{said}")
        })?;
        let recorded = fs::read_to_string(home.join("data/postmaster.pid"))?;
        let pid = recorded.lines().next().and_then(|line| line.parse().ok());
        let daemon = Daemon::of(pid.context("PostgreSQL did not record its process id")?)?;
        Ok(Self { port, daemon, home: home.to_owned() })
    }

    /// Where clients connect, as the superuser, without a password.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its first process, which ends the others.
    pub fn pid(&self) -> i32 {
        self.daemon.pid()
    }

    /// The folder of all it has.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Where it logs to.
    pub fn log(&self) -> PathBuf {
        Self::log_in(&self.home)
    }

    fn log_in(home: &Path) -> PathBuf {
        home.join("postgres.log")
    }

    /// Whether it runs.
    pub fn is_alive(&self) -> bool {
        self.daemon.is_alive()
    }

    /// Ends it at once, without a checkpoint: what was committed is recovered at the next start.
    pub fn end_at_once(&self) -> Result<()> {
        self.daemon.end(Signal::QUIT)
    }

    /// Cuts connections, and ends it in order.
    pub fn stop(&self) -> Result<()> {
        self.daemon.end(Signal::INT)
    }
}
