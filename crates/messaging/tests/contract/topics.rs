//! Topics that are missing, differ, and are made as they should be.

use std::{sync::Arc, time::Duration};

use messaging::{
    EventLog, LogOptions, Remedy, TopicDifference, TopicSetting, TopicSettings, TopicSpec, open_log_with,
};
use types::fresh_uuid;

use crate::bench::{Bench, message, until};

on_each![what_is_missing_is_told_and_made];

fn spec(partitions: i32, compacted: bool) -> TopicSpec {
    TopicSpec { name: format!("test-{}", fresh_uuid().simple()).into(), partitions, compacted }
}

/// A cluster tells of a new topic a moment later.
async fn settled(log: &dyn EventLog, specs: &[TopicSpec], wanted: usize) -> Vec<TopicDifference> {
    until("the cluster's word on its topics", async || {
        let differences = log.compare(specs).await.unwrap();
        (differences.len() == wanted).then_some(differences)
    })
    .await
}

async fn what_is_missing_is_told_and_made(bench: Arc<Bench>) {
    let (there, missing) = (spec(2, false), spec(3, true));
    bench.log.declare(std::slice::from_ref(&there)).await.unwrap();
    let both = [there.clone(), missing.clone()];
    let differences = settled(&*bench.log, &both, 1).await;
    assert_eq!(
        differences,
        [TopicDifference {
            topic: missing.name.clone(),
            setting: TopicSetting::Existence,
            is: "missing".into(),
            should_be: "3 partitions, compact".into(),
            remedy: Remedy::Apply,
        }]
    );
    assert_eq!(bench.log.apply(&both, false).await.unwrap(), []);
    settled(&*bench.log, &both, 0).await;
    let fewer = [TopicSpec { partitions: 1, ..there.clone() }];
    let left = bench.log.apply(&fewer, true).await.unwrap();
    assert_eq!(
        left.iter().map(|it| (it.setting, it.remedy)).collect::<Vec<_>>(),
        [(TopicSetting::Partitions, Remedy::ByHand)]
    );
    for spec in both {
        bench.log.delete(&spec.name).await.unwrap();
    }
}

#[test]
fn on_a_cluster_what_differs_is_altered_and_what_others_set_stays() {
    crate::bench::on_kafka(async |bench| {
        let brokers = std::env::var("EXEUNT_TEST_KAFKA_BROKERS").unwrap();
        let (events, ledger) = (spec(2, false), spec(2, true));
        // As somebody made them by hand, the ledger not compacted.
        let by_hand = [events.clone(), TopicSpec { compacted: false, ..ledger.clone() }];
        bench.log.declare(&by_hand).await.unwrap();
        settled(&*bench.log, &by_hand, 0).await;
        let open = async |topics| {
            let options = LogOptions { topics, ..LogOptions::default() };
            open_log_with(&format!("kafka://{brokers}"), options).await.unwrap()
        };
        let hour = Some(Duration::from_secs(3600));
        let wanted = TopicSettings { partitions: Some(4), replication: Some(3), retention: hour };
        let log = open(wanted).await;
        let specs = [events.clone(), ledger.clone()];
        let told: Vec<String> = log
            .compare(&specs)
            .await
            .unwrap()
            .iter()
            .map(|it| format!("{}={}", it.setting, it.should_be))
            .collect();
        assert_eq!(
            told,
            [
                "partitions=4",
                "replication.factor=3",
                "retention.ms=3600000",
                "replication.factor=3",
                "cleanup.policy=compact"
            ]
        );
        log.apply(&specs, false).await.unwrap();
        let left = settled(&*log, &specs, 3).await;
        assert_eq!(
            left.iter().map(|it| (it.setting, it.remedy)).collect::<Vec<_>>(),
            [
                (TopicSetting::Partitions, Remedy::AddPartitions),
                (TopicSetting::Replication, Remedy::ByHand),
                (TopicSetting::Replication, Remedy::ByHand),
            ]
        );
        log.apply(&specs, true).await.unwrap();
        settled(&*log, &specs, 2).await;
        // A second change leaves what the first one set.
        let longer = open(TopicSettings { retention: Some(Duration::from_secs(7200)), ..wanted }).await;
        longer.apply(&[ledger.clone(), events.clone()], false).await.unwrap();
        let still = open(TopicSettings { partitions: Some(4), ..TopicSettings::default() }).await;
        settled(&*still, &specs, 0).await;
        // What was altered takes records as before.
        longer.publish(vec![message(&events.name, "key", "text")]).await.unwrap();
        for spec in specs {
            bench.log.delete(&spec.name).await.unwrap();
        }
        for log in [log, longer, still] {
            log.close().await;
        }
    });
}
