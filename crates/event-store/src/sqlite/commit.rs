//! One transaction on the writing connection: read what the appends name, judge, write.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Statement, TransactionBehavior, params};

use crate::{
    Append, Position, StoreError, Verdict,
    judge::{Judged, ParkedStep, Snapshot},
    rows::{self, headers_to, signed, state_number, unsigned},
};

pub(super) const HEAD: &str = "select coalesce(max(position), 0) from events";

/// Commits in one transaction; after an error nothing is left of it.
pub(super) fn commit(connection: &mut Connection, appends: &[Append]) -> Result<Vec<Verdict>, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let judged = snapshot(&transaction, appends)?.judge(appends);
    write_log(&transaction, &judged)?;
    write_rest(&transaction, &judged)?;
    for step in &judged.parked {
        write_parked(&transaction, step)?;
    }
    transaction.commit()?;
    Ok(judged.verdicts)
}

/// What stands under a claim.
pub(super) fn claim(connection: &Connection, key: &str) -> rusqlite::Result<Option<Bytes>> {
    let mut statement = connection.prepare_cached("select value from claims where key = ?1")?;
    statement.query_row([key], |row| Ok(Bytes::copy_from_slice(row.get_ref(0)?.as_blob()?))).optional()
}

fn snapshot<'a>(connection: &Connection, appends: &'a [Append]) -> Result<Snapshot<'a>, StoreError> {
    let mut snapshot = Snapshot::asking(appends);
    let head: i64 = connection.prepare_cached(HEAD)?.query_row([], |row| row.get(0))?;
    snapshot.set_head(Position(unsigned(head)?));

    let mut last = connection
        .prepare_cached("select version from events where stream = ?1 order by version desc limit 1")?;
    for stream in snapshot.streams() {
        let version: Option<i64> = last.query_row([stream], |row| row.get(0)).optional()?;
        if let Some(version) = version {
            snapshot.set_version(stream, unsigned(version)?);
        }
    }
    for key in snapshot.claims() {
        if let Some(value) = claim(connection, key)? {
            snapshot.set_claim(key, value);
        }
    }
    let mut offset = connection.prepare_cached(
        "select consumer, topic, partition, incarnation, next from offsets \
         where consumer = ?1 and topic = ?2 and partition = ?3",
    )?;
    for (consumer, topic, partition) in snapshot.offsets() {
        let mut found = offset.query(params![consumer, topic, partition])?;
        if let Some(row) = found.next()? {
            snapshot.set_offset(rows::log_offset(row)?);
        }
    }
    Ok(snapshot)
}

/// Runs a statement for each row.
fn each<R>(
    connection: &Connection,
    sql: &str,
    rows: impl IntoIterator<Item = R>,
    run: impl Fn(&mut Statement<'_>, R) -> rusqlite::Result<usize>,
) -> rusqlite::Result<()> {
    let mut rows = rows.into_iter().peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(sql)?;
    rows.try_for_each(|row| run(&mut statement, row).map(drop))
}

fn write_log(connection: &Connection, judged: &Judged<'_>) -> rusqlite::Result<()> {
    let sql = "insert into events (position, stream, version, id, kind, schema, at, tenant, actor, causation, \
               correlation, traceparent, payload) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    each(connection, sql, &judged.events, |statement, row| {
        let metadata = &row.append.metadata;
        statement.execute(params![
            signed(row.position),
            row.append.stream.as_str(),
            signed(row.version),
            row.event.id.as_bytes(),
            &*row.event.kind,
            row.event.schema,
            row.append.at.as_micros(),
            &*metadata.tenant,
            &*metadata.actor,
            &*metadata.causation,
            &*metadata.correlation,
            &*metadata.traceparent,
            &*row.event.payload,
        ])
    })?;

    let sql = "insert into claims (key, value) values (?1, ?2)";
    each(connection, sql, &judged.claims, |statement, claim| {
        statement.execute(params![claim.key, &*claim.value])
    })?;

    let sql = "insert into offsets (consumer, topic, partition, incarnation, next) values (?1, ?2, ?3, ?4, ?5) \
               on conflict (consumer, topic, partition) do update set incarnation = excluded.incarnation, \
               next = excluded.next";
    each(connection, sql, &judged.offsets, |statement, offset| {
        let row =
            params![&*offset.consumer, &*offset.topic, offset.partition, &*offset.incarnation, offset.next];
        statement.execute(row)
    })
}

fn write_rest(connection: &Connection, judged: &Judged<'_>) -> rusqlite::Result<()> {
    let set = judged.timers.iter().filter_map(|(timer, due)| due.map(|due| (timer, due)));
    let sql = "insert into timers (stream, kind, due) values (?1, ?2, ?3) \
               on conflict (stream, kind) do update set due = excluded.due where due <> excluded.due";
    each(connection, sql, set, |statement, ((stream, kind), due)| {
        statement.execute(params![stream.as_str(), &***kind, due.as_micros()])
    })?;

    let cleared = judged.timers.iter().filter(|(_, due)| due.is_none()).map(|(timer, _)| timer);
    let sql = "delete from timers where stream = ?1 and kind = ?2";
    each(connection, sql, cleared, |statement, (stream, kind)| {
        statement.execute(params![stream.as_str(), &***kind])
    })?;

    let sql = "insert into listings (list, stream, owner, state, since) values (?1, ?2, ?3, ?4, ?5) \
               on conflict (list, stream) do update set owner = excluded.owner, state = excluded.state \
               where owner <> excluded.owner or state <> excluded.state";
    each(connection, sql, judged.listings.values(), |statement, (since, listing)| {
        statement.execute(params![
            &*listing.list,
            listing.stream.as_str(),
            &*listing.owner,
            &*listing.state,
            since.as_micros(),
        ])
    })
}

fn write_parked(connection: &Connection, step: &ParkedStep<'_>) -> rusqlite::Result<()> {
    match step {
        ParkedStep::Park(records) => {
            let sql = "insert into parked (consumer, topic, partition, incarnation, record_offset, key, headers, \
                       payload, cause, at, state) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) \
                       on conflict (consumer, topic, partition, incarnation, record_offset) do update \
                       set cause = excluded.cause, state = excluded.state";
            each(connection, sql, records.values(), |statement, record| {
                statement.execute(params![
                    &*record.consumer,
                    &*record.topic,
                    record.partition,
                    &*record.incarnation,
                    record.offset,
                    &*record.key,
                    headers_to(&record.headers),
                    &*record.payload,
                    &*record.cause,
                    record.at.as_micros(),
                    state_number(record.state),
                ])
            })
        }
        ParkedStep::Replay(keys) => {
            let sql = "update parked set state = 1 \
                       where consumer = ?1 and topic = ?2 and partition = ?3 and key = ?4";
            each(connection, sql, keys, |statement, key| {
                statement.execute(params![&*key.consumer, &*key.topic, key.partition, &*key.key])
            })
        }
        ParkedStep::Remove(places) => {
            let sql = "delete from parked where consumer = ?1 and topic = ?2 and partition = ?3 \
                       and incarnation = ?4 and record_offset = ?5";
            each(connection, sql, places, |statement, place| {
                let (consumer, topic, partition, incarnation, offset) = place;
                statement.execute(params![&***consumer, &***topic, partition, &***incarnation, offset])
            })
        }
    }
}
