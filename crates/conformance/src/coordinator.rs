//! The coordinator's side of the contract, with cancellations of its own that never were.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use keys::JwkSet;
use messaging::{CloudEvent, EventLog, LogError};
use participant::{contract, wire};
use prost::{Message as _, Name as _};
use proto::{identity::v1::SubjectRegistered, participant::v1 as pb, types::v1 as words};
use tokio::time::timeout;
use types::{CancellationId, Clock, ParticipantName, Scope, SubjectId, Timestamp, fresh_uuid};

use crate::{
    Fault,
    hearing::{Heard, Hearing, read, told},
};

/// Who speaks, as the records' headers say.
const SOURCE: &str = "conformance";

/// The subjects' region.
const REGION: &str = "CN";

/// With whom, about what and how long.
pub struct Options {
    /// The log on which the participant is met.
    pub log: Arc<dyn EventLog>,
    /// What instructions are dated by.
    pub clock: Arc<dyn Clock>,
    /// Who is checked.
    pub participant: ParticipantName,
    /// The public keys that may sign its answers.
    pub keys: JwkSet,
    /// What ends of every subject.
    pub scope: Scope,
    /// How long an answer may take.
    pub within: Duration,
}

/// Speaks the coordinator's lines to one participant, and hears its answers.
pub struct Coordinator {
    options: Options,
    hearing: Hearing,
    /// What the ids of this run's cases begin with.
    run: String,
    cases: u32,
    /// How many answers of each case were taken note of.
    taken: HashMap<CancellationId, usize>,
}

impl Coordinator {
    /// Makes the topics that are not there and begins to listen.
    ///
    /// # Errors
    /// [`LogError`].
    pub async fn start(options: Options) -> Result<Self, LogError> {
        let instructions = contract::instructions_topic(&options.participant);
        let topics = [instructions.as_str(), contract::ACKNOWLEDGEMENTS, contract::IDENTITY_EVENTS];
        options.log.declare(&topics.map(contract::topic)).await?;
        let run = format!("{}{}", contract::CONFORMANCE, fresh_uuid().simple());
        let hearing = Hearing::start(&options.log, &run).await?;
        Ok(Self { options, hearing, run, cases: 0, taken: HashMap::new() })
    }

    /// Who is checked.
    #[must_use]
    pub fn participant(&self) -> &ParticipantName {
        &self.options.participant
    }

