//! Back-pressure: how far a service's relay may be behind what its store holds.
//!
//! What a service accepts while the log is away waits in its store, on disk. This bounds how much:
//! callers are refused from there on, and consumers read no further, until the relay has caught up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use event_store::Store;
use tokio::{sync::Mutex, time::Instant};

use crate::{Cursor, RELAY};

/// How often the cursor is read, at the most, while the relay is far behind.
const READ_INTERVAL: Duration = Duration::from_millis(50);
/// How often whoever waits looks again.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// The relay is as far behind as it may be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{waiting} events wait to be published, and no more may")]
pub struct Behind {
    /// How many events wait.
    pub waiting: u64,
}

/// How many events of a store wait to be published, against how many may. Cheap to clone.
#[derive(Clone)]
pub struct Backlog {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    /// Up to here everything is known to be published at least once.
    published: AtomicU64,
    read: Mutex<Option<Instant>>,
}

impl Backlog {
    /// That of the store's relay; the store's options say how many events may wait.
    #[must_use]
    pub fn of(store: Store) -> Self {
        Self { inner: Arc::new(Inner { store, published: AtomicU64::new(0), read: Mutex::new(None) }) }
    }

    /// Whether one more may be accepted. What this process appended last counts at once; the cursor is
    /// read only when half of what may wait seems to. Requests that are decided at the same moment may
    /// all be accepted.
    ///
    /// # Errors
    /// [`Behind`] when not.
    pub async fn admit(&self) -> Result<(), Behind> {
        let max = self.inner.store.options().backlog_events_max;
        if self.waiting() < max / 2 {
            return Ok(());
        }
        self.read().await;
        match self.waiting() {
            waiting if waiting < max => Ok(()),
            waiting => Err(Behind { waiting }),
        }
    }

    /// Waits until one more may be accepted.
    pub async fn below(&self) {
        let mut look = tokio::time::interval(LOOK_INTERVAL);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while self.admit().await.is_err() {
            look.tick().await;
        }
    }

    fn waiting(&self) -> u64 {
        self.inner.store.seen().0.saturating_sub(self.inner.published.load(Ordering::Acquire))
    }

    /// Reads how far the relay is, whichever process it runs in.
    async fn read(&self) {
        let mut read = self.inner.read.lock().await;
        if read.is_some_and(|at| at.elapsed() < READ_INTERVAL) {
            return;
        }
        // A store that does not answer refuses the append by itself.
        if let Ok(cursor) = Cursor::of(&self.inner.store, RELAY).await {
            self.inner.published.fetch_max(cursor.reached().0, Ordering::AcqRel);
            *read = Some(Instant::now());
        }
    }
}
