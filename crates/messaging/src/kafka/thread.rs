//! The consumer's thread: polls, keeps the member alive, and passes on what comes.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc as std_mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use event_store::LogOffset;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio::{runtime::Handle, sync::mpsc};

use super::{
    group::Group,
    membership::{Change, Membership, Place, connect, list_of, offset_of, record},
    native::{Topics, member_id},
    of_code, refused,
    topics::Sharing,
};
use crate::{Assignment, LogError, Record, Subscription};

/// Records and bytes of a batch.
const BATCH_RECORDS_MAX: usize = 1000;
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a poll waits while nothing else is to be done, and while a command is awaited.
const POLL_IDLE: Duration = Duration::from_millis(100);
const POLL_SOON: Duration = Duration::from_millis(5);
/// How long the thread waits for its reader before it pauses the partitions and polls on, so that
/// the group does not take it for dead. Kafka's limit is `max.poll.interval.ms`, 5 min.
pub(super) const FULL_MAX: Duration = Duration::from_secs(10);
const FULL_LOOK: Duration = Duration::from_millis(200);
/// How often it is said that no broker can be reached.
const DOWN_INTERVAL: Duration = Duration::from_secs(5);
/// How often offsets are told to Kafka.
const HINT_INTERVAL: Duration = Duration::from_secs(1);

/// How long the cluster may take to say who goes by our instance id.
const GROUP_TIMEOUT: Duration = Duration::from_secs(5);

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

