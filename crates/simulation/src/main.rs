//! Runs seeds, and tells the history of the first that finds something.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line talks to its terminal")]

use std::{process::ExitCode, time::Instant};

use anyhow::Result;
use clap::Parser;
use simulation::{Bug, run_seeds};

#[derive(Parser)]
#[command(name = "simulation", about = "All services in one process, and everything that may go wrong")]
struct Flags {
    /// How many seeds.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// A bug that is put in, to see that it is found.
    #[arg(long)]
    plant: Option<Bug>,
    /// Tells the history of the last seed even if nothing is found.
    #[arg(long)]
    history: bool,
}

fn main() -> ExitCode {
    match simulate(&Flags::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether it came out as it should: nothing found or, with a bug in it, that found.
fn simulate(flags: &Flags) -> Result<bool> {
    let begun = Instant::now();
    let outcome = run_seeds(flags.from..flags.from + flags.seeds, flags.plant)?;
    let took = begun.elapsed().as_secs_f64();
    if let Some(report) = &outcome.found {
        print!("{}", report.transcript);
        if let Some(finding) = &report.finding {
            println!("seed {}: {}", report.seed, finding.0);
        }
    } else if flags.history
        && let Some(last) = outcome.last
    {
        print!("{}", simulation::run(last, flags.plant)?.transcript);
    }
    let runs = outcome.runs;
    match (flags.plant, &outcome.found) {
        (None, None) => println!("{runs} seeds in {took:.1} s, nothing found"),
        (None, Some(report)) => println!("found with seed {}, after {runs} seeds", report.seed),
        (Some(bug), None) => println!("{bug} was not found by {runs} seeds"),
        (Some(bug), Some(report)) => println!("{bug} was found by seed {}, after {runs} seeds", report.seed),
    }
    Ok(outcome.found.is_some() == flags.plant.is_some())
}
