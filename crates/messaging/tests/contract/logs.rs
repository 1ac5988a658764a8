//! What every event log does.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use messaging::{Delivery, LogError, Message, partition_of};

use crate::{
    bench::{Bench, Reader, group, message, text, until, within},
    membership::share,
};

on_each![
    records_of_a_key_keep_their_order_in_the_partition_that_murmur2_says,
    offsets_count_from_zero_and_a_reader_starts_where_it_says,
    what_nobody_committed_is_read_again_by_the_next_member,
    a_seek_drops_what_was_fetched_before,
    two_members_share_the_partitions_and_the_one_that_stays_takes_over,
    a_member_of_the_same_id_fences_the_one_before,
    a_topic_made_again_is_another_and_is_read_from_its_beginning,
    a_tombstone_has_an_empty_payload,
    a_record_over_the_limit_is_refused_and_nothing_of_its_publish_appears,
    an_offset_that_is_not_there_is_a_named_fault,
    declaring_a_topic_again_changes_nothing,
    a_topic_says_from_where_to_where_it_reaches,
];

async fn records_of_a_key_keep_their_order_in_the_partition_that_murmur2_says(bench: Arc<Bench>) {
    let topic = bench.topic(8).await;
    for round in 0..3 {
        let messages =
            (0..200).map(|n| message(&topic, &format!("key-{}", n % 20), &format!("{}", round * 200 + n)));
        bench.log.publish(messages.collect()).await.unwrap();
    }
    let mut reader = bench.reader(&group(), "m", &[&topic]).await;
    reader.read(600).await;
    assert_eq!(reader.records.len(), 600);
    let mut latest: HashMap<Bytes, i64> = HashMap::new();
    let mut next: HashMap<i32, i64> = HashMap::new();
    for record in &reader.records {
        assert_eq!(record.partition, partition_of(&record.key, 8));
        let number: i64 = text(record).parse().unwrap();
        assert!(latest.insert(record.key.clone(), number).is_none_or(|before| before < number));
        let offset = next.entry(record.partition).or_default();
        assert_eq!(record.offset, *offset);
        *offset += 1;
        assert_eq!(record.header(messaging::CE_ID), Some(format!("{number}/toy").as_str()));
        assert_eq!(record.headers[1], ("x-other".into(), Bytes::from_static(b"\xff")));
        assert!(record.at.as_micros() > 0);
    }
}

async fn offsets_count_from_zero_and_a_reader_starts_where_it_says(bench: Arc<Bench>) {
    let topic = bench.topic(1).await;
    bench.publish(&topic, &[("a", "0"), ("b", "1"), ("c", "2"), ("d", "3")]).await;
    let mut reader = bench.reader(&group(), "m", &[&topic]).await;
    let Delivery::Assigned(assigned) = within("assignment", reader.log.next(9)).await.unwrap() else {
        panic!()
    };
    assert_eq!((&*assigned[0].topic, assigned[0].partition), (&*topic, 0));
    assert!(!assigned[0].incarnation.is_empty());
    reader.log.start(&topic, 0, Some(2)).await.unwrap();
    reader.read(2).await;
    let read: Vec<(i64, &str)> = reader.records.iter().map(|record| (record.offset, text(record))).collect();
    assert_eq!(read, [(2, "2"), (3, "3")]);
}

async fn a_topic_says_from_where_to_where_it_reaches(bench: Arc<Bench>) {
    let topic = bench.topic(2).await;
    let reach = async || {
        // A broker may not lead what was just made yet.
        let found = until("the extents", || async { bench.log.extents(&topic).await.ok() }).await;
        assert!(found.iter().all(|it| !it.incarnation.is_empty() && it.incarnation == found[0].incarnation));
        found.iter().map(|it| (it.partition, it.first, it.end)).collect::<Vec<_>>()
    };
    assert_eq!(reach().await, [(0, 0, 0), (1, 0, 0)]);
    bench.publish(&topic, &[("a", "0"), ("a", "1"), ("a", "2")]).await;
    let partition = partition_of(b"a", 2);
    let expected = [0, 1].map(|it| (it, 0, if it == partition { 3 } else { 0 }));
    assert_eq!(reach().await, expected);
    let unknown = bench.log.extents("there.is.none").await;
    assert!(matches!(unknown, Err(LogError::Refused(_))), "{unknown:?}");
}

async fn what_nobody_committed_is_read_again_by_the_next_member(bench: Arc<Bench>) {
    let topic = bench.topic(2).await;
    bench.publish(&topic, &[("a", "0"), ("b", "1"), ("c", "2")]).await;
    let group = group();
    let mut first = bench.reader(&group, "m", &[&topic]).await;
    first.read(3).await;
    drop(first);
    let mut second = bench.reader(&group, "m", &[&topic]).await;
    second.read(3).await;
    assert_eq!(second.records.len(), 3);
}

async fn a_seek_drops_what_was_fetched_before(bench: Arc<Bench>) {
    let topic = bench.topic(1).await;
    let texts: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    let records: Vec<(&str, &str)> = texts.iter().map(|text| ("k", text.as_str())).collect();
    bench.publish(&topic, &records).await;
    let mut reader = bench.reader(&group(), "m", &[&topic]).await;
    reader.read(50).await;
    reader.records.clear();
    reader.log.start(&topic, 0, Some(10)).await.unwrap();
    reader.read(290).await;
    let read: Vec<i64> = reader.records.iter().map(|record| record.offset).collect();
    assert_eq!(read, (10..300).collect::<Vec<_>>());
    reader.log.start(&topic, 0, Some(298)).await.unwrap();
    reader.records.clear();
    reader.read(2).await;
    assert_eq!(text(&reader.records[0]), "298");
}

