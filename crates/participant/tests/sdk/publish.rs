//! What the log is told of a stored fact.

use std::sync::Arc;

use event_store::{Metadata, Position, Recorded, StreamId};
use messaging::Message;
use participant::{Encoded, Participant, publish::publisher};
use prost::Message as _;
use proto::participant::v1 as pb;
use testkit::{Toy, ToyEvent};
use types::{Uuid, fresh_uuid};

use crate::start;

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn recorded(id: Uuid, encoded: Encoded) -> Recorded {
    Recorded {
        position: Position(9),
        stream: StreamId::new("sbj_1"),
        version: 3,
        id,
        kind: (*encoded.kind).into(),
        schema: encoded.schema,
        at: start(),
        metadata: Arc::new(Metadata {
            tenant: "local".into(),
            actor: "toy".into(),
            causation: "".into(),
            correlation: "".into(),
            traceparent: TRACE.into(),
        }),
        payload: encoded.payload,
    }
}

fn told(event: &Recorded) -> Vec<Message> {
    let mut messages = Vec::new();
    publisher(Arc::new(Toy::quick()))(event, &mut messages);
    messages
}

fn header<'a>(message: &'a Message, name: &str) -> &'a str {
    let (_, value) = message.headers.iter().find(|(found, _)| &**found == name).unwrap();
    std::str::from_utf8(value).unwrap()
}

#[test]
fn an_own_fact_is_told_as_it_is_stored_keyed_by_its_subject() {
    let id = fresh_uuid();
    let event = recorded(id, Toy::quick().encode(&ToyEvent::Given { units: 3 }));
    let [message] = &told(&event)[..] else { panic!("one message") };
    assert_eq!((&*message.topic, &*message.key), ("exeunt.toy.events", &b"sbj_1"[..]));
    assert_eq!(message.payload, Some(event.payload.clone()));
    assert_eq!(header(message, "ce_id"), format!("{id}/public"));
    assert_eq!(header(message, "ce_type"), "toy.v1.Given");
    assert_eq!(header(message, "ce_sequence"), "3");
    assert_eq!(told(&event), told(&event), "the same when it is published again");
}

#[test]
fn an_answer_goes_to_whoever_coordinates_keyed_by_its_case_and_in_the_trace_of_its_cause() {
    let answer = pb::Acknowledgement { cancellation_id: "can_1".into(), ..pb::Acknowledgement::default() };
    let signed = pb::SignedAcknowledgement {
        acknowledgement: answer.encode_to_vec().into(),
        ..pb::SignedAcknowledgement::default()
    };
    let id = fresh_uuid();
    let answered = pb::Answered { instruction: None, signed: Some(signed.clone()) };
    let [message] = &told(&recorded(id, Encoded::of(&answered)))[..] else { panic!("one message") };
    assert_eq!((&*message.topic, &*message.key), ("exeunt.acknowledgements", &b"can_1"[..]));
    assert_eq!(message.payload.as_deref(), Some(&signed.encode_to_vec()[..]));
    assert_eq!(header(message, "ce_id"), format!("{id}/coordinator"));
    assert_eq!(header(message, "traceparent"), TRACE);
}

#[test]
fn what_the_sdk_notes_for_itself_is_told_to_nobody() {
    let known = Encoded::of(&pb::SubjectKnown::default());
    let closed = Encoded::of(&pb::SubjectClosed::default());
    for encoded in [known, closed] {
        assert_eq!(told(&recorded(fresh_uuid(), encoded)), []);
    }
}
