//! The topics of the event log: what they should be, what differs, and making them so.

use messaging::{EmbeddedLog, EventLog, LogError, Remedy, TopicDifference, TopicSetting, open_log_with};
use serde_json::{Value, json};
use service_kit::{
    Config, DataDirLock,
    config::{EventLogPlace, Sources},
};

use super::{Failure, Output, args};
use crate::compose;

/// Tells what is missing or differs, and changes nothing.
pub async fn plan(flags: args::Topics, output: &Output) -> Result<(), Failure> {
    let (opened, topics) = open(flags).await?;
    let differences = opened.log.compare(&topics).await;
    opened.close().await;
    let differences = differences.map_err(failed)?;
    if output.is_json() {
        output.line(&json!({ "topics": topics.len(), "differences": said(&differences) }).to_string());
        return Ok(());
    }
    for difference in &differences {
        output.line(&line(difference));
    }
    if differences.is_empty() {
        output.line(&format!("{} topics are as they should be", topics.len()));
    }
    Ok(())
}

/// Creates what is missing, and alters what can be altered.
pub async fn apply(flags: args::TopicsApply, output: &Output) -> Result<(), Failure> {
    let (opened, topics) = open(flags.topics).await?;
    let done = async {
        let before = opened.log.compare(&topics).await?;
        Ok((before, opened.log.apply(&topics, flags.add_partitions).await?))
    };
    let done: Result<_, LogError> = done.await;
    opened.close().await;
    let (before, left) = done.map_err(failed)?;
    let applied: Vec<TopicDifference> = before.into_iter().filter(|it| !left.contains(it)).collect();
    if output.is_json() {
        let told = json!({ "topics": topics.len(), "applied": said(&applied), "left": said(&left) });
        output.line(&told.to_string());
    } else {
        for difference in &applied {
            output.line(&format!("applied: {difference}"));
        }
        for difference in &left {
            output.line(&line(difference));
        }
        if applied.is_empty() && left.is_empty() {
            output.line(&format!("{} topics are as they should be", topics.len()));
        }
    }
    match left.len() {
        0 => Ok(()),
        1 => Err(Failure::plain("one difference could not be applied")),
        count => Err(Failure::plain(format!("{count} differences could not be applied"))),
    }
}

/// A log, and what keeps others from it meanwhile.
struct Opened {
    log: std::sync::Arc<dyn EventLog>,
    _lock: Option<DataDirLock>,
}

impl Opened {
    async fn close(self) {
        self.log.close().await;
    }
}

async fn open(flags: args::Topics) -> Result<(Opened, Vec<messaging::TopicSpec>), Failure> {
    let mut sources = Sources::from_environment();
    sources.environment.remove(super::servers::VARIABLE);
    sources.file = flags.config;
    let given = [("event_log", flags.event_log), ("roster", flags.roster), ("data_dir", flags.data_dir)];
    sources.flags = given.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
    let config = Config::load(sources).map_err(|error| Failure::plain(error.to_string()))?;
    let topics = compose::topics(config.roster.as_deref())
        .map_err(|error| Failure::local("the roster cannot be used", error))?;
    let opened = match &config.event_log {
        EventLogPlace::Embedded { directory } => {
            let lock = DataDirLock::acquire(&config.data_dir)
                .map_err(|error| Failure::local("the embedded log is in use", error))?;
            std::fs::create_dir_all(directory)
                .map_err(|error| Failure::local(format!("{} cannot be made", directory.display()), error))?;
            let log = EmbeddedLog::open(&directory.join("log.db")).await.map_err(failed)?;
            Opened { log: std::sync::Arc::new(log), _lock: Some(lock) }
        }
        kafka @ EventLogPlace::Kafka { .. } => {
            let options = compose::log_options(kafka, config.topics);
            Opened { log: open_log_with(&kafka.url(), options).await.map_err(failed)?, _lock: None }
        }
    };
    Ok((opened, topics))
}

fn failed(error: LogError) -> Failure {
    Failure::local("the topics cannot be had", error)
}

/// What can be done stands first.
fn line(difference: &TopicDifference) -> String {
    let what = match (difference.setting, difference.remedy) {
        (TopicSetting::Existence, _) => "create",
        (_, Remedy::Apply) => "alter",
        (_, Remedy::AddPartitions) => "alter with --add-partitions",
        (_, Remedy::ByHand) => "by hand",
    };
    format!("{what}: {difference}")
}

fn said(differences: &[TopicDifference]) -> Vec<Value> {
    let remedy = |remedy| match remedy {
        Remedy::Apply => "APPLY",
        Remedy::AddPartitions => "ADD_PARTITIONS",
        Remedy::ByHand => "BY_HAND",
    };
    let one = |it: &TopicDifference| {
        json!({
            "topic": &*it.topic,
            "setting": it.setting.to_string(),
            "is": it.is,
            "should_be": it.should_be,
            "remedy": remedy(it.remedy),
        })
    };
    differences.iter().map(one).collect()
}
