//! Checks a participant, whatever language it is written in, over the log.

use std::{collections::VecDeque, path::Path, process::Stdio, sync::Arc, time::Duration};

use ::conformance::{CHECKS, Check, Coordinator, Effect, Host, HostError, Options, Verdict};
use async_trait::async_trait;
use cancellation::Roster;
use clap::{ArgGroup, Args};
use keys::{Jwk, JwkSet};
use messaging::open_log;
use serde_json::json;
use tokio::{process::Command, time::Instant};
use types::{ParticipantName, Scope, SubjectId, SystemClock, fresh_uuid};

use super::{Failure, Output};

/// The subject's id, for the command that prepares one.
const SUBJECT_VARIABLE: &str = "EXEUNT_SUBJECT";

/// Which participant to check, and how. Every check ends what the participant has of a subject: name
/// subjects that were made for it.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("keys").required(true).args(["jwk", "roster"]))]
#[command(group = ArgGroup::new("whose").required(true).args(["subject", "register"]))]
pub struct Conformance {
    /// Its name, as in its topic
    #[arg(long)]
    participant: String,
    /// Where it is met: kafka://host:port[,host:port][/prefix]
    #[arg(long, env = "EXEUNT_EVENT_LOG")]
    event_log: String,
    /// The file of its public key, a JWK or a set of them
    #[arg(long)]
    jwk: Option<std::path::PathBuf>,
    /// The roster file that names its public keys
    #[arg(long)]
    roster: Option<std::path::PathBuf>,
    /// A subject to play with; repeated, they take turns
    #[arg(long)]
    subject: Vec<String>,
    /// Tell the participant of fresh subjects, in identity's place: where no set of ours is running
    #[arg(long)]
    register: bool,
    /// A shell command that gives the subject $EXEUNT_SUBJECT something that can end, at this participant
    #[arg(long)]
    prepare: Option<String>,
    /// What ends: whole_account, or a scope that the roster file names
    #[arg(long, default_value = "whole_account")]
    scope: String,
    /// How long an answer may take, in milliseconds
    #[arg(long, default_value_t = 10_000)]
    within_ms: u64,
    /// Only this check; may be repeated
    #[arg(long)]
    only: Vec<String>,
}

/// Plays the checks one after the other and prints a line for each.
pub async fn conformance(flags: Conformance, output: &Output) -> Result<(), Failure> {
    let checks = chosen(&flags.only)?;
    let participant = ParticipantName::parse(&flags.participant)
        .map_err(|error| Failure::local("--participant is no name", error))?;
    let subjects: Result<VecDeque<_>, _> = flags.subject.iter().map(|id| SubjectId::parse(id)).collect();
    let subjects = subjects.map_err(|error| Failure::local("--subject is no id", error))?;
    let scope =
        if flags.scope == "whole_account" { Scope::WholeAccount } else { Scope::Named(flags.scope.clone()) };
    let options = |log| {
        let keys = keys_of(&flags, &participant)?;
        let within = Duration::from_millis(flags.within_ms);
        let clock = Arc::new(SystemClock);
        Ok::<_, Failure>(Options { log, clock, participant, keys, scope, within })
    };
    let log_failed = |error| Failure::local("the event log cannot be used", error);
    let log = open_log(&flags.event_log).await.map_err(log_failed)?;
    let mut coordinator = Coordinator::start(options(log.clone())?).await.map_err(log_failed)?;
    let mut failed = 0;
    for check in checks {
        let began = Instant::now();
        let verdict = play(check, &mut coordinator, &subjects, flags.prepare.as_deref()).await;
        failed += u32::from(verdict.is_err());
        tell(check, &verdict, began.elapsed(), output);
    }
    log.close().await;
    if failed > 0 {
        return Err(Failure::NotConforming { participant: flags.participant, failed });
    }
    Ok(())
}

fn chosen(only: &[String]) -> Result<Vec<&'static Check>, Failure> {
    if let Some(unknown) = only.iter().find(|name| !CHECKS.iter().any(|check| check.name == **name)) {
        let names: Vec<_> = CHECKS.iter().map(|check| check.name).collect();
        return Err(Failure::plain(format!("there is no check {unknown}, but {}", names.join(", "))));
    }
    let wanted = |check: &&Check| only.is_empty() || only.iter().any(|name| name == check.name);
    Ok(CHECKS.iter().filter(wanted).collect())
}

