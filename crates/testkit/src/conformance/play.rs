//! One participant playing one scenario, on a stage whose store and log can fail.

use std::{collections::HashMap, sync::Arc, time::Duration};

use event_store::{Store, StoreOptions};
use keys::JwkSet;
use messaging::{ConsumerHandle, Delivery, EventLog, Subscription};
use participant::{Accounts, Participant, RunError, Runtime, Write, contract, is_success, stream_of};
use prost::{Message as _, Name as _};
use proto::participant::v1 as pb;
use tokio::{sync::watch, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use types::{Caller, CancellationId, SubjectId, fresh_uuid};

use super::Scenario;
use crate::{FaultyEngine, FaultyLog, Stage, Told, temp_postgres};

/// How long anything is waited for before the check fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// The coordinator's share of the topic of acknowledgements.
const RECORDS_MAX: usize = 1_000;

/// An answer as it was heard: what it says, and the bytes.
pub(super) type Heard = (pb::Acknowledgement, pb::SignedAcknowledgement);

pub(super) struct Play<'a, P: Participant> {
    pub(super) scenario: &'a Scenario<P>,
    pub(super) stage: Stage,
    pub(super) engine: Arc<FaultyEngine>,
    pub(super) log: Arc<FaultyLog>,
    pub(super) accounts: Accounts<P>,
    pub(super) consumer: ConsumerHandle,
    pub(super) subject: SubjectId,
    running: JoinSet<Result<(), RunError>>,
    shutdown: CancellationToken,
    heard: watch::Receiver<Vec<pb::SignedAcknowledgement>>,
    _listening: JoinSet<()>,
    keys: JwkSet,
    /// How many answers of each case were taken note of.
    taken: HashMap<CancellationId, usize>,
    /// The types of the facts that the scenario recorded itself.
    told: Vec<String>,
}

impl<'a, P: Participant> Play<'a, P> {
    /// Everything is set up, the participant runs, and the subject has what the scenario gives.
    pub(super) async fn start(scenario: &'a Scenario<P>) -> Self {
        let mut stage = Stage::open(scenario.now).await;
        if scenario.on_postgres {
            stage.store = temp_postgres().await.expect("there is a PostgreSQL server");
        }
        let engine = FaultyEngine::new(stage.store.engine().clone());
        stage.store = Store::with_engine(engine.clone(), StoreOptions::default());
        let log = FaultyLog::new(stage.log.clone());
        let (accounts, consumer, running, shutdown) = run(scenario, &stage, &log).await;
        let (heard, listening) = listen(&stage.log).await;
        let mut play = Self {
            scenario,
            keys: [stage.key.jwk()].into_iter().collect(),
            stage,
            engine,
            log,
            accounts,
            consumer,
            subject: SubjectId::mint(fresh_uuid()),
            running,
            shutdown,
            heard,
            _listening: listening,
            taken: HashMap::new(),
            told: Vec::new(),
        };
        play.seed().await;
        play
    }

    async fn seed(&mut self) {
        let given = (self.scenario.given)(&self.subject);
        if self.scenario.follows_identity {
            self.stage.register(&self.subject).await;
            self.stage.until(&self.accounts, &self.subject, |account| account.known.is_some()).await;
            return self.record(&given).await;
        }
        self.note(&given);
        let caller = Caller::local();
        let write = Write { caller: &caller, request_id: "", digest: [0; 32], subject: &self.subject };
        let known = pb::SubjectKnown {
            subject_id: self.subject.to_string(),
            region: "CN".into(),
            ..pb::SubjectKnown::default()
        };
        self.accounts.open(write, known, given).await.expect("the subject is registered");
    }

    /// A case of its own.
    pub(super) fn case() -> CancellationId {
        CancellationId::mint(fresh_uuid())
    }

    /// Tells the participant to do something, on an assessment when one is given.
    pub(super) async fn tell(
        &self,
        cancellation: &CancellationId,
        kind: pb::InstructionKind,
        epoch: u32,
        assessed: Option<&pb::Acknowledgement>,
    ) {
        let told = Told {
            participant: self.scenario.participant.name(),
            cancellation,
            subject: &self.subject,
            kind,
            epoch,
            scope: &self.scenario.scope,
        };
        match assessed {
            Some(assessed) => self.stage.instruct_as_assessed(told, assessed).await,
            None => self.stage.instruct(told).await,
        }
    }

    /// The next new answer of a case. Its signature holds.
    pub(super) async fn next(&mut self, cancellation: &CancellationId) -> Heard {
        loop {
            let (heard, known) = self.take(cancellation).await;
            // The log may give anything twice.
            if !known {
                return heard;
            }
        }
    }

