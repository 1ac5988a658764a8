//! The product's processes: started, found, and stopped.

use std::{collections::BTreeMap, env, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, Command},
    sync::Mutex,
    time::timeout,
};

use crate::{layout::Part, procfs::Group, server::LISTENING};

/// Databases are made one after the other, topics too.
const STARTS_WITHIN: Duration = Duration::from_secs(180);
const STOPS_WITHIN: Duration = Duration::from_secs(60);

/// One process that runs. Dropped, it is killed.
struct Server {
    part: Part,
    child: Child,
    /// Kept open for as long as it is to serve.
    input: Mutex<Option<ChildStdin>>,
    url: String,
    process: Group,
}

/// All processes of the product.
pub struct Servers(Vec<Server>);

impl Servers {
    pub async fn start(parts: Vec<Part>) -> Result<Self> {
        Ok(Self(try_join_all(parts.into_iter().map(Server::start)).await?))
    }

    /// Where cancellations are asked for, and where subjects are registered: one for each replica.
    pub fn addresses(&self) -> Vec<(&str, &str)> {
        let urls = |wanted: fn(&Part) -> bool| {
            self.0.iter().filter(move |server| wanted(&server.part)).map(|server| server.url.as_str())
        };
        urls(|part| part.coordinates).zip(urls(|part| part.identifies)).collect()
    }

    /// The processes by name.
    pub fn processes(&self) -> Vec<(&'static str, Group)> {
        self.0.iter().map(|server| (server.part.name, server.process)).collect()
    }

    /// The CPU of all.
    pub fn cpu(&self) -> Duration {
        self.0.iter().map(|server| server.process.cpu()).sum()
    }

    /// The sum of the most memory that each has had, in bytes: not less than they ever had together.
    pub fn peak_rss(&self) -> Result<u64> {
        self.0.iter().map(|server| server.process.peak_rss()).sum()
    }

    /// The most memory that each has had, in bytes, replicas together.
    pub fn peak_rss_by_process(&self) -> Result<BTreeMap<String, u64>> {
        let mut peaks = BTreeMap::new();
        for server in &self.0 {
            *peaks.entry(server.part.name.to_owned()).or_default() += server.process.peak_rss()?;
        }
        Ok(peaks)
    }

    /// Has the first of them put so many records that nobody can read on the log a second, from now on.
    pub async fn poison(&self, per_s: u32) -> Result<()> {
        let server = self.0.first().context("there are no servers")?;
        let mut input = server.input.lock().await;
        let input = input.as_mut().context("a server has no input")?;
        Ok(input.write_all(format!("{per_s}\n").as_bytes()).await?)
    }

    pub async fn stop(mut self) -> Result<()> {
        for server in &mut self.0 {
            drop(server.input.get_mut().take());
        }
        for server in &mut self.0 {
            let ended = timeout(STOPS_WITHIN, server.child.wait()).await;
            let status = ended.with_context(|| format!("{} does not stop", server.part.name))??;
            ensure!(status.success(), "{} failed: {status}", server.part.name);
        }
        Ok(())
    }
}

impl Server {
    async fn start(part: Part) -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("server").args(&part.arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().context("a server cannot be started")?;
        let process = Group::of(child.id().context("a server has ended")?);
        let input = Mutex::new(child.stdin.take());
        let output = child.stdout.take().context("a server has no output")?;
        let mut lines = BufReader::new(output).lines();
        let line =
            timeout(STARTS_WITHIN, lines.next_line()).await.context("a server takes too long to start")?;
        let line = line?.with_context(|| format!("{} ended before it listened", part.name))?;
        let url =
            line.strip_prefix(LISTENING).context("a server said something else than where it listens")?;
        Ok(Self { url: url.to_owned(), part, child, input, process })
    }
}
