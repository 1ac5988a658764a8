//! A start with many open cancellations: nothing that it does grows with how many there are.
//!
//! With `--nocapture` it says how long a process takes until it serves, and how much memory;
//! `EXEUNT_RESTART_OPEN=50000` makes it so many.

use std::time::Instant;

use exeunt::compose::Overrides;
use futures::StreamExt as _;
use proto::{cancellation::v1 as can, types::v1 as words};

use crate::{
    client::{Client, serving, until},
    process::{Engines, Installation},
    settle::register,
    stage::Stage,
};

/// How many are open.
const OPEN: usize = 500;
/// Requests under way while they are made.
const AT_ONCE: usize = 64;
/// Streams that a service may look at before anybody asks for anything.
const STREAMS_LOADED_MAX: u64 = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_with_many_open_cancellations_reads_none_of_them() {
    starts_with_many_open(Engines::Embedded, "embedded").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_with_many_open_cancellations_reads_none_of_them_on_postgresql_and_kafka() {
    match Engines::real() {
        Some(engines) => starts_with_many_open(engines, "PostgreSQL and Kafka").await,
        None => eprintln!("skipped: no PostgreSQL and Kafka are named"),
    }
}

async fn starts_with_many_open(engines: Engines, named: &str) {
    let open = std::env::var("EXEUNT_RESTART_OPEN").map_or(OPEN, |open| open.parse().unwrap());
    let mut installation = Installation::new(engines.clone());
    installation.start();
    let client = Client::new(&installation.url());
    let ids = many(&client, open).await;
    installation.kill();

    let began = Instant::now();
    installation.start();
    let listens = began.elapsed();
    serving(&installation.url()).await;
    let (serves, peak_mib) = (began.elapsed(), installation.peak_mib());
    client.get(&ids[0]).await;
    let answers = began.elapsed();
    still_open(&client, &ids).await;
    eprintln!(
        "{named}, {open} open: listens after {listens:?}, serves after {serves:?} with a peak of {peak_mib} MiB, \
         has answered after {answers:?}; {} MiB after reading ten",
        installation.peak_mib()
    );
    installation.stop();

    // Once more in this process, where one can see what it looked at.
    let mut stage = Stage::start_on(installation.into_data(), engines, &[], Overrides::default()).await;
    stage.ready().await;
    for stored in stage.running.stores() {
        let (service, loaded) = (&stored.service, stored.store.loaded());
        assert!(loaded <= STREAMS_LOADED_MAX, "{service} loaded {loaded} streams of {open} at its start");
    }
    still_open(&stage.client(), &ids).await;
    stage.stop().await;
}

/// They are where they were.
async fn still_open(client: &Client, ids: &[String]) {
    for id in ids.iter().step_by(ids.len() / 10) {
        assert_eq!(client.get(id).await.state(), can::State::AwaitingConfirmation);
    }
}

/// So many people ask to leave, up to their quotes.
async fn many(client: &Client, open: usize) -> Vec<String> {
    let opening = futures::stream::iter(0..open).map(|n| open_one(client.clone(), n));
    let ids = opening.buffer_unordered(AT_ONCE).collect().await;
    until("every quote", async || {
        let request = can::ListCancellationsRequest {
            states: vec![can::State::Assessing.into()],
            page_size: 1,
            ..Default::default()
        };
        let answer = client.cancellation.clone().list_cancellations(request).await.ok()?.into_inner();
        answer.cancellations.is_empty().then_some(())
    })
    .await;
    ids
}

/// Somebody who asks to leave, and confirms nothing.
async fn open_one(client: Client, n: usize) -> String {
    let subject_id = register(&client, n).await;
    let whole = words::scope::Kind::WholeAccount(words::WholeAccount {});
    client.request(&format!("leave-{n}"), &subject_id, whole).await.cancellation_id
}
