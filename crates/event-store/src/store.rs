//! The store in front of an engine: lets concurrent appends share a transaction, and feeds tails.

use std::{
    collections::HashSet,
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::{
    sync::{Mutex, mpsc, oneshot, watch},
    task::JoinSet,
    time::timeout,
};
use types::Timestamp;

use crate::{
    Append, AppendError, Appended, Engine, Expected, ListQuery, Listed, LogOffset, Page, ParkedChange,
    ParkedKey, ParkedRecord, Position, Recorded, StoreError, StoreOptions, StreamId, Tail, Timer,
    database::Database,
    feed::Feed,
    postgres::Postgres,
    reads::Reads,
    sqlite::Sqlite,
    writer::{Request, Writer},
};

/// The longest name of a stream.
const STREAM_CHARACTERS_MAX: usize = 64;
/// The longest key of a claim.
const CLAIM_BYTES_MAX: usize = 256;
/// What a row costs beside its payload, roughly: for the bound of a batch.
const ROW_BYTES: usize = 256;

/// A store of events. Cheap to clone; all clones are one store.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Arc<dyn Engine>,
    feed: Arc<Feed>,
    reads: Reads,
    queue: mpsc::Sender<Request>,
    closing: watch::Sender<bool>,
    tasks: Mutex<JoinSet<()>>,
    options: StoreOptions,
    loaded: AtomicU64,
}

impl Store {
    /// Opens `sqlite:<path>` (the file is created) or `postgres://user@host:port/database` (the database is
    /// created), and brings its tables up to date; any number of processes may do so at once. A SQLite URL
    /// may end in `?max_page_count=<pages of 4,096 bytes>`, beyond which the file is full.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it cannot be reached or created, or the URL names neither.
    pub async fn open(url: &str, options: StoreOptions) -> Result<Self, StoreError> {
        let engine = open_engine(url, &options).await?;
        Ok(Self::with_engine(engine, options))
    }

    /// A store in front of that engine. Must be called within a tokio runtime.
    pub fn with_engine(engine: Arc<dyn Engine>, options: StoreOptions) -> Self {
        let feed = Arc::new(Feed::new(&options));
        let (queue, requests) = mpsc::channel(options.queue_appends_max.max(1));
        let closing = watch::Sender::new(false);
        let mut tasks = JoinSet::new();
        let writer = Writer::new(engine.clone(), feed.clone(), requests, closing.subscribe(), &options);
        tasks.spawn(writer.run());
        tasks.spawn(relay_hints(engine.clone(), feed.clone(), closing.subscribe()));
        let reads = Reads::start(&engine, &closing, &mut tasks);
        let (tasks, loaded) = (Mutex::new(tasks), AtomicU64::new(0));
        Self { inner: Arc::new(Inner { engine, feed, reads, queue, closing, tasks, options, loaded }) }
    }

