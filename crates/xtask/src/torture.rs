//! `cargo xtask torture`: builds the product with optimisation and torments it, on engines of its own.

use std::process::Command;

use anyhow::Result;
use clap::Args;
use engines::process::run as run_process;

use crate::workspace::{cargo, target};

#[derive(Args)]
pub struct Flags {
    /// For how long faults happen.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// What decides the schedule; a fresh one when none is given.
    #[arg(long)]
    seed: Option<u64>,
    /// What else is told, such as `--rate 200` or `--brokers 1`.
    #[arg(last = true)]
    more: Vec<String>,
}

pub fn run(flags: &Flags) -> Result<()> {
    let packages = ["--package", "exeunt", "--package", "torture"];
    run_process(cargo()?.args(["build", "--release", "--locked"]).args(packages))?;
    let release = target()?.join("release");
    let mut torture = Command::new(release.join("torture"));
    torture.args(["--minutes", &flags.minutes.to_string()]);
    torture.args(flags.seed.iter().flat_map(|seed| ["--seed".to_owned(), seed.to_string()]));
    run_process(torture.args(&flags.more).env("EXEUNT_TEST_BINARY", release.join("exeunt")))
}
