//! Poison: it parks with its key, others flow on, and a person has it tried again or discarded.

use std::sync::{Arc, atomic::Ordering};

use async_trait::async_trait;
use event_store::{
    Append, Engine, ParkedChange, ParkedKey, ParkedRecord, ParkedState, Store, StoreError, StoreOptions,
};
use testkit::{Intercept, Intercepted};

use crate::{
    bench::{Bench, group, until, within},
    toy::{Adder, options, reached, start, start_with, subscription, sum},
};

on_each![
    poison_parks_with_its_key_and_others_flow_on,
    what_nobody_vouches_for_parks_apart_and_holds_up_nothing,
    a_panic_and_an_undecodable_record_park,
    an_event_that_cannot_be_read_stops_its_stream_only,
    a_replay_handles_a_keys_records_in_order_and_frees_the_key,
    a_replay_that_fails_again_leaves_all_parked_with_the_new_cause,
    a_long_key_is_replayed_in_parts_while_others_flow,
    a_discarded_record_frees_the_key,
    parked_keys_are_known_again_after_a_restart,
    a_partition_of_which_too_much_parks_stops_and_says_so,
    a_replay_in_a_partition_that_stands_still_takes_nothing_for_handled,
    looking_after_what_is_parked_keeps_nothing_from_being_read_however_long_it_takes,
];

async fn parked(store: &Store, group: &str) -> Vec<ParkedRecord> {
    store.parked(Some(group), None, 1000).await.unwrap().rows
}

async fn causes(store: &Store, group: &str) -> Vec<(i64, String)> {
    parked(store, group).await.iter().map(|row| (row.offset, row.cause.to_string())).collect()
}

fn key(group: &str, topic: &str, key: &str) -> ParkedKey {
    ParkedKey { consumer: group.into(), topic: topic.into(), partition: 0, key: key.to_owned().into() }
}

async fn change(store: &Store, change: ParkedChange) {
    store.append(Append { parked: vec![change], ..Append::default() }).await.unwrap();
}

async fn poison_parks_with_its_key_and_others_flow_on(bench: Arc<Bench>) {
    let (topic, store, group) = (bench.topic(1).await, bench.store().await, group());
    bench.publish(&topic, &[("a", "1 add:1"), ("a", "2 poison"), ("b", "3 add:1"), ("a", "4 add:1")]).await;
    let consumer = start(&store, &bench.log, subscription(&group, "m", &topic));
    reached(&store, &group, &topic, 4).await;
    bench.publish(&topic, &[("a", "5 add:1"), ("b", "6 add:1")]).await;
    reached(&store, &group, &topic, 6).await;
    assert_eq!((sum(&store, "a").await.total, sum(&store, "b").await.total), (1, 2));
    let expected =
        [(1, "UNKNOWN_KIND"), (3, "behind"), (4, "behind")].map(|(at, cause)| (at, cause.to_owned()));
    assert_eq!(causes(&store, &group).await, expected);
    let row = &parked(&store, &group).await[0];
    assert_eq!((&*row.key, &*row.payload, row.state), (&b"a"[..], &b"2 poison"[..], ParkedState::Parked));
    assert_eq!(row.headers.len(), 2);
    let mut health = consumer.handle.health();
    within("the health", health.wait_for(|health| health.parked_keys == 1)).await.unwrap();
    consumer.stop().await;
    store.close().await;
}

