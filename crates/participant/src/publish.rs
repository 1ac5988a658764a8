//! What the log is told of a participant's events.

use std::sync::Arc;

use bytes::Bytes;
use event_store::Recorded;
use messaging::{CloudEvent, Message};
use prost::{Message as _, Name as _};
use proto::participant::v1 as pb;

use crate::{Participant, contract, handler::acknowledgement_message};

/// The recipient part of an acknowledgement's message id.
pub(crate) const COORDINATOR: &str = "coordinator";

/// The function that turns one stored event into the messages it means. Pure: republishing from
/// the first event gives the same messages again.
pub fn publisher<P: Participant>(participant: Arc<P>) -> impl Fn(&Recorded, &mut Vec<Message>) + Send + Sync {
    let (answered, known, closed) =
        (pb::Answered::full_name(), pb::SubjectKnown::full_name(), pb::SubjectClosed::full_name());
    let topic: Arc<str> = contract::events_topic(participant.name().as_str()).into();
    move |event, messages| {
        let name = participant.name().as_str();
        if *event.kind == *answered {
            let Ok(told) = pb::Answered::decode(event.payload.clone()) else { return };
            let id = format!("{}/{COORDINATOR}", event.id);
            let signed = told.signed.unwrap_or_default();
            let traceparent = &event.metadata.traceparent;
            messages.push(acknowledgement_message(&signed, &id, name, event.at, event.version, traceparent));
        } else if *event.kind != *known && *event.kind != *closed && participant.is_public(&event.kind) {
            messages.push(public_fact(topic.clone(), name, event));
        }
    }
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
