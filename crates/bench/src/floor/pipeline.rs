//! The floor on PostgreSQL and Kafka: the coordinator's intake, six participants, and two readers of
//! acknowledgements. Each stage produces only what it has committed.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use tokio::{
    runtime::Runtime,
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use types::fresh_uuid;

use super::{
    Load, Plan,
    kafka::{self, ACKNOWLEDGEMENTS, Batch, FACTS, Failure, Message, Sender, Topics},
    measure,
    postgres::{Appender, COORDINATOR, Database, Rows},
    pulse::{Id, Pulse},
    shape::{Pool, Shape},
};
use crate::{
    engine::{Addresses, processes},
    load::Measured,
    report::Figures,
    unit::UNITS,
};

/// In flight at saturation.
const IN_FLIGHT: usize = 8_000;
/// Records in one transaction.
const BATCH: usize = 1_000;
const ACKNOWLEDGEMENT_BATCH: usize = 2 * BATCH;
/// Readers of acknowledgements, each with its share of the partitions.
const READERS: i32 = 2;
/// How often the intake looks at what is due.
const TICK: Duration = Duration::from_millis(1);
const WORKERS: usize = 2;
/// How long what is in flight may take to end, the first fetch of each reader included.
const DRAINS_WITHIN: Duration = Duration::from_secs(60);

pub fn run(plan: &Plan, addresses: &Addresses) -> Result<Figures> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    let name = format!("bench_{}", &fresh_uuid().simple().to_string()[20..]);
    let database = runtime.block_on(Database::create(&addresses.postgres, &format!("{name}_floor")))?;
    let topics = runtime.block_on(Topics::create(&addresses.brokers, &name));
    let figures = topics.as_ref().map_err(|error| anyhow::anyhow!("{error:#}")).and_then(|topics| {
        let mut floor = runtime.block_on(Floor::start(&plan.shape, &database, topics))?;
        let in_flight = plan.in_flight.unwrap_or(IN_FLIGHT);
        measure(plan, in_flight, || processes(addresses), |load, lasts| floor.phase(&runtime, load, lasts))
    });
    let dropped = runtime.block_on(database.drop());
    let deleted = topics.map(|topics| runtime.block_on(topics.delete()));
    // Readers are blocked in their threads, and end when the process does.
    runtime.shutdown_background();
    let figures = figures?;
    dropped.and(deleted?).map(|()| figures)
}

/// What all stages share.
struct Shared {
    shape: Shape,
    pool: Pool,
    pulse: Pulse,
}

struct Floor {
    shared: Arc<Shared>,
    stages: JoinSet<Result<()>>,
    failure: Failure,
    load: Load,
}

impl Floor {
    async fn start(shape: &Shape, database: &Database, topics: &Topics) -> Result<Self> {
        let shared = Arc::new(Shared { shape: shape.clone(), pool: Pool::new(), pulse: Pulse::new() });
        let failure = Failure::default();
        let (coordinator, participants) = (Sender::new(topics, &failure)?, Sender::new(topics, &failure)?);
        let mut stages = JoinSet::new();
        let intake = Appender::new(database, COORDINATOR, -1).await?;
        stages.spawn(request(shared.clone(), intake, coordinator.clone()));
        for unit in 0..UNITS {
            let batches = kafka::read(topics, unit, (0, 1), BATCH, &failure)?;
            let rows = Appender::new(database, unit, 0).await?;
            stages.spawn(work(shared.clone(), batches, rows, participants.clone(), unit));
        }
        for reader in 0..READERS {
            let share = (reader, READERS);
            let batches = kafka::read(topics, ACKNOWLEDGEMENTS, share, ACKNOWLEDGEMENT_BATCH, &failure)?;
            let rows = Appender::new(database, COORDINATOR, reader).await?;
            stages.spawn(acknowledge(shared.clone(), batches, rows, coordinator.clone()));
        }
        Ok(Self { shared, stages, failure, load: Load::Closed(0) })
    }