async fn what_nobody_vouches_for_parks_apart_and_holds_up_nothing(bench: Arc<Bench>) {
    let (topic, store, group) = (bench.topic(1).await, bench.store().await, group());
    let options = messaging::ConsumerOptions { parked_window: 4, ..options() };
    let start = |handler| start_with(&store, &bench.log, subscription(&group, "m", &topic), handler, options);
    let consumer = start(Arc::new(Adder::default()));
    let forged = ["1 forged", "2 forged", "3 forged", "4 forged", "5 forged"].map(|text| ("a", text));
    bench.publish(&topic, &forged).await;
    bench.publish(&topic, &[("a", "6 add:1"), ("b", "7 add:1")]).await;
    // All that the partition has seen lately is forged, and it goes on.
    reached(&store, &group, &topic, 7).await;
    assert_eq!((sum(&store, "a").await.total, sum(&store, "b").await.total), (1, 1));
    assert_eq!(causes(&store, &group).await, [0, 1, 2, 3, 4].map(|at| (at, "FORGED".to_owned())));
    assert_eq!(*parked(&store, &group).await[1].key, *b"apart:1:a");
    let mut health = consumer.handle.health();
    within("the health", health.wait_for(|health| health.parked_keys == 5)).await.unwrap();
    assert!(health.borrow().stopped.is_empty());
    consumer.stop().await;

    // The same after a restart. Somebody has it tried again, in vain, and later with success.
    let consumer = start(Arc::new(Adder::default()));
    bench.publish(&topic, &[("a", "8 add:1")]).await;
    reached(&store, &group, &topic, 8).await;
    assert_eq!(sum(&store, "a").await.total, 2);
    let before = consumer.handler.decided.load(Ordering::SeqCst);
    change(&store, ParkedChange::Replay(key(&group, &topic, "apart:1:a"))).await;
    until("the vain replay", || async {
        let tried = consumer.handler.decided.load(Ordering::SeqCst) > before;
        let rows = parked(&store, &group).await;
        (tried && rows.len() == 5 && rows.iter().all(|row| row.state == ParkedState::Parked)).then_some(())
    })
    .await;
    consumer.handler.cure();
    for row in parked(&store, &group).await {
        let row_key = String::from_utf8(row.key.to_vec()).unwrap();
        change(&store, ParkedChange::Replay(key(&group, &topic, &row_key))).await;
    }
    until("the replay", || async { parked(&store, &group).await.is_empty().then_some(()) }).await;
    let mut health = consumer.handle.health();
    within("the health", health.wait_for(|health| health.parked_keys == 0)).await.unwrap();
    consumer.stop().await;
    store.close().await;
}

async fn a_panic_and_an_undecodable_record_park(bench: Arc<Bench>) {
    let (topic, store, group) = (bench.topic(1).await, bench.store().await, group());
    bench.publish(&topic, &[("a", "1 panic"), ("b", "2 misrouted"), ("c", "3 add:1")]).await;
    let consumer = start(&store, &bench.log, subscription(&group, "m", &topic));
    reached(&store, &group, &topic, 3).await;
    let expected = [(0, "HANDLER_PANICKED"), (1, "UNDECODABLE")].map(|(at, cause)| (at, cause.to_owned()));
    assert_eq!(causes(&store, &group).await, expected);
    assert_eq!(sum(&store, "c").await.total, 1);
    consumer.stop().await;
    store.close().await;
}

async fn an_event_that_cannot_be_read_stops_its_stream_only(bench: Arc<Bench>) {
    let (topic, store, group) = (bench.topic(1).await, bench.store().await, group());
    let streams = vec![event_store::StreamAppend {
        stream: event_store::StreamId::new("a"),
        expected: event_store::Expected::Any,
        metadata: crate::relaying::metadata(),
        at: types::Timestamp::from_micros(1),
        events: vec![crate::toy::event("toy.v9.FromTheFuture", String::new())],
    }];
    store.append(Append { streams, ..Append::default() }).await.unwrap();
    // What a decision itself adds must be readable, too: the fourth record's is not.
    bench
        .publish(
            &topic,
            &[
                ("a", "1 add:1"),
                ("b", "2 add:1 also:a:1"),
                ("c", "3 add:1"),
                ("d", "4 strange"),
                ("c", "5 add:1"),
            ],
        )
        .await;
    let consumer = start(&store, &bench.log, subscription(&group, "m", &topic));
    reached(&store, &group, &topic, 5).await;
    let expected = [0, 1, 3].map(|at| (at, "UNREADABLE_EVENT".to_owned()));
    assert_eq!(causes(&store, &group).await, expected);
    assert_eq!(
        (sum(&store, "b").await.total, sum(&store, "c").await.total, sum(&store, "d").await.total),
        (0, 2, 0)
    );
    consumer.stop().await;
    store.close().await;
}

async fn a_replay_handles_a_keys_records_in_order_and_frees_the_key(bench: Arc<Bench>) {
    let (topic, store, group) = (bench.topic(1).await, bench.store().await, group());
    bench
        .publish(&topic, &[("a", "1 add:1 poison"), ("a", "2 add:2"), ("b", "3 poison"), ("a", "4 add:4")])
        .await;
    let consumer = start(&store, &bench.log, subscription(&group, "m", &topic));
    reached(&store, &group, &topic, 4).await;
    assert_eq!(sum(&store, "a").await.total, 0);
    consumer.handler.cure();
    change(&store, ParkedChange::Replay(key(&group, &topic, "a"))).await;
    consumer.handle.wake();
    until("the replay", || async { (sum(&store, "a").await.total == 7).then_some(()) }).await;
    let events = store.load(&event_store::StreamId::new("a")).await.unwrap();
    let order: Vec<&[u8]> = events.iter().map(|event| &*event.payload).collect();
    assert_eq!(order, [b"1 1", b"2 2", b"4 4"]);
    // The other key was not asked for.
    assert_eq!(causes(&store, &group).await, [(2, "UNKNOWN_KIND".to_owned())]);
    bench.publish(&topic, &[("a", "5 add:8")]).await;
    reached(&store, &group, &topic, 5).await;
    assert_eq!(sum(&store, "a").await.total, 15);
    consumer.stop().await;
    store.close().await;
}

