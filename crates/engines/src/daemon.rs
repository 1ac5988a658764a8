//! A process that outlives the command that started it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::wait;

const GONE_WITHIN: Duration = Duration::from_secs(60);

/// Names one process for good: an id alone may be another process's later.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Daemon {
    pid: i32,
    /// When it started, in the kernel's ticks since the machine did.
    started_ticks: u64,
}

impl Daemon {
    /// The living process with this id.
    pub fn of(pid: i32) -> Result<Self> {
        let started_ticks = started_ticks(pid).with_context(|| format!("process {pid} has ended already"))?;
        Ok(Self { pid, started_ticks })
    }

    /// Whether it runs.
    pub fn is_alive(&self) -> bool {
        started_ticks(self.pid) == Some(self.started_ticks)
    }

    /// Sends the signal that ends it and waits until it has; fine when it has ended before.
    pub fn end(&self, signal: Signal) -> Result<()> {
        if !self.is_alive() {
            return Ok(());
        }
        let pid = Pid::from_raw(self.pid).context("the recorded process id is none")?;
        kill_process(pid, signal).with_context(|| format!("process {} could not be ended", self.pid))?;
        // Each look is at the process itself, which need not be a child of ours.
        let what = format!("the end of process {}", self.pid);
        wait::until(&what, GONE_WITHIN, || Ok((!self.is_alive()).then_some(())))
    }

    /// Its id.
    pub fn pid(&self) -> i32 {
        self.pid
    }
}

/// `None` when the process is gone, or dead and only waiting for its parent to notice.
fn started_ticks(pid: i32) -> Option<u64> {
    const STATE: usize = 0;
    const START_TIME: usize = 19;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in brackets, which may hold anything; the third is the state.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let dead = fields.get(STATE).is_none_or(|state| matches!(*state, "Z" | "X"));
    // The first thread may be dead while others still end, with the process's files and ports in hand.
    if dead && fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count) <= 1 {
        return None;
    }
    fields.get(START_TIME)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_alive_until_it_is_ended_even_while_nobody_reaps_it() {
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let daemon = Daemon::of(child.id() as i32).unwrap();
        assert!(daemon.is_alive());
        daemon.end(Signal::KILL).unwrap();
        assert!(!daemon.is_alive());
        daemon.end(Signal::KILL).unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_later_process_with_the_same_id_is_another() {
        let mut ours = Daemon::of(std::process::id() as i32).unwrap();
        assert!(ours.is_alive());
        ours.started_ticks += 1;
        assert!(!ours.is_alive());
    }
}
