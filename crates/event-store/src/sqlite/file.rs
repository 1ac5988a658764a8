//! One SQLite file: a connection that writes and a few that read, each used on a thread that may block.
//!
//! What is asked of it runs whole on such a thread: one hop there and one back for a transaction of any
//! number of statements.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex as StdMutex, PoisonError},
    time::Duration,
};

use rusqlite::Connection;
use tokio::{
    sync::{Mutex, Semaphore},
    task::spawn_blocking,
    time::{interval, timeout},
};

use crate::StoreError;

/// Bytes of pages that all connections of a process keep together. What lies beyond is in the memory
/// of the operating system, which serves every process and needs no bound of ours.
const PROCESS_CACHE_BYTES: u32 = 32 * 1024 * 1024;
/// Kibibytes of pages that one connection may keep of them.
const WRITER_CACHE_KIB: u32 = 8 * 1024;
const READER_CACHE_KIB: u32 = 2 * 1024;
/// Statements that stay prepared on a connection.
const STATEMENTS_MAX: usize = 64;
/// How often a file that was busy is opened again.
const OPEN_INTERVAL: Duration = Duration::from_millis(20);

/// The limits of a file.
#[derive(Debug, Clone)]
pub struct SqliteLimits {
    /// How long a transaction waits for another process that writes.
    pub lock_wait_max: Duration,
    /// How long any call waits for its answer.
    pub answer_wait_max: Duration,
    /// How many connections read at once.
    pub readers_max: u32,
    /// Pages of 4,096 bytes beyond which the file is full; as many as fit on the disk when it is `None`.
    pub page_count_max: Option<u32>,
}

/// One SQLite file. Commits are durable when they return (write-ahead log, synchronous=FULL).
pub struct SqliteFile {
    opener: Arc<Opener>,
    /// Taken out for each use and put back after it: a connection that failed is dropped, which rolls
    /// back for certain.
    writer: Arc<Mutex<Option<Connection>>>,
    readers: Arc<StdMutex<Vec<Connection>>>,
    reading: Arc<Semaphore>,
    answer_wait_max: Duration,
}

struct Opener {
    path: PathBuf,
    lock_wait_max: Duration,
    page_count_max: Option<u32>,
}

impl SqliteFile {
    /// Opens the file, creating it when it does not exist, and lets `prepare` bring its tables up to date.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be opened, or what `prepare` says.
    pub async fn open(
        path: &Path,
        limits: &SqliteLimits,
        prepare: fn(&mut Connection) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        let opener = Arc::new(Opener {
            path: path.to_owned(),
            lock_wait_max: limits.lock_wait_max,
            page_count_max: limits.page_count_max,
        });
        let mut writer = opener.clone().open_waiting(limits.answer_wait_max).await?;
        let writer = blocking(move || {
            prepare(&mut writer)?;
            Ok(writer)
        })
        .await?;
        Ok(Self {
            opener,
            writer: Arc::new(Mutex::new(Some(writer))),
            readers: Arc::default(),
            reading: Arc::new(Semaphore::new(limits.readers_max.max(1) as usize)),
            answer_wait_max: limits.answer_wait_max,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.opener.path
    }

    /// Runs a job on the connection that writes, one job after the other. One that nobody waits for any
    /// more runs to its end all the same.
    ///
    /// # Errors
    /// What the job says; [`StoreError::Unavailable`] when it takes too long.
    pub async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.bounded(async {
            let mut place = self.writer.clone().lock_owned().await;
            if self.reading.is_closed() {
                return Err(closed());
            }
            let opener = self.opener.clone();
            blocking(move || {
                let mut connection = match place.take() {
                    Some(connection) => connection,
                    None => opener.open(WRITER_CACHE_KIB)?,
                };
                let done = job(&mut connection)?;
                *place = Some(connection);
                Ok(done)
            })
            .await
        })
        .await
    }

    /// Runs a job on a connection that only reads.
    ///
    /// # Errors
    /// What the job says; [`StoreError::Unavailable`] when it takes too long.
    pub async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.bounded(async {
            let permit = self.reading.clone().acquire_owned().await.map_err(|_| closed())?;
            let (opener, readers) = (self.opener.clone(), self.readers.clone());
            blocking(move || {
                let idle = readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let mut connection = match idle {
                    Some(connection) => connection,
                    None => opener.open_reader()?,
                };
                let done = job(&mut connection)?;
                readers.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
                drop(permit);
                Ok(done)
            })
            .await
        })
        .await
    }

