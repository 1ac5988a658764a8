//! Chooses a log by its URL.

use std::{path::Path, sync::Arc};

use crate::{EmbeddedLog, EventLog, KafkaLog, LogError};

/// Opens `sqlite:<file>`, the embedded log, or `kafka://host:port[,host:port]`. Must be called within
/// a tokio runtime.
///
/// # Errors
/// [`LogError::Refused`] for another URL or one that makes no sense, [`LogError::Unavailable`] when
/// the file cannot be opened. A cluster is not asked yet.
pub async fn open_log(url: &str) -> Result<Arc<dyn EventLog>, LogError> {
    if let Some(file) = url.strip_prefix("sqlite:") {
        return Ok(Arc::new(EmbeddedLog::open(Path::new(file.trim_start_matches("//"))).await?));
    }
    if url.starts_with("kafka://") {
        return Ok(Arc::new(KafkaLog::open(url)?));
    }
    Err(LogError::Refused("an event log is sqlite:<file> or kafka://host:port".into()))
}