    /// The engine behind.
    #[must_use]
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.inner.engine
    }

    /// The limits it keeps.
    #[must_use]
    pub fn options(&self) -> &StoreOptions {
        &self.inner.options
    }

    /// Commits an append, together with others that wait. A caller that stops waiting may find it
    /// committed or not; it is never half.
    ///
    /// # Errors
    /// [`AppendError`]: nothing of this append was written, save where [`AppendError::Store`] says that
    /// it is not known.
    pub async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let bytes = check(&append, self.inner.options.event_bytes_max)?;
        let (answer, verdict) = oneshot::channel();
        let place = match self.inner.queue.try_reserve() {
            Ok(place) => place,
            Err(mpsc::error::TrySendError::Closed(())) => return Err(closed().into()),
            Err(mpsc::error::TrySendError::Full(())) => {
                match timeout(self.inner.options.queue_wait_max, self.inner.queue.reserve()).await {
                    Ok(Ok(place)) => place,
                    Ok(Err(_)) => return Err(closed().into()),
                    Err(_) => return Err(AppendError::Busy),
                }
            }
        };
        place.send(Request { append, bytes, answer });
        verdict.await.unwrap_or_else(|_| Err(closed().into()))
    }

    /// The events of a stream, oldest first; empty for one that does not exist.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn load(&self, stream: &StreamId) -> Result<Vec<Recorded>, StoreError> {
        let mut loaded = self.load_many(std::slice::from_ref(stream)).await?;
        Ok(loaded.pop().unwrap_or_default())
    }

    /// The events of each stream, in the order asked, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn load_many(&self, streams: &[StreamId]) -> Result<Vec<Vec<Recorded>>, StoreError> {
        if streams.is_empty() {
            return Ok(Vec::new());
        }
        self.inner.loaded.fetch_add(streams.len() as u64, Ordering::Relaxed);
        self.inner.reads.load(streams).await
    }

    /// How many streams were loaded so far.
    #[must_use]
    pub fn loaded(&self) -> u64 {
        self.inner.loaded.load(Ordering::Relaxed)
    }

    /// Events after a position, in commit order, at most `limit`; does not wait.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, StoreError> {
        self.inner.engine.read(after, limit).await
    }

    /// The position of the last event committed.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn head(&self) -> Result<Position, StoreError> {
        let head = self.inner.engine.head().await?;
        self.inner.feed.saw(head);
        Ok(head)
    }

    /// The last position that this process knows of, without asking: its own appends count at once.
    #[must_use]
    pub fn seen(&self) -> Position {
        self.inner.feed.head()
    }

    /// What stands under a claim; `None` when nobody took it.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn claim(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        let mut found = self.claims(&[key.to_owned()]).await?;
        Ok(found.pop().flatten())
    }

    /// What stands under each claim, in the order asked.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn claims(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.inner.reads.claims(keys).await
    }

    /// All offsets of a consumer.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn offsets(&self, consumer: &str) -> Result<Vec<LogOffset>, StoreError> {
        self.inner.engine.offsets(consumer).await
    }

    /// Timers due at that instant, the earliest first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn due_timers(&self, now: Timestamp, limit: usize) -> Result<Vec<Timer>, StoreError> {
        self.inner.engine.due_timers(now, limit).await
    }

    /// When the next timer falls due; `None` when there is none.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn next_timer(&self) -> Result<Option<Timestamp>, StoreError> {
        self.inner.engine.next_timer().await
    }

    /// Rows of a list, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn list(&self, query: &ListQuery) -> Result<Page<Listed>, StoreError> {
        self.inner.engine.list(query).await
    }

    /// Parked records by (topic, partition, offset), after a given place. Records of the same place, which
    /// only several consumers or several lives of a topic can have, share a page even where it grows
    /// beyond `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn parked(
        &self,
        consumer: Option<&str>,
        after: Option<(&str, i32, i64)>,
        limit: usize,
    ) -> Result<Page<ParkedRecord>, StoreError> {
        self.inner.engine.parked(consumer, after, limit).await
    }

    /// The parked records of one key, in offset order, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn parked_of_key(
        &self,
        key: &ParkedKey,
        limit: usize,
    ) -> Result<Vec<ParkedRecord>, StoreError> {
        self.inner.engine.parked_of_key(key, limit).await
    }

    /// The keys of a consumer that have parked records, by topic and partition, and whether a person asked
    /// for them to be replayed.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn parked_keys(&self, consumer: &str) -> Result<Vec<(ParkedKey, bool)>, StoreError> {
        self.inner.engine.parked_keys(consumer).await
    }

    /// Takes a named lock for as long as the guard lives; `None` when another has it. A holder whose
    /// connection breaks is not told, so what the lock protects must stand a short overlap.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be asked.
    pub async fn try_lock(
        &self,
        name: &str,
    ) -> Result<Option<Box<dyn std::any::Any + Send + Sync>>, StoreError> {
        self.inner.engine.try_lock(name).await
    }

    /// Follows the store in commit order from a position on.
    #[must_use]
    pub fn tail(&self, after: Position) -> Tail {
        let inner = &self.inner;
        Tail::new(inner.engine.clone(), inner.feed.clone(), inner.options.poll_interval, after)
    }

    /// Waits until something stands after that position, as far as this process can know: at once for its
    /// own appends, by hint or poll for others'. Bound it with a timeout.
    pub async fn appended_after(&self, position: Position) {
        let mut wake = self.inner.feed.listen();
        loop {
            if wake.hear().head > position {
                return;
            }
            // A database that does not answer now is asked again at the next poll.
            if self.head().await.is_ok_and(|head| head > position) {
                return;
            }
            let _ = timeout(self.inner.options.poll_interval, wake.changed()).await;
        }
    }

    /// Takes no more appends, commits those that wait, and ends the engine's connections.
    pub async fn close(&self) {
        self.inner.closing.send_replace(true);
        let mut tasks = self.inner.tasks.lock().await;
        while tasks.join_next().await.is_some() {}
        self.inner.engine.close().await;
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

async fn relay_hints(engine: Arc<dyn Engine>, feed: Arc<Feed>, mut closing: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = engine.hinted() => feed.hint(),
            _ = closing.wait_for(|closing| *closing) => return,
        }
    }
}

