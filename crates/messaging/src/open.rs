//! Chooses a log by its URL.

use std::{path::Path, sync::Arc};

use crate::{EmbeddedLog, EventLog, KafkaLog, LogError, TopicSettings, namespace::Namespaced};

/// What a log is told that does not stand in its URL.
#[derive(Clone, Default)]
pub struct LogOptions {
    /// The password of `sasl.username`. It is never printed.
    pub password: Option<String>,
    /// What topics are to be like.
    pub topics: TopicSettings,
}

/// [`open_log_with`] without any options.
///
/// # Errors
/// As there.
pub async fn open_log(url: &str) -> Result<Arc<dyn EventLog>, LogError> {
    open_log_with(url, LogOptions::default()).await
}

/// Opens `sqlite:<file>`, the embedded log, or `kafka://host:port[,host:port][/prefix][?settings]`,
/// where the prefix stands before the names of topics and groups, and the settings are as
/// [`KafkaLog::open`] takes them. Must be called within a tokio runtime.
///
/// # Errors
/// [`LogError::Refused`] for another URL or one that makes no sense, [`LogError::Unavailable`] when
/// the file cannot be opened. A cluster is not asked yet.
pub async fn open_log_with(url: &str, options: LogOptions) -> Result<Arc<dyn EventLog>, LogError> {
    if let Some(file) = url.strip_prefix("sqlite:") {
        return Ok(Arc::new(EmbeddedLog::open(Path::new(file.trim_start_matches("//"))).await?));
    }
    if let Some(place) = url.strip_prefix("kafka://") {
        let (place, settings) = place.split_once('?').unwrap_or((place, ""));
        let (brokers, prefix) = place.split_once('/').unwrap_or((place, ""));
        let log = KafkaLog::open_with(&format!("kafka://{brokers}?{settings}"), options)?;
        return match prefix {
            "" => Ok(Arc::new(log)),
            prefix if is_prefix(prefix) => {
                Ok(Arc::new(Namespaced { inner: Arc::new(log), prefix: prefix.to_owned() }))
            }
            _ => Err(LogError::Refused(
                "a prefix of topics consists of at most 64 letters, digits, _ and -".into(),
            )),
        };
    }
    Err(LogError::Refused("an event log is sqlite:<file> or kafka://host:port[/prefix]".into()))
}

/// Whether topics may have this before their names.
fn is_prefix(text: &str) -> bool {
    text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}
