//! How records of one partition lie in one row of the file.
//!
//! Per record, numbers little-endian: time in microseconds (8 bytes), key length (4), key, payload
//! length (4, all ones for a tombstone), payload, number of headers (2), and per header a name code
//! (1; zero is followed by length (2) and name), value length (4), value.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use types::Timestamp;

use crate::{
    CE_ID, CE_SEQUENCE, CE_SOURCE, CE_SPECVERSION, CE_SUBJECT, CE_TIME, CE_TYPE, CONTENT_TYPE, Record,
    TRACEPARENT, cloud_event::header_name,
};

/// Names that take one byte. Codes are stored: names are added at the end, and none changes place.
const CODED: [&str; 9] =
    [CE_SPECVERSION, CE_ID, CE_TYPE, CE_SOURCE, CE_SUBJECT, CE_TIME, CE_SEQUENCE, TRACEPARENT, CONTENT_TYPE];
const TOMBSTONE: u32 = u32::MAX;

/// Appends a record.
pub(super) fn encode(to: &mut Vec<u8>, record: &Record, tombstone: bool) {
    to.extend_from_slice(&record.at.as_micros().to_le_bytes());
    put(to, &record.key);
    if tombstone {
        to.extend_from_slice(&TOMBSTONE.to_le_bytes());
    } else {
        put(to, &record.payload);
    }
    to.extend_from_slice(&(record.headers.len() as u16).to_le_bytes());
    for (name, value) in &record.headers {
        match CODED.iter().position(|coded| *coded == &**name) {
            Some(code) => to.push(code as u8 + 1),
            None => {
                to.push(0);
                to.extend_from_slice(&(name.len() as u16).to_le_bytes());
                to.extend_from_slice(name.as_bytes());
            }
        }
        put(to, value);
    }
}

fn put(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    to.extend_from_slice(bytes);
}

/// Reads a row's records, the first of which has that offset. Keys, values and payloads stay parts
/// of the row. `None` when the row is not what [`encode`] wrote.
pub(super) fn decode(mut row: Bytes, topic: &Arc<str>, partition: i32, base: i64) -> Option<Vec<Record>> {
    let mut records = Vec::new();
    while row.has_remaining() {
        let at = Timestamp::from_micros(row.try_get_i64_le().ok()?);
        let key = take(&mut row)?;
        let payload = take(&mut row).unwrap_or_default();
        let count = row.try_get_u16_le().ok()?;
        let mut headers = Vec::with_capacity(count.into());
        for _ in 0..count {
            let name = match row.try_get_u8().ok()? {
                0 => {
                    let length = row.try_get_u16_le().ok()?.into();
                    let name = (row.len() >= length).then(|| row.split_to(length))?;
                    header_name(std::str::from_utf8(&name).ok()?)
                }
                code => header_name(CODED.get(usize::from(code) - 1)?),
            };
            headers.push((name, take(&mut row)?));
        }
        let offset = base + records.len() as i64;
        records.push(Record { topic: topic.clone(), partition, offset, key, headers, payload, at });
    }
    Some(records)
}

/// Takes bytes behind their length; `None` at a tombstone or beyond the end.
fn take(row: &mut Bytes) -> Option<Bytes> {
    let length = row.try_get_u32_le().ok()?;
    let length = (length != TOMBSTONE).then(|| usize::try_from(length).ok())??;
    (row.len() >= length).then(|| row.split_to(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_gives_back_the_records_that_it_took() {
        let topic: Arc<str> = "t".into();
        let record = |offset: i64, payload: &'static str| Record {
            topic: topic.clone(),
            partition: 3,
            offset,
            key: Bytes::from_static(b"key"),
            headers: vec![
                (CE_ID.into(), Bytes::from_static(b"e/1")),
                ("x-other".into(), Bytes::from_static(b"\xff")),
            ],
            payload: Bytes::from_static(payload.as_bytes()),
            at: Timestamp::from_micros(77),
        };
        let records = [record(5, "a"), record(6, ""), record(7, "b")];
        let mut row = Vec::new();
        encode(&mut row, &records[0], false);
        encode(&mut row, &records[1], true);
        encode(&mut row, &records[2], false);
        assert_eq!(decode(row.clone().into(), &topic, 3, 5).unwrap(), records);
        row.pop();
        assert_eq!(decode(row.into(), &topic, 3, 5), None);
    }
}
