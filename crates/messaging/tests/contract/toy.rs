//! A small service: streams that add numbers up, each record once.
//!
//! A record's text is words: `add:3`, `also:other:3` (adds to another stream as well), `after:id:other`
//! (adds 1 to another stream if the record of that id came before), `claim:key`,
//! `poison`, `forged` (parks apart), `panic`, `strange` (stores an event that cannot be read), `twice` (answers a repeated
//! record). Its first word is its id: a record of the same id again changes nothing.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use event_store::{Claim, Metadata, NewEvent, Recorded, Store, StreamId};
use messaging::{
    BatchConsumer, ConsumerError, ConsumerHandle, ConsumerOptions, Decision, EventLog, Handler, Poison,
    Record, StreamEvents, Streams, Subscription, Undecided, Unreadable,
};
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use types::{SystemClock, Timestamp, fresh_uuid};

use crate::bench::{text, until, within};

/// What a stream adds up to, and which records it has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sum {
    pub total: i64,
    pub seen: BTreeSet<String>,
}

/// The handler. Poison is poison until it is cured.
#[derive(Default)]
pub struct Adder {
    pub cured: AtomicBool,
    pub decided: AtomicUsize,
    pub replies: Option<Arc<str>>,
}

impl Adder {
    pub fn cure(&self) {
        self.cured.store(true, Ordering::SeqCst);
    }
}

fn metadata(record: &Record) -> Arc<Metadata> {
    Arc::new(Metadata {
        tenant: "local".into(),
        actor: "toy".into(),
        causation: record.header(messaging::CE_ID).unwrap_or_default().into(),
        correlation: "".into(),
        traceparent: "".into(),
    })
}

pub fn event(kind: &'static str, payload: String) -> NewEvent {
    NewEvent { id: fresh_uuid(), kind: kind.into(), schema: 1, payload: Bytes::from(payload) }
}

pub fn fold(state: Sum, recorded: &Recorded) -> Result<Sum, Unreadable> {
    let strange = |detail: &str| Unreadable { kind: recorded.kind.clone(), detail: detail.into() };
    if &*recorded.kind != "toy.v1.Added" {
        return Err(strange("unknown"));
    }
    let payload = std::str::from_utf8(&recorded.payload).map_err(|_| strange("not text"))?;
    let (id, number) = payload.split_once(' ').ok_or_else(|| strange("no number"))?;
    let mut state = state;
    state.seen.insert(id.into());
    state.total += number.parse::<i64>().map_err(|_| strange("no number"))?;
    Ok(state)
}

impl Handler for Adder {
    type State = Sum;

    type Input = ();

    type Open = std::convert::Infallible;

    fn read(&self, record: &Record) -> Result<(StreamId, ()), Poison> {
        if text(record).contains("misrouted") {
            return Err(Poison::new("UNDECODABLE", "misrouted"));
        }
        Ok((StreamId::new(std::str::from_utf8(&record.key).unwrap()), ()))
    }

    fn evolve(&self, state: Sum, event: &Recorded) -> Result<Sum, Unreadable> {
        fold(state, event)
    }

    fn decide(
        &self,
        record: &Record,
        (): &(),
        streams: &Streams<'_, Sum>,
    ) -> Result<Decision<Self>, Undecided> {
        self.decided.fetch_add(1, Ordering::SeqCst);
        let stream = StreamId::new(std::str::from_utf8(&record.key).unwrap());
        let (id, words) = text(record).split_once(' ').unwrap();
        let mut decision = Decision::default();
        let add = |stream: &StreamId, kind: &'static str, payload: String| StreamEvents {
            stream: stream.clone(),
            metadata: metadata(record),
            at: Timestamp::from_micros(1),
            events: vec![event(kind, payload)],
            folded: None,
            open: Vec::new(),
        };
        if streams.get(&stream)?.seen.contains(id) {
            if let Some(topic) = &self.replies {
                decision.replies.push(crate::bench::message(topic, "reply", id));
            }
            return Ok(decision);
        }
        for word in words.split(' ') {
            let mut parts = word.split(':');
            match (parts.next().unwrap(), parts.next(), parts.next()) {
                ("add", Some(number), None) => {
                    decision.events.push(add(&stream, "toy.v1.Added", format!("{id} {number}")));
                }
                ("also", Some(other), Some(number)) => {
                    let other = StreamId::new(other);
                    streams.get(&other)?;
                    decision.events.push(add(&other, "toy.v1.Added", format!("{id} {number}")));
                }
                ("after", Some(before), Some(other)) if streams.get(&stream)?.seen.contains(before) => {
                    let other = StreamId::new(other);
                    streams.get(&other)?;
                    decision.events.push(add(&other, "toy.v1.Added", format!("{id} 1")));
                }
                ("claim", Some(key), None) => {
                    decision.claims.push(Claim { key: key.into(), value: Bytes::from(id.to_owned()) });
                }
                ("strange", None, None) => {
                    decision.events.push(add(&stream, "toy.v1.Strange", String::new()));
                }
                ("forged", ..) if !self.cured.load(Ordering::SeqCst) => {
                    return Err(Poison::apart("FORGED", "nobody vouches for it").into());
                }
                ("poison", ..) if !self.cured.load(Ordering::SeqCst) => {
                    return Err(Poison::new("UNKNOWN_KIND", "poison").into());
                }
                ("panic", ..) if !self.cured.load(Ordering::SeqCst) => panic!("the handler's own mistake"),
                _ => {}
            }
        }
        Ok(decision)
    }
}

