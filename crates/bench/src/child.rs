//! The server's process: started, found, and stopped.

use std::{env, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::{procfs::Group, server::LISTENING};

/// Databases are made one after the other, topics too.
const STARTS_WITHIN: Duration = Duration::from_secs(120);
const STOPS_WITHIN: Duration = Duration::from_secs(30);

/// A server that runs. Dropped, it is killed.
pub struct Server {
    child: Child,
    pub url: String,
    pub process: Group,
}

impl Server {
    pub async fn start(arguments: &[String]) -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("server").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("the server cannot be started")?;
        let process = Group::of(child.id().context("the server has ended")?);
        let output = child.stdout.take().context("the server has no output")?;
        let mut lines = BufReader::new(output).lines();
        let line =
            timeout(STARTS_WITHIN, lines.next_line()).await.context("the server takes too long to start")?;
        let line = line?.context("the server ended before it listened")?;
        let url =
            line.strip_prefix(LISTENING).context("the server said something else than where it listens")?;
        Ok(Self { url: url.to_owned(), child, process })
    }

    pub async fn stop(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let status = timeout(STOPS_WITHIN, self.child.wait()).await.context("the server does not stop")??;
        ensure!(status.success(), "the server failed: {status}");
        Ok(())
    }
}
