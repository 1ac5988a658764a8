//! The binary as a process: started, killed, started again on the same data.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

/// How long anything may take before a test gives up on it.
pub const BOUND: Duration = Duration::from_secs(300);

/// On what the product runs.
#[derive(Debug, Clone)]
pub enum Engines {
    /// SQLite and the embedded log.
    Embedded,
    /// PostgreSQL and Kafka.
    Real {
        /// A database whose name begins those of the services' databases.
        event_store: String,
        /// Brokers and a prefix of topics.
        event_log: String,
    },
}

impl Engines {
    /// The real ones, each time under names of their own; `None` where nobody named any.
    pub fn real() -> Option<Self> {
        let postgres = std::env::var("EXEUNT_TEST_POSTGRES_URL").ok()?;
        let brokers = std::env::var("EXEUNT_TEST_KAFKA_BROKERS").ok()?;
        let name = format!("it_{}", types::fresh_uuid().simple());
        let (server, _) = postgres.rsplit_once('/').unwrap();
        Some(Self::Real {
            event_store: format!("{server}/{name}"),
            event_log: format!("kafka://{brokers}/{name}"),
        })
    }
}

/// The binary under test.
pub fn binary() -> PathBuf {
    if let Some(named) = std::env::var_os("EXEUNT_TEST_BINARY") {
        return named.into();
    }
    // Beside the folder of this test's own binary.
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join("exeunt")
}

/// One installation, whose process may come and go.
pub struct Installation {
    pub data: TempDir,
    pub engines: Engines,
    pub port: u16,
    /// What its environment says besides.
    pub variables: Vec<(&'static str, String)>,
    child: Option<Child>,
}

impl Installation {
    pub fn new(engines: Engines) -> Self {
        // Taken and given back: nobody else is likely to get it before us, and restarts need the same.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { data: TempDir::new().unwrap(), engines, port, variables: Vec::new(), child: None }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn messages(&self) -> PathBuf {
        self.data.path().join("messages")
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command.arg("serve").arg("--data-dir").arg(self.data.path());
        command.args(["--listen", &format!("127.0.0.1:{}", self.port)]);
        if let Engines::Real { event_store, event_log } = &self.engines {
            command.args(["--event-store", event_store, "--event-log", event_log]);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(self.log());
        command
    }

    fn log(&self) -> Stdio {
        let path = self.data.path().join("stderr.log");
        std::fs::File::options().create(true).append(true).open(path).unwrap().into()
    }

    /// Starts the process and waits until it says that it listens.
    pub fn start(&mut self) {
        let mut child = self.command().spawn().unwrap_or_else(|e| panic!("{}: {e}", binary().display()));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let told = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("listening on")));
        if told.is_none() {
            let status = child.wait().unwrap();
            panic!("it ended with {status} before it listened:\n{}", self.last_words());
        }
        // What it says later must not block it.
        std::thread::spawn(move || lines.for_each(drop));
        self.child = Some(child);
    }

    /// SIGKILL: no warning, no clean-up.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Ctrl-C, and waits for the ordered end.
    pub fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        let ended = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(ended.success());
        let status = child.wait().unwrap();
        assert!(status.success(), "it ended with {status}:\n{}", self.last_words());
    }

    /// The most memory that the process has had since it was started, in MiB.
    pub fn peak_mib(&self) -> u64 {
        let id = self.child.as_ref().unwrap().id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() / 1_024
    }

    /// What it has stored, for whoever goes on with it after the process has ended.
    pub fn into_data(mut self) -> TempDir {
        assert!(self.child.is_none());
        std::mem::replace(&mut self.data, TempDir::new().unwrap())
    }

    /// Everything that it has said, over restarts.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.data.path().join("stderr.log")).unwrap_or_default()
    }

    pub fn last_words(&self) -> String {
        let log = self.said();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("last words of the process:\n{}", self.last_words());
        }
    }
}

/// The six digits in a message file.
pub fn code_in(messages: &Path, verification: &str) -> String {
    let path = messages.join(format!("{verification}.eml"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let digits = |word: &&str| word.len() == 6 && word.bytes().all(|b| b.is_ascii_digit());
    let body = text.split_once("\r\n\r\n").or_else(|| text.split_once("\n\n")).unwrap().1;
    body.split(|c: char| !c.is_ascii_digit()).find(digits).unwrap().to_owned()
}
