//! The file: topics, and per partition the records of each commit in one row.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use event_store::{SqliteFile, SqliteLimits, StoreError};
use rusqlite::{Connection, params};
use types::{Timestamp, fresh_uuid};

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
) strict;
create table if not exists readers (
    name text not null,
    topic text not null,
    partition integer not null,
    next integer not null,
    primary key (name, topic, partition)
) strict, without rowid;";

/// Commits that one transaction drops at the most, so that publishes do not wait for long.
const DROPPED_MAX: i64 = 512;

const LIMITS: SqliteLimits = SqliteLimits {
    lock_wait_max: Duration::from_secs(5),
    answer_wait_max: Duration::from_secs(15),
    readers_max: 2,
    page_count_max: None,
};

/// The records of one partition in one commit.
pub(super) struct CommitRow {
    pub(super) topic: i64,
    pub(super) partition: i32,
    pub(super) base: i64,
    pub(super) count: usize,
    pub(super) records: Vec<u8>,
}

/// How far a group has read a partition.
pub(super) struct Stand {
    pub(super) group: Arc<str>,
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) next: i64,
}

/// The file.
pub(super) struct Storage {
    file: SqliteFile,
}

impl Storage {
    pub(super) async fn open(file: &Path) -> Result<Self, LogError> {
        let prepare = |connection: &mut Connection| Ok(connection.execute_batch(SCHEMA)?);
        Ok(Self { file: SqliteFile::open(file, &LIMITS, prepare).await.map_err(LogError::unavailable)? })
    }

