//! One record in a hundred cannot be read: it parks, is counted, and every other key goes on.

use std::sync::Arc;

use futures::future::join_all;
use messaging::Message;
use participant::contract;
use prost::bytes::Bytes;
use proto::{
    cancellation::v1::State,
    operations::v1::{self as ops},
};

use crate::{
    client::until,
    process::Engines,
    stage::{Leaver, Stage},
};

/// Who leaves while poison is planted.
const LEAVERS: usize = 12;
/// Records of keys of their own that nobody can read, on each topic.
const PLANTED: usize = 6;
/// Where they are planted, and who parks them there.
const PLACES: [(&str, &str); 3] = [
    (contract::ACKNOWLEDGEMENTS, "cancellation"),
    ("exeunt.instructions.wallet", "wallet"),
    ("exeunt.instructions.subscription", "subscription"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_is_parked_and_counted_and_every_other_key_completes_on_embedded_storage() {
    poison_is_parked(Engines::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_is_parked_and_counted_and_every_other_key_completes_on_postgresql_and_kafka() {
    match Engines::real() {
        Some(engines) => poison_is_parked(engines).await,
        None => eprintln!("skipped: no PostgreSQL and Kafka are named"),
    }
}

async fn poison_is_parked(engines: Engines) {
    let mut stage = Stage::start(engines).await;
    let leavers = join_all((0..LEAVERS).map(|n| stage.ask(n))).await;
    let (stuck, free) = leavers.split_first().unwrap();
    for (topic, _) in PLACES {
        for n in 0..PLANTED {
            plant(&stage, topic, &format!("planted-{n}")).await;
        }
    }
    // Of a case that somebody waits for: it alone stands still.
    plant(&stage, "exeunt.instructions.wallet", &stuck.cancellation_id).await;
    parked(&stage, "wallet", PLANTED + 1).await;
    stage.confirm(stuck).await;
    join_all(free.iter().map(|leaver| stage.leave(leaver))).await;
    // Its instruction waits behind the poison.
    let behind = parked(&stage, "wallet", PLANTED + 2).await;
    let client = stage.client();
    assert_eq!(client.get(&stuck.cancellation_id).await.state(), State::Executing);

    // What can be read now goes on when the poison is given up.
    let poison = behind.iter().find(|row| row.key == stuck.cancellation_id && row.cause != "BEHIND").unwrap();
    discard(&stage, poison).await;
    replay(&stage, behind.iter().find(|row| row.cause == "BEHIND").unwrap()).await;
    stage.left(stuck).await;

    for (_, service) in PLACES {
        let rows = parked(&stage, service, PLANTED).await;
        for row in rows {
            let key = row.key.rsplit(':').next().unwrap();
            assert!(key.starts_with("planted-"), "{row:?}");
            discard(&stage, &row).await;
        }
        parked(&stage, service, 0).await;
    }
    stage.stop().await;
    each_once(&stage, &leavers).await;
}

async fn plant(stage: &Stage, topic: &str, key: &str) {
    let message = Message {
        topic: Arc::from(topic),
        key: Bytes::copy_from_slice(key.as_bytes()),
        headers: Vec::new(),
        payload: Some(Bytes::from_static(b"\xff\xff\xff")),
    };
    stage.running.log().publish(vec![message]).await.unwrap();
}

/// Waits until a service has parked just so many records.
async fn parked(stage: &Stage, service: &str, count: usize) -> Vec<ops::ParkedRecord> {
    let operations = stage.operations();
    until(&format!("{count} parked records of {service}"), || {
        let mut operations = operations.clone();
        async move {
            let request =
                ops::ListParkedRequest { service: service.into(), page_size: 100, ..Default::default() };
            let rows = operations.list_parked(request).await.ok()?.into_inner().records;
            (rows.len() == count).then_some(rows)
        }
    })
    .await
}

async fn discard(stage: &Stage, row: &ops::ParkedRecord) {
    let request = ops::DiscardParkedRequest {
        service: row.service.clone(),
        topic: row.topic.clone(),
        partition: row.partition,
        offset: row.offset,
        reason: "planted".into(),
        incarnation: row.incarnation.clone(),
        request_id: String::new(),
    };
    stage.operations().discard_parked(request).await.unwrap();
}

async fn replay(stage: &Stage, row: &ops::ParkedRecord) {
    let request = ops::ReplayParkedRequest {
        service: row.service.clone(),
        topic: row.topic.clone(),
        partition: row.partition,
        key: row.key.clone(),
        request_id: String::new(),
        reason: "can be read now".into(),
    };
    stage.operations().replay_parked(request).await.unwrap();
}

async fn each_once(stage: &Stage, leavers: &[Leaver]) {
    let (wallet, subscription) = (stage.counts("wallet").await, stage.counts("subscription").await);
    for Leaver { subject_id, .. } in leavers {
        assert_eq!(wallet[subject_id]["exeunt.wallet.v1.BenefitLapsed"], 1, "{subject_id}");
        assert_eq!(subscription[subject_id]["exeunt.subscription.v1.RenewalStopped"], 1, "{subject_id}");
    }
}
