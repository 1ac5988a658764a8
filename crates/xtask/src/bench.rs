//! `cargo xtask bench`: builds the bench with optimisation and runs it, on real engines too.

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};

use crate::services::{self, Addresses, KAFKA_BROKERS, POSTGRES_URL};
use crate::workspace::{cargo, root, target};
use engines::process::{output, run as run_process};

/// What figures are written into; relative to the root.
const DOCUMENT: &str = "docs/benchmarks.md";

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// SQLite and the embedded log.
    Embedded,
    /// PostgreSQL and Apache Kafka, brought up when they are not there.
    Production,
}

#[derive(Args)]
pub struct Flags {
    /// What the product stands on.
    #[arg(long, value_enum, default_value = "embedded")]
    engine: Engine,
    /// Prints one JSON object only.
    #[arg(long)]
    json: bool,
    /// How long saturation is measured.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Writes the figures into docs/benchmarks.md.
    #[arg(long)]
    write: bool,
    /// Shorter windows and a short history: figures to look at, not to keep.
    #[arg(long, conflicts_with = "write")]
    quick: bool,
    /// What else the bench itself is told, such as `--only fan_out` or `--in-flight 64`.
    #[arg(last = true)]
    more: Vec<String>,
}

pub fn run(flags: &Flags) -> Result<()> {
    run_process(cargo()?.args(["build", "--release", "--package", "bench", "--locked"]))?;
    if flags.engine == Engine::Embedded {
        return measure(flags, &Addresses::default());
    }
    let (addresses, started) = services::up()?;
    let outcome = measure(flags, &addresses);
    let ended = if started { services::down() } else { Ok(()) };
    outcome.and(ended)
}

fn measure(flags: &Flags, addresses: &Addresses) -> Result<()> {
    let mut bench = std::process::Command::new(target()?.join("release/bench"));
    let engine = match flags.engine {
        Engine::Embedded => "embedded",
        Engine::Production => "production",
    };
    bench.args(["--engine", engine, "--seconds", &flags.seconds.to_string()]);
    bench.arg("--directory").arg(target()?.join("bench"));
    for (flag, given) in [("--json", flags.json), ("--quick", flags.quick)] {
        if given {
            bench.arg(flag);
        }
    }
    if flags.write {
        bench.arg("--document").arg(root()?.join(DOCUMENT)).args(["--commit", &commit()?]);
    }
    for (variable, address) in
        [(POSTGRES_URL, &addresses.postgres_url), (KAFKA_BROKERS, &addresses.kafka_brokers)]
    {
        bench.envs(address.as_ref().map(|address| (variable, address)));
    }
    run_process(bench.args(&flags.more))
}

/// The commit that is checked out; figures of anything else would say nothing later.
fn commit() -> Result<String> {
    let git =
        |arguments: &[&str]| output(std::process::Command::new("git").args(arguments).current_dir(root()?));
    let changed = String::from_utf8(git(&["status", "--porcelain", "--", "*.rs", "Cargo.lock"])?)?;
    let commit = String::from_utf8(git(&["rev-parse", "--short", "HEAD"])?)?;
    let commit = commit.trim();
    ensure!(!commit.is_empty(), "git names no commit");
    let changed = if changed.is_empty() { "" } else { " with changes" };
    Ok(format!("{commit}{changed}"))
}
