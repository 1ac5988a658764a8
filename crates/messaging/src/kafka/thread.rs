//! The consumer's thread: polls, keeps the member alive, and passes on what comes.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc as std_mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use event_store::LogOffset;
use rdkafka::{
    ClientConfig, ClientContext, Message, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, Headers},
    types::RDKafkaRespErr,
};
use tokio::{runtime::Handle, sync::mpsc};
use types::Timestamp;

use super::{log, of_code, refused, topic_id::topic_ids};
use crate::{Assignment, LogError, Record, Subscription, cloud_event::header_name};

/// A partition.
pub(super) type Place = (Arc<str>, i32);

/// Records and bytes of a batch.
const BATCH_RECORDS_MAX: usize = 1000;
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a poll waits while nothing else is to be done, and while a command is awaited.
const POLL_IDLE: Duration = Duration::from_millis(100);
const POLL_SOON: Duration = Duration::from_millis(5);
/// How long the thread waits for its reader before it pauses the partitions and polls on, so that
/// the group does not take it for dead. Kafka's limit is `max.poll.interval.ms`, 5 min.
const FULL_MAX: Duration = Duration::from_secs(30);
const FULL_LOOK: Duration = Duration::from_millis(200);
/// How often offsets are told to Kafka, and topics asked for their UUIDs.
const HINT_INTERVAL: Duration = Duration::from_secs(1);
const TOPIC_INTERVAL: Duration = Duration::from_secs(2);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What the reader gets.
pub(super) enum Event {
    Records(Vec<Record>),
    Assigned { number: u64, partitions: Vec<Assignment> },
    Revoked(Vec<Place>),
    Sought(Place),
    Failed(LogError),
}

/// What the thread is told.
pub(super) enum Command {
    Assign { number: u64, starts: Vec<(Place, Option<i64>)> },
    Seek { place: Place, offset: Option<i64> },
    Hint(Vec<LogOffset>),
}

/// A rebalance, as the group told it.
enum Change {
    Assigned(Vec<Place>),
    Revoked(Vec<Place>),
}

/// Takes note of rebalances; they happen within a poll.
struct Membership {
    topics: Vec<Arc<str>>,
    changes: Mutex<VecDeque<Change>>,
}

impl Membership {
    fn places(&self, list: &TopicPartitionList) -> Vec<Place> {
        let place = |topic: &str, partition| {
            Some((self.topics.iter().find(|known| ***known == *topic)?.clone(), partition))
        };
        list.elements().iter().filter_map(|element| place(element.topic(), element.partition())).collect()
    }
}

impl ClientContext for Membership {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka consumer");
    }
}

impl ConsumerContext for Membership {
    /// Revoked partitions are left at once. Assigned ones are taken over later, when each has its
    /// start: the group waits for that, and polls go on meanwhile.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let places = self.places(list);
        let (done, change) = match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS if places.is_empty() => {
                (consumer.incremental_assign(list), None)
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => (Ok(()), Some(Change::Assigned(places))),
            _ => {
                // Those that were never taken over cannot be left.
                let taken = consumer.assignment().map(|taken| self.places(&taken)).unwrap_or_default();
                let left =
                    places.iter().filter(|place| taken.contains(place)).map(|place| (place, Offset::Invalid));
                (
                    list_of(left).and_then(|left| consumer.incremental_unassign(&left)),
                    Some(Change::Revoked(places)),
                )
            }
        };
        if let Err(error) = done {
            tracing::warn!(%error, "kafka consumer could not change its assignment");
        }
        if let Some(change) = change {
            self.changes.lock().unwrap_or_else(PoisonError::into_inner).push_back(change);
        }
    }
}

fn list_of<'a>(places: impl Iterator<Item = (&'a Place, Offset)>) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    for ((topic, partition), offset) in places {
        list.add_partition_offset(topic, *partition, offset)?;
    }
    Ok(list)
}