    /// Waits until an answer is given again, bytes and all, and nothing new with it.
    pub(super) async fn again(&mut self, cancellation: &CancellationId, expected: &Heard) {
        loop {
            let (heard, known) = self.take(cancellation).await;
            assert!(known, "a repeated instruction is answered anew: {heard:?}");
            if heard == *expected {
                return;
            }
        }
    }

    /// The next answer of a case, and whether it was given before.
    async fn take(&mut self, cancellation: &CancellationId) -> (Heard, bool) {
        let taken = self.taken.entry(cancellation.clone()).or_default();
        let at = *taken;
        *taken += 1;
        let mut heard = self.heard.clone();
        let come = heard.wait_for(|heard| answers(&self.keys, heard, cancellation).len() > at);
        let all = timeout(PATIENCE, come).await.expect("an answer comes").expect("the log is read").clone();
        let mut all = answers(&self.keys, &all, cancellation);
        let next = all.swap_remove(at);
        let known = all[..at].contains(&next);
        (next, known)
    }

    /// Takes note of answers until one ends the instruction of that epoch, and gives it.
    pub(super) async fn ended(&mut self, cancellation: &CancellationId, epoch: u32) -> Heard {
        loop {
            let (answer, signed) = self.next(cancellation).await;
            if answer.epoch == epoch && !is_interim(answer.outcome()) {
                return (answer, signed);
            }
        }
    }

    /// ASSESS: gives the assessment.
    pub(super) async fn assess(&mut self, cancellation: &CancellationId, epoch: u32) -> pb::Acknowledgement {
        self.tell(cancellation, pb::InstructionKind::Assess, epoch, None).await;
        let (answer, _) = self.ended(cancellation, epoch).await;
        assert_eq!(answer.outcome(), pb::Outcome::Assessed);
        assert!(answer.assessment.is_some());
        answer
    }

    /// EXECUTE, and all that must come after, to the end; it must be a success.
    pub(super) async fn execute(
        &mut self,
        cancellation: &CancellationId,
        epoch: u32,
        assessed: Option<&pb::Acknowledgement>,
    ) -> Heard {
        self.tell(cancellation, pb::InstructionKind::Execute, epoch, assessed).await;
        self.go_on(cancellation, epoch).await
    }

    /// All that comes after EXECUTE was told.
    pub(super) async fn go_on(&mut self, cancellation: &CancellationId, epoch: u32) -> Heard {
        self.go_on_from(cancellation, epoch, 1).await
    }

    /// The same, once an answer of that revision was given.
    pub(super) async fn go_on_from(
        &mut self,
        cancellation: &CancellationId,
        epoch: u32,
        revision: u32,
    ) -> Heard {
        for step in &self.scenario.then {
            self.interim(cancellation, (epoch, revision)).await;
            self.record(step).await;
        }
        let (answer, signed) = self.ended(cancellation, epoch).await;
        assert!(is_success(answer.outcome()), "ended with {:?}: {:?}", answer.outcome(), answer.failure);
        (answer, signed)
    }

    /// The participant's answer to that epoch, which must not be the end of it.
    pub(super) async fn interim(&self, cancellation: &CancellationId, at_least: (u32, u32)) {
        let answer = self.stage.answer(&self.accounts, &self.subject, cancellation, at_least).await;
        assert!(is_interim(answer.outcome()), "is not interim: {:?}", answer.outcome());
    }

    /// Records facts of the participant, as its own parts do; again while the store fails.
    pub(super) async fn record(&mut self, facts: &[P::Event]) {
        self.note(facts);
        let before = self.version().await;
        let decide = |_: &P::State, _| (facts.to_vec(), Vec::new());
        while let Err(error) = self.accounts.record(&self.subject, "conformance", decide).await {
            assert!(self.engine.failed() > 0, "{error}");
            if self.version().await > before {
                return;
            }
        }
    }

    fn note(&mut self, facts: &[P::Event]) {
        let kinds = facts.iter().map(|fact| self.scenario.participant.encode(fact).kind.into_owned());
        self.told.extend(kinds);
    }

    /// How many facts the subject's stream has.
    pub(super) async fn version(&self) -> usize {
        self.stage.store.load(&stream_of(&self.subject)).await.expect("the store is read").len()
    }

