//! How many bytes the rows and messages of one fan-out had, read from what a run left.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use event_store::{Position, Recorded};
use messaging::{CE_TYPE, Delivery, Record, Subscription};
use participant::contract::{ACKNOWLEDGEMENTS, events_topic, instructions_topic};
use tokio::time::timeout;

use crate::{engine::Engine, floor::shape::Shape, unit};

/// How many of the last events are looked through for one that completes.
const LOOK_BACK: u64 = 200;
const RECORDS_MAX: usize = 500;
const READ_WITHIN: Duration = Duration::from_secs(60);

/// Reads one fan-out's rows, and one message of each kind. The product must not run any more;
/// `process` is that whose directory had the embedded log.
pub async fn measure(engine: &Engine, process: &str) -> Result<Shape> {
    let case = last_stream(engine, cancellation::NAME, ".Completed").await?;
    let work = last_stream(engine, "unit-1", ".Answered").await?;
    let told = |events: &[Recorded], kind: &str| events.iter().position(|event| event.kind.ends_with(kind));
    let first = told(&case, ".Acknowledged").context("nobody acknowledged")?;
    let rest = &case[first..];
    let (acknowledged, completed): (Vec<_>, Vec<_>) =
        rest.iter().partition(|event| event.kind.ends_with(".Acknowledged"));
    ensure!(acknowledged.len() == unit::UNITS, "{} acknowledged", acknowledged.len());
    let worked = work.iter().filter(|event| !event.kind.ends_with(".SubjectKnown"));

    let mut log = Messages::read(engine, process).await?;
    let mut one = |kind: &str| log.0.remove(kind).with_context(|| format!("there is no message {kind}"));
    let (instruction, acknowledgement) =
        (one("exeunt.participant.v1.Instruction")?, one("exeunt.participant.v1.SignedAcknowledgement")?);
    Ok(Shape {
        requested: case[..first].iter().map(row).collect(),
        instruction,
        worked: worked.map(row).collect(),
        acknowledgement,
        acknowledged: acknowledged.iter().map(|event| row(event)).sum::<usize>() / unit::UNITS,
        completed: completed.into_iter().map(row).collect(),
        requested_facts: vec![one("exeunt.cancellation.v1.Requested")?],
        completed_facts: vec![one("exeunt.cancellation.v1.Completed")?],
    })
}

/// The last stream of a service's store in which such a thing happened.
async fn last_stream(engine: &Engine, service: &str, kind: &str) -> Result<Vec<Recorded>> {
    let store = engine.store(service).await?;
    let head = store.head().await?;
    let mut tail = store.tail(Position(head.0.saturating_sub(LOOK_BACK)));
    let mut found = None;
    loop {
        let events = tail.next(LOOK_BACK as usize).await?;
        let last = events.iter().rev().find(|event| event.kind.ends_with(kind));
        found = last.map(|event| event.stream.clone()).or(found);
        if events.last().is_none_or(|event| event.position >= head) {
            break;
        }
    }
    let events = store.load(&found.with_context(|| format!("{service} has no {kind}"))?).await?;
    store.close().await;
    Ok(events)
}

/// The bytes of a row: text and payload as they are, eight for each number.
fn row(event: &Recorded) -> usize {
    let metadata = &event.metadata;
    let texts = [&metadata.tenant, &metadata.actor, &metadata.causation, &metadata.correlation];
    let texts = texts.map(|text| text.len()).iter().sum::<usize>() + metadata.traceparent.len();
    let numbers = 8 + 8 + 4 + 8;
    event.stream.as_str().len()
        + event.kind.len()
        + event.id.as_bytes().len()
        + numbers
        + texts
        + event.payload.len()
}

/// The mean bytes of a message of each kind, headers and key included.
struct Messages(BTreeMap<String, usize>);

impl Messages {
    async fn read(engine: &Engine, process: &str) -> Result<Self> {
        let log = engine.log(process).await?;
        let mut sums: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        let first = unit::names().into_iter().next().context("there are no units")?;
        for topic in [instructions_topic(&first), ACKNOWLEDGEMENTS.into(), events_topic(cancellation::NAME)] {
            let subscription = Subscription {
                group: format!("bench-sizes-{topic}").into(),
                member: "bench-sizes".into(),
                topics: vec![topic.as_str().into()],
            };
            let mut reader = log.subscribe(subscription).await?;
            let read = async {
                let mut seen = 0;
                while seen < RECORDS_MAX {
                    match reader.next(RECORDS_MAX).await? {
                        Delivery::Assigned(partitions) => {
                            for it in partitions {
                                reader.start(&it.topic, it.partition, None).await?;
                            }
                        }
                        Delivery::Revoked(_) => {}
                        Delivery::Records(records) => {
                            seen += records.len();
                            for record in &records {
                                let sum = sums.entry(record.header(CE_TYPE).unwrap_or_default().to_owned());
                                let sum = sum.or_default();
                                *sum = (sum.0 + bytes(record), sum.1 + 1);
                            }
                        }
                    }
                }
                anyhow::Ok(())
            };
            timeout(READ_WITHIN, read).await.with_context(|| format!("{topic} has too few records"))??;
        }
        log.close().await;
        Ok(Self(sums.into_iter().map(|(kind, (bytes, count))| (kind, bytes / count)).collect()))
    }
}

fn bytes(record: &Record) -> usize {
    let headers: usize = record.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    record.key.len() + headers + record.payload.len()
}
