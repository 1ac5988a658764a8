//! PostgreSQL: one connection that writes, a pool that reads, one that listens.

mod commit;
mod hints;
mod open;
mod presumed;

use std::{
    any::Any,
    borrow::Cow,
    sync::{Arc, Mutex as StdMutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use sqlx::{
    AssertSqlSafe, Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{sync::Mutex, time::timeout};

use self::presumed::{Known, Outcome};
use crate::{
    Append, Position, Recorded, StoreError, StoreOptions, StreamId, Verdict,
    database::{Argument, Dialect, Read, event_columns},
    rows::{Cells, EventReader},
};

/// A reading connection that was idle for longer is asked whether it still lives.
const IDLE_TRUSTED: Duration = Duration::from_secs(1);

/// Beyond the server's own bound on a statement, for an answer that got lost.
const ANSWER_GRACE: Duration = Duration::from_secs(1);

pub(crate) struct Postgres {
    options: PgConnectOptions,
    /// Taken out for each commit and put back after it: one that failed or was left in the middle is
    /// dropped, which rolls back for certain.
    writer: Mutex<Option<Writing>>,
    readers: PgPool,
    hints: hints::Hints,
    answer_wait_max: Duration,
}

impl Postgres {
    /// Connects; creates the database when it does not exist.
    pub(crate) async fn open(url: &str, limits: &StoreOptions) -> Result<Self, StoreError> {
        let options: PgConnectOptions =
            url.parse().map_err(|error: sqlx::Error| StoreError::unavailable(error))?;
        let options = open::session(options, limits);
        let answer_wait_max = limits.answer_wait_max + ANSWER_GRACE;
        let connection = timeout(answer_wait_max, open::open(&options))
            .await
            .unwrap_or_else(|_| Err(StoreError::unavailable("PostgreSQL did not answer in time")))?;
        let readers = PgPoolOptions::new()
            // Two beside the readers: one listens, one tells.
            .max_connections(limits.readers_max.max(1) + 2)
            .acquire_timeout(limits.answer_wait_max)
            .test_before_acquire(false)
            .before_acquire(|connection, metadata| {
                async move {
                    if metadata.idle_for > IDLE_TRUSTED {
                        connection.ping().await?;
                    }
                    Ok(true)
                }
                .boxed()
            })
            .connect_lazy_with(options.clone());
        let writing = Writing { connection, known: None, used: Instant::now() };
        let hints = hints::Hints::new(readers.clone());
        Ok(Self { options, writer: Mutex::new(Some(writing)), readers, hints, answer_wait_max })
    }

    async fn bounded<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        timeout(self.answer_wait_max, call)
            .await
            .unwrap_or_else(|_| Err(StoreError::unavailable("PostgreSQL did not answer in time")))
    }

    /// Commits the short way where that is worth trying; gives the connection back where it was not done.
    async fn commit_presuming(&self, idle: Option<Writing>, appends: &[Append]) -> Result<Tried, StoreError> {
        let Some(mut writing) = idle else { return Ok(Tried::Open(None)) };
        // One that was idle for longer may be dead, which the long way finds out before anything is sent.
        let trusted = writing.used.elapsed() < IDLE_TRUSTED;
        let Some(known) = writing.known.as_mut().filter(|_| trusted) else {
            return Ok(Tried::Open(Some(writing.connection)));
        };
        match presumed::commit(&mut writing.connection, known, appends).await {
            Ok(Outcome::Committed { verdicts, head }) => {
                writing.used = Instant::now();
                Ok(Tried::Committed { writing, verdicts, head })
            }
            Ok(Outcome::Open) => Ok(Tried::Open(Some(writing.connection))),
            // The session was ended before it took the statement up.
            Err(error) if matches!(open::code(&error).as_deref(), Some("57P01" | "57P05")) => {
                Ok(Tried::Open(None))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// A connection on which a transaction has begun. One that was idle may be dead without our knowing;
    /// nothing has been sent on it, so a fresh one is tried in its place.
    async fn begin(&self, idle: Option<PgConnection>) -> Result<(PgConnection, Position), StoreError> {
        if let Some(mut connection) = idle {
            match commit::begin(&mut connection).await {
                Ok(head) => return Ok((connection, head)),
                Err(error) if is_lost(&error) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        let mut connection = PgConnection::connect_with(&self.options).await.map_err(failed)?;
        let head = commit::begin(&mut connection).await.map_err(failed)?;
        Ok((connection, head))
    }
}

/// The connection that writes, and what it knows.
struct Writing {
    connection: PgConnection,
    known: Option<Known>,
    used: Instant,
}

/// What became of trying the short way.
enum Tried {
    Committed {
        writing: Writing,
        verdicts: Vec<Verdict>,
        head: Option<u64>,
    },
    /// Nothing was written; the connection is fit for the long way.
    Open(Option<PgConnection>),
}

#[async_trait]
impl Dialect for Postgres {
    async fn rows<T: Send + 'static>(
        &self,
        sql: Cow<'static, str>,
        arguments: Vec<Argument>,
        mut read: Read<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for argument in arguments {
            query = match argument {
                Argument::Text(text) => query.bind(text),
                Argument::Bytes(bytes) => query.bind(Vec::from(bytes)),
                Argument::Number(number) => query.bind(number),
                Argument::Small(number) => query.bind(number),
            };
        }
        let rows = self.bounded(async { query.fetch_all(&self.readers).await.map_err(failed) }).await?;
        rows.iter().map(|row| read(row)).collect()
    }

    async fn events_of(&self, streams: Vec<StreamId>) -> Result<Vec<Recorded>, StoreError> {
        let sql = concat!(
            "select ",
            event_columns!(),
            " from events e where e.stream = any($1) order by e.stream, e.version"
        );
        let names: Vec<&str> = streams.iter().map(StreamId::as_str).collect();
        let query = sqlx::query(sql).bind(names);
        let rows = self.bounded(async { query.fetch_all(&self.readers).await.map_err(failed) }).await?;
        let mut reader = EventReader::default();
        rows.iter().map(|row| reader.read(row)).collect()
    }

    async fn claims_of(&self, keys: Vec<String>) -> Result<Vec<(String, Bytes)>, StoreError> {
        let query = sqlx::query(commit::CLAIMS).bind(keys);
        let rows = self.bounded(async { query.fetch_all(&self.readers).await.map_err(failed) }).await?;
        rows.iter().map(|row| Ok((row.text(0)?.to_owned(), Bytes::copy_from_slice(row.bytes(1)?)))).collect()
    }

    fn head_sql(&self) -> &'static str {
        "select head from counter where id = 1"
    }

    async fn commit(&self, appends: &Arc<Vec<Append>>) -> Result<Vec<Verdict>, StoreError> {
        let mut place = self.writer.lock().await;
        self.bounded(async {
            let idle = match self.commit_presuming(place.take(), appends).await? {
                Tried::Committed { writing, verdicts, head } => {
                    *place = Some(writing);
                    head.into_iter().for_each(|head| self.hints.committed(head));
                    return Ok(verdicts);
                }
                Tried::Open(idle) => idle,
            };
            let (mut connection, head) = self.begin(idle).await?;
            let judged = commit::finish(&mut connection, head, appends).await?;
            let known = Some(Known::at(judged.head.0));
            *place = Some(Writing { connection, known, used: Instant::now() });
            if judged.head > head {
                self.hints.committed(judged.head.0);
            }
            Ok(judged.verdicts)
        })
        .await
    }

    async fn try_lock(&self, name: &str) -> Result<Option<Box<dyn Any + Send + Sync>>, StoreError> {
        self.bounded(async {
            let mut connection = PgConnection::connect_with(&self.options).await.map_err(failed)?;
            let taken: bool = sqlx::query_scalar(
                "select pg_try_advisory_lock(hashtextextended(current_schema() || '/' || $1, 0))",
            )
            .bind(name)
            .fetch_one(&mut connection)
            .await
            .map_err(failed)?;
            if taken {
                return Ok(Some(Box::new(StdMutex::new(connection)) as Box<dyn Any + Send + Sync>));
            }
            let _ = connection.close().await;
            Ok(None)
        })
        .await
    }

    async fn hinted(&self) {
        self.hints.hinted().await;
    }

    async fn close(&self) {
        // Marks the pool closed, which ends the listener's wait, before the rest is waited for.
        let closing = self.readers.close();
        self.hints.close().await;
        closing.await;
        if let Some(writer) = self.writer.lock().await.take() {
            let _ = writer.connection.close().await;
        }
    }
}

/// Whether the connection died, or the server is going.
fn is_lost(error: &sqlx::Error) -> bool {
    match open::code(error) {
        Some(code) => code.starts_with("57P") || code.starts_with("08") || code == "25P03",
        None => matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_)),
    }
}

/// Wrong data, constraints, limits of the program and unknown names come again with the same bytes; all
/// else passes.
fn failed(error: sqlx::Error) -> StoreError {
    let lasting = match open::code(&error) {
        Some(code) => ["22", "23", "42", "54"].iter().any(|class| code.starts_with(class)),
        None => matches!(
            error,
            sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } | sqlx::Error::Encode(_)
        ),
    };
    if lasting { StoreError::Corrupt(error.to_string()) } else { StoreError::unavailable(error) }
}
