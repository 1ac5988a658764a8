//! Between operators' messages and what the stores know. Inward every bad field is named at once.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use event_store::{ParkedRecord, ParkedState};
use prost::bytes::Bytes;
use proto::operations::v1 as pb;
use service_kit::{BadRequest, Violations};

use super::{
    Stored,
    republish::{From, Republishing},
};

const PAGE_SIZE_DEFAULT: usize = 100;
const PAGE_SIZE_MAX: i32 = 1_000;
/// Topics have at most 249 characters.
const TOPIC_CHARACTERS_MAX: usize = 249;
const KEY_CHARACTERS_MAX: usize = 1_024;
const REASON_CHARACTERS_MAX: usize = 500;
const INCARNATION_CHARACTERS_MAX: usize = 64;
/// What stands before a key that is shown by its bytes.
const HEX: &str = "hex:";

/// Which parked records are wanted.
pub(super) struct Listing {
    /// The stores still to be read, in order.
    pub(super) stores: Vec<Stored>,
    /// Where to go on in the first of them.
    pub(super) place: Option<(String, i32, i64)>,
    pub(super) page_size: usize,
}

/// Of which key all is tried again, and why.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) stored: Stored,
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) key: Bytes,
    pub(super) reason: String,
    pub(super) request_id: String,
}

/// Which record is given up, and why.
#[derive(Debug)]
pub(super) struct Discard {
    pub(super) stored: Stored,
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) incarnation: Option<String>,
    pub(super) reason: String,
    pub(super) request_id: String,
}

/// Where a list goes on: in which store, and after which record of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PageToken {
    pub(super) service: String,
    pub(super) after: Option<(String, i32, i64)>,
}

impl PageToken {
    pub(super) fn encode(&self) -> String {
        let (topic, partition, offset) = self.after.clone().unwrap_or_default();
        URL_SAFE_NO_PAD.encode(format!("{} {topic} {partition} {offset}", self.service))
    }

    fn decode(text: &str) -> Option<Self> {
        let plain = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let [service, topic, partition, offset] = plain.split(' ').collect::<Vec<_>>()[..] else {
            return None;
        };
        let after = (topic.to_owned(), partition.parse().ok()?, offset.parse().ok()?);
        Some(Self { service: service.into(), after: (!topic.is_empty()).then_some(after) })
    }
}

pub(super) fn listing(request: pb::ListParkedRequest, stores: &[Stored]) -> Result<Listing, BadRequest> {
    let pb::ListParkedRequest { service, page_size, page_token } = request;
    let mut v = Violations::new();
    let only = if service.is_empty() { Some(None) } else { find(&mut v, &service, stores).map(Some) };
    let page_size = v.within_range("page_size", page_size, 0..=PAGE_SIZE_MAX);
    let token = page_place(&mut v, &page_token, &service, stores);
    v.finish(|| {
        let page_size = match usize::try_from(page_size?).ok()? {
            0 => PAGE_SIZE_DEFAULT,
            size => size,
        };
        let (from, place) = token?;
        let stores = match only? {
            Some(one) => vec![one],
            None => stores[from..].to_vec(),
        };
        Some(Listing { stores, place, page_size })
    })
}

type Place = (usize, Option<(String, i32, i64)>);

fn page_place(v: &mut Violations, text: &str, service: &str, stores: &[Stored]) -> Option<Place> {
    if text.is_empty() {
        return Some((0, None));
    }
    let token = PageToken::decode(text).filter(|token| service.is_empty() || token.service == service);
    let place = token.and_then(|token| {
        let from = stores.iter().position(|stored| *stored.service == token.service)?;
        Some((from, token.after))
    });
    v.check(place.is_some(), "page_token", "must be that of the response before, to the same question");
    place
}

pub(super) fn key(request: pb::ReplayParkedRequest, stores: &[Stored]) -> Result<Key, BadRequest> {
    let pb::ReplayParkedRequest { service, topic, partition, key, reason, request_id } = request;
    let mut v = Violations::new();
    let stored = find(&mut v, &service, stores);
    let topic = v.text("topic", &topic, TOPIC_CHARACTERS_MAX);
    let partition = v.within_range("partition", partition, 0..=i32::MAX);
    let key = key_bytes(&mut v, &key);
    let reason = v.text("reason", &reason, REASON_CHARACTERS_MAX);
    let request_id = v.optional_request_id("request_id", &request_id);
    v.finish(|| {
        Some(Key {
            stored: stored?,
            topic: topic?.into(),
            partition: partition?,
            key: key?,
            reason: reason?,
            request_id: request_id?.unwrap_or_default(),
        })
    })
}

