//! The event log on Apache Kafka, through librdkafka.
//!
//! One idempotent producer per process; one consumer and one thread per subscription. Offsets are the
//! database's: what Kafka is told of them only serves the tools that show lag.

mod declaring;
mod extent;
mod group;
mod membership;
mod native;
mod probe;
mod producer;
mod reader;
mod thread;
mod topics;

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use rdkafka::{
    ClientConfig, ClientContext,
    admin::{AdminClient, AdminOptions},
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
};

use self::{producer::Producing, reader::Reader};
use crate::{
    ConsumedLog, EventLog, Extent, LogError, LogOptions, Message, Subscription, TopicDifference,
    TopicSettings, TopicSpec,
};

/// How long creating and deleting topics may take.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(15);

/// An event log on a Kafka cluster.
pub struct KafkaLog {
    config: ClientConfig,
    producing: Producing,
    admin: AdminClient<Logged>,
    topics: TopicSettings,
    readers: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

impl KafkaLog {
    /// The cluster of `kafka://host:port[,host:port]`. What follows a `?`, as `name=value` joined by
    /// `&`, is given to librdkafka as it stands (`security.protocol=ssl`). Nothing is connected yet.
    ///
    /// # Errors
    /// [`LogError::Refused`] when the URL or its settings make no sense.
    pub fn open(url: &str) -> Result<Self, LogError> {
        Self::open_with(url, LogOptions::default())
    }

    /// The same with what does not stand in a URL.
    ///
    /// # Errors
    /// As for [`KafkaLog::open`].
    pub fn open_with(url: &str, options: LogOptions) -> Result<Self, LogError> {
        let LogOptions { password, topics } = options;
        let mut config = config(url)?;
        if let Some(password) = password {
            config.set("sasl.password", password);
        }
        let admin = config.create_with_context(Logged).map_err(refused)?;
        let producing = Producing::new(config.clone())?;
        Ok(Self { config, producing, admin, topics, readers: Mutex::default() })
    }
}

#[async_trait]
impl EventLog for KafkaLog {
    async fn declare(&self, topics: &[TopicSpec]) -> Result<(), LogError> {
        let wanted = self.wanted(topics);
        let there = self.create(&wanted).await?;
        for difference in self.differences(&there).await? {
            tracing::warn!(
                topic = &*difference.topic,
                setting = %difference.setting,
                is = difference.is,
                should_be = difference.should_be,
                "a topic is not as it should be; see `exeunt topics plan`"
            );
        }
        Ok(())
    }

    async fn compare(&self, topics: &[TopicSpec]) -> Result<Vec<TopicDifference>, LogError> {
        self.differences(&self.wanted(topics)).await
    }

    async fn apply(
        &self,
        topics: &[TopicSpec],
        add_partitions: bool,
    ) -> Result<Vec<TopicDifference>, LogError> {
        let wanted = self.wanted(topics);
        let there = self.create(&wanted).await?;
        self.alter(&there, add_partitions).await?;
        self.differences(&there).await
    }

    async fn publish(&self, messages: Vec<Message>) -> Result<(), LogError> {
        self.producing.publish(messages).await
    }

    async fn extents(&self, topic: &str) -> Result<Vec<Extent>, LogError> {
        self.extents_of(topic.into()).await
    }

    async fn subscribe(&self, subscription: Subscription) -> Result<Box<dyn ConsumedLog>, LogError> {
        let (reader, thread) = Reader::join(&self.config, subscription)?;
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|reader| !reader.is_finished());
        readers.push(thread);
        Ok(Box::new(reader))
    }

    async fn delete(&self, topic: &str) -> Result<(), LogError> {
        let deleted = self.admin.delete_topics(&[topic], &admin_options()).await.map_err(classify)?;
        for result in deleted {
            match result {
                Ok(_)
                | Err((_, RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
                Err((topic, code)) => return Err(of_code(code, &topic)),
            }
        }
        Ok(())
    }

    async fn close(&self) {
        self.producing.close().await;
        let readers = std::mem::take(&mut *self.readers.lock().unwrap_or_else(PoisonError::into_inner));
        // Readers that are dropped end soon; those that are still held end with their holders.
        let ended = tokio::task::spawn_blocking(move || {
            readers
                .into_iter()
                .filter(std::thread::JoinHandle::is_finished)
                .for_each(|reader| drop(reader.join()));
        });
        drop(ended.await);
    }
}

fn admin_options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ADMIN_TIMEOUT)).operation_timeout(Some(ADMIN_TIMEOUT))
}

/// What every client of ours is told.
fn config(url: &str) -> Result<ClientConfig, LogError> {
    let rest = url
        .strip_prefix("kafka://")
        .ok_or_else(|| LogError::Refused("a URL of Kafka begins with kafka://".into()))?;
    let (brokers, settings) = rest.split_once('?').unwrap_or((rest, ""));
    if brokers.is_empty() {
        return Err(LogError::Refused("a URL of Kafka names at least one host:port".into()));
    }
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers.trim_end_matches('/'))
        .set("client.id", "exeunt")
        .set("socket.nagle.disable", "true")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "1000")
        .set("allow.auto.create.topics", "false")
        .set_log_level(RDKafkaLogLevel::Warning);
    for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
        let (name, value) = setting
            .split_once('=')
            .ok_or_else(|| LogError::Refused("a setting of Kafka's URL has no value".into()))?;
        config.set(name, value);
    }
    Ok(config)
}

/// Brings librdkafka's own words into our log.
pub(crate) struct Logged;

impl ClientContext for Logged {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka client");
    }
}

fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => {
            // What matters of it comes back as the result of a call.
            tracing::warn!(facility, message, "kafka client");
        }
        _ => tracing::debug!(facility, message, "kafka client"),
    }
}

fn refused(error: KafkaError) -> LogError {
    LogError::Refused(error.to_string())
}

/// Whether an error may pass.
fn classify(error: KafkaError) -> LogError {
    match error.rdkafka_error_code() {
        Some(code) => of_code(code, ""),
        None => LogError::unavailable(error),
    }
}

/// What an error code means for whoever publishes or administers.
fn of_code(code: RDKafkaErrorCode, topic: &str) -> LogError {
    match code {
        RDKafkaErrorCode::UnknownTopic
        | RDKafkaErrorCode::UnknownTopicOrPartition
        | RDKafkaErrorCode::UnknownPartition
        | RDKafkaErrorCode::InvalidTopic
        | RDKafkaErrorCode::TopicAuthorizationFailed
        | RDKafkaErrorCode::GroupAuthorizationFailed
        | RDKafkaErrorCode::ClusterAuthorizationFailed
        | RDKafkaErrorCode::InvalidPartitions
        | RDKafkaErrorCode::InvalidReplicationFactor
        | RDKafkaErrorCode::InvalidConfig
        | RDKafkaErrorCode::PolicyViolation => {
            LogError::Refused(format!("{code} {topic}").trim_end().to_owned())
        }
        code => LogError::unavailable(KafkaError::AdminOp(code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_brokers_and_may_carry_settings() {
        let config = config("kafka://a:1,b:2?security.protocol=ssl&client.id=x").unwrap();
        assert_eq!(config.get("bootstrap.servers"), Some("a:1,b:2"));
        assert_eq!(config.get("security.protocol"), Some("ssl"));
        assert_eq!(config.get("client.id"), Some("x"));
    }

    #[test]
    fn a_url_without_brokers_is_refused() {
        for wrong in ["kafka://", "kafka://?a=b", "kafka://a:1?x", "http://a"] {
            assert!(matches!(super::config(wrong), Err(LogError::Refused(_))), "{wrong}");
        }
    }
}
