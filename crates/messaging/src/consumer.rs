//! The batch consumer: empties a subscription into a store, exactly once for what the store holds.
//!
//! A batch is what gathered while the last one committed. Its streams are loaded in one query, its
//! records decided in memory and in order, and everything they lead to commits in one append with
//! the offsets (compare-and-set). What cannot be handled parks with its key; an outage pauses.

mod batch;
mod catch_up;
mod commit;
mod draft;
mod handler;
mod lane;
mod options;
mod replay;
mod working;

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use event_store::{Store, StoreError};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, MissedTickBehavior, timeout_at},
};
use tokio_util::sync::CancellationToken;
use types::Clock;

pub use handler::{Decision, Handler, Missing, Poison, StreamEvents, Streams, Undecided, Unreadable};
pub use options::{ConsumerError, ConsumerHandle, ConsumerHealth, ConsumerOptions};

use self::{
    catch_up::CatchUp,
    draft::panicked,
    lane::{Item, Lane},
    working::Working,
};
use crate::{Assignment, BackOff, Backlog, ConsumedLog, Delivery, EventLog, LogError, Record, Subscription};

/// Reads one subscription and commits what its records lead to.
pub struct BatchConsumer<H: Handler> {
    store: Store,
    log: Arc<dyn EventLog>,
    subscription: Subscription,
    handler: Arc<H>,
    clock: Arc<dyn Clock>,
    options: ConsumerOptions,
    health: watch::Sender<ConsumerHealth>,
    wake: Arc<Notify>,
    backlog: Backlog,
    first: CatchUp,
}

/// A batch of so many records says that more are coming: those are then let gather for a moment, since a
/// commit costs much and a record in it little.
const GATHERS_FROM: usize = 8;
/// From the beginning of such a batch to that of the next.
const GATHER: Duration = Duration::from_millis(25);

/// What [`ConsumerHealth::paused`] says while the event log does not answer.
pub const EVENT_LOG: &str = "event log";
/// What [`ConsumerHealth::paused`] says while the event store does not answer.
pub const EVENT_STORE: &str = "event store";
const RELAY_BEHIND: &str = "relay";

/// How long a fence by another process counts.
const FENCED_WITHIN: Duration = Duration::from_secs(60);

/// Why the work on a batch ended early.
enum Stop {
    /// The process stops.
    Shutdown,
    /// The consumer cannot go on.
    Failed(ConsumerError),
    /// It must join its group again.
    MembershipLost,
}

impl<H: Handler> BatchConsumer<H> {
    /// A consumer of that subscription; its group's name is the consumer's name in the store.
    #[must_use]
    pub fn new(
        store: Store,
        log: Arc<dyn EventLog>,
        subscription: Subscription,
        handler: Arc<H>,
        clock: Arc<dyn Clock>,
        options: ConsumerOptions,
    ) -> Self {
        let (health, _) = watch::channel(ConsumerHealth::default());
        let backlog = Backlog::of(store.clone());
        let wake = Arc::new(Notify::new());
        let first = CatchUp::default();
        Self { store, log, subscription, handler, clock, options, health, wake, backlog, first }
    }

    /// Topics of the subscription that the group must have read up to the end that they had at the start,
    /// before it counts as caught up ([`ConsumerHealth::behind`]). What it has read already, or what is
    /// empty, is nothing to wait for.
    pub async fn reading_first(mut self, topics: impl IntoIterator<Item = Arc<str>>) -> Self {
        self.first = CatchUp::of(topics);
        let behind = !self.has_caught_up().await;
        self.health.send_modify(|health| health.behind = behind);
        self
    }

    /// What others may hold on to while it runs.
    #[must_use]
    pub fn handle(&self) -> ConsumerHandle {
        ConsumerHandle { wake: self.wake.clone(), health: self.health.subscribe() }
    }