async fn a_replay_that_fails_again_leaves_all_parked_with_the_new_cause(bench: Arc<Bench>) {
    let (topic, store, group) = (bench.topic(1).await, bench.store().await, group());
    bench.publish(&topic, &[("a", "1 panic"), ("a", "2 add:2")]).await;
    let consumer = start(&store, &bench.log, subscription(&group, "m", &topic));
    reached(&store, &group, &topic, 2).await;
    let before = consumer.handler.decided.load(Ordering::SeqCst);
    change(&store, ParkedChange::Replay(key(&group, &topic, "a"))).await;
    consumer.handle.wake();
    until("the replay", || async {
        let tried = consumer.handler.decided.load(Ordering::SeqCst) > before;
        let rows = parked(&store, &group).await;
        (tried && rows.iter().all(|row| row.state == ParkedState::Parked)).then_some(())
    })
    .await;
    let expected = [(0, "HANDLER_PANICKED"), (1, "behind")].map(|(at, cause)| (at, cause.to_owned()));
    assert_eq!(causes(&store, &group).await, expected);
    bench.publish(&topic, &[("a", "3 add:3")]).await;
    reached(&store, &group, &topic, 3).await;
    assert_eq!(parked(&store, &group).await.len(), 3);
    consumer.stop().await;
    store.close().await;
}

async fn a_long_key_is_replayed_in_parts_while_others_flow(bench: Arc<Bench>) {
    let (topic, store, group) = (bench.topic(1).await, bench.store().await, group());
    let texts: Vec<String> = (1..50).map(|n| format!("{n} add:1")).collect();
    bench.publish(&topic, &[("a", "0 poison")]).await;
    bench.publish(&topic, &texts.iter().map(|text| ("a", text.as_str())).collect::<Vec<_>>()).await;
    let options = messaging::ConsumerOptions { replay_records_max: 7, ..options() };
    let handler = Arc::new(Adder::default());
    let consumer = start_with(&store, &bench.log, subscription(&group, "m", &topic), handler, options);
    reached(&store, &group, &topic, 50).await;
    consumer.handler.cure();
    change(&store, ParkedChange::Replay(key(&group, &topic, "a"))).await;
    bench.publish(&topic, &[("b", "50 add:1"), ("a", "51 add:1")]).await;
    until("the replay", || async { (sum(&store, "a").await.total == 50).then_some(()) }).await;
    reached(&store, &group, &topic, 52).await;
    assert_eq!(sum(&store, "b").await.total, 1);
    until("an empty key", || async { parked(&store, &group).await.is_empty().then_some(()) }).await;
    let mut health = consumer.handle.health();
    within("the health", health.wait_for(|health| health.parked_keys == 0)).await.unwrap();
    consumer.stop().await;
    store.close().await;
}

async fn a_discarded_record_frees_the_key(bench: Arc<Bench>) {
    let (topic, store, group) = (bench.topic(1).await, bench.store().await, group());
    bench.publish(&topic, &[("a", "1 poison")]).await;
    let consumer = start(&store, &bench.log, subscription(&group, "m", &topic));
    reached(&store, &group, &topic, 1).await;
    let row = parked(&store, &group).await.remove(0);
    let discard = ParkedChange::Remove {
        key: key(&group, &topic, "a"),
        incarnation: row.incarnation,
        offset: row.offset,
    };
    change(&store, discard).await;
    let mut health = consumer.handle.health();
    within("the free key", health.wait_for(|health| health.parked_keys == 0)).await.unwrap();
    bench.publish(&topic, &[("a", "2 add:1")]).await;
    reached(&store, &group, &topic, 2).await;
    assert_eq!(sum(&store, "a").await.total, 1);
    consumer.stop().await;
    store.close().await;
}

async fn parked_keys_are_known_again_after_a_restart(bench: Arc<Bench>) {
    let (topic, store, group) = (bench.topic(1).await, bench.store().await, group());
    bench.publish(&topic, &[("a", "1 poison")]).await;
    let consumer = start(&store, &bench.log, subscription(&group, "m", &topic));
    reached(&store, &group, &topic, 1).await;
    consumer.stop().await;
    bench.publish(&topic, &[("a", "2 add:1"), ("b", "3 add:1")]).await;
    let consumer = start(&store, &bench.log, subscription(&group, "m", &topic));
    reached(&store, &group, &topic, 3).await;
    assert_eq!((sum(&store, "a").await.total, sum(&store, "b").await.total), (0, 1));
    assert_eq!(causes(&store, &group).await[1], (1, "behind".to_owned()));
    consumer.stop().await;
    store.close().await;
}

