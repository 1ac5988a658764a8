//! What the batch consumer does when all goes well, and when several write.

use std::{collections::BTreeSet, pin::pin, sync::Arc};

use event_store::{Append, AppendError, Claim, Expected, StreamAppend, StreamId};
use messaging::ConsumerError;
use types::Timestamp;

use crate::{
    bench::{Bench, group, text, until, within},
    doubles::FaultyLog,
    toy::{Adder, event, offset, options, reached, seen, start, start_with, subscription, sum},
};

on_each![
    effects_commit_together_with_the_offset,
    a_repeated_record_changes_nothing_and_is_answered_from_what_is_committed,
    a_record_may_change_several_streams_and_later_ones_see_it,
    each_record_of_a_batch_may_need_a_stream_that_shows_only_after_those_before,
    a_concurrent_writer_loses_nothing_and_no_effect_is_doubled,
    what_others_wrote_is_seen_even_by_records_that_write_nothing,
    of_two_consumers_with_one_partition_exactly_one_has_effects,
    a_consumer_that_loses_its_membership_joins_again_and_goes_on,
    a_consumer_whose_id_another_takes_stops,
    a_claim_that_another_holds_parks_its_record,
    records_of_one_batch_with_one_claim_are_told_apart,
    a_topic_made_again_is_consumed_from_its_beginning,
    each_records_events_carry_its_own_causation,
];

async fn effects_commit_together_with_the_offset(bench: Arc<Bench>) {
    let (topic, store, group) = (bench.topic(1).await, bench.store().await, group());
    bench.publish(&topic, &[("a", "1 add:1"), ("b", "2 add:5"), ("a", "3 add:2")]).await;
    let consumer = start(&store, &bench.log, subscription(&group, "m", &topic));
    reached(&store, &group, &topic, 3).await;
    assert_eq!(sum(&store, "a").await.total, 3);
    assert_eq!(sum(&store, "b").await.total, 5);
    consumer.stop().await;
    bench.publish(&topic, &[("a", "4 add:4")]).await;
    let consumer = start(&store, &bench.log, subscription(&group, "m", &topic));
    reached(&store, &group, &topic, 4).await;
    assert_eq!(sum(&store, "a").await.total, 7);
    assert_eq!(store.load(&StreamId::new("a")).await.unwrap().len(), 3);
    consumer.stop().await;
    store.close().await;
}

async fn a_repeated_record_changes_nothing_and_is_answered_from_what_is_committed(bench: Arc<Bench>) {
    let (topic, replies, store) = (bench.topic(1).await, bench.topic(1).await, bench.store().await);
    let group = group();
    // In one batch: the answer to the repeated one must wait until the first is committed.
    bench.publish(&topic, &[("a", "1 add:1"), ("a", "1 add:1"), ("a", "2 add:1")]).await;
    let handler = Arc::new(Adder { replies: Some(replies.clone()), ..Adder::default() });
    let consumer = start_with(&store, &bench.log, subscription(&group, "m", &topic), handler, options());
    reached(&store, &group, &topic, 3).await;
    assert_eq!(sum(&store, "a").await.total, 2);
    let mut reader = bench.reader(&crate::bench::group(), "m", &[&replies]).await;
    reader.read(1).await;
    assert_eq!(text(&reader.records[0]), "1");
    consumer.stop().await;
    store.close().await;
}

async fn a_record_may_change_several_streams_and_later_ones_see_it(bench: Arc<Bench>) {
    let (topic, store, group) = (bench.topic(1).await, bench.store().await, group());
    bench
        .publish(
            &topic,
            &[
                ("a", "1 add:1 also:c:10 also:d:100"),
                ("b", "2 add:1 also:c:20"),
                ("c", "1 add:1"),
                ("c", "3 add:3"),
            ],
        )
        .await;
    let consumer = start(&store, &bench.log, subscription(&group, "m", &topic));
    reached(&store, &group, &topic, 4).await;
    // The third record's id was in the stream already, by the first record.
    assert_eq!(sum(&store, "c").await.total, 33);
    assert_eq!(sum(&store, "d").await.total, 100);
    consumer.stop().await;
    store.close().await;
}

