//! SQLite: one file, one connection that writes, a few that read.

mod commit;
mod values;

use std::{
    any::Any,
    borrow::Cow,
    collections::BTreeSet,
    future::pending,
    path::{Path, PathBuf},
    sync::{Mutex as StdMutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use sqlx::{
    AssertSqlSafe, Connection, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};
use tokio::{sync::Mutex, time::timeout};

use crate::{
    Append, StoreError, StoreOptions, Verdict,
    database::{Argument, Dialect, event_columns},
};

/// Each brings the file from the version before it to its own number, counted from 1.
const MIGRATIONS: [&str; 1] = [include_str!("sqlite/0001.sql")];

/// Statements of different lengths that stay prepared on the writing connection.
const STATEMENTS_MAX: usize = 400;

pub(crate) struct Sqlite {
    options: SqliteConnectOptions,
    /// Taken out for each commit and put back after it: one that failed or was left in the middle is
    /// dropped, which rolls back for certain.
    writer: Mutex<Option<SqliteConnection>>,
    readers: SqlitePool,
    answer_wait_max: Duration,
}

/// The locks taken, by file and name. A data directory belongs to one process, so that its memory is
/// enough.
static LOCKS: StdMutex<BTreeSet<(PathBuf, String)>> = StdMutex::new(BTreeSet::new());

impl Sqlite {
    /// Opens the file, creating it when it does not exist; `max_page_count` bounds its size in pages of
    /// 4,096 bytes.
    pub(crate) async fn open(
        path: &Path,
        max_page_count: Option<u32>,
        limits: &StoreOptions,
    ) -> Result<Self, StoreError> {
        let mut options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(limits.lock_wait_max)
            .statement_cache_capacity(STATEMENTS_MAX)
            .row_buffer_size(1024)
            .pragma("temp_store", "memory")
            // Pages that every commit touches go to the file once in 16 MiB of log, not once in 4.
            .pragma("wal_autocheckpoint", "4000")
            .pragma("journal_size_limit", "67108864");
        if let Some(pages) = max_page_count {
            options = options.pragma("max_page_count", pages.to_string());
        }
        let mut connection =
            connect(&options.clone().pragma("cache_size", "-16000"), limits.lock_wait_max).await?;
        migrate(&mut connection).await.map_err(failed)?;
        let readers = SqlitePoolOptions::new()
            .max_connections(limits.readers_max.max(1))
            .acquire_timeout(limits.answer_wait_max)
            .test_before_acquire(false)
            .connect_lazy_with(options.clone().pragma("query_only", "on").pragma("cache_size", "-4000"));
        Ok(Self {
            options: options.pragma("cache_size", "-16000"),
            writer: Mutex::new(Some(connection)),
            readers,
            answer_wait_max: limits.answer_wait_max,
        })
    }

    async fn bounded<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        timeout(self.answer_wait_max, call)
            .await
            .unwrap_or_else(|_| Err(StoreError::unavailable("SQLite did not answer in time")))
    }
}

#[async_trait]
impl Dialect for Sqlite {
    type Row = SqliteRow;

    async fn rows(
        &self,
        sql: Cow<'static, str>,
        arguments: &[Argument<'_>],
    ) -> Result<Vec<SqliteRow>, StoreError> {
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for argument in arguments {
            query = match *argument {
                Argument::Text(text) => query.bind(text),
                Argument::Bytes(bytes) => query.bind(bytes),
                Argument::Number(number) => query.bind(number),
                Argument::Small(number) => query.bind(number),
            };
        }
        self.bounded(async { query.fetch_all(&self.readers).await.map_err(failed) }).await
    }

    async fn events_of(&self, streams: &[&str]) -> Result<Vec<SqliteRow>, StoreError> {
        let tail = concat!(
            ") select ",
            event_columns!(),
            " from wanted cross join events e on e.stream = wanted.stream"
        );
        self.bounded(async {
            let mut reader = self.readers.acquire().await.map_err(failed)?;
            values::select(
                &mut reader,
                "with wanted(stream) as (values ",
                1,
                tail,
                streams,
                |query, stream| query.bind(*stream),
            )
            .await
            .map_err(failed)
        })
        .await
    }

    async fn claims_of(&self, keys: &[&str]) -> Result<Vec<SqliteRow>, StoreError> {
        self.bounded(async {
            let mut reader = self.readers.acquire().await.map_err(failed)?;
            commit::claims(&mut reader, keys).await.map_err(failed)
        })
        .await
    }

    fn head_sql(&self) -> &'static str {
        commit::HEAD
    }

    async fn commit(&self, appends: &[Append]) -> Result<Vec<Verdict>, StoreError> {
        let mut place = self.writer.lock().await;
        self.bounded(async {
            let mut connection = match place.take() {
                Some(connection) => connection,
                None => SqliteConnection::connect_with(&self.options).await.map_err(failed)?,
            };
            match commit::commit(&mut connection, appends).await {
                Ok(verdicts) => {
                    *place = Some(connection);
                    Ok(verdicts)
                }
                Err(error) => {
                    // Waiting for the end of it makes sure that the next one finds no lock.
                    let _ = connection.close().await;
                    Err(error)
                }
            }
        })
        .await
    }

    async fn try_lock(&self, name: &str) -> Result<Option<Box<dyn Any + Send + Sync>>, StoreError> {
        let lock = (self.options.get_filename().to_owned(), name.to_owned());
        let taken = LOCKS.lock().unwrap_or_else(PoisonError::into_inner).insert(lock.clone());
        Ok(taken.then(|| Box::new(Held(lock)) as Box<dyn Any + Send + Sync>))
    }

    async fn hinted(&self) {
        // Only one process has the file, and it knows its own commits.
        pending::<()>().await;
    }

    async fn close(&self) {
        self.readers.close().await;
        if let Some(writer) = self.writer.lock().await.take() {
            let _ = writer.close().await;
        }
    }
}

struct Held((PathBuf, String));

impl Drop for Held {
    fn drop(&mut self) {
        LOCKS.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// Opens a connection. A file that another one is just switching to a write-ahead log says that it is
/// busy without waiting, so this asks again for a while.
async fn connect(options: &SqliteConnectOptions, wait_max: Duration) -> Result<SqliteConnection, StoreError> {
    let mut again = tokio::time::interval(Duration::from_millis(20));
    let attempts = async {
        loop {
            again.tick().await;
            match SqliteConnection::connect_with(options).await {
                Err(error) if is_busy(&error) => {}
                outcome => return outcome.map_err(failed),
            }
        }
    };
    timeout(wait_max, attempts)
        .await
        .unwrap_or_else(|_| Err(StoreError::unavailable("the file stayed locked")))
}

async fn migrate(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("begin immediate").await?;
    let version: i64 = sqlx::query_scalar("pragma user_version").fetch_one(&mut *transaction).await?;
    let done = usize::try_from(version).unwrap_or_default();
    for migration in MIGRATIONS.iter().skip(done) {
        sqlx::raw_sql(*migration).execute(&mut *transaction).await?;
    }
    if done < MIGRATIONS.len() {
        let version = format!("pragma user_version = {}", MIGRATIONS.len());
        sqlx::raw_sql(AssertSqlSafe(version)).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

/// SQLite's primary result code, when it is SQLite that failed.
fn code(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error()?.code()?;
    code.parse::<u32>().ok().map(|extended| extended & 0xff)
}

fn is_busy(error: &sqlx::Error) -> bool {
    matches!(code(error), Some(5 | 6))
}

/// Errors, damage, oversize, constraints, types and ranges come again with the same bytes. Busy, full
/// and broken disks pass.
fn failed(error: sqlx::Error) -> StoreError {
    match (&error, code(&error)) {
        (_, Some(1 | 11 | 18 | 19 | 20 | 25 | 26))
        | (sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } | sqlx::Error::Encode(_), _) => {
            StoreError::Corrupt(error.to_string())
        }
        _ => StoreError::unavailable(error),
    }
}
