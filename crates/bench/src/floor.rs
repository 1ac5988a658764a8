//! The floor: a program without rules, signatures or an API that only writes the rows and moves the
//! messages of `fan_out` through the same engines, batched as well as can be, each stage waiting for
//! its commit. What the product completes as a share of it says what its own layers cost.
//!
//! [`shape`] says how many bytes; [`pipeline`] runs on PostgreSQL ([`postgres`]) and Kafka
//! ([`kafka`]), [`sqlite`] on one file.

mod kafka;
mod pipeline;
mod postgres;
mod pulse;
pub mod shape;
mod sqlite;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use anyhow::{Result, ensure};
use clap::Args;

use crate::{
    engine::{self, EngineKind},
    load::Measured,
    procfs::Group,
    report::{Cpu, Figures},
};
use shape::Shape;

/// Of the rate at saturation.
const LOADED_SHARE: f64 = 0.7;
const WARM: Duration = Duration::from_secs(3);
const IDLE: Duration = Duration::from_secs(4);

#[derive(Args)]
pub struct Flags {
    /// What is written to.
    #[arg(long, value_enum, default_value = "embedded")]
    engine: EngineKind,
    /// How long saturation is measured; the open loop takes half of it.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(2..=600))]
    seconds: u64,
    /// How many are in flight at saturation. On SQLite they all stand in one batch.
    #[arg(long)]
    in_flight: Option<usize>,
    /// The bytes of rows and messages, as JSON. Without it: 14 rows and 13 messages of 300 bytes.
    #[arg(long)]
    shape: Option<String>,
    /// Where files are put while it runs.
    #[arg(long, default_value = "target/bench")]
    directory: PathBuf,
}

/// Measures and prints the figures as JSON.
pub fn main(flags: &Flags) -> Result<()> {
    let shape = match &flags.shape {
        Some(json) => serde_json::from_str(json)?,
        None => Shape::uniform(300),
    };
    let plan = Plan { shape, window: Duration::from_secs(flags.seconds), in_flight: flags.in_flight };
    let figures = match flags.engine {
        EngineKind::Embedded => sqlite::run(&plan, &flags.directory)?,
        EngineKind::Production => pipeline::run(&plan, &engine::addresses()?)?,
    };
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

/// What is to be measured.
struct Plan {
    shape: Shape,
    window: Duration,
    in_flight: Option<usize>,
}

/// What is to be done, for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Load {
    /// So many at the same time; each that completes is followed by the next.
    Closed(usize),
    /// So many a second.
    Open(f64),
}

/// The processes whose CPU counts, with what they had used at the window's two ends.
struct Meter {
    processes: Vec<(&'static str, Group)>,
    begun: Vec<Duration>,
}

impl Meter {
    fn begin(engines: Vec<(&'static str, Group)>) -> Self {
        let processes: Vec<_> = [("floor", Group::own())].into_iter().chain(engines).collect();
        let begun = processes.iter().map(|(_, group)| group.cpu()).collect();
        Self { processes, begun }
    }

    /// Milliseconds of CPU per completed, by process.
    fn end(&self, completed: u64) -> Cpu {
        let spent = self.processes.iter().zip(&self.begun);
        spent
            .map(|((name, group), begun)| {
                let used = group.cpu().saturating_sub(*begun);
                ((*name).to_owned(), used.as_secs_f64() * 1e3 / completed.max(1) as f64)
            })
            .collect()
    }
}

/// The three phases on any engine: `phase` puts a load on for a time, after letting what was in flight
/// end, and gives what completed in that time.
fn measure(
    plan: &Plan,
    in_flight: usize,
    engines: impl Fn() -> Vec<(&'static str, Group)>,
    mut phase: impl FnMut(Load, Duration) -> Result<Measured>,
) -> Result<Figures> {
    phase(Load::Closed(in_flight), WARM)?;
    let meter = Meter::begin(engines());
    let saturated = phase(Load::Closed(in_flight), plan.window)?;
    let cpu = meter.end(saturated.completed);
    let completed_per_s = saturated.completed as f64 / plan.window.as_secs_f64();
    let idle = phase(Load::Closed(1), IDLE)?;
    let loaded = phase(Load::Open(completed_per_s * LOADED_SHARE), plan.window / 2)?;
    for (name, measured) in [("saturation", &saturated), ("one at a time", &idle), ("open loop", &loaded)] {
        ensure!(measured.completed > 0, "nothing completed: {name}");
    }
    let mut figures = Figures::default();
    figures.set_idle(&idle);
    figures.set_saturated(completed_per_s, &saturated, cpu);
    figures.set_loaded(&loaded);
    figures.set_memory(Group::own().peak_rss()?, &BTreeMap::new());
    Ok(figures)
}
