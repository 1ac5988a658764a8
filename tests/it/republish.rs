//! Every topic is lost, made anew and filled again from the stores: everybody ends where they were.

use std::collections::{BTreeMap, BTreeSet};

use messaging::Message;
use participant::contract;
use prost::bytes::Bytes;

use crate::{
    client::until,
    downstream::Downstream,
    ledger::SERVICES,
    process::Engines,
    stage::{Leaver, PARTICIPANTS, Stage, topic_names, topics},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_that_were_lost_are_republished_and_nothing_is_repeated_on_embedded_storage() {
    topics_that_were_lost_are_republished(Engines::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_that_were_lost_are_republished_and_nothing_is_repeated_on_postgresql_and_kafka() {
    match Engines::real() {
        Some(engines) => topics_that_were_lost_are_republished(engines).await,
        None => eprintln!("skipped: no PostgreSQL and Kafka are named"),
    }
}

async fn topics_that_were_lost_are_republished(engines: Engines) {
    let mut stage = Stage::start(engines).await;
    let mut downstream = Downstream::start(&stage.running.log(), topic_names()).await;
    let (gone, staying) = (people(&stage, 0..3).await, people(&stage, 3..6).await);
    for leaver in &gone {
        stage.leave(leaver).await;
    }
    // Subject by subject: closed in identity, and so in the ledger.
    let closed = |seen: &Downstream| of_topic(seen, contract::CLOSURES).len() == gone.len();
    downstream.until("the closures", closed).await;
    stage.published().await;
    // An answer that is given again is no event of its own: no store can tell it anew.
    let (stored, mut told) = (recorded(&stage).await, downstream.seen.clone());
    told.retain(|id, told| *told.0 != *contract::ACKNOWLEDGEMENTS || stored.contains(event_of(id)));

    lose(&stage).await;
    stage.program(&["republish", "--from", "0", "--reason", "the cluster was lost"]);
    stage.published().await;
    let all_told = |seen: &Downstream| seen.lives() == 2 && told.keys().all(|id| seen.has_anew(id));
    let again = downstream.reaches(all_told).await;
    let missing: Vec<_> =
        told.iter().filter(|(id, _)| !downstream.has_anew(id)).map(|(id, told)| (id, &told.0)).collect();
    assert!(again, "{} lives, and not told again: {missing:?}", downstream.lives());
    for service in SERVICES {
        consumed(&stage, service, &downstream).await;
    }
    assert_eq!(of_topic(&downstream, contract::CLOSURES).len(), gone.len());

    for leaver in &staying {
        stage.leave(leaver).await;
    }
    for leaver in &gone {
        stage.left(leaver).await;
    }
    stage.stop().await;
    let stored = recorded(&stage).await;
    for (id, told) in &downstream.seen {
        // An answer that is given again is no event of its own, and a key is known before all events.
        let of_no_event =
            *told.0 == *contract::ACKNOWLEDGEMENTS || contract::keys_topic_of(&told.0).is_some();
        let known = stored.contains(event_of(id)) || of_no_event;
        assert!(known, "{id} of {} tells what nobody recorded", told.0);
    }
    for service in SERVICES {
        alike(&stage, service, &gone, &staying).await;
    }
}

/// The ids of all events in all stores.
async fn recorded(stage: &Stage) -> BTreeSet<String> {
    let mut recorded = BTreeSet::new();
    for service in SERVICES {
        recorded.extend(stage.events(service).await.into_iter().map(|event| event.id.to_string()));
    }
    recorded
}

/// The event that a message tells of.
fn event_of(id: &str) -> &str {
    id.split('/').next().unwrap_or_default()
}

async fn people(stage: &Stage, numbers: std::ops::Range<usize>) -> Vec<Leaver> {
    let asking = numbers.map(|n| stage.ask(n));
    futures::future::join_all(asking).await
}

/// The ids that were told of a topic.
fn of_topic<'a>(seen: &'a Downstream, topic: &str) -> Vec<&'a String> {
    seen.seen.iter().filter(|(_, told)| *told.0 == *topic).map(|(id, _)| id).collect()
}

/// Deletes every topic and makes it anew, as an operator does. A broker takes changes of topics up in
/// their order: when it has the last one, it writes to none of those deleted any more.
async fn lose(stage: &Stage) {
    let log = stage.running.log();
    for topic in topic_names() {
        log.delete(&topic).await.unwrap();
    }
    let mut declared = topics();
    declared.push(contract::topic("last"));
    until("the topics", async || log.declare(&declared).await.ok()).await;
    let probe = Message { topic: "last".into(), key: Bytes::new(), headers: Vec::new(), payload: None };
    until("the last topic", async || log.publish(vec![probe.clone()]).await.ok()).await;
}

/// Waits until a service has taken everything that downstream has read of the topics that it reads,
/// where that is all there is.
async fn consumed(stage: &Stage, service: &str, downstream: &Downstream) {
    let mut reads = vec![contract::IDENTITY_EVENTS.to_owned()];
    match service {
        "cancellation" => reads.push(contract::ACKNOWLEDGEMENTS.to_owned()),
        "identity" => reads = vec!["exeunt.instructions.identity".to_owned()],
        other => reads.push(format!("exeunt.instructions.{other}")),
    }
    let store = stage.store(service).await;
    for topic in reads {
        let wanted = downstream.records(&topic);
        until(&format!("{service} to read {topic}"), async || {
            let rows = store.offsets(&format!("exeunt.{service}")).await.unwrap();
            let at: i64 = rows.iter().filter(|row| *row.topic == *topic).map(|row| row.next).sum();
            (at >= wanted && latest(&rows, &topic)).then_some(())
        })
        .await;
    }
    store.close().await;
}

/// Whether all rows of a topic are of one life of it.
fn latest(rows: &[event_store::LogOffset], topic: &str) -> bool {
    let mut lives: Vec<_> =
        rows.iter().filter(|row| *row.topic == *topic).map(|row| row.incarnation.clone()).collect();
    lives.dedup();
    lives.len() == 1
}

/// What was recorded of those who had left before is just what was recorded of those who left later.
async fn alike(stage: &Stage, service: &str, gone: &[Leaver], staying: &[Leaver]) {
    let counts = stage.counts(service).await;
    assert_eq!(counts.get("republications").map_or(0, BTreeMap::len), 1, "{service} has a record of it");
    let of = |leaver: &Leaver| {
        let id = if service == "cancellation" { &leaver.cancellation_id } else { &leaver.subject_id };
        let stream = counts.iter().find(|(stream, _)| stream.contains(id.as_str()));
        stream.unwrap_or_else(|| panic!("{service} has nothing of {id}")).1
    };
    for leaver in gone.iter().chain(staying) {
        assert_eq!(of(leaver), of(&gone[0]), "{service}: {leaver:?}");
    }
    assert!(PARTICIPANTS.contains(&service) || service == "cancellation");
}
