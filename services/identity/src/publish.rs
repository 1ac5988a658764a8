//! What the log is told: the public facts and answers of every participant, and the stay-closed
//! ledger, which is identity's own.

use std::sync::Arc;

use bytes::Bytes;
use event_store::Recorded;
use messaging::{CloudEvent, Message};
use participant::{contract, publish};
use prost::Name as _;
use proto::identity::v1::SubjectClosed;

use crate::participant::{Identity, NAME};

/// The function that turns one stored event into the messages it means. Pure.
pub fn publisher(identity: Arc<Identity>) -> impl Fn(&Recorded, &mut Vec<Message>) + Send + Sync + 'static {
    let publish = publish::publisher(identity);
    let closed = SubjectClosed::full_name();
    let topic: Arc<str> = contract::CLOSURES.into();
    move |event, messages| {
        publish(event, messages);
        if *event.kind == *closed {
            messages.push(entry(topic.clone(), event));
        }
    }
}

/// The stream of a subject bears its id, and so does the entry.
fn entry(topic: Arc<str>, event: &Recorded) -> Message {
    let subject = event.stream.as_str();
    let id = format!("{}/closures", event.id);
    let headers = CloudEvent {
        id: &id,
        kind: &event.kind,
        source: NAME,
        subject,
        at: event.at,
        sequence: event.version,
        traceparent: &event.metadata.traceparent,
    };
    let key = Bytes::copy_from_slice(subject.as_bytes());
    messaging::cloud_event(topic, key, &headers, Some(event.payload.clone()))
}
