//! The event log in process, on one SQLite file: what starts without any configuration.
//!
//! One task writes; publishes that wait share a commit. Readers are served from memory while they
//! keep up, and from the file when they do not. Groups live in memory: their offsets stand in the
//! stores of those who read, as with any log.

mod encoding;
mod groups;
mod reader;
mod retention;
mod storage;
mod topic;
mod writer;

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;
use types::{Clock, SystemClock};

use self::{
    groups::Groups,
    reader::Reader,
    retention::Consumed,
    storage::Storage,
    topic::Topic,
    writer::{Request, Writer},
};
use crate::{
    ConsumedLog, EventLog, Extent, LogError, Message, Remedy, Subscription, TopicDifference, TopicSettings,
    TopicSpec,
    topics::{Found, compare},
};

/// The largest record, in bytes: key, headers and payload; just what Kafka takes by default.
pub const RECORD_BYTES_MAX: usize = 1_000_000;
/// How long records stay at the least: as long as Kafka keeps them by default.
pub const RETENTION: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Publishes that may wait for the writer; more wait for their turn.
const QUEUE_PUBLISHES_MAX: usize = 256;

/// An event log in one SQLite file, for one process.
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Request>,
    tasks: TaskTracker,
}

/// What the writer and all readers share.
pub(crate) struct Shared {
    storage: Storage,
    topics: RwLock<HashMap<Arc<str>, Arc<Topic>>>,
    groups: Groups,
    consumed: Consumed,
}

impl Shared {
    fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn topics(&self) -> HashMap<Arc<str>, Arc<Topic>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the topics, and who reads what.
    fn change_topics(&self, change: impl FnOnce(&mut HashMap<Arc<str>, Arc<Topic>>)) {
        change(&mut self.topics.write().unwrap_or_else(PoisonError::into_inner));
        self.groups.balance_all(&self.topics());
    }
}

impl EmbeddedLog {
    /// Opens the log in that file, which is made if it is not there. Must be called within a tokio
    /// runtime.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] when the file cannot be opened or made.
    pub async fn open(file: &Path) -> Result<Self, LogError> {
        Self::open_with(file, Arc::new(SystemClock)).await
    }

    /// The same, with that clock for the records' times.
    ///
    /// # Errors
    /// As for [`EmbeddedLog::open`].
    pub async fn open_with(file: &Path, clock: Arc<dyn Clock>) -> Result<Self, LogError> {
        let storage = Storage::open(file).await?;
        let topics = storage.topics().await?.into_iter().map(|topic| (topic.name.clone(), Arc::new(topic)));
        let consumed = Consumed::of(storage.stands().await?);
        let topics = RwLock::new(topics.collect());
        let shared = Arc::new(Shared { topics, storage, groups: Groups::default(), consumed });
        let (queue, requests) = mpsc::channel(QUEUE_PUBLISHES_MAX);
        let tasks = TaskTracker::new();
        tasks.spawn(Writer::new(shared.clone(), requests, clock).run());
        tasks.close();
        Ok(Self { shared, queue, tasks })
    }

    /// Deletes what lies before an offset. A consumer that has not read it finds it lost.
    ///
    /// # Errors
    /// [`LogError`].
    pub async fn trim(&self, topic: &str, partition: i32, below: i64) -> Result<(), LogError> {
        self.ask(|answer| Request::Trim { topic: topic.into(), partition, below, answer }).await
    }

    /// Drops, in the file, what is older than the retention ([`RETENTION`]) and was read by every group
    /// that ever read its topic; of a topic that nobody reads, what is older. The log does so by itself
    /// every minute. A compacted topic keeps everything.
    ///
    /// # Errors
    /// [`LogError`].
    pub async fn drop_read(&self) -> Result<(), LogError> {
        self.ask(|answer| Request::DropRead { answer }).await
    }

    async fn ask(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<(), LogError>>) -> Request,
    ) -> Result<(), LogError> {
        let (answer, answered) = oneshot::channel();
        let closed = || LogError::unavailable("the event log is closed");
        self.queue.send(request(answer)).await.map_err(|_| closed())?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }
}

/// Here partitions cannot be added.
fn remedy(on_a_cluster: Remedy) -> Remedy {
    match on_a_cluster {
        Remedy::Apply => Remedy::Apply,
        Remedy::AddPartitions | Remedy::ByHand => Remedy::ByHand,
    }
}

#[async_trait]
impl EventLog for EmbeddedLog {
    async fn declare(&self, topics: &[TopicSpec]) -> Result<(), LogError> {
        let topics = topics.to_vec();
        self.ask(|answer| Request::Declare { topics, answer }).await
    }

    /// It has no replicas, and keeps records as it does; only partitions can differ.
    async fn compare(&self, topics: &[TopicSpec]) -> Result<Vec<TopicDifference>, LogError> {
        let there = self.shared.topics();
        let differences = topics.iter().flat_map(|spec| {
            let found = there.get(&spec.name).map(|topic| Found {
                partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
                replication: None,
                cleanup_policy: None,
                retention_ms: None,
            });
            compare(&TopicSettings::default().wanted(spec), found.as_ref())
        });
        Ok(differences.map(|it| TopicDifference { remedy: remedy(it.remedy), ..it }).collect())
    }

    async fn apply(&self, topics: &[TopicSpec], _: bool) -> Result<Vec<TopicDifference>, LogError> {
        self.declare(topics).await?;
        self.compare(topics).await
    }

    async fn publish(&self, messages: Vec<Message>) -> Result<(), LogError> {
        if messages.is_empty() {
            return Ok(());
        }
        let mut bytes = 0;
        for message in &messages {
            let size = size_of_message(message);
            if size > RECORD_BYTES_MAX {
                return Err(LogError::Oversize { bytes: size, limit: RECORD_BYTES_MAX });
            }
            bytes += size;
        }
        self.ask(|answer| Request::Publish { messages, bytes, answer }).await
    }

    async fn extents(&self, topic: &str) -> Result<Vec<Extent>, LogError> {
        let found = self.shared.topic(topic);
        let found = found.ok_or_else(|| LogError::Refused(format!("there is no topic {topic}")))?;
        let extent = |(partition, at): (i32, &topic::Partition)| {
            let (first, end) = at.bounds();
            Extent { partition, incarnation: found.incarnation.clone(), first, end }
        };
        Ok((0..).zip(&found.partitions).map(extent).collect())
    }

    async fn subscribe(&self, subscription: Subscription) -> Result<Box<dyn ConsumedLog>, LogError> {
        Ok(Box::new(Reader::join(self.shared.clone(), subscription)))
    }

    async fn delete(&self, topic: &str) -> Result<(), LogError> {
        self.ask(|answer| Request::Delete { topic: topic.into(), answer }).await
    }

    async fn close(&self) {
        // The writer takes what waits, answers it, and ends.
        let _ = self.queue.send(Request::Close).await;
        self.tasks.wait().await;
        self.shared.storage.close().await;
    }
}

/// A record's size as limits count it.
pub(crate) fn size_of_message(message: &Message) -> usize {
    let headers: usize = message.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    message.key.len() + headers + message.payload.as_ref().map_or(0, bytes::Bytes::len)
}
