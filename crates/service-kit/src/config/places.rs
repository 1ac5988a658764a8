//! Which engines to use, by URL.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::{
    layers::Reader,
    secret::{Secret, secret},
};

/// Where events are stored.
#[derive(Clone, PartialEq, Eq)]
pub enum EventStorePlace {
    /// SQLite, a file per service in this directory.
    Sqlite {
        /// The directory.
        directory: PathBuf,
    },
    /// PostgreSQL, or what speaks like it.
    Postgres {
        /// Its URL, which may hold a password.
        url: String,
    },
}

/// Says where, without the password.
impl fmt::Display for EventStorePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { directory } => write!(f, "sqlite:{}", directory.display()),
            Self::Postgres { url } => {
                let rest = url.split_once("://").map_or("", |(_, rest)| rest);
                let rest = rest.split('?').next().unwrap_or_default();
                write!(f, "postgres://{}", rest.rsplit('@').next().unwrap_or_default())
            }
        }
    }
}

impl fmt::Debug for EventStorePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Longest prefix of topics.
const PREFIX_LENGTH_MAX: usize = 64;

/// What carries messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventLogPlace {
    /// The embedded log, in this directory.
    Embedded {
        /// The directory.
        directory: PathBuf,
    },
    /// Apache Kafka.
    Kafka {
        /// Its brokers, `host:port` with commas between.
        brokers: String,
        /// Stands before the names of topics and groups, where several installations share a
        /// cluster; empty for none.
        prefix: String,
        /// librdkafka's, `name=value` joined by `&`; none of them is a secret.
        settings: String,
        /// The password of `sasl.username`.
        password: Option<Secret>,
    },
}

impl EventLogPlace {
    /// Its URL, as messaging opens it; without the password.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Embedded { directory } => format!("sqlite:{}", directory.join("log.db").display()),
            Self::Kafka { settings, .. } if settings.is_empty() => self.to_string(),
            Self::Kafka { settings, .. } => format!("{self}?{settings}"),
        }
    }
}

impl fmt::Display for EventLogPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded { directory } => write!(f, "embedded:{}", directory.display()),
            Self::Kafka { brokers, prefix, .. } if prefix.is_empty() => write!(f, "kafka://{brokers}"),
            Self::Kafka { brokers, prefix, .. } => write!(f, "kafka://{brokers}/{prefix}"),
        }
    }
}

pub(super) fn event_store(reader: &mut Reader, data_dir: &Path) -> EventStorePlace {
    let text = reader.text("event_store");
    if text.is_empty() {
        return EventStorePlace::Sqlite { directory: data_dir.join("store") };
    }
    if let Some(directory) = text.strip_prefix("sqlite:").filter(|directory| !directory.is_empty()) {
        return EventStorePlace::Sqlite { directory: directory.into() };
    }
    let after = |scheme| text.strip_prefix(scheme).filter(|rest: &&str| !rest.is_empty());
    if after("postgres://").or_else(|| after("postgresql://")).is_none() {
        reader.fault("event_store", "must be sqlite:<directory> or postgres://user@host:port/database");
    }
    let password = secret(reader, "EXEUNT_POSTGRES_PASSWORD");
    let (address, query) = text.split_once('?').unwrap_or((&text, ""));
    let name = |part: &str| part.split('=').next().unwrap_or_default().to_owned();
    let names: Vec<String> = query.split('&').filter(|part| !part.is_empty()).map(name).collect();
    if names.iter().any(|name| !POSTGRES_SETTINGS.contains(&name.as_str())) {
        let known = POSTGRES_SETTINGS.join(", ");
        reader.fault("event_store", &format!("has a setting that is none of {known}"));
    }
    let authority =
        address.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
    let has_password = authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
        || names.iter().any(|name| name == "password");
    if has_password && reader.is_flag("event_store") {
        reader.fault(
            "event_store",
            "must not hold a password as an argument: set EXEUNT_POSTGRES_PASSWORD_FILE",
        );
    }
    if has_password && password.is_some() {
        reader.fault("event_store", "must not hold a password beside EXEUNT_POSTGRES_PASSWORD");
    }
    EventStorePlace::Postgres { url: with_password(&text, password.as_ref()) }
}

