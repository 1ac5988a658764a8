//! One transaction on the writing connection: read what the appends name, judge, write.

use std::sync::Arc;

use bytes::Bytes;
use sqlx::{SqliteConnection, sqlite::SqliteRow};

use super::{failed, values};
use crate::{
    Append, Position, StoreError, Verdict,
    judge::{Judged, ParkedStep, Snapshot},
    rows::{self, Cells, headers_to, signed, state_number, unsigned},
};

pub(super) const HEAD: &str = "select coalesce(max(position), 0) from events";

/// Takes the only right to write, then reads the last position: one trip to the connection's thread.
const BEGIN: &str = "begin immediate; select coalesce(max(position), 0) from events";

/// Commits in one transaction. After an error the connection must not be used again.
pub(super) async fn commit(
    connection: &mut SqliteConnection,
    appends: &[Append],
) -> Result<Vec<Verdict>, StoreError> {
    let begun = sqlx::raw_sql(BEGIN).fetch_all(&mut *connection).await.map_err(failed)?;
    let head = begun.first().map_or(Ok(0), |row| row.number(0)).and_then(unsigned)?;
    let judged = snapshot(connection, Position(head), appends).await?.judge(appends);
    write_log(connection, &judged).await.map_err(failed)?;
    write_rest(connection, &judged).await.map_err(failed)?;
    for step in &judged.parked {
        write_parked(connection, step).await.map_err(failed)?;
    }
    sqlx::raw_sql("commit").execute(&mut *connection).await.map_err(failed)?;
    Ok(judged.verdicts)
}

pub(super) async fn claims(
    connection: &mut SqliteConnection,
    keys: &[&str],
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let tail = ") select claims.key, claims.value from wanted cross join claims on claims.key = wanted.key";
    values::select(connection, "with wanted(key) as (values ", 1, tail, keys, |query, key| query.bind(*key))
        .await
}

async fn snapshot<'a>(
    connection: &mut SqliteConnection,
    head: Position,
    appends: &'a [Append],
) -> Result<Snapshot<'a>, StoreError> {
    let mut snapshot = Snapshot::asking(appends);
    snapshot.set_head(head);

    let tail = ") select stream, (select max(version) from events where stream = wanted.stream) from wanted";
    let streams = snapshot.streams();
    let found =
        values::select(connection, "with wanted(stream) as (values ", 1, tail, &streams, |query, stream| {
            query.bind(*stream)
        });
    for row in found.await.map_err(failed)? {
        if let Some(version) = row.maybe_number(1)? {
            snapshot.set_version(row.text(0)?, unsigned(version)?);
        }
    }

    for row in claims(connection, &snapshot.claims()).await.map_err(failed)? {
        snapshot.set_claim(row.text(0)?, Bytes::copy_from_slice(row.bytes(1)?));
    }

    let head = "select consumer, topic, partition, incarnation, next from offsets \
                where (consumer, topic, partition) in (values ";
    let offsets = snapshot.offsets();
    let found = values::select(connection, head, 3, ")", &offsets, |query, (consumer, topic, partition)| {
        query.bind(*consumer).bind(*topic).bind(*partition)
    });
    for row in found.await.map_err(failed)? {
        snapshot.set_offset(rows::log_offset(&row)?);
    }
    Ok(snapshot)
}

async fn write_log(connection: &mut SqliteConnection, judged: &Judged<'_>) -> Result<(), sqlx::Error> {
    let head = "insert into events (position, stream, version, id, kind, schema, at, tenant, actor, causation, \
                correlation, traceparent, payload) values ";
    values::execute(connection, head, 13, "", &judged.events, |query, row| {
        let metadata = &row.append.metadata;
        query
            .bind(signed(row.position))
            .bind(row.append.stream.shared())
            .bind(signed(row.version))
            .bind(row.event.id)
            .bind(&*row.event.kind)
            .bind(i32::from(row.event.schema))
            .bind(row.append.at.as_micros())
            .bind(metadata.tenant.clone())
            .bind(metadata.actor.clone())
            .bind(metadata.causation.clone())
            .bind(metadata.correlation.clone())
            .bind(metadata.traceparent.clone())
            .bind(&*row.event.payload)
    })
    .await?;

    let head = "insert into claims (key, value) values ";
    values::execute(connection, head, 2, "", &judged.claims, |query, claim| {
        query.bind(&*claim.key).bind(&*claim.value)
    })
    .await?;

    let head = "insert into offsets (consumer, topic, partition, incarnation, next) values ";
    let tail = " on conflict (consumer, topic, partition) do update set incarnation = excluded.incarnation, \
                next = excluded.next";
    values::execute(connection, head, 5, tail, &judged.offsets, |query, offset| {
        query
            .bind(offset.consumer.clone())
            .bind(offset.topic.clone())
            .bind(offset.partition)
            .bind(offset.incarnation.clone())
            .bind(offset.next)
    })
    .await
}