pub(super) fn discard(request: pb::DiscardParkedRequest, stores: &[Stored]) -> Result<Discard, BadRequest> {
    let pb::DiscardParkedRequest { service, topic, partition, offset, reason, incarnation, request_id } =
        request;
    let mut v = Violations::new();
    let stored = find(&mut v, &service, stores);
    let topic = v.text("topic", &topic, TOPIC_CHARACTERS_MAX);
    let partition = v.within_range("partition", partition, 0..=i32::MAX);
    let offset = v.within_range("offset", offset, 0..=i64::MAX);
    let reason = v.text("reason", &reason, REASON_CHARACTERS_MAX);
    let incarnation = v.optional_text("incarnation", &incarnation, INCARNATION_CHARACTERS_MAX);
    let request_id = v.optional_request_id("request_id", &request_id);
    v.finish(|| {
        Some(Discard {
            stored: stored?,
            topic: topic?.into(),
            partition: partition?,
            offset: offset?,
            incarnation: incarnation?,
            reason: reason?,
            request_id: request_id?.unwrap_or_default(),
        })
    })
}

pub(super) fn republishing(
    request: pb::RepublishRequest,
    stores: &[Stored],
) -> Result<Republishing, BadRequest> {
    let pb::RepublishRequest { services, from, reason, request_id } = request;
    let mut v = Violations::new();
    let mut named = Vec::new();
    for (index, service) in services.iter().enumerate() {
        let found = stores.iter().find(|stored| *stored.service == **service);
        v.check(found.is_some(), &format!("services[{index}]"), one_of(stores));
        named.extend(found.cloned());
    }
    let from = match from {
        None => {
            v.push("from", "must be a time or a position");
            None
        }
        Some(pb::republish_request::From::Time(time)) => v.timestamp("time", Some(&time)).map(From::Time),
        Some(pb::republish_request::From::Position(position)) => {
            let single = position == 0 || services.len() == 1;
            v.check(single, "position", "other than 0 needs one service, because every store counts its own");
            single.then_some(From::Position(position))
        }
    };
    let reason = v.text("reason", &reason, REASON_CHARACTERS_MAX);
    let request_id = v.optional_request_id("request_id", &request_id);
    v.finish(|| {
        Some(Republishing {
            stores: if named.is_empty() { stores.to_vec() } else { named },
            from: from?,
            reason: reason?,
            request_id: request_id?.unwrap_or_default(),
        })
    })
}

/// The record asked for is parked of more than one life of its topic.
pub(super) fn several_lives() -> BadRequest {
    let mut v = Violations::new();
    v.push("incarnation", "must be given: this offset is parked of several lives of the topic");
    v.finish(|| None::<()>).expect_err("something was found wrong")
}

fn find(v: &mut Violations, service: &str, stores: &[Stored]) -> Option<Stored> {
    let found = stores.iter().find(|stored| *stored.service == *service).cloned();
    v.check(found.is_some(), "service", one_of(stores));
    found
}

fn one_of(stores: &[Stored]) -> String {
    let names: Vec<_> = stores.iter().map(|stored| &*stored.service).collect();
    format!("must be one of {}", names.join(", "))
}

fn key_bytes(v: &mut Violations, text: &str) -> Option<Bytes> {
    let text = v.text("key", text, KEY_CHARACTERS_MAX)?;
    let Some(digits) = text.strip_prefix(HEX) else { return Some(text.into_bytes().into()) };
    let bytes = unhex(digits);
    v.check(bytes.is_some(), "key", "must have pairs of hexadecimal digits after hex:");
    bytes.map(Bytes::from)
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok()).collect()
}

/// A key as people can read and repeat it.
fn key_text(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text)
            if !text.trim().is_empty() && !text.starts_with(HEX) && !text.chars().any(char::is_control) =>
        {
            text.to_owned()
        }
        _ => key.iter().fold(HEX.to_owned(), |text, byte| text + &format!("{byte:02x}")),
    }
}

pub(super) fn record(service: &str, row: ParkedRecord) -> pb::ParkedRecord {
    pb::ParkedRecord {
        service: service.to_owned(),
        topic: row.topic.to_string(),
        partition: row.partition,
        offset: row.offset,
        key: key_text(&row.key),
        cause: row.cause.to_uppercase(),
        parked_at: Some(row.at.to_proto()),
        replaying: row.state == ParkedState::Replaying,
        incarnation: row.incarnation.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_can_be_read_and_repeated_whatever_its_bytes() {
        let wild: [&[u8]; 6] = [b"can_1", b"", b"\xff\x00", b"hex:no", b"a\nb", b"  "];
        let shown = wild.map(key_text);
        assert_eq!(shown, ["can_1", "hex:", "hex:ff00", "hex:6865783a6e6f", "hex:610a62", "hex:2020"]);
        for (bytes, text) in wild.iter().zip(&shown) {
            let mut v = Violations::new();
            assert_eq!(key_bytes(&mut v, text).as_deref(), Some(*bytes), "{text}");
        }
        for wrong in ["", "hex:f", "hex:zz", "hex:é0"] {
            let mut v = Violations::new();
            assert_eq!(key_bytes(&mut v, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_page_token_says_where_the_list_goes_on() {
        for after in [None, Some(("exeunt.acknowledgements".to_owned(), 7, i64::MAX))] {
            let token = PageToken { service: "till".into(), after };
            assert_eq!(PageToken::decode(&token.encode()), Some(token));
        }
        for wrong in ["x", "!", &URL_SAFE_NO_PAD.encode("a b c"), &URL_SAFE_NO_PAD.encode("a b c d")] {
            assert_eq!(PageToken::decode(wrong), None, "{wrong}");
        }
    }
}
