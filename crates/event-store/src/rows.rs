//! From rows to what the store gives back; the same for both dialects.

use std::{collections::HashSet, sync::Arc};

use bytes::{Buf, BufMut, Bytes};
use rusqlite::types::ValueRef;
use sqlx::{Row, postgres::PgRow};
use types::Timestamp;
use uuid::Uuid;

use crate::{
    Listed, LogOffset, Metadata, ParkedKey, ParkedRecord, ParkedState, Position, Recorded, StoreError,
    StreamId, Timer,
};

/// The cells of a row, by number from 0.
pub(crate) trait Cells {
    fn text(&self, cell: usize) -> Result<&str, StoreError>;
    fn bytes(&self, cell: usize) -> Result<&[u8], StoreError>;
    fn number(&self, cell: usize) -> Result<i64, StoreError>;
    /// A 64-bit number, or nothing.
    fn maybe_number(&self, cell: usize) -> Result<Option<i64>, StoreError>;
    /// A 32-bit number.
    fn small(&self, cell: usize) -> Result<i32, StoreError>;
    fn uuid(&self, cell: usize) -> Result<Uuid, StoreError>;
}

impl Cells for PgRow {
    fn text(&self, cell: usize) -> Result<&str, StoreError> {
        self.try_get(cell).map_err(unreadable)
    }
    fn bytes(&self, cell: usize) -> Result<&[u8], StoreError> {
        self.try_get(cell).map_err(unreadable)
    }
    fn number(&self, cell: usize) -> Result<i64, StoreError> {
        self.try_get(cell).map_err(unreadable)
    }
    fn maybe_number(&self, cell: usize) -> Result<Option<i64>, StoreError> {
        self.try_get(cell).map_err(unreadable)
    }
    fn small(&self, cell: usize) -> Result<i32, StoreError> {
        self.try_get(cell).map_err(unreadable)
    }
    fn uuid(&self, cell: usize) -> Result<Uuid, StoreError> {
        self.try_get(cell).map_err(unreadable)
    }
}

impl Cells for rusqlite::Row<'_> {
    fn text(&self, cell: usize) -> Result<&str, StoreError> {
        self.get_ref(cell)?.as_str().map_err(unreadable)
    }
    fn bytes(&self, cell: usize) -> Result<&[u8], StoreError> {
        self.get_ref(cell)?.as_blob().map_err(unreadable)
    }
    fn number(&self, cell: usize) -> Result<i64, StoreError> {
        self.get_ref(cell)?.as_i64().map_err(unreadable)
    }
    fn maybe_number(&self, cell: usize) -> Result<Option<i64>, StoreError> {
        match self.get_ref(cell)? {
            ValueRef::Null => Ok(None),
            value => value.as_i64().map(Some).map_err(unreadable),
        }
    }
    fn small(&self, cell: usize) -> Result<i32, StoreError> {
        i32::try_from(self.number(cell)?).map_err(unreadable)
    }
    fn uuid(&self, cell: usize) -> Result<Uuid, StoreError> {
        Uuid::from_slice(self.bytes(cell)?).map_err(unreadable)
    }
}

fn unreadable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(error.to_string())
}

/// A count as the databases keep it.
pub(crate) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A count as we keep it.
pub(crate) fn unsigned(count: i64) -> Result<u64, StoreError> {
    u64::try_from(count).map_err(|_| StoreError::Corrupt(format!("count of {count}")))
}

/// Reads events, sharing the texts that rows repeat.
#[derive(Default)]
pub(crate) struct EventReader {
    kinds: HashSet<Arc<str>>,
    metadata: Option<Arc<Metadata>>,
    stream: Option<StreamId>,
}

impl EventReader {
    /// The event of a row: position, stream, version, id, kind, schema, time, tenant, actor, causation,
    /// correlation, traceparent, payload.
    pub(crate) fn read(&mut self, row: &dyn Cells) -> Result<Recorded, StoreError> {
        let schema = row.small(5)?;
        Ok(Recorded {
            position: Position(unsigned(row.number(0)?)?),
            stream: self.stream(row.text(1)?),
            version: unsigned(row.number(2)?)?,
            id: row.uuid(3)?,
            kind: self.kind(row.text(4)?),
            schema: u16::try_from(schema)
                .map_err(|_| StoreError::Corrupt(format!("schema version {schema}")))?,
            at: Timestamp::from_micros(row.number(6)?),
            metadata: self.metadata(row)?,
            payload: Bytes::copy_from_slice(row.bytes(12)?),
        })
    }

    fn stream(&mut self, name: &str) -> StreamId {
        match &self.stream {
            Some(stream) if stream.as_str() == name => stream.clone(),
            _ => self.stream.insert(StreamId::new(name)).clone(),
        }
    }

    fn kind(&mut self, name: &str) -> Arc<str> {
        if let Some(kind) = self.kinds.get(name) {
            return kind.clone();
        }
        let kind: Arc<str> = name.into();
        self.kinds.insert(kind.clone());
        kind
    }