fn keys_of(flags: &Conformance, participant: &ParticipantName) -> Result<JwkSet, Failure> {
    let read = |path: &Path| {
        std::fs::read_to_string(path)
            .map_err(|error| Failure::local(format!("{} cannot be read", path.display()), error))
    };
    if let Some(path) = &flags.jwk {
        let text = read(path)?;
        let one = Jwk::parse(&text).map(|jwk| [jwk].into_iter().collect());
        return one
            .or_else(|_| JwkSet::parse(&text))
            .map_err(|error| Failure::local(format!("{} holds no public keys", path.display()), error));
    }
    let Some(path) = &flags.roster else { return Ok(JwkSet::default()) };
    let roster = Roster::parse(&read(path)?)
        .map_err(|error| Failure::local(format!("{} is no roster", path.display()), error))?;
    let entry = roster.entries().find(|entry| entry.name == *participant);
    let entry = entry.ok_or_else(|| Failure::plain(format!("{} names no {participant}", path.display())))?;
    // The roster was checked: its keys are keys.
    let keys: JwkSet = entry.keys.iter().filter_map(|json| Jwk::parse(json).ok()).collect();
    if keys.keys.is_empty() {
        return Err(Failure::plain(format!(
            "{} has no key of {participant}: give it with --jwk",
            path.display()
        )));
    }
    Ok(keys)
}

async fn play(
    check: &Check,
    coordinator: &mut Coordinator,
    subjects: &VecDeque<SubjectId>,
    prepare: Option<&str>,
) -> Verdict {
    let turn = CHECKS.iter().position(|it| it.name == check.name).unwrap_or_default();
    let subject = if subjects.is_empty() {
        let subject = SubjectId::mint(fresh_uuid());
        coordinator.register(&subject).await?;
        subject
    } else {
        subjects[turn % subjects.len()].clone()
    };
    let mut outside = Outside { subject, prepare };
    ::conformance::run(check, coordinator, &mut outside).await
}

fn tell(check: &Check, verdict: &Verdict, took: Duration, output: &Output) {
    let (word, seen) = match verdict {
        Ok(Effect::Skipped(why)) => ("skipped", Some((*why).to_owned())),
        Ok(Effect::Once | Effect::None | Effect::Any) => ("ok", None),
        Err(fault) => ("failed", Some(fault.to_string())),
    };
    let millis = took.as_millis();
    if output.is_json() {
        let line = json!({ "check": check.name, "says": check.says, "verdict": word, "seen": seen, "tookMs": u64::try_from(millis).unwrap_or(u64::MAX) });
        return output.line(&line.to_string());
    }
    output.line(&format!("{word:<8}{:<20}{} ({millis} ms)", check.name, check.says));
    if let Some(seen) = seen {
        output.line(&format!("{:28}{seen}", ""));
    }
}

/// What somebody outside can do: one subject, and a command.
struct Outside<'a> {
    subject: SubjectId,
    prepare: Option<&'a str>,
}

impl Outside<'_> {
    /// Gives the subject something; false when nobody said how.
    async fn prepare(&self) -> Result<bool, HostError> {
        let Some(command) = self.prepare else { return Ok(false) };
        let ran = Command::new("sh")
            .args(["-c", command])
            .env(SUBJECT_VARIABLE, self.subject.as_str())
            .stdin(Stdio::null())
            .output()
            .await
            .map_err(|error| HostError(format!("the command that prepares cannot run: {error}")))?;
        if ran.status.success() {
            return Ok(true);
        }
        let said = String::from_utf8_lossy(&ran.stderr);
        Err(HostError(format!("the command that prepares ended with {}: {}", ran.status, said.trim())))
    }
}

#[async_trait]
impl Host for Outside<'_> {
    async fn subject(&mut self) -> Result<SubjectId, HostError> {
        self.prepare().await?;
        Ok(self.subject.clone())
    }

    async fn change(&mut self, _subject: &SubjectId) -> Result<bool, HostError> {
        self.prepare().await
    }
}
