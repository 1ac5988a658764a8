//! `exeunt topics` as an operator runs it, and what a process says of topics when it starts.

use std::process::{Command, Output};

use messaging::{LogOptions, TopicSettings, open_log_with};

use crate::{
    client::until,
    process::{Engines, Installation, binary},
    stage::topics,
};

/// For how long records are to be kept.
const KEPT: (&str, &str) = ("EXEUNT_TOPICS_RETENTION_HOURS", "24");
/// A topic that somebody has changed.
const CHANGED: &str = "exeunt.wallet.events";

/// Runs `exeunt topics` with a log; gives its exit code, and the lines that it prints.
fn run(event_log: &str, arguments: &[&str]) -> (Option<i32>, Vec<String>, String) {
    let mut command = Command::new(binary());
    command.arg("topics").args(arguments).args(["--event-log", event_log]).env(KEPT.0, KEPT.1);
    let Output { status, stdout, stderr } = command.output().unwrap();
    let lines = String::from_utf8(stdout).unwrap().lines().map(str::to_owned).collect();
    (status.code(), lines, String::from_utf8(stderr).unwrap())
}

/// Waits until the plan is such: a broker tells what was done to topics a moment later.
async fn planned(event_log: &str, lines: &[String]) {
    until(&format!("the plan to be {lines:?}"), async || {
        let (code, mut printed, complaint) = run(event_log, &["plan"]);
        assert_eq!(code, Some(0), "{complaint}");
        printed.sort();
        (printed == lines).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_planned_and_applied_and_a_process_names_at_its_start_what_differs() {
    let Some(engines) = Engines::real() else {
        eprintln!("skipped: no PostgreSQL and Kafka are named");
        return;
    };
    let Engines::Real { event_log, .. } = &engines else { panic!() };
    let event_log = event_log.as_str();
    let (_, prefix) = event_log.rsplit_once('/').unwrap();
    let declared = topics();
    let missing = declared.iter().map(|topic| {
        let policy = if topic.compacted { "compact" } else { "delete" };
        let (name, partitions) = (&topic.name, topic.partitions);
        format!("{prefix}.{name}: topic is missing and should be {partitions} partitions, {policy}")
    });
    let mut missing: Vec<String> = missing.collect();
    missing.sort();
    let saying = |what: &str| missing.iter().map(|line| format!("{what}: {line}")).collect::<Vec<_>>();
    let as_they_should_be = [format!("{} topics are as they should be", declared.len())];

    // Told twice: a plan changes nothing.
    for _ in 0..2 {
        planned(event_log, &saying("create")).await;
    }
    let (code, mut applied, complaint) = run(event_log, &["apply"]);
    applied.sort();
    assert_eq!((code, applied), (Some(0), saying("applied")), "{complaint}");
    planned(event_log, &as_they_should_be).await;

    let one = declared.iter().find(|topic| *topic.name == *CHANGED).unwrap();
    let hour = TopicSettings {
        partitions: Some(one.partitions + 1),
        retention: Some(std::time::Duration::from_secs(3_600)),
        ..TopicSettings::default()
    };
    let log = open_log_with(event_log, LogOptions { topics: hour, ..LogOptions::default() }).await.unwrap();
    log.apply(std::slice::from_ref(one), true).await.unwrap();
    log.close().await;
    let by_hand = format!("by hand: {prefix}.{CHANGED}: partitions is 9 and should be 8");
    let retention = format!("{prefix}.{CHANGED}: retention.ms is 3600000 and should be 86400000");
    planned(event_log, &[format!("alter: {retention}"), by_hand.clone()]).await;

    let mut installation = Installation::new(engines.clone());
    installation.variables.push((KEPT.0, KEPT.1.to_owned()));
    installation.start();
    let said = installation.said();
    let told: Vec<&str> = said.lines().filter(|line| line.contains("is not as it should be")).collect();
    assert_eq!(told.len(), 2, "{said}");
    for (setting, is, should_be) in [("partitions", "9", "8"), ("retention.ms", "3600000", "86400000")] {
        let named = |line: &&str| [CHANGED, setting, is, should_be].iter().all(|word| line.contains(word));
        assert!(told.iter().any(named), "{told:?}");
    }
    installation.stop();

    let (code, applied, complaint) = run(event_log, &["apply"]);
    assert_eq!((code, applied), (Some(1), vec![format!("applied: {retention}"), by_hand.clone()]));
    assert!(complaint.contains("one difference could not be applied"), "{complaint}");
    planned(event_log, &[by_hand]).await;
}
