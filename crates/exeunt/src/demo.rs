//! A whole cancellation, played from end to end through the public gRPC API only: with every service
//! in this process, on embedded storage in a temporary directory, or against servers that run.

mod follow;
mod hold;
mod live;
mod play;
mod revoke;
mod services;
mod setting;
mod story;

use std::{collections::BTreeMap, time::Instant};

use proto::cancellation::v1 as pb;
use serde_json::{Value, json};
use service_kit::{
    Config,
    config::{LogFormat, Sources},
    telemetry,
};

use crate::{
    cli::{Failure, Output, Server, Servers, args},
    compose::{self, Overrides},
};
use play::Play;
use services::Services;
use story::Story;

/// What has been reached so far, for the one JSON object at the end.
#[derive(Debug, Default)]
struct Reached {
    cancellation: pb::Cancellation,
    receipt_jws: Option<String>,
    kids: BTreeMap<String, String>,
    verified: bool,
}

/// Plays it. Succeeds only when it ends as it should: with a receipt that verifies, or revoked.
///
/// # Errors
/// [`Failure`] at the first thing that goes otherwise than it should.
pub async fn run(flags: args::Demo, servers: Vec<Server>, output: &Output) -> Result<(), Failure> {
    let since = Instant::now();
    let json = flags.json || output.is_json();
    telemetry::init("warn", LogFormat::Human)
        .map_err(|error| Failure::local("logging cannot be started", error))?;
    let mut reached = Reached::default();
    let story = Story::new(*output, json);
    let played = tokio::select! {
        played = stage(&story, servers, &flags, &mut reached) => played,
        _ = tokio::signal::ctrl_c() => Err(Failure::plain("interrupted")),
    };
    let elapsed_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
    if json {
        output.line(&summary(&reached, elapsed_ms, played.as_ref().err()).to_string());
    } else if played.is_ok() {
        story.say(&format!("\nAll of it took {}.{:03} s.", elapsed_ms / 1_000, elapsed_ms % 1_000));
    }
    played
}

/// Plays on the servers that are named; without any, on a stage of its own.
async fn stage(
    story: &Story,
    servers: Vec<Server>,
    flags: &args::Demo,
    reached: &mut Reached,
) -> Result<(), Failure> {
    if servers.is_empty() {
        return own_stage(story, flags.scenario, reached).await;
    }
    let servers = Servers::from(servers);
    story.opening_at(&flags.messages);
    let services = Services::connect(&servers).await?;
    Play::new(services, story, flags.messages.clone(), reached).play(flags.scenario).await
}

/// Sets the stage, plays, and clears it away.
async fn own_stage(story: &Story, scenario: args::Scenario, reached: &mut Reached) -> Result<(), Failure> {
    let home = tempfile::Builder::new()
        .prefix("exeunt-demo-")
        .tempdir()
        .map_err(|error| Failure::local("a temporary directory cannot be made", error))?;
    let flags = [("data_dir", home.path().display().to_string()), ("listen", "127.0.0.1:0".to_owned())];
    let flags = flags.map(|(key, value)| (key.to_owned(), value)).into();
    let config = Config::load(Sources { flags, ..Sources::default() })
        .map_err(|error| Failure::local("the demo's configuration is wrong", error))?;
    let mut running = compose::start(config, Overrides::default())
        .await
        .map_err(|error| Failure::local("the services cannot start", error))?;
    let server = format!("http://{}", running.address());
    story.opening(&server, home.path());
    let services = Services::connect(&vec![Server::of_all(server)].into()).await?;
    let messages = compose::messages_directory(home.path());
    let played = Play::new(services, story, messages, reached).play(scenario).await;
    running.shutdown();
    let ended =
        running.join().await.map_err(|error| Failure::local("the services did not stop in order", error));
    played.and(ended)
}

fn summary(reached: &Reached, elapsed_ms: u64, failure: Option<&Failure>) -> Value {
    let participants: Vec<_> =
        reached.cancellation.participants.iter().map(|one| participant(one, reached)).collect();
    let mut said = json!({
        "state": reached.cancellation.state().as_str_name(),
        "cancellationId": reached.cancellation.cancellation_id,
        "participants": participants,
        "receipt": reached.receipt_jws,
        "verified": reached.verified,
        "elapsed_ms": elapsed_ms,
    });
    if let Some(failure) = failure {
        said["error"] = failure.to_string().into();
    }
    said
}

fn participant(one: &pb::Participant, reached: &Reached) -> Value {
    json!({
        "name": one.name,
        "state": one.state().as_str_name(),
        "outcome": one.outcome().as_str_name(),
        "kept": one.kept.len(),
        "kid": reached.kids.get(&one.name),
    })
}
