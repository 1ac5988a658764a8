//! The binary as a process: started, killed, stopped, started again on the same data.

use std::{
    env,
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tonic::transport::Endpoint;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::wait::until;

/// How long a start may take, with everything else that the machine has to do.
const READY_WITHIN: Duration = Duration::from_secs(240);
/// How long an ordered end may take.
const STOPPED_WITHIN: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// How many lines of its log are told when a process fails.
const LAST_LINES: usize = 30;

/// The binary under test: `EXEUNT_TEST_BINARY`, or the one beside this program.
///
/// # Errors
/// When it is not there.
pub fn current_binary() -> Result<PathBuf> {
    if let Some(named) = env::var_os("EXEUNT_TEST_BINARY") {
        return Ok(named.into());
    }
    // A test's own binary stands one folder further down.
    let here = env::current_exe()?;
    let found = here.ancestors().skip(1).take(2).map(|dir| dir.join("exeunt")).find(|path| path.is_file());
    found.context("there is no `exeunt` beside this program: build it first")
}

fn free_port() -> Result<u16> {
    let [port] = engines::ports::free()?;
    Ok(port)
}

/// One process, which may be running or not.
#[derive(Debug)]
pub struct Server {
    /// What it is called here.
    pub name: String,
    /// What it runs as its services; empty means all.
    pub roles: Vec<String>,
    /// The port that it keeps over restarts.
    pub port: u16,
    binary: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    dir: PathBuf,
    child: Option<Child>,
}

impl Server {
    /// A process that is not started yet; its data and its log stand in `dir`.
    ///
    /// # Errors
    /// When there is no port for it, or `dir` cannot be made.
    pub fn new(name: &str, binary: PathBuf, dir: PathBuf, roles: &[String]) -> Result<Self> {
        std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
        Ok(Self {
            name: name.to_owned(),
            roles: roles.to_vec(),
            port: free_port()?,
            binary,
            arguments: Vec::new(),
            environment: Vec::new(),
            dir,
            child: None,
        })
    }

    /// Adds a flag with its value.
    pub fn flag(&mut self, name: &str, value: &str) {
        self.arguments.extend([name.to_owned(), value.to_owned()]);
    }

    /// Sets a variable of its environment.
    pub fn variable(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Where its data stands.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where it answers.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Whether it was started and not ended by us.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.child.is_some()
    }

    /// The process's id, while it is started.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// The command that starts it.
    ///
    /// # Errors
    /// When its log cannot be opened.
    pub fn command(&self) -> Result<Command> {
        let mut command = Command::new(&self.binary);
        command.arg("serve").args(&self.roles).arg("--data-dir").arg(&self.dir);
        command.args(["--listen", &format!("127.0.0.1:{}", self.port)]).args(&self.arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let log = File::options().create(true).append(true).open(self.log())?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }

    /// Starts it; it is not ready yet.
    ///
    /// # Errors
    /// When it runs already or cannot be run.
    pub fn start(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "{} is started already", self.name);
        let child = self.command()?.spawn();
        self.child = Some(child.with_context(|| format!("{} cannot be run", self.binary.display()))?);
        Ok(())
    }

    /// Waits until it says of itself that it serves.
    ///
    /// # Errors
    /// When it ends by itself, or does not say so in time.
    pub async fn ready(&mut self) -> Result<()> {
        let endpoint = Endpoint::from_shared(self.url())?.connect_timeout(Duration::from_secs(1));
        let channel = endpoint.timeout(Duration::from_secs(2)).connect_lazy();
        let what = format!("{} to serve", self.name);
        let waited = until(&what, LOOK_EVERY, READY_WITHIN, || {
            let supervised = self.supervise();
            let mut health = HealthClient::new(channel.clone());
            async move {
                supervised?;
                let answer = health.check(HealthCheckRequest::default()).await;
                let serves = answer.is_ok_and(|it| it.get_ref().status() == ServingStatus::Serving);
                Ok(serves.then_some(()))
            }
        });
        let waited = waited.await;
        waited.with_context(|| format!("{}:\n{}", self.name, self.last_words()))
    }

    /// Does what a supervisor does: starts it again when an engine went away while it started.
    fn supervise(&mut self) -> Result<()> {
        let child = self.child.as_mut().context("it is not started")?;
        let Some(status) = child.try_wait()? else { return Ok(()) };
        ensure!(self.could_not_start(), "it ended by itself with {status}");
        self.child = None;
        self.start()
    }

    /// Whether the last thing that it said is that it cannot start for want of an engine.
    fn could_not_start(&self) -> bool {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        let since = log.rsplit("exeunt: listening on").next().unwrap_or_default();
        since.contains("error: exeunt cannot start") && since.contains("is unavailable")
    }

    /// SIGKILL: no warning, no clean-up. Nothing to kill is fine.
    ///
    /// # Errors
    /// When it had ended before by itself, or cannot be killed.
    pub fn kill(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let ended = child.try_wait()?;
        child.kill()?;
        child.wait()?;
        if let Some(status) = ended
            && !self.could_not_start()
        {
            bail!("{} had ended by itself with {status}:\n{}", self.name, self.last_words());
        }
        Ok(())
    }

    /// Ctrl-C, and waits for the ordered end. Nothing to stop is fine.
    ///
    /// # Errors
    /// When it ends otherwise than in order, or not in time.
    pub async fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let pid = Pid::from_child(&child);
        let asked = kill_process(pid, Signal::INT).context("it ended before it was asked to");
        let stopped = async {
            asked?;
            let what = format!("the end of {}", self.name);
            let status = until(&what, LOOK_EVERY, STOPPED_WITHIN, || {
                let ended = child.try_wait();
                async move { Ok(ended?) }
            });
            let status = status.await?;
            ensure!(status.success(), "it ended with {status}");
            anyhow::Ok(())
        };
        let stopped = stopped.await;
        if stopped.is_err() {
            // It may be gone already; what matters is told by the error.
            let _ = child.kill();
            let _ = child.wait();
        }
        stopped.with_context(|| format!("{}:\n{}", self.name, self.last_words()))
    }

    /// Replaces the program that the next start runs.
    pub fn becomes(&mut self, binary: PathBuf) {
        self.binary = binary;
    }

    /// The end of its log.
    #[must_use]
    pub fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }

    /// Its log, which grows over restarts.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.dir.join("process.log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