async fn two_members_share_the_partitions_and_the_one_that_stays_takes_over(bench: Arc<Bench>) {
    let topic = bench.topic(8).await;
    let group = group();
    let mut first = bench.reader(&group, "m1", &[&topic]).await;
    first.read_until("all partitions", |reader| reader.assigned.len() == 8).await;
    let mut second = bench.reader(&group, "m2", &[&topic]).await;
    share(&mut first, &mut second, (4, 4)).await;
    drop(second);
    first.read_until("the other's partitions", |reader| reader.assigned.len() == 8).await;
    bench.publish(&topic, &[("a", "0"), ("b", "1"), ("c", "2"), ("d", "3"), ("e", "4")]).await;
    first.read(5).await;
}

async fn a_member_of_the_same_id_fences_the_one_before(bench: Arc<Bench>) {
    let topic = bench.topic(1).await;
    let group = group();
    let mut first = bench.reader(&group, "m", &[&topic]).await;
    first.read_until("its partition", |reader| reader.assigned.len() == 1).await;
    let mut second = bench.reader(&group, "m", &[&topic]).await;
    second.read_until("its partition", |reader| reader.assigned.len() == 1).await;
    let fenced = within("the fence", async {
        loop {
            if let Err(error) = first.step().await {
                return error;
            }
        }
    });
    assert!(matches!(fenced.await, LogError::Fenced));
    bench.publish(&topic, &[("a", "0")]).await;
    second.read(1).await;
}

async fn a_topic_made_again_is_another_and_is_read_from_its_beginning(bench: Arc<Bench>) {
    let topic = bench.topic(1).await;
    bench.publish(&topic, &[("a", "0"), ("a", "1")]).await;
    let mut reader = bench.reader(&group(), "m", &[&topic]).await;
    reader.read(2).await;
    let before = reader.assigned[0].incarnation.clone();
    bench.log.delete(&topic).await.unwrap();
    bench.declare(&topic, 1).await;
    // A publish may meet a broker that has not heard of it yet.
    until("a publish", || async {
        bench
            .log
            .publish(vec![
                message(&topic, "a", "new"),
                message(&topic, "a", "newer"),
                message(&topic, "a", "newest"),
            ])
            .await
            .ok()
    })
    .await;
    // A reader may see the new one's end before it hears that it is another; then it reads it whole.
    let is_whole = |reader: &Reader| {
        let from = reader.records.iter().rposition(|record| text(record) == "new" && record.offset == 0);
        let read = from.map_or(&[][..], |from| &reader.records[from..]);
        read.iter().take(3).map(text).eq(["new", "newer", "newest"])
            && reader.assigned.last().is_some_and(|assigned| assigned.incarnation != before)
    };
    reader.read_until("the new topic's records", is_whole).await;
}

async fn a_tombstone_has_an_empty_payload(bench: Arc<Bench>) {
    let topic = bench.topic(1).await;
    let tombstone = Message { payload: None, ..message(&topic, "k", "x") };
    bench.log.publish(vec![message(&topic, "k", "x"), tombstone]).await.unwrap();
    let mut reader = bench.reader(&group(), "m", &[&topic]).await;
    reader.read(2).await;
    assert_eq!(text(&reader.records[0]), "x");
    assert!(reader.records[1].payload.is_empty());
    assert_eq!(&*reader.records[1].key, b"k");
}

async fn a_record_over_the_limit_is_refused_and_nothing_of_its_publish_appears(bench: Arc<Bench>) {
    let topic = bench.topic(1).await;
    let large = Message { payload: Some(Bytes::from(vec![0; 1_000_001])), ..message(&topic, "k", "") };
    let refused = bench.log.publish(vec![message(&topic, "k", "before"), large]).await;
    assert!(matches!(refused, Err(LogError::Oversize { limit: 1_000_000, .. })));
    let fits = Message { payload: Some(Bytes::from(vec![b'x'; 999_000])), ..message(&topic, "k", "") };
    bench.log.publish(vec![fits]).await.unwrap();
    let mut reader = bench.reader(&group(), "m", &[&topic]).await;
    reader.read(1).await;
    assert_eq!(reader.records[0].payload.len(), 999_000);
}

async fn an_offset_that_is_not_there_is_a_named_fault(bench: Arc<Bench>) {
    let topic = bench.topic(1).await;
    bench.publish(&topic, &[("a", "0"), ("b", "1")]).await;
    let mut reader = bench.reader(&group(), "m", &[&topic]).await;
    assert!(matches!(within("assignment", reader.log.next(9)).await.unwrap(), Delivery::Assigned(_)));
    let fault = match reader.log.start(&topic, 0, Some(1000)).await {
        Err(error) => error,
        Ok(()) => {
            within("the fault", async {
                loop {
                    if let Err(error) = reader.step().await {
                        return error;
                    }
                }
            })
            .await
        }
    };
    assert!(matches!(fault, LogError::OffsetLost { partition: 0, offset: 1000, .. }), "{fault}");
    reader.log.start(&topic, 0, Some(1)).await.unwrap();
    reader.read(1).await;
}

async fn declaring_a_topic_again_changes_nothing(bench: Arc<Bench>) {
    let topic = bench.topic(1).await;
    bench.publish(&topic, &[("a", "0")]).await;
    bench.declare(&topic, 8).await;
    let mut reader = bench.reader(&group(), "m", &[&topic]).await;
    reader.read(1).await;
    assert_eq!(reader.assigned.len(), 1);
}
