//! Topics as they should be and as they are, and what stands between the two.

use std::{fmt, sync::Arc, time::Duration};

/// A topic as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: Arc<str>,
    /// How many partitions; 8 unless there is a reason.
    pub partitions: i32,
    /// Whether only the last record of each key must be kept.
    pub compacted: bool,
}

/// What an installation wants of its topics beyond what the services say of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TopicSettings {
    /// How many partitions topics have that are not compacted; none: what the services say.
    pub partitions: Option<i32>,
    /// How many brokers hold each record; none: what the cluster does by default.
    pub replication: Option<i32>,
    /// How long records are kept in topics that are not compacted; none: as the cluster does by default.
    pub retention: Option<Duration>,
}

/// What is asked of one topic, all things considered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) name: Arc<str>,
    pub(crate) partitions: i32,
    pub(crate) replication: Option<i32>,
    pub(crate) cleanup_policy: &'static str,
    /// In milliseconds.
    pub(crate) retention_ms: Option<u128>,
}

impl TopicSettings {
    pub(crate) fn wanted(&self, spec: &TopicSpec) -> Wanted {
        let growing = |setting| if spec.compacted { None } else { setting };
        Wanted {
            name: spec.name.clone(),
            partitions: growing(self.partitions).unwrap_or(spec.partitions),
            replication: self.replication,
            cleanup_policy: if spec.compacted { "compact" } else { "delete" },
            retention_ms: if spec.compacted { None } else { self.retention.map(|it| it.as_millis()) },
        }
    }
}

/// A setting of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TopicSetting {
    /// The topic is not there at all.
    Existence,
    /// How many partitions it has.
    Partitions,
    /// On how many brokers each partition lies.
    Replication,
    /// Whether old records are deleted or compacted.
    CleanupPolicy,
    /// How long records are kept, in milliseconds.
    Retention,
}

impl fmt::Display for TopicSetting {
    /// As Kafka's tools spell it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Existence => "topic",
            Self::Partitions => "partitions",
            Self::Replication => "replication.factor",
            Self::CleanupPolicy => "cleanup.policy",
            Self::Retention => "retention.ms",
        })
    }
}

/// Whether a difference can be made to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// `apply` does it.
    Apply,
    /// `apply` does it when told to add partitions: a key's new records may then be read before its old ones.
    AddPartitions,
    /// Only by a person: the topic is made anew, or the cluster moves it.
    ByHand,
}

/// One setting of one topic that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDifference {
    /// The topic.
    pub topic: Arc<str>,
    /// What differs.
    pub setting: TopicSetting,
    /// As it is.
    pub is: String,
    /// As it should be.
    pub should_be: String,
    /// What can be done.
    pub remedy: Remedy,
}

impl fmt::Display for TopicDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, setting, is, should_be, .. } = self;
        write!(f, "{topic}: {setting} is {is} and should be {should_be}")
    }
}

/// A topic as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) partitions: i32,
    /// Not known of a log that has no replicas.
    pub(crate) replication: Option<i32>,
    pub(crate) cleanup_policy: Option<String>,
    /// In milliseconds, as the log spells it.
    pub(crate) retention_ms: Option<String>,
}

/// What differs. Pure.
pub(crate) fn compare(wanted: &Wanted, found: Option<&Found>) -> Vec<TopicDifference> {
    let difference = |setting, is: String, should_be: String, remedy| TopicDifference {
        topic: wanted.name.clone(),
        setting,
        is,
        should_be,
        remedy,
    };
    let Some(found) = found else {
        let should_be = format!("{} partitions, {}", wanted.partitions, wanted.cleanup_policy);
        return vec![difference(TopicSetting::Existence, "missing".into(), should_be, Remedy::Apply)];
    };
    let mut differences = Vec::new();
    if found.partitions != wanted.partitions {
        let grows = found.partitions < wanted.partitions;
        let remedy = if grows { Remedy::AddPartitions } else { Remedy::ByHand };
        let (is, should_be) = (found.partitions.to_string(), wanted.partitions.to_string());
        differences.push(difference(TopicSetting::Partitions, is, should_be, remedy));
    }
    if let (Some(is), Some(should_be)) = (found.replication, wanted.replication)
        && is != should_be
    {
        let (is, should_be) = (is.to_string(), should_be.to_string());
        differences.push(difference(TopicSetting::Replication, is, should_be, Remedy::ByHand));
    }
    let policy = wanted.cleanup_policy;
    if let Some(is) = found.cleanup_policy.as_ref().filter(|is| *is != policy) {
        differences.push(difference(TopicSetting::CleanupPolicy, is.clone(), policy.into(), Remedy::Apply));
    }
    if let (Some(is), Some(should_be)) = (&found.retention_ms, wanted.retention_ms)
        && *is != should_be.to_string()
    {
        let should_be = should_be.to_string();
        differences.push(difference(TopicSetting::Retention, is.clone(), should_be, Remedy::Apply));
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(compacted: bool) -> TopicSpec {
        TopicSpec { name: "t".into(), partitions: 8, compacted }
    }

    fn found() -> Found {
        Found {
            partitions: 8,
            replication: Some(3),
            cleanup_policy: Some("delete".into()),
            retention_ms: Some("604800000".into()),
        }
    }

    fn told(settings: TopicSettings, spec: &TopicSpec, found: Option<&Found>) -> Vec<(String, Remedy)> {
        let differences = compare(&settings.wanted(spec), found);
        differences.into_iter().map(|it| (it.to_string(), it.remedy)).collect()
    }

    #[test]
    fn what_is_as_it_should_be_has_no_difference_and_what_nobody_wants_is_not_compared() {
        assert_eq!(told(TopicSettings::default(), &spec(false), Some(&found())), []);
        let bare = Found { partitions: 8, replication: None, cleanup_policy: None, retention_ms: None };
        let all = TopicSettings {
            replication: Some(2),
            retention: Some(Duration::from_secs(1)),
            ..Default::default()
        };
        assert_eq!(told(all, &spec(false), Some(&bare)), []);
    }

    #[test]
    fn each_difference_is_named_with_what_can_be_done() {
        let settings = TopicSettings {
            partitions: Some(4),
            replication: Some(2),
            retention: Some(Duration::from_secs(3600)),
        };
        let named =
            told(settings, &spec(false), Some(&Found { cleanup_policy: Some("compact".into()), ..found() }));
        assert_eq!(
            named,
            [
                ("t: partitions is 8 and should be 4".to_owned(), Remedy::ByHand),
                ("t: replication.factor is 3 and should be 2".to_owned(), Remedy::ByHand),
                ("t: cleanup.policy is compact and should be delete".to_owned(), Remedy::Apply),
                ("t: retention.ms is 604800000 and should be 3600000".to_owned(), Remedy::Apply),
            ]
        );
        let more = TopicSettings { partitions: Some(16), ..Default::default() };
        let named = told(more, &spec(false), Some(&found()));
        assert_eq!(named, [("t: partitions is 8 and should be 16".to_owned(), Remedy::AddPartitions)]);
        let missing = told(more, &spec(false), None);
        assert_eq!(
            missing,
            [("t: topic is missing and should be 16 partitions, delete".to_owned(), Remedy::Apply)]
        );
    }

    #[test]
    fn a_compacted_topic_keeps_its_own_partitions_and_its_records_for_ever() {
        let settings = TopicSettings {
            partitions: Some(64),
            retention: Some(Duration::from_secs(1)),
            replication: None,
        };
        let compacted = Found { cleanup_policy: Some("compact".into()), ..found() };
        assert_eq!(told(settings, &spec(true), Some(&compacted)), []);
    }
}
