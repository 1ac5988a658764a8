//! The command line.

mod appeal;
pub(crate) mod args;
mod attention;
mod ban;
mod bulk;
mod calls;
mod client;
mod closures;
mod conformance;
mod consumers;
mod failure;
mod guardian;
mod hold;
mod identity;
mod item;
mod output;
mod parked;
mod policy;
mod refund;
mod relays;
mod serve;
mod servers;
mod texts;
mod topics;
mod verify;

use std::{io::Write as _, process::ExitCode};

use clap::Parser;

pub use args::Cli;
pub use client::connect;
pub use failure::Failure;
pub use output::{Format, Output};
pub use servers::{Server, Servers};
pub(crate) use verify::told;

use args::{AttentionCommand, BulkRetryCommand, Command, HoldCommand, ParkedCommand, TopicsCommand};

/// Reads the arguments, does what they say, and says how it went by the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(cli.output);
    let runtime = match crate::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return output.failed(&Failure::local("the runtime cannot be started", error)),
    };
    match runtime.block_on(run(cli, &output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => output.failed(&failure),
    }
}

/// Does what the arguments say.
///
/// # Errors
/// [`Failure`], which knows its exit code.
pub async fn run(cli: Cli, output: &Output) -> Result<(), Failure> {
    let servers = || Servers::named(cli.server.clone());
    match cli.command {
        Command::Serve(flags) => serve::serve(flags, output).await,
        Command::Demo(flags) => crate::demo::run(flags, cli.server.clone(), output).await,
        Command::Verify(flags) => verify::verify(&flags, output),
        Command::Conformance(flags) => conformance::conformance(flags, output).await,
        Command::Descriptors => descriptors(),
        Command::Hold { command } => match command {
            HoldCommand::Place(flags) => hold::place(&servers()?, flags, output).await,
            HoldCommand::Release(flags) => hold::release(&servers()?, flags, output).await,
            HoldCommand::List(flags) => hold::list(&servers()?, flags, output).await,
        },
        Command::Policy { command } => policy::run(&command, output),
        Command::Register(flags) => identity::register(&servers()?, flags, output).await,
        Command::Request(flags) => calls::request(&servers()?, flags, output).await,
        Command::Show(flags) => calls::show(&servers()?, flags, output).await,
        Command::List(flags) => calls::list(&servers()?, flags, output).await,
        Command::Watch(flags) => calls::watch(&servers()?, flags, output).await,
        Command::Reassess(flags) => calls::reassess(&servers()?, flags, output).await,
        Command::Identify(flags) => identity::identify(&servers()?, flags, output).await,
        Command::Confirm(flags) => calls::confirm(&servers()?, flags, output).await,
        Command::Revoke(flags) => calls::revoke(&servers()?, flags, output).await,
        Command::CaseToken(flags) => calls::case_token(&servers()?, flags, output).await,
        Command::Receipt(flags) => calls::receipt(&servers()?, flags, output).await,
        Command::Keys => calls::keys(&servers()?, output).await,
        Command::Refund { command } => refund::run(&servers()?, command, output).await,
        Command::Topics { command } => match command {
            TopicsCommand::Plan(flags) => topics::plan(flags, output).await,
            TopicsCommand::Apply(flags) => topics::apply(flags, output).await,
        },
        Command::Parked { command } => match command {
            ParkedCommand::List(flags) => parked::list(&servers()?, flags, output).await,
            ParkedCommand::Replay(flags) => parked::replay(&servers()?, flags, output).await,
            ParkedCommand::Discard(flags) => parked::discard(&servers()?, flags, output).await,
        },
        Command::Attention { command } => match command {
            AttentionCommand::List(flags) => attention::list(&servers()?, flags, output).await,
            AttentionCommand::Assign(flags) => attention::assign(&servers()?, flags, output).await,
        },
        Command::Retry(flags) => attention::retry(&servers()?, flags, output).await,
        Command::Extend(flags) => attention::extend(&servers()?, flags, output).await,
        Command::ExtensionTold(flags) => attention::extension_told(&servers()?, flags, output).await,
        Command::Texts(flags) => texts::list(&servers()?, flags, output).await,
        Command::BulkRetry { command } => match command {
            BulkRetryCommand::Start(flags) => bulk::start(&servers()?, flags, output).await,
            BulkRetryCommand::Status(flags) => bulk::status(&servers()?, flags, output).await,
            BulkRetryCommand::Cancel(flags) => bulk::cancel(&servers()?, flags, output).await,
        },
        Command::Attest(flags) => attention::attest(&servers()?, flags, output).await,
        Command::Ban { command } => ban::run(&servers()?, command, output).await,
        Command::Appeal { command } => appeal::run(&servers()?, command, output).await,
        Command::Guardian { command } => guardian::run(&servers()?, command, output).await,
        Command::Closures => closures::list(&servers()?, output).await,
        Command::Consumers => consumers::list(&servers()?, output).await,
        Command::Relays => relays::list(&servers()?, output).await,
        Command::Republish(flags) => relays::republish(&servers()?, flags, output).await,
    }
}

/// The contract, for whoever loads it instead of compiling it.
fn descriptors() -> Result<(), Failure> {
    let written = std::io::stdout().lock().write_all(proto::DESCRIPTORS);
    written.map_err(|error| Failure::local("the descriptors cannot be written", error))
}

/// Rows of cells as text, each column as wide as it must be.
fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<_> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells: Vec<_> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
        cells.join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}