async fn each_record_of_a_batch_may_need_a_stream_that_shows_only_after_those_before(bench: Arc<Bench>) {
    let (topic, store, group) = (bench.topic(1).await, bench.store().await, group());
    let pairs = (0..40)
        .flat_map(|n| [(format!("k{n}"), "1 add:1".into()), (format!("k{n}"), format!("2 after:1:o{n}"))]);
    let records: Vec<(String, String)> = pairs.collect();
    let texts: Vec<_> = records.iter().map(|(key, text)| (key.as_str(), text.as_str())).collect();
    bench.publish(&topic, &texts).await;
    let consumer = start(&store, &bench.log, subscription(&group, "m", &topic));
    reached(&store, &group, &topic, 80).await;
    assert_eq!(store.parked(Some(&group), None, 1).await.unwrap().rows, []);
    for n in 0..40 {
        assert_eq!(sum(&store, &format!("o{n}")).await.total, 1);
    }
    consumer.stop().await;
    store.close().await;
}

async fn a_concurrent_writer_loses_nothing_and_no_effect_is_doubled(bench: Arc<Bench>) {
    let (topic, store, group) = (bench.topic(2).await, bench.store().await, group());
    let consumer = start(&store, &bench.log, subscription(&group, "m", &topic));
    let writer = async {
        for n in 0..40 {
            loop {
                let version = store.load(&StreamId::new("a")).await.unwrap().len() as u64;
                let streams = vec![StreamAppend {
                    stream: StreamId::new("a"),
                    expected: Expected::Exactly(version),
                    metadata: crate::relaying::metadata(),
                    at: Timestamp::from_micros(1),
                    events: vec![event("toy.v1.Added", format!("w{n} 1"))],
                }];
                match store.append(Append { streams, ..Append::default() }).await {
                    Ok(_) => break,
                    Err(AppendError::Conflict(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    };
    let publisher = async {
        for n in 0..40 {
            bench.publish(&topic, &[("a", &format!("r{n} add:1")), ("b", &format!("r{n} add:1"))]).await;
        }
    };
    futures::join!(writer, publisher);
    assert_eq!(seen(&store, "a", 80).await.total, 80);
    assert_eq!(seen(&store, "b", 40).await.total, 40);
    assert_eq!(store.load(&StreamId::new("a")).await.unwrap().len(), 80);
    consumer.stop().await;
    store.close().await;
}

async fn what_others_wrote_is_seen_even_by_records_that_write_nothing(bench: Arc<Bench>) {
    let (topic, replies, store) = (bench.topic(1).await, bench.topic(1).await, bench.store().await);
    let group = group();
    bench.publish(&topic, &[("a", "1 add:1")]).await;
    let handler = Arc::new(Adder { replies: Some(replies.clone()), ..Adder::default() });
    let consumer =
        start_with(&store, &bench.log, subscription(&group, "m", &topic), handler.clone(), options());
    reached(&store, &group, &topic, 1).await;
    // The consumer has the stream in memory, and another adds what the next record is about.
    let streams = vec![StreamAppend {
        stream: StreamId::new("a"),
        expected: Expected::Exactly(1),
        metadata: crate::relaying::metadata(),
        at: Timestamp::from_micros(1),
        events: vec![event("toy.v1.Added", "2 5".into())],
    }];
    store.append(Append { streams, ..Append::default() }).await.unwrap();
    bench.publish(&topic, &[("a", "2 add:5")]).await;
    reached(&store, &group, &topic, 2).await;
    assert_eq!(sum(&store, "a").await.total, 6);
    let mut reader = bench.reader(&crate::bench::group(), "m", &[&replies]).await;
    reader.read(1).await;
    assert_eq!(text(&reader.records[0]), "2");
    // A record without effect, decided on what another has moved on, is decided again.
    let before = handler.decided.load(std::sync::atomic::Ordering::SeqCst);
    let streams = vec![StreamAppend {
        stream: StreamId::new("a"),
        expected: Expected::Exactly(2),
        metadata: crate::relaying::metadata(),
        at: Timestamp::from_micros(1),
        events: vec![event("toy.v1.Added", "3 1".into())],
    }];
    store.append(Append { streams, ..Append::default() }).await.unwrap();
    bench.publish(&topic, &[("a", "1 add:1")]).await;
    reached(&store, &group, &topic, 3).await;
    assert_eq!(handler.decided.load(std::sync::atomic::Ordering::SeqCst), before + 2);
    consumer.stop().await;
    store.close().await;
}

async fn of_two_consumers_with_one_partition_exactly_one_has_effects(bench: Arc<Bench>) {
    let (topic, store, group) = (bench.topic(1).await, bench.store().await, group());
    let log = FaultyLog::for_everybody(&bench.log);
    let one = start(&store, &log, subscription(&group, "m1", &topic));
    let two = start(&store, &log, subscription(&group, "m2", &topic));
    for n in 0..50 {
        bench.publish(&topic, &[("a", &format!("{n} add:1")), ("b", &format!("{n} add:1"))]).await;
    }
    reached(&store, &group, &topic, 100).await;
    for stream in ["a", "b"] {
        assert_eq!(sum(&store, stream).await.total, 50);
        // Not merely the same sum: no event twice, and in the records' order.
        let events = store.load(&StreamId::new(stream)).await.unwrap();
        let ids: Vec<&str> = events
            .iter()
            .map(|e| std::str::from_utf8(&e.payload).unwrap().split(' ').next().unwrap())
            .collect();
        assert_eq!(ids, (0..50).map(|n| n.to_string()).collect::<Vec<_>>());
    }
    one.stop().await;
    two.stop().await;
    store.close().await;
}

async fn a_consumer_that_loses_its_membership_joins_again_and_goes_on(bench: Arc<Bench>) {
    let (topic, store, group) = (bench.topic(1).await, bench.store().await, group());
    let log = FaultyLog::losing(&bench.log, 5);
    let consumer = start(&store, &log, subscription(&group, "m", &topic));
    bench.publish(&topic, &[("a", "1 add:1"), ("a", "2 add:1")]).await;
    reached(&store, &group, &topic, 2).await;
    assert_eq!(sum(&store, "a").await.total, 2);
    consumer.stop().await;
    store.close().await;
}

async fn a_consumer_whose_id_another_takes_stops(bench: Arc<Bench>) {
    let (topic, store, group) = (bench.topic(1).await, bench.store().await, group());
    let consumer = start(&store, &bench.log, subscription(&group, "m", &topic));
    bench.publish(&topic, &[("a", "1 add:1")]).await;
    reached(&store, &group, &topic, 1).await;
    let mut twin = bench.reader(&group, "m", &[&topic]).await;
    // The older joins once more, and fences the younger by that.
    let ended = within("the older's end", async {
        let mut ended = pin!(consumer.ended());
        loop {
            tokio::select! {
                ended = &mut ended => return ended,
                step = twin.step() => if step.is_err() {
                    twin = bench.reader(&group, "m", &[&topic]).await;
                },
            }
        }
    });
    assert!(matches!(ended.await, Err(ConsumerError::Fenced { .. })));
    bench.publish(&topic, &[("a", "2 add:1")]).await;
    twin.read_until("what comes then", |twin| twin.records.iter().any(|it| text(it) == "2 add:1")).await;
    store.close().await;
}

async fn a_claim_that_another_holds_parks_its_record(bench: Arc<Bench>) {
    let (topic, store, group) = (bench.topic(1).await, bench.store().await, group());
    let claims = vec![Claim { key: format!("{group}/x"), value: "me".into() }];
    store.append(Append { claims, ..Append::default() }).await.unwrap();
    bench
        .publish(
            &topic,
            &[
                ("a", "1 add:1"),
                ("b", &format!("2 add:1 claim:{group}/x")),
                ("c", &format!("3 add:1 claim:{group}/y")),
            ],
        )
        .await;
    let consumer = start(&store, &bench.log, subscription(&group, "m", &topic));
    reached(&store, &group, &topic, 3).await;
    assert_eq!(
        (sum(&store, "a").await.total, sum(&store, "b").await.total, sum(&store, "c").await.total),
        (1, 0, 1)
    );
    let parked = store.parked(Some(&group), None, 10).await.unwrap().rows;
    assert_eq!((parked.len(), &*parked[0].cause), (1, "CLAIM_TAKEN"));
    assert_eq!(store.claim(&format!("{group}/y")).await.unwrap().unwrap(), "3");
    consumer.stop().await;
    store.close().await;
}

async fn records_of_one_batch_with_one_claim_are_told_apart(bench: Arc<Bench>) {
    let (topic, store, group) = (bench.topic(1).await, bench.store().await, group());
    let claim = |id: &str| format!("{id} add:1 claim:{group}/z");
    bench.publish(&topic, &[("a", &claim("1")), ("b", &claim("2")), ("c", "3 add:1")]).await;
    let consumer = start(&store, &bench.log, subscription(&group, "m", &topic));
    reached(&store, &group, &topic, 3).await;
    assert_eq!(store.claim(&format!("{group}/z")).await.unwrap().unwrap(), "1");
    assert_eq!(
        (sum(&store, "a").await.total, sum(&store, "b").await.total, sum(&store, "c").await.total),
        (1, 0, 1)
    );
    consumer.stop().await;
    store.close().await;
}

async fn a_topic_made_again_is_consumed_from_its_beginning(bench: Arc<Bench>) {
    let (topic, store, group) = (bench.topic(1).await, bench.store().await, group());
    bench.publish(&topic, &[("a", "1 add:1"), ("a", "2 add:1"), ("a", "3 add:1")]).await;
    let consumer = start(&store, &bench.log, subscription(&group, "m", &topic));
    reached(&store, &group, &topic, 3).await;
    let (before, _) = offset(&store, &group, &topic, 0).await.unwrap();
    consumer.stop().await;
    bench.log.delete(&topic).await.unwrap();
    bench.declare(&topic, 1).await;
    until("a publish", || async {
        let messages = ["3 add:1", "4 add:1"].map(|text| crate::bench::message(&topic, "a", text));
        bench.log.publish(messages.to_vec()).await.ok()
    })
    .await;
    // The old offset is beyond the new end, and means nothing.
    let consumer = start(&store, &bench.log, subscription(&group, "m", &topic));
    assert_eq!(seen(&store, "a", 4).await.total, 4);
    until("the new row", || async {
        let (now, next) = offset(&store, &group, &topic, 0).await.unwrap();
        (now != before && next >= 2).then_some(())
    })
    .await;
    assert_eq!(sum(&store, "a").await.total, 4);
    consumer.stop().await;
    store.close().await;
}

async fn each_records_events_carry_its_own_causation(bench: Arc<Bench>) {
    let (topic, store, group) = (bench.topic(1).await, bench.store().await, group());
    bench.publish(&topic, &[("a", "1 add:1"), ("a", "2 add:1"), ("a", "3 add:1")]).await;
    let consumer = start(&store, &bench.log, subscription(&group, "m", &topic));
    within("the records", reached(&store, &group, &topic, 3)).await;
    let events = store.load(&StreamId::new("a")).await.unwrap();
    let causes: BTreeSet<&str> = events.iter().map(|event| &*event.metadata.causation).collect();
    assert_eq!(causes, BTreeSet::from(["1 add:1/toy", "2 add:1/toy", "3 add:1/toy"]));
    consumer.stop().await;
    store.close().await;
}
