//! What only the embedded log does: a file, and memory in front of it.

use std::sync::Arc;

use bytes::Bytes;
use messaging::{Delivery, EmbeddedLog, EventLog, LogError, Message, Subscription, TopicSpec};

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
