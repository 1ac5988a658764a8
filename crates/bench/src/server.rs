//! The product in a process of its own, with the units beside its own participants.

use std::{collections::BTreeMap, io::Read as _, path::PathBuf, sync::Arc};

use anyhow::Result;
use clap::Args;
use exeunt::compose::{self, Guest, Overrides};
use service_kit::{Config, config::Sources, telemetry};

use crate::unit::Unit;

/// What the line that names the server's address begins with.
pub const LISTENING: &str = "listening on ";

#[derive(Args)]
pub struct Flags {
    #[arg(long)]
    data_dir: String,
    #[arg(long, default_value = "")]
    event_store: String,
    #[arg(long, default_value = "")]
    event_log: String,
    /// Its participants beside our own are the units.
    #[arg(long)]
    roster: Option<PathBuf>,
}

/// Serves until standard input ends, which it does when the bench ends, however it ends.
pub fn main(flags: Flags) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(serve(flags));
    // Whoever still reads standard input is not waited for.
    runtime.shutdown_background();
    served
}

async fn serve(flags: Flags) -> Result<()> {
    let mut given = BTreeMap::from([
        ("data_dir".to_owned(), flags.data_dir),
        ("event_store".to_owned(), flags.event_store),
        ("event_log".to_owned(), flags.event_log),
        ("listen".to_owned(), "127.0.0.1:0".to_owned()),
        ("log".to_owned(), "warn".to_owned()),
    ]);
    let mut overrides = Overrides::default();
    if let Some(roster) = flags.roster {
        given.insert("roster".to_owned(), roster.display().to_string());
        overrides.guests = Unit::all().map(|unit| Guest::new(Arc::new(unit))).collect();
    }
    // All other settings are the defaults, as a user has them.
    let config = Config::load(Sources { flags: given, ..Sources::default() })?;
    telemetry::init(&config.log, config.log_format)?;
    let mut running = compose::start(config, overrides).await?;
    println!("{LISTENING}http://{}", running.address());
    let input_ends = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    tokio::select! {
        _ = input_ends => {
            running.shutdown();
            running.join().await?;
        }
        ended = running.join() => ended?,
    }
    Ok(())
}
