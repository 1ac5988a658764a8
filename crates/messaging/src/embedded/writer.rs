//! The one task that writes: publishes that wait share a commit.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, interval_at},
};
use types::{Clock, Timestamp};

use super::{
    RETENTION, Shared,
    encoding::encode,
    storage::CommitRow,
    topic::{Partition, Topic},
};
use crate::{LogError, Message, Record, TopicSpec, partition_of};

type Answer = oneshot::Sender<Result<(), LogError>>;

/// Bytes of records that share a commit, unless one publish alone has more.
const COMMIT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of the latest records that stay in memory, over all partitions.
const MEMORY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How often what everybody has read is looked for.
const DROP_INTERVAL: Duration = Duration::from_secs(60);
/// What a record costs in memory beside its bytes, roughly.
const RECORD_COST: usize = 640;

/// What the writer is asked for.
pub(super) enum Request {
    Publish { messages: Vec<Message>, bytes: usize, answer: Answer },
    Declare { topics: Vec<TopicSpec>, answer: Answer },
    Delete { topic: Arc<str>, answer: Answer },
    DropRead { answer: Answer },
    Trim { topic: Arc<str>, partition: i32, below: i64, answer: Answer },
    Close,
}

/// The writer.
pub(super) struct Writer {
    shared: Arc<Shared>,
    requests: mpsc::Receiver<Request>,
    clock: Arc<dyn Clock>,
    /// What lies in memory, the oldest commit first: its partition and bytes.
    memory: VecDeque<(Arc<Topic>, i32, usize)>,
    memory_bytes: usize,
    /// Partitions whose end the file knows better, after a commit that failed.
    unsure: Vec<(Arc<Topic>, i32)>,
}

/// The records of one partition in the commit being made.
struct Part {
    topic: Arc<Topic>,
    partition: i32,
    base: i64,
    records: Vec<Record>,
    encoded: Vec<u8>,
    bytes: usize,
}

/// Where a topic's partitions stand among the parts of a commit.
type Places = Vec<Option<usize>>;

