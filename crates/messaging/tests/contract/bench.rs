//! A fresh log and a fresh store for each case, and waits with a bound.

use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use event_store::{Store, StoreOptions};
use messaging::{
    Assignment, ConsumedLog, Delivery, EventLog, LogError, Message, Record, Subscription, TopicSpec, open_log,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;
use types::fresh_uuid;

/// Longer than anything here takes on a busy machine.
const CASE_TIME_MAX: Duration = Duration::from_secs(240);
/// The longest wait for something that will come.
const WAIT_MAX: Duration = Duration::from_secs(90);

/// What a case works on.
pub struct Bench {
    pub log: Arc<dyn EventLog>,
    pub store_url: String,
    /// Goes with the case.
    _dir: TempDir,
    topics: Mutex<Vec<Arc<str>>>,
}

/// Runs a case on the embedded log and SQLite.
pub fn on_embedded<F: Future<Output = ()>>(case: impl FnOnce(Arc<Bench>) -> F) {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| format!("sqlite:{}", dir.path().join(name).display());
    let (log_url, store_url) = (file("log.db"), file("store.db"));
    block_on(async { run(case, log_url, store_url, dir).await });
}

/// Runs a case on Kafka and PostgreSQL, where there are servers.
pub fn on_kafka<F: Future<Output = ()>>(case: impl FnOnce(Arc<Bench>) -> F) {
    let Ok(brokers) = std::env::var("EXEUNT_TEST_KAFKA_BROKERS") else {
        println!("skipped: EXEUNT_TEST_KAFKA_BROKERS names no broker");
        return;
    };
    let Ok(server) = std::env::var("EXEUNT_TEST_POSTGRES_URL") else {
        println!("skipped: EXEUNT_TEST_POSTGRES_URL names no server");
        return;
    };
    let name = format!("messaging_{}", fresh_uuid().simple());
    let store_url = format!("{}/{name}", server.rsplit_once('/').unwrap().0);
    // Its shortest, so that cases in which a member dies are over soon.
    let log_url = format!("kafka://{brokers}?session.timeout.ms=6000");
    block_on(async {
        run(case, log_url, store_url, tempfile::tempdir().unwrap()).await;
        let mut server = PgConnection::connect(&server).await.unwrap();
        let sql = format!("drop database if exists {name} with (force)");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut server).await.unwrap();
    });
}

async fn run<F: Future<Output = ()>>(
    case: impl FnOnce(Arc<Bench>) -> F,
    log_url: String,
    store_url: String,
    dir: TempDir,
) {
    let log = open_log(&log_url).await.unwrap();
    let bench = Arc::new(Bench { log, store_url, _dir: dir, topics: Mutex::default() });
    case(bench.clone()).await;
    let topics = std::mem::take(&mut *bench.topics.lock().unwrap());
    for topic in topics {
        bench.log.delete(&topic).await.unwrap();
    }
    bench.log.close().await;
}

fn block_on(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(CASE_TIME_MAX, case).await.expect("case hangs") });
}

/// Waits for something that will come.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(WAIT_MAX, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited too long for {what}"),
    }
}

/// Asks again and again until the answer is there.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let mut look = tokio::time::interval(Duration::from_millis(10));
    within(what, async {
        loop {
            look.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    })
    .await
}

impl Bench {
    /// A new topic of a random name.
    pub async fn topic(&self, partitions: i32) -> Arc<str> {
        let name = self.name();
        self.declare(&name, partitions).await;
        name
    }

    /// The name of a topic that is not there yet.
    pub fn name(&self) -> Arc<str> {
        let name: Arc<str> = format!("test-{}", fresh_uuid().simple()).into();
        self.topics.lock().unwrap().push(name.clone());
        name
    }

    pub async fn declare(&self, name: &Arc<str>, partitions: i32) {
        let spec = TopicSpec { name: name.clone(), partitions, compacted: false };
        self.log.declare(&[spec]).await.unwrap();
    }

    pub async fn store(&self) -> Store {
        Store::open(&self.store_url, StoreOptions::default()).await.unwrap()
    }

    /// Publishes texts, each with its key.
    pub async fn publish(&self, topic: &Arc<str>, records: &[(&str, &str)]) {
        let messages = records.iter().map(|(key, text)| message(topic, key, text)).collect();
        self.log.publish(messages).await.unwrap();
    }

    pub async fn reader(&self, group: &str, member: &str, topics: &[&Arc<str>]) -> Reader {
        let topics = topics.iter().map(|topic| (*topic).clone()).collect();
        let subscription = Subscription { group: group.into(), member: member.into(), topics };
        Reader {
            log: self.log.subscribe(subscription).await.unwrap(),
            assigned: Vec::new(),
            records: Vec::new(),
        }
    }
}

/// A group's name that nobody else has.
pub fn group() -> String {
    format!("group-{}", fresh_uuid().simple())
}

pub fn message(topic: &Arc<str>, key: &str, text: &str) -> Message {
    Message {
        topic: topic.clone(),
        key: Bytes::copy_from_slice(key.as_bytes()),
        headers: vec![
            (messaging::CE_ID.into(), Bytes::from(format!("{text}/toy"))),
            ("x-other".into(), Bytes::from_static(b"\xff")),
        ],
        payload: Some(Bytes::copy_from_slice(text.as_bytes())),
    }
}

pub fn text(record: &Record) -> &str {
    std::str::from_utf8(&record.payload).unwrap()
}

/// A member of a group that reads all it is given from the beginning, and remembers.
pub struct Reader {
    pub log: Box<dyn ConsumedLog>,
    pub assigned: Vec<Assignment>,
    pub records: Vec<Record>,
}

impl Reader {
    /// Takes the next delivery; partitions are begun at their earliest record.
    pub async fn step(&mut self) -> Result<(), LogError> {
        match self.log.next(100).await? {
            Delivery::Assigned(partitions) => {
                for assigned in &partitions {
                    self.log.start(&assigned.topic, assigned.partition, None).await?;
                }
                self.assigned.extend(partitions);
            }
            Delivery::Revoked(places) => {
                self.assigned.retain(|kept| !places.contains(&(kept.topic.clone(), kept.partition)));
            }
            Delivery::Records(records) => self.records.extend(records),
        }
        Ok(())
    }

    pub async fn read_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        within(what, async {
            while !done(self) {
                self.step().await.unwrap();
            }
        })
        .await;
    }

    pub async fn read(&mut self, count: usize) {
        self.read_until("records", |reader| reader.records.len() >= count).await;
    }
}
