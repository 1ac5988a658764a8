//! What a process shall do: defaults < file < environment < flags, all of it checked at once.

mod layers;
mod places;
mod secret;

use std::{collections::BTreeMap, fmt, net::SocketAddr, path::PathBuf, time::Duration};

use keys::{Kek, KeyError};
use layers::Reader;

pub use places::{EventLogPlace, EventStorePlace};
pub use secret::Secret;

/// The commented defaults, which run as they stand.
pub const DEFAULTS: &str = include_str!("defaults.toml");

/// Where settings come from besides the defaults.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file that `--config` names; without it, `EXEUNT_CONFIG` may name one.
    pub file: Option<PathBuf>,
    /// The variables, by name; those that do not begin with `EXEUNT_` are passed over.
    pub environment: BTreeMap<String, String>,
    /// The flags that were given, by key: `listen`, `limits.concurrency_max`.
    pub flags: BTreeMap<String, String>,
}

impl Sources {
    /// No file and no flags yet, and the variables of this process.
    #[must_use]
    pub fn from_environment() -> Self {
        let named = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            let name = name.into_string().ok().filter(|name| name.starts_with(layers::ENVIRONMENT_PREFIX))?;
            Some((name, value.to_string_lossy().into_owned()))
        };
        Self { environment: std::env::vars_os().filter_map(named).collect(), ..Self::default() }
    }
}

/// Which layer gave a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The embedded defaults.
    Defaults,
    /// This file.
    File(PathBuf),
    /// This variable.
    Environment(String),
    /// This flag.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Defaults => f.write_str("defaults"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(variable) => f.write_str(variable),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// One setting that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Its key, `limits.concurrency_max`.
    pub key: String,
    /// Who said it.
    pub source: Source,
    /// What is wrong; never repeats a value.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.key, self.source, self.message)
    }
}

/// Settings that are wrong, every one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// What is wrong; never empty.
    pub faults: Vec<Fault>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("configuration is not valid")?;
        self.faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for ConfigError {}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// What the server takes at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest message in bytes. Each tonic service is given it: `.max_decoding_message_size(…)`.
    pub message_bytes_max: usize,
    /// Longest time to answer a request that is not a stream.
    pub request_timeout: Duration,
    /// Requests answered at the same time, streams apart.
    pub concurrency_max: usize,
    /// Streams open at the same time.
    pub streams_max: usize,
    /// Events of one service that may wait to be published.
    pub backlog_events_max: usize,
}

/// What the log's topics are to be like, where it is not as the services and the cluster say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topics {
    /// Partitions of topics that are not compacted.
    pub partitions: Option<i32>,
    /// Brokers that hold each record.
    pub replication: Option<i32>,
    /// How long records are kept in topics that are not compacted.
    pub retention: Option<Duration>,
}

#[derive(Debug, Clone)]
enum KekPlace {
    Given(Kek),
    File(PathBuf),
}

/// What a process shall do. Everything in it was checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The names of the services that this process runs; none means all.
    pub roles: Vec<String>,
    /// Where everything durable stands that has no other place.
    pub data_dir: PathBuf,
    /// Where keys, vaults and messages stand, which the replicas of a role share.
    pub shared_dir: PathBuf,
    /// The address of the one port; loopback. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where events are stored.
    pub event_store: EventStorePlace,
    /// What carries messages.
    pub event_log: EventLogPlace,
    /// What the log's topics are to be like.
    pub topics: Topics,
    /// The roster's file; none means the embedded one.
    pub roster: Option<PathBuf>,
    /// A folder with policy packs that go before the embedded ones, if there is any.
    pub policy: Option<PathBuf>,
    /// Where cooling-off is longer than the packs say: `<scope>=<period>`.
    pub cooling_off: Vec<String>,
    /// Who this process is among the members of its groups, stable over restarts.
    pub member_id: String,
    /// Whether one signature may cover several acknowledgements.
    pub batched_signatures: bool,
    /// What is logged, as [`crate::telemetry::init`] takes it.
    pub log: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// What the server takes at most.
    pub limits: Limits,
    /// How long requests in flight may take to end at shutdown.
    pub shutdown_grace: Duration,
    /// What is odd but does no harm, to be logged once logging has started.
    pub warnings: Vec<String>,
    kek: KekPlace,
}

