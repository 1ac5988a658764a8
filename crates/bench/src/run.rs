//! One measurement: a fresh server on empty stores, warmed up, measured, and removed.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use tokio::time::{Instant, interval, timeout};

use crate::{
    child::Server,
    client::Client,
    engine::{Engine, EngineKind},
    load::{Field, Measured},
    procfs::Group,
    report::{Cpu, Figures},
    workload::Workload,
};

/// Enough that no connection is the bottleneck, few enough to cost nothing.
const CONNECTIONS: usize = 8;
/// How many subjects are registered at a time.
const REGISTERING: usize = 256;
const WARM_SUBJECTS: usize = 6_000;
const WARM_RAMP: Duration = Duration::from_secs(2);
const WARM_WINDOW: Duration = Duration::from_secs(3);
const RAMP: Duration = Duration::from_secs(2);
const IDLE_COUNT_MAX: u32 = 500;
const IDLE_WITHIN: Duration = Duration::from_secs(10);
/// Of the rate at saturation.
const LOADED_SHARE: f64 = 0.7;
/// What is registered beyond what the warm-up's rate needs, for a server that gets faster.
const SPARE: f64 = 1.4;
const SUBJECTS_MAX: usize = 200_000;
/// How often the server is looked at until it rests.
const REST_LOOK: Duration = Duration::from_millis(500);
/// The share of one core that a server at rest uses at most.
const REST_SHARE: f64 = 0.2;
const RESTS_WITHIN: Duration = Duration::from_secs(180);

/// What to measure, and how long.
pub struct Plan<'a> {
    pub engine: EngineKind,
    pub workload: Workload,
    pub window: Duration,
    pub in_flight: usize,
    pub directory: &'a Path,
}

/// Measures, and removes everything again.
pub async fn run(plan: &Plan<'_>) -> Result<Figures> {
    let engine = Engine::new(plan.engine, plan.directory)?;
    let figures = with_server(plan, &engine).await;
    let removed = engine.remove().await;
    let figures = figures.with_context(|| format!("{} cannot be measured", plan.workload.name()))?;
    removed.map(|()| figures)
}

async fn with_server(plan: &Plan<'_>, engine: &Engine) -> Result<Figures> {
    say(plan, "starting");
    let server = Server::start(&engine.arguments(plan.workload.with_units())).await?;
    let mut clients = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        clients.push(Client::connect(&server.url, &engine.messages()).await?);
    }
    let figures = measure(plan, engine, &server, &Field::new(clients, plan.workload)).await?;
    server.stop().await?;
    Ok(figures)
}

async fn measure(plan: &Plan<'_>, engine: &Engine, server: &Server, field: &Field) -> Result<Figures> {
    say(plan, "warming up");
    stock(field, server, WARM_SUBJECTS).await?;
    let (warm, lasted) = field.closed_loop(plan.in_flight, WARM_RAMP, WARM_WINDOW, || ()).await?;
    let warm_per_s = rate(&warm, lasted);

    say(plan, "one at a time");
    stock(field, server, IDLE_COUNT_MAX as usize).await?;
    let idle = field.one_at_a_time(IDLE_COUNT_MAX, IDLE_WITHIN).await?;

    say(plan, "registering subjects");
    stock(field, server, needed(warm_per_s, plan.window + RAMP) + plan.in_flight).await?;
    say(plan, "saturation");
    let processes = [("server", server.process), ("driver", Group::own())].into_iter();
    let processes: Vec<_> = processes.chain(engine.processes()).collect();
    let mut used: Vec<Vec<Duration>> = Vec::new();
    let mark = || used.push(processes.iter().map(|(_, group)| group.cpu()).collect());
    let (full, lasted) = field.closed_loop(plan.in_flight, RAMP, plan.window, mark).await?;
    let completed_per_s = rate(&full, lasted);
    let peak_rss = server.process.peak_rss()?;

    say(plan, "registering subjects");
    let (loaded_per_s, loaded_window) = (completed_per_s * LOADED_SHARE, plan.window / 2);
    stock(field, server, needed(loaded_per_s, loaded_window)).await?;
    say(plan, "open loop");
    let loaded = field.open_loop(loaded_per_s, loaded_window).await?;
    for measured in [&idle, &full, &loaded] {
        let sample = measured.sample.as_ref().context("nothing completed")?;
        field.client(0).prove(sample).await.context("a receipt proves nothing")?;
    }
    let cpu = |index: usize| {
        let spent = used[1][index].saturating_sub(used[0][index]);
        spent.as_secs_f64() * 1e3 / full.completed.max(1) as f64
    };
    let names = processes.iter().map(|(name, _)| (*name).to_owned());
    Ok(Figures::new(
        completed_per_s,
        &idle,
        &full,
        &loaded,
        names.zip((0..).map(cpu)).collect::<Cpu>(),
        peak_rss,
    ))
}

/// Registers subjects, and waits until every service has taken them in: what they still have to do
/// must not be measured as what comes after.
async fn stock(field: &Field, server: &Server, wanted: usize) -> Result<()> {
    field.stock(wanted, REGISTERING).await?;
    let rests = async {
        let mut looks = interval(REST_LOOK);
        let mut before = None;
        loop {
            looks.tick().await;
            let now = (Instant::now(), server.process.cpu());
            if let Some((at, used)) = before.replace(now)
                && (now.1 - used).as_secs_f64() < REST_SHARE * (now.0 - at).as_secs_f64()
            {
                return;
            }
        }
    };
    timeout(RESTS_WITHIN, rests).await.context("the server does not come to rest")
}

fn rate(measured: &Measured, lasted: Duration) -> f64 {
    measured.completed as f64 / lasted.as_secs_f64()
}

/// How many subjects a rate uses up in that time.
fn needed(per_s: f64, window: Duration) -> usize {
    ((per_s * window.as_secs_f64() * SPARE) as usize).min(SUBJECTS_MAX)
}

fn say(plan: &Plan<'_>, what: &str) {
    eprintln!("{} on {}: {what}", plan.workload.name(), plan.engine.name());
}
