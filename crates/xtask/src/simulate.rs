//! `cargo xtask simulate`: all services in one process, and everything that may go wrong, by seeds.

use std::process::Command;

use anyhow::Result;
use clap::Args;
use engines::process::run as run_process;

use crate::workspace::{cargo, target};

#[derive(Args)]
pub struct Flags {
    /// How many seeds.
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// A bug that is put in, to see that it is found.
    #[arg(long)]
    plant: Option<String>,
    /// Tells the history of the last seed even if nothing is found.
    #[arg(long)]
    history: bool,
}

pub fn run(flags: &Flags) -> Result<()> {
    run_process(cargo()?.args(["build", "--locked", "--package", "simulation"]))?;
    let mut simulation = Command::new(target()?.join("debug/simulation"));
    simulation.args(["--seeds", &flags.seeds.to_string(), "--from", &flags.from.to_string()]);
    simulation.args(flags.plant.iter().flat_map(|bug| ["--plant", bug]));
    simulation.args(flags.history.then_some("--history"));
    run_process(&mut simulation)
}