async fn a_partition_of_which_too_much_parks_stops_and_says_so(bench: Arc<Bench>) {
    let (topic, store, group) = (bench.topic(1).await, bench.store().await, group());
    let options = messaging::ConsumerOptions { parked_window: 4, ..options() };
    let handler = Arc::new(Adder::default());
    let consumer = start_with(&store, &bench.log, subscription(&group, "m", &topic), handler, options);
    bench.publish(&topic, &[("a", "1 add:1"), ("b", "2 poison"), ("c", "3 poison"), ("d", "4 poison")]).await;
    let mut health = consumer.handle.health();
    let stopped =
        within("the stop", health.wait_for(|health| !health.stopped.is_empty())).await.unwrap().clone();
    assert_eq!(stopped.stopped, [(topic.clone(), 0, "PARKED_SHARE".into())]);
    bench.publish(&topic, &[("e", "5 add:1")]).await;
    // When a person has dealt with what is parked, it goes on.
    assert_eq!(sum(&store, "e").await.total, 0);
    consumer.handler.cure();
    for parked in ["b", "c", "d"] {
        change(&store, ParkedChange::Replay(key(&group, &topic, parked))).await;
    }
    reached(&store, &group, &topic, 5).await;
    assert_eq!(sum(&store, "e").await.total, 1);
    within("the recovery", health.wait_for(|health| health.stopped.is_empty())).await.unwrap();
    consumer.stop().await;
    store.close().await;
}

async fn a_replay_in_a_partition_that_stands_still_takes_nothing_for_handled(bench: Arc<Bench>) {
    let (topic, replies, store) = (bench.topic(1).await, bench.topic(1).await, bench.store().await);
    let (group, options) = (group(), messaging::ConsumerOptions { parked_window: 4, ..options() });
    let handler = Arc::new(Adder { replies: Some(replies), ..Adder::default() });
    let records = [
        ("a", "1 add:1 poison"),
        ("a", "2 add:2"),
        // Its answer must wait until the one before is committed, so that the replay has two parts.
        ("a", "2 add:2"),
        ("a", "3 add:4"),
        ("b", "4 poison"),
        ("c", "5 poison"),
        ("d", "6 add:1"),
    ];
    bench.publish(&topic, &records).await;
    let consumer = start_with(&store, &bench.log, subscription(&group, "m", &topic), handler, options);
    let mut health = consumer.handle.health();
    within("the stop", health.wait_for(|health| !health.stopped.is_empty())).await.unwrap();
    consumer.handler.cure();
    for parked in ["a", "b", "c"] {
        change(&store, ParkedChange::Replay(key(&group, &topic, parked))).await;
    }
    bench.publish(&topic, &[("a", "7 add:8")]).await;
    reached(&store, &group, &topic, 8).await;
    assert_eq!(sum(&store, "a").await.total, 15);
    assert_eq!(causes(&store, &group).await, []);
    consumer.stop().await;
    store.close().await;
}

/// Looks at what is parked take longer than the time between them.
struct SlowLooks;

#[async_trait]
impl Intercept for SlowLooks {
    async fn parked_keys(
        &self,
        inner: &dyn Engine,
        consumer: &str,
    ) -> Result<Vec<(ParkedKey, bool)>, StoreError> {
        let _ = tokio::time::timeout(2 * options().parked_check, std::future::pending::<()>()).await;
        inner.parked_keys(consumer).await
    }
}

async fn looking_after_what_is_parked_keeps_nothing_from_being_read_however_long_it_takes(bench: Arc<Bench>) {
    let (topic, store, group) = (bench.topic(1).await, bench.store().await, group());
    let slow = Intercepted::with(store.engine().clone(), SlowLooks);
    let slow = Store::with_engine(slow, StoreOptions::default());
    let consumer = start(&slow, &bench.log, subscription(&group, "m", &topic));
    bench.publish(&topic, &[("a", "1 poison")]).await;
    reached(&store, &group, &topic, 1).await;
    for n in 2..12 {
        bench.publish(&topic, &[("b", &format!("{n} add:1"))]).await;
        reached(&store, &group, &topic, n).await;
    }
    assert_eq!(sum(&store, "b").await.total, 10);
    consumer.stop().await;
    slow.close().await;
    store.close().await;
}