async fn write_rest(connection: &mut SqliteConnection, judged: &Judged<'_>) -> Result<(), sqlx::Error> {
    let set: Vec<_> = judged.timers.iter().filter_map(|(timer, due)| due.map(|due| (timer, due))).collect();
    let head = "insert into timers (stream, kind, due) values ";
    let tail = " on conflict (stream, kind) do update set due = excluded.due";
    values::execute(connection, head, 3, tail, &set, |query, ((stream, kind), due)| {
        query.bind(stream.shared()).bind(Arc::clone(kind)).bind(due.as_micros())
    })
    .await?;

    let cleared: Vec<_> =
        judged.timers.iter().filter(|(_, due)| due.is_none()).map(|(timer, _)| timer).collect();
    let head = "delete from timers where (stream, kind) in (values ";
    values::execute(connection, head, 2, ")", &cleared, |query, (stream, kind)| {
        query.bind(stream.shared()).bind(Arc::clone(kind))
    })
    .await?;

    let listings: Vec<_> = judged.listings.values().collect();
    let head = "insert into listings (list, stream, owner, state, since) values ";
    let tail = " on conflict (list, stream) do update set owner = excluded.owner, state = excluded.state \
                where owner <> excluded.owner or state <> excluded.state";
    values::execute(connection, head, 5, tail, &listings, |query, (since, listing)| {
        query
            .bind(listing.list.clone())
            .bind(listing.stream.shared())
            .bind(listing.owner.clone())
            .bind(listing.state.clone())
            .bind(since.as_micros())
    })
    .await
}

async fn write_parked(connection: &mut SqliteConnection, step: &ParkedStep<'_>) -> Result<(), sqlx::Error> {
    match step {
        ParkedStep::Park(records) => {
            let records: Vec<_> = records.values().collect();
            let head = "insert into parked (consumer, topic, partition, incarnation, record_offset, key, headers, \
                        payload, cause, at, state) values ";
            let tail = " on conflict (consumer, topic, partition, incarnation, record_offset) do update \
                        set cause = excluded.cause, state = excluded.state";
            values::execute(connection, head, 11, tail, &records, |query, record| {
                query
                    .bind(record.consumer.clone())
                    .bind(record.topic.clone())
                    .bind(record.partition)
                    .bind(record.incarnation.clone())
                    .bind(record.offset)
                    .bind(&*record.key)
                    .bind(headers_to(&record.headers))
                    .bind(&*record.payload)
                    .bind(record.cause.clone())
                    .bind(record.at.as_micros())
                    .bind(state_number(record.state))
            })
            .await
        }
        ParkedStep::Replay(keys) => {
            let head = "update parked set state = 1 where (consumer, topic, partition, key) in (values ";
            values::execute(connection, head, 4, ")", keys, |query, key| {
                query.bind(key.consumer.clone()).bind(key.topic.clone()).bind(key.partition).bind(&*key.key)
            })
            .await
        }
        ParkedStep::Remove(places) => {
            let head = "delete from parked \
                        where (consumer, topic, partition, incarnation, record_offset) in (values ";
            values::execute(connection, head, 5, ")", places, |query, place| {
                let (consumer, topic, partition, incarnation, offset) = *place;
                query
                    .bind(consumer.clone())
                    .bind(topic.clone())
                    .bind(partition)
                    .bind(incarnation.clone())
                    .bind(offset)
            })
            .await
        }
    }
}