    fn metadata(&mut self, row: &dyn Cells) -> Result<Arc<Metadata>, StoreError> {
        let texts = [row.text(7)?, row.text(8)?, row.text(9)?, row.text(10)?, row.text(11)?];
        if let Some(m) = &self.metadata
            && texts == [&*m.tenant, &*m.actor, &*m.causation, &*m.correlation, &*m.traceparent]
        {
            return Ok(m.clone());
        }
        let [tenant, actor, causation, correlation, traceparent] = texts.map(Arc::from);
        let metadata = Arc::new(Metadata { tenant, actor, causation, correlation, traceparent });
        Ok(self.metadata.insert(metadata).clone())
    }
}

/// Consumer, topic, partition, incarnation, next.
pub(crate) fn log_offset(row: &dyn Cells) -> Result<LogOffset, StoreError> {
    Ok(LogOffset {
        consumer: row.text(0)?.into(),
        topic: row.text(1)?.into(),
        partition: row.small(2)?,
        incarnation: row.text(3)?.into(),
        next: row.number(4)?,
    })
}

/// Stream, kind, due.
pub(crate) fn timer(row: &dyn Cells) -> Result<Timer, StoreError> {
    Ok(Timer {
        stream: StreamId::new(row.text(0)?),
        kind: row.text(1)?.into(),
        due: Timestamp::from_micros(row.number(2)?),
    })
}

/// Stream, list, owner, state, since.
pub(crate) fn listed(row: &dyn Cells) -> Result<Listed, StoreError> {
    Ok(Listed {
        stream: StreamId::new(row.text(0)?),
        list: row.text(1)?.into(),
        owner: row.text(2)?.into(),
        state: row.text(3)?.into(),
        since: Timestamp::from_micros(row.number(4)?),
    })
}

/// Consumer, topic, partition, incarnation, offset, key, headers, payload, cause, at, state.
pub(crate) fn parked(row: &dyn Cells) -> Result<ParkedRecord, StoreError> {
    Ok(ParkedRecord {
        consumer: row.text(0)?.into(),
        topic: row.text(1)?.into(),
        partition: row.small(2)?,
        incarnation: row.text(3)?.into(),
        offset: row.number(4)?,
        key: Bytes::copy_from_slice(row.bytes(5)?),
        headers: headers_from(row.bytes(6)?)?,
        payload: Bytes::copy_from_slice(row.bytes(7)?),
        cause: row.text(8)?.into(),
        at: Timestamp::from_micros(row.number(9)?),
        state: if row.small(10)? == PARKED { ParkedState::Parked } else { ParkedState::Replaying },
    })
}

/// Topic, partition, key, the highest state of its records.
pub(crate) fn parked_key(row: &dyn Cells, consumer: &Arc<str>) -> Result<(ParkedKey, bool), StoreError> {
    let key = ParkedKey {
        consumer: consumer.clone(),
        topic: row.text(0)?.into(),
        partition: row.small(1)?,
        key: Bytes::copy_from_slice(row.bytes(2)?),
    };
    Ok((key, row.small(3)? != PARKED))
}

const PARKED: i32 = 0;
const REPLAYING: i32 = 1;

pub(crate) fn state_number(state: ParkedState) -> i32 {
    match state {
        ParkedState::Parked => PARKED,
        ParkedState::Replaying => REPLAYING,
    }
}

/// Headers in one cell: each a name and a value, each preceded by its length (32 bits, big-endian).
pub(crate) fn headers_to(headers: &[(Arc<str>, Bytes)]) -> Vec<u8> {
    let mut cell = Vec::new();
    for part in headers.iter().flat_map(|(name, value)| [name.as_bytes(), value]) {
        cell.put_u32(u32::try_from(part.len()).unwrap_or(u32::MAX));
        cell.put_slice(part);
    }
    cell
}

fn headers_from(mut cell: &[u8]) -> Result<Vec<(Arc<str>, Bytes)>, StoreError> {
    let corrupt = || StoreError::Corrupt("headers of a parked record".to_owned());
    let mut part = || -> Result<Option<&[u8]>, StoreError> {
        if cell.is_empty() {
            return Ok(None);
        }
        let length = cell.try_get_u32().map_err(|_| corrupt())?;
        let (part, rest) =
            usize::try_from(length).ok().and_then(|l| cell.split_at_checked(l)).ok_or_else(corrupt)?;
        cell = rest;
        Ok(Some(part))
    };
    let mut headers = Vec::new();
    while let Some(name) = part()? {
        let name = std::str::from_utf8(name).map_err(|_| corrupt())?;
        let value = part()?.ok_or_else(corrupt)?;
        headers.push((name.into(), Bytes::copy_from_slice(value)));
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_from_their_cell_and_a_cut_cell_is_refused() {
        let headers: Vec<(Arc<str>, Bytes)> =
            vec![("ce_id".into(), Bytes::from_static(b"1")), ("".into(), Bytes::from_static(b"\0\xff"))];
        let cell = headers_to(&headers);
        assert_eq!(headers_from(&cell).unwrap(), headers);
        assert_eq!(headers_from(&[]).unwrap(), []);
        for cut in [1, 4, 8, cell.len() - 1] {
            assert!(headers_from(&cell[..cut]).is_err(), "{cut}");
        }
    }
}