async fn open_engine(url: &str, options: &StoreOptions) -> Result<Arc<dyn Engine>, StoreError> {
    if url.starts_with("postgres:") || url.starts_with("postgresql:") {
        return Ok(Arc::new(Database(Postgres::open(url, options).await?)));
    }
    let Some(file) = url.strip_prefix("sqlite:") else {
        return Err(StoreError::unavailable(
            "the URL of an event store begins with `sqlite:` or `postgres:`",
        ));
    };
    let (path, query) = file.split_once('?').unwrap_or((file, ""));
    let pages = match query.split_once('=') {
        Some(("max_page_count", pages)) => pages.parse().ok(),
        _ => None,
    };
    if pages.is_none() && !query.is_empty() {
        return Err(StoreError::unavailable("after `?`, a SQLite URL takes `max_page_count=<pages>` only"));
    }
    Ok(Arc::new(Database(Sqlite::open(Path::new(path), pages, options).await?)))
}

fn closed() -> StoreError {
    StoreError::unavailable("the store is closed")
}

/// Refuses what the tables cannot hold, before it queues with others; says how large the append is.
fn check(append: &Append, event_bytes_max: usize) -> Result<usize, AppendError> {
    let rows = append.guards.len() + append.timers.len() + append.offsets.len() + append.listings.len();
    let mut bytes = rows * ROW_BYTES;
    let mut seen = HashSet::with_capacity(append.streams.len());
    for stream in &append.streams {
        let name = stream.stream.as_str();
        if name.is_empty() || name.chars().count() > STREAM_CHARACTERS_MAX {
            return Err(StoreError::Corrupt(format!("stream name `{name}` has a wrong length")).into());
        }
        if !seen.insert(name) && stream.expected != Expected::Any {
            return Err(StoreError::Corrupt(format!("stream `{name}` is expected twice in an append")).into());
        }
        for event in &stream.events {
            if event.payload.len() > event_bytes_max {
                return Err(AppendError::Oversize { bytes: event.payload.len(), limit: event_bytes_max });
            }
            bytes += event.payload.len() + ROW_BYTES;
        }
    }
    for claim in &append.claims {
        if claim.key.len() > CLAIM_BYTES_MAX {
            return Err(StoreError::Corrupt("claim key is too long".to_owned()).into());
        }
        bytes += claim.value.len() + ROW_BYTES;
    }
    for change in &append.parked {
        bytes += ROW_BYTES;
        if let ParkedChange::Park(record) = change {
            bytes += record.payload.len();
        }
    }
    Ok(bytes)
}