/// The thread of one subscription.
pub(super) struct ConsumerThread {
    consumer: BaseConsumer<Membership>,
    subscription: Subscription,
    events: mpsc::Sender<Event>,
    commands: std_mpsc::Receiver<Command>,
    stop: Arc<AtomicBool>,
    runtime: Handle,
    /// Assignments that the reader has not started yet.
    waiting: HashMap<u64, Vec<Place>>,
    numbers: u64,
    /// What is read: which life of the topic, and the next offset.
    reading: HashMap<Place, (Arc<str>, Option<i64>)>,
    hints: HashMap<Place, i64>,
    hinted: Instant,
    looked: Instant,
    ended: bool,
}

impl ConsumerThread {
    /// Joins the group and starts the thread. Must be called within a tokio runtime.
    pub(super) fn start(
        config: &ClientConfig,
        subscription: Subscription,
        events: mpsc::Sender<Event>,
        commands: std_mpsc::Receiver<Command>,
        stop: Arc<AtomicBool>,
    ) -> Result<JoinHandle<()>, LogError> {
        let consumer = connect(config, &subscription)?;
        let now = Instant::now();
        let thread = Self {
            consumer,
            subscription,
            events,
            commands,
            stop,
            runtime: Handle::current(),
            waiting: HashMap::new(),
            numbers: 0,
            reading: HashMap::new(),
            hints: HashMap::new(),
            hinted: now,
            looked: now,
            ended: false,
        };
        let name = "kafka-consumer".to_owned();
        std::thread::Builder::new().name(name).spawn(move || thread.run()).map_err(LogError::unavailable)
    }

    fn run(mut self) {
        while !self.stop.load(Ordering::Acquire) && !self.ended {
            self.obey();
            self.tell_changes();
            let wait = if self.waiting.is_empty() { POLL_IDLE } else { POLL_SOON };
            self.poll(wait);
            self.tell_hints();
            self.look_at_topics();
        }
        // A group that waits for its assignment to be taken over cannot be closed.
        if !self.waiting.is_empty() {
            drop(self.consumer.incremental_assign(&TopicPartitionList::new()));
        }
    }

