//! Somebody else's system that reads every topic, and knows what it has seen by `ce_id`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use messaging::{CE_ID, CE_TYPE, ConsumedLog, Delivery, EventLog, Subscription};

use crate::process::BOUND;

/// A message as it counts: topic, key, kind and content.
pub type Told = (Arc<str>, Vec<u8>, String, Vec<u8>);

/// The reader.
pub struct Downstream {
    log: Box<dyn ConsumedLog>,
    /// What it knows, by id.
    pub seen: BTreeMap<String, Told>,
    partitions: BTreeMap<(Arc<str>, i32), Partition>,
}

/// What it read of a partition.
#[derive(Default)]
struct Partition {
    /// The UUIDs that its topic had.
    lives: BTreeSet<Arc<str>>,
    /// The ids read in this life.
    ids: BTreeSet<String>,
    /// How many records it read in this life.
    records: i64,
}

impl Downstream {
    pub async fn start(log: &Arc<dyn EventLog>, topics: Vec<Arc<str>>) -> Self {
        let group = format!("downstream-{}", types::fresh_uuid()).into();
        let log = log.subscribe(Subscription { group, member: "one".into(), topics }).await.unwrap();
        Self { log, seen: BTreeMap::new(), partitions: BTreeMap::new() }
    }

    /// How many lives it knows of every partition, at the least.
    pub fn lives(&self) -> usize {
        self.partitions.values().map(|it| it.lives.len()).min().unwrap_or_default()
    }

    /// Whether it read that since its topic was made the last time.
    pub fn has_anew(&self, id: &str) -> bool {
        self.partitions.values().any(|it| it.ids.contains(id))
    }

    /// How many records it read of a topic since that was made the last time.
    pub fn records(&self, topic: &str) -> i64 {
        self.partitions.iter().filter(|((of, _), _)| **of == *topic).map(|(_, it)| it.records).sum()
    }

    /// Reads until that is so.
    pub async fn until(&mut self, what: &str, is_so: impl FnMut(&Self) -> bool) {
        if !self.reaches(is_so).await {
            let lives = self.partitions.iter().map(|(place, it)| (place, it.lives.len(), it.records));
            panic!("waited too long for {what}: {:?}", lives.collect::<Vec<_>>());
        }
    }

    /// Reads until that is so; false when the time is up before.
    pub async fn reaches(&mut self, mut is_so: impl FnMut(&Self) -> bool) -> bool {
        let reading = async {
            while !is_so(self) {
                match self.log.next(1_000).await {
                    Ok(Delivery::Assigned(partitions)) => {
                        for assigned in partitions {
                            let place = (assigned.topic.clone(), assigned.partition);
                            let known = self.partitions.entry(place).or_default();
                            let mut lives = std::mem::take(&mut known.lives);
                            lives.insert(assigned.incarnation.clone());
                            *known = Partition { lives, ..Partition::default() };
                            self.log.start(&assigned.topic, assigned.partition, None).await.unwrap();
                        }
                    }
                    Ok(Delivery::Records(records)) => records.iter().for_each(|record| self.take(record)),
                    Ok(Delivery::Revoked(_)) | Err(_) => {}
                }
            }
        };
        tokio::time::timeout(BOUND, reading).await.is_ok()
    }

    /// The same id always means the same.
    fn take(&mut self, record: &messaging::Record) {
        let header = |name| record.header(name).unwrap_or_default().to_owned();
        let told = (record.topic.clone(), record.key.to_vec(), header(CE_TYPE), record.payload.to_vec());
        let id = header(CE_ID);
        let partition = self.partitions.entry((record.topic.clone(), record.partition)).or_default();
        partition.records += 1;
        partition.ids.insert(id.clone());
        let known = self.seen.entry(id.clone()).or_insert_with(|| told.clone());
        assert_eq!(*known, told, "{id} means something else than before");
    }
}
