//! The follower: hands a store's events, in commit order, to a handler, with a durable cursor.
//!
//! One follower of a name runs at a time, held by a lock of the store. Whoever gets it takes the cursor
//! over: one that lost the lock unawares, its connection broken, can move it no more and asks again. The
//! cursor moves after the events are handled, and may lag: after a crash some are handled again.

use std::{collections::VecDeque, future::Future, pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use event_store::{
    Append, AppendError, LogOffset, OffsetAdvance, Position, Recorded, Store, StoreError, Tail,
};
use futures::{
    future::OptionFuture,
    stream::{self, BoxStream, StreamExt as _},
};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{BackOff, Cursor, cursor::consumer_of};

/// Events handed over at once, at the most.
const BATCH_EVENTS_MAX: usize = 512;
/// How long the cursor may lag behind what is handled.
const CURSOR_LAG_MAX: Duration = Duration::from_millis(100);
/// How often a follower that waits for its lock asks for it, and an idle one whether its cursor was
/// moved by a person.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
const BACKOFF_MIN: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// Why events could not be handled now. They are handed over again.
#[derive(Debug, thiserror::Error)]
#[error("events could not be handled")]
pub struct FollowError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl FollowError {
    /// Wraps the cause.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

/// What is done with events.
#[async_trait]
pub trait Follow: Send + Sync + 'static {
    /// Handles events, in commit order. They may come again, from any point on.
    ///
    /// # Errors
    /// [`FollowError`]: the same batch or a longer one comes again after a while, for ever.
    async fn handle(&self, batch: &[Recorded]) -> Result<(), FollowError>;
}

type Handling = Pin<Box<dyn Future<Output = Result<(), FollowError>> + Send>>;
/// Begins to handle a batch, of which what stands up to the position counts only where it is kept for
/// ever; the future ends when that is durable.
type Begin = dyn Fn(Vec<Recorded>, Position) -> Handling + Send + Sync;

/// Follows a store.
pub struct Follower {
    store: Store,
    name: Arc<str>,
    begin: Box<Begin>,
    /// How many batches may be under way.
    ahead: usize,
    progress: watch::Sender<Position>,
}

impl Follower {
    /// A follower that hands one batch at a time over. Its name is that of its lock and, behind
    /// `follower/`, of its cursor.
    #[must_use]
    pub fn new(store: Store, name: &str, follow: Arc<dyn Follow>) -> Self {
        let begin = move |batch: Vec<Recorded>, _| -> Handling {
            let follow = follow.clone();
            Box::pin(async move { follow.handle(&batch).await })
        };
        Self::pipelined(store, name, 1, Box::new(begin))
    }

    /// One that begins so many batches, in order, before the first is done.
    pub(crate) fn pipelined(store: Store, name: &str, ahead: usize, begin: Box<Begin>) -> Self {
        let (progress, _) = watch::channel(Position::default());
        Self { store, name: name.into(), begin, ahead, progress }
    }

    /// The position up to which everything is handled.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Position> {
        self.progress.subscribe()
    }

    /// Follows until shutdown. Outages pause it; nothing ends it.
    pub async fn run(self, shutdown: CancellationToken) {
        let consumer = consumer_of(&self.name);
        let mut pause = BackOff::between(BACKOFF_MIN, BACKOFF_MAX);
        loop {
            // Taken anew whenever somebody else moved the cursor: that may be one who got the lock
            // because the connection that held it broke, and then it is theirs.
            let Some(lock) = self.lock(&shutdown).await else { return };
            match self.take_over(&consumer).await {
                Ok(row) => {
                    let mut run = Run::new(&self, consumer.clone(), row);
                    if run.follow(&shutdown).await == Ended::Shutdown {
                        return run.flush().await;
                    }
                    drop(lock);
                    pause.reset();
                }
                Err(error) => {
                    tracing::warn!(follower = %self.name, %error, "follower cannot take its cursor over");
                    if !pause.wait(&shutdown).await {
                        return;
                    }
                }
            }
        }
    }

    /// Waits for the lock; `None` at shutdown.
    async fn lock(&self, shutdown: &CancellationToken) -> Option<Box<dyn std::any::Any + Send + Sync>> {
        let mut pause = BackOff::between(BACKOFF_MIN, LOOK_INTERVAL);
        loop {
            match self.store.try_lock(&self.name).await {
                Ok(Some(lock)) => return Some(lock),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(follower = %self.name, %error, "follower cannot ask for its lock");
                }
            }
            if !pause.wait(shutdown).await {
                return None;
            }
        }
    }

    /// Takes the cursor out of the hands of whoever moved it last.
    async fn take_over(&self, consumer: &str) -> Result<LogOffset, AppendError> {
        let row = self.store.offsets(consumer).await?.into_iter().next();
        let to = Cursor::read(row.as_ref()).taken_over().row(&self.name);
        move_cursor(&self.store, row.as_ref(), to).await
    }
}

