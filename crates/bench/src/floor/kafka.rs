//! The floor's Kafka: one producer with a window of batches, readers on threads of their own.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use rdkafka::{
    ClientConfig, ClientContext, Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    producer::{BaseRecord, DeliveryResult, ProducerContext, ThreadedProducer},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::pulse::Id;
use crate::unit::UNITS;

/// The topics: the participants' instructions, acknowledgements, facts.
pub const ACKNOWLEDGEMENTS: usize = UNITS;
pub const FACTS: usize = UNITS + 1;
const TOPICS: usize = UNITS + 2;
/// Each partition costs a request a batch: instructions of one participant have one reader anyway.
const INSTRUCTION_PARTITIONS: i32 = 1;
const PARTITIONS: i32 = 8;
/// Batches produced and not acknowledged; more wait.
const WINDOW: usize = 8;
/// How long a reader that finds nothing waits before it looks whether anybody still wants to know.
const LOOK: Duration = Duration::from_millis(100);

/// What cannot be told where it happens.
#[derive(Clone, Default)]
pub struct Failure(Arc<Mutex<Option<String>>>);

impl Failure {
    fn set(&self, what: impl ToString) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| what.to_string());
    }

    pub fn check(&self) -> Result<()> {
        let failure = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failure.as_ref().map_or(Ok(()), |what| Err(anyhow!("{what}")))
    }
}

/// The topics of one run.
#[derive(Clone)]
pub struct Topics {
    brokers: String,
    names: Arc<[String]>,
}

impl Topics {
    pub async fn create(brokers: &str, prefix: &str) -> Result<Self> {
        let names = (0..TOPICS).map(|number| format!("{prefix}.floor.{number}")).collect();
        let topics = Self { brokers: brokers.to_owned(), names };
        let specs: Vec<_> = (0..TOPICS)
            .map(|number| {
                NewTopic::new(&topics.names[number], partitions(number), TopicReplication::Fixed(1))
            })
            .collect();
        for made in topics.admin()?.create_topics(&specs, &AdminOptions::new()).await? {
            made.map_err(|(topic, code)| anyhow!("topic {topic} cannot be made: {code}"))?;
        }
        Ok(topics)
    }

    pub async fn delete(&self) -> Result<()> {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        for gone in self.admin()?.delete_topics(&names, &AdminOptions::new()).await? {
            gone.map_err(|(topic, code)| anyhow!("topic {topic} cannot be deleted: {code}"))?;
        }
        Ok(())
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        Ok(self.config().create()?)
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        config
    }
}

fn partitions(topic: usize) -> i32 {
    if topic < ACKNOWLEDGEMENTS { INSTRUCTION_PARTITIONS } else { PARTITIONS }
}

struct Deliveries(Failure);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    /// The batch's place in the window: free when its last record is acknowledged.
    type DeliveryOpaque = Arc<OwnedSemaphorePermit>;

    fn delivery(&self, result: &DeliveryResult<'_>, _place: Arc<OwnedSemaphorePermit>) {
        if let Err((error, _)) = result {
            self.0.set(error);
        }
    }
}

/// A topic, the key, the payload.
pub type Message<'p> = (usize, Id, &'p [u8]);

/// Produces.
#[derive(Clone)]
pub struct Sender {
    producer: Arc<ThreadedProducer<Deliveries>>,
    places: Arc<Semaphore>,
    topics: Topics,
}

impl Sender {
    pub fn new(topics: &Topics, failure: &Failure) -> Result<Self> {
        let mut config = topics.config();
        for (name, value) in [
            ("acks", "all"),
            ("enable.idempotence", "true"),
            ("linger.ms", "0"),
            ("batch.num.messages", "10000"),
            ("batch.size", "1000000"),
            ("queue.buffering.max.messages", "1000000"),
        ] {
            config.set(name, value);
        }
        let producer = config.create_with_context(Deliveries(failure.clone()))?;
        let places = Arc::new(Semaphore::new(WINDOW));
        Ok(Self { producer: Arc::new(producer), places, topics: topics.clone() })
    }

    /// Queues a batch, when there is a place for it.
    pub async fn send(&self, messages: Vec<Message<'_>>) -> Result<()> {
        let place = Arc::new(self.places.clone().acquire_owned().await?);
        for (topic, id, payload) in messages {
            let key = id.to_bytes();
            let partition = (id.number % partitions(topic) as u64) as i32;
            let record = BaseRecord::with_opaque_to(&self.topics.names[topic], place.clone());
            let record = record.key(&key).payload(payload).partition(partition);
            self.producer.send(record).map_err(|(error, _)| error)?;
        }
        Ok(())
    }
}

/// What was there at once.
pub struct Batch {
    pub ids: Vec<Id>,
    /// The next offset of each partition.
    pub next: Vec<i64>,
}

/// Reads the `number`th of `of` shares of a topic's partitions on a thread, one batch ahead, until
/// nobody listens any more.
pub fn read(
    topics: &Topics,
    topic: usize,
    (number, of): (i32, i32),
    max: usize,
    failure: &Failure,
) -> Result<mpsc::Receiver<Batch>> {
    let mut config = topics.config();
    for (name, value) in [
        ("group.id", "unused"),
        ("enable.auto.commit", "false"),
        ("fetch.queue.backoff.ms", "1"),
        ("queued.min.messages", "20000"),
    ] {
        config.set(name, value);
    }
    let consumer: BaseConsumer = config.create()?;
    let mut assignment = TopicPartitionList::new();
    for partition in (0..partitions(topic)).filter(|partition| partition % of == number) {
        assignment.add_partition_offset(&topics.names[topic], partition, Offset::Beginning)?;
    }
    consumer.assign(&assignment)?;
    let (batches, receiver) = mpsc::channel(1);
    let failure = failure.clone();
    let mut next = vec![0; partitions(topic) as usize];
    std::thread::Builder::new().name(format!("floor-{topic}-{number}")).spawn(move || {
        loop {
            match gather(&consumer, max, &mut next) {
                Ok(ids) if ids.is_empty() && batches.is_closed() => return,
                Ok(ids) if ids.is_empty() => {}
                Ok(ids) => {
                    if batches.blocking_send(Batch { ids, next: next.clone() }).is_err() {
                        return;
                    }
                }
                Err(error) => return failure.set(format!("{error:#}")),
            }
        }
    })?;
    Ok(receiver)
}

/// What is there, at most so many; empty when nothing comes for a while.
fn gather(consumer: &BaseConsumer, max: usize, next: &mut [i64]) -> Result<Vec<Id>> {
    let mut ids = Vec::with_capacity(max);
    let mut wait = LOOK;
    let mut bytes = 0;
    while ids.len() < max
        && let Some(message) = consumer.poll(wait)
    {
        let message = message?;
        wait = Duration::ZERO;
        let key = message.key().unwrap_or_default();
        ids.push(Id::from_bytes(key).context("a key is no id")?);
        bytes += message.payload().unwrap_or_default().to_vec().len();
        next[message.partition() as usize] = message.offset() + 1;
    }
    if !ids.is_empty() && bytes == 0 {
        bail!("messages have no payload");
    }
    Ok(ids)
}
