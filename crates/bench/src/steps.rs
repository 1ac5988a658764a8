//! What is measured, one after the other.

use std::{env, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::{
    Flags,
    engine::EngineKind,
    floor::shape::Shape,
    layout::{Layout, Processes},
    report::{
        FAN_OUT, FLOOR, FLOOR_300, FULL, Figures, ONE_PROCESS, POISONED, Report, Settings, TWO_REPLICAS,
        WITH_HISTORY,
    },
    run::{self, Plan},
    unit::UNITS,
    workload::Workload,
};

/// Of each topic: as many as a role has replicas at the most. Each costs a request whenever something is
/// produced to it.
const PARTITIONS: usize = 2;
/// Windows and history of a quick run.
const QUICK_SECONDS: u64 = 4;
const QUICK_HISTORY: usize = 5_000;
/// What a warm-up uses up at most.
const WARM_SUBJECTS: usize = 12_000;
const QUICK_WARM_SUBJECTS: usize = 2_000;
/// What the servers take at the same time unless told otherwise.
const DEFAULT_CONCURRENCY: usize = 1_024;
/// Of all records of instructions and acknowledgements.
const POISON_SHARE: f64 = 0.01;
/// The floor's small payload: that of other floors it is compared with.
const SMALL: usize = 300;

/// One thing to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Step {
    /// A scope without gates; with the history, and how much the floor must write.
    FanOut,
    /// A whole account.
    Full,
    /// What the engines allow, with the bytes that `fan_out` had.
    Floor,
    /// `fan_out` with two replicas of each role; production only.
    TwoReplicas,
    /// `fan_out` in one process, one at a time; production only.
    OneProcess,
    /// `fan_out` with one record in a hundred that nobody can read.
    Poisoned,
}

/// Measures all that is asked for.
pub async fn run(flags: &Flags) -> Result<Report> {
    std::fs::create_dir_all(&flags.directory).with_context(|| flags.directory.display().to_string())?;
    let settings = settings(flags);
    let mut report = Report::new(flags.engine, settings.clone())?;
    let several = flags.engine == EngineKind::Production;
    let steps = [
        (Step::FanOut, true),
        (Step::Full, true),
        (Step::TwoReplicas, several && settings.processes == Processes::Roles),
        (Step::OneProcess, several && settings.processes == Processes::Roles),
        (Step::Poisoned, true),
        (Step::Floor, true),
    ];
    let mut shape = None;
    for (step, sensible) in steps {
        if sensible && (flags.only.is_empty() || flags.only.contains(&step)) {
            measure(step, flags, &settings, &mut report, &mut shape).await?;
        }
    }
    Ok(report)
}

fn settings(flags: &Flags) -> Settings {
    let default = match flags.engine {
        EngineKind::Embedded => Processes::One,
        EngineKind::Production => Processes::Roles,
    };
    Settings {
        seconds: if flags.quick { QUICK_SECONDS } else { flags.seconds },
        in_flight: flags.in_flight.into(),
        full_in_flight: flags.full_in_flight.into(),
        processes: flags.processes.unwrap_or(default),
        settings: flags.set.clone(),
        history: if flags.quick { flags.history.min(QUICK_HISTORY) } else { flags.history },
    }
}

async fn measure(
    step: Step,
    flags: &Flags,
    settings: &Settings,
    report: &mut Report,
    shape: &mut Option<Shape>,
) -> Result<()> {
    let window = Duration::from_secs(settings.seconds);
    // Requests and streams beyond the defaults' limits are refused: so many are in flight here.
    let most = (settings.in_flight.max(settings.full_in_flight) * 2).max(DEFAULT_CONCURRENCY);
    let mut given = vec![
        "batched_signatures=true".to_owned(),
        format!("limits.concurrency_max={most}"),
        format!("limits.streams_max={most}"),
        format!("topics.partitions={PARTITIONS}"),
    ];
    given.extend(settings.settings.iter().cloned());
    let saturation = Plan {
        engine: flags.engine,
        layout: Layout { processes: settings.processes, replicas: 1 },
        workload: Workload::FanOut,
        window,
        in_flight: settings.in_flight,
        warm_subjects: if flags.quick { QUICK_WARM_SUBJECTS } else { WARM_SUBJECTS },
        directory: &flags.directory,
        settings: &given,
        idle: false,
        saturated: true,
        loaded: false,
        poison_per_s: 0,
        history: 0,
        sizes: false,
    };
    let whole = Plan { idle: true, loaded: true, ..saturation };
    match step {
        Step::FanOut => {
            let outcome = run::run(&Plan { history: settings.history, sizes: true, ..whole }).await?;
            report.add(FAN_OUT, outcome.figures);
            if let Some(figures) = outcome.with_history {
                report.add(WITH_HISTORY, figures);
            }
            *shape = outcome.shape;
        }
        Step::Full => {
            let plan = Plan { workload: Workload::Full, in_flight: settings.full_in_flight, ..whole };
            report.add(FULL, run::run(&plan).await?.figures);
        }
        Step::TwoReplicas => {
            let layout = Layout { processes: settings.processes, replicas: 2 };
            report.add(TWO_REPLICAS, run::run(&Plan { layout, ..saturation }).await?.figures);
        }
        Step::OneProcess => {
            let plan = Plan { layout: Layout::one(), idle: true, saturated: false, ..saturation };
            report.add(ONE_PROCESS, run::run(&plan).await?.figures);
        }
        Step::Poisoned => {
            let records = 2.0 * UNITS as f64 * report.completed_per_s(FAN_OUT).unwrap_or(1_000.0);
            let poison_per_s = (records * POISON_SHARE).max(1.0) as u32;
            report.add(POISONED, run::run(&Plan { poison_per_s, ..saturation }).await?.figures);
        }
        Step::Floor => {
            report.add(FLOOR_300, floor(flags, settings, &Shape::uniform(SMALL)).await?);
            if let Some(shape) = shape {
                report.set_shape(shape.clone());
                report.add(FLOOR, floor(flags, settings, shape).await?);
            }
        }
    }
    Ok(())
}

/// The floor in a process of its own, so that its memory and CPU are its own.
async fn floor(flags: &Flags, settings: &Settings, shape: &Shape) -> Result<Figures> {
    eprintln!("floor on {}", flags.engine.name());
    let mut command = Command::new(env::current_exe()?);
    command.args(["floor", "--engine", flags.engine.name(), "--seconds", &settings.seconds.to_string()]);
    command.arg("--shape").arg(serde_json::to_string(shape)?).arg("--directory").arg(&flags.directory);
    command.stdout(Stdio::piped()).kill_on_drop(true);
    let output = command.spawn().context("the floor cannot be started")?.wait_with_output().await?;
    ensure!(output.status.success(), "the floor failed: {}", output.status);
    serde_json::from_slice(&output.stdout).context("the floor said something else than its figures")
}
