//! Wakes those who watch a cancellation. It only says that something changed; what, they read.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use event_store::{Store, StoreError, StreamId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const BATCH: usize = 1_000;
const PAUSE: Duration = Duration::from_millis(200);

type Versions = HashMap<StreamId, watch::Sender<u64>>;

/// Everybody who watches.
#[derive(Default)]
pub(crate) struct Watchers {
    versions: Mutex<Versions>,
}

/// One who watches one stream.
pub(crate) struct Watcher {
    watchers: Arc<Watchers>,
    stream: StreamId,
    changes: watch::Receiver<u64>,
}

impl Watcher {
    /// Waits for a change; false when nobody will tell of any more.
    pub(crate) async fn changed(&mut self) -> bool {
        self.changes.changed().await.is_ok()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut versions = self.watchers.versions();
        if versions.get(&self.stream).is_some_and(|sender| sender.receiver_count() <= 1) {
            versions.remove(&self.stream);
        }
    }
}

impl Watchers {
    fn versions(&self) -> MutexGuard<'_, Versions> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of every change of the stream from now on.
    pub(crate) fn subscribe(self: &Arc<Self>, stream: StreamId) -> Watcher {
        let sender = |_: &StreamId| watch::Sender::new(0);
        let changes = self.versions().entry(stream.clone()).or_insert_with_key(sender).subscribe();
        Watcher { watchers: self.clone(), stream, changes }
    }

    /// Follows the store until told to stop.
    pub(crate) async fn run(&self, store: Store, shutdown: CancellationToken) {
        while let Some(failed) = shutdown.run_until_cancelled(self.follow(&store)).await {
            if let Err(error) = failed {
                tracing::warn!(%error, "changes cannot be told while the store is away");
            }
            let pause = tokio::time::timeout(PAUSE, std::future::pending::<()>());
            shutdown.run_until_cancelled(pause).await;
        }
        // Without a sender everybody who watches is told that there is no more.
        self.versions().clear();
    }

    async fn follow(&self, store: &Store) -> Result<(), StoreError> {
        let mut tail = store.tail(store.head().await?);
        // Nobody knows what was missed until now: all look again.
        self.versions().values().for_each(|sender| sender.send_modify(|_| {}));
        loop {
            let events = tail.next(BATCH).await?;
            let versions = self.versions();
            for event in events {
                if let Some(sender) = versions.get(&event.stream) {
                    sender.send_replace(event.version);
                }
            }
        }
    }
}
