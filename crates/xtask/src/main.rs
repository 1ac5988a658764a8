//! `cargo xtask`: the project's own chores. One file per subcommand.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line talks to its terminal")]

mod process;
mod services;
mod workspace;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The chores of this project")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Brings PostgreSQL and Apache Kafka up on loopback, or down again.
    #[command(subcommand)]
    Services(services::Command),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Services(command) => services::run(&command),
    }
}
