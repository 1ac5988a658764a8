//! The long way to commit: take the counter's lock, read what the appends name, judge, write.

use bytes::Bytes;
use sqlx::{PgConnection, postgres::PgRow};
use types::Timestamp;

use super::failed;
use crate::{
    Append, LogOffset, Position, StoreError, StreamId,
    judge::{EventRow, Judged, ListingRows, ParkedStep, Snapshot, TimerRows},
    rows::{self, Cells, headers_to, signed, state_number, unsigned},
};

/// Begins, and takes the lock that puts appends in order. What the statements after it see includes all
/// that committed before it got the lock: each takes its own snapshot (READ COMMITTED).
const BEGIN: &str = "begin isolation level read committed; select head from counter where id = 1 for update";

/// Begins; gives the position of the last event. Until then nothing was changed.
pub(super) async fn begin(connection: &mut PgConnection) -> Result<Position, sqlx::Error> {
    let row =
        sqlx::raw_sql(BEGIN).fetch_all(&mut *connection).await?.pop().ok_or(sqlx::Error::RowNotFound)?;
    let head: i64 = sqlx::Row::try_get(&row, 0)?;
    Ok(Position(u64::try_from(head).unwrap_or_default()))
}

/// Reads, judges, writes and commits. After an error the connection must not be used again.
pub(super) async fn finish<'a>(
    connection: &mut PgConnection,
    head: Position,
    appends: &'a [Append],
) -> Result<Judged<'a>, StoreError> {
    let judged = snapshot(connection, head, appends).await?.judge(appends);
    let nothing = judged.events.is_empty()
        && judged.claims.is_empty()
        && judged.timers.is_empty()
        && judged.offsets.is_empty()
        && judged.listings.is_empty();
    if !nothing {
        write(connection, &judged).await.map_err(failed)?;
    }
    for step in &judged.parked {
        write_parked(connection, step).await.map_err(failed)?;
    }
    sqlx::raw_sql("commit").execute(&mut *connection).await.map_err(failed)?;
    Ok(judged)
}

pub(super) const CLAIMS: &str = "select key, value from claims where key = any($1)";

async fn snapshot<'a>(
    connection: &mut PgConnection,
    head: Position,
    appends: &'a [Append],
) -> Result<Snapshot<'a>, StoreError> {
    let mut snapshot = Snapshot::asking(appends);
    snapshot.set_head(head);

    let streams = snapshot.streams();
    if !streams.is_empty() {
        // The highest entry of each stream in the index, not an aggregate over all its rows.
        let sql = "select wanted.stream, (select e.version from events e where e.stream = wanted.stream \
                   order by e.version desc limit 1) from unnest($1::text[]) as wanted (stream)";
        for row in read(connection, sqlx::query(sql).bind(streams)).await? {
            if let Some(version) = row.maybe_number(1)? {
                snapshot.set_version(row.text(0)?, unsigned(version)?);
            }
        }
    }

    let claims = snapshot.claims();
    if !claims.is_empty() {
        for row in read(connection, sqlx::query(CLAIMS).bind(claims)).await? {
            snapshot.set_claim(row.text(0)?, Bytes::copy_from_slice(row.bytes(1)?));
        }
    }

    let offsets = snapshot.offsets();
    if !offsets.is_empty() {
        let sql = "select o.consumer, o.topic, o.partition, o.incarnation, o.next from offsets o \
                   join unnest($1::text[], $2::text[], $3::integer[]) as wanted (consumer, topic, partition) \
                   on o.consumer = wanted.consumer and o.topic = wanted.topic and o.partition = wanted.partition";
        let query = sqlx::query(sql)
            .bind(column(&offsets, |o| o.0))
            .bind(column(&offsets, |o| o.1))
            .bind(column(&offsets, |o| o.2));
        for row in read(connection, query).await? {
            snapshot.set_offset(rows::log_offset(&row)?);
        }
    }
    Ok(snapshot)
}

pub(super) type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

async fn read(connection: &mut PgConnection, query: Query<'_>) -> Result<Vec<PgRow>, StoreError> {
    query.fetch_all(&mut *connection).await.map_err(failed)
}

pub(super) fn column<'r, R, T>(rows: &'r [R], cell: impl FnMut(&'r R) -> T) -> Vec<T> {
    rows.iter().map(cell).collect()
}

async fn write(connection: &mut PgConnection, judged: &Judged<'_>) -> Result<(), sqlx::Error> {
    let query = sqlx::query(include_str!("write.sql"))
        .bind(signed(judged.head.0))
        .bind(column(&judged.events, |row| signed(row.position)));
    let query = bind_events(query, &judged.events)
        .bind(column(&judged.claims, |claim| claim.key.as_str()))
        .bind(column(&judged.claims, |claim| &*claim.value));
    let query = bind_offsets(bind_timers(query, &judged.timers), &judged.offsets);
    bind_listings(query, &judged.listings).execute(&mut *connection).await?;
    Ok(())
}

