//! The file: topics, and per partition the records of each commit in one row.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use futures::TryStreamExt;
use sqlx::{
    AssertSqlSafe, Row, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use types::fresh_uuid;

use super::{
    encoding::decode,
    topic::{Partition, Topic},
};
use crate::{LogError, Record, TopicSpec};

const SCHEMA: &str = "
create table if not exists topics (
    id integer primary key autoincrement,
    name text not null unique,
    incarnation text not null,
    partitions integer not null,
    compacted integer not null
) strict;
create table if not exists trims (
    topic integer not null,
    partition integer not null,
    low integer not null,
    primary key (topic, partition)
) strict, without rowid;
create table if not exists commits (
    topic integer not null,
    partition integer not null,
    base integer not null,
    count integer not null,
    records blob not null,
    primary key (topic, partition, base)
) strict;";

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const READERS_MAX: u32 = 2;
/// Distinct statements kept prepared: one per number of rows in a commit.
const STATEMENTS_MAX: usize = 256;

/// The records of one partition in one commit.
pub(super) struct CommitRow {
    pub(super) topic: i64,
    pub(super) partition: i32,
    pub(super) base: i64,
    pub(super) count: usize,
    pub(super) records: Vec<u8>,
}

/// The file.
pub(super) struct Storage {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Storage {
    pub(super) async fn open(file: &Path) -> Result<Self, LogError> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .statement_cache_capacity(STATEMENTS_MAX);
        let pool = |size| SqlitePoolOptions::new().max_connections(size).acquire_timeout(BUSY_TIMEOUT);
        let writer = pool(1).connect_with(options.clone()).await.map_err(LogError::unavailable)?;
        sqlx::raw_sql(SCHEMA).execute(&writer).await.map_err(LogError::unavailable)?;
        let readers = pool(READERS_MAX).connect_with(options).await.map_err(LogError::unavailable)?;
        Ok(Self { writer, readers })
    }

    /// All topics, each partition with where it begins and ends.
    pub(super) async fn topics(&self) -> Result<Vec<Topic>, LogError> {
        let rows =
            sqlx::query("select id, name, incarnation, partitions from topics").fetch_all(&self.writer);
        let mut topics = Vec::new();
        for row in rows.await.map_err(LogError::unavailable)? {
            let (id, count): (i64, i32) = (row.get(0), row.get(3));
            let mut partitions = Vec::new();
            for partition in 0..count {
                let (low, next) = self.bounds(id, partition).await?;
                partitions.push(Partition::new(low, next));
            }
            let (name, incarnation): (String, String) = (row.get(1), row.get(2));
            topics.push(Topic { id, name: name.into(), incarnation: incarnation.into(), partitions });
        }
        Ok(topics)
    }

    /// Where a partition begins, and where it ends.
    pub(super) async fn bounds(&self, topic: i64, partition: i32) -> Result<(i64, i64), LogError> {
        let row = sqlx::query(
            "select coalesce((select low from trims where topic = ?1 and partition = ?2), 0),
                    coalesce((select base + count from commits where topic = ?1 and partition = ?2
                              order by base desc limit 1), 0)",
        )
        .bind(topic)
        .bind(partition)
        .fetch_one(&self.writer)
        .await
        .map_err(LogError::unavailable)?;
        let (low, end): (i64, i64) = (row.get(0), row.get(1));
        Ok((low, end.max(low)))
    }

    /// Makes a topic.
    pub(super) async fn create(&self, spec: &TopicSpec) -> Result<Topic, LogError> {
        let incarnation = fresh_uuid().to_string();
        let made =
            sqlx::query("insert into topics (name, incarnation, partitions, compacted) values (?, ?, ?, ?)")
                .bind(&*spec.name)
                .bind(&incarnation)
                .bind(spec.partitions)
                .bind(spec.compacted)
                .execute(&self.writer)
                .await
                .map_err(LogError::unavailable)?;
        Ok(Topic {
            id: made.last_insert_rowid(),
            name: spec.name.clone(),
            incarnation: incarnation.into(),
            partitions: (0..spec.partitions).map(|_| Partition::new(0, 0)).collect(),
        })
    }

    /// Deletes a topic with all its records.
    pub(super) async fn delete(&self, topic: i64) -> Result<(), LogError> {
        let mut transaction = self.writer.begin().await.map_err(LogError::unavailable)?;
        for statement in [
            "delete from topics where id = ?",
            "delete from trims where topic = ?",
            "delete from commits where topic = ?",
        ] {
            sqlx::query(statement)
                .bind(topic)
                .execute(&mut *transaction)
                .await
                .map_err(LogError::unavailable)?;
        }
        transaction.commit().await.map_err(LogError::unavailable)
    }

    /// Deletes whole commits before an offset, and has the partition begin there.
    pub(super) async fn trim(&self, topic: i64, partition: i32, below: i64) -> Result<(), LogError> {
        let mut transaction = self.writer.begin().await.map_err(LogError::unavailable)?;
        for statement in [
            "insert into trims (topic, partition, low) values (?1, ?2, ?3)
             on conflict (topic, partition) do update set low = max(low, excluded.low)",
            "delete from commits where topic = ?1 and partition = ?2 and base + count <= ?3",
        ] {
            sqlx::query(statement)
                .bind(topic)
                .bind(partition)
                .bind(below)
                .execute(&mut *transaction)
                .await
                .map_err(LogError::unavailable)?;
        }
        transaction.commit().await.map_err(LogError::unavailable)
    }

    /// Commits the rows in one statement, which is a transaction of its own.
    pub(super) async fn commit(&self, rows: Vec<CommitRow>) -> Result<(), LogError> {
        let mut statement = String::with_capacity(80 + rows.len() * 16);
        statement.push_str("insert into commits (topic, partition, base, count, records) values ");
        for index in 0..rows.len() {
            statement.push_str(if index == 0 { "(?, ?, ?, ?, ?)" } else { ", (?, ?, ?, ?, ?)" });
        }
        // Only the number of rows varies in it.
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for row in rows {
            let count = i64::try_from(row.count).unwrap_or(i64::MAX);
            query = query.bind(row.topic).bind(row.partition).bind(row.base).bind(count).bind(row.records);
        }
        query.execute(&self.writer).await.map_err(LogError::unavailable)?;
        Ok(())
    }

    /// Records of a partition from an offset on, at most `max`.
    pub(super) async fn read(
        &self,
        topic: &Topic,
        partition: i32,
        from: i64,
        max: usize,
    ) -> Result<Vec<Record>, LogError> {
        let mut rows = sqlx::query(
            "select base, records from commits where topic = ?1 and partition = ?2 and base >= coalesce(
                 (select base from commits where topic = ?1 and partition = ?2 and base <= ?3
                  order by base desc limit 1), 0)
             order by base",
        )
        .bind(topic.id)
        .bind(partition)
        .bind(from)
        .fetch(&self.readers);
        let mut records = Vec::new();
        while records.len() < max
            && let Some(row) = rows.try_next().await.map_err(LogError::unavailable)?
        {
            let (base, bytes): (i64, Vec<u8>) = (row.get(0), row.get(1));
            let decoded = decode(Bytes::from(bytes), &topic.name, partition, base).ok_or_else(|| {
                LogError::Refused(format!("records of {}/{partition} at {base} cannot be read", topic.name))
            })?;
            records.extend(decoded.into_iter().filter(|record| record.offset >= from));
        }
        records.truncate(max);
        Ok(records)
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
