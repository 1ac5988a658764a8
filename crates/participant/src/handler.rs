//! Records of the log: instructions, and what identity tells of subjects.

use std::sync::Arc;

use bytes::Bytes;
use event_store::{Metadata, Recorded, StreamId};
use messaging::{
    CloudEvent, Decision, Handler, Message, Poison, Record, StreamEvents, Streams, Undecided, Unreadable,
};
use prost::{Message as _, Name as _};
use proto::{identity::v1 as identity, participant::v1 as pb};
use types::{SubjectId, fresh_uuid};

use crate::{
    Account, Accounts, Participant,
    account::{case_of, stream_of},
    accounts::to_record,
    contract,
    decide::{Decided, Draft},
    traits::undecodable,
};

/// What a record says, once it is read.
enum Told {
    Instruction(Box<pb::Instruction>),
    Registered(pb::SubjectKnown),
    /// A fact of identity's that is of no use here.
    Other,
}

impl<P: Participant> Accounts<P> {
    fn read(&self, record: &Record) -> Result<(SubjectId, Told), Poison> {
        if *record.topic == *contract::IDENTITY_EVENTS {
            return read_fact(record);
        }
        let instruction =
            pb::Instruction::decode(record.payload.clone()).map_err(|e| undecodable(e.to_string()))?;
        let case = case_of(&instruction).ok_or_else(|| undecodable("instruction lacks a field"))?;
        if instruction.participant != self.participant.name().as_str() {
            return Err(Poison::new("WRONG_PARTICIPANT", "instruction is for another participant"));
        }
        if instruction.kind() == pb::InstructionKind::Unspecified {
            return Err(Poison::new("UNKNOWN_KIND", format!("instruction of kind {}", instruction.kind)));
        }
        Ok((case.subject, Told::Instruction(Box::new(instruction))))
    }

    fn decision(&self, subject: &SubjectId, record: &Record, told: &Told, decided: &Decided<P>) -> Decision {
        let stream = stream_of(subject);
        let to = to_record(&*self.participant, &stream, subject, &decided.facts);
        let mut decision = Decision { timers: to.timers, claims: to.claims, ..Decision::default() };
        let now = self.clock.now();
        if !to.events.is_empty() {
            decision.events.push(StreamEvents {
                stream,
                expected: messaging::Expectation::AsLoaded,
                metadata: self.metadata(record, told),
                at: now,
                events: to.events,
            });
        }
        let traceparent = record.header(messaging::TRACEPARENT).unwrap_or_default();
        decision.replies = decided.replies.iter().map(|signed| self.reply(signed, traceparent)).collect();
        decision
    }

    fn metadata(&self, record: &Record, told: &Told) -> Arc<Metadata> {
        let header = |name| Arc::from(record.header(name).unwrap_or_default());
        let (tenant, correlation) = match told {
            Told::Instruction(told) => (told.tenant.as_str(), told.cancellation_id.as_str()),
            Told::Registered(_) | Told::Other => ("", ""),
        };
        Arc::new(Metadata {
            tenant: if tenant.is_empty() { types::TENANT_LOCAL } else { tenant }.into(),
            actor: self.participant.name().as_str().into(),
            causation: header(messaging::CE_ID),
            correlation: correlation.into(),
            traceparent: header(messaging::TRACEPARENT),
        })
    }

    /// An answer that is sent again, or that leaves no trace: not an event, so its id is fresh.
    fn reply(&self, signed: &pb::SignedAcknowledgement, traceparent: &str) -> Message {
        let id = format!("{}/{}", fresh_uuid(), crate::publish::COORDINATOR);
        let name = self.participant.name().as_str();
        acknowledgement_message(signed, &id, name, self.clock.now(), 0, traceparent)
    }
}

fn read_fact(record: &Record) -> Result<(SubjectId, Told), Poison> {
    let subject = std::str::from_utf8(&record.key).ok().and_then(|key| SubjectId::parse(key).ok());
    if record.header(messaging::CE_TYPE) != Some(identity::SubjectRegistered::full_name().as_str()) {
        // Facts about no subject, like published keys, have another kind of key.
        let nobody = SubjectId::parse("nobody").map_err(|e| undecodable(e.to_string()))?;
        return Ok((subject.unwrap_or(nobody), Told::Other));
    }
    let fact = identity::SubjectRegistered::decode(record.payload.clone())
        .map_err(|e| undecodable(e.to_string()))?;
    let subject = SubjectId::parse(&fact.subject_id).map_err(|e| undecodable(e.to_string()))?;
    let known = pb::SubjectKnown {
        subject_id: fact.subject_id,
        region: fact.region,
        edition: fact.edition,
        registered_at: record
            .header(messaging::CE_TIME)
            .and_then(types::Timestamp::parse)
            .map(|at| at.to_proto()),
    };
    Ok((subject, Told::Registered(known)))
}

/// An acknowledgement as it travels.
pub(crate) fn acknowledgement_message(
    signed: &pb::SignedAcknowledgement,
    id: &str,
    source: &str,
    at: types::Timestamp,
    sequence: u64,
    traceparent: &str,
) -> Message {
    let cancellation = pb::Acknowledgement::decode(signed.acknowledgement.clone())
        .map(|acknowledgement| acknowledgement.cancellation_id)
        .unwrap_or_default();
    let event = CloudEvent {
        id,
        kind: &pb::SignedAcknowledgement::full_name(),
        source,
        subject: &cancellation,
        at,
        sequence,
        traceparent,
    };
    let key = Bytes::copy_from_slice(cancellation.as_bytes());
    messaging::cloud_event(
        contract::ACKNOWLEDGEMENTS.into(),
        key,
        &event,
        Some(signed.encode_to_vec().into()),
    )
}

impl<P: Participant> Handler for Accounts<P> {
    type State = Arc<Account<P::State>>;

    fn route(&self, record: &Record) -> Result<StreamId, Poison> {
        self.read(record).map(|(subject, _)| stream_of(&subject))
    }

    fn evolve(&self, state: Self::State, event: &Recorded) -> Result<Self::State, Unreadable> {
        self.participant.fold(Arc::unwrap_or_clone(state), event).map(Arc::new)
    }

    fn decide(&self, record: &Record, streams: &Streams<'_, Self::State>) -> Result<Decision, Undecided> {
        let (subject, told) = self.read(record)?;
        let account = Account::clone(streams.get(&stream_of(&subject))?);
        let mut draft = Draft::new(&*self.participant, &self.key, self.clock.now(), account);
        match &told {
            Told::Instruction(instruction) => draft.instruct(instruction),
            Told::Registered(known) => draft.known(known.clone()),
            Told::Other => return Ok(Decision::default()),
        }
        Ok(self.decision(&subject, record, &told, &draft.into_decided()))
    }
}
