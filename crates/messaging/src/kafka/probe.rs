//! Telling a cluster that does not let us in from one that is away.
//!
//! To librdkafka both are connections that fail, to be tried again for ever. What it says of each
//! failure reaches only a client that is polled, so a client of its own asks.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    metadata::Metadata,
    producer::{BaseProducer, DeliveryResult, Producer, ProducerContext},
};

use super::{classify, log, refused};
use crate::LogError;

/// An answer that takes longer is wondered at.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// How long a cluster that denied us may take to let us in after all: one of its brokers may just be starting.
const DENIED_FOR: Duration = Duration::from_secs(3);
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
/// What is asked about where it is only the answer that counts.
const NO_TOPIC: &str = "exeunt.probe";
/// How long one request waits, between two looks at what was said meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What it means that nothing is said.
const SILENCE: &str =
    "the brokers hang up without a word; does security.protocol say what their listener wants?";
/// How long what was said is taken in, one word after the other.
const HEAR_FOR: Duration = Duration::from_millis(20);

/// What was said last of connections that failed.
#[derive(Default)]
struct Said {
    /// That we are not let in, and since when.
    denied: Option<(Instant, String)>,
    failed: Option<String>,
}

/// Remembers what is said of connections.
#[derive(Clone, Default)]
pub(super) struct Listening(Arc<Mutex<Said>>);

impl ClientContext for Listening {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::Authentication
                | RDKafkaErrorCode::SSL
                | RDKafkaErrorCode::SaslAuthenticationFailed
                | RDKafkaErrorCode::UnsupportedSASLMechanism
                | RDKafkaErrorCode::ClusterAuthorizationFailed,
            ) => {
                let since = said.denied.as_ref().map_or_else(Instant::now, |(since, _)| *since);
                said.denied = Some((since, reason.to_owned()));
            }
            // That all are down says less than why each of them is.
            Some(RDKafkaErrorCode::AllBrokersDown) => {}
            _ => said.failed = Some(reason.to_owned()),
        }
    }
}

impl ProducerContext for Listening {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

pub(super) type Client = BaseProducer<Listening>;

/// A client of its own, which hears why connections fail.
pub(super) fn client(config: &ClientConfig) -> Result<Client, LogError> {
    config.create_with_context(Listening::default()).map_err(refused)
}

/// Asks the cluster about a topic. Blocks, at most for the time given.
pub(super) fn metadata(client: &Client, topic: &str, within: Duration) -> Result<Metadata, LogError> {
    let deadline = Instant::now() + within;
    loop {
        let error = match client.client().fetch_metadata(Some(topic), LOOK_EVERY) {
            Ok(metadata) => return Ok(metadata),
            Err(error) => error,
        };
        client.poll(HEAR_FOR);
        let said = client.context().0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, reason)) = &said.denied
            && since.elapsed() >= DENIED_FOR.min(within / 2)
        {
            return Err(LogError::Denied(reason.clone()));
        }
        if Instant::now() >= deadline {
            return Err(match &said.failed {
                Some(reason) => LogError::unavailable(reason.clone()),
                // Connections that are closed without a word are what a listener that demands encryption has for
                // those who do not encrypt.
                None if error.rdkafka_error_code() == Some(RDKafkaErrorCode::BrokerTransportFailure) => {
                    LogError::unavailable(SILENCE)
                }
                None => classify(error),
            });
        }
    }
}

/// Waits for an answer of the cluster. When it takes long or fails, another client finds out why; if
/// we are not let in, waiting has no use.
pub(super) async fn watching<T>(
    config: &ClientConfig,
    answer: impl Future<Output = Result<T, KafkaError>>,
) -> Result<T, LogError> {
    let mut answer = std::pin::pin!(answer);
    let early = match tokio::time::timeout(ANSWER_WITHIN, &mut answer).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => Some(error),
        Err(_) => None,
    };
    let client = client(config)?;
    let mut probe = tokio::task::spawn_blocking(move || metadata(&client, NO_TOPIC, PROBE_TIMEOUT));
    let failure = match early {
        Some(error) => error,
        None => tokio::select! {
            answer = &mut answer => match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            },
            found = &mut probe => return match found {
                Ok(Err(denied @ LogError::Denied(_))) => Err(denied),
                // A cluster that is only slow may answer yet.
                Ok(Err(reason)) => answer.await.map_err(|error| match classify(error) {
                    LogError::Unavailable(_) => reason,
                    refused => refused,
                }),
                Ok(Ok(_)) | Err(_) => answer.await.map_err(classify),
            },
        },
    };
    match classify(failure) {
        LogError::Unavailable(cause) => match probe.await {
            Ok(Err(reason)) => Err(reason),
            Ok(Ok(_)) | Err(_) => Err(LogError::Unavailable(cause)),
        },
        refused => Err(refused),
    }
}
