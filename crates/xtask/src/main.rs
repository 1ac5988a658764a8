//! `cargo xtask`: the project's own chores. One file per subcommand.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line talks to its terminal")]

mod bench;
mod dependencies;
mod previous;
mod proto;
mod services;
mod simulate;
mod test;
mod torture;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "The chores of this project")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures the product through its public API, optimised.
    Bench(bench::Flags),
    /// Checks licences and duplicates of what this project depends on, offline.
    Dependencies,
    /// Checks the proto files, or releases them.
    #[command(subcommand)]
    Proto(proto::Command),
    /// Brings PostgreSQL and Apache Kafka up on loopback, or down again.
    #[command(subcommand)]
    Services(services::Command),
    /// Runs all services in one process, and everything goes wrong that a seed says.
    Simulate(simulate::Flags),
    /// Runs everything that checks this project, the real engines included.
    Test,
    /// Torments the product with faults of every kind under load, and judges what became of it.
    Torture(torture::Flags),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Bench(flags) => bench::run(&flags),
        Command::Dependencies => dependencies::check(),
        Command::Proto(command) => proto::run(&command),
        Command::Services(command) => services::run(&command),
        Command::Simulate(flags) => simulate::run(&flags),
        Command::Test => test::run(),
        Command::Torture(flags) => torture::run(&flags),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The chain and no backtrace: who reads this wants to know what failed, not where in here.
            eprintln!("error: {error}");
            error.chain().skip(1).for_each(|cause| eprintln!("  because: {cause}"));
            ExitCode::FAILURE
        }
    }
}