/// Timers that are set, and those that go.
pub(super) fn bind_timers<'q>(query: Query<'q>, timers: &'q TimerRows<'q>) -> Query<'q> {
    let set: Vec<_> = timers.iter().filter_map(|(timer, due)| due.map(|due| (timer, due))).collect();
    let gone: Vec<_> = timers.iter().filter(|(_, due)| due.is_none()).map(|(timer, _)| timer).collect();
    query
        .bind(column(&set, |((stream, _), _)| stream.as_str()))
        .bind(column(&set, |((_, kind), _)| &***kind))
        .bind(column(&set, |(_, due)| due.as_micros()))
        .bind(column(&gone, |(stream, _)| stream.as_str()))
        .bind(column(&gone, |(_, kind)| &***kind))
}

pub(super) fn bind_listings<'q>(query: Query<'q>, listings: &'q ListingRows<'q>) -> Query<'q> {
    let listings: Vec<_> = listings.values().collect();
    query
        .bind(column(&listings, |(_, listing)| &*listing.list))
        .bind(column(&listings, |(_, listing)| listing.stream.as_str()))
        .bind(column(&listings, |(_, listing)| &*listing.owner))
        .bind(column(&listings, |(_, listing)| &*listing.state))
        .bind(column(&listings, |(since, _): &&(Timestamp, _)| since.as_micros()))
}

/// All but the positions.
pub(super) fn bind_events<'q>(query: Query<'q>, events: &'q [EventRow<'q>]) -> Query<'q> {
    query
        .bind(column(events, |row| StreamId::as_str(&row.append.stream)))
        .bind(column(events, |row| signed(row.version)))
        .bind(column(events, |row| row.event.id))
        .bind(column(events, |row| &*row.event.kind))
        .bind(column(events, |row| i32::from(row.event.schema)))
        .bind(column(events, |row| row.append.at.as_micros()))
        .bind(column(events, |row| &*row.append.metadata.tenant))
        .bind(column(events, |row| &*row.append.metadata.actor))
        .bind(column(events, |row| &*row.append.metadata.causation))
        .bind(column(events, |row| &*row.append.metadata.correlation))
        .bind(column(events, |row| &*row.append.metadata.traceparent))
        .bind(column(events, |row| &*row.event.payload))
}

pub(super) fn bind_offsets<'q>(query: Query<'q>, offsets: &'q [&'q LogOffset]) -> Query<'q> {
    query
        .bind(column(offsets, |offset| &*offset.consumer))
        .bind(column(offsets, |offset| &*offset.topic))
        .bind(column(offsets, |offset| offset.partition))
        .bind(column(offsets, |offset| &*offset.incarnation))
        .bind(column(offsets, |offset| offset.next))
}

async fn write_parked(connection: &mut PgConnection, step: &ParkedStep<'_>) -> Result<(), sqlx::Error> {
    let query = match step {
        ParkedStep::Park(records) => {
            let sql = "insert into parked (consumer, topic, partition, incarnation, record_offset, key, headers, \
                       payload, cause, at, state) select * from unnest($1::text[], $2::text[], $3::integer[], \
                       $4::text[], $5::bigint[], $6::bytea[], $7::bytea[], $8::bytea[], $9::text[], $10::bigint[], \
                       $11::integer[]) on conflict (consumer, topic, partition, incarnation, record_offset) \
                       do update set cause = excluded.cause, state = excluded.state";
            let records: Vec<_> = records.values().collect();
            sqlx::query(sql)
                .bind(column(&records, |record| record.consumer.to_string()))
                .bind(column(&records, |record| record.topic.to_string()))
                .bind(column(&records, |record| record.partition))
                .bind(column(&records, |record| record.incarnation.to_string()))
                .bind(column(&records, |record| record.offset))
                .bind(column(&records, |record| record.key.to_vec()))
                .bind(column(&records, |record| headers_to(&record.headers)))
                .bind(column(&records, |record| record.payload.to_vec()))
                .bind(column(&records, |record| record.cause.to_string()))
                .bind(column(&records, |record| record.at.as_micros()))
                .bind(column(&records, |record| state_number(record.state)))
        }
        ParkedStep::Replay(keys) => {
            let sql = "update parked p set state = 1 from unnest($1::text[], $2::text[], $3::integer[], $4::bytea[]) \
                       as asked (consumer, topic, partition, key) where p.consumer = asked.consumer \
                       and p.topic = asked.topic and p.partition = asked.partition and p.key = asked.key";
            sqlx::query(sql)
                .bind(column(keys, |key| &*key.consumer))
                .bind(column(keys, |key| &*key.topic))
                .bind(column(keys, |key| key.partition))
                .bind(column(keys, |key| &*key.key))
        }
        ParkedStep::Remove(places) => {
            let sql = "delete from parked p using unnest($1::text[], $2::text[], $3::integer[], $4::text[], \
                       $5::bigint[]) as gone (consumer, topic, partition, incarnation, record_offset) \
                       where p.consumer = gone.consumer and p.topic = gone.topic and p.partition = gone.partition \
                       and p.incarnation = gone.incarnation and p.record_offset = gone.record_offset";
            sqlx::query(sql)
                .bind(column(places, |place| &**place.0))
                .bind(column(places, |place| &**place.1))
                .bind(column(places, |place| place.2))
                .bind(column(places, |place| &**place.3))
                .bind(column(places, |place| place.4))
        }
    };
    query.execute(&mut *connection).await?;
    Ok(())
}