/// The settings that a URL of PostgreSQL may carry; what it does not know, the client would print.
const POSTGRES_SETTINGS: [&str; 9] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "user",
    "password",
    "application_name",
    "options",
    "statement-cache-capacity",
];

/// The URL with the password behind the user's name.
fn with_password(url: &str, password: Option<&Secret>) -> String {
    let (Some(password), Some((scheme, rest))) = (password, url.split_once("://")) else { return url.into() };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, after) = rest.split_at(end);
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let escaped: String = password.expose().bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("{scheme}://{user}:{escaped}@{host}{after}")
}

pub(super) fn event_log(reader: &mut Reader, data_dir: &Path) -> EventLogPlace {
    let text = reader.text("event_log");
    if text.is_empty() {
        return EventLogPlace::Embedded { directory: data_dir.join("log") };
    }
    let password = secret(reader, "EXEUNT_KAFKA_PASSWORD");
    let place = text.strip_prefix("kafka://").unwrap_or_default();
    let (place, settings) = place.split_once('?').unwrap_or((place, ""));
    let (brokers, prefix) = place.split_once('/').unwrap_or((place, ""));
    let is_broker = |broker: &str| {
        broker
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0))
    };
    if !brokers.split(',').all(is_broker) {
        reader.fault("event_log", "must be kafka://host:port, more of host:port with commas between");
    }
    let is_prefix = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if prefix.len() > PREFIX_LENGTH_MAX || !prefix.bytes().all(is_prefix) {
        reader.fault("event_log", "may end with a prefix of at most 64 letters, digits, _ and -");
    }
    for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
        let Some((name, value)) = setting.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            reader.fault("event_log", "may carry settings as name=value, with & between");
            continue;
        };
        if SECRETS.iter().any(|secret| name.contains(secret)) {
            reader.fault("event_log", "must not hold a secret: set EXEUNT_KAFKA_PASSWORD_FILE");
        }
        if name.ends_with(".location") && !Path::new(value).is_file() {
            reader.fault("event_log", &format!("{name} must be a file that exists"));
        }
    }
    EventLogPlace::Kafka {
        brokers: brokers.into(),
        prefix: prefix.into(),
        settings: settings.into(),
        password,
    }
}

