//! One measurement: fresh processes on empty stores, warmed up, measured, and removed.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use tokio::time::{Instant, interval, timeout};

use crate::{
    child::Servers,
    client::Client,
    engine::{Engine, EngineKind},
    floor::shape::Shape,
    layout::{Layout, Processes},
    load::{Field, Measured},
    procfs::Group,
    report::{Cpu, Figures},
    sizes,
    workload::Workload,
};

/// The server lets each connection have as many streams as all together.
const CONNECTIONS: usize = 4;
/// How many subjects are registered at a time.
const REGISTERING: usize = 256;
const WARM_RAMP: Duration = Duration::from_millis(500);
const WARM_WINDOW: Duration = Duration::from_secs(3);
const RAMP_MIN: Duration = Duration::from_secs(2);
/// How often all that is in flight completes before the window begins: the first of them began together.
const RAMP_ROUNDS: f64 = 3.0;
const IDLE_COUNT_MAX: u32 = 500;
const IDLE_WITHIN: Duration = Duration::from_secs(10);
/// Of the rate at saturation.
const LOADED_SHARE: f64 = 0.7;
/// What is registered beyond what the warm-up's rate needs, for a server that gets faster.
const SPARE: f64 = 1.5;
const SUBJECTS_MAX: usize = 200_000;
/// How often the servers are looked at until they rest.
const REST_LOOK: Duration = Duration::from_millis(500);
/// The share of one core that servers at rest use at most.
const REST_SHARE: f64 = 0.3;
const RESTS_WITHIN: Duration = Duration::from_secs(180);
/// Cancellations of subjects registered last, as many as topics have partitions.
const PROBES: usize = 8;
/// How long the processes may take until a first cancellation completes.
const READY_WITHIN: Duration = Duration::from_secs(120);
const READY_LOOK: Duration = Duration::from_millis(250);
/// How long storing the history may take.
const HISTORY_WITHIN: Duration = Duration::from_secs(1_800);

/// What to measure, and how long.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
    pub engine: EngineKind,
    pub layout: Layout,
    pub workload: Workload,
    pub window: Duration,
    pub in_flight: usize,
    /// Of the warm-up.
    pub warm_subjects: usize,
    pub directory: &'a Path,
    /// Settings of the servers that differ from the defaults, as `key=value`.
    pub settings: &'a [String],
    pub idle: bool,
    pub saturated: bool,
    pub loaded: bool,
    /// Records that nobody can read, put on the log each second.
    pub poison_per_s: u32,
    /// How many completed are stored before saturation is measured a second time; 0 for never.
    pub history: usize,
    /// Whether the bytes of rows and messages are wanted.
    pub sizes: bool,
}

/// What was measured.
pub struct Outcome {
    pub figures: Figures,
    pub with_history: Option<Figures>,
    pub shape: Option<Shape>,
}

/// Measures, and removes everything again.
pub async fn run(plan: &Plan<'_>) -> Result<Outcome> {
    let engine = Engine::new(plan.engine, plan.directory)?;
    let outcome = with_servers(plan, &engine).await;
    let removed = engine.remove().await;
    let outcome = outcome.with_context(|| format!("{} cannot be measured", plan.workload.name()))?;
    removed.map(|()| outcome)
}

async fn with_servers(plan: &Plan<'_>, engine: &Engine) -> Result<Outcome> {
    say(plan, "starting");
    let mut parts = plan.layout.parts(engine, plan.workload.with_units());
    for part in &mut parts {
        part.arguments.extend(plan.settings.iter().map(|setting| format!("--set={setting}")));
    }
    let servers = Servers::start(parts).await?;
    let addresses = servers.addresses();
    let mut clients = Vec::with_capacity(CONNECTIONS);
    for (cancellation, identity) in addresses.iter().cycle().take(CONNECTIONS) {
        clients.push(Client::connect(cancellation, identity, &engine.messages()).await?);
    }
    let bench = Bench { plan, engine, servers: &servers, field: Field::new(clients, plan.workload) };
    let (figures, with_history) = bench.measure().await?;
    drop(bench);
    servers.stop().await?;
    let process = if plan.layout.processes == Processes::One { "server-0" } else { "cancellation-0" };
    let shape = if plan.sizes { Some(sizes::measure(engine, process).await?) } else { None };
    Ok(Outcome { figures, with_history, shape })
}

struct Bench<'a> {
    plan: &'a Plan<'a>,
    engine: &'a Engine,
    servers: &'a Servers,
    field: Field,
}

