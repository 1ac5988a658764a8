//! The relay and the follower: everything, in order, at least once.

use std::{
    any::Any,
    collections::HashSet,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use event_store::{
    Append, Engine, Expected, LogOffset, Metadata, OffsetAdvance, Position, Recorded, Store, StoreError,
    StoreOptions, StreamAppend, StreamId,
};
use messaging::{Cursor, Follow, FollowError, Follower, Message, Publish, RELAY, Relay};
use testkit::{Intercept, Intercepted};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use types::Timestamp;

use crate::{
    bench::{Bench, group, message, text, within},
    doubles::{Fault, FaultyLog},
    toy::event,
};

on_each![
    every_event_is_published_in_order_and_the_cursor_resumes,
    a_failing_log_delays_and_repeats_and_the_latest_copies_are_all_in_order,
    a_read_that_takes_longer_than_publishing_is_not_begun_again,
    a_rewound_cursor_publishes_everything_again,
    a_rewind_tells_compacted_topics_everything_and_others_what_is_wanted,
    a_follower_hands_the_same_events_over_until_they_are_handled,
    a_follower_waits_for_the_one_of_its_name,
    a_follower_that_lost_its_lock_unawares_leaves_the_work_to_the_one_that_has_it,
];

/// The compacted topics of all tests.
static KEPT_TOPICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

pub fn metadata() -> Arc<Metadata> {
    Arc::new(Metadata {
        tenant: "local".into(),
        actor: "tester".into(),
        causation: "".into(),
        correlation: "".into(),
        traceparent: "".into(),
    })
}

async fn append(store: &Store, numbers: std::ops::Range<usize>) -> Position {
    let mut last = Position::default();
    for number in numbers {
        let streams = vec![StreamAppend {
            stream: StreamId::new(format!("s{}", number % 3)),
            expected: Expected::Any,
            metadata: metadata(),
            at: Timestamp::from_micros(1),
            events: vec![event("toy.v1.Numbered", number.to_string())],
        }];
        last = store.append(Append { streams, ..Append::default() }).await.unwrap().position;
    }
    last
}

/// Publishes each event twice, to see that several messages of one event stay together.
fn publish(topic: &Arc<str>) -> Arc<Publish> {
    let topic = topic.clone();
    Arc::new(move |event: &Recorded, messages: &mut Vec<Message>| {
        let number = std::str::from_utf8(&event.payload).unwrap();
        if number != "1" {
            messages.push(message(&topic, "k", &format!("{number} first")));
            messages.push(message(&topic, "k", &format!("{number} second")));
        }
    })
}

struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

fn start(follower: Follower) -> Running {
    let shutdown = CancellationToken::new();
    let task = TaskTracker::new().spawn(follower.run(shutdown.clone()));
    Running { shutdown, task }
}

impl Running {
    async fn stop(self) {
        self.shutdown.cancel();
        within("the follower's end", self.task).await.unwrap();
    }
}

fn expected(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.filter(|n| *n != 1).flat_map(|n| [format!("{n} first"), format!("{n} second")]).collect()
}

async fn every_event_is_published_in_order_and_the_cursor_resumes(bench: Arc<Bench>) {
    let (topic, store) = (bench.topic(1).await, bench.store().await);
    append(&store, 0..20).await;
    let relay = Relay::new(store.clone(), "relay", bench.log.clone(), publish(&topic));
    let mut progress = relay.progress();
    let running = start(relay);
    let last = append(&store, 20..40).await;
    within("the progress", progress.wait_for(|at| *at >= last)).await.unwrap();
    running.stop().await;
    let relay = Relay::new(store.clone(), "relay", bench.log.clone(), publish(&topic));
    let running = start(relay);
    append(&store, 40..50).await;
    let mut reader = bench.reader(&group(), "m", &[&topic]).await;
    reader.read(98).await;
    running.stop().await;
    // It stopped in order, so that nothing is repeated.
    let read: Vec<&str> = reader.records.iter().map(text).collect();
    assert_eq!(read, expected(0..50));
    store.close().await;
}

async fn a_failing_log_delays_and_repeats_and_the_latest_copies_are_all_in_order(bench: Arc<Bench>) {
    let (topic, store) = (bench.topic(1).await, bench.store().await);
    use Fault::{LoseAnswer, Pass, Refuse};
    let log = FaultyLog::planned(&bench.log, &[Refuse, Pass, LoseAnswer, Refuse, LoseAnswer, Pass, Refuse]);
    let relay = Relay::new(store.clone(), "relay", log, publish(&topic));
    let mut progress = relay.progress();
    let running = start(relay);
    let mut last = Position::default();
    for part in 0..10 {
        last = append(&store, part * 5..part * 5 + 5).await;
    }
    within("the progress", progress.wait_for(|at| *at >= last)).await.unwrap();
    running.stop().await;
    append(&store, 50..51).await;
    let relay = Relay::new(store.clone(), "relay", bench.log.clone(), publish(&topic));
    let running = start(relay);
    let mut reader = bench.reader(&group(), "m", &[&topic]).await;
    let all = expected(0..51);
    reader
        .read_until("all", |reader| reader.records.iter().any(|record| text(record) == all[all.len() - 1]))
        .await;
    running.stop().await;
    // What was ahead of a batch that failed may be there already; it comes again behind it.
    let mut known = HashSet::new();
    let latest = reader.records.iter().rev().map(text).filter(|text| known.insert(*text));
    let mut latest: Vec<&str> = latest.collect();
    latest.reverse();
    assert_eq!(latest, all);
    store.close().await;
}

async fn a_read_that_takes_longer_than_publishing_is_not_begun_again(bench: Arc<Bench>) {
    let (topic, store) = (bench.topic(1).await, bench.store().await);
    let streams = vec![StreamAppend {
        stream: StreamId::new("s"),
        expected: Expected::Any,
        metadata: metadata(),
        at: Timestamp::from_micros(1),
        // More than two batches.
        events: (0..1_100).map(|number| event("toy.v1.Numbered", number.to_string())).collect(),
    }];
    let last = store.append(Append { streams, ..Append::default() }).await.unwrap().position;
    let slow = Intercepted::with(store.engine().clone(), SlowReads::default());
    // Nothing of it is in the memory of this one.
    let behind = Store::with_engine(slow.clone(), StoreOptions::default());
    let relay = Relay::new(behind.clone(), "relay", bench.log.clone(), publish(&topic));
    let mut progress = relay.progress();
    slow.progress.set(progress.clone()).unwrap();
    let running = start(relay);
    within("the progress", progress.wait_for(|at| *at >= last)).await.unwrap();
    running.stop().await;
    let mut asked = slow.asked.lock().unwrap().clone();
    // At the end it is asked whether there is more, how often nobody minds.
    asked.retain(|after| *after < last);
    let each: HashSet<Position> = asked.iter().copied().collect();
    assert_eq!(asked.len(), each.len(), "{asked:?}");
    assert!(asked.len() > 2, "{asked:?}");
    behind.close().await;
    store.close().await;
}

/// Reads that go on until everything before what they ask for has been handled.
#[derive(Default)]
struct SlowReads {
    progress: OnceLock<watch::Receiver<Position>>,
    asked: Mutex<Vec<Position>>,
}

#[async_trait]
impl Intercept for SlowReads {
    async fn read(
        &self,
        inner: &dyn Engine,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Recorded>, StoreError> {
        self.asked.lock().unwrap().push(after);
        let mut progress = self.progress.get().unwrap().clone();
        let _ = progress.wait_for(|handled| *handled >= after).await;
        inner.read(after, limit).await
    }
}

async fn a_rewound_cursor_publishes_everything_again(bench: Arc<Bench>) {
    let (topic, store) = (bench.topic(1).await, bench.store().await);
    let last = append(&store, 0..5).await;
    let relay = Relay::new(store.clone(), "relay", bench.log.clone(), publish(&topic));
    let mut progress = relay.progress();
    let running = start(relay);
    within("the progress", progress.wait_for(|at| *at >= last)).await.unwrap();
    let mut reader = bench.reader(&group(), "m", &[&topic]).await;
    reader.read(8).await;
    let row = crate::bench::until("the cursor", || async {
        let rows = store.offsets("follower/relay").await.unwrap();
        rows.into_iter().find(|row| row.next == last.0 as i64)
    })
    .await;
    let from = Some((row.incarnation.clone(), row.next));
    let offsets = vec![OffsetAdvance { from, to: LogOffset { next: 0, ..row } }];
    store.append(Append { offsets, ..Append::default() }).await.unwrap();
    reader.read(16).await;
    running.stop().await;
    let read: Vec<&str> = reader.records[8..].iter().map(text).collect();
    assert_eq!(read, expected(0..5));
    store.close().await;
}

async fn a_rewind_tells_compacted_topics_everything_and_others_what_is_wanted(bench: Arc<Bench>) {
    let (topic, kept, store) = (bench.topic(1).await, bench.topic(1).await, bench.store().await);
    let last = append(&store, 0..6).await;
    let (own, of_all) = (kept.clone(), publish(&topic));
    let both = move |event: &Recorded, messages: &mut Vec<Message>| {
        of_all(event, messages);
        messages.push(message(&own, "k", std::str::from_utf8(&event.payload).unwrap()));
    };
    let is_kept = |topic: &str| KEPT_TOPICS.lock().unwrap().iter().any(|kept| kept == topic);
    KEPT_TOPICS.lock().unwrap().push(kept.to_string());
    let preface = vec![message(&kept, "k", "preface")];
    let relay = Relay::keeping(store.clone(), bench.log.clone(), Arc::new(both), is_kept, preface);
    let running = start(relay);
    let cursor = crate::bench::until("the cursor", || async {
        Cursor::of(&store, RELAY).await.ok().filter(|cursor| cursor.next == last)
    })
    .await;
    let (mut facts, mut ledger) =
        (bench.reader(&group(), "m", &[&topic]).await, bench.reader(&group(), "m", &[&kept]).await);
    facts.read(10).await;
    ledger.read(7).await;
    // While it runs; events 4 and 5 stand at positions 5 and 6.
    let offsets = vec![cursor.to(cursor.rewound(Position(4)), RELAY)];
    store.append(Append { offsets, ..Append::default() }).await.unwrap();
    facts.read(14).await;
    ledger.read(14).await;
    let settled = crate::bench::until("the end of the rewind", || async {
        Cursor::of(&store, RELAY).await.ok().filter(|cursor| cursor.rewind.is_none() && cursor.next == last)
    });
    assert_eq!(settled.await.reached(), last);
    running.stop().await;
    assert_eq!(facts.records[10..].iter().map(text).collect::<Vec<_>>(), expected(4..6));
    let all = ["preface", "0", "1", "2", "3", "4", "5"];
    assert_eq!(ledger.records[7..].iter().map(text).collect::<Vec<_>>(), all);
    store.close().await;
}

/// Handles events, but not at once.
#[derive(Default)]
struct Reluctant {
    tries: AtomicUsize,
    handled: Mutex<Vec<String>>,
}

#[async_trait]
impl Follow for Reluctant {
    async fn handle(&self, batch: &[Recorded]) -> Result<(), FollowError> {
        if self.tries.fetch_add(1, Ordering::SeqCst) % 3 != 2 {
            return Err(FollowError::new("not now"));
        }
        let texts = batch.iter().map(|event| String::from_utf8(event.payload.to_vec()).unwrap());
        self.handled.lock().unwrap().extend(texts);
        Ok(())
    }
}

async fn a_follower_hands_the_same_events_over_until_they_are_handled(bench: Arc<Bench>) {
    let store = bench.store().await;
    let reluctant = Arc::new(Reluctant::default());
    let follower = Follower::new(store.clone(), "mails", reluctant.clone());
    let mut progress = follower.progress();
    let running = start(follower);
    let last = append(&store, 0..10).await;
    within("the progress", progress.wait_for(|at| *at >= last)).await.unwrap();
    running.stop().await;
    let handled = reluctant.handled.lock().unwrap().clone();
    assert_eq!(handled, (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
    store.close().await;
}

async fn a_follower_waits_for_the_one_of_its_name(bench: Arc<Bench>) {
    let store = bench.store().await;
    let (first, second) = (Arc::new(Reluctant::default()), Arc::new(Reluctant::default()));
    let one = Follower::new(store.clone(), "mails", first.clone());
    let mut progress = one.progress();
    let one = start(one);
    let last = append(&store, 0..3).await;
    within("the progress", progress.wait_for(|at| *at >= last)).await.unwrap();
    let two = Follower::new(store.clone(), "mails", second.clone());
    let mut progress = two.progress();
    let two = start(two);
    one.stop().await;
    let last = append(&store, 3..6).await;
    within("the progress", progress.wait_for(|at| *at >= last)).await.unwrap();
    two.stop().await;
    assert_eq!(*first.handled.lock().unwrap(), ["0", "1", "2"]);
    assert_eq!(*second.handled.lock().unwrap(), ["3", "4", "5"]);
    store.close().await;
}

async fn a_follower_that_lost_its_lock_unawares_leaves_the_work_to_the_one_that_has_it(bench: Arc<Bench>) {
    let store = bench.store().await;
    let engine = Intercepted::with(store.engine().clone(), FirstLockLost::default());
    let broken = Store::with_engine(engine.clone(), StoreOptions::default());
    let (first, second) = (Arc::new(Recording::default()), Arc::new(Recording::default()));
    let one = Follower::new(broken.clone(), "mails", first.clone());
    let mut progress = one.progress();
    let one = start(one);
    let last = append(&store, 0..3).await;
    within("the progress", progress.wait_for(|at| *at >= last)).await.unwrap();
    let two = start(Follower::new(store.clone(), "mails", second.clone()));
    // Nothing happens but that the second takes the cursor over.
    crate::bench::until("a second look at the lock", || async {
        (engine.asked.load(Ordering::SeqCst) > 1).then_some(())
    })
    .await;
    append(&store, 1000..1001).await;
    let handled = || {
        let (first, second) = (first.0.lock().unwrap(), second.0.lock().unwrap());
        first.iter().chain(second.iter()).filter(|text| *text == "1000").count()
    };
    crate::bench::until("the last one", || async { (handled() > 0).then_some(()) }).await;
    one.stop().await;
    two.stop().await;
    assert_eq!(handled(), 1);
    broken.close().await;
    store.close().await;
}

/// Gives the first lock asked for without taking it, as if the connection that held it had broken.
#[derive(Default)]
struct FirstLockLost {
    asked: AtomicUsize,
}

#[async_trait]
impl Intercept for FirstLockLost {
    async fn try_lock(
        &self,
        inner: &dyn Engine,
        name: &str,
    ) -> Result<Option<Box<dyn Any + Send + Sync>>, StoreError> {
        if self.asked.fetch_add(1, Ordering::SeqCst) == 0 {
            return Ok(Some(Box::new(())));
        }
        inner.try_lock(name).await
    }
}

#[derive(Default)]
struct Recording(Mutex<Vec<String>>);

#[async_trait]
impl Follow for Recording {
    async fn handle(&self, batch: &[Recorded]) -> Result<(), FollowError> {
        let texts = batch.iter().map(|event| String::from_utf8(event.payload.to_vec()).unwrap());
        self.0.lock().unwrap().extend(texts);
        Ok(())
    }
}
