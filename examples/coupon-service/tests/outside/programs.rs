//! The programs: ours, the coupons in Rust, the points in Python.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    task::JoinSet,
    time::timeout,
};

/// How long anything may take before a test gives up on it.
pub const BOUND: Duration = Duration::from_secs(120);

/// Where everything of one test is.
pub struct Place {
    pub directory: TempDir,
    /// Brokers and a prefix of topics of this test's own.
    pub event_log: String,
    /// A database whose name begins those of the services' databases.
    pub event_store: String,
    python: PathBuf,
}

impl Place {
    /// A new one; `None` where no engines are named, or no Python.
    pub fn new() -> Option<Self> {
        let variable = |name: &str| {
            let value = std::env::var(name);
            value.inspect_err(|_| eprintln!("skipped: {name} is not set")).ok()
        };
        let brokers = variable("EXEUNT_TEST_KAFKA_BROKERS")?;
        let postgres = variable("EXEUNT_TEST_POSTGRES_URL")?;
        let python = variable("EXEUNT_TEST_PYTHON")?.into();
        let name = format!("examples_{}", types::fresh_uuid().simple());
        Some(Self {
            directory: TempDir::new().unwrap(),
            event_log: format!("kafka://{brokers}/{name}"),
            event_store: format!("{}/{name}", postgres.rsplit_once('/').unwrap().0),
            python,
        })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A file with this content.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    /// Ours.
    pub fn exeunt(&self) -> Command {
        let built = Path::new(env!("CARGO_BIN_EXE_coupon-service")).with_file_name("exeunt");
        command(std::env::var_os("EXEUNT_TEST_BINARY").map_or(built, PathBuf::from))
    }

    /// The coupons.
    pub fn coupons(&self) -> Command {
        let mut command = command(env!("CARGO_BIN_EXE_coupon-service").into());
        command.arg("--data-dir").arg(self.path("coupons"));
        command
    }

    /// The coupons, on a PostgreSQL database of their own.
    pub fn coupons_on_postgres(&self) -> Command {
        let mut command = self.coupons();
        command.args(["--event-store", &format!("{}_coupons", self.event_store)]);
        command
    }

    /// The points.
    pub fn points(&self) -> Command {
        let mut command = command(self.python.clone());
        command.arg(points_folder().join("points_service.py")).env("PYTHONDONTWRITEBYTECODE", "1");
        command.arg("--data-dir").arg(self.path("points"));
        command
    }

    /// Python, in the folder of the points.
    pub fn python(&self) -> Command {
        let mut command = command(self.python.clone());
        command.current_dir(points_folder()).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}

fn points_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("points-service-python")
}

fn command(program: PathBuf) -> Command {
    let mut command = Command::new(program);
    // Settings of whoever runs the tests are not the tests'.
    for (name, _) in std::env::vars_os() {
        let ours = ["EXEUNT_", "COUPONS_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix));
        if ours {
            command.env_remove(name);
        }
    }
    command.kill_on_drop(true).stdin(Stdio::null());
    command
}

/// What a program prints; it must end well.
pub async fn printed(mut command: Command) -> String {
    let ran = timeout(BOUND, command.output()).await.unwrap().unwrap();
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{command:?} ended with {}:\n{out}{err}", ran.status);
    out.trim().to_owned()
}

/// The JSON that a program prints.
pub async fn json(command: Command) -> Value {
    serde_json::from_str(&printed(command).await).unwrap()
}

/// What a program says when it must not end well, and its exit code.
pub async fn refused(mut command: Command) -> (i32, String) {
    let ran = timeout(BOUND, command.output()).await.unwrap().unwrap();
    let said = [ran.stdout, ran.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(!ran.status.success(), "{command:?} went well: {said}");
    (ran.status.code().unwrap_or_default(), said)
}

/// A program that runs until it is dropped, and then is killed.
pub struct Server {
    child: Child,
    _listening: JoinSet<()>,
    errors: PathBuf,
}

impl Server {
    /// Starts it and waits until it prints a line with these words; gives the line.
    pub async fn start(mut command: Command, errors: PathBuf, says: &str) -> (Self, String) {
        let file = std::fs::File::options().create(true).append(true).open(&errors).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(file).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut listening = JoinSet::new();
        let told = async {
            loop {
                match lines.next_line().await.unwrap() {
                    Some(line) if line.contains(says) => break Some(line),
                    Some(_) => {}
                    None => break None,
                }
            }
        };
        let told = timeout(BOUND, told).await.unwrap();
        let line = told.unwrap_or_else(|| panic!("it ended:\n{}", last_words(&errors)));
        // What it says later must not block it.
        listening.spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        (Self { child, _listening: listening, errors }, line)
    }

    /// Waits until it ends by itself; gives its last words.
    pub async fn ended(mut self) -> String {
        timeout(BOUND, self.child.wait()).await.unwrap().unwrap();
        last_words(&self.errors)
    }

    /// SIGKILL: no warning, no clean-up.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}:\n{}", self.errors.display(), last_words(&self.errors));
        }
    }
}

fn last_words(errors: &Path) -> String {
    let said = std::fs::read_to_string(errors).unwrap_or_default();
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
