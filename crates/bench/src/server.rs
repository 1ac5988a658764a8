//! The product in a process of its own, with the units beside its own participants.

use std::{collections::BTreeMap, io::stdin, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Result;
use bytes::Bytes;
use clap::Args;
use exeunt::compose::{self, Guest, Overrides, Running};
use messaging::Message;
use participant::contract::{ACKNOWLEDGEMENTS, instructions_topic};
use service_kit::{Config, config::Sources, telemetry};
use tokio::{sync::watch, task::JoinSet, time::interval};
use types::fresh_uuid;

use crate::unit::{self, Unit};

/// What the line that names the server's address begins with.
pub const LISTENING: &str = "listening on ";

#[derive(Args)]
pub struct Flags {
    #[arg(long)]
    data_dir: String,
    #[arg(long, default_value = "")]
    shared_dir: String,
    #[arg(long, default_value = "")]
    event_store: String,
    #[arg(long, default_value = "")]
    event_log: String,
    #[arg(long, default_value = "")]
    roles: String,
    #[arg(long, default_value = "exeunt-0")]
    member_id: String,
    /// Its participants beside our own are the units.
    #[arg(long)]
    roster: Option<PathBuf>,
    /// The numbers of the units in this process.
    #[arg(long)]
    unit: Vec<usize>,
    /// Settings that differ from the defaults, as `key=value`.
    #[arg(long)]
    set: Vec<String>,
}

/// Serves until standard input ends, which it does when the bench ends, however it ends. Each line of it says
/// how many records that nobody can read are put on the log a second from then on.
pub fn main(flags: Flags) -> Result<()> {
    let runtime = exeunt::runtime()?;
    let served = runtime.block_on(serve(flags));
    // Whoever still reads standard input is not waited for.
    runtime.shutdown_background();
    served
}

async fn serve(flags: Flags) -> Result<()> {
    let mut given = BTreeMap::from([
        ("data_dir".to_owned(), flags.data_dir),
        ("shared_dir".to_owned(), flags.shared_dir),
        ("event_store".to_owned(), flags.event_store),
        ("event_log".to_owned(), flags.event_log),
        ("roles".to_owned(), flags.roles),
        ("member_id".to_owned(), flags.member_id),
        ("listen".to_owned(), "127.0.0.1:0".to_owned()),
        ("log".to_owned(), "warn".to_owned()),
        ("batched_signatures".to_owned(), "true".to_owned()),
    ]);
    given.extend(flags.set.iter().filter_map(|set| set.split_once('=')).map(|(k, v)| (k.into(), v.into())));
    given.extend(flags.roster.map(|roster| ("roster".to_owned(), roster.display().to_string())));
    let guests = flags.unit.iter().map(|number| Guest::new(Arc::new(Unit::new(*number)))).collect();
    let config = Config::load(Sources { flags: given, ..Sources::default() })?;
    telemetry::init(&config.log, config.log_format)?;
    let mut running = compose::start(config, Overrides { guests, ..Overrides::default() }).await?;
    println!("{LISTENING}http://{}", running.address());
    let (wanted, poison_per_s) = watch::channel(0);
    let mut poisoning = JoinSet::new();
    poisoning.spawn(poison(running.log(), poison_per_s));
    let input_ends = tokio::task::spawn_blocking(move || {
        for line in stdin().lines().map_while(Result::ok) {
            wanted.send_replace(line.parse().unwrap_or_default());
        }
    });
    tokio::select! {
        biased;
        _ = input_ends => stop(running).await?,
        ended = running.join() => ended?,
        Some(failed) = poisoning.join_next() => failed??,
    }
    Ok(())
}

async fn stop(mut running: Running) -> Result<()> {
    running.shutdown();
    Ok(running.join().await?)
}

/// Puts records that nobody can read, each of a key of its own, on the topics of instructions and
/// acknowledgements by turns.
async fn poison(log: Arc<dyn messaging::EventLog>, mut per_s: watch::Receiver<u32>) -> Result<()> {
    let names = unit::names().into_iter();
    let topics = names.flat_map(|name| [instructions_topic(&name).into(), ACKNOWLEDGEMENTS.into()]);
    let topics: Vec<Arc<str>> = topics.collect();
    let mut topics = topics.iter().cycle();
    while let Ok(wanted) = per_s.wait_for(|wanted| *wanted > 0).await.map(|wanted| *wanted) {
        let mut ticks = interval(Duration::from_secs(1) / wanted);
        while *per_s.borrow() == wanted
            && let Some(topic) = topics.next().cloned()
        {
            ticks.tick().await;
            let (key, payload) =
                (fresh_uuid().to_string().into(), Some(Bytes::from_static(b"\xff\xff\xff\xff")));
            log.publish(vec![Message { topic, key, headers: Vec::new(), payload }]).await?;
        }
    }
    Ok(())
}