/// Moves a cursor, if it still stands there.
async fn move_cursor(
    store: &Store,
    from: Option<&LogOffset>,
    to: LogOffset,
) -> Result<LogOffset, AppendError> {
    let from = from.map(|row| (row.incarnation.clone(), row.next));
    let offsets = vec![OffsetAdvance { from, to: to.clone() }];
    store.append(Append { offsets, ..Append::default() }).await.map(|_| to)
}

/// Why following ended.
#[derive(PartialEq, Eq)]
enum Ended {
    Shutdown,
    /// The cursor was moved by somebody else: follow on from there.
    Moved,
}

/// Batches as they come. A read that has begun goes on while something else is seen to: begun again each
/// time, one that takes longer than that would never end.
type Reading = BoxStream<'static, Result<Vec<Recorded>, StoreError>>;

fn reading(tail: Tail) -> Reading {
    let next = |mut tail: Tail| async move { Some((tail.next(BATCH_EVENTS_MAX).await, tail)) };
    stream::unfold(tail, next).boxed()
}

type Moving = Pin<Box<dyn Future<Output = Result<LogOffset, AppendError>> + Send>>;

/// Following from one place of the cursor on.
struct Run<'a> {
    follower: &'a Follower,
    consumer: Arc<str>,
    /// The cursor's row as it stands in the store.
    row: LogOffset,
    /// The cursor from which this began.
    begun: Cursor,
    /// Everything up to here is handled.
    handled: Position,
    reading: Reading,
    under_way: VecDeque<(Position, Handling)>,
    cursor: Option<Moving>,
    /// Where it is moving to.
    aim: Option<LogOffset>,
    /// When the cursor is to move, if it lags.
    due: Option<Instant>,
    /// Where it may have moved to without this being told.
    unanswered: Vec<LogOffset>,
}

impl<'a> Run<'a> {
    fn new(follower: &'a Follower, consumer: Arc<str>, row: LogOffset) -> Self {
        let begun = Cursor::read(Some(&row));
        let handled = begun.next;
        follower.progress.send_replace(handled);
        let reading = reading(follower.store.tail(handled));
        Self {
            follower,
            consumer,
            row,
            begun,
            handled,
            reading,
            under_way: VecDeque::new(),
            cursor: None,
            aim: None,
            due: None,
            unanswered: Vec::new(),
        }
    }

