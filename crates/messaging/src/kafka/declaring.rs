//! Making topics, and making them as they should be.

use std::{collections::HashMap, sync::Arc};

use rdkafka::{
    admin::{
        AlterConfig, ConfigResource, ConfigSource, NewPartitions, NewTopic, OwnedResourceSpecifier,
        ResourceSpecifier, TopicReplication,
    },
    error::RDKafkaErrorCode,
};

use super::{ADMIN_TIMEOUT, KafkaLog, admin_options, classify, of_code, probe};
use crate::{
    LogError, Remedy, TopicDifference, TopicSetting, TopicSpec,
    topics::{Found, Wanted, compare},
};

const CLEANUP_POLICY: &str = "cleanup.policy";
const RETENTION: &str = "retention.ms";

impl KafkaLog {
    pub(super) fn wanted(&self, topics: &[TopicSpec]) -> Vec<Wanted> {
        topics.iter().map(|spec| self.topics.wanted(spec)).collect()
    }

    /// Creates what is missing; gives those that were there before.
    pub(super) async fn create(&self, wanted: &[Wanted]) -> Result<Vec<Wanted>, LogError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let retentions: Vec<Option<String>> =
            wanted.iter().map(|topic| topic.retention_ms.map(|it| it.to_string())).collect();
        let new = wanted.iter().zip(&retentions).map(|(topic, retention)| {
            // Without a word from us the cluster says how many replicas.
            let replication = TopicReplication::Fixed(topic.replication.unwrap_or(-1));
            let new = NewTopic::new(&topic.name, topic.partitions, replication);
            let new = new.set(CLEANUP_POLICY, topic.cleanup_policy);
            retention.iter().fold(new, |new, retention| new.set(RETENTION, retention))
        });
        let new: Vec<_> = new.collect();
        let options = admin_options();
        let made = probe::watching(&self.config, self.admin.create_topics(&new, &options)).await?;
        let mut there = Vec::new();
        for result in made {
            match result {
                Ok(_) => {}
                Err((name, RDKafkaErrorCode::TopicAlreadyExists)) => {
                    there.extend(wanted.iter().find(|topic| *topic.name == *name).cloned());
                }
                Err((name, code)) => return Err(of_code(code, &name)),
            }
        }
        Ok(there)
    }

    /// What is not as it should be.
    pub(super) async fn differences(&self, wanted: &[Wanted]) -> Result<Vec<TopicDifference>, LogError> {
        let found = self.find(wanted).await?;
        Ok(wanted.iter().flat_map(|topic| compare(topic, found.get(&topic.name))).collect())
    }

    async fn find(&self, wanted: &[Wanted]) -> Result<HashMap<Arc<str>, Found>, LogError> {
        if wanted.is_empty() {
            return Ok(HashMap::new());
        }
        let mut found = self.partitions(wanted).await?;
        let there: Vec<_> = found.keys().cloned().collect();
        for config in self.configs(&there).await? {
            let OwnedResourceSpecifier::Topic(name) = &config.specifier else { continue };
            let value = |setting| config.get(setting).and_then(|entry| entry.value.clone());
            if let Some(found) = found.get_mut(name.as_str()) {
                found.cleanup_policy = value(CLEANUP_POLICY);
                found.retention_ms = value(RETENTION);
            }
        }
        Ok(found)
    }

    /// Those that are there, by their partitions and replicas.
    async fn partitions(&self, wanted: &[Wanted]) -> Result<HashMap<Arc<str>, Found>, LogError> {
        let names: Vec<Arc<str>> = wanted.iter().map(|topic| topic.name.clone()).collect();
        let client = probe::client(&self.config)?;
        let asked = move || {
            let mut found = HashMap::new();
            for name in names {
                let metadata = probe::metadata(&client, &name, ADMIN_TIMEOUT)?;
                let Some(topic) = metadata.topics().iter().find(|topic| *topic.name() == *name) else {
                    continue;
                };
                if topic.error().is_some() {
                    continue;
                }
                let count = |count| i32::try_from(count).unwrap_or(i32::MAX);
                let partitions = topic.partitions();
                found.insert(
                    name,
                    Found {
                        partitions: count(partitions.len()),
                        replication: partitions.iter().map(|it| count(it.replicas().len())).min(),
                        cleanup_policy: None,
                        retention_ms: None,
                    },
                );
            }
            Ok(found)
        };
        tokio::task::spawn_blocking(asked).await.unwrap_or_else(|error| Err(LogError::unavailable(error)))
    }

    async fn configs(&self, topics: &[Arc<str>]) -> Result<Vec<ConfigResource>, LogError> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let asked = topics.iter().map(|name| ResourceSpecifier::Topic(name)).collect::<Vec<_>>();
        let told = self.admin.describe_configs(&asked, &admin_options()).await.map_err(classify)?;
        told.into_iter().map(|told| told.map_err(|code| of_code(code, "configuration of topics"))).collect()
    }

    /// Alters what can be altered.
    pub(super) async fn alter(&self, there: &[Wanted], add_partitions: bool) -> Result<(), LogError> {
        let differences = self.differences(there).await?;
        let differs = |topic: &Wanted, setting, remedy| {
            let is = |it: &&TopicDifference| {
                it.topic == topic.name && it.setting == setting && it.remedy == remedy
            };
            differences.iter().any(|it| is(&it))
        };
        let grows = |topic: &&Wanted| {
            add_partitions && differs(topic, TopicSetting::Partitions, Remedy::AddPartitions)
        };
        let grown: Vec<_> = there
            .iter()
            .filter(grows)
            .map(|topic| NewPartitions::new(&topic.name, usize::try_from(topic.partitions).unwrap_or(0)))
            .collect();
        if !grown.is_empty() {
            let done = self.admin.create_partitions(&grown, &admin_options()).await.map_err(classify)?;
            done.into_iter()
                .try_for_each(|done| done.map(drop).map_err(|(name, code)| of_code(code, &name)))?;
        }
        let altered: Vec<&Wanted> = there
            .iter()
            .filter(|topic| {
                [TopicSetting::CleanupPolicy, TopicSetting::Retention]
                    .iter()
                    .any(|setting| differs(topic, *setting, Remedy::Apply))
            })
            .collect();
        self.alter_configs(&altered).await
    }

    /// Kafka takes the whole of a topic's own configuration: what others have set is said again.
    async fn alter_configs(&self, altered: &[&Wanted]) -> Result<(), LogError> {
        let names: Vec<_> = altered.iter().map(|topic| topic.name.clone()).collect();
        let before = self.configs(&names).await?;
        let retentions: Vec<_> =
            altered.iter().map(|topic| topic.retention_ms.map(|it| it.to_string())).collect();
        let mut configs = Vec::new();
        for (topic, retention) in altered.iter().zip(&retentions) {
            let specifier = OwnedResourceSpecifier::Topic(topic.name.to_string());
            let own = before.iter().filter(|config| config.specifier == specifier).flat_map(|it| &it.entries);
            let own = own.filter(|entry| entry.source == ConfigSource::DynamicTopic);
            let mut config = AlterConfig::new(ResourceSpecifier::Topic(&topic.name));
            for entry in own {
                config = config.set(&entry.name, entry.value.as_deref().unwrap_or_default());
            }
            config = config.set(CLEANUP_POLICY, topic.cleanup_policy);
            config = retention.iter().fold(config, |config, retention| config.set(RETENTION, retention));
            configs.push(config);
        }
        if configs.is_empty() {
            return Ok(());
        }
        let done = self.admin.alter_configs(&configs, &admin_options()).await.map_err(classify)?;
        done.into_iter().try_for_each(|done| {
            done.map(drop).map_err(|(specifier, code)| of_code(code, &format!("{specifier:?}")))
        })
    }
}
