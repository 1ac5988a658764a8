//! The checks find what they are there for: a participant with a bad habit fails those that forbid it,
//! and one without passes them all.
#![expect(clippy::unwrap_used, reason = "all of this is tests, helpers included")]

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use conformance::{CHECKS, Coordinator, Effect, Host, HostError, Options};
use keys::SigningKey;
use messaging::{CloudEvent, ConsumedLog, Delivery, EmbeddedLog, EventLog, Record, Subscription};
use participant::contract;
use pb::InstructionKind::{Assess, Execute, Undo};
use prost::{Message as _, Name as _};
use proto::participant::v1 as pb;
use tokio::task::JoinSet;
use types::{Clock as _, ParticipantName, Scope, SubjectId, SystemClock, fresh_uuid};

/// What it does otherwise than the contract says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Habit {
    None,
    /// Handles what leaves no trace twice: that may happen to anybody.
    SaysItTwice,
    /// Answers what is repeated anew.
    AnswersAnew,
    /// Obeys also what comes too late.
    ForgetsEpochs,
    /// Executes whatever was accepted.
    IgnoresTheDigest,
    /// Takes the digest with the moment in it.
    DigestsTheMoment,
    /// Begins to count revisions at 0.
    CountsFromZero,
    /// Does not say what it is that it sends.
    LeavesHeadersOut,
    /// Stops at bytes that it cannot read.
    StopsAtGarbage,
    /// Answers for others.
    AnswersForOthers,
    /// Forgets how it ended.
    BeginsAgain,
    /// Has something for everybody, always.
    NeverCloses,
}

/// A participant that has one thing of every subject, and no store.
struct Somebody {
    habit: Habit,
    name: ParticipantName,
    key: SigningKey,
    cases: HashMap<String, (pb::Acknowledgement, pb::SignedAcknowledgement)>,
    closed: HashMap<String, String>,
}

impl Somebody {
    /// What it answers to a record; `None` when it stops for good.
    fn hear(&mut self, record: &Record) -> Option<Vec<pb::SignedAcknowledgement>> {
        let Ok(told) = pb::Instruction::decode(record.payload.clone()) else {
            return (self.habit != Habit::StopsAtGarbage).then(Vec::new);
        };
        let known = told.kind() != pb::InstructionKind::Unspecified && told.scope.is_some();
        let mine = told.participant == self.name.as_str() || self.habit == Habit::AnswersForOthers;
        Some(if known && mine { self.instruct(&told) } else { Vec::new() })
    }

    fn instruct(&mut self, told: &pb::Instruction) -> Vec<pb::SignedAcknowledgement> {
        let last = self.cases.get(&told.cancellation_id).cloned();
        let Some((answer, signed)) = last.filter(|_| self.habit != Habit::ForgetsEpochs) else {
            return vec![self.obey(told)];
        };
        let other = told.epoch == answer.epoch && told.kind != answer.kind;
        if told.epoch < answer.epoch || other {
            let times = if self.habit == Habit::SaysItTwice { 2 } else { 1 };
            return (0..times).map(|_| self.sign(&self.answer(told, pb::Outcome::Superseded))).collect();
        }
        if told.epoch == answer.epoch {
            return vec![if self.habit == Habit::AnswersAnew { self.obey(told) } else { signed }];
        }
        let ended = answer.kind() == Execute && participant::is_success(answer.outcome());
        if !ended || self.habit == Habit::BeginsAgain {
            return vec![self.obey(told)];
        }
        match told.kind() {
            Undo => vec![self.obey(told)],
            Execute => {
                let again = pb::Acknowledgement { epoch: told.epoch, revision: 1, ..answer };
                vec![self.keep(told, again)]
            }
            Assess if self.habit == Habit::SaysItTwice => {
                let found = || self.sign(&self.assessed(told));
                vec![signed.clone(), found(), signed.clone(), found()]
            }
            Assess => vec![signed, self.sign(&self.assessed(told))],
            _ => vec![signed],
        }
    }

