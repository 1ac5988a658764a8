//! Records of the log: instructions, and what identity tells of subjects, in its facts and in the
//! ledger of those that are closed.

use std::sync::Arc;

use bytes::Bytes;
use event_store::{Metadata, Recorded, StreamId};
use messaging::{Decision, Handler, Message, Poison, Record, StreamEvents, Streams, Undecided, Unreadable};
use prost::Message as _;
use proto::{identity::v1 as identity, participant::v1 as pb};
use types::{CancellationId, SubjectId, Timestamp, fresh_uuid};

use crate::{
    Account, Accounts, Participant,
    account::{case_of, stream_of},
    contract,
    decide::{Decided, Draft, Told},
    given::ToStore,
    publish::{COORDINATOR, acknowledgement},
    to_record::to_record,
    traits::undecodable,
};

/// The type of identity's fact, which a test compares with its contract.
const SUBJECT_REGISTERED: &str = "exeunt.identity.v1.SubjectRegistered";

/// What a record says, once it is read.
pub enum Input {
    Instruction(Box<Told>),
    Registered(SubjectId, pb::SubjectKnown),
    /// An entry of the ledger.
    Closed(Closure),
    /// A fact of identity's that is of no use here.
    Other,
}

/// That a subject is closed, and stays so.
#[derive(Debug)]
pub struct Closure {
    pub(crate) subject: SubjectId,
    pub(crate) cancellation: CancellationId,
    pub(crate) at: Timestamp,
}

impl<P: Participant> Accounts<P> {
    fn read_instruction(&self, record: &Record) -> Result<(StreamId, Input), Poison> {
        let instruction =
            pb::Instruction::decode(record.payload.clone()).map_err(|e| undecodable(e.to_string()))?;
        let case = case_of(&instruction).ok_or_else(|| undecodable("instruction lacks a field"))?;
        if instruction.participant != self.participant.name().as_str() {
            return Err(Poison::new("WRONG_PARTICIPANT", "instruction is for another participant"));
        }
        if instruction.kind() == pb::InstructionKind::Unspecified {
            return Err(Poison::new("UNKNOWN_KIND", format!("instruction of kind {}", instruction.kind)));
        }
        let stream = stream_of(&case.subject);
        let told = Told { instruction, case, bytes: record.payload.clone() };
        Ok((stream, Input::Instruction(Box::new(told))))
    }

    fn decision(
        &self,
        record: &Record,
        subject: &SubjectId,
        input: &Input,
        draft: Draft<'_, P>,
    ) -> Decision<Self> {
        let now = draft.now();
        let Decided { account, facts, replies } = draft.into_decided();
        let stream = stream_of(subject);
        let to = to_record(&*self.participant, subject, &account.state, &facts);
        let (timers, claims, listings) = (to.timers, to.claims, to.listings);
        let mut decision = Decision { timers, claims, listings, ..Decision::default() };
        if !to.events.is_empty() {
            decision.events.push(StreamEvents {
                stream,
                metadata: self.metadata(record, input),
                at: now,
                events: to.events,
                folded: Some(Arc::new(account)),
                open: to.answers,
            });
        }
        let traceparent = record.header(messaging::TRACEPARENT).unwrap_or_default();
        decision.replies = replies.iter().filter_map(|signed| self.reply(signed, traceparent)).collect();
        decision
    }

    fn metadata(&self, record: &Record, input: &Input) -> Arc<Metadata> {
        let header = |name| Arc::from(record.header(name).unwrap_or_default());
        let (tenant, correlation) = match input {
            Input::Instruction(told) => {
                (told.instruction.tenant.as_str(), told.instruction.cancellation_id.as_str())
            }
            Input::Closed(closure) => ("", closure.cancellation.as_str()),
            Input::Registered(..) | Input::Other => ("", ""),
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
    fn reply(&self, signed: &pb::SignedAcknowledgement, traceparent: &str) -> Option<Message> {
        let id = format!("{}/{COORDINATOR}", fresh_uuid());
        let name = self.participant.name().as_str();
        acknowledgement(signed.encode_to_vec().into(), &id, name, self.clock.now(), 0, traceparent)
    }
}

fn read_fact(record: &Record) -> Result<(StreamId, Input), Poison> {
    let subject = std::str::from_utf8(&record.key).ok().and_then(|key| SubjectId::parse(key).ok());
    if record.header(messaging::CE_TYPE) != Some(SUBJECT_REGISTERED) {
        // Facts about no subject, like published keys, have another kind of key.
        let nobody = SubjectId::parse("nobody").map_err(|e| undecodable(e.to_string()))?;
        return Ok((stream_of(&subject.unwrap_or(nobody)), Input::Other));
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
    Ok((stream_of(&subject), Input::Registered(subject, known)))
}

fn read_closure(record: &Record) -> Result<(StreamId, Input), Poison> {
    let entry =
        identity::SubjectClosed::decode(record.payload.clone()).map_err(|e| undecodable(e.to_string()))?;
    let closure = Closure {
        subject: SubjectId::parse(&entry.subject_id).map_err(|e| undecodable(e.to_string()))?,
        cancellation: CancellationId::parse(&entry.cancellation_id)
            .map_err(|e| undecodable(e.to_string()))?,
        at: entry
            .closed_at
            .as_ref()
            .and_then(Timestamp::from_proto)
            .ok_or_else(|| undecodable("closure lacks its moment"))?,
    };
    Ok((stream_of(&closure.subject), Input::Closed(closure)))
}

impl<P: Participant> Handler for Accounts<P> {
    type State = Arc<Account<P::State>>;

    type Input = Input;

    type Open = ToStore;

    fn read(&self, record: &Record) -> Result<(StreamId, Input), Poison> {
        if *record.topic == *contract::IDENTITY_EVENTS {
            return read_fact(record);
        }
        if *record.topic == *contract::CLOSURES {
            return read_closure(record);
        }
        self.read_instruction(record)
    }

    fn evolve(&self, state: Self::State, event: &Recorded) -> Result<Self::State, Unreadable> {
        self.participant.fold(Arc::unwrap_or_clone(state), event).map(Arc::new)
    }

    fn decide(
        &self,
        record: &Record,
        input: &Input,
        streams: &Streams<'_, Self::State>,
    ) -> Result<Decision<Self>, Undecided> {
        let subject = match input {
            Input::Instruction(told) => &told.case.subject,
            Input::Registered(subject, _) => subject,
            Input::Closed(closure) => &closure.subject,
            Input::Other => return Ok(Decision::default()),
        };
        let account = Account::clone(streams.get(&stream_of(subject))?);
        let mut draft = Draft::new(&*self.participant, &self.signer.key, self.clock.now(), account);
        match input {
            Input::Instruction(told) => draft.instruct(told),
            Input::Registered(_, known) => draft.known(known.clone()),
            Input::Closed(closure) => draft.stay_closed(closure),
            Input::Other => {}
        }
        Ok(self.decision(record, subject, input, draft))
    }

    fn seal(&self, open: Vec<ToStore>) -> Vec<Bytes> {
        self.signer.seal(&open)
    }

    /// Most subjects are never asked about, and few again: the account is loaded when it is needed.
    fn rests(&self, account: &Self::State) -> bool {
        account.cases.values().all(|record| !record.is_open())
    }
}

#[cfg(test)]
mod tests {
    use prost::Name as _;

    use super::*;

    #[test]
    fn the_name_of_identitys_fact_is_that_of_its_contract() {
        assert_eq!(SUBJECT_REGISTERED, identity::SubjectRegistered::full_name());
    }
}
