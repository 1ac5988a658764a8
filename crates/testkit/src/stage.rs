//! What a participant needs to play its part: a store and a log in a temporary directory, a clock
//! that stands, and somebody who speaks the coordinator's and identity's lines.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use event_store::{Position, Store};
use keys::SigningKey;
use messaging::{CloudEvent, EventLog};
use participant::{Account, Accounts, Participant, contract, topics};
use prost::Name;
use proto::{
    identity::v1::{SubjectClosed, SubjectRegistered},
    participant::v1 as pb,
    types::v1 as words,
};
use tempfile::TempDir;
use types::{CancellationId, Clock, ParticipantName, SubjectId, Timestamp, fresh_uuid};

use crate::{ManualClock, temp_log, temp_store};

/// How long anything is waited for before the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// One participant's surroundings. Every method panics when they fail: the test has failed then.
pub struct Stage {
    /// The clock; stands unless it is set.
    pub clock: Arc<ManualClock>,
    /// The participant's store.
    pub store: Store,
    /// The event log.
    pub log: Arc<dyn EventLog>,
    /// What the participant signs with.
    pub key: Arc<SigningKey>,
    /// Where all of it lies.
    pub directory: TempDir,
}

impl Stage {
    /// An empty stage at that instant.
    pub async fn open(now: Timestamp) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let store = temp_store(directory.path()).await;
        let log = temp_log(directory.path()).await;
        let declared = [contract::topic(contract::IDENTITY_EVENTS), topics::closures()];
        log.declare(&declared).await.expect("topics are declared");
        Self {
            clock: Arc::new(ManualClock::at(now)),
            store,
            log,
            key: Arc::new(SigningKey::from_seed([7; 32])),
            directory,
        }
    }

    /// What a participant is built with.
    #[must_use]
    pub fn options(&self) -> participant::Options {
        participant::Options {
            store: self.store.clone(),
            log: self.log.clone(),
            key: self.key.clone(),
            clock: self.clock.clone(),
            member: "test".into(),
            batched_signatures: true,
        }
    }

    /// Tells as identity that the subject exists, in China.
    pub async fn register(&self, subject: &SubjectId) {
        let fact = SubjectRegistered {
            subject_id: subject.to_string(),
            region: "CN".into(),
            edition: words::Edition::Domestic.into(),
        };
        self.tell(contract::IDENTITY_EVENTS.into(), subject.as_str(), "identity", &fact).await;
    }

    /// Tells in the ledger that the subject was closed, now.
    pub async fn close(&self, subject: &SubjectId, cancellation: &CancellationId) {
        let entry = SubjectClosed {
            subject_id: subject.to_string(),
            cancellation_id: cancellation.to_string(),
            closed_at: Some(self.clock.now().to_proto()),
        };
        self.tell(contract::CLOSURES.into(), subject.as_str(), "identity", &entry).await;
    }

    /// Tells the participant, as the coordinator, what it shall do. Nothing is said of an assessment:
    /// see [`Stage::instruct_as_assessed`].
    pub async fn instruct(&self, told: Told<'_>) {
        self.instruct_with(told, None).await;
    }

    /// The same for what the subject accepted on this assessment.
    pub async fn instruct_as_assessed(&self, told: Told<'_>, assessed: &pb::Acknowledgement) {
        self.instruct_with(told, Some(assessed)).await;
    }

    async fn instruct_with(&self, told: Told<'_>, assessed: Option<&pb::Acknowledgement>) {
        let Told { participant, cancellation, subject, kind, epoch, scope } = told;
        let assessment = assessed.and_then(|assessed| assessed.assessment.as_ref());
        let instruction = pb::Instruction {
            instruction_id: contract::instruction_id(cancellation, participant.as_str(), kind, epoch),
            tenant: types::TENANT_LOCAL.into(),
            cancellation_id: cancellation.to_string(),
            participant: participant.to_string(),
            kind: kind.into(),
            epoch,
            subject_id: subject.to_string(),
            region: "CN".into(),
            edition: words::Edition::Domestic.into(),
            scope: Some(participant::wire::scope(scope)),
            issued_at: Some(self.clock.now().to_proto()),
            due_at: None,
            assessment_digest: assessed.map(|it| it.assessment_digest.clone()).unwrap_or_default(),
            assessed_at: assessment.and_then(|it| it.assessed_at),
        };
        let topic = contract::instructions_topic(participant);
        self.tell(topic.into(), cancellation.as_str(), "cancellation", &instruction).await;
    }

    async fn tell<M: prost::Message + Name>(&self, topic: Arc<str>, key: &str, source: &str, message: &M) {
        let event = CloudEvent {
            id: &format!("{}/test", fresh_uuid()),
            kind: &M::full_name(),
            source,
            subject: key,
            at: self.clock.now(),
            sequence: 1,
            traceparent: "",
        };
        let payload = Some(message.encode_to_vec().into());
        let message = messaging::cloud_event(topic, Bytes::copy_from_slice(key.as_bytes()), &event, payload);
        self.log.publish(vec![message]).await.expect("the log takes a message");
    }

    /// The subject's account, once it is as wanted.
    pub async fn until<P: Participant>(
        &self,
        accounts: &Accounts<P>,
        subject: &SubjectId,
        wanted: impl Fn(&Account<P::State>) -> bool,
    ) -> Account<P::State> {
        let come = async {
            let mut tail = self.store.tail(Position::default());
            loop {
                tail.next(1_000).await.expect("the store is read");
                let account = accounts.get(subject).await;
                if let Ok(account) = account
                    && wanted(&account)
                {
                    return account;
                }
            }
        };
        tokio::time::timeout(PATIENCE, come).await.expect("the account becomes as wanted")
    }

    /// The participant's answer, once it has given one of at least that epoch and revision.
    pub async fn answer<P: Participant>(
        &self,
        accounts: &Accounts<P>,
        subject: &SubjectId,
        cancellation: &CancellationId,
        at_least: (u32, u32),
    ) -> pb::Acknowledgement {
        let given = |account: &Account<P::State>| {
            account.cases.get(cancellation).is_some_and(|case| (case.epoch, case.revision) >= at_least)
        };
        let account = self.until(accounts, subject, given).await;
        account.cases[cancellation].answer().clone()
    }
}

/// An instruction, but for what every one of a test has alike.
#[derive(Clone, Copy)]
pub struct Told<'a> {
    /// To whom.
    pub participant: &'a ParticipantName,
    /// Of which cancellation.
    pub cancellation: &'a CancellationId,
    /// Whose.
    pub subject: &'a SubjectId,
    /// What to do.
    pub kind: pb::InstructionKind,
    /// In which round.
    pub epoch: u32,
    /// What ends.
    pub scope: &'a types::Scope,
}
