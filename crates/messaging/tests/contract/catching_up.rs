//! What must be read before anything else counts, and what lies beside it.

use std::sync::Arc;

use event_store::{Position, Store};
use messaging::{ConsumerOptions, EventLog, Subscription};

use crate::{
    bench::{Bench, group, within},
    toy::{self, Working, offset, options, reached, seen, sum},
};

on_each![
    what_is_to_be_read_first_is_read_before_the_backlog_beside_it,
    a_member_that_has_none_of_it_works_while_the_group_is_behind,
];

/// A consumer of a ledger, which it reads first, and of work.
async fn start(store: &Store, log: &Arc<dyn EventLog>, group: &str, topics: [&Arc<str>; 2]) -> Working {
    let topics = topics.map(Clone::clone);
    let reads =
        Subscription { group: group.into(), member: "worker".into(), topics: topics.clone().to_vec() };
    let (handler, options) = (Arc::default(), ConsumerOptions { batch_records_max: 2, ..options() });
    let consumer = toy::consumer(store, log, reads, &handler, options);
    let [ledger, _] = topics;
    toy::run(consumer.reading_first([ledger]).await, handler)
}

async fn caught_up(worker: &Working) {
    let mut health = worker.handle.health();
    within("the ledger", health.wait_for(|health| !health.behind)).await.unwrap();
}

async fn what_is_to_be_read_first_is_read_before_the_backlog_beside_it(bench: Arc<Bench>) {
    let (ledger, work) = (bench.topic(2).await, bench.topic(2).await);
    let (store, group) = (bench.store().await, group());
    let subjects = ["a", "b", "c", "d", "e", "f", "g", "h"];
    for round in 0..10 {
        let records = subjects.map(|subject| (subject, format!("{round} add:1")));
        bench.publish(&work, &records.each_ref().map(|(subject, text)| (*subject, text.as_str()))).await;
    }
    let closed = subjects.map(|subject| format!("closed-{subject}"));
    bench.publish(&ledger, &closed.each_ref().map(|key| (key.as_str(), "1 add:1"))).await;
    let worker = start(&store, &bench.log, &group, [&ledger, &work]).await;
    caught_up(&worker).await;
    // What comes later has no precedence.
    bench.publish(&ledger, &[("later", "1 add:1")]).await;
    for subject in subjects {
        seen(&store, subject, 10).await;
    }
    seen(&store, "later", 1).await;
    let events = store.read(Position::default(), 1_000).await.unwrap();
    let first = &events[..closed.len()];
    let closing = first.iter().filter(|event| event.stream.as_str().starts_with("closed-")).count();
    assert_eq!(closing, closed.len(), "{:?}", first.iter().map(|event| &event.stream).collect::<Vec<_>>());
    assert_eq!(events.len(), 10 * subjects.len() + closed.len() + 1);
    worker.stop().await;
    store.close().await;
}

async fn a_member_that_has_none_of_it_works_while_the_group_is_behind(bench: Arc<Bench>) {
    let (ledger, work) = (bench.topic(1).await, bench.topic(1).await);
    let (store, group) = (bench.store().await, group());
    bench.publish(&ledger, &[("closed", "1 add:1")]).await;
    bench.publish(&work, &[("a", "1 add:1"), ("a", "2 add:1")]).await;
    // It has the ledger, and leaves it unread in the database.
    let mut other = bench.reader(&group, "other", &[&ledger]).await;
    other.read(1).await;
    let worker = start(&store, &bench.log, &group, [&ledger, &work]).await;
    tokio::select! {
        () = reached(&store, &group, &work, 2) => {}
        () = other.read_until("nothing", |_| false) => {}
    }
    assert_eq!(sum(&store, "a").await.total, 2);
    assert!(worker.handle.health().borrow().behind);
    assert_eq!(offset(&store, &group, &ledger, 0).await, None);
    // When it leaves, its share is the worker's.
    drop(other);
    caught_up(&worker).await;
    assert_eq!(sum(&store, "closed").await.total, 1);
    worker.stop().await;
    store.close().await;
}