    async fn follow(&mut self, shutdown: &CancellationToken) -> Ended {
        let mut pause = BackOff::between(BACKOFF_MIN, BACKOFF_MAX);
        let mut look = tokio::time::interval(LOOK_INTERVAL);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let idle = self.under_way.is_empty() && self.due.is_none() && self.cursor.is_none();
            let due = self.due.unwrap_or_else(Instant::now);
            let failed = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ended::Shutdown,
                Some(done) = OptionFuture::from(self.under_way.front_mut().map(|(_, handling)| handling)) => {
                    match done {
                        Ok(()) => { self.done(); pause.reset(); None }
                        Err(error) => Some(error),
                    }
                }
                Some(moved) = OptionFuture::from(self.cursor.as_mut()) => {
                    self.cursor = None;
                    if self.moved(moved) { return Ended::Moved; }
                    None
                }
                Some(events) = self.reading.next(), if self.under_way.len() < self.follower.ahead => {
                    match events {
                        Ok(events) => { self.begin(events).await; None }
                        Err(error) => Some(FollowError::new(error)),
                    }
                }
                _ = timeout_at(due, std::future::pending::<()>()), if self.due.is_some() && self.cursor.is_none() => {
                    self.advance();
                    None
                }
                _ = look.tick(), if idle => {
                    let rows = self.follower.store.offsets(&self.consumer).await;
                    if self.is_moved(rows) { return Ended::Moved; }
                    None
                }
            };
            if let Some(error) = failed {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(follower = %self.follower.name, %error, cause, "follower pauses");
                self.again().await;
                if !pause.wait(shutdown).await {
                    return Ended::Shutdown;
                }
            }
        }
    }

    /// Begins to handle a batch. The first poll is what puts it in order behind those before it.
    async fn begin(&mut self, events: Vec<Recorded>) {
        let Some(last) = events.last().map(|event| event.position) else { return };
        let mut handling = (self.follower.begin)(events, self.begun.compacted_until());
        let handling: Handling = match futures::poll!(&mut handling) {
            std::task::Poll::Ready(done) => Box::pin(std::future::ready(done)),
            std::task::Poll::Pending => handling,
        };
        self.under_way.push_back((last, handling));
    }

    /// The oldest batch under way is handled.
    fn done(&mut self) {
        let Some((last, _)) = self.under_way.pop_front() else { return };
        self.handled = last;
        self.follower.progress.send_replace(last);
        self.due.get_or_insert_with(|| Instant::now() + CURSOR_LAG_MAX);
    }

    /// Goes back to what is not handled. What is under way ends first, so that nothing of it comes
    /// between the repeated ones.
    async fn again(&mut self) {
        self.under_way.pop_front();
        for (_, handling) in self.under_way.drain(..) {
            let _ = handling.await;
        }
        self.reading = reading(self.follower.store.tail(self.handled));
    }

    /// Begins to move the cursor.
    fn advance(&mut self) {
        self.due = None;
        let to = self.begun.advanced(self.handled).row(&self.follower.name);
        self.aim = Some(to.clone());
        let (store, from) = (self.follower.store.clone(), self.row.clone());
        self.cursor = Some(Box::pin(async move { move_cursor(&store, Some(&from), to).await }));
    }

    /// Takes note of what became of the cursor; true when somebody else has moved it.
    fn moved(&mut self, moved: Result<LogOffset, AppendError>) -> bool {
        match moved {
            Ok(row) => {
                self.row = row;
                self.unanswered.clear();
            }
            Err(AppendError::OffsetMoved { current }) => {
                let earlier = std::mem::take(&mut self.unanswered);
                match current.into_iter().flatten().next() {
                    // The answer to an earlier attempt was lost.
                    Some(row) if earlier.contains(&row) => {
                        self.row = row;
                        self.due.get_or_insert_with(Instant::now);
                    }
                    _ => return true,
                }
            }
            Err(error) => {
                tracing::warn!(follower = %self.follower.name, %error, "follower's cursor lags");
                self.unanswered.extend(self.aim.take());
                self.due.get_or_insert_with(|| Instant::now() + BACKOFF_MAX);
            }
        }
        false
    }

    /// Whether somebody else has moved the cursor.
    fn is_moved(&self, rows: Result<Vec<LogOffset>, StoreError>) -> bool {
        // A store that does not answer now will be asked again.
        rows.is_ok_and(|rows| rows.first() != Some(&self.row))
    }

    /// Moves the cursor to all that is handled, once.
    async fn flush(&mut self) {
        if let Some(cursor) = self.cursor.take() {
            let moved = cursor.await;
            if self.moved(moved) {
                return;
            }
        }
        if self.due.is_some() {
            self.advance();
            if let Some(cursor) = self.cursor.take() {
                let moved = cursor.await;
                self.moved(moved);
            }
        }
    }
}
