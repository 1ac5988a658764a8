//! From where to where the cluster has a topic's records.

use std::{sync::Arc, time::Duration};

use rdkafka::producer::Producer;

use super::{KafkaLog, classify, native::describe, probe};
use crate::{Extent, LogError};

/// How long one question to the cluster may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

impl KafkaLog {
    /// Asks with a client of its own, off the runtime: each question blocks.
    pub(super) async fn extents_of(&self, topic: Arc<str>) -> Result<Vec<Extent>, LogError> {
        let client = probe::client(&self.config)?;
        let asked = tokio::task::spawn_blocking(move || extents(&client, &topic));
        asked.await.map_err(LogError::unavailable)?
    }
}

fn extents(client: &probe::Client, topic: &Arc<str>) -> Result<Vec<Extent>, LogError> {
    let metadata = probe::metadata(client, topic, ANSWER_TIMEOUT)?;
    let partitions = metadata.topics().iter().find(|found| *found.name() == **topic);
    let partitions = partitions.map_or(&[][..], |found| found.partitions());
    let topics = describe(client.client(), std::slice::from_ref(topic), ANSWER_TIMEOUT)?;
    let incarnation = topics.get(topic).filter(|_| !partitions.is_empty()).map(|found| &found.id);
    let incarnation = incarnation.ok_or_else(|| LogError::Refused(format!("there is no topic {topic}")))?;
    let extent = |partition: i32| {
        let bounds = client.client().fetch_watermarks(topic, partition, ANSWER_TIMEOUT);
        let (first, end) = bounds.map_err(classify)?;
        Ok(Extent { partition, incarnation: incarnation.clone(), first, end })
    };
    partitions.iter().map(|partition| extent(partition.id())).collect()
}