impl Bench<'_> {
    async fn measure(&self) -> Result<(Figures, Option<Figures>)> {
        let plan = self.plan;
        self.ready().await?;
        self.say("warming up");
        self.stock(plan.warm_subjects).await?;
        let (warm, lasted) = self.field.closed_loop(plan.in_flight, WARM_RAMP, WARM_WINDOW, || ()).await?;
        let mut per_s = rate(&warm, lasted);
        let mut completed = warm.completed;

        let mut figures = Figures::default();
        if plan.idle {
            self.say("one at a time");
            self.stock(IDLE_COUNT_MAX as usize).await?;
            let idle = self.field.one_at_a_time(IDLE_COUNT_MAX, IDLE_WITHIN).await?;
            self.prove(&idle).await?;
            figures.set_idle(&idle);
        }
        if plan.saturated {
            let (measured, lasted) = self.saturate(per_s, plan.window, &mut figures).await?;
            per_s = rate(&measured, lasted);
            completed += measured.completed;
        }
        if plan.loaded {
            let (loaded_per_s, window) = (per_s * LOADED_SHARE, plan.window / 2);
            self.stock(needed(loaded_per_s, window)).await?;
            self.say("open loop");
            let loaded = self.field.open_loop(loaded_per_s, window).await?;
            self.prove(&loaded).await?;
            figures.set_loaded(&loaded);
            completed += loaded.completed;
        }
        if plan.history == 0 {
            return Ok((figures, None));
        }
        self.say("storing the history");
        // What was in flight when windows ended is stored too, and not counted here.
        self.stock(plan.history.saturating_sub(usize::try_from(completed)?)).await?;
        self.field.closed_loop(plan.in_flight, Duration::ZERO, HISTORY_WITHIN, || ()).await?;
        let mut with_history = Figures::default();
        self.saturate(per_s, plan.window, &mut with_history).await?;
        Ok((figures, Some(with_history)))
    }

    /// Waits until a cancellation completes: processes learn one another's keys after they start.
    async fn ready(&self) -> Result<()> {
        let ready = async {
            let mut looks = interval(READY_LOOK);
            loop {
                looks.tick().await;
                let mut client = self.field.client(0);
                let played = async {
                    let subject = client.register().await?;
                    self.plan.workload.play(&mut client, &subject).await
                };
                match played.await {
                    Ok(_) => return,
                    Err(error) => eprintln!("not ready yet: {error:#}"),
                }
            }
        };
        timeout(READY_WITHIN, ready).await.context("no cancellation completes")
    }

    async fn saturate(
        &self,
        expected_per_s: f64,
        window: Duration,
        figures: &mut Figures,
    ) -> Result<(Measured, Duration)> {
        let in_flight = self.plan.in_flight;
        let ramp = RAMP_MIN.max(Duration::from_secs_f64(RAMP_ROUNDS * in_flight as f64 / expected_per_s));
        self.stock(needed(expected_per_s, window + ramp) + in_flight).await?;
        self.say("saturation");
        let own = [("driver", Group::own())];
        let processes: Vec<_> =
            self.servers.processes().into_iter().chain(own).chain(self.engine.processes()).collect();
        let mut used: Vec<Vec<Duration>> = Vec::new();
        let mark = || used.push(processes.iter().map(|(_, group)| group.cpu()).collect());
        self.servers.poison(self.plan.poison_per_s).await?;
        let (full, lasted) = self.field.closed_loop(in_flight, ramp, window, mark).await?;
        self.servers.poison(0).await?;
        self.prove(&full).await?;
        ensure!(lasted >= window / 2, "subjects ran out after {lasted:?} of {window:?}");
        let mut cpu = Cpu::new();
        for (index, (name, _)) in processes.iter().enumerate() {
            let spent = used[1][index].saturating_sub(used[0][index]).as_secs_f64() * 1e3;
            *cpu.entry((*name).to_owned()).or_default() += spent / full.completed.max(1) as f64;
        }
        figures.set_saturated(rate(&full, lasted), &full, cpu);
        figures.set_memory(self.servers.peak_rss()?, &self.servers.peak_rss_by_process()?);
        Ok((full, lasted))
    }

    /// Makes sure that the receipt of one of those that completed proves it.
    async fn prove(&self, measured: &Measured) -> Result<()> {
        let sample = measured.sample.as_ref().context("nothing completed")?;
        self.field.client(0).prove(sample).await.context("a receipt proves nothing")
    }

    /// Registers subjects, and waits until every service has taken them in: what they still have to
    /// do must not be measured as what comes after.
    async fn stock(&self, wanted: usize) -> Result<()> {
        self.say("registering subjects");
        self.field.stock(wanted, REGISTERING).await?;
        let rests = async {
            let mut looks = interval(REST_LOOK);
            let mut before = None;
            loop {
                looks.tick().await;
                let now = (Instant::now(), self.servers.cpu());
                if let Some((at, used)) = before.replace(now)
                    && (now.1.saturating_sub(used)).as_secs_f64() < REST_SHARE * (now.0 - at).as_secs_f64()
                {
                    return;
                }
            }
        };
        timeout(RESTS_WITHIN, rests).await.context("the servers do not come to rest")?;
        // On a busy machine they may be starved rather than at rest: these come behind what is left.
        for _ in 0..PROBES {
            let mut client = self.field.client(0);
            let subject = client.register().await?;
            self.plan.workload.play(&mut client, &subject).await?;
        }
        Ok(())
    }

    fn say(&self, what: &str) {
        say(self.plan, what);
    }
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