impl Config {
    /// Reads all layers and checks everything; binds and creates nothing.
    ///
    /// # Errors
    /// [`ConfigError`] with every fault there is.
    pub fn load(sources: Sources) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(sources);
        let kek = kek(&mut reader);
        let data_dir = reader.path("data_dir").unwrap_or_else(|| {
            reader.fault("data_dir", "must not be empty");
            PathBuf::new()
        });
        let shared_dir = reader.path("shared_dir").unwrap_or_else(|| data_dir.clone());
        let config = Self {
            roles: reader.words("roles"),
            listen: listen(&mut reader),
            event_store: places::event_store(&mut reader, &data_dir),
            event_log: places::event_log(&mut reader, &data_dir),
            topics: topics(&mut reader),
            roster: roster(&mut reader),
            policy: policy(&mut reader),
            cooling_off: reader.words("cooling_off"),
            member_id: member_id(&mut reader),
            batched_signatures: reader.truth("batched_signatures"),
            log: log(&mut reader),
            log_format: log_format(&mut reader),
            limits: limits(&mut reader),
            shutdown_grace: reader.milliseconds("shutdown_grace_ms", 0..=600_000),
            kek: kek.unwrap_or_else(|| KekPlace::File(shared_dir.join("kek"))),
            data_dir,
            shared_dir,
            warnings: reader.take_warnings(),
        };
        reader.finish(config)
    }

    /// The key that wraps the vault's keys: the one given, or that of its file, which is made when
    /// there is none.
    ///
    /// # Errors
    /// [`KeyError`] when the file cannot be read or made.
    pub fn kek(&self) -> Result<Kek, KeyError> {
        match &self.kek {
            KekPlace::Given(kek) => Ok(kek.clone()),
            KekPlace::File(path) => Kek::from_file_or_create(path),
        }
    }
}

fn kek(reader: &mut Reader) -> Option<KekPlace> {
    const TEXT: &str = "EXEUNT_KEK";
    const FILE: &str = "EXEUNT_KEK_FILE";
    let text = reader.variable(TEXT);
    let file = reader.variable(FILE);
    match (text, file) {
        (Some(_), Some(_)) => {
            reader.fault_of(TEXT, Source::Environment(TEXT.into()), "must not be set beside EXEUNT_KEK_FILE");
            None
        }
        (Some(text), None) => match Kek::from_base64(&text) {
            Ok(kek) => Some(KekPlace::Given(kek)),
            Err(_) => {
                reader.fault_of(TEXT, Source::Environment(TEXT.into()), "must be 32 bytes in base64");
                None
            }
        },
        (None, file) => file.map(|file| KekPlace::File(file.into())),
    }
}

fn listen(reader: &mut Reader) -> SocketAddr {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let text = reader.text("listen").replace("localhost:", "127.0.0.1:");
    let Ok(address) = text.parse::<SocketAddr>() else {
        reader.fault("listen", "must be an address and a port, such as 127.0.0.1:7700");
        return nowhere;
    };
    if !address.ip().is_loopback() {
        reader.fault(
            "listen",
            "must be a loopback address: nothing else may listen without TLS and authentication",
        );
    }
    address
}

fn policy(reader: &mut Reader) -> Option<PathBuf> {
    let path = reader.path("policy")?;
    if !path.is_dir() {
        reader.fault("policy", "must be a folder that exists");
    }
    Some(path)
}

fn roster(reader: &mut Reader) -> Option<PathBuf> {
    let path = reader.path("roster")?;
    if !path.is_file() {
        reader.fault("roster", "must be a file that exists");
    }
    Some(path)
}

fn member_id(reader: &mut Reader) -> String {
    let text = reader.text("member_id");
    if !types::is_opaque_id(&text) {
        reader.fault("member_id", "must be 1 to 64 letters, digits, _ and -");
    }
    text
}

fn log(reader: &mut Reader) -> String {
    let text = reader.text("log");
    // What is no text was told already.
    if !reader.is_wrong("log") && crate::telemetry::filter(&text).is_none() {
        reader.fault("log", "must be a level, or levels by target, such as warn,cancellation=debug");
    }
    text
}

fn log_format(reader: &mut Reader) -> LogFormat {
    match reader.text("log_format").as_str() {
        "human" => LogFormat::Human,
        "json" => LogFormat::Json,
        _ => {
            reader.fault("log_format", "must be human or json");
            LogFormat::Human
        }
    }
}