    /// What ends of every subject.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.options.scope
    }

    /// The instant now, by which instructions are dated.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.options.clock.now()
    }

    /// How long an answer may take.
    #[must_use]
    pub fn within(&self) -> Duration {
        self.options.within
    }

    /// A case of its own.
    pub fn case(&mut self) -> CancellationId {
        self.cases += 1;
        let id = format!("{}-{}", self.run, self.cases);
        CancellationId::parse(&id).expect("a prefix, a UUID and a number have the form of an id")
    }

    /// A case whose instructions come in the same partition as those of that one.
    pub fn neighbour(&mut self, of: &CancellationId) -> CancellationId {
        let partition =
            |case: &CancellationId| messaging::partition_of(case.as_str().as_bytes(), contract::PARTITIONS);
        loop {
            let case = self.case();
            if partition(&case) == partition(of) {
                return case;
            }
        }
    }

    /// An instruction as the coordinator would give it, on an assessment when one is given.
    #[must_use]
    pub fn instruction(
        &self,
        case: &CancellationId,
        subject: &SubjectId,
        kind: pb::InstructionKind,
        epoch: u32,
        assessed: Option<&pb::Acknowledgement>,
    ) -> pb::Instruction {
        let participant = self.options.participant.as_str();
        let assessment = assessed.and_then(|assessed| assessed.assessment.as_ref());
        pb::Instruction {
            instruction_id: contract::instruction_id(case, participant, kind, epoch),
            tenant: types::TENANT_LOCAL.into(),
            cancellation_id: case.to_string(),
            participant: participant.into(),
            kind: kind.into(),
            epoch,
            subject_id: subject.to_string(),
            region: REGION.into(),
            edition: words::Edition::Domestic.into(),
            scope: Some(wire::scope(&self.options.scope)),
            issued_at: Some(self.now().to_proto()),
            due_at: None,
            assessment_digest: assessed.map(|it| it.assessment_digest.clone()).unwrap_or_default(),
            assessed_at: assessment.and_then(|it| it.assessed_at),
        }
    }

    /// Gives an instruction.
    ///
    /// # Errors
    /// [`LogError`].
    pub async fn tell(&self, instruction: &pb::Instruction) -> Result<(), LogError> {
        self.tell_raw(&instruction.cancellation_id, instruction.encode_to_vec().into()).await
    }

    /// Puts these bytes where an instruction about that case would stand.
    ///
    /// # Errors
    /// [`LogError`].
    pub async fn tell_raw(&self, case: &str, payload: Bytes) -> Result<(), LogError> {
        let topic = contract::instructions_topic(&self.options.participant);
        self.publish(&topic, case, &pb::Instruction::full_name(), payload).await
    }

    /// Tells everybody, as identity does, that a subject exists.
    ///
    /// # Errors
    /// [`LogError`].
    pub async fn register(&self, subject: &SubjectId) -> Result<(), LogError> {
        let fact = SubjectRegistered {
            subject_id: subject.to_string(),
            region: REGION.into(),
            edition: words::Edition::Domestic.into(),
        };
        let payload = fact.encode_to_vec().into();
        let kind = SubjectRegistered::full_name();
        self.publish(contract::IDENTITY_EVENTS, subject.as_str(), &kind, payload).await
    }

    async fn publish(&self, topic: &str, key: &str, kind: &str, payload: Bytes) -> Result<(), LogError> {
        let event = CloudEvent {
            id: &format!("{}/{SOURCE}", fresh_uuid()),
            kind,
            source: SOURCE,
            subject: key,
            at: self.now(),
            sequence: 1,
            traceparent: "",
        };
        let key = Bytes::copy_from_slice(key.as_bytes());
        let message = messaging::cloud_event(topic.into(), key, &event, Some(payload));
        self.options.log.publish(vec![message]).await
    }

    /// The next new answer of a case. Its signature holds.
    ///
    /// # Errors
    /// [`Fault`] when none comes in time, or one that is none.
    pub async fn next(&mut self, case: &CancellationId) -> Result<Heard, Fault> {
        loop {
            let (heard, known) = self.take(case).await?;
            // The log may give anything twice.
            if !known {
                return Ok(heard);
            }
        }
    }

    /// Waits until an answer is given again, bytes and all, and nothing new with it.
    ///
    /// # Errors
    /// [`Fault`] when it is not.
    pub async fn again(&mut self, case: &CancellationId, expected: &Heard) -> Result<(), Fault> {
        loop {
            let (heard, known) = self.take(case).await?;
            if heard.is(expected) {
                return Ok(());
            }
            if !known {
                let what = format!("answer to what was answered before, about {case}");
                return Err(Fault::broken(
                    what,
                    format!("the same bytes again ({})", told(&expected.answer)),
                    format!("other ones ({})", heard.told()),
                ));
            }
        }
    }

    /// All answers of a case that have come so far.
    ///
    /// # Errors
    /// [`Fault`] when one of them is none.
    pub fn heard(&self, case: &CancellationId) -> Result<Vec<Heard>, Fault> {
        let come = self.hearing.come.borrow();
        let Options { participant, keys, .. } = &self.options;
        come.of(case).iter().map(|record| read(record, participant, keys)).collect()
    }

    /// The next answer of a case, and whether it was given before.
    async fn take(&mut self, case: &CancellationId) -> Result<(Heard, bool), Fault> {
        let taken = self.taken.entry(case.clone()).or_default();
        let at = *taken;
        let mut come = self.hearing.come.clone();
        let comes = come.wait_for(|come| come.of(case).len() > at || come.failure().is_some());
        let within = self.options.within;
        match timeout(within, comes).await {
            Ok(Ok(come)) => {
                if let (Some(failure), true) = (come.failure(), come.of(case).len() <= at) {
                    return Err(failure.clone().into());
                }
            }
            Ok(Err(_)) | Err(_) => {
                let expected = format!("one within {} ms", within.as_millis());
                let before = self.heard(case)?;
                let seen = match before.last() {
                    None => "none".to_owned(),
                    Some(last) => format!("no more than {} before, the last {}", before.len(), last.told()),
                };
                return Err(Fault::broken(format!("answer about {case}"), expected, seen));
            }
        }
        *taken += 1;
        let mut all = self.heard(case)?;
        let next = all.swap_remove(at);
        // Of the others only those that came before it.
        all.truncate(at);
        let known = next.repeats(&all);
        Ok((next, known))
    }

    /// Nobody's answers went back: of every case each new answer has a higher (epoch, revision) than
    /// the one before, those apart that tell that an instruction came too late.
    ///
    /// # Errors
    /// [`Fault`] when one did.
    pub fn orderly(&self) -> Result<(), Fault> {
        let come = self.hearing.come.borrow();
        for records in come.cases() {
            let Options { participant, keys, .. } = &self.options;
            let mut seen: Vec<Heard> = Vec::new();
            for record in records {
                let heard = read(record, participant, keys)?;
                if heard.repeats(&seen) || heard.answer.outcome() == pb::Outcome::Superseded {
                    continue;
                }
                let place = |heard: &Heard| (heard.answer.epoch, heard.answer.revision);
                if let Some(last) = seen.last().filter(|last| place(last) >= place(&heard)) {
                    let what = format!("new answer about {}", heard.answer.cancellation_id);
                    let expected = format!("a higher epoch or revision than {}", last.told());
                    return Err(Fault::broken(what, expected, heard.told()));
                }
                seen.push(heard);
            }
        }
        Ok(())
    }
}
