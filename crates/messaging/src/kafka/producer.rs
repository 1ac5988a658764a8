//! The producer: idempotent, one per process, its acknowledgements counted per publish.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer},
};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::{log, of_code, refused};
use crate::{
    LogError, Message,
    embedded::{RECORD_BYTES_MAX, size_of_message},
};

/// How much may be produced and not acknowledged, in kibibytes; more waits.
const UNACKED_KIB_MAX: u32 = 16 * 1024;
/// How many records librdkafka may hold; never reached before the bytes are.
const QUEUE_RECORDS_MAX: &str = "2000000";
/// How long a record may go unacknowledged before its publish fails.
const DELIVERY_TIMEOUT_MS: &str = "30000";
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// What a record costs on the way beside its bytes, roughly.
const RECORD_COST: usize = 128;

/// What is known of a publish under way. Each of its records holds it, and so does whoever waits.
struct Unacked {
    left: AtomicUsize,
    failure: OnceLock<LogError>,
    done: Notify,
    /// Its place in the bound on what is not acknowledged; free when the last record is.
    _place: OwnedSemaphorePermit,
}

impl Unacked {
    fn fail(&self, error: LogError) {
        // The first failure tells most.
        let _ = self.failure.set(error);
    }

    fn acknowledge(&self, records: usize) {
        if self.left.fetch_sub(records, Ordering::AcqRel) == records {
            self.done.notify_one();
        }
    }
}

struct Acknowledgements;

impl ClientContext for Acknowledgements {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka producer");
    }
}

impl ProducerContext for Acknowledgements {
    type DeliveryOpaque = Arc<Unacked>;

    fn delivery(&self, result: &DeliveryResult<'_>, publish: Arc<Unacked>) {
        if let Err((error, message)) = result {
            use rdkafka::Message as _;
            publish.fail(of_delivery(error, message.topic(), message.payload_len() + message.key_len()));
        }
        publish.acknowledge(1);
    }
}

type Native = ThreadedProducer<Acknowledgements>;

/// The producing side.
pub(super) struct Producing {
    config: ClientConfig,
    producer: Mutex<Arc<Native>>,
    places: Arc<Semaphore>,
}

impl Producing {
    pub(super) fn new(mut config: ClientConfig) -> Result<Self, LogError> {
        for (name, value) in [
            ("enable.idempotence", "true"),
            ("acks", "all"),
            // Batches form while the one before is under way.
            ("linger.ms", "0"),
            ("partitioner", "murmur2_random"),
            ("batch.num.messages", "10000"),
            ("batch.size", "1000000"),
            ("queue.buffering.max.messages", QUEUE_RECORDS_MAX),
        ] {
            config.set(name, value);
        }
        for (name, value) in [("message.timeout.ms", DELIVERY_TIMEOUT_MS), ("compression.type", "lz4")] {
            if config.get(name).is_none() {
                config.set(name, value);
            }
        }
        let producer = Mutex::new(Arc::new(create(&config)?));
        let places = Arc::new(Semaphore::new(UNACKED_KIB_MAX as usize));
        Ok(Self { config, producer, places })
    }

    /// Produces all, and waits for the last acknowledgement.
    pub(super) async fn publish(&self, messages: Vec<Message>) -> Result<(), LogError> {
        if messages.is_empty() {
            return Ok(());
        }
        let mut bytes = 0;
        for message in &messages {
            let size = size_of_message(message);
            if size > RECORD_BYTES_MAX {
                return Err(LogError::Oversize { bytes: size, limit: RECORD_BYTES_MAX });
            }
            bytes += size + RECORD_COST;
        }
        let wanted = u32::try_from(bytes / 1024 + 1).unwrap_or(UNACKED_KIB_MAX).min(UNACKED_KIB_MAX);
        // The places are handed out in the order asked, which keeps the order of publishes.
        let place = self.places.clone().acquire_many_owned(wanted).await;
        let place = place.map_err(|_| LogError::unavailable("the event log is closed"))?;
        let producer = self.producer()?;
        let count = messages.len();
        let publish = Arc::new(Unacked {
            left: AtomicUsize::new(count),
            failure: OnceLock::new(),
            done: Notify::new(),
            _place: place,
        });
        for (sent, message) in messages.iter().enumerate() {
            if let Err(error) = send(&producer, message, &publish) {
                publish.fail(of_delivery(&error, &message.topic, size_of_message(message)));
                publish.acknowledge(count - sent);
                break;
            }
        }
        publish.done.notified().await;
        publish.failure.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// The producer; a new one when it has failed for good, which ends its sequence of records.
    fn producer(&self) -> Result<Arc<Native>, LogError> {
        let mut producer = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((code, reason)) = producer.client().fatal_error() {
            tracing::warn!(%code, reason, "kafka producer is replaced");
            let failed = std::mem::replace(&mut *producer, Arc::new(create(&self.config)?));
            // Dropping it waits for its thread.
            std::thread::spawn(move || drop(failed));
        }
        Ok(producer.clone())
    }

    /// Waits, within a bound, until what was produced is acknowledged.
    pub(super) async fn close(&self) {
        self.places.close();
        let producer = self.producer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let flushed = tokio::task::spawn_blocking(move || producer.flush(CLOSE_TIMEOUT));
        if let Ok(Err(error)) = flushed.await {
            tracing::warn!(%error, "records were left unacknowledged at the close");
        }
    }
}

fn create(config: &ClientConfig) -> Result<Native, LogError> {
    config.create_with_context(Acknowledgements).map_err(refused)
}

fn send(producer: &Native, message: &Message, publish: &Arc<Unacked>) -> Result<(), KafkaError> {
    let mut headers = OwnedHeaders::new_with_capacity(message.headers.len());
    for (name, value) in &message.headers {
        headers = headers.insert(Header { key: name, value: Some(&**value) });
    }
    let mut record =
        BaseRecord::with_opaque_to(&message.topic, publish.clone()).key(&*message.key).headers(headers);
    if let Some(payload) = &message.payload {
        record = record.payload(&**payload);
    }
    producer.send(record).map_err(|(error, _)| error)
}

fn of_delivery(error: &KafkaError, topic: &str, bytes: usize) -> LogError {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => LogError::Oversize { bytes, limit: RECORD_BYTES_MAX },
        Some(code) => of_code(code, topic),
        None => LogError::unavailable(error.clone()),
    }
}