/// The thread of one subscription.
pub(super) struct ConsumerThread {
    pub(super) consumer: BaseConsumer<Membership>,
    pub(super) subscription: Subscription,
    events: mpsc::Sender<Event>,
    commands: std_mpsc::Receiver<Command>,
    stop: Arc<AtomicBool>,
    runtime: Handle,
    /// Assignments that the reader has not started yet.
    pub(super) waiting: HashMap<u64, Vec<Place>>,
    numbers: u64,
    /// What is read: which life of the topic, and the next offset.
    pub(super) reading: HashMap<Place, (Arc<str>, Option<i64>)>,
    hints: HashMap<Place, i64>,
    /// Partitions that may give nothing any more, and are sought again.
    pub(super) silent: Vec<Place>,
    pub(super) sharing: Sharing,
    /// Whether the group was left, to join it again.
    pub(super) left: bool,
    /// Since when an offset is complained about.
    pub(super) lost: Option<Instant>,
    hinted: Instant,
    /// When it was last said that no broker can be reached.
    pub(super) down: Option<Instant>,
    pub(super) looked: Instant,
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
            silent: Vec::new(),
            sharing: Sharing::default(),
            left: false,
            lost: None,
            hinted: now,
            down: None,
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
            self.find_fatal();
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
    pub(super) fn send(&mut self, event: Event) {
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
        let places = taken.into_iter().filter_map(|place| {
            let (_, next) = self.reading.get(&place)?;
            Some((place, *next))
        });
        self.seek(&places.collect::<Vec<_>>());
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
                    let gone = self.consumer.context().revoked();
                    let is_ours = |place: &Place| places.contains(place) && !gone.contains(place);
                    let starts: Vec<_> = starts.into_iter().filter(|(place, _)| is_ours(place)).collect();
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
                        self.seek(&[(place.clone(), offset)]);
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

    /// Leaves partitions and takes them again at another place: what was fetched of them is dropped.
    /// All at once: each change of the assignment is a round through librdkafka's threads.
    pub(super) fn seek(&self, places: &[(Place, Option<i64>)]) {
        if places.is_empty() {
            return;
        }
        let sought = list_of(places.iter().map(|(place, _)| (place, Offset::Invalid)))
            .and_then(|list| self.consumer.incremental_unassign(&list))
            .and_then(|()| list_of(places.iter().map(|(place, offset)| (place, offset_of(*offset)))))
            .and_then(|list| self.consumer.incremental_assign(&list));
        if let Err(error) = sought {
            tracing::warn!(?places, %error, "kafka consumer could not seek");
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
                    self.sharing = Sharing::default();
                    for place in &places {
                        self.reading.remove(place);
                        self.hints.remove(place);
                        self.waiting.values_mut().for_each(|waiting| waiting.retain(|other| other != place));
                    }
                    self.waiting.retain(|_, waiting| !waiting.is_empty());
                    self.send(Event::Revoked(places));
                }
                Some(Change::Assigned(places)) => {
                    let topics = match self.topics_of(&places) {
                        Ok(topics) => topics,
                        Err(error) => {
                            let changes = &self.consumer.context().changes;
                            let mut changes = changes.lock().unwrap_or_else(PoisonError::into_inner);
                            changes.push_front(Change::Assigned(places));
                            tracing::debug!(%error, "topics' ids are not known yet");
                            return;
                        }
                    };
                    self.tell_assigned(places, &topics);
                }
            }
        }
    }

    pub(super) fn tell_assigned(&mut self, places: Vec<Place>, topics: &Topics) {
        self.sharing = Sharing::default();
        self.numbers += 1;
        let number = self.numbers;
        let mut partitions = Vec::with_capacity(places.len());
        for (topic, partition) in &places {
            let Some(incarnation) = topics.get(topic).map(|found| found.id.clone()) else { continue };
            self.reading.insert((topic.clone(), *partition), (incarnation.clone(), None));
            partitions.push(Assignment { topic: topic.clone(), partition: *partition, incarnation });
        }
        if !places.is_empty() {
            self.waiting.insert(number, places);
        }
        self.send(Event::Assigned { number, partitions });
    }

    /// Answers an error of a poll.
    fn failed(&mut self, error: &KafkaError) {
        match error {
            KafkaError::MessageConsumptionFatal(RDKafkaErrorCode::FencedInstanceId)
            | KafkaError::MessageConsumption(RDKafkaErrorCode::FencedInstanceId) => self.fenced(),
            KafkaError::MessageConsumptionFatal(_) => self.end(refused(error.clone())),
            KafkaError::MessageConsumption(code) => match code {
                RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => {
                    self.lost.get_or_insert_with(Instant::now);
                }
                RDKafkaErrorCode::AllBrokersDown => self.tell_down(error),
                RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::GroupAuthorizationFailed => {
                    self.end(of_code(*code, ""));
                }
                // librdkafka tries again by itself; a topic that is not there may come.
                code => tracing::debug!(%code, "kafka consumer"),
            },
            error => tracing::debug!(%error, "kafka consumer"),
        }
    }

    /// Says that no broker can be reached; now and then, as librdkafka says it over and over. A
    /// reader that is busy has other things to hear.
    fn tell_down(&mut self, error: &KafkaError) {
        if self.down.is_none_or(|told| told.elapsed() >= DOWN_INTERVAL) {
            self.down = Some(Instant::now());
            // Whether there was a place for it makes no difference.
            let _ = self.events.try_send(Event::Failed(LogError::unavailable(error.clone())));
        }
    }

    /// A fatal error is told once, perhaps to a poll that only kept the member alive.
    fn find_fatal(&mut self) {
        if !self.ended
            && let Some((code, _)) = self.consumer.client().fatal_error()
        {
            self.failed(&KafkaError::MessageConsumptionFatal(code));
        }
    }

    /// Our instance id has another member id by now: another process's, or one of our own. After an outage
    /// a broker may take what we sent before for another's, and fence us from ourselves.
    fn fenced(&mut self) {
        let ours = member_id(self.consumer.client());
        let group = Group::of(&self.consumer, &self.subscription, GROUP_TIMEOUT);
        let instance = &self.subscription.member;
        let other = ours.zip(group.ok()).is_some_and(|(ours, group)| group.has_another(instance, &ours));
        self.end(if other { LogError::Fenced } else { LogError::MembershipLost });
    }

    pub(super) fn end(&mut self, error: LogError) {
        self.send(Event::Failed(error));
        self.ended = true;
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