    fn obey(&mut self, told: &pb::Instruction) -> pb::SignedAcknowledgement {
        let found = contract::assessment_digest(&self.assessment(told));
        let closed = self.closed.get(&told.subject_id).cloned();
        let answer = match told.kind() {
            Assess => self.assessed(told),
            Execute if !told.assessment_digest.is_empty() && told.assessment_digest[..] != found => {
                let ignores = self.habit == Habit::IgnoresTheDigest;
                self.answer(told, if ignores { pb::Outcome::Done } else { pb::Outcome::Changed })
            }
            Execute => {
                if self.habit != Habit::NeverCloses {
                    self.closed.entry(told.subject_id.clone()).or_insert(told.cancellation_id.clone());
                }
                let done = closed.is_none();
                self.answer(told, if done { pb::Outcome::Done } else { pb::Outcome::NothingToDo })
            }
            Undo if closed.as_ref() == Some(&told.cancellation_id) => self.answer(told, pb::Outcome::Failed),
            _ => self.answer(told, pb::Outcome::NothingToDo),
        };
        self.keep(told, answer)
    }

    fn assessment(&self, told: &pb::Instruction) -> pb::Assessment {
        let item = pb::QuoteItem {
            participant: self.name.to_string(),
            kind: pb::QuoteItemKind::Lapses.into(),
            code: "THING_LAPSES".into(),
            ..pb::QuoteItem::default()
        };
        let left = !self.closed.contains_key(&told.subject_id);
        let assessed_at = Some(SystemClock.now().to_proto());
        pb::Assessment {
            assessed_at,
            items: left.then_some(item).into_iter().collect(),
            ..pb::Assessment::default()
        }
    }

    fn assessed(&self, told: &pb::Instruction) -> pb::Acknowledgement {
        let assessment = self.assessment(told);
        let mut digest = contract::assessment_digest(&assessment);
        if self.habit == Habit::DigestsTheMoment {
            digest[0] ^= 1;
        }
        pb::Acknowledgement {
            assessment_digest: digest.to_vec().into(),
            assessment: Some(assessment),
            ..self.answer(told, pb::Outcome::Assessed)
        }
    }

    fn answer(&self, told: &pb::Instruction, outcome: pb::Outcome) -> pb::Acknowledgement {
        pb::Acknowledgement {
            cancellation_id: told.cancellation_id.clone(),
            participant: self.name.to_string(),
            kind: told.kind,
            epoch: told.epoch,
            revision: u32::from(self.habit != Habit::CountsFromZero),
            outcome: outcome.into(),
            acknowledged_at: Some(SystemClock.now().to_proto()),
            subject_id: told.subject_id.clone(),
            ..pb::Acknowledgement::default()
        }
    }

    fn keep(&mut self, told: &pb::Instruction, answer: pb::Acknowledgement) -> pb::SignedAcknowledgement {
        let signed = self.sign(&answer);
        self.cases.insert(told.cancellation_id.clone(), (answer, signed.clone()));
        signed
    }

    fn sign(&self, answer: &pb::Acknowledgement) -> pb::SignedAcknowledgement {
        contract::sign(answer, &self.key)
    }

    /// Reads instructions and answers them until it is dropped.
    async fn live(mut self, log: Arc<dyn EventLog>) {
        let topics = vec![contract::instructions_topic(&self.name).into()];
        let subscription = Subscription { group: "somebody".into(), member: "somebody".into(), topics };
        let mut reader = log.subscribe(subscription).await.unwrap();
        loop {
            for record in records(&mut *reader).await {
                let Some(answers) = self.hear(&record) else { return };
                let topic: Arc<str> = contract::ACKNOWLEDGEMENTS.into();
                let kind = pb::SignedAcknowledgement::full_name();
                let subject = String::from_utf8(record.key.to_vec()).unwrap();
                let message = |signed: pb::SignedAcknowledgement| {
                    let event = CloudEvent {
                        id: &fresh_uuid().to_string(),
                        kind: if self.habit == Habit::LeavesHeadersOut { "" } else { &kind },
                        source: "somebody",
                        subject: &subject,
                        at: SystemClock.now(),
                        sequence: 1,
                        traceparent: "",
                    };
                    let payload = Some(signed.encode_to_vec().into());
                    messaging::cloud_event(topic.clone(), record.key.clone(), &event, payload)
                };
                log.publish(answers.into_iter().map(message).collect()).await.unwrap();
            }
        }
    }
}

