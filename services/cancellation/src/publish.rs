//! What the log is told of a cancellation's events.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use event_store::Recorded;
use messaging::{CloudEvent, Message};
use participant::{contract, publish::public_fact};
use prost::{Message as _, Name as _};
use proto::{cancellation::v1 as pb, participant::v1::Instruction};
use types::ParticipantName;

use crate::{Roster, wire};

/// Who speaks.
const SOURCE: &str = "cancellation";

/// The facts that everybody may know.
fn is_public(kind: &str) -> bool {
    let name = kind.strip_prefix("exeunt.cancellation.v1.").unwrap_or_default();
    [
        pb::Requested::NAME,
        pb::Confirmed::NAME,
        pb::CooledOff::NAME,
        pb::Drifted::NAME,
        pb::Completed::NAME,
        pb::ReceiptAmended::NAME,
        pb::AttentionRaised::NAME,
        pb::AttentionCleared::NAME,
        pb::Overdue::NAME,
        pb::ClockExtended::NAME,
        pb::ExtensionNoticed::NAME,
        pb::Revoking::NAME,
        pb::Revoked::NAME,
        pb::Rejected::NAME,
        pb::Expired::NAME,
    ]
    .contains(&name)
}

/// The function that turns one stored event into the messages it means: a round into its
/// instructions, a public fact into itself.
pub(crate) fn publisher(roster: &Roster) -> impl Fn(&Recorded, &mut Vec<Message>) + Send + Sync + 'static {
    let topic_of = |name: &ParticipantName| contract::instructions_topic(name).into();
    let topics: HashMap<String, Arc<str>> =
        roster.entries().map(|entry| (entry.name.to_string(), topic_of(&entry.name))).collect();
    let public: Arc<str> = contract::events_topic(SOURCE).into();
    let instructed = pb::Instructed::full_name();
    let instruction = Instruction::full_name();
    move |event, messages| {
        if is_public(&event.kind) {
            messages.push(public_fact(public.clone(), SOURCE, event));
            return;
        }
        if *event.kind != *instructed {
            return;
        }
        let Ok(round) = pb::Instructed::decode(event.payload.clone()) else { return };
        for (recipient, told) in wire::instructions(&round, event.at) {
            // One that was on the roster then and is not any more is told all the same.
            let topic = topics
                .get(&recipient)
                .cloned()
                .or_else(|| ParticipantName::parse(&recipient).ok().map(|n| topic_of(&n)));
            let Some(topic) = topic else { continue };
            let id = format!("{}/{recipient}", event.id);
            let headers = CloudEvent {
                id: &id,
                kind: &instruction,
                source: SOURCE,
                subject: event.stream.as_str(),
                at: event.at,
                sequence: event.version,
                traceparent: &event.metadata.traceparent,
            };
            let key = Bytes::copy_from_slice(event.stream.as_str().as_bytes());
            messages.push(messaging::cloud_event(topic, key, &headers, Some(told.encode_to_vec().into())));
        }
    }
}

#[cfg(test)]
mod tests {
    use participant::Encoded;
    use types::Timestamp;

    use super::*;

    fn told(encoded: Encoded) -> Vec<Message> {
        let recorded = wire::recorded_for_test(&encoded.into(), Timestamp::EPOCH);
        let mut messages = Vec::new();
        publisher(&Roster::parse(crate::DEFAULT_ROSTER).unwrap())(&recorded, &mut messages);
        messages
    }

    #[test]
    fn b03_what_waits_for_a_person_is_told_to_everybody_and_who_did_what_about_it_is_not() {
        let attention = Some(pb::Attention::default());
        for public in [
            Encoded::of(&pb::AttentionRaised { attention: attention.clone() }),
            Encoded::of(&pb::Overdue { attention }),
            Encoded::of(&pb::AttentionCleared::default()),
            Encoded::of(&pb::ReceiptAmended::default()),
            Encoded::of(&pb::ClockExtended::default()),
            Encoded::of(&pb::ExtensionNoticed::default()),
        ] {
            let told = told(public);
            assert_eq!(told.len(), 1);
            assert_eq!(*told[0].topic, *contract::events_topic(SOURCE));
        }
        assert!(told(Encoded::of(&pb::Operated::default())).is_empty());
    }
}
