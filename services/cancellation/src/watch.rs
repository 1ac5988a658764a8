//! Tells those who watch a cancellation how it stands. Every change is folded once, from memory, for
//! all who watch; the store is read at the beginning, and by those who are behind.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use event_store::{Recorded, Store, StoreError, StreamId};
use messaging::BackOff;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::streams::{self, Folded};

const BATCH: usize = 1_000;

/// How many cancellations that were just asked for are kept for whoever watches them next.
const RECENT_MAX: usize = 1_024;

/// What is known of a stream.
#[derive(Clone, Default)]
struct Seen {
    /// Its state at that version; `None` for one that only the store can tell.
    folded: Option<Arc<Folded>>,
    /// The highest version that is known to be there.
    version: u64,
}

impl Seen {
    /// Takes an event note of; whether it says anything new.
    fn take(&mut self, event: &Recorded) -> bool {
        if event.version <= self.version {
            return false;
        }
        let next = self.folded.take().filter(|_| self.version + 1 == event.version);
        // What cannot be read is told to those who then read the store.
        self.folded = next.and_then(|folded| streams::fold(folded, event).ok());
        self.version = event.version;
        true
    }

    /// Takes what the store said note of; whether that is newer than what was known.
    fn learn(&mut self, folded: &Arc<Folded>, version: u64) -> bool {
        let newer = version > self.version;
        if newer || (version == self.version && self.folded.is_none()) {
            *self = Self { folded: Some(folded.clone()), version };
        }
        newer
    }

    fn is_ended(&self) -> bool {
        let case = self.folded.as_ref().and_then(|folded| folded.case.as_ref());
        case.is_some_and(|case| case.phase.is_ended())
    }
}

#[derive(Default)]
struct Streams {
    seen: HashMap<StreamId, watch::Sender<Seen>>,
    /// Those that nobody may have watched yet, the oldest first.
    recent: VecDeque<StreamId>,
}

impl Streams {
    /// Forgets a stream that nobody watches, but for so many that do so still.
    fn forget(&mut self, stream: &StreamId, watching: usize) {
        if self.seen.get(stream).is_some_and(|sender| sender.receiver_count() <= watching) {
            self.seen.remove(stream);
        }
    }
}

/// Everybody who watches.
#[derive(Default)]
pub(crate) struct Watchers {
    streams: Mutex<Streams>,
}

/// One who watches one stream.
pub(crate) struct Watcher {
    watchers: Arc<Watchers>,
    stream: StreamId,
    changes: watch::Receiver<Seen>,
}

impl Watcher {
    /// Waits for a change; false when nobody will tell of any more.
    pub(crate) async fn changed(&mut self) -> bool {
        self.changes.changed().await.is_ok()
    }

    /// The state now, where no store need be asked.
    pub(crate) fn state(&mut self) -> Option<(Arc<Folded>, u64)> {
        let seen = self.changes.borrow_and_update();
        seen.folded.as_ref().map(|folded| (folded.clone(), seen.version))
    }

    /// Tells the others, too, what the store said.
    pub(crate) fn learn(&self, folded: &Arc<Folded>, version: u64) {
        if let Some(sender) = self.watchers.streams().seen.get(&self.stream) {
            sender.send_if_modified(|seen| seen.learn(folded, version));
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.watchers.streams().forget(&self.stream, 1);
    }
}

impl Watchers {
    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of every change of the stream from now on.
    pub(crate) fn subscribe(self: &Arc<Self>, stream: StreamId) -> Watcher {
        let sender = |_: &StreamId| watch::Sender::new(Seen::default());
        let changes = self.streams().seen.entry(stream.clone()).or_insert_with_key(sender).subscribe();
        Watcher { watchers: self.clone(), stream, changes }
    }

    /// Keeps the state of a new stream for a while: whoever asked for it will watch it next.
    pub(crate) fn expect(&self, stream: StreamId, folded: &Arc<Folded>, version: u64) {
        let mut streams = self.streams();
        let sender =
            streams.seen.entry(stream.clone()).or_insert_with(|| watch::Sender::new(Seen::default()));
        sender.send_if_modified(|seen| seen.learn(folded, version));
        streams.recent.push_back(stream);
        if streams.recent.len() > RECENT_MAX
            && let Some(oldest) = streams.recent.pop_front()
        {
            streams.forget(&oldest, 0);
        }
    }

    /// Follows the store until told to stop.
    pub(crate) async fn run(&self, store: Store, shutdown: CancellationToken) {
        let mut pause = BackOff::default();
        while let Some(failed) = shutdown.run_until_cancelled(self.follow(&store, &mut pause)).await {
            if let Err(error) = failed {
                tracing::warn!(%error, "changes cannot be told while the store is away");
            }
            pause.wait(&shutdown).await;
        }
        // Without a sender everybody who watches is told that there is no more.
        self.streams().seen.clear();
    }