    fn phase(&mut self, runtime: &Runtime, load: Load, lasts: Duration) -> Result<Measured> {
        runtime.block_on(async {
            if self.load != load {
                self.shared.pulse.put(Load::Closed(0));
                timeout(DRAINS_WITHIN, self.drained()).await??;
                self.load = load;
                self.shared.pulse.put(load);
            }
            self.shared.pulse.begin()?;
            let end = Instant::now() + lasts;
            let mut ticks = interval(Duration::from_millis(20));
            while Instant::now() < end {
                ticks.tick().await;
                self.check()?;
            }
            self.shared.pulse.end()
        })
    }

    async fn drained(&mut self) -> Result<()> {
        let mut ticks = interval(TICK);
        while self.shared.pulse.in_flight() > 0 {
            ticks.tick().await;
            self.check()?;
        }
        Ok(())
    }

    fn check(&mut self) -> Result<()> {
        self.failure.check()?;
        match self.stages.try_join_next() {
            Some(ended) => ended?.and_then(|()| bail!("a stage has ended")),
            None => Ok(()),
        }
    }
}

async fn request(shared: Arc<Shared>, rows: Appender, sender: Sender) -> Result<()> {
    let Shared { shape, pool, pulse } = &*shared;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let ids = pulse.take(BATCH);
        if ids.is_empty() {
            ticks.tick().await;
            continue;
        }
        let mut batch = Rows::new();
        for id in &ids {
            for (version, bytes) in (1..).zip(&shape.requested) {
                batch.push(*id, version, pool, *bytes);
            }
        }
        rows.append(batch, &[]).await?;
        let mut messages = facts(&ids, &shape.requested_facts, pool);
        for unit in 0..UNITS {
            let payload = |id: &Id| pool.message(shape.instruction, id.number + unit as u64);
            messages.extend(ids.iter().map(|id| (unit, *id, payload(id))));
        }
        sender.send(messages).await?;
    }
}

fn facts<'p>(ids: &[Id], sizes: &[usize], pool: &'p Pool) -> Vec<Message<'p>> {
    let of = |id: Id| sizes.iter().map(move |bytes| (FACTS, id, pool.message(*bytes, id.number)));
    ids.iter().copied().flat_map(of).collect()
}

async fn work(
    shared: Arc<Shared>,
    mut batches: mpsc::Receiver<Batch>,
    rows: Appender,
    sender: Sender,
    unit: usize,
) -> Result<()> {
    let Shared { shape, pool, .. } = &*shared;
    while let Some(Batch { ids, next }) = batches.recv().await {
        let mut batch = Rows::new();
        for id in &ids {
            for (version, bytes) in (1..).zip(&shape.worked) {
                batch.push(*id, version, pool, *bytes);
            }
        }
        rows.append(batch, &next).await?;
        let payload = |id: &Id| pool.message(shape.acknowledgement, id.number + unit as u64);
        sender.send(ids.iter().map(|id| (ACKNOWLEDGEMENTS, *id, payload(id))).collect()).await?;
    }
    Ok(())
}

async fn acknowledge(
    shared: Arc<Shared>,
    mut batches: mpsc::Receiver<Batch>,
    rows: Appender,
    sender: Sender,
) -> Result<()> {
    let Shared { shape, pool, pulse } = &*shared;
    let first = shape.requested.len();
    let mut answers: HashMap<Id, usize> = HashMap::new();
    while let Some(Batch { ids, next }) = batches.recv().await {
        let (mut batch, mut completed) = (Rows::new(), Vec::new());
        for id in ids {
            let count = answers.entry(id).or_default();
            *count += 1;
            let count = *count;
            batch.push(id, first + count, pool, shape.acknowledged);
            if count == UNITS {
                answers.remove(&id);
                for (version, bytes) in (first + UNITS + 1..).zip(&shape.completed) {
                    batch.push(id, version, pool, *bytes);
                }
                completed.push(id);
            }
        }
        rows.append(batch, &next).await?;
        pulse.complete(&completed);
        sender.send(facts(&completed, &shape.completed_facts, pool)).await?;
    }
    Ok(())
}