    /// Polls once, takes what else is there, and passes it on.
    fn poll(&mut self, wait: Duration) {
        let (mut records, mut bytes, mut wait) = (Vec::new(), 0, wait);
        loop {
            let failed = match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    let topic = self.subscription.topics.iter().find(|topic| ***topic == *message.topic());
                    if let Some(topic) = topic {
                        bytes += message.payload_len() + message.key_len();
                        records.push(record(&message, topic));
                    }
                    None
                }
                Some(Err(error)) => Some(error),
            };
            if let Some(error) = failed {
                self.deliver(std::mem::take(&mut records));
                return self.failed(&error);
            }
            if records.len() >= BATCH_RECORDS_MAX || bytes >= BATCH_BYTES_MAX {
                break;
            }
            wait = Duration::ZERO;
        }
        self.deliver(records);
    }

    /// Passes records on. Those of a partition that was sought or taken away meanwhile are not from
    /// before: librdkafka drops what it had fetched.
    fn deliver(&mut self, records: Vec<Record>) {
        for record in &records {
            if let Some((_, next)) = self.reading.get_mut(&(record.topic.clone(), record.partition)) {
                *next = Some(record.offset + 1);
            }
        }
        if !records.is_empty() {
            self.send(Event::Records(records));
        }
    }

    /// Waits for a place in the channel. When that takes long, the partitions are paused and polled on.
    fn send(&mut self, event: Event) {
        let since = Instant::now();
        let mut paused = None;
        let events = self.events.clone();
        let place = loop {
            if self.stop.load(Ordering::Acquire) {
                break None;
            }
            let reserve = async { tokio::time::timeout(FULL_LOOK, events.reserve()).await };
            match self.runtime.block_on(reserve) {
                Ok(Ok(place)) => break Some(place),
                Ok(Err(_)) => {
                    self.ended = true;
                    break None;
                }
                Err(_) if since.elapsed() < FULL_MAX => {}
                Err(_) => {
                    if paused.is_none() {
                        paused = self.consumer.assignment().ok();
                        paused.as_ref().map(|list| self.consumer.pause(list));
                    }
                    // Rebalances are noted in here. A record that slips through is sought again below.
                    if let Some(Ok(message)) = self.consumer.poll(Duration::ZERO) {
                        tracing::debug!(offset = message.offset(), "a paused partition gave a record");
                    }
                }
            }
        };
        if let Some(place) = place {
            place.send(event);
        }
        if paused.is_some() {
            self.read_on();
        }
    }

    /// Reads again after a pause, from just where each partition stood.
    fn read_on(&mut self) {
        let Ok(taken) = self.consumer.assignment() else { return };
        let taken = self.consumer.context().places(&taken);
        for place in taken {
            if let Some((_, next)) = self.reading.get(&place).cloned() {
                self.seek(&place, next);
            }
        }
        if let Ok(taken) = self.consumer.assignment() {
            drop(self.consumer.resume(&taken));
        }
    }

    /// Does what the reader asked for.
    fn obey(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Assign { number, starts } => {
                    let Some(places) = self.waiting.remove(&number) else { continue };
                    let starts: Vec<_> =
                        starts.into_iter().filter(|(place, _)| places.contains(place)).collect();
                    let list = list_of(starts.iter().map(|(place, start)| (place, offset_of(*start))));
                    if let Err(error) = list.and_then(|list| self.consumer.incremental_assign(&list)) {
                        self.send(Event::Failed(LogError::Refused(error.to_string())));
                    }
                    for (place, start) in starts {
                        if let Some((_, next)) = self.reading.get_mut(&place) {
                            *next = start;
                        }
                    }
                }
                Command::Seek { place, offset } => {
                    if let Some((_, next)) = self.reading.get_mut(&place) {
                        *next = offset;
                        self.seek(&place, offset);
                    }
                    self.send(Event::Sought(place));
                }
                Command::Hint(offsets) => {
                    for offset in offsets {
                        self.hints.insert((offset.topic, offset.partition), offset.next);
                    }
                }
            }
        }
    }

    /// Leaves a partition and takes it again at another place: what was fetched of it is dropped.
    fn seek(&self, place: &Place, offset: Option<i64>) {
        let once = |offset| list_of(std::iter::once((place, offset)));
        let sought = once(Offset::Invalid)
            .and_then(|list| self.consumer.incremental_unassign(&list))
            .and_then(|()| once(offset_of(offset)))
            .and_then(|list| self.consumer.incremental_assign(&list));
        if let Err(error) = sought {
            tracing::warn!(topic = %place.0, partition = place.1, %error, "kafka consumer could not seek");
        }
    }

    /// Tells the reader of rebalances, in order; an assignment when its topics' UUIDs are known.
    fn tell_changes(&mut self) {
        loop {
            let changes = &self.consumer.context().changes;
            let change = changes.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            match change {
                None => return,
                Some(Change::Revoked(places)) => {
                    for place in &places {
                        self.reading.remove(place);
                        self.hints.remove(place);
                        self.waiting.values_mut().for_each(|waiting| waiting.retain(|other| other != place));
                    }
                    self.waiting.retain(|_, waiting| !waiting.is_empty());
                    self.send(Event::Revoked(places));
                }
                Some(Change::Assigned(places)) => {
                    let ids = match self.ids(&places) {
                        Ok(ids) => ids,
                        Err(error) => {
                            let changes = &self.consumer.context().changes;
                            let mut changes = changes.lock().unwrap_or_else(PoisonError::into_inner);
                            changes.push_front(Change::Assigned(places));
                            tracing::debug!(%error, "topics' ids are not known yet");
                            return;
                        }
                    };
                    self.tell_assigned(places, &ids);
                }
            }
        }
    }

    fn ids(&self, places: &[Place]) -> Result<HashMap<Arc<str>, Arc<str>>, LogError> {
        let mut topics: Vec<Arc<str>> = places.iter().map(|(topic, _)| topic.clone()).collect();
        topics.sort_unstable();
        topics.dedup();
        let ids = topic_ids(self.consumer.client(), &topics, ANSWER_TIMEOUT)?;
        match topics.iter().find(|topic| !ids.contains_key(*topic)) {
            Some(topic) => Err(LogError::unavailable(format!("topic {topic} is not there"))),
            None => Ok(ids),
        }
    }

    fn tell_assigned(&mut self, places: Vec<Place>, ids: &HashMap<Arc<str>, Arc<str>>) {
        self.numbers += 1;
        let number = self.numbers;
        let mut partitions = Vec::with_capacity(places.len());
        for (topic, partition) in &places {
            let Some(incarnation) = ids.get(topic).cloned() else { continue };
            self.reading.insert((topic.clone(), *partition), (incarnation.clone(), None));
            partitions.push(Assignment { topic: topic.clone(), partition: *partition, incarnation });
        }
        self.waiting.insert(number, places);
        self.send(Event::Assigned { number, partitions });
    }

    /// Answers an error of a poll.
    fn failed(&mut self, error: &KafkaError) {
        match error {
            KafkaError::MessageConsumptionFatal(RDKafkaErrorCode::FencedInstanceId) => {
                self.end(LogError::Fenced)
            }
            KafkaError::MessageConsumptionFatal(_) => self.end(refused(error.clone())),
            KafkaError::MessageConsumption(code) => match code {
                RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => self.find_lost(),
                RDKafkaErrorCode::FencedInstanceId => self.end(LogError::Fenced),
                RDKafkaErrorCode::AllBrokersDown => {
                    self.send(Event::Failed(LogError::unavailable(error.clone())));
                }
                RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::GroupAuthorizationFailed => {
                    self.end(of_code(*code, ""));
                }
                // librdkafka tries again by itself; a topic that is not there may come.
                code => tracing::debug!(%code, "kafka consumer"),
            },
            error => tracing::debug!(%error, "kafka consumer"),
        }
    }

    fn end(&mut self, error: LogError) {
        self.send(Event::Failed(error));
        self.ended = true;
    }

    /// An offset is not there: either a topic was made anew, or its records are gone.
    fn find_lost(&mut self) {
        self.find_recreated();
        let reading: Vec<_> = self.reading.iter().map(|(place, (_, next))| (place.clone(), *next)).collect();
        for (place, next) in reading {
            let (Some(next), false) = (next, self.is_waiting(&place)) else { continue };
            let bounds = self.consumer.fetch_watermarks(&place.0, place.1, ANSWER_TIMEOUT);
            if bounds.is_ok_and(|(low, high)| next < low || next > high) {
                let (topic, partition) = place;
                self.send(Event::Failed(LogError::OffsetLost { topic, partition, offset: next }));
            }
        }
    }

    fn is_waiting(&self, place: &Place) -> bool {
        self.waiting.values().any(|waiting| waiting.contains(place))
    }

    /// Looks now and then whether a topic was deleted and made anew; nothing else would tell while
    /// the new one is as long as what was read of the old one.
    fn look_at_topics(&mut self) {
        if self.looked.elapsed() >= TOPIC_INTERVAL {
            self.find_recreated();
            self.looked = Instant::now();
        }
    }

    fn find_recreated(&mut self) {
        let places: Vec<Place> =
            self.reading.keys().filter(|place| !self.is_waiting(place)).cloned().collect();
        if places.is_empty() {
            return;
        }
        let mut topics: Vec<Arc<str>> = places.iter().map(|(topic, _)| topic.clone()).collect();
        topics.sort_unstable();
        topics.dedup();
        // A cluster that does not answer now is asked again.
        let Ok(ids) = topic_ids(self.consumer.client(), &topics, ANSWER_TIMEOUT) else { return };
        let is_new = |place: &Place| {
            let known = self.reading.get(place).map(|(incarnation, _)| incarnation);
            ids.get(&place.0).is_some_and(|id| known != Some(id))
        };
        let renewed: Vec<Place> = places.into_iter().filter(is_new).collect();
        if renewed.is_empty() {
            return;
        }
        let left = list_of(renewed.iter().map(|place| (place, Offset::Invalid)));
        if let Err(error) = left.and_then(|list| self.consumer.incremental_unassign(&list)) {
            tracing::warn!(%error, "kafka consumer could not leave a topic that was made anew");
            return;
        }
        self.send(Event::Revoked(renewed.clone()));
        self.tell_assigned(renewed, &ids);
    }

    /// Tells Kafka the offsets, for the tools that show lag.
    fn tell_hints(&mut self) {
        if self.hints.is_empty() || self.hinted.elapsed() < HINT_INTERVAL {
            return;
        }
        self.hinted = Instant::now();
        let hints = std::mem::take(&mut self.hints);
        let list = list_of(hints.iter().map(|(place, next)| (place, Offset::Offset(*next))));
        if let Err(error) = list.and_then(|list| self.consumer.commit(&list, CommitMode::Async)) {
            tracing::debug!(%error, "kafka was not told how far the group is");
        }
    }
}