/// The commit being made.
#[derive(Default)]
struct Commit {
    parts: Vec<Part>,
    /// The topics it touches.
    places: HashMap<Arc<str>, (Arc<Topic>, Places)>,
    answers: Vec<Answer>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, requests: mpsc::Receiver<Request>, clock: Arc<dyn Clock>) -> Self {
        Self { shared, requests, clock, memory: VecDeque::new(), memory_bytes: 0, unsure: Vec::new() }
    }

    /// Writes until the log is closed or nobody can ask any more.
    pub(super) async fn run(mut self) {
        let mut next = None;
        let mut look = interval_at(Instant::now() + DROP_INTERVAL, DROP_INTERVAL);
        loop {
            let request = match next.take() {
                Some(request) => request,
                None => tokio::select! {
                    request = self.requests.recv() => match request {
                        Some(request) => request,
                        None => return,
                    },
                    _ = look.tick() => {
                        if let Err(error) = self.drop_read().await {
                            tracing::warn!(%error, "what was read stays in the event log for now");
                        }
                        continue;
                    }
                },
            };
            match request {
                Request::Publish { messages, bytes, answer } => {
                    next = self.publish(messages, bytes, answer).await;
                }
                Request::Declare { topics, answer } => {
                    let done = self.declare(topics).await;
                    let _ = answer.send(done);
                }
                Request::Delete { topic, answer } => {
                    let done = self.delete(&topic).await;
                    let _ = answer.send(done);
                }
                Request::DropRead { answer } => {
                    let done = self.drop_read().await;
                    let _ = answer.send(done);
                }
                Request::Trim { topic, partition, below, answer } => {
                    let done = self.trim(&topic, partition, below).await;
                    let _ = answer.send(done);
                }
                // Whoever asks from now on finds the queue closed; what waits in it is dropped, and
                // a dropped answer says that the log is closed.
                Request::Close => return,
            }
        }
    }

    /// Commits a publish with those that wait behind it; gives back what else stood in the queue.
    async fn publish(&mut self, messages: Vec<Message>, mut bytes: usize, answer: Answer) -> Option<Request> {
        let mut commit = Commit::default();
        let mut other = None;
        let sure = self.make_sure().await;
        self.add(&mut commit, messages, answer);
        while bytes < COMMIT_BYTES_MAX {
            match self.requests.try_recv() {
                Ok(Request::Publish { messages, bytes: more, answer }) => {
                    bytes += more;
                    self.add(&mut commit, messages, answer);
                }
                Ok(request) => {
                    other = Some(request);
                    break;
                }
                Err(_) => break,
            }
        }
        let written = match sure {
            Ok(()) => self.write(&mut commit).await,
            Err(error) => Err(error),
        };
        match written {
            Ok(()) => {
                commit.answers.into_iter().for_each(|answer| drop(answer.send(Ok(()))));
            }
            Err(error) => {
                commit.answers.into_iter().for_each(|answer| drop(answer.send(Err(error.clone()))));
                return self.fail_waiting(&error, other);
            }
        }
        other
    }

    /// Adds a publish to the commit, or answers it where its topic is not there.
    fn add(&self, commit: &mut Commit, messages: Vec<Message>, answer: Answer) {
        let at = self.clock.now();
        if let Some(unknown) = messages
            .iter()
            .find(|message| !commit.places.contains_key(&message.topic) && !self.find(commit, &message.topic))
        {
            let _ = answer.send(Err(LogError::Refused(format!("there is no topic {}", unknown.topic))));
            return;
        }
        for Message { topic: name, key, headers, payload } in messages {
            let Some((topic, places)) = commit.places.get_mut(&name) else { continue };
            let partition = partition_of(&key, places.len() as i32);
            let index = *places[partition as usize].get_or_insert_with(|| {
                let base = topic.partitions[partition as usize].bounds().1;
                let part = Part {
                    topic: topic.clone(),
                    partition,
                    base,
                    records: Vec::new(),
                    encoded: Vec::new(),
                    bytes: 0,
                };
                commit.parts.push(part);
                commit.parts.len() - 1
            });
            let part = &mut commit.parts[index];
            let tombstone = payload.is_none();
            let payload = payload.unwrap_or_default();
            let offset = part.base + part.records.len() as i64;
            let topic = topic.name.clone();
            let record = Record { topic, partition, offset, key, headers, payload, at };
            encode(&mut part.encoded, &record, tombstone);
            part.records.push(record);
        }
        commit.answers.push(answer);
    }

    fn find(&self, commit: &mut Commit, name: &Arc<str>) -> bool {
        let Some(topic) = self.shared.topic(name) else { return false };
        let places = vec![None; topic.partitions.len()];
        commit.places.insert(name.clone(), (topic, places));
        true
    }

    /// Commits, and then lets readers see it.
    async fn write(&mut self, commit: &mut Commit) -> Result<(), LogError> {
        let mut rows = Vec::with_capacity(commit.parts.len());
        for part in &mut commit.parts {
            part.bytes = part.encoded.len() + part.records.len() * RECORD_COST;
            rows.push(CommitRow {
                topic: part.topic.id,
                partition: part.partition,
                base: part.base,
                count: part.records.len(),
                records: std::mem::take(&mut part.encoded),
            });
        }
        if rows.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.shared.storage.commit(rows).await {
            self.unsure.extend(commit.parts.drain(..).map(|part| (part.topic, part.partition)));
            return Err(error);
        }
        for Part { topic, partition, records, bytes, .. } in commit.parts.drain(..) {
            if let Some(kept) = topic.partition(partition) {
                kept.extend(records.into());
                self.memory_bytes += bytes;
                self.memory.push_back((topic, partition, bytes));
            }
        }
        while self.memory_bytes > MEMORY_BYTES_MAX
            && let Some((topic, partition, bytes)) = self.memory.pop_front()
        {
            topic.partition(partition).map(Partition::forget_oldest);
            self.memory_bytes -= bytes;
        }
        self.shared.groups.wake(|topic| commit.places.contains_key(topic));
        Ok(())
    }

    /// After a failure, what waits already fails too: a publisher that sends several at once relies
    /// on none of them overtaking one before it.
    fn fail_waiting(&mut self, error: &LogError, other: Option<Request>) -> Option<Request> {
        let mut next = other;
        while next.is_none() {
            match self.requests.try_recv() {
                Ok(Request::Publish { answer, .. }) => drop(answer.send(Err(error.clone()))),
                Ok(request) => next = Some(request),
                Err(_) => break,
            }
        }
        next
    }

    /// Asks the file where partitions end whose last commit failed: it may have taken place.
    async fn make_sure(&mut self) -> Result<(), LogError> {
        while let Some((topic, index)) = self.unsure.last() {
            let (_, next) = self.shared.storage.bounds(topic.id, *index).await?;
            if let Some(partition) = topic.partition(*index)
                && partition.set_next(next)
            {
                self.memory.retain(|(other, partition, bytes)| {
                    let gone = other.id == topic.id && partition == index;
                    self.memory_bytes -= if gone { *bytes } else { 0 };
                    !gone
                });
                self.shared.groups.wake(|name| *name == topic.name);
            }
            self.unsure.pop();
        }
        Ok(())
    }

    async fn declare(&self, specs: Vec<TopicSpec>) -> Result<(), LogError> {
        for spec in specs {
            if self.shared.topic(&spec.name).is_some() {
                continue;
            }
            if spec.partitions < 1 {
                return Err(LogError::Refused(format!("topic {} needs a partition", spec.name)));
            }
            let topic = Arc::new(self.shared.storage.create(&spec).await?);
            self.shared.change_topics(|topics| drop(topics.insert(spec.name.clone(), topic)));
        }
        Ok(())
    }

    async fn delete(&mut self, name: &str) -> Result<(), LogError> {
        let Some(topic) = self.shared.topic(name) else { return Ok(()) };
        self.shared.storage.delete(topic.id).await?;
        self.unsure.retain(|(other, _)| other.id != topic.id);
        self.memory.retain(|(other, _, bytes)| {
            self.memory_bytes -= if other.id == topic.id { *bytes } else { 0 };
            other.id != topic.id
        });
        self.shared.change_topics(|topics| drop(topics.remove(name)));
        self.shared.consumed.forget(name);
        Ok(())
    }

    /// Drops what is old enough and everybody has read.
    async fn drop_read(&self) -> Result<(), LogError> {
        let before = Timestamp::from_micros(
            self.clock.now().as_micros().saturating_sub(RETENTION.as_micros().try_into().unwrap_or(i64::MAX)),
        );
        for topic in self.shared.topics().into_values().filter(|topic| !topic.compacted) {
            for (index, partition) in topic.partitions.iter().enumerate() {
                loop {
                    let below = self.shared.consumed.horizon(&topic.name, index).min(partition.bounds().1);
                    let (stands, place) = (self.shared.consumed.stands(), (topic.id, index as i32));
                    if below <= partition.bounds().0 {
                        break;
                    }
                    match self.shared.storage.drop_read(stands, place, below, before).await? {
                        Some(low) => partition.trim(low),
                        None => break,
                    }
                }
            }
        }
        Ok(())
    }

    async fn trim(&self, name: &str, partition: i32, below: i64) -> Result<(), LogError> {
        let topic = self.shared.topic(name);
        let found = topic.as_ref().and_then(|topic| Some((topic, topic.partition(partition)?)));
        let Some((topic, kept)) = found else {
            return Err(LogError::Refused(format!("there is no {name}/{partition}")));
        };
        let below = below.min(kept.bounds().1);
        self.shared.storage.trim(topic.id, partition, below).await?;
        kept.trim(below);
        Ok(())
    }
}
