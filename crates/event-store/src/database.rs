//! What both dialects have in common: every reading statement that needs no dialect of its own.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use types::Timestamp;

use crate::{
    Append, Engine, ListQuery, Listed, LogOffset, Page, ParkedKey, ParkedRecord, Position, Recorded,
    StoreError, StreamId, Timer, Verdict,
    rows::{self, Cells, EventReader, signed, unsigned},
};

/// The columns that [`EventReader`] reads.
macro_rules! event_columns {
    () => {
        "e.position, e.stream, e.version, e.id, e.kind, e.schema, e.at, e.tenant, e.actor, e.causation, \
         e.correlation, e.traceparent, e.payload"
    };
}
pub(crate) use event_columns;

/// The columns that [`rows::parked`] reads.
macro_rules! parked_columns {
    () => {
        "consumer, topic, partition, incarnation, record_offset, key, headers, payload, cause, at, state"
    };
}

/// More parked records of one place than there can be: consumers of one store, lives of one topic.
const PARKED_TIES_MAX: usize = 64;

/// A value for a placeholder.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Argument<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
    Number(i64),
    Small(i32),
}

/// What only a dialect can do.
#[async_trait]
pub(crate) trait Dialect: Send + Sync + 'static {
    /// A row as it gives it.
    type Row: Cells + Send + Sync;

    /// Runs a statement that reads; placeholders are `$1`, `$2`, …
    async fn rows(
        &self,
        sql: Cow<'static, str>,
        arguments: &[Argument<'_>],
    ) -> Result<Vec<Self::Row>, StoreError>;

    /// The rows of events of these streams, in any order.
    async fn events_of(&self, streams: &[&str]) -> Result<Vec<Self::Row>, StoreError>;

    /// The claims of these keys: key, value.
    async fn claims_of(&self, keys: &[&str]) -> Result<Vec<Self::Row>, StoreError>;

    /// The statement that reads the last position.
    fn head_sql(&self) -> &'static str;

    async fn commit(&self, appends: &[Append]) -> Result<Vec<Verdict>, StoreError>;

    async fn try_lock(&self, name: &str) -> Result<Option<Box<dyn std::any::Any + Send + Sync>>, StoreError>;

    async fn hinted(&self);

    async fn close(&self);
}

/// An engine out of a dialect.
pub(crate) struct Database<D>(pub D);

#[async_trait]
impl<D: Dialect> Engine for Database<D> {
    async fn commit(&self, appends: &[Append]) -> Result<Vec<Verdict>, StoreError> {
        self.0.commit(appends).await
    }

    async fn load(&self, streams: &[StreamId]) -> Result<Vec<Vec<Recorded>>, StoreError> {
        let mut names: Vec<_> = streams.iter().map(StreamId::as_str).collect();
        names.sort_unstable();
        names.dedup();
        let mut reader = EventReader::default();
        let mut by_stream: HashMap<StreamId, Vec<Recorded>> = HashMap::with_capacity(names.len());
        for row in self.0.events_of(&names).await? {
            let event = reader.read(&row)?;
            by_stream.entry(event.stream.clone()).or_default().push(event);
        }
        for events in by_stream.values_mut() {
            events.sort_unstable_by_key(|e| e.version);
        }
        Ok(streams.iter().map(|s| by_stream.get(s).cloned().unwrap_or_default()).collect())
    }

    async fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, StoreError> {
        let sql = concat!(
            "select ",
            event_columns!(),
            " from events e where e.position > $1 order by e.position limit $2"
        );
        let arguments = [Argument::Number(signed(after.0)), count(limit)];
        let mut reader = EventReader::default();
        self.0.rows(sql.into(), &arguments).await?.iter().map(|row| reader.read(row)).collect()
    }

    async fn head(&self) -> Result<Position, StoreError> {
        let rows = self.0.rows(self.0.head_sql().into(), &[]).await?;
        let row = rows.first().ok_or_else(|| StoreError::Corrupt("no counter".to_owned()))?;
        Ok(Position(unsigned(row.number(0)?)?))
    }

    async fn claims(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let names: Vec<_> = keys.iter().map(String::as_str).collect();
        let mut found = HashMap::new();
        for row in self.0.claims_of(&names).await? {
            found.insert(row.text(0)?.to_owned(), Bytes::copy_from_slice(row.bytes(1)?));
        }
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    }

    async fn offsets(&self, consumer: &str) -> Result<Vec<LogOffset>, StoreError> {
        let sql = "select consumer, topic, partition, incarnation, next from offsets where consumer = $1 \
                   order by topic, partition";
        self.0.rows(sql.into(), &[Argument::Text(consumer)]).await?.iter().map(rows::log_offset).collect()
    }

    async fn due_timers(&self, now: Timestamp, limit: usize) -> Result<Vec<Timer>, StoreError> {
        let sql = "select stream, kind, due from timers where due <= $1 order by due, stream, kind limit $2";
        let arguments = [Argument::Number(now.as_micros()), count(limit)];
        self.0.rows(sql.into(), &arguments).await?.iter().map(rows::timer).collect()
    }

    async fn next_timer(&self) -> Result<Option<Timestamp>, StoreError> {
        let rows = self.0.rows("select due from timers order by due limit 1".into(), &[]).await?;
        rows.first().map(|row| row.number(0).map(Timestamp::from_micros)).transpose()
    }