/// Parts of the names of librdkafka's settings whose values are secrets.
const SECRETS: [&str; 5] = ["password", "secret", "key.pem", "jaas", "token"];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{
        super::{Config, Sources},
        *,
    };

    fn load(key: &str, url: &str) -> Option<Config> {
        let flags = BTreeMap::from([(key.into(), url.into())]);
        Config::load(Sources { flags, ..Sources::default() }).ok()
    }

    #[test]
    fn engines_are_chosen_by_url() {
        let store = |url| load("event_store", url).map(|config| config.event_store.to_string());
        assert_eq!(store("sqlite:/var/lib/exeunt").unwrap(), "sqlite:/var/lib/exeunt");
        assert_eq!(store("postgres://me@db:5432/exeunt").unwrap(), "postgres://db:5432/exeunt");
        let log = |url| load("event_log", url).map(|config| config.event_log.to_string());
        assert_eq!(log("kafka://a:9092,b:9092").unwrap(), "kafka://a:9092,b:9092");
        assert_eq!(log("kafka://[::1]:9092").unwrap(), "kafka://[::1]:9092");
        assert_eq!(log("kafka://a:9092/blue").unwrap(), "kafka://a:9092/blue");
        for wrong in ["sqlite:", "mysql://x", "postgres://", "/tmp"] {
            assert!(store(wrong).is_none(), "{wrong}");
        }
        for wrong in [
            "kafka://",
            "kafka://a",
            "kafka://a:0",
            "kafka://a:1,",
            "kafka://a:1/b/c",
            "a:9092",
            "kafka://:1",
        ] {
            assert!(log(wrong).is_none(), "{wrong}");
        }
    }

    fn with(pairs: &[(&str, &str)]) -> Result<Config, String> {
        let environment = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Config::load(Sources { environment, ..Sources::default() }).map_err(|error| error.to_string())
    }

    const KAFKA: &str = "kafka://a:9092/blue?security.protocol=SASL_SSL&sasl.username=me";

    #[test]
    fn a_password_does_not_print() {
        let config =
            with(&[("EXEUNT_EVENT_STORE", "postgres://me:s3cret@db/exeunt?password=s3cret")]).unwrap();
        assert!(!format!("{config:?} {}", config.event_store).contains("s3cret"));
        let config = with(&[("EXEUNT_EVENT_LOG", KAFKA), ("EXEUNT_KAFKA_PASSWORD", "s3cret")]).unwrap();
        assert!(!format!("{config:?} {} {}", config.event_log, config.event_log.url()).contains("s3cret"));
        assert_eq!(config.event_log.to_string(), "kafka://a:9092/blue");
        assert_eq!(config.event_log.url(), KAFKA);
    }

    #[test]
    fn passwords_come_from_the_environment_or_from_files() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("password");
        std::fs::write(&file, "p@ss wörd\n").unwrap();
        let file = file.to_str().unwrap();
        let config = with(&[
            ("EXEUNT_EVENT_STORE", "postgres://me@db:1/exeunt?sslmode=verify-full"),
            ("EXEUNT_POSTGRES_PASSWORD_FILE", file),
            ("EXEUNT_EVENT_LOG", KAFKA),
            ("EXEUNT_KAFKA_PASSWORD_FILE", file),
        ]);
        let config = config.unwrap();
        let EventLogPlace::Kafka { password: Some(password), .. } = config.event_log else { panic!() };
        assert_eq!(password.expose(), "p@ss wörd");
        let EventStorePlace::Postgres { url } = config.event_store else { panic!() };
        assert_eq!(url, "postgres://me:%70%40%73%73%20%77%C3%B6%72%64@db:1/exeunt?sslmode=verify-full");
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    }

    #[test]
    fn secrets_are_refused_where_they_would_be_seen() {
        let store = |url| load("event_store", url).is_some();
        assert!(store("postgres://me@db/exeunt?sslmode=require"));
        assert!(!store("postgres://me:s3cret@db/exeunt"));
        assert!(!store("postgres://me@db/exeunt?password=s3cret"));
        assert!(!store("postgres://me@db/exeunt?pasword=s3cret"));
        let log = |url| load("event_log", url).is_some();
        assert!(log(KAFKA));
        assert!(!log("kafka://a:9092?sasl.password=s3cret"));
        assert!(!log("kafka://a:9092?ssl.key.password=s3cret"));
        assert!(!log("kafka://a:9092?nothing"));
        assert!(!log("kafka://a:9092?ssl.ca.location=/no/such/file"));
        for twice in [
            [
                ("EXEUNT_EVENT_LOG", KAFKA),
                ("EXEUNT_KAFKA_PASSWORD", "s3cret"),
                ("EXEUNT_KAFKA_PASSWORD_FILE", "x"),
            ],
            [
                ("EXEUNT_EVENT_LOG", KAFKA),
                ("EXEUNT_KAFKA_PASSWORD", ""),
                ("EXEUNT_KAFKA_PASSWORD_FILE", "/no/file"),
            ],
        ] {
            let error = with(&twice).unwrap_err();
            assert!(error.contains("EXEUNT_KAFKA_PASSWORD") && !error.contains("s3cret"), "{error}");
        }
    }
}
