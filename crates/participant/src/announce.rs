//! Tells the coordinator which key a participant signs with.

use std::sync::Arc;

use bytes::Bytes;
use keys::SigningKey;
use messaging::{BackOff, CloudEvent, EventLog, LogError, Message};
use prost::{Message as _, Name as _};
use proto::participant::v1::KeyAnnounced;
use tokio_util::sync::CancellationToken;
use types::{ParticipantName, Timestamp};

use crate::contract;

/// What a participant announces of its key. The same key gives the same record but for its time, and
/// the topic keeps one of each.
pub(crate) fn announcement(name: &ParticipantName, key: &SigningKey, at: Timestamp) -> Message {
    let jwk = key.jwk();
    let announced = KeyAnnounced { participant: name.to_string(), jwk_json: jwk.to_json() };
    let headers = CloudEvent {
        id: &format!("{name}/{}", key.kid()),
        kind: &KeyAnnounced::full_name(),
        source: name.as_str(),
        subject: key.kid(),
        at,
        sequence: 1,
        traceparent: "",
    };
    let record = Bytes::copy_from_slice(key.kid().as_bytes());
    let payload = Some(announced.encode_to_vec().into());
    messaging::cloud_event(contract::keys_topic(name).into(), record, &headers, payload)
}

/// Publishes until it is durable. A log that refuses is told of and left: where the roster file has
/// the key, nobody needs the announcement.
pub(crate) async fn announce(log: Arc<dyn EventLog>, message: Message, stop: &CancellationToken) {
    let mut pause = BackOff::default();
    loop {
        let published = stop.run_until_cancelled(log.publish(vec![message.clone()])).await;
        match published {
            None | Some(Ok(())) => return,
            Some(Err(LogError::Unavailable(cause))) => {
                tracing::warn!(topic = %message.topic, %cause, "key cannot be announced yet");
            }
            Some(Err(error)) => {
                tracing::error!(topic = %message.topic, %error, "key is not announced");
                return;
            }
        }
        if !pause.wait(stop).await {
            return;
        }
    }
}