    async fn list(&self, query: &ListQuery) -> Result<Page<Listed>, StoreError> {
        let (sql, arguments) = list_sql(query);
        let rows = self.0.rows(sql.into(), &arguments).await?;
        let more = rows.len() > query.limit;
        let rows = rows.iter().take(query.limit).map(rows::listed).collect::<Result<_, _>>()?;
        Ok(Page { rows, more })
    }

    async fn parked(
        &self,
        consumer: Option<&str>,
        after: Option<(&str, i32, i64)>,
        limit: usize,
    ) -> Result<Page<ParkedRecord>, StoreError> {
        let (topic, partition, offset) = after.unwrap_or(("", i32::MIN, i64::MIN));
        let mut arguments = vec![
            Argument::Text(topic),
            Argument::Small(partition),
            Argument::Number(offset),
            count(limit.saturating_add(PARKED_TIES_MAX)),
        ];
        let of_consumer = consumer.map_or("", |consumer| {
            arguments.push(Argument::Text(consumer));
            "and consumer = $5"
        });
        let sql = format!(
            "select {} from parked where (topic, partition, record_offset) > ($1, $2, $3) {of_consumer} \
             order by topic, partition, record_offset, consumer, incarnation limit $4",
            parked_columns!()
        );
        let rows = self.0.rows(sql.into(), &arguments).await?;
        let mut rows = rows.iter().map(rows::parked).collect::<Result<Vec<_>, _>>()?;
        // The place after which the next page begins must not have records left on this one's far side.
        let place = |r: &ParkedRecord| (r.topic.clone(), r.partition, r.offset);
        let mut end = limit.min(rows.len());
        while end > 0 && end < rows.len() && place(&rows[end]) == place(&rows[end - 1]) {
            end += 1;
        }
        let more = rows.len() > end;
        rows.truncate(end);
        Ok(Page { rows, more })
    }

    async fn parked_of_key(&self, key: &ParkedKey, limit: usize) -> Result<Vec<ParkedRecord>, StoreError> {
        let sql = concat!(
            "select ",
            parked_columns!(),
            " from parked where consumer = $1 and topic = $2 and partition = $3 and key = $4 \
             order by record_offset, incarnation limit $5"
        );
        let arguments = [
            Argument::Text(&key.consumer),
            Argument::Text(&key.topic),
            Argument::Small(key.partition),
            Argument::Bytes(&key.key),
            count(limit),
        ];
        self.0.rows(sql.into(), &arguments).await?.iter().map(rows::parked).collect()
    }

    async fn parked_keys(
        &self,
        consumer: &str,
        topic: &str,
        partition: i32,
    ) -> Result<Vec<(ParkedKey, bool)>, StoreError> {
        let sql = "select key, max(state) from parked where consumer = $1 and topic = $2 and partition = $3 \
                   group by key order by key";
        let arguments = [Argument::Text(consumer), Argument::Text(topic), Argument::Small(partition)];
        let rows = self.0.rows(sql.into(), &arguments).await?;
        let (consumer, topic): (Arc<str>, Arc<str>) = (consumer.into(), topic.into());
        rows.iter().map(|row| rows::parked_key(row, &consumer, &topic, partition)).collect()
    }

    async fn try_lock(&self, name: &str) -> Result<Option<Box<dyn std::any::Any + Send + Sync>>, StoreError> {
        self.0.try_lock(name).await
    }

    async fn hinted(&self) {
        self.0.hinted().await;
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

fn count(limit: usize) -> Argument<'static> {
    Argument::Number(i64::try_from(limit).unwrap_or(i64::MAX))
}

/// A page of a list, read from the index that fits: an owner has few rows, so states are picked among
/// them; without an owner each state gives its newest rows and the newest of those are told.
fn list_sql(query: &ListQuery) -> (String, Vec<Argument<'_>>) {
    // No row begins later than this, so that the first page needs no statement of its own.
    let (since, stream) = query.after.as_ref().map_or((i64::MAX, ""), |(at, s)| (at.as_micros(), s.as_str()));
    let mut arguments = vec![
        Argument::Text(&query.list),
        Argument::Number(since),
        Argument::Text(stream),
        count(query.limit.saturating_add(1)),
    ];
    let select = "select stream, list, owner, state, since from listings where list = $1 \
                  and (since, stream) < ($2, $3)";
    let order = "order by since desc, stream desc limit $4";
    if let Some(owner) = &query.owner {
        arguments.push(Argument::Text(owner));
    }
    let first = arguments.len() + 1;
    arguments.extend(query.states.iter().map(|state| Argument::Text(state)));
    let places = (first..=arguments.len()).map(|place| format!("${place}"));
    let sql = match (&query.owner, query.states.is_empty()) {
        (None, true) => format!("{select} {order}"),
        (Some(_), true) => format!("{select} and owner = $5 {order}"),
        (Some(_), false) => {
            let states = places.collect::<Vec<_>>().join(", ");
            format!("{select} and owner = $5 and state in ({states}) {order}")
        }
        (None, false) => {
            let each = places.map(|place| format!("select * from ({select} and state = {place} {order}) s"));
            format!("{} {order}", each.collect::<Vec<_>>().join(" union "))
        }
    };
    (sql, arguments)
}
