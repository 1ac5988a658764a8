//! How many events a second a store takes, and how long one append alone takes.
//!
//! `cargo run --release -p event-store --example append_rate -- <url> [appenders] [events each] [seconds]`

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use event_store::{
    Append, Expected, Metadata, NewEvent, OffsetAdvance, Position, Store, StoreError, StoreOptions,
    StreamAppend, StreamId,
};
use tokio::task::JoinSet;
use types::{Clock, SystemClock, fresh_uuid};

const PAYLOAD_BYTES: usize = 300;
const ALONE: u32 = 500;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("usage: append_rate <url> [appenders] [events each] [seconds]")?;
    let appenders: u32 = arguments.next().map_or(Ok(64), |n| n.parse())?;
    let events: usize = arguments.next().map_or(Ok(16), |n| n.parse())?;
    let seconds: u64 = arguments.next().map_or(Ok(5), |n| n.parse())?;
    let store = Store::open(&url, StoreOptions::default()).await?;
    alone(&store).await?;
    together(&store, appenders, events, Duration::from_secs(seconds)).await?;
    store.close().await;
    Ok(())
}

/// One append after the other, each with a consumer's offset as a batch has.
async fn alone(store: &Store) -> Result<(), Box<dyn std::error::Error>> {
    let mut took = Vec::new();
    let mut from = None;
    let consumer = fresh_uuid().to_string();
    for next in 1..=i64::from(ALONE) {
        let to = event_store::LogOffset {
            consumer: consumer.as_str().into(),
            topic: "topic".into(),
            partition: 0,
            incarnation: "u".into(),
            next,
        };
        let offsets = vec![OffsetAdvance { from: from.replace(("u".into(), next)), to }];
        let append = Append { offsets, ..append(1) };
        let began = Instant::now();
        store.append(append).await?;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    show(&format!("alone: p50 {:?}, p99 {:?}", took[took.len() / 2], took[took.len() * 99 / 100]));
    Ok(())
}

/// Many at once, while a tail follows.
async fn together(
    store: &Store,
    appenders: u32,
    events: usize,
    span: Duration,
) -> Result<(), Box<dyn std::error::Error>> {
    let seen = Arc::new(AtomicU64::new(0));
    let from = store.head().await?;
    let mut follower = JoinSet::new();
    follower.spawn(follow(store.clone(), from, seen.clone()));
    let mut tasks = JoinSet::new();
    let began = Instant::now();
    for _ in 0..appenders {
        let store = store.clone();
        tasks.spawn(async move {
            while began.elapsed() < span {
                if store.append(append(events)).await.is_err() {
                    break;
                }
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    let took = began.elapsed().as_secs_f64();
    let stored = store.head().await?.0 - from.0;
    show(&format!(
        "together: {:.0} events/s, of which a tail saw {}",
        stored as f64 / took,
        seen.load(Ordering::Relaxed)
    ));
    Ok(())
}

async fn follow(store: Store, from: Position, seen: Arc<AtomicU64>) -> Result<(), StoreError> {
    let mut tail = store.tail(from);
    loop {
        seen.fetch_add(tail.next(1000).await?.len() as u64, Ordering::Relaxed);
    }
}

/// Events for as many new streams, two each.
fn append(events: usize) -> Append {
    let text = |text: &str| Arc::from(text);
    let metadata = Arc::new(Metadata {
        tenant: text("local"),
        actor: text("measure"),
        causation: text("0190a3c0-0000-7000-8000-000000000000/measure"),
        correlation: text("can_0190a3c0000070008000000000000000"),
        traceparent: text("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    });
    let event = || NewEvent {
        id: fresh_uuid(),
        kind: "exeunt.measure.v1.Happened".into(),
        schema: 1,
        payload: vec![7; PAYLOAD_BYTES].into(),
    };
    let streams = (0..events.div_ceil(2)).map(|n| StreamAppend {
        stream: StreamId::new(format!("can_{}", fresh_uuid().simple())),
        expected: Expected::Exactly(0),
        metadata: metadata.clone(),
        at: SystemClock.now(),
        events: (0..2.min(events - 2 * n)).map(|_| event()).collect(),
    });
    Append { streams: streams.collect(), ..Append::default() }
}

#[expect(clippy::print_stdout, reason = "a program of its own")]
fn show(line: &str) {
    println!("{line}");
}
