//! What only the embedded log does: a file, and memory in front of it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use event_store::LogOffset;
use messaging::{Delivery, EmbeddedLog, EventLog, LogError, Message, RETENTION, Subscription, TopicSpec};

use crate::bench::{message, within};

fn on_a_file(case: impl AsyncFnOnce(&std::path::Path)) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(within("the case", case(&dir.path().join("log.db"))));
}

async fn open(file: &std::path::Path) -> EmbeddedLog {
    let log = EmbeddedLog::open(file).await.unwrap();
    log.declare(&[TopicSpec { name: "t".into(), partitions: 1, compacted: false }]).await.unwrap();
    log
}

async fn read(log: &EmbeddedLog, from: Option<i64>, count: usize) -> Result<Vec<(i64, Bytes)>, LogError> {
    let subscription = Subscription { group: "g".into(), member: "m".into(), topics: vec!["t".into()] };
    let mut reader = log.subscribe(subscription).await?;
    let mut read = Vec::new();
    while read.len() < count {
        match reader.next(7).await? {
            Delivery::Assigned(_) => reader.start("t", 0, from).await?,
            Delivery::Records(records) => {
                read.extend(records.into_iter().map(|record| (record.offset, record.payload)));
            }
            Delivery::Revoked(_) => {}
        }
    }
    Ok(read)
}

#[test]
fn what_was_published_is_there_after_a_restart_and_offsets_go_on() {
    on_a_file(async |file| {
        let topic: Arc<str> = "t".into();
        let log = open(file).await;
        for n in 0..20 {
            log.publish(vec![message(&topic, "k", &format!("{n}")); 3]).await.unwrap();
        }
        log.close().await;
        let log = open(file).await;
        log.publish(vec![message(&topic, "k", "last")]).await.unwrap();
        let read = read(&log, Some(4), 57).await.unwrap();
        assert_eq!(read.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), (4..61).collect::<Vec<_>>());
        assert_eq!(read[0].1, "1");
        assert_eq!(read[56].1, "last");
        log.close().await;
    });
}

#[test]
fn a_reader_that_does_not_keep_up_reads_what_memory_no_longer_holds() {
    on_a_file(async |file| {
        let topic: Arc<str> = "t".into();
        let log = open(file).await;
        // More than lies in memory.
        for n in 0..90_u8 {
            let large = Message { payload: Some(Bytes::from(vec![n; 900_000])), ..message(&topic, "k", "") };
            log.publish(vec![large]).await.unwrap();
        }
        let read = read(&log, None, 90).await.unwrap();
        assert!(
            read.iter()
                .enumerate()
                .all(|(n, (offset, payload))| *offset == n as i64 && payload[0] == n as u8)
        );
        log.close().await;
    });
}

#[test]
fn what_was_trimmed_is_lost_and_says_so() {
    on_a_file(async |file| {
        let topic: Arc<str> = "t".into();
        let log = open(file).await;
        for n in 0..5 {
            log.publish(vec![message(&topic, "k", &format!("{n}"))]).await.unwrap();
        }
        log.trim("t", 0, 3).await.unwrap();
        assert!(matches!(read(&log, Some(2), 1).await, Err(LogError::OffsetLost { offset: 2, .. })));
        assert_eq!(read(&log, None, 2).await.unwrap()[0].0, 3);
        log.trim("t", 0, 100).await.unwrap();
        log.close().await;
        let log = open(file).await;
        log.publish(vec![message(&topic, "k", "5")]).await.unwrap();
        assert_eq!(read(&log, None, 1).await.unwrap()[0], (5, Bytes::from_static(b"5")));
        log.close().await;
    });
}

#[test]
fn a_topic_that_is_not_there_is_refused_and_a_closed_log_is_unavailable() {
    on_a_file(async |file| {
        let log = open(file).await;
        let refused = log.publish(vec![message(&"other".into(), "k", "x")]).await;
        assert!(matches!(refused, Err(LogError::Refused(_))));
        log.close().await;
        let unavailable = log.publish(vec![message(&"t".into(), "k", "x")]).await;
        assert!(matches!(unavailable, Err(LogError::Unavailable(_))));
    });
}

#[test]
fn concurrent_publishes_share_commits_and_none_is_lost() {
    on_a_file(async |file| {
        let topic: Arc<str> = "t".into();
        let log = open(file).await;
        let publishes = (0..200).map(|n| log.publish(vec![message(&topic, "k", &format!("{n}"))]));
        futures::future::try_join_all(publishes).await.unwrap();
        let read = read(&log, None, 200).await.unwrap();
        assert_eq!(read.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), (0..200).collect::<Vec<_>>());
        log.close().await;
    });
}

#[test]
fn what_every_group_has_read_goes_when_it_is_old_and_nothing_else() {
    on_a_file(async |file| {
        let clock = Arc::new(testkit::ManualClock::at(types::Timestamp::from_micros(1_700_000_000_000_000)));
        let old = RETENTION + Duration::from_secs(1);
        let open = async || {
            let log = EmbeddedLog::open_with(file, clock.clone()).await.unwrap();
            let topic = |name: &str, compacted| TopicSpec { name: name.into(), partitions: 1, compacted };
            log.declare(&[topic("t", false), topic("ledger", true)]).await.unwrap();
            log
        };
        let first = async |log: &EmbeddedLog| read(log, None, 1).await.unwrap()[0].0;
        let log = open().await;
        for n in 0..10 {
            log.publish(vec![message(&"t".into(), "k", &format!("{n}"))]).await.unwrap();
            log.publish(vec![message(&"ledger".into(), "k", &format!("{n}"))]).await.unwrap();
        }
        // Two groups have read, one further than the other.
        for (group, next) in [("fast", 9), ("slow", 6)] {
            let topics = vec!["t".into()];
            let subscription = Subscription { group: group.into(), member: "m".into(), topics };
            let mut reader = log.subscribe(subscription).await.unwrap();
            let Delivery::Assigned(assigned) = reader.next(1).await.unwrap() else { unreachable!() };
            reader.start("t", 0, Some(1)).await.unwrap();
            reader.hint(&[LogOffset {
                consumer: group.into(),
                topic: "t".into(),
                partition: 0,
                incarnation: assigned[0].incarnation.clone(),
                next,
            }]);
        }
        log.drop_read().await.unwrap();
        clock.advance(old);
        log.publish(vec![message(&"t".into(), "k", "new")]).await.unwrap();
        log.drop_read().await.unwrap();
        // After a restart the slow group is known, though it does not run; the one that reads here pins
        // the topic where it begins.
        log.close().await;
        let log = open().await;
        log.drop_read().await.unwrap();
        assert_eq!(first(&log).await, 6);
        assert!(matches!(read(&log, Some(5), 1).await, Err(LogError::OffsetLost { offset: 5, .. })));
        clock.advance(old);
        log.drop_read().await.unwrap();
        assert_eq!(first(&log).await, 6);
        log.close().await;
    });
}
