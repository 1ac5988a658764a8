//! Statements over many rows, with a list of values.

use sqlx::{
    AssertSqlSafe, Sqlite, SqliteConnection,
    sqlite::{SqliteArguments, SqliteRow},
};

/// The most rows of one statement: 128 rows of 13 columns are far below the limit of 32,766 values.
const ROWS_MAX: usize = 128;

pub(super) type Query = sqlx::query::Query<'static, Sqlite, SqliteArguments>;

/// Runs `head (…), (…), … tail` over all rows, in as few statements as there are lengths kept prepared.
pub(super) async fn execute<R>(
    connection: &mut SqliteConnection,
    head: &str,
    columns: usize,
    tail: &str,
    mut rows: &[R],
    bind: impl Fn(Query, &R) -> Query,
) -> Result<(), sqlx::Error> {
    while !rows.is_empty() {
        let (now, later) = rows.split_at(length(rows.len()));
        prepare(head, columns, tail, now, &bind).execute(&mut *connection).await?;
        rows = later;
    }
    Ok(())
}

/// As [`execute`], for statements that read.
pub(super) async fn select<R>(
    connection: &mut SqliteConnection,
    head: &str,
    columns: usize,
    tail: &str,
    mut rows: &[R],
    bind: impl Fn(Query, &R) -> Query,
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let mut found = Vec::new();
    while !rows.is_empty() {
        let (now, later) = rows.split_at(length(rows.len()));
        found.append(&mut prepare(head, columns, tail, now, &bind).fetch_all(&mut *connection).await?);
        rows = later;
    }
    Ok(found)
}

/// How many rows the next statement takes: each length is a statement of its own to prepare and keep, so
/// above a few they are powers of two.
fn length(rows: usize) -> usize {
    match rows {
        ROWS_MAX.. => ROWS_MAX,
        64.. => 64,
        32.. => 32,
        16.. => 16,
        few => few,
    }
}

fn prepare<R>(
    head: &str,
    columns: usize,
    tail: &str,
    rows: &[R],
    bind: impl Fn(Query, &R) -> Query,
) -> Query {
    let mut sql = String::with_capacity(head.len() + tail.len() + rows.len() * (columns * 2 + 2));
    sql.push_str(head);
    for row in 0..rows.len() {
        sql.push_str(if row == 0 { "(?" } else { ",(?" });
        sql.extend(std::iter::repeat_n(",?", columns - 1));
        sql.push(')');
    }
    sql.push_str(tail);
    rows.iter().fold(sqlx::query(AssertSqlSafe(sql)), bind)
}