    async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, LogError> {
        let job = move |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            let done = job(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        self.file.write(job).await.map_err(LogError::unavailable)
    }

    /// All topics, each partition with where it begins and ends.
    pub(super) async fn topics(&self) -> Result<Vec<Topic>, LogError> {
        let job = |connection: &Connection| {
            let mut statement = connection
                .prepare("select id, name, incarnation, partitions, compacted from topics order by id")?;
            let mut rows = statement.query([])?;
            let mut topics = Vec::new();
            while let Some(row) = rows.next()? {
                let id = row.get(0)?;
                let bounds = (0..row.get(3)?).map(|partition| bounds(connection, id, partition));
                let partitions = bounds.map(|bounds| bounds.map(|(low, next)| Partition::new(low, next)));
                topics.push(Topic {
                    id,
                    name: row.get::<_, String>(1)?.into(),
                    incarnation: row.get::<_, String>(2)?.into(),
                    compacted: row.get(4)?,
                    partitions: partitions.collect::<Result<_, _>>()?,
                });
            }
            Ok(topics)
        };
        self.write(job).await
    }

    /// Where a partition begins, and where it ends.
    pub(super) async fn bounds(&self, topic: i64, partition: i32) -> Result<(i64, i64), LogError> {
        self.write(move |connection| Ok(bounds(connection, topic, partition)?)).await
    }

    /// Makes a topic.
    pub(super) async fn create(&self, spec: &TopicSpec) -> Result<Topic, LogError> {
        let (spec, incarnation) = (spec.clone(), fresh_uuid().to_string());
        let job = move |connection: &Connection| {
            connection.execute(
                "insert into topics (name, incarnation, partitions, compacted) values (?1, ?2, ?3, ?4)",
                params![&*spec.name, incarnation, spec.partitions, spec.compacted],
            )?;
            Ok(Topic {
                id: connection.last_insert_rowid(),
                name: spec.name.clone(),
                incarnation: incarnation.into(),
                compacted: spec.compacted,
                partitions: (0..spec.partitions).map(|_| Partition::new(0, 0)).collect(),
            })
        };
        self.write(job).await
    }

    /// Deletes a topic with all its records.
    pub(super) async fn delete(&self, topic: i64) -> Result<(), LogError> {
        let job = move |connection: &Connection| {
            let of_topic = "delete from readers where topic = (select name from topics where id = ?1)";
            connection.execute(of_topic, [topic])?;
            connection.execute("delete from topics where id = ?1", [topic])?;
            connection.execute("delete from trims where topic = ?1", [topic])?;
            connection.execute("delete from commits where topic = ?1", [topic])?;
            Ok(())
        };
        self.write(job).await
    }

    /// Deletes whole commits before an offset, and has the partition begin there.
    pub(super) async fn trim(&self, topic: i64, partition: i32, below: i64) -> Result<(), LogError> {
        self.write(move |connection| Ok(trim(connection, topic, partition, below)?)).await
    }

    /// How far the groups are, as the file was told last.
    pub(super) async fn stands(&self) -> Result<Vec<Stand>, LogError> {
        let job = |connection: &Connection| {
            let mut statement = connection.prepare("select name, topic, partition, next from readers")?;
            let stands = statement.query_map([], |row| {
                let (group, topic): (String, String) = (row.get(0)?, row.get(1)?);
                let (group, topic) = (group.into(), topic.into());
                Ok(Stand { group, topic, partition: row.get(2)?, next: row.get(3)? })
            })?;
            Ok(stands.collect::<Result<_, _>>()?)
        };
        self.write(job).await
    }

    /// Drops commits of a partition that lie wholly below an offset and whose first record is older
    /// than `before`, the oldest first and a bounded number at a time. What the groups have read goes
    /// into the file with it. Gives back where the partition begins now, or `None` when nothing went.
    pub(super) async fn drop_read(
        &self,
        stands: Vec<Stand>,
        (topic, partition): (i64, i32),
        below: i64,
        before: Timestamp,
    ) -> Result<Option<i64>, LogError> {
        let job = move |connection: &Connection| {
            let mut low = None;
            {
                let sql = "select base + count, substr(records, 1, 8) from commits \
                           where topic = ?1 and partition = ?2 and base < ?3 order by base limit ?4";
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(params![topic, partition, below, DROPPED_MAX])?;
                while let Some(row) = rows.next()? {
                    let (end, first): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
                    let at = first.try_into().map(i64::from_le_bytes).unwrap_or(i64::MAX);
                    if end > below || at >= before.as_micros() {
                        break;
                    }
                    low = Some(end);
                }
            }
            let Some(low) = low else { return Ok(None) };
            for stand in &stands {
                connection
                    .prepare_cached(
                        "insert into readers (name, topic, partition, next) values (?1, ?2, ?3, ?4)
                         on conflict (name, topic, partition) do update set next = excluded.next",
                    )?
                    .execute(params![&*stand.group, &*stand.topic, stand.partition, stand.next])?;
            }
            trim(connection, topic, partition, low)?;
            Ok(Some(low))
        };
        self.write(job).await
    }

    /// Commits the rows in one transaction.
    pub(super) async fn commit(&self, rows: Vec<CommitRow>) -> Result<(), LogError> {
        let job = move |connection: &Connection| {
            let mut statement = connection.prepare_cached(
                "insert into commits (topic, partition, base, count, records) values (?1, ?2, ?3, ?4, ?5)",
            )?;
            for row in &rows {
                let count = i64::try_from(row.count).unwrap_or(i64::MAX);
                statement.execute(params![row.topic, row.partition, row.base, count, row.records])?;
            }
            Ok(())
        };
        self.write(job).await
    }

    /// Records of a partition from an offset on, at most `max`.
    pub(super) async fn read(
        &self,
        topic: &Topic,
        partition: i32,
        from: i64,
        max: usize,
    ) -> Result<Vec<Record>, LogError> {
        let (id, name) = (topic.id, topic.name.clone());
        let job = move |connection: &mut Connection| read(connection, id, &name, partition, from, max);
        self.file.read(job).await.map_err(LogError::unavailable)?.ok_or_else(|| {
            LogError::Refused(format!("records of {}/{partition} at {from} cannot be read", topic.name))
        })
    }

    pub(super) async fn close(&self) {
        self.file.close().await;
    }
}

fn trim(connection: &Connection, topic: i64, partition: i32, below: i64) -> rusqlite::Result<()> {
    connection.execute(
        "insert into trims (topic, partition, low) values (?1, ?2, ?3)
         on conflict (topic, partition) do update set low = max(low, excluded.low)",
        params![topic, partition, below],
    )?;
    connection.execute(
        "delete from commits where topic = ?1 and partition = ?2 and base < ?3 and base + count <= ?3",
        params![topic, partition, below],
    )?;
    Ok(())
}

fn bounds(connection: &Connection, topic: i64, partition: i32) -> rusqlite::Result<(i64, i64)> {
    let sql = "select coalesce((select low from trims where topic = ?1 and partition = ?2), 0),
                      coalesce((select base + count from commits where topic = ?1 and partition = ?2
                                order by base desc limit 1), 0)";
    let mut statement = connection.prepare_cached(sql)?;
    let (low, end): (i64, i64) =
        statement.query_row(params![topic, partition], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((low, end.max(low)))
}

/// `None` when a row is not what was written.
fn read(
    connection: &Connection,
    topic: i64,
    name: &Arc<str>,
    partition: i32,
    from: i64,
    max: usize,
) -> Result<Option<Vec<Record>>, StoreError> {
    let mut statement = connection.prepare_cached(
        "select base, records from commits where topic = ?1 and partition = ?2 and base >= coalesce(
             (select base from commits where topic = ?1 and partition = ?2 and base <= ?3
              order by base desc limit 1), 0)
         order by base",
    )?;
    let mut rows = statement.query(params![topic, partition, from])?;
    let mut records = Vec::new();
    while records.len() < max
        && let Some(row) = rows.next()?
    {
        let (base, bytes): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let Some(decoded) = decode(Bytes::from(bytes), name, partition, base) else { return Ok(None) };
        records.extend(decoded.into_iter().filter(|record| record.offset >= from));
    }
    records.truncate(max);
    Ok(Some(records))
}
