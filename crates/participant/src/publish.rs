//! What the log is told of a participant's events.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use event_store::Recorded;
use messaging::{CloudEvent, Message};
use prost::Message as _;
use types::Timestamp;

use crate::{
    Participant,
    account::{ANSWERED, SUBJECT_CLOSED, SUBJECT_KNOWN},
    contract,
    given::RawAnswered,
};

/// The type of what travels, which a test compares with the contract.
const SIGNED_ACKNOWLEDGEMENT: &str = "exeunt.participant.v1.SignedAcknowledgement";

static TOPIC: LazyLock<Arc<str>> = LazyLock::new(|| contract::ACKNOWLEDGEMENTS.into());

/// The recipient part of an acknowledgement's message id.
pub(crate) const COORDINATOR: &str = "coordinator";

/// The function that turns one stored event into the messages it means. Pure: republishing from
/// the first event gives the same messages again.
pub fn publisher<P: Participant>(participant: Arc<P>) -> impl Fn(&Recorded, &mut Vec<Message>) + Send + Sync {
    let topic: Arc<str> = contract::events_topic(participant.name().as_str()).into();
    move |event, messages| {
        let name = participant.name().as_str();
        match &*event.kind {
            ANSWERED => {
                let Ok(told) = RawAnswered::decode(event.payload.clone()) else { return };
                let id = format!("{}/{COORDINATOR}", event.id);
                let signed = told.signed.unwrap_or_default();
                let traceparent = &event.metadata.traceparent;
                let message = acknowledgement(signed, &id, name, event.at, event.version, traceparent);
                messages.extend(message);
            }
            SUBJECT_KNOWN | SUBJECT_CLOSED => {}
            kind if participant.is_public(kind) => messages.push(public_fact(topic.clone(), name, event)),
            _ => {}
        }
    }
}

/// As much of a signed acknowledgement as tells whose case it is about.
#[derive(Clone, PartialEq, prost::Message)]
struct Signed {
    #[prost(bytes = "bytes", tag = "1")]
    acknowledgement: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OfCase {
    #[prost(string, tag = "1")]
    cancellation_id: String,
}

/// An encoded `SignedAcknowledgement` as it travels; `None` when it is none.
pub(crate) fn acknowledgement(
    signed: Bytes,
    id: &str,
    source: &str,
    at: Timestamp,
    sequence: u64,
    traceparent: &str,
) -> Option<Message> {
    let told = Signed::decode(signed.clone()).ok()?;
    let OfCase { cancellation_id } = OfCase::decode(told.acknowledgement).ok()?;
    let event = CloudEvent {
        id,
        kind: SIGNED_ACKNOWLEDGEMENT,
        source,
        subject: &cancellation_id,
        at,
        sequence,
        traceparent,
    };
    let key = Bytes::copy_from_slice(cancellation_id.as_bytes());
    Some(messaging::cloud_event(TOPIC.clone(), key, &event, Some(signed)))
}

/// A stored event as a public fact: its payload as it is stored, keyed by its stream.
#[must_use]
pub fn public_fact(topic: Arc<str>, source: &str, event: &Recorded) -> Message {
    let id = format!("{}/public", event.id);
    let headers = CloudEvent {
        id: &id,
        kind: &event.kind,
        source,
        subject: event.stream.as_str(),
        at: event.at,
        sequence: event.version,
        traceparent: &event.metadata.traceparent,
    };
    let key = Bytes::copy_from_slice(event.stream.as_str().as_bytes());
    messaging::cloud_event(topic, key, &headers, Some(event.payload.clone()))
}
