//! A fresh database for each case, and short ways to say what is appended.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use event_store::{
    Append, Appended, Expected, Memory, Metadata, NewEvent, Position, Recorded, Store, StoreOptions,
    StreamAppend, StreamId,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use types::{Timestamp, fresh_uuid};

/// Longer than anything here takes on a busy machine.
const CASE_TIME_MAX: Duration = Duration::from_secs(180);

/// The database of one case.
pub struct Fresh {
    /// Where it is; nothing is there before the first store opens.
    pub url: String,
    pub dialect: Dialect,
    /// What all stores share where nothing is on a disk.
    pub memory: Arc<Memory>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
    Postgres,
    Memory,
}

/// Another connection to the database of a case, past the store.
pub enum Raw {
    Sqlite(rusqlite::Connection),
    Postgres(PgConnection),
}

impl Fresh {
    pub async fn store(&self) -> Store {
        self.store_with(StoreOptions::default()).await
    }

    pub async fn store_with(&self, options: StoreOptions) -> Store {
        match self.dialect {
            Dialect::Memory => Store::with_engine(self.memory.clone(), options),
            Dialect::Sqlite | Dialect::Postgres => Store::open(&self.url, options).await.unwrap(),
        }
    }

    pub async fn raw(&self) -> Raw {
        match self.dialect {
            Dialect::Sqlite => {
                Raw::Sqlite(rusqlite::Connection::open(self.url.trim_start_matches("sqlite:")).unwrap())
            }
            Dialect::Postgres => Raw::Postgres(PgConnection::connect(&self.url).await.unwrap()),
            Dialect::Memory => panic!("nothing is behind a store in memory"),
        }
    }
}

impl Raw {
    pub async fn run(&mut self, sql: &str) {
        match self {
            Self::Sqlite(connection) => connection.execute_batch(sql).unwrap(),
            Self::Postgres(connection) => {
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap();
            }
        }
    }

    pub async fn number(&mut self, sql: &str) -> i64 {
        match self {
            Self::Sqlite(connection) => connection.query_row(sql, [], |row| row.get(0)).unwrap(),
            Self::Postgres(connection) => {
                sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(connection).await.unwrap()
            }
        }
    }
}

/// Runs a case on a SQLite file of its own.
pub fn on_sqlite<F: Future<Output = ()>>(case: impl FnOnce(Fresh) -> F) {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("events.db").display());
    block_on(case(Fresh { url, dialect: Dialect::Sqlite, memory: Arc::default() }));
}

/// Runs a case on a database in memory.
pub fn in_memory<F: Future<Output = ()>>(case: impl FnOnce(Fresh) -> F) {
    block_on(case(Fresh { url: String::new(), dialect: Dialect::Memory, memory: Arc::default() }));
}

/// Runs a case on a PostgreSQL database of its own, where there is a server.
pub fn on_postgres<F: Future<Output = ()>>(case: impl FnOnce(Fresh) -> F) {
    let Ok(server) = std::env::var("EXEUNT_TEST_POSTGRES_URL") else {
        println!("skipped: EXEUNT_TEST_POSTGRES_URL names no server");
        return;
    };
    let (address, _) = server.rsplit_once('/').unwrap();
    let name = format!("contract_{}", fresh_uuid().simple());
    let url = format!("{address}/{name}");
    block_on(async {
        case(Fresh { url, dialect: Dialect::Postgres, memory: Arc::default() }).await;
        let mut server = PgConnection::connect(&server).await.unwrap();
        let sql = format!("drop database if exists {name} with (force)");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut server).await.unwrap();
    });
}

fn block_on(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(CASE_TIME_MAX, case).await.expect("case hangs") });
}

pub fn stream(name: &str) -> StreamId {
    StreamId::new(name)
}

pub fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

pub fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

pub fn metadata() -> Arc<Metadata> {
    Arc::new(Metadata {
        tenant: "local".into(),
        actor: "tester".into(),
        causation: "".into(),
        correlation: "".into(),
        traceparent: "".into(),
    })
}

pub fn event(payload: &str) -> NewEvent {
    NewEvent { id: fresh_uuid(), kind: "test.v1.Happened".into(), schema: 1, payload: bytes(payload) }
}

/// Some events for a stream.
pub fn events(name: &str, expected: Expected, payloads: &[&str]) -> StreamAppend {
    StreamAppend {
        stream: stream(name),
        expected,
        metadata: metadata(),
        at: at(1_000),
        events: payloads.iter().map(|payload| event(payload)).collect(),
    }
}

/// An append of one event to one stream at a version.
pub fn one(name: &str, version: u64, payload: &str) -> Append {
    Append { streams: vec![events(name, Expected::Exactly(version), &[payload])], ..Append::default() }
}

/// An append of one event to one stream, whatever its version.
pub fn any(name: &str, payload: &str) -> Append {
    Append { streams: vec![events(name, Expected::Any, &[payload])], ..Append::default() }
}

/// What an append of one event must have done.
pub fn appended(position: u64, version: u64) -> Appended {
    Appended { position: Position(position), versions: vec![version] }
}

pub fn payloads(events: &[Recorded]) -> Vec<&str> {
    events.iter().map(|e| std::str::from_utf8(&e.payload).unwrap()).collect()
}

pub fn positions(events: &[Recorded]) -> Vec<u64> {
    events.iter().map(|e| e.position.0).collect()
}

/// Reads a tail until it gave so many.
pub async fn take(tail: &mut event_store::Tail, count: usize) -> Vec<Recorded> {
    let mut taken = Vec::new();
    while taken.len() < count {
        taken.extend(tail.next(count - taken.len()).await.unwrap());
    }
    taken
}