/// A consumer at work.
pub struct Working {
    pub handle: ConsumerHandle,
    pub handler: Arc<Adder>,
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), ConsumerError>>,
}

pub fn subscription(group: &str, member: &str, topic: &Arc<str>) -> Subscription {
    Subscription { group: group.into(), member: member.into(), topics: vec![topic.clone()] }
}

/// Options with short waits.
pub fn options() -> ConsumerOptions {
    ConsumerOptions {
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_millis(20),
        parked_check: Duration::from_millis(20),
        ..ConsumerOptions::default()
    }
}

/// Starts a consumer.
pub fn start(store: &Store, log: &Arc<dyn EventLog>, subscription: Subscription) -> Working {
    start_with(store, log, subscription, Arc::default(), options())
}

pub fn start_with(
    store: &Store,
    log: &Arc<dyn EventLog>,
    subscription: Subscription,
    handler: Arc<Adder>,
    options: ConsumerOptions,
) -> Working {
    let consumer = consumer(store, log, subscription, &handler, options);
    run(consumer, handler)
}

pub fn consumer(
    store: &Store,
    log: &Arc<dyn EventLog>,
    subscription: Subscription,
    handler: &Arc<Adder>,
    options: ConsumerOptions,
) -> BatchConsumer<Adder> {
    let clock = Arc::new(SystemClock);
    BatchConsumer::new(store.clone(), log.clone(), subscription, handler.clone(), clock, options)
}

pub fn run(consumer: BatchConsumer<Adder>, handler: Arc<Adder>) -> Working {
    let (handle, shutdown) = (consumer.handle(), CancellationToken::new());
    let running = TaskTracker::new().spawn(consumer.run(shutdown.clone()));
    Working { handle, handler, shutdown, running }
}

impl Working {
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.ended().await.unwrap();
    }

    pub async fn ended(self) -> Result<(), ConsumerError> {
        within("the consumer's end", self.running).await.unwrap()
    }
}

/// What a stream adds up to now.
pub async fn sum(store: &Store, stream: &str) -> Sum {
    let events = store.load(&StreamId::new(stream)).await.unwrap();
    events.iter().try_fold(Sum::default(), fold).unwrap()
}

/// Waits until a stream has seen so many records.
pub async fn seen(store: &Store, stream: &str, count: usize) -> Sum {
    until("a stream's records", || async {
        let sum = sum(store, stream).await;
        (sum.seen.len() >= count).then_some(sum)
    })
    .await
}

/// The offset row of a topic's partition.
pub async fn offset(store: &Store, group: &str, topic: &str, partition: i32) -> Option<(Arc<str>, i64)> {
    let rows = store.offsets(group).await.unwrap();
    let row = rows.into_iter().find(|row| *row.topic == *topic && row.partition == partition);
    row.map(|row| (row.incarnation, row.next))
}

/// Waits until a partition is handled up to there.
pub async fn reached(store: &Store, group: &str, topic: &str, next: i64) {
    until("the offset", || async {
        let row = offset(store, group, topic, 0).await;
        row.is_some_and(|(_, at)| at >= next).then_some(())
    })
    .await;
}
