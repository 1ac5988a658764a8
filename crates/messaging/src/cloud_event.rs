//! `CloudEvents` 1.0 in binary mode: the headers of every record of ours.

use std::{
    fmt::{Display, Write},
    sync::{Arc, LazyLock},
};

use bytes::{Bytes, BytesMut};
use types::Timestamp;

use crate::Message;

/// The message id, `<event id>/<recipient>`: stable across redelivery and republication.
pub const CE_ID: &str = "ce_id";
/// The payload's type.
pub const CE_TYPE: &str = "ce_type";
/// Who speaks.
pub const CE_SOURCE: &str = "ce_source";
/// What it is about: the stream.
pub const CE_SUBJECT: &str = "ce_subject";
/// When it happened, RFC 3339.
pub const CE_TIME: &str = "ce_time";
/// The stream's version.
pub const CE_SEQUENCE: &str = "ce_sequence";
/// The version of `CloudEvents`.
pub const CE_SPECVERSION: &str = "ce_specversion";
/// W3C trace context.
pub const TRACEPARENT: &str = "traceparent";
/// The payload's media type.
pub const CONTENT_TYPE: &str = "content-type";

const PROTOBUF: Bytes = Bytes::from_static(b"application/protobuf");
const VERSION: Bytes = Bytes::from_static(b"1.0");

/// One allocation each for the life of the process; headers share them.
struct Names {
    id: Arc<str>,
    kind: Arc<str>,
    source: Arc<str>,
    subject: Arc<str>,
    time: Arc<str>,
    sequence: Arc<str>,
    specversion: Arc<str>,
    traceparent: Arc<str>,
    content_type: Arc<str>,
}

static NAMES: LazyLock<Names> = LazyLock::new(|| Names {
    id: CE_ID.into(),
    kind: CE_TYPE.into(),
    source: CE_SOURCE.into(),
    subject: CE_SUBJECT.into(),
    time: CE_TIME.into(),
    sequence: CE_SEQUENCE.into(),
    specversion: CE_SPECVERSION.into(),
    traceparent: TRACEPARENT.into(),
    content_type: CONTENT_TYPE.into(),
});

/// The shared name of a header, or a new one for a name that is not ours.
pub(crate) fn header_name(name: &str) -> Arc<str> {
    let names = &*NAMES;
    match name {
        CE_ID => names.id.clone(),
        CE_TYPE => names.kind.clone(),
        CE_SOURCE => names.source.clone(),
        CE_SUBJECT => names.subject.clone(),
        CE_TIME => names.time.clone(),
        CE_SEQUENCE => names.sequence.clone(),
        CE_SPECVERSION => names.specversion.clone(),
        TRACEPARENT => names.traceparent.clone(),
        CONTENT_TYPE => names.content_type.clone(),
        other => other.into(),
    }
}

/// What the headers of a record say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloudEvent<'a> {
    /// The message id, `<event id>/<recipient>`.
    pub id: &'a str,
    /// The payload's type, like `exeunt.identity.v1.SubjectRegistered`.
    pub kind: &'a str,
    /// Who speaks: a service's name.
    pub source: &'a str,
    /// What it is about: the stream.
    pub subject: &'a str,
    /// When it happened.
    pub at: Timestamp,
    /// The stream's version.
    pub sequence: u64,
    /// W3C trace context; empty when there is none.
    pub traceparent: &'a str,
}

/// A message with `CloudEvents` headers. A payload of `None` is a tombstone.
///
/// All header values lie in one buffer, and their names are shared.
#[must_use]
pub fn cloud_event(topic: Arc<str>, key: Bytes, event: &CloudEvent<'_>, payload: Option<Bytes>) -> Message {
    let names = &*NAMES;
    let texts = [event.id, event.kind, event.source, event.subject, event.traceparent];
    let mut buffer = BytesMut::with_capacity(texts.iter().map(|text| text.len()).sum::<usize>() + 48);
    let mut headers = Vec::with_capacity(9);
    headers.push((names.specversion.clone(), VERSION));
    let mut text = |name: &Arc<str>, write: &dyn Fn(&mut BytesMut)| {
        write(&mut buffer);
        headers.push((name.clone(), buffer.split().freeze()));
    };
    text(&names.id, &|to| to.extend_from_slice(event.id.as_bytes()));
    text(&names.kind, &|to| to.extend_from_slice(event.kind.as_bytes()));
    text(&names.source, &|to| to.extend_from_slice(event.source.as_bytes()));
    text(&names.subject, &|to| to.extend_from_slice(event.subject.as_bytes()));
    text(&names.time, &|to| display(to, &event.at));
    text(&names.sequence, &|to| display(to, &event.sequence));
    if !event.traceparent.is_empty() {
        text(&names.traceparent, &|to| to.extend_from_slice(event.traceparent.as_bytes()));
    }
    headers.push((names.content_type.clone(), PROTOBUF));
    Message { topic, key, headers, payload }
}

fn display(to: &mut BytesMut, value: &dyn Display) {
    // Writing to a buffer that grows cannot fail.
    let _ = write!(to, "{value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_carries_the_headers_of_cloud_events_in_binary_mode() {
        let at = Timestamp::parse("2026-11-21T08:00:00.5Z").unwrap();
        let event = CloudEvent {
            id: "e1/wallet",
            kind: "exeunt.participant.v1.Instruction",
            source: "cancellation",
            subject: "can_1",
            at,
            sequence: 7,
            traceparent: "",
        };
        let message = cloud_event("t".into(), Bytes::from_static(b"can_1"), &event, None);
        let headers: Vec<(&str, &str)> = message
            .headers
            .iter()
            .map(|(name, value)| (&**name, std::str::from_utf8(value).unwrap()))
            .collect();
        assert_eq!(
            headers,
            [
                ("ce_specversion", "1.0"),
                ("ce_id", "e1/wallet"),
                ("ce_type", "exeunt.participant.v1.Instruction"),
                ("ce_source", "cancellation"),
                ("ce_subject", "can_1"),
                ("ce_time", "2026-11-21T08:00:00.5Z"),
                ("ce_sequence", "7"),
                ("content-type", "application/protobuf"),
            ]
        );
        assert!(message.headers.iter().all(|(name, _)| Arc::ptr_eq(name, &header_name(name))));
    }
}
