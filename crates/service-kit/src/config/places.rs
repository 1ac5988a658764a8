//! Which engines to use, by URL.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::layers::Reader;

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
    },
}

impl fmt::Display for EventLogPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded { directory } => write!(f, "embedded:{}", directory.display()),
            Self::Kafka { brokers, prefix } if prefix.is_empty() => write!(f, "kafka://{brokers}"),
            Self::Kafka { brokers, prefix } => write!(f, "kafka://{brokers}/{prefix}"),
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
    EventStorePlace::Postgres { url: text }
}

pub(super) fn event_log(reader: &mut Reader, data_dir: &Path) -> EventLogPlace {
    let text = reader.text("event_log");
    if text.is_empty() {
        return EventLogPlace::Embedded { directory: data_dir.join("log") };
    }
    let place = text.strip_prefix("kafka://").unwrap_or_default();
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
    EventLogPlace::Kafka { brokers: brokers.into(), prefix: prefix.into() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Config, Sources};

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

    #[test]
    fn a_password_does_not_print() {
        let config = load("event_store", "postgres://me:s3cret@db/exeunt?password=s3cret").unwrap();
        assert!(!format!("{config:?} {}", config.event_store).contains("s3cret"));
    }
}