fn topics(reader: &mut Reader) -> Topics {
    let mut given = |key, most| Some(reader.number(key, 0..=most)).filter(|number| *number > 0);
    let count = |number: Option<u64>| number.and_then(|number| i32::try_from(number).ok());
    Topics {
        partitions: count(given("topics.partitions", 10_000)),
        replication: count(given("topics.replication", 100)),
        retention: given("topics.retention_hours", 1_000_000).map(|hours| Duration::from_secs(hours * 3600)),
    }
}

fn limits(reader: &mut Reader) -> Limits {
    let mut size = |key, range| usize::try_from(reader.number(key, range)).unwrap_or(usize::MAX);
    Limits {
        message_bytes_max: size("limits.message_bytes_max", 1024..=64 * 1024 * 1024),
        concurrency_max: size("limits.concurrency_max", 1..=1_000_000),
        streams_max: size("limits.streams_max", 1..=1_000_000),
        backlog_events_max: size("limits.backlog_events_max", 1..=1_000_000_000),
        request_timeout: reader.milliseconds("limits.request_timeout_ms", 1..=600_000),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    fn load(file: Option<&str>, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let home = tempfile::tempdir().unwrap();
        let file = file.map(|content| {
            let path = home.path().join("exeunt.toml");
            std::fs::write(&path, content).unwrap();
            path
        });
        Config::load(Sources { file, environment: pairs(env), flags: pairs(flags) })
    }

    fn faults(result: Result<Config, ConfigError>) -> Vec<String> {
        let faults = result.unwrap_err().faults;
        faults.into_iter().map(|fault| fault.key).collect()
    }

    #[test]
    fn the_defaults_run_as_they_stand() {
        let config = load(None, &[], &[]).unwrap();
        assert_eq!(config.data_dir, Path::new("./exeunt-data"));
        assert_eq!(config.listen.to_string(), "127.0.0.1:7700");
        assert_eq!(config.event_store, EventStorePlace::Sqlite { directory: "./exeunt-data/store".into() });
        assert_eq!(config.event_log, EventLogPlace::Embedded { directory: "./exeunt-data/log".into() });
        assert_eq!(config.limits.message_bytes_max, 1024 * 1024);
        assert_eq!(config.limits.request_timeout, Duration::from_secs(30));
        assert_eq!(config.member_id, "exeunt-0");
        assert!(config.roster.is_none() && config.roles.is_empty() && config.warnings.is_empty());
        assert_eq!(config.shared_dir, config.data_dir);
    }

    #[test]
    fn yes_or_no_is_said_as_true_or_false() {
        assert!(!load(None, &[], &[]).unwrap().batched_signatures);
        assert!(load(Some("batched_signatures = true"), &[], &[]).unwrap().batched_signatures);
        assert!(load(None, &[("EXEUNT_BATCHED_SIGNATURES", "true")], &[]).unwrap().batched_signatures);
        assert!(!load(None, &[], &[("batched_signatures", "false")]).unwrap().batched_signatures);
        for wrong in ["batched_signatures = 1", "batched_signatures = \"true\""] {
            assert_eq!(faults(load(Some(wrong), &[], &[])), ["batched_signatures"]);
        }
        assert_eq!(faults(load(None, &[("EXEUNT_BATCHED_SIGNATURES", "yes")], &[])), ["batched_signatures"]);
    }

    #[test]
    fn flags_win_over_the_environment_over_the_file_over_the_defaults() {
        let file =
            "member_id = \"file\"\nlog = \"debug\"\nlisten = \"127.0.0.1:1\"\n[limits]\nconcurrency_max = 7";
        let env = [("EXEUNT_LOG", "warn"), ("EXEUNT_LISTEN", "[::1]:2"), ("EXEUNT_LIMITS_STREAMS_MAX", "8")];
        let config = load(Some(file), &env, &[("listen", "localhost:3")]).unwrap();
        assert_eq!((config.member_id.as_str(), config.log.as_str()), ("file", "warn"));
        assert_eq!(config.listen.to_string(), "127.0.0.1:3");
        assert_eq!((config.limits.concurrency_max, config.limits.streams_max), (7, 8));
    }

    #[test]
    fn the_environment_may_name_the_file_and_an_empty_variable_says_nothing() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("exeunt.toml");
        std::fs::write(&path, "member_id = \"file\"").unwrap();
        let environment = pairs(&[("EXEUNT_CONFIG", path.to_str().unwrap()), ("EXEUNT_MEMBER_ID", "")]);
        let config = Config::load(Sources { environment, ..Sources::default() }).unwrap();
        assert_eq!(config.member_id, "file");
    }

    #[test]
    fn every_fault_is_named_at_once_with_who_said_it() {
        let file =
            "listne = 1\nlog = 3\nroster = \"/none\"\n[limits]\nconcurrency_max = \"many\"\nstreams_max = 0";
        let env =
            [("EXEUNT_EVENT_STORE", "mysql://x"), ("EXEUNT_SHUTDOWN_GRACE_MS", "soon"), ("EXEUNT_KEK", "x")];
        let error = load(Some(file), &env, &[("listen", "0.0.0.0:7700"), ("event_log", "kafka://broker")]);
        let error = error.unwrap_err();
        let mut said: Vec<_> = error.faults.iter().map(|f| f.to_string()).collect();
        said.sort();
        let begins = [
            "EXEUNT_KEK (EXEUNT_KEK): must be 32 bytes",
            "event_log (--event-log): must be",
            "event_store (EXEUNT_EVENT_STORE): must be",
            "limits.concurrency_max (",
            "limits.streams_max (",
            "listen (--listen): must be a loopback address",
            "listne (",
            "log (",
            "roster (",
            "shutdown_grace_ms (EXEUNT_SHUTDOWN_GRACE_MS): must be a whole number",
        ];
        assert_eq!(said.len(), begins.len(), "{error}");
        for (said, begin) in said.iter().zip(begins) {
            assert!(said.starts_with(begin), "{said:?} should begin {begin:?}");
        }
    }

    #[test]
    fn roles_are_words_with_commas_or_spaces_between() {
        let config = load(None, &[("EXEUNT_ROLES", "till, ledger  vault")], &[]).unwrap();
        assert_eq!(config.roles, ["till", "ledger", "vault"]);
    }

    #[test]
    fn the_key_encryption_key_stands_where_replicas_find_it() {
        let home = tempfile::tempdir().unwrap();
        let shared = home.path().join("shared");
        load(None, &[], &[("shared_dir", shared.to_str().unwrap())]).unwrap().kek().unwrap();
        assert!(shared.join("kek").exists());
    }

    #[test]
    fn a_log_filter_that_would_silence_the_rest_is_a_fault() {
        assert_eq!(faults(load(Some("log = \"loud,,\""), &[], &[])), ["log"]);
        assert_eq!(faults(load(None, &[("EXEUNT_LOG", "inof")], &[])), ["log"]);
        assert!(load(None, &[("EXEUNT_LOG", "warn,cancellation=debug")], &[]).is_ok());
    }

    #[test]
    fn an_address_that_others_reach_is_refused() {
        for wrong in ["0.0.0.0:7700", "192.168.1.1:1", "[::]:1", "7700", "host:1", ""] {
            assert_eq!(faults(load(None, &[], &[("listen", wrong)])), ["listen"], "{wrong}");
        }
        for right in ["127.0.0.1:0", "[::1]:7700", "127.8.8.8:1", "localhost:1"] {
            assert!(load(None, &[], &[("listen", right)]).is_ok(), "{right}");
        }
    }

    #[test]
    fn unknown_variables_are_warned_of() {
        let env = [("EXEUNT_LISTNE", "x"), ("EXEUNT_TEST_POSTGRES_URL", "x"), ("PATH", "x")];
        let config = load(None, &env, &[]).unwrap();
        assert_eq!(config.warnings, ["EXEUNT_LISTNE is not known and was passed over"]);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_fault() {
        let file = Some(PathBuf::from("/no/such.toml"));
        assert_eq!(faults(Config::load(Sources { file, ..Sources::default() })), ["config"]);
        assert_eq!(faults(load(Some("listen = "), &[], &[])), ["config"]);
    }

    #[test]
    fn the_key_encryption_key_comes_from_the_environment_or_a_file_and_does_not_print() {
        let home = tempfile::tempdir().unwrap();
        let text = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=";
        let given = load(None, &[("EXEUNT_KEK", text)], &[]).unwrap();
        given.kek().unwrap();
        assert!(!format!("{given:?}").contains(text));
        let path = home.path().join("elsewhere");
        load(None, &[("EXEUNT_KEK_FILE", path.to_str().unwrap())], &[]).unwrap().kek().unwrap();
        assert!(path.exists());
        let both = load(None, &[("EXEUNT_KEK", text), ("EXEUNT_KEK_FILE", "x")], &[]);
        assert_eq!(faults(both), ["EXEUNT_KEK"]);
    }
}
