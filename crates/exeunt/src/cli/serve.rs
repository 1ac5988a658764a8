//! Runs the services of a process until a signal says that it is enough.

use std::collections::BTreeMap;

use service_kit::{Config, config::Sources, shutdown::Signals, telemetry};

use super::{Failure, Output, args};
use crate::compose::{self, Overrides, Role};

pub async fn serve(flags: args::Serve, output: &Output) -> Result<(), Failure> {
    let config = Config::load(sources(flags)).map_err(|error| Failure::plain(error.to_string()))?;
    telemetry::init(&config.log, config.log_format)
        .map_err(|error| Failure::local("logging cannot be started", error))?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let signals = Signals::listen().map_err(|error| Failure::local("signals cannot be received", error))?;
    let roles = if config.roles.is_empty() { "all".to_owned() } else { config.roles.join(", ") };
    let places = [
        ("roles", roles),
        ("data directory", config.data_dir.display().to_string()),
        ("shared directory", config.shared_dir.display().to_string()),
        ("event store", config.event_store.to_string()),
        ("event log", config.event_log.to_string()),
        ("roster", config.roster.as_ref().map_or("embedded".into(), |path| path.display().to_string())),
        ("messages", compose::messages_directory(&config.shared_dir).display().to_string()),
    ];
    let stop = signals.token();
    let Some(started) = stop.run_until_cancelled(compose::start(config, Overrides::default())).await else {
        output.line("exeunt: stopped before it had started");
        return Ok(());
    };
    let mut running = started.map_err(|error| Failure::local("exeunt cannot start", error))?;
    output.line(&format!("exeunt: listening on http://{}", running.address()));
    for (name, place) in places {
        output.line(&format!("exeunt: {name}: {place}"));
    }
    let ended = tokio::select! {
        () = stop.cancelled() => {
            running.shutdown();
            running.join().await
        }
        ended = running.join() => ended,
    };
    ended.map_err(|error| Failure::local("exeunt stopped", error))?;
    output.line("exeunt: stopped");
    Ok(())
}

fn sources(flags: args::Serve) -> Sources {
    let mut sources = Sources::from_environment();
    sources.environment.remove(super::servers::VARIABLE);
    sources.file = flags.config;
    let roles = Some(flags.roles).filter(|roles| !roles.is_empty());
    let given = [
        ("roles", roles.map(|roles| roles.into_iter().map(Role::name).collect::<Vec<_>>().join(","))),
        ("data_dir", flags.data_dir),
        ("shared_dir", flags.shared_dir),
        ("listen", flags.listen),
        ("event_store", flags.event_store),
        ("event_log", flags.event_log),
        ("roster", flags.roster),
        ("member_id", flags.member_id),
    ];
    let given = given.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    sources.flags = given.collect::<BTreeMap<_, _>>();
    sources
}