    /// Takes no more jobs, waits for those that run, and closes all connections, the writing one last.
    pub async fn close(&self) {
        self.reading.close();
        let writer = self.writer.lock().await.take();
        let readers = std::mem::take(&mut *self.readers.lock().unwrap_or_else(PoisonError::into_inner));
        // The last one to close writes the log back into the file.
        let ended = blocking(move || {
            drop(readers);
            drop(writer);
            Ok(())
        });
        if let Err(error) = ended.await {
            tracing::debug!(%error, "a SQLite file was left open");
        }
    }

    async fn bounded<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        timeout(self.answer_wait_max, call)
            .await
            .unwrap_or_else(|_| Err(StoreError::unavailable("SQLite did not answer in time")))
    }
}

impl Opener {
    /// Opens the file. One that another process is just switching to a write-ahead log says that it is
    /// busy without waiting, so this asks again for a while.
    async fn open_waiting(self: Arc<Self>, wait_max: Duration) -> Result<Connection, StoreError> {
        let mut again = interval(OPEN_INTERVAL);
        let attempts = async {
            loop {
                again.tick().await;
                let opener = self.clone();
                match blocking(move || Ok(opener.connect(WRITER_CACHE_KIB))).await? {
                    Err(error) if matches!(code(&error), Some(5 | 6)) => {}
                    outcome => return Ok(outcome?),
                }
            }
        };
        timeout(wait_max, attempts)
            .await
            .unwrap_or_else(|_| Err(StoreError::unavailable("the file stayed locked")))
    }

    fn open(&self, cache_kib: u32) -> Result<Connection, StoreError> {
        Ok(self.connect(cache_kib)?)
    }

    fn open_reader(&self) -> Result<Connection, StoreError> {
        let connection = self.open(READER_CACHE_KIB)?;
        connection.execute_batch("pragma query_only = on")?;
        Ok(connection)
    }

    fn connect(&self, cache_kib: u32) -> Result<Connection, rusqlite::Error> {
        let connection = Connection::open(&self.path)?;
        connection.busy_timeout(self.lock_wait_max)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        // Pages that every commit touches go to the file once in 16 MiB of log, not once in 4.
        connection.execute_batch(&format!(
            "pragma journal_mode = wal; pragma synchronous = full; pragma temp_store = memory; \
             pragma wal_autocheckpoint = 4000; pragma journal_size_limit = 67108864; \
             pragma cache_size = -{cache_kib}; pragma soft_heap_limit = {PROCESS_CACHE_BYTES};"
        ))?;
        if let Some(pages) = self.page_count_max {
            connection.execute_batch(&format!("pragma max_page_count = {pages}"))?;
        }
        Ok(connection)
    }
}

/// Runs a job where it may block.
async fn blocking<T: Send + 'static>(
    job: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    spawn_blocking(job).await.unwrap_or_else(|ended| Err(StoreError::unavailable(ended)))
}

fn closed() -> StoreError {
    StoreError::unavailable("the file is closed")
}

/// SQLite's primary result code, when it is SQLite that failed.
fn code(error: &rusqlite::Error) -> Option<i32> {
    error.sqlite_error().map(|failure| failure.extended_code & 0xff)
}

/// Errors, damage, oversize, constraints, types and ranges come again with the same bytes. Busy, full
/// and broken disks pass.
impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match code(&error) {
            None | Some(1 | 11 | 18 | 19 | 20 | 25 | 26) => Self::Corrupt(error.to_string()),
            Some(_) => Self::unavailable(error),
        }
    }
}
