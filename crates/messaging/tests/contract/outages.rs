//! Failures in the middle: nothing is lost, nothing happens twice, an outage pauses.

use std::sync::Arc;

use event_store::StreamId;
use messaging::{EventLog, KafkaLog, LogError};

use crate::{
    bench::{Bench, group, message, until, within},
    doubles::{Fault, faulty},
    toy::{offset, reached, seen, start, subscription, sum},
};

on_each![
    commits_that_fail_or_whose_answers_are_lost_have_their_effects_once,
    a_crash_between_decision_and_commit_has_no_effect_and_the_next_run_has_it_once,
    an_outage_parks_nothing_and_shows_in_the_health,
];

async fn commits_that_fail_or_whose_answers_are_lost_have_their_effects_once(bench: Arc<Bench>) {
    let (topic, store, group) = (bench.topic(2).await, bench.store().await, group());
    use Fault::{LoseAnswer, Pass, Refuse};
    let plan = [Refuse, LoseAnswer, Pass, LoseAnswer, LoseAnswer, Refuse, Refuse, Pass, LoseAnswer];
    let failing = faulty(&store, &plan, Pass);
    let consumer = start(&failing, &bench.log, subscription(&group, "m", &topic));
    for n in 0..30 {
        bench.publish(&topic, &[("a", &format!("{n} add:1")), ("b", &format!("{n} add:1"))]).await;
        if n % 5 == 0 {
            seen(&store, "a", n + 1).await;
        }
    }
    assert_eq!(seen(&store, "a", 30).await.total, 30);
    assert_eq!(seen(&store, "b", 30).await.total, 30);
    assert_eq!(store.load(&StreamId::new("a")).await.unwrap().len(), 30);
    assert!(store.parked(Some(&group), None, 10).await.unwrap().rows.is_empty());
    consumer.stop().await;
    failing.close().await;
    store.close().await;
}

async fn a_crash_between_decision_and_commit_has_no_effect_and_the_next_run_has_it_once(bench: Arc<Bench>) {
    let (topic, store, group) = (bench.topic(1).await, bench.store().await, group());
    bench.publish(&topic, &[("a", "1 add:1"), ("a", "2 add:1")]).await;
    let failing = faulty(&store, &[], Fault::Refuse);
    let crashing = start(&failing, &bench.log, subscription(&group, "m", &topic));
    let decided = crashing.handler.clone();
    until("a decision", || async {
        (decided.decided.load(std::sync::atomic::Ordering::SeqCst) > 1).then_some(())
    })
    .await;
    crashing.stop().await;
    failing.close().await;
    assert_eq!(sum(&store, "a").await.total, 0);
    assert_eq!(offset(&store, &group, &topic, 0).await, None);
    let consumer = start(&store, &bench.log, subscription(&group, "m", &topic));
    reached(&store, &group, &topic, 2).await;
    assert_eq!(sum(&store, "a").await.total, 2);
    consumer.stop().await;
    store.close().await;
}

async fn an_outage_parks_nothing_and_shows_in_the_health(bench: Arc<Bench>) {
    let (topic, store, group) = (bench.topic(1).await, bench.store().await, group());
    let failing = faulty(&store, &[Fault::Refuse; 12], Fault::Pass);
    let consumer = start(&failing, &bench.log, subscription(&group, "m", &topic));
    let mut health = consumer.handle.health();
    within("the partition", health.wait_for(|health| health.assigned == 1)).await.unwrap();
    bench.publish(&topic, &[("a", "1 add:1")]).await;
    within("the pause", health.wait_for(|health| health.paused.is_some())).await.unwrap();
    reached(&store, &group, &topic, 1).await;
    within("the end of the pause", health.wait_for(|health| health.paused.is_none())).await.unwrap();
    assert_eq!(sum(&store, "a").await.total, 1);
    assert!(store.parked(Some(&group), None, 10).await.unwrap().rows.is_empty());
    consumer.stop().await;
    failing.close().await;
    store.close().await;
}

#[test]
fn a_cluster_that_is_not_there_is_unavailable() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let log = KafkaLog::open("kafka://127.0.0.1:1?message.timeout.ms=500").unwrap();
        let published = within("the answer", log.publish(vec![message(&"t".into(), "k", "x")])).await;
        assert!(matches!(published, Err(LogError::Unavailable(_))), "{published:?}");
        log.close().await;
    });
}