fn offset_of(start: Option<i64>) -> Offset {
    start.map_or(Offset::Beginning, Offset::Offset)
}

fn connect(config: &ClientConfig, subscription: &Subscription) -> Result<BaseConsumer<Membership>, LogError> {
    let mut config = config.clone();
    for (name, value) in [
        ("group.id", &*subscription.group),
        ("group.instance.id", &*subscription.member),
        ("group.protocol", "classic"),
        ("partition.assignment.strategy", "cooperative-sticky"),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("auto.offset.reset", "error"),
        ("fetch.queue.backoff.ms", "1"),
        ("fetch.error.backoff.ms", "50"),
        ("queued.min.messages", "10000"),
        ("queued.max.messages.kbytes", "16384"),
        ("topic.metadata.refresh.interval.ms", "2000"),
    ] {
        config.set(name, value);
    }
    if config.get("session.timeout.ms").is_none() {
        config.set("session.timeout.ms", "10000");
    }
    let membership = Membership { topics: subscription.topics.clone(), changes: Mutex::default() };
    let consumer: BaseConsumer<Membership> = config.create_with_context(membership).map_err(refused)?;
    let topics: Vec<&str> = subscription.topics.iter().map(|topic| &**topic).collect();
    consumer.subscribe(&topics).map_err(refused)?;
    Ok(consumer)
}

/// Copies a record out of librdkafka, into one buffer.
fn record(message: &BorrowedMessage<'_>, topic: &Arc<str>) -> Record {
    let headers = message.headers();
    let values: usize =
        headers.map_or(0, |headers| headers.iter().map(|h| h.value.map_or(0, <[u8]>::len)).sum());
    let mut buffer = BytesMut::with_capacity(message.key_len() + message.payload_len() + values);
    let mut copy = |bytes: &[u8]| -> Bytes {
        buffer.extend_from_slice(bytes);
        buffer.split().freeze()
    };
    let key = copy(message.key().unwrap_or_default());
    let payload = copy(message.payload().unwrap_or_default());
    let headers = headers.map_or_else(Vec::new, |headers| {
        headers.iter().map(|h| (header_name(h.key), copy(h.value.unwrap_or_default()))).collect()
    });
    let at = Timestamp::from_micros(message.timestamp().to_millis().unwrap_or(0).saturating_mul(1000));
    let (partition, offset) = (message.partition(), message.offset());
    Record { topic: topic.clone(), partition, offset, key, headers, payload, at }
}
