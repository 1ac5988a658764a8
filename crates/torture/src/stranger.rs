//! Somebody who may write to the topics and should not: plants records that nobody can read, and sends
//! again, late and out of order, what was sent before.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use messaging::{ConsumedLog, Delivery, EventLog, LogError, Message, Record, Subscription, open_log};
use participant::contract;
use prost::bytes::Bytes;
use testkit::Dice;
use tokio::time::{Instant, timeout_at};
use types::ParticipantName;

use crate::{
    fleet::{Engines, PARTICIPANTS},
    wait::{BOUND, until},
};

/// What the keys of planted records begin with.
pub(crate) const PLANTED: &str = "planted-";
/// How many records are planted on each topic at a time, each of a key of its own.
const PLANTED_EACH: usize = 5;
/// How many records are sent again at a time.
const REPEATED: usize = 300;
/// How far into a topic those may lie.
const SKIPPED_MAX: usize = 10_000;
/// For how long a topic is listened to, unless it has said nothing by then: the load never lets it fall silent.
const LISTENS: Duration = Duration::from_secs(2);
const RETRY_EVERY: Duration = Duration::from_millis(200);

/// The topics on which the parts of an installation speak to each other.
fn topics() -> Result<Vec<Arc<str>>> {
    let mut topics = vec![Arc::from(contract::ACKNOWLEDGEMENTS)];
    for name in PARTICIPANTS {
        topics.push(contract::instructions_topic(&ParticipantName::parse(name)?).into());
    }
    Ok(topics)
}

async fn open(engines: &Engines) -> Result<Arc<dyn EventLog>> {
    let Engines::Real { event_log, .. } = engines else { bail!("the embedded log is its process's own") };
    Ok(open_log(event_log).await?)
}

/// Plants records on every topic; gives their keys.
pub(crate) async fn plant(engines: &Engines) -> Result<Vec<String>> {
    let log = open(engines).await?;
    let mut messages = Vec::new();
    for topic in topics()? {
        for _ in 0..PLANTED_EACH {
            messages.push(Message {
                topic: topic.clone(),
                key: format!("{PLANTED}{}", types::fresh_uuid().simple()).into(),
                headers: Vec::new(),
                payload: Some(Bytes::from_static(b"\xff\xff\xff")),
            });
        }
    }
    let keys = messages.iter().map(|message| String::from_utf8_lossy(&message.key).into_owned()).collect();
    publish(&*log, &messages).await?;
    log.close().await;
    Ok(keys)
}

/// Sends records of one topic again, in another order; gives how many.
pub(crate) async fn repeat(engines: &Engines, dice: &mut Dice) -> Result<usize> {
    let log = open(engines).await?;
    let topics = topics()?;
    let topic = topics[dice.place(topics.len())].clone();
    let name = format!("stranger-{}", types::fresh_uuid().simple());
    let topics = vec![topic.clone()];
    let subscription = Subscription { group: name.clone().into(), member: name.into(), topics };
    let mut reader = log.subscribe(subscription).await?;
    let mut heard = heard(&mut *reader, dice.place(SKIPPED_MAX) + REPEATED).await?;
    drop(reader);
    ensure!(heard.iter().any(is_theirs), "there was nothing on {topic} within {BOUND:?} to send again");
    let mut messages = Vec::new();
    while !heard.is_empty() {
        let record = heard.swap_remove_back(dice.place(heard.len())).context("there is none")?;
        let Record { topic, key, headers, payload, .. } = record;
        messages.push(Message { topic, key, headers, payload: Some(payload) });
    }
    publish(&*log, &messages).await?;
    log.close().await;
    Ok(messages.len())
}

/// Whether a record is one that the parts of an installation sent to each other.
fn is_theirs(record: &Record) -> bool {
    !record.key.starts_with(PLANTED.as_bytes())
}

/// The last of the first so many records, or of what there is where that is fewer.
async fn heard(reader: &mut dyn ConsumedLog, until: usize) -> Result<VecDeque<Record>> {
    let (mut heard, mut count) = (VecDeque::new(), 0);
    let bound = Instant::now() + BOUND;
    let mut end = bound;
    while count < until {
        // On a machine that is busy enough it takes longer than one listens until there is anything.
        let within = if heard.iter().any(is_theirs) { end } else { bound };
        let Ok(delivery) = timeout_at(within, reader.next(REPEATED)).await else { break };
        match delivery {
            Ok(Delivery::Assigned(partitions)) => {
                for place in &partitions {
                    reader.start(&place.topic, place.partition, None).await?;
                }
                if !partitions.is_empty() {
                    end = end.min(Instant::now() + LISTENS);
                }
            }
            Ok(Delivery::Records(records)) => {
                count += records.len();
                heard.extend(records);
                heard.drain(..heard.len().saturating_sub(REPEATED));
            }
            Ok(Delivery::Revoked(_)) | Err(LogError::Unavailable(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(heard)
}

async fn publish(log: &dyn EventLog, messages: &[Message]) -> Result<()> {
    until("the brokers", RETRY_EVERY, BOUND, || async {
        match log.publish(messages.to_vec()).await {
            Ok(()) => Ok(Some(())),
            Err(LogError::Unavailable(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    })
    .await
}
