//! The floor's PostgreSQL: tables of rows, and batches appended to them with COPY.

use anyhow::{Context, Result, ensure};
use bytes::{BufMut as _, BytesMut};
use futures::SinkExt as _;
use tokio::task::JoinSet;
use tokio_postgres::{Client, Config, NoTls, Statement};

use super::{
    pulse::Id,
    shape::{KIND, Pool},
};
use crate::unit::UNITS;

/// The tables: the participants', then the coordinator's.
pub const COORDINATOR: usize = UNITS;
/// The first bytes of binary COPY: signature, flags, no extension.
const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// A database of its own.
pub struct Database {
    server: Config,
    name: String,
}

impl Database {
    /// Makes the database and its tables.
    pub async fn create(url: &str, name: &str) -> Result<Self> {
        let it = Self { server: url.parse()?, name: name.to_owned() };
        let mut tasks = JoinSet::new();
        let server = connect(&it.server, &mut tasks).await?;
        server.batch_execute(&format!("create database {name}")).await?;
        let client = it.connect(&mut tasks).await?;
        for table in 0..=UNITS {
            client
                .batch_execute(&format!(
                    "create table rows_{table} (stream uuid not null, version integer not null, \
                     position bigint generated always as identity, kind text not null, payload bytea not null, \
                     primary key (stream, version));
                     create unique index on rows_{table} (position);
                     alter table rows_{table} alter column payload set storage plain;
                     create table offsets_{table} (consumer integer primary key, next bigint[] not null) \
                     with (fillfactor = 50);"
                ))
                .await?;
        }
        client.batch_execute("checkpoint").await?;
        Ok(it)
    }

    pub async fn drop(&self) -> Result<()> {
        let mut tasks = JoinSet::new();
        let server = connect(&self.server, &mut tasks).await?;
        server.batch_execute(&format!("drop database {} with (force)", self.name)).await?;
        Ok(())
    }

    async fn connect(&self, tasks: &mut JoinSet<()>) -> Result<Client> {
        let mut config = self.server.clone();
        connect(config.dbname(&self.name), tasks).await
    }
}

async fn connect(config: &Config, tasks: &mut JoinSet<()>) -> Result<Client> {
    let (client, connection) = config.connect(NoTls).await.context("PostgreSQL cannot be reached")?;
    tasks.spawn(async move {
        // Whoever uses the client is told what went wrong.
        let _ = connection.await;
    });
    Ok(client)
}

/// Rows in the form that COPY takes.
pub struct Rows {
    bytes: BytesMut,
    count: u64,
}

impl Rows {
    pub fn new() -> Self {
        let mut bytes = BytesMut::with_capacity(64 * 1024);
        bytes.put_slice(COPY_HEADER);
        Self { bytes, count: 0 }
    }

    /// A row of so many bytes.
    pub fn push(&mut self, id: Id, version: usize, pool: &Pool, bytes: usize) {
        let payload = pool.row(bytes, id.number + version as u64);
        self.bytes.reserve(payload.len() + 64);
        self.bytes.put_i16(4);
        for field in [&id.to_bytes()[..], &(version as i32).to_be_bytes(), KIND.as_bytes(), payload] {
            self.bytes.put_i32(field.len() as i32);
            self.bytes.put_slice(field);
        }
        self.count += 1;
    }
}

/// One connection that appends to one table.
pub struct Appender {
    client: Client,
    copy: Statement,
    table: usize,
    consumer: i32,
    _connection: JoinSet<()>,
}

impl Appender {
    pub async fn new(database: &Database, table: usize, consumer: i32) -> Result<Self> {
        let mut connection = JoinSet::new();
        let client = database.connect(&mut connection).await?;
        client
            .execute(&format!("insert into offsets_{table} values ({consumer}, '{{}}')"), &[])
            .await
            .context("a consumer cannot be added")?;
        let copy = format!("copy rows_{table} (stream, version, kind, payload) from stdin binary");
        let copy = client.prepare(&copy).await?;
        Ok(Self { client, copy, table, consumer, _connection: connection })
    }

    /// Appends the rows, and with them where a consumer reads on; returns when that is durable.
    /// Everything goes out without waiting for the answer to what was before it.
    pub async fn append(&self, mut rows: Rows, next: &[i64]) -> Result<()> {
        rows.bytes.put_i16(-1);
        let (begun, sink) = tokio::join!(self.client.batch_execute("begin"), self.client.copy_in(&self.copy));
        begun?;
        let mut sink = std::pin::pin!(sink?);
        sink.send(rows.bytes.freeze()).await?;
        let next: Vec<String> = next.iter().map(ToString::to_string).collect();
        let end = format!(
            "update offsets_{} set next = '{{{}}}' where consumer = {}; commit",
            self.table,
            next.join(","),
            self.consumer
        );
        let (copied, ended) = tokio::join!(sink.finish(), self.client.batch_execute(&end));
        let copied: u64 = copied?;
        ensure!(copied == rows.count, "{copied} of {} rows were written", rows.count);
        Ok(ended?)
    }
}
