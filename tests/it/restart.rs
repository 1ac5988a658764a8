//! A start with many open cancellations: nothing that it does grows with how many there are.
//!
//! With `EXEUNT_RESTART_OPEN=50000` and `--nocapture` it says instead how long a process with so many
//! takes to answer, and how much memory.

use std::time::Instant;

use futures::StreamExt as _;
use proto::{cancellation::v1 as can, types::v1 as words};

use crate::{
    client::{Client, until},
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
    if let Ok(open) = std::env::var("EXEUNT_RESTART_OPEN") {
        return measure(open.parse().unwrap()).await;
    }
    let mut stage = Stage::start(Engines::Embedded).await;
    let ids = many(&stage.client(), OPEN).await;
    stage.published().await;
    stage.stop().await;

    stage.start_again().await;
    stage.ready().await;
    for stored in stage.running.stores() {
        let (service, loaded) = (&stored.service, stored.store.loaded());
        assert!(loaded <= STREAMS_LOADED_MAX, "{service} loaded {loaded} streams of {OPEN} at its start");
    }
    still_open(&stage.client(), &ids).await;
    stage.stop().await;
}

/// Says how long a process takes until it answers, and how much memory.
async fn measure(open: usize) {
    let mut installation = Installation::new(Engines::Embedded);
    installation.start();
    let client = Client::new(&installation.url());
    let began = Instant::now();
    let ids = many(&client, open).await;
    eprintln!("{open} opened and quoted in {:?}; {}", began.elapsed(), installation.memory());
    installation.kill();
    let began = Instant::now();
    installation.start();
    let listening = began.elapsed();
    client.get(&ids[0]).await;
    eprintln!("listens after {listening:?}, answers after {:?}; {}", began.elapsed(), installation.memory());
    still_open(&client, &ids).await;
    eprintln!("after reading ten of them: {}", installation.memory());
    installation.stop();
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
