//! SQLite: one file, one connection that writes, a few that read.

mod commit;
pub(crate) mod file;

use std::{
    any::Any,
    borrow::Cow,
    collections::BTreeSet,
    future::pending,
    path::{Path, PathBuf},
    sync::{Arc, Mutex as StdMutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{Connection, ToSql, TransactionBehavior, types::ToSqlOutput};

use self::file::{SqliteFile, SqliteLimits};
use crate::{
    Append, Recorded, StoreError, StoreOptions, StreamId, Verdict,
    database::{Argument, Dialect, Read, event_columns},
    rows::EventReader,
};

/// Each brings the file from the version before it to its own number, counted from 1.
const MIGRATIONS: [&str; 1] = [include_str!("sqlite/0001.sql")];

pub(crate) struct Sqlite {
    file: SqliteFile,
}

/// The locks taken, by file and name. A data directory belongs to one process, so that its memory is
/// enough.
static LOCKS: StdMutex<BTreeSet<(PathBuf, String)>> = StdMutex::new(BTreeSet::new());

impl Sqlite {
    /// Opens the file, creating it when it does not exist; `page_count_max` bounds its size in pages of
    /// 4,096 bytes.
    pub(crate) async fn open(
        path: &Path,
        page_count_max: Option<u32>,
        options: &StoreOptions,
    ) -> Result<Self, StoreError> {
        let limits = SqliteLimits {
            lock_wait_max: options.lock_wait_max,
            answer_wait_max: options.answer_wait_max,
            readers_max: options.readers_max,
            page_count_max,
        };
        Ok(Self { file: SqliteFile::open(path, &limits, migrate).await? })
    }
}

#[async_trait]
impl Dialect for Sqlite {
    async fn rows<T: Send + 'static>(
        &self,
        sql: Cow<'static, str>,
        arguments: Vec<Argument>,
        mut read: Read<T>,
    ) -> Result<Vec<T>, StoreError> {
        // A number behind `?` is the argument's; one behind `$` would be a name.
        let sql = sql.replace('$', "?");
        let job = move |connection: &mut Connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(rusqlite::params_from_iter(&arguments))?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(read(row)?);
            }
            Ok(found)
        };
        self.file.read(job).await
    }

    async fn events_of(&self, streams: Vec<StreamId>) -> Result<Vec<Recorded>, StoreError> {
        let sql =
            concat!("select ", event_columns!(), " from events e where e.stream = ?1 order by e.version");
        let job = move |connection: &mut Connection| {
            // One transaction, so that all are read as of one moment, and the file is looked at once.
            let transaction = connection.transaction()?;
            let mut reader = EventReader::default();
            let mut found = Vec::new();
            let mut statement = transaction.prepare_cached(sql)?;
            for stream in &streams {
                let mut rows = statement.query([stream.as_str()])?;
                while let Some(row) = rows.next()? {
                    found.push(reader.read(row)?);
                }
            }
            Ok(found)
        };
        self.file.read(job).await
    }

    async fn claims_of(&self, keys: Vec<String>) -> Result<Vec<(String, Bytes)>, StoreError> {
        let job = move |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            let mut found = Vec::new();
            for key in keys {
                if let Some(value) = commit::claim(&transaction, &key)? {
                    found.push((key, value));
                }
            }
            Ok(found)
        };
        self.file.read(job).await
    }

    fn head_sql(&self) -> &'static str {
        commit::HEAD
    }

    async fn commit(&self, appends: &Arc<Vec<Append>>) -> Result<Vec<Verdict>, StoreError> {
        let appends = appends.clone();
        self.file.write(move |connection| commit::commit(connection, &appends)).await
    }

    async fn try_lock(&self, name: &str) -> Result<Option<Box<dyn Any + Send + Sync>>, StoreError> {
        let lock = (self.file.path().to_owned(), name.to_owned());
        let taken = LOCKS.lock().unwrap_or_else(PoisonError::into_inner).insert(lock.clone());
        Ok(taken.then(|| Box::new(Held(lock)) as Box<dyn Any + Send + Sync>))
    }

    async fn hinted(&self) {
        // Only one process has the file, and it knows its own commits.
        pending::<()>().await;
    }

    async fn close(&self) {
        self.file.close().await;
    }
}

struct Held((PathBuf, String));

impl Drop for Held {
    fn drop(&mut self) {
        LOCKS.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

impl ToSql for Argument {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Text(text) => text.to_sql(),
            Self::Bytes(bytes) => Ok(ToSqlOutput::from(&**bytes)),
            Self::Number(number) => number.to_sql(),
            Self::Small(number) => number.to_sql(),
        }
    }
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = transaction.query_row("pragma user_version", [], |row| row.get(0))?;
    let done = usize::try_from(version).unwrap_or_default();
    for migration in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(migration)?;
    }
    if done < MIGRATIONS.len() {
        transaction.execute_batch(&format!("pragma user_version = {}", MIGRATIONS.len()))?;
    }
    Ok(transaction.commit()?)
}
