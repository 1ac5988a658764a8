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
#[derive(Debug, Clone)]
pub(crate) enum Argument {
    Text(Arc<str>),
    Bytes(Bytes),
    Number(i64),
    Small(i32),
}

/// Makes something of each row. Rows may be read on another thread than the caller's.
pub(crate) type Read<T> = Box<dyn FnMut(&dyn Cells) -> Result<T, StoreError> + Send>;

/// What only a dialect can do.
#[async_trait]
pub(crate) trait Dialect: Send + Sync + 'static {
    /// Runs a statement that reads; placeholders are `$1`, `$2`, …
    async fn rows<T: Send + 'static>(
        &self,
        sql: Cow<'static, str>,
        arguments: Vec<Argument>,
        read: Read<T>,
    ) -> Result<Vec<T>, StoreError>;

    /// The events of these streams, each named once: oldest first within a stream.
    async fn events_of(&self, streams: Vec<StreamId>) -> Result<Vec<Recorded>, StoreError>;

    /// What stands under those of these keys that are taken.
    async fn claims_of(&self, keys: Vec<String>) -> Result<Vec<(String, Bytes)>, StoreError>;

    /// The statement that reads the last position.
    fn head_sql(&self) -> &'static str;

    async fn commit(&self, appends: &Arc<Vec<Append>>) -> Result<Vec<Verdict>, StoreError>;

    async fn try_lock(&self, name: &str) -> Result<Option<Box<dyn std::any::Any + Send + Sync>>, StoreError>;

    async fn hinted(&self);

    async fn close(&self);
}

/// An engine out of a dialect.
pub(crate) struct Database<D>(pub D);

#[async_trait]
impl<D: Dialect> Engine for Database<D> {
    async fn commit(&self, appends: &Arc<Vec<Append>>) -> Result<Vec<Verdict>, StoreError> {
        self.0.commit(appends).await
    }

    async fn load(&self, streams: &[StreamId]) -> Result<Vec<Vec<Recorded>>, StoreError> {
        // Sorted, so that neighbours in the index are read together.
        let mut names = streams.to_vec();
        names.sort_unstable();
        names.dedup();
        let each_once = names.len() == streams.len();
        let mut by_stream: HashMap<StreamId, Vec<Recorded>> = HashMap::with_capacity(names.len());
        for event in self.0.events_of(names).await? {
            match by_stream.get_mut(&event.stream) {
                Some(events) => events.push(event),
                None => drop(by_stream.insert(event.stream.clone(), vec![event])),
            }
        }
        let mut events_of = |stream| match each_once {
            true => by_stream.remove(stream),
            false => by_stream.get(stream).cloned(),
        };
        Ok(streams.iter().map(|stream| events_of(stream).unwrap_or_default()).collect())
    }

    async fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, StoreError> {
        let sql = concat!(
            "select ",
            event_columns!(),
            " from events e where e.position > $1 order by e.position limit $2"
        );
        let arguments = vec![Argument::Number(signed(after.0)), count(limit)];
        let mut reader = EventReader::default();
        self.0.rows(sql.into(), arguments, Box::new(move |row| reader.read(row))).await
    }

    async fn head(&self) -> Result<Position, StoreError> {
        let read = Box::new(|row: &dyn Cells| unsigned(row.number(0)?));
        let heads = self.0.rows(self.0.head_sql().into(), Vec::new(), read).await?;
        heads.first().map(|head| Position(*head)).ok_or_else(|| StoreError::Corrupt("no counter".to_owned()))
    }

    async fn claims(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let found: HashMap<String, Bytes> = self.0.claims_of(keys.to_vec()).await?.into_iter().collect();
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    }

    async fn offsets(&self, consumer: &str) -> Result<Vec<LogOffset>, StoreError> {
        let sql = "select consumer, topic, partition, incarnation, next from offsets where consumer = $1 \
                   order by topic, partition";
        self.0.rows(sql.into(), vec![Argument::Text(consumer.into())], Box::new(rows::log_offset)).await
    }

    async fn due_timers(&self, now: Timestamp, limit: usize) -> Result<Vec<Timer>, StoreError> {
        let sql = "select stream, kind, due from timers where due <= $1 order by due, stream, kind limit $2";
        let arguments = vec![Argument::Number(now.as_micros()), count(limit)];
        self.0.rows(sql.into(), arguments, Box::new(rows::timer)).await
    }

    async fn next_timer(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = "select due from timers order by due limit 1";
        let read = Box::new(|row: &dyn Cells| row.number(0).map(Timestamp::from_micros));
        Ok(self.0.rows(sql.into(), Vec::new(), read).await?.pop())
    }

    async fn list(&self, query: &ListQuery) -> Result<Page<Listed>, StoreError> {
        let (sql, arguments) = list_sql(query);
        let mut rows = self.0.rows(sql.into(), arguments, Box::new(rows::listed)).await?;
        let more = rows.len() > query.limit;
        rows.truncate(query.limit);
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
            Argument::Text(topic.into()),
            Argument::Small(partition),
            Argument::Number(offset),
            count(limit.saturating_add(PARKED_TIES_MAX)),
        ];
        let of_consumer = consumer.map_or("", |consumer| {
            arguments.push(Argument::Text(consumer.into()));
            "and consumer = $5"
        });
        let sql = format!(
            "select {} from parked where (topic, partition, record_offset) > ($1, $2, $3) {of_consumer} \
             order by topic, partition, record_offset, consumer, incarnation limit $4",
            parked_columns!()
        );
        let mut rows = self.0.rows(sql.into(), arguments, Box::new(rows::parked)).await?;
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
        let arguments = vec![
            Argument::Text(key.consumer.clone()),
            Argument::Text(key.topic.clone()),
            Argument::Small(key.partition),
            Argument::Bytes(key.key.clone()),
            count(limit),
        ];
        self.0.rows(sql.into(), arguments, Box::new(rows::parked)).await
    }

    async fn parked_keys(&self, consumer: &str) -> Result<Vec<(ParkedKey, bool)>, StoreError> {
        let sql = "select topic, partition, key, max(state) from parked where consumer = $1 \
                   group by topic, partition, key order by topic, partition, key";
        let consumer: Arc<str> = consumer.into();
        let arguments = vec![Argument::Text(consumer.clone())];
        let read = move |row: &dyn Cells| rows::parked_key(row, &consumer);
        self.0.rows(sql.into(), arguments, Box::new(read)).await
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

fn count(limit: usize) -> Argument {
    Argument::Number(i64::try_from(limit).unwrap_or(i64::MAX))
}

/// A page of a list, read from the index that fits: an owner has few rows, so states are picked among
/// them; without an owner each state gives its newest rows and the newest of those are told.
fn list_sql(query: &ListQuery) -> (String, Vec<Argument>) {
    // No row begins later than this, so that the first page needs no statement of its own.
    let (since, stream) = query.after.as_ref().map_or((i64::MAX, ""), |(at, s)| (at.as_micros(), s.as_str()));
    let mut arguments = vec![
        Argument::Text(query.list.clone()),
        Argument::Number(since),
        Argument::Text(stream.into()),
        count(query.limit.saturating_add(1)),
    ];
    let select = "select stream, list, owner, state, since from listings where list = $1 \
                  and (since, stream) < ($2, $3)";
    let order = "order by since desc, stream desc limit $4";
    if let Some(owner) = &query.owner {
        arguments.push(Argument::Text(owner.clone()));
    }
    let first = arguments.len() + 1;
    arguments.extend(query.states.iter().map(|state| Argument::Text(state.clone())));
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