    async fn follow(&self, store: &Store, pause: &mut BackOff) -> Result<(), StoreError> {
        let mut tail = store.tail(store.head().await?);
        // Nobody knows what was missed until now: all look again.
        for sender in self.streams().seen.values() {
            sender.send_modify(|seen| seen.folded = None);
        }
        loop {
            let events = tail.next(BATCH).await?;
            pause.reset();
            self.tell(&events);
        }
    }

    /// Folds what was committed, and wakes each who watches once.
    fn tell(&self, events: &[Recorded]) {
        let mut streams = self.streams();
        let mut changed = HashSet::new();
        for event in events {
            let Some(sender) = streams.seen.get(&event.stream) else { continue };
            sender.send_if_modified(|seen| {
                if seen.take(event) {
                    changed.insert(&event.stream);
                }
                false
            });
        }
        for stream in changed {
            let Some(sender) = streams.seen.get(stream) else { continue };
            sender.send_modify(|_| {});
            if sender.borrow().is_ended() {
                streams.forget(stream, 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use event_store::{Metadata, Position};
    use participant::Encoded;
    use proto::cancellation::v1 as pb;
    use types::{Timestamp, fresh_uuid};

    use super::*;

    fn token_key(version: u64) -> Recorded {
        let encoded = Encoded::of(&pb::TokenKeyKnown { jwk_json: version.to_string() });
        let text = || Arc::from("");
        let metadata = Metadata {
            tenant: text(),
            actor: text(),
            causation: text(),
            correlation: text(),
            traceparent: text(),
        };
        Recorded {
            position: Position(version),
            stream: StreamId::new("one"),
            version,
            id: fresh_uuid(),
            kind: (*encoded.kind).into(),
            schema: encoded.schema,
            at: Timestamp::EPOCH,
            metadata: Arc::new(metadata),
            payload: encoded.payload,
        }
    }

    fn known(keys: &[&str]) -> Arc<Folded> {
        Arc::new(Folded { keys: keys.iter().map(ToString::to_string).collect(), ..Folded::default() })
    }

    fn keys(watcher: &mut Watcher) -> Option<(Vec<String>, u64)> {
        watcher.state().map(|(folded, version)| (folded.keys.clone(), version))
    }

    fn woken(watcher: &Watcher) -> bool {
        watcher.changes.has_changed().unwrap()
    }

    #[test]
    fn changes_are_folded_from_memory_and_told_once_a_batch() {
        let watchers = Arc::new(Watchers::default());
        watchers.expect(StreamId::new("one"), &known(&["1"]), 1);
        let mut watcher = watchers.subscribe(StreamId::new("one"));
        assert_eq!(keys(&mut watcher), Some((vec!["1".into()], 1)));
        // What the request itself brought about is told again, and is no news.
        watchers.tell(&[token_key(1)]);
        assert!(!woken(&watcher));
        watchers.tell(&[token_key(2), token_key(3)]);
        assert!(woken(&watcher));
        assert_eq!(keys(&mut watcher), Some((vec!["1".into(), "2".into(), "3".into()], 3)));
        assert!(!woken(&watcher));
    }

    #[test]
    fn who_is_behind_reads_the_store_and_what_it_says_counts_only_when_nothing_newer_is_known() {
        let watchers = Arc::new(Watchers::default());
        let mut watcher = watchers.subscribe(StreamId::new("one"));
        let mut other = watchers.subscribe(StreamId::new("one"));
        assert_eq!(keys(&mut watcher), None);
        watchers.tell(&[token_key(3)]);
        assert!(woken(&watcher));
        assert_eq!(keys(&mut watcher), None);
        watcher.learn(&known(&["1", "2"]), 2);
        assert_eq!(keys(&mut watcher), None, "the third is known to be there");
        watcher.learn(&known(&["1", "2", "3"]), 3);
        assert_eq!(keys(&mut other).unwrap().1, 3);
        watchers.tell(&[token_key(5)]);
        assert_eq!(keys(&mut watcher), None, "the fourth is missing");
    }

    #[test]
    fn what_nobody_watches_is_kept_within_a_bound() {
        let watchers = Arc::new(Watchers::default());
        let stream = |number: usize| StreamId::new(format!("s{number}"));
        let watcher = watchers.subscribe(stream(0));
        for number in 0..3 * RECENT_MAX {
            watchers.expect(stream(number), &known(&[]), 1);
        }
        assert_eq!(watchers.streams().seen.len(), RECENT_MAX + 1);
        drop(watcher);
        assert_eq!(watchers.streams().seen.len(), RECENT_MAX);
    }
}
