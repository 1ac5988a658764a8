//! A private server: it may be killed, started again, copied and promoted, and is gone with its owner.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

use super::client::{Rows, Session};
use super::copy;
use super::programs::Programs;
use super::server::Server;
use crate::certificates::Certificates;
use crate::guard::Guard;
use crate::packages::Packages;
use crate::process::output;
use crate::{ports, wait};

/// Small, and with enough of the log kept for a copy to catch up.
const SETTINGS: &str = "
max_connections = 200
shared_buffers = 64MB
max_wal_size = 512MB
wal_keep_size = 512MB
";
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(60);

/// A private server. Dropped, it is ended and its data deleted.
pub struct Postgres {
    packages: Packages,
    server: Server,
    guard: Guard,
}

impl Postgres {
    /// Starts a server on an empty cluster, which accepts connections when this returns.
    pub fn start() -> Result<Self> {
        let packages = Packages::get()?;
        let guard = Guard::new("postgres")?;
        let [port] = ports::free()?;
        let server = Server::create(&packages, guard.dir(), port, SETTINGS)?;
        Self { packages, server, guard }.guarded()
    }

    /// The same with a user who must encrypt and know a password, as [`crate::secured`] says.
    pub fn start_secured() -> Result<Self> {
        let started = Self::start()?;
        let certificates = Certificates::make(started.guard.dir())?;
        started.server.secure(&started.packages, &certificates)?;
        Ok(started)
    }

    /// The certificates of a server that was started secured.
    pub fn certificates(&self) -> Certificates {
        Certificates::of(self.guard.dir())
    }

    /// Where clients connect, as the superuser, without a password.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Where it listens; what a proxy before it connects to.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// Ends it at once, as a power cut would but for the disk; fine when it was.
    pub fn end_at_once(&mut self) -> Result<()> {
        self.server.end_at_once()?;
        self.tell_guard()
    }

    /// Cuts connections and ends it in order.
    pub fn stop(&mut self) -> Result<()> {
        self.server.stop()?;
        self.tell_guard()
    }

    /// Starts it again on what it holds, at the same port.
    pub fn start_again(&mut self) -> Result<()> {
        self.server = Server::start(&self.packages, self.guard.dir(), self.server.port())?;
        self.tell_guard()
    }

    /// Runs statements of an administrator, with semicolons between them.
    ///
    /// Text in, text out: for what is asked of the server itself, not for what is stored in it.
    pub fn query(&self, statements: &str) -> Result<Rows> {
        Session::open(self.server.port())?.query(statements)
    }

    /// Copies this running server into a standby that follows it. From then on nothing is committed here before the
    /// standby has it on its disk; when this returns, it has all there is.
    pub fn standby(&self) -> Result<Self> {
        let guard = Guard::new("standby")?;
        let programs = Programs::of(&self.packages)?;
        programs.own(guard.dir())?;
        let data = guard.dir().join("data");
        let mut session = Session::open(self.server.port())?;
        session.query("select pg_backup_start('standby', true)")?;
        copy::running_cluster(&programs, &self.guard.dir().join("data"), &data)?;
        let backup = session.query("select labelfile from pg_backup_stop(false)")?;
        let label = backup.into_iter().flatten().flatten().next().context("the backup has no label")?;
        let follow =
            format!("primary_conninfo = 'host=127.0.0.1 port={} user=postgres'\n", self.server.port());
        for (file, content) in
            [("backup_label", label), ("standby.signal", String::new()), ("postgresql.auto.conf", follow)]
        {
            fs::write(data.join(file), content)?;
            programs.own(&data.join(file))?;
        }
        let [port] = ports::free()?;
        let server = Server::start(&self.packages, guard.dir(), port)?;
        let standby = Self { packages: self.packages.clone(), server, guard }.guarded()?;
        session.query("alter system set synchronous_standby_names = '*'")?;
        session.query("select pg_reload_conf()")?;
        wait::until("a standby that has all there is", CAUGHT_UP_WITHIN, || {
            let state = "select 1 from pg_stat_replication where sync_state = 'sync' and state = 'streaming' \
                         and flush_lsn >= pg_current_wal_flush_lsn()";
            Ok(session.query(state)?.first().map(drop))
        })?;
        Ok(standby)
    }

    /// Makes a standby a server of its own, which takes writes when this returns. It waits for no standby.
    pub fn promote(&self) -> Result<()> {
        let mut pg_ctl = Programs::of(&self.packages)?.command("pg_ctl");
        output(pg_ctl.args(["promote", "-w", "-t", "60", "-D"]).arg(self.guard.dir().join("data"))).map(drop)
    }

    fn guarded(mut self) -> Result<Self> {
        self.tell_guard()?;
        Ok(self)
    }

    fn tell_guard(&mut self) -> Result<()> {
        let living = self.server.is_alive().then(|| self.server.pid());
        self.guard.living(living.as_slice())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.server.end_at_once();
    }
}