async fn records(reader: &mut dyn ConsumedLog) -> Vec<Record> {
    match reader.next(100).await.unwrap() {
        Delivery::Records(records) => records,
        Delivery::Revoked(_) => Vec::new(),
        Delivery::Assigned(partitions) => {
            for it in partitions {
                reader.start(&it.topic, it.partition, None).await.unwrap();
            }
            Vec::new()
        }
    }
}

/// Nobody is there who could change anything.
struct Outside;

#[async_trait]
impl Host for Outside {
    async fn subject(&mut self) -> Result<SubjectId, HostError> {
        Ok(SubjectId::mint(fresh_uuid()))
    }

    async fn change(&mut self, _subject: &SubjectId) -> Result<bool, HostError> {
        Ok(false)
    }
}

/// The checks among these that a participant with that habit fails.
async fn failed(habit: Habit, among: &[&'static str], within: Duration) -> BTreeSet<&'static str> {
    let directory = tempfile::TempDir::new().unwrap();
    let log: Arc<dyn EventLog> = Arc::new(EmbeddedLog::open(&directory.path().join("log.db")).await.unwrap());
    let name = ParticipantName::parse("somebody").unwrap();
    let key = SigningKey::from_seed([7; 32]);
    let options = Options {
        log: log.clone(),
        clock: Arc::new(SystemClock),
        participant: name.clone(),
        keys: [key.jwk()].into_iter().collect(),
        scope: Scope::WholeAccount,
        within,
    };
    let mut coordinator = Coordinator::start(options).await.unwrap();
    let somebody = Somebody { habit, name, key, cases: HashMap::new(), closed: HashMap::new() };
    let mut living = JoinSet::new();
    living.spawn(somebody.live(log));
    let mut failed = BTreeSet::new();
    for check in CHECKS.iter().filter(|check| among.is_empty() || among.contains(&check.name)) {
        match conformance::run(check, &mut coordinator, &mut Outside).await {
            Ok(Effect::Skipped(_)) => assert_eq!(check.name, "told"),
            Ok(_) => {}
            Err(_) => drop(failed.insert(check.name)),
        }
    }
    failed
}

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn who_has_no_bad_habit_fails_nothing() {
    for habit in [Habit::None, Habit::SaysItTwice] {
        assert_eq!(failed(habit, &[], LONG).await, BTreeSet::new());
    }
}

#[tokio::test]
async fn each_habit_is_found_by_the_check_that_forbids_it() {
    let habits = [
        (Habit::AnswersAnew, "repeated"),
        (Habit::ForgetsEpochs, "superseded"),
        (Habit::ForgetsEpochs, "undo-first"),
        (Habit::ForgetsEpochs, "execute-first"),
        (Habit::IgnoresTheDigest, "changed"),
        (Habit::DigestsTheMoment, "answered"),
        (Habit::CountsFromZero, "answered"),
        (Habit::LeavesHeadersOut, "answered"),
        (Habit::AnswersForOthers, "garbage"),
        (Habit::BeginsAgain, "after-the-end"),
        (Habit::NeverCloses, "closed"),
    ];
    for (habit, check) in habits {
        assert_eq!(failed(habit, &[check], LONG).await, BTreeSet::from([check]), "{habit:?}");
    }
}

#[tokio::test]
async fn who_stops_at_garbage_is_not_waited_for_for_ever() {
    let seen = failed(Habit::StopsAtGarbage, &["garbage"], Duration::from_secs(1)).await;
    assert_eq!(seen, BTreeSet::from(["garbage"]));
}
