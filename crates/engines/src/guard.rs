//! What ends processes and deletes a folder when their owner is gone, however it went.

use std::fs;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result};

/// Each line names the processes that live now. At the end of the input they are killed and the folder goes; a
/// second look takes what a dying process still wrote.
const SCRIPT: &str = r#"
pids=
while read -r line; do pids=$line; done
[ -z "$pids" ] || kill -9 $pids 2>/dev/null
rm -rf "$1" 2>/dev/null || { sleep 1; rm -rf "$1"; }
"#;

/// A folder and the processes that work in it, which do not outlive this, not even when we are killed.
pub(crate) struct Guard {
    dir: PathBuf,
    lines: Option<ChildStdin>,
    shell: Child,
}

impl Guard {
    /// Guards a new folder below the system's one for temporary files.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let [port] = crate::ports::free()?;
        // A port that was free just now, and our id: nobody else makes this name.
        let dir = std::env::temp_dir().join(format!("exeunt-{name}-{}-{port}", std::process::id()));
        fs::create_dir(&dir).with_context(|| dir.display().to_string())?;
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "guard"])
            .arg(&dir)
            .stdin(Stdio::piped())
            // A key that interrupts us must not interrupt what clears up after us.
            .process_group(0)
            .spawn()
            .context("`sh` cannot be run")?;
        let lines = shell.stdin.take();
        Ok(Self { dir, lines, shell })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Says which processes live now.
    pub(crate) fn living(&mut self, pids: &[i32]) -> Result<()> {
        let line = pids.iter().map(i32::to_string).collect::<Vec<_>>().join(" ");
        let mut lines = self.lines.as_ref().context("the guard has ended")?;
        writeln!(lines, "{line}").context("the guard does not listen")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.lines.take());
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::Daemon;

    #[test]
    fn what_is_guarded_ends_with_its_owner() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let process = Daemon::of(child.id() as i32).unwrap();
        let mut guard = Guard::new("guarded").unwrap();
        let dir = guard.dir().to_owned();
        fs::write(dir.join("file"), "x").unwrap();
        guard.living(&[process.pid()]).unwrap();
        // The guard sees no more of an owner that was killed than that its end of the pipe is closed.
        drop(guard);
        assert!(!process.is_alive());
        assert!(!dir.exists());
        child.wait().unwrap();
    }
}
