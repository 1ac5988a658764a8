//! Connecting: the database, its tables, the settings of every session.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection, postgres::PgConnectOptions};

use super::failed;
use crate::{StoreError, StoreOptions};

/// Each brings the database from the version before it to its own number, counted from 1.
const MIGRATIONS: [&str; 2] = [include_str!("0001.sql"), include_str!("0002.sql")];

/// The lock under which a database is brought up to date; any number, of our own.
const MIGRATION_LOCK: i64 = 7_274_117_036;

/// How long a connection may take to come about.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// How often a database is asked into being: copying the template fails while another does so.
const CREATE_ATTEMPTS_MAX: u32 = 50;

/// Settings of every session.
pub(super) fn session(options: PgConnectOptions, limits: &StoreOptions) -> PgConnectOptions {
    let milliseconds = |wait: Duration| wait.as_millis().max(1).to_string();
    options.options([
        ("lock_timeout", milliseconds(limits.lock_wait_max)),
        ("statement_timeout", milliseconds(limits.answer_wait_max)),
        // A process that stops in the middle must not hold the counter's lock for ever.
        ("idle_in_transaction_session_timeout", milliseconds(limits.answer_wait_max)),
        // That something is there already is what is hoped for, and nothing to log at every start.
        ("client_min_messages", "warning".to_owned()),
        ("tcp_keepalives_idle", "10".to_owned()),
        ("tcp_keepalives_interval", "5".to_owned()),
        ("tcp_keepalives_count", "3".to_owned()),
        // Every statement has its index. A plan made while a table was small is kept, and must not read all
        // of it when it has grown.
        ("enable_seqscan", "off".to_owned()),
        ("enable_hashjoin", "off".to_owned()),
        ("enable_mergejoin", "off".to_owned()),
        // The statements are few and long, and planning one costs as much as running it.
        ("plan_cache_mode", "force_generic_plan".to_owned()),
        ("jit", "off".to_owned()),
    ])
}

/// Connects, creating the database when it does not exist, and brings its tables up to date.
pub(super) async fn open(options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    let mut connection = match connect(options).await {
        Err(error) if code(&error).as_deref() == Some("3D000") => {
            create(options).await?;
            connect(options).await
        }
        outcome => outcome,
    }
    .map_err(not_connected)?;
    migrate(&mut connection).await.map_err(failed)?;
    Ok(connection)
}

/// A connection, or an end to waiting for one.
async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let connecting = tokio::time::timeout(CONNECT_WITHIN, PgConnection::connect_with(options));
    connecting.await.unwrap_or_else(|late| Err(sqlx::Error::Io(late.into())))
}

/// Class 28 is about who we say that we are.
fn not_connected(error: sqlx::Error) -> StoreError {
    match code(&error) {
        Some(code) if code.starts_with("28") => StoreError::Denied(error.to_string()),
        _ => StoreError::unavailable(error),
    }
}

async fn create(options: &PgConnectOptions) -> Result<(), StoreError> {
    let name = options.get_database().unwrap_or_else(|| options.get_username()).replace('"', "\"\"");
    let mut server = connect(&options.clone().database("postgres")).await.map_err(not_connected)?;
    let mut again = tokio::time::interval(Duration::from_millis(100));
    let mut attempts = 0;
    loop {
        again.tick().await;
        attempts += 1;
        let sql = format!("create database \"{name}\"");
        let Err(error) = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut server).await else { break };
        match code(&error).as_deref() {
            // Another process was faster.
            Some("42P04" | "23505") => break,
            // The template is being copied by another one.
            Some("55006") if attempts < CREATE_ATTEMPTS_MAX => {}
            _ => return Err(StoreError::unavailable(error)),
        }
    }
    let _ = server.close().await;
    Ok(())
}

async fn migrate(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    sqlx::query("select pg_advisory_xact_lock($1)").bind(MIGRATION_LOCK).execute(&mut *transaction).await?;
    let table = "create table if not exists migrations (version integer primary key)";
    sqlx::raw_sql(table).execute(&mut *transaction).await?;
    let done: i32 = sqlx::query_scalar("select coalesce(max(version), 0) from migrations")
        .fetch_one(&mut *transaction)
        .await?;
    for (version, migration) in (1_i32..).zip(MIGRATIONS) {
        if version > done {
            sqlx::raw_sql(migration).execute(&mut *transaction).await?;
            sqlx::query("insert into migrations (version) values ($1)")
                .bind(version)
                .execute(&mut *transaction)
                .await?;
        }
    }
    transaction.commit().await
}

/// The SQLSTATE, when it is the server that failed.
pub(super) fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}