    /// The types of the participant's own facts beside those that the scenario recorded, sorted.
    pub(super) async fn effects(&self) -> Vec<String> {
        let events = self.stage.store.load(&stream_of(&self.subject)).await.expect("the store is read");
        let sdks = [pb::Answered::full_name(), pb::SubjectKnown::full_name(), pb::SubjectClosed::full_name()];
        let kinds = events.iter().map(|event| event.kind.to_string());
        let mut own: Vec<String> = kinds.filter(|kind| !sdks.contains(kind)).collect();
        for told in &self.told {
            let place = own.iter().position(|kind| kind == told).expect("what was recorded is there");
            own.remove(place);
        }
        own.sort_unstable();
        own
    }

    /// What the scenario says has happened, exactly once; and nobody's answers went back.
    pub(super) async fn settle(mut self) {
        assert_eq!(self.effects().await, self.scenario.adds, "effects");
        self.stop().await;
        let heard = self.heard.borrow().clone();
        let mut last: HashMap<String, (u32, u32)> = HashMap::new();
        let mut seen: Vec<&pb::SignedAcknowledgement> = Vec::new();
        for signed in &heard {
            let answer = contract::verify(signed, &self.keys).expect("the signature holds");
            if seen.contains(&signed) || answer.outcome() == pb::Outcome::Superseded {
                continue;
            }
            seen.push(signed);
            let now = (answer.epoch, answer.revision);
            let before = last.insert(answer.cancellation_id.clone(), now);
            assert!(before.is_none_or(|before| before < now), "{now:?} comes after {before:?}");
        }
    }

    /// Has the participant stop.
    pub(super) async fn stop(&mut self) {
        self.shutdown.cancel();
        while let Some(ended) = timeout(PATIENCE, self.running.join_next()).await.expect("it stops") {
            ended.expect("it does not panic").expect("it stops in order");
        }
    }

    /// Starts the participant again, over the same store and log.
    pub(super) async fn restart(&mut self) {
        let (accounts, consumer, running, shutdown) = run(self.scenario, &self.stage, &self.log).await;
        self.accounts = accounts;
        self.consumer = consumer;
        self.running = running;
        self.shutdown = shutdown;
    }
}

type Running<P> = (Accounts<P>, ConsumerHandle, JoinSet<Result<(), RunError>>, CancellationToken);

async fn run<P: Participant>(scenario: &Scenario<P>, stage: &Stage, log: &Arc<FaultyLog>) -> Running<P> {
    let options = participant::Options { log: log.clone(), ..stage.options() };
    let runtime = Runtime::new(scenario.participant.clone(), options, scenario.follows_identity)
        .await
        .expect("the participant starts");
    let (accounts, consumer) = (runtime.accounts().clone(), runtime.consumer());
    let (mut running, shutdown) = (JoinSet::new(), CancellationToken::new());
    running.spawn(runtime.run(shutdown.clone()));
    (accounts, consumer, running, shutdown)
}

/// Hears every answer, as the coordinator does.
async fn listen(log: &Arc<dyn EventLog>) -> (watch::Receiver<Vec<pb::SignedAcknowledgement>>, JoinSet<()>) {
    let topics = vec![contract::ACKNOWLEDGEMENTS.into()];
    let subscription = Subscription { group: "conformance".into(), member: "conformance".into(), topics };
    let mut reader = log.subscribe(subscription).await.expect("the log is read");
    let (tell, heard) = watch::channel(Vec::new());
    let mut listening = JoinSet::new();
    listening.spawn(async move {
        loop {
            match reader.next(RECORDS_MAX).await.expect("the log is read") {
                Delivery::Assigned(partitions) => {
                    for partition in partitions {
                        let start = reader.start(&partition.topic, partition.partition, None).await;
                        start.expect("the log is read");
                    }
                }
                Delivery::Revoked(_) => {}
                Delivery::Records(records) => tell.send_modify(|heard| {
                    let read = |record: messaging::Record| {
                        pb::SignedAcknowledgement::decode(record.payload).expect("an answer is one")
                    };
                    heard.extend(records.into_iter().map(read));
                }),
            }
        }
    });
    (heard, listening)
}

fn answers(keys: &JwkSet, heard: &[pb::SignedAcknowledgement], cancellation: &CancellationId) -> Vec<Heard> {
    let verified = heard
        .iter()
        .map(|signed| (contract::verify(signed, keys).expect("the signature holds"), signed.clone()));
    verified.filter(|(answer, _)| answer.cancellation_id == cancellation.as_str()).collect()
}

fn is_interim(outcome: pb::Outcome) -> bool {
    matches!(outcome, pb::Outcome::Waiting | pb::Outcome::Accepted)
}
