//! What may be said on the command line about the event log.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use proto::operations::v1::republish_request::From;

use super::super::relays;

/// What to do with topics.
#[derive(Debug, Subcommand)]
pub enum TopicsCommand {
    /// Tell what is missing or not as it should be, and change nothing
    Plan(Topics),
    /// Create what is missing, and alter what can be altered
    Apply(TopicsApply),
}

/// Whose topics. What is not given here is taken from the environment (EXEUNT_EVENT_LOG,
/// EXEUNT_TOPICS_REPLICATION, …), the configuration file, or the defaults, in this order.
#[derive(Debug, Args)]
pub struct Topics {
    /// The configuration file [env: EXEUNT_CONFIG]
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// kafka://host:port[,host:port][/prefix][?settings] [env: EXEUNT_EVENT_LOG]
    #[arg(long)]
    pub event_log: Option<String>,
    /// The roster of participants, a TOML file [env: EXEUNT_ROSTER]
    #[arg(long)]
    pub roster: Option<String>,
    /// Where the embedded log stands [env: EXEUNT_DATA_DIR]
    #[arg(long)]
    pub data_dir: Option<String>,
}

/// How to make topics as they should be.
#[derive(Debug, Args)]
pub struct TopicsApply {
    /// Whose
    #[command(flatten)]
    pub topics: Topics,
    /// Add partitions, too. A key's records then go to another partition than before, and may be
    /// read before those: do it when nothing is under way
    #[arg(long)]
    pub add_partitions: bool,
}

/// What to do with parked records.
#[derive(Debug, Subcommand)]
pub enum ParkedCommand {
    /// List them
    List(ParkedList),
    /// Try all of a key again, in order
    Replay(ParkedReplay),
    /// Give one up
    Discard(ParkedDiscard),
}

/// Which parked records.
#[derive(Debug, Args)]
pub struct ParkedList {
    /// Only this service's
    #[arg(long, default_value = "")]
    pub service: String,
    /// How many at most, 1 to 1000
    #[arg(long, default_value_t = 100)]
    pub limit: i32,
    /// Where the list before ended
    #[arg(long, default_value = "")]
    pub page_token: String,
}

/// Which key to try again.
#[derive(Debug, Args)]
pub struct ParkedReplay {
    /// The service that parked it
    #[arg(long)]
    pub service: String,
    /// Its topic
    #[arg(long)]
    pub topic: String,
    /// Its partition
    #[arg(long)]
    pub partition: i32,
    /// The key, as `parked list` shows it
    #[arg(long)]
    pub key: String,
    /// Why; it is kept
    #[arg(long)]
    pub reason: String,
}

/// Which record to give up, and why.
#[derive(Debug, Args)]
pub struct ParkedDiscard {
    /// The service that parked it
    #[arg(long)]
    pub service: String,
    /// Its topic
    #[arg(long)]
    pub topic: String,
    /// Its partition
    #[arg(long)]
    pub partition: i32,
    /// Its offset
    #[arg(long)]
    pub offset: i64,
    /// Which life of the topic, where one offset is parked of several
    #[arg(long, default_value = "")]
    pub incarnation: String,
    /// Why; it is kept
    #[arg(long)]
    pub reason: String,
}

/// What to publish again.
#[derive(Debug, Args)]
pub struct Republish {
    /// From where on: an instant, as in 2026-11-21T08:00:00Z, or the position of an event of one
    /// service's store; 0 for everything
    #[arg(long, value_parser = relays::from)]
    pub from: From,
    /// Whose; may be repeated. Every service of the server when not given
    #[arg(long)]
    pub service: Vec<String>,
    /// Why; it is kept
    #[arg(long)]
    pub reason: String,
}
