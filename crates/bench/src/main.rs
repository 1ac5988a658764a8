//! Measures the product through its public API: how many cancellations it completes, how fast, and at
//! what cost.
//!
//! The product runs in a process of its own (this program again, as `bench server`), so that its CPU
//! and memory are told from those of the load. In reading order: [`steps`] says what is measured,
//! [`run`] is one measurement from empty stores to figures, [`load`] makes the load, [`workload`] is one cancellation, [`report`] says
//! how it went.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line talks to its terminal")]

mod child;
mod client;
mod engine;
mod floor;
mod layout;
mod load;
mod procfs;
mod report;
mod run;
mod server;
mod sizes;
mod steps;
mod unit;
mod workload;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};

use engine::EngineKind;
use layout::Processes;
use report::Report;
use steps::Step;

/// As in the program that is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(name = "bench", about = "Measures the product through its public API")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Subcommand)]
enum Command {
    /// The product, until standard input ends. The bench starts it by itself.
    #[command(hide = true)]
    Server(server::Flags),
    /// Measures what the engines allow a program without rules.
    Floor(floor::Flags),
}

#[derive(Args)]
struct Flags {
    /// What the product stands on.
    #[arg(long, value_enum, default_value = "embedded")]
    engine: EngineKind,
    /// Prints the JSON object only.
    #[arg(long)]
    json: bool,
    /// How long saturation is measured; the open loop takes half of it.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(2..=600))]
    seconds: u64,
    /// How many cancellations are in flight at saturation.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u16).range(1..=16_000))]
    in_flight: u16,
    /// How many of `full` are in flight at saturation.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=16_000))]
    full_in_flight: u16,
    /// How many processes: one for each role in production, one on the embedded engines.
    #[arg(long, value_enum)]
    processes: Option<Processes>,
    /// How many completed are stored before `fan_out` is measured again; 0 for not at all.
    #[arg(long, default_value_t = 200_000)]
    history: usize,
    /// A setting of the servers that differs from the defaults, as `key=value`.
    #[arg(long)]
    set: Vec<String>,
    /// Shorter windows and a short history.
    #[arg(long)]
    quick: bool,
    /// Measures this only.
    #[arg(long, value_enum)]
    only: Vec<Step>,
    /// Where stores are put while it runs.
    #[arg(long, default_value = "target/bench")]
    directory: PathBuf,
    /// The document that the figures are written into.
    #[arg(long)]
    document: Option<PathBuf>,
    /// What the document says was measured.
    #[arg(long, default_value = "unknown")]
    commit: String,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Some(Command::Server(flags)) => server::main(flags),
        Some(Command::Floor(flags)) => floor::main(&flags),
        None => measure(&cli.flags),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            error.chain().skip(1).for_each(|cause| eprintln!("  because: {cause}"));
            ExitCode::FAILURE
        }
    }
}

/// One thread is enough for the load, and leaves the others to what is measured.
fn measure(flags: &Flags) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(steps::run(flags))?;
    if !flags.json {
        println!("{}", report.table());
    }
    if let Some(path) = &flags.document {
        write(path, &report, &flags.commit).with_context(|| path.display().to_string())?;
    }
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

fn write(path: &Path, report: &Report, commit: &str) -> Result<()> {
    let text = std::fs::read_to_string(path)?;
    std::fs::write(path, report.written_into(&text, commit)?)?;
    Ok(())
}
