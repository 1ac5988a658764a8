//! One participant playing one scenario, on a stage whose store and log can fail.

use std::{sync::Arc, time::Duration};

use ::conformance::{Check, Coordinator, Effect, Fault, Host, HostError, Options, Session};
use async_trait::async_trait;
use event_store::{Store, StoreOptions};
use messaging::ConsumerHandle;
use participant::{Accounts, Participant, RunError, Runtime, Write, stream_of};
use prost::Name as _;
use proto::participant::v1 as pb;
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use types::{Caller, CancellationId, SubjectId, fresh_uuid};

use super::Scenario;
use crate::{FaultyEngine, FaultyLog, Stage, temp_postgres};

/// How long anything is waited for before the check fails.
const PATIENCE: Duration = Duration::from_secs(120);

/// A participant, its surroundings, and somebody who speaks with it.
pub(super) struct Play<'a, P: Participant> {
    pub(super) coordinator: Coordinator,
    pub(super) house: House<'a, P>,
}

/// The participant's surroundings.
pub(super) struct House<'a, P: Participant> {
    pub(super) scenario: &'a Scenario<P>,
    pub(super) stage: Stage,
    pub(super) engine: Arc<FaultyEngine>,
    pub(super) log: Arc<FaultyLog>,
    pub(super) accounts: Accounts<P>,
    pub(super) consumer: ConsumerHandle,
    pub(super) subject: SubjectId,
    running: JoinSet<Result<(), RunError>>,
    shutdown: CancellationToken,
    /// How many of the scenario's further steps were taken.
    steps: usize,
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
        let options = Options {
            log: stage.log.clone(),
            clock: stage.clock.clone(),
            participant: scenario.participant.name().clone(),
            keys: [stage.key.jwk()].into_iter().collect(),
            scope: scenario.scope.clone(),
            within: PATIENCE,
        };
        let coordinator = Coordinator::start(options).await.expect("the log is read");
        let mut house = House {
            scenario,
            stage,
            engine,
            log,
            accounts,
            consumer,
            subject: SubjectId::mint(fresh_uuid()),
            running,
            shutdown,
            steps: 0,
            told: Vec::new(),
        };
        house.seed().await;
        Self { coordinator, house }
    }

    /// Plays one of the checks that any participant can be put to.
    pub(super) async fn run(&mut self, check: &Check) -> Effect {
        kept(::conformance::run(check, &mut self.coordinator, &mut self.house).await)
    }

    fn session(&mut self) -> Session<'_> {
        let subject = self.house.subject.clone();
        Session { coordinator: &mut self.coordinator, host: &mut self.house, subject }
    }

    /// A case of its own.
    pub(super) fn case(&mut self) -> CancellationId {
        self.coordinator.case()
    }

    /// Tells the participant to do something, on an assessment when one is given.
    pub(super) async fn tell(
        &mut self,
        case: &CancellationId,
        kind: pb::InstructionKind,
        epoch: u32,
        assessed: Option<&pb::Acknowledgement>,
    ) {
        self.session().tell(case, kind, epoch, assessed).await.expect("the log takes it");
    }

    /// The next new answer of a case.
    pub(super) async fn next(&mut self, case: &CancellationId) -> pb::Acknowledgement {
        kept(self.session().next(case).await).answer
    }

    /// ASSESS: gives the assessment.
    pub(super) async fn assess(&mut self, case: &CancellationId, epoch: u32) -> pb::Acknowledgement {
        kept(self.session().assess(case, epoch).await).answer
    }

    /// All that comes after EXECUTE was told; it must be a success.
    pub(super) async fn go_on(&mut self, case: &CancellationId, epoch: u32) {
        kept(self.session().finish(case, epoch).await);
    }

    /// The participant's answer to that epoch, which must not be the end of it.
    pub(super) async fn interim(&self, case: &CancellationId, at_least: (u32, u32)) {
        let House { stage, accounts, subject, .. } = &self.house;
        let answer = stage.answer(accounts, subject, case, at_least).await;
        let interim = [pb::Outcome::Waiting, pb::Outcome::Accepted].contains(&answer.outcome());
        assert!(interim, "is not interim: {:?}", answer.outcome());
    }

    /// What the scenario says has happened, exactly once; and nobody's answers went back.
    pub(super) async fn settle(mut self) {
        assert_eq!(self.house.effects_of().await, self.house.scenario.adds, "effects");
        self.house.stop().await;
        kept(self.coordinator.orderly());
    }
}

impl<P: Participant> House<'_, P> {
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

    /// Records what the scenario's next further step brings; false when there is none.
    pub(super) async fn step(&mut self) -> bool {
        let scenario = self.scenario;
        let Some(facts) = scenario.then.get(self.steps) else { return false };
        self.steps += 1;
        self.record(facts).await;
        true
    }

    fn note(&mut self, facts: &[P::Event]) {
        let kinds = facts.iter().map(|fact| self.scenario.participant.encode(fact).kind.into_owned());
        self.told.extend(kinds);
    }

    /// How many facts the subject's stream has.
    async fn version(&self) -> usize {
        self.stage.store.load(&stream_of(&self.subject)).await.expect("the store is read").len()
    }

    /// The types of the participant's own facts beside those that the scenario recorded, sorted.
    pub(super) async fn effects_of(&self) -> Vec<String> {
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

#[async_trait]
impl<P: Participant> Host for House<'_, P> {
    async fn subject(&mut self) -> Result<SubjectId, HostError> {
        Ok(self.subject.clone())
    }

    async fn change(&mut self, _subject: &SubjectId) -> Result<bool, HostError> {
        let scenario = self.scenario;
        if scenario.change.is_empty() {
            return Ok(false);
        }
        self.record(&scenario.change).await;
        Ok(true)
    }

    async fn help(&mut self, _subject: &SubjectId) -> Result<bool, HostError> {
        while self.step().await {}
        Ok(true)
    }

    async fn facts(&mut self, _subject: &SubjectId) -> Result<Option<usize>, HostError> {
        Ok(Some(self.version().await))
    }

    async fn effects(&mut self, _subject: &SubjectId) -> Result<Option<usize>, HostError> {
        Ok(Some(self.effects_of().await.len()))
    }
}

/// What the contract says holds, or the test fails and says what does not.
#[track_caller]
#[expect(clippy::panic, reason = "for tests only")]
fn kept<T>(result: Result<T, Fault>) -> T {
    result.unwrap_or_else(|fault| panic!("{fault}"))
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