    /// Runs until shutdown; a batch that is not committed by then will be read again.
    ///
    /// # Errors
    /// [`ConsumerError`] when going on is of no use; an outage is not that.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), ConsumerError> {
        let (mut pause, mut fenced_at) = (self.options.back_off(), None);
        loop {
            let Some(log) = self.join(&shutdown).await? else { return Ok(()) };
            let working = Working::new(self.options.cached_streams_max);
            let mut worker = Worker {
                log,
                shutdown: shutdown.clone(),
                working,
                lanes: Vec::new(),
                kinds: HashMap::new(),
                parked_pending: false,
                joined: false,
                consumer: self,
            };
            let ended = worker.run().await;
            if worker.joined {
                pause.reset();
            }
            worker.lanes.clear();
            worker.joined = false;
            worker.report();
            self = worker.consumer;
            match ended {
                Ok(()) | Err(Stop::Shutdown) => return Ok(()),
                // Each of two fences the other as often as it joins again: the older is the first to be fenced
                // twice. After a fail-over of brokers the other may have been a ghost of our own.
                Err(Stop::Failed(error @ ConsumerError::Fenced { .. })) => {
                    let before = fenced_at.replace(Instant::now());
                    if before.is_some_and(|before: Instant| before.elapsed() < FENCED_WITHIN) {
                        return Err(error);
                    }
                    tracing::warn!(%error, "consumer joins its group again");
                }
                Err(Stop::Failed(error)) => return Err(error),
                Err(Stop::MembershipLost) => {
                    tracing::warn!(group = %self.subscription.group, "consumer joins its group again");
                    if !pause.wait(&shutdown).await {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Joins the group, as soon as the log answers; `None` when the process stops before.
    async fn join(
        &self,
        shutdown: &CancellationToken,
    ) -> Result<Option<Box<dyn ConsumedLog>>, ConsumerError> {
        let mut pause = self.options.back_off();
        loop {
            match self.log.subscribe(self.subscription.clone()).await {
                Ok(log) => return Ok(Some(log)),
                Err(LogError::Unavailable(cause)) => {
                    tracing::warn!(group = %self.subscription.group, %cause, "cannot join the group yet");
                    if !pause.wait(shutdown).await {
                        return Ok(None);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// A running consumer.
struct Worker<H: Handler> {
    consumer: BatchConsumer<H>,
    log: Box<dyn ConsumedLog>,
    shutdown: CancellationToken,
    working: Working<H::State>,
    lanes: Vec<Lane>,
    kinds: HashMap<String, Arc<str>>,
    /// Whether a replay is under way that did not fit into one batch.
    parked_pending: bool,
    /// Whether the group gave it its partitions once, be they none.
    joined: bool,
}

impl<H: Handler> Worker<H> {
    async fn run(&mut self) -> Result<(), Stop> {
        let mut check = tokio::time::interval(self.consumer.options.parked_check);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let wake = self.consumer.wake.clone();
        let shutdown = self.shutdown.clone();
        let mut pause = self.consumer.options.back_off();
        let records_max = self.consumer.options.batch_records_max;
        let (mut gathers_until, mut looked) = (None, false);
        loop {
            if self.parked_pending {
                wake.notify_one();
            }
            self.catch_up().await?;
            self.keep_back().await?;
            if let Some(until) = gathers_until.take()
                && timeout_at(until, shutdown.cancelled()).await.is_ok()
            {
                return Ok(());
            }
            // By turns, not by chance: the same happens whenever the same came before.
            let delivery = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                _ = check.tick() => {
                    self.check_parked().await?;
                    // However long that took, what comes has its turn in between.
                    check.reset();
                    continue
                }
                () = wake.notified(), if !looked => { looked = true; self.check_parked().await?; continue }
                delivery = self.log.next(records_max) => delivery,
                () = wake.notified() => { self.check_parked().await?; continue }
            };
            looked = false;
            if delivery.is_ok() {
                self.resumed(EVENT_LOG);
                pause.reset();
            }
            match delivery {
                Ok(Delivery::Records(records)) => {
                    let items = self.admit(records);
                    if items.len() >= GATHERS_FROM {
                        gathers_until = Some(Instant::now() + GATHER);
                    }
                    tracing::debug!(group = %self.consumer.subscription.group, records = items.len(), "batch");
                    let _ = self.process(items, false).await?;
                }
                Ok(Delivery::Assigned(partitions)) => self.assigned(partitions).await?,
                Ok(Delivery::Revoked(partitions)) => self.revoked(&partitions),
                Err(error) => self.failed(error, &mut pause).await?,
            }
        }
    }

    /// Waits while more of this service's own events wait to be published than may.
    async fn keep_back(&self) -> Result<(), Stop> {
        let Err(behind) = self.consumer.backlog.admit().await else { return Ok(()) };
        tracing::warn!(group = %self.consumer.subscription.group, %behind, "consumer pauses");
        self.consumer.health.send_modify(|health| health.paused = Some(RELAY_BEHIND.into()));
        if self.shutdown.run_until_cancelled(self.consumer.backlog.below()).await.is_none() {
            return Err(Stop::Shutdown);
        }
        self.resumed(RELAY_BEHIND);
        Ok(())
    }

    /// Takes partitions over: from where the database says, with the keys that are parked there.
    async fn assigned(&mut self, partitions: Vec<Assignment>) -> Result<(), Stop> {
        // Another member may have written to their streams.
        let (rows, parked) = if partitions.is_empty() {
            (Vec::new(), Vec::new())
        } else {
            self.working.clear();
            (self.offsets().await?, self.parked_keys().await?)
        };
        for assignment in partitions {
            let row = rows
                .iter()
                .find(|row| row.topic == assignment.topic && row.partition == assignment.partition);
            let mut lane = Lane::new(assignment, row, self.consumer.options.parked_window);
            lane.take_parked(&parked);
            self.lanes.retain(|other| !other.is(&lane.topic, lane.partition));
            self.lanes.push(lane);
            self.start(self.lanes.len() - 1).await?;
        }
        self.joined = true;
        self.report();
        Ok(())
    }

    fn revoked(&mut self, partitions: &[(Arc<str>, i32)]) {
        self.working.clear();
        self.lanes.retain(|lane| !partitions.iter().any(|(topic, partition)| lane.is(topic, *partition)));
        self.report();
    }

    /// Reads a partition from where its lane stands.
    async fn start(&mut self, lane: usize) -> Result<(), Stop> {
        let mut pause = self.consumer.options.back_off();
        loop {
            let Lane { topic, partition, .. } = &self.lanes[lane];
            match self.log.start(topic, *partition, self.lanes[lane].start()).await {
                Ok(()) => return Ok(()),
                Err(error @ LogError::OffsetLost { .. }) => return self.failed(error, &mut pause).await,
                Err(error) => self.failed(error, &mut pause).await?,
            }
        }
    }

    /// Answers an error of the log: waits for it to pass, stops the partition concerned, or gives up.
    async fn failed(&mut self, error: LogError, pause: &mut BackOff) -> Result<(), Stop> {
        match error {
            LogError::OffsetLost { ref topic, partition, .. } => {
                let found = self.lanes.iter_mut().find(|lane| lane.is(topic, partition));
                if let Some(lane) = found
                    && lane.stopped.is_none()
                {
                    tracing::error!(group = %self.consumer.subscription.group, %error, "partition stops");
                    lane.stopped = Some("OFFSET_LOST".into());
                    self.report();
                }
                Ok(())
            }
            LogError::Unavailable(cause) => self.pause(EVENT_LOG, cause.as_ref(), pause).await,
            LogError::Fenced => {
                let Subscription { group, member, .. } = self.consumer.subscription.clone();
                Err(Stop::Failed(ConsumerError::Fenced { group, member }))
            }
            LogError::MembershipLost => Err(Stop::MembershipLost),
            LogError::Denied(_) | LogError::Refused(_) | LogError::Oversize { .. } => {
                Err(Stop::Failed(error.into()))
            }
        }
    }

    /// Waits before the next attempt.
    async fn pause(
        &self,
        what: &str,
        cause: &(dyn std::error::Error + Send + Sync),
        pause: &mut BackOff,
    ) -> Result<(), Stop> {
        tracing::warn!(group = %self.consumer.subscription.group, what, %cause, "consumer pauses");
        self.consumer.health.send_modify(|health| health.paused = Some(what.into()));
        if pause.wait(&self.shutdown).await { Ok(()) } else { Err(Stop::Shutdown) }
    }

    /// Takes note that what it waited for answers again.
    fn resumed(&self, what: &str) {
        self.consumer.health.send_if_modified(|health| {
            let resumed = health.paused.as_deref() == Some(what);
            if resumed {
                health.paused = None;
            }
            resumed
        });
    }

    /// Waits before the next attempt when the store did not answer.
    async fn store_failed(&self, error: &StoreError, pause: &mut BackOff) -> Result<(), Stop> {
        self.pause(EVENT_STORE, error, pause).await
    }

    /// Takes records that are still to be handled, and routes them.
    fn admit(&mut self, records: Vec<Record>) -> Vec<Item<H>> {
        let mut items = Vec::with_capacity(records.len());
        let mut latest = 0;
        for record in records {
            let is = |lane: &Lane| lane.is(&record.topic, record.partition);
            // Records come in runs of one partition.
            if !self.lanes.get(latest).is_some_and(is) {
                let Some(found) = self.lanes.iter().position(is) else { continue };
                latest = found;
            }
            let lane = latest;
            if !self.lanes[lane].wants(record.offset) {
                continue;
            }
            let incarnation = self.lanes[lane].incarnation.clone();
            items.push(self.read(record, lane, incarnation));
        }
        items
    }

    fn read(&self, record: Record, lane: usize, incarnation: Arc<str>) -> Item<H> {
        let read = catch_unwind(AssertUnwindSafe(|| self.consumer.handler.read(&record)));
        let (read, poison) = match read {
            Ok(Ok(read)) => (Some(read), None),
            Ok(Err(poison)) => (None, Some(poison)),
            Err(panic) => (None, Some(panicked(panic.as_ref()))),
        };
        Item { record, incarnation, lane, parked_as: None, read, poison, claimed: 0 }
    }

    /// Tells the health watch how things are.
    fn report(&self) {
        let stopped = self.lanes.iter().filter_map(|lane| {
            lane.stopped.as_ref().map(|cause| (lane.topic.clone(), lane.partition, cause.clone()))
        });
        let stopped: Vec<_> = stopped.collect();
        let parked_keys = self.lanes.iter().map(|lane| lane.parked.len()).sum();
        let (assigned, joined) = (self.lanes.len(), self.joined);
        self.consumer.health.send_if_modified(|health| {
            let (paused, behind) = (health.paused.clone(), health.behind);
            let now = ConsumerHealth { stopped, paused, parked_keys, assigned, joined, behind };
            let changed = *health != now;
            *health = now;
            changed
        });
    }
}

/// The longest the consumer waits for a replay or a discard to be noticed.
const PARKED_CHECK_MAX: Duration = Duration::from_millis(500);
