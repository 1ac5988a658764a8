//! A coordinator that nobody runs: commands are given to it one by one.

use std::{sync::Arc, time::Duration};

use event_store::{Append, Expected, Memory, Position, Store, StoreOptions, StreamAppend};
use keys::{Kek, Secret, SigningKey, Vault};
use messaging::CloudEvent;
use participant::{Encoded, contract};
use policy::{Files, Packs};
use prost::{Message as _, Name as _};
use proto::{cancellation::v1 as pb, participant::v1 as contract_pb};
use testkit::{FaultyEngine, Stage};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use types::{
    Action, Caller, CancellationId, Clock as _, Item, ItemKind, Scope, SubjectId, Timestamp, fresh_uuid,
};

use crate::{
    Options, Roster, Service,
    app::{Cancellations, Change, NewCancellation, metadata},
    build,
    closing::Closing,
    domain::{Answer, Command, Kind},
    quote, streams, wire,
};

/// Who must acknowledge, and the seed of each one's key.
pub const FIRST: (&str, u8) = ("first", 2);
pub const SECOND: (&str, u8) = ("second", 3);

pub const PATIENCE: Duration = Duration::from_secs(20);

/// Where everything lies.
pub struct Home {
    pub stage: Stage,
    pub engine: Arc<FaultyEngine>,
    pub vault: Arc<Vault>,
}

/// The service at work.
pub struct Running {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Running {
    pub async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

impl Home {
    pub async fn new() -> Self {
        let mut stage = Stage::open(Timestamp::parse("2026-11-21T08:00:00Z").unwrap()).await;
        let engine = FaultyEngine::new(Arc::new(Memory::default()));
        stage.store = Store::with_engine(engine.clone(), StoreOptions::default());
        let kek = Kek::from_file_or_create(&stage.directory.path().join("kek")).unwrap();
        let vault = Arc::new(Vault::open(&stage.directory.path().join("vault"), kek).unwrap());
        Self { stage, engine, vault }
    }

    /// The same on another store.
    pub fn on(mut self, store: &Store) -> Self {
        self.engine = FaultyEngine::new(store.engine().clone());
        self.stage.store = Store::with_engine(self.engine.clone(), StoreOptions::default());
        self
    }

    pub async fn built(&self) -> Service {
        build(Options {
            store: self.stage.store.clone(),
            log: self.stage.log.clone(),
            clock: self.stage.clock.clone(),
            member: "test".into(),
            receipt_key: Arc::new(SigningKey::from_seed([1; 32])),
            retired_keys: Vec::new(),
            vault: self.vault.clone(),
            secret: Arc::new(Secret::from_bytes([9; 32])),
            roster: roster(),
            packs: Arc::new(Packs::read(&Files::built_in()).unwrap()),
        })
        .await
        .unwrap()
    }

    pub async fn run(&self) -> Running {
        let (service, stop, mut tasks) = (self.built().await, CancellationToken::new(), JoinSet::new());
        let token = stop.clone();
        tasks.spawn(async move { service.run(token).await.unwrap() });
        Running { stop, tasks }
    }

    /// How many facts of a subject are recorded.
    pub async fn known(&self, subject: &SubjectId) -> usize {
        self.stage.store.load(&streams::of_subject(subject)).await.unwrap().len()
    }

    /// Waits until so many are.
    pub async fn until_known(&self, subject: &SubjectId, facts: usize) {
        let is_so = async || self.known(subject).await >= facts;
        until(&self.stage.store, "the subject is told of", is_so).await;
    }

    pub async fn coordinator(&self) -> Coordinator {
        Coordinator { cancellations: self.built().await.api.cancellations, store: self.stage.store.clone() }
    }
}

fn roster() -> Roster {
    let member = |(name, seed): (&str, u8), more: &str| {
        let key = SigningKey::from_seed([seed; 32]).jwk().to_json();
        let scopes = r#"["whole_account", "selected"]"#;
        format!("[[participant]]\nname = \"{name}\"\nscopes = {scopes}\nkeys = ['{key}']\n{more}\n")
    };
    let scopes = "[scopes.whole_account]\ntokens_required = 0\n[scopes.selected]\ntokens_required = 0\n";
    Roster::parse(&format!(
        "{scopes}{}{}",
        member(FIRST, "items = [\"SUBSCRIPTION\"]"),
        member(SECOND, "after = [\"first\"]")
    ))
    .unwrap()
}

pub fn subject(id: &str) -> SubjectId {
    SubjectId::parse(id).unwrap()
}

pub fn one_item() -> Scope {
    Scope::Selected(vec![Item {
        kind: ItemKind::Subscription,
        id: "sub_1".into(),
        action: Action::StopRenewal,
    }])
}

/// Looks whenever something is appended, until it is so.
async fn until(store: &Store, what: &str, is_so: impl AsyncFn() -> bool) {
    let come = async {
        let mut tail = store.tail(Position::default());
        while !is_so().await {
            tail.next(1_000).await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, come).await.expect(what);
}

/// What callers and participants ask of the coordinator.
pub struct Coordinator {
    pub cancellations: Cancellations,
    store: Store,
}

impl Coordinator {
    /// Identity has told of that subject.
    pub async fn know(&self, subject: &SubjectId) {
        let known = pb::SubjectKnown { subject_id: subject.to_string(), region: "XX".into(), edition: 1 };
        let stream = StreamAppend {
            stream: streams::of_subject(subject),
            expected: Expected::Any,
            metadata: metadata("test".into(), "", subject.as_str()),
            at: Timestamp::EPOCH,
            events: vec![Encoded::of(&known).into()],
        };
        self.store.append(Append { streams: vec![stream], ..Append::default() }).await.unwrap();
    }

    pub async fn request(&self, subject: &SubjectId, scope: Scope, reason: &str) -> CancellationId {
        let request_id = fresh_uuid().to_string();
        let new = NewCancellation {
            digest: self.cancellations.secret.hmac("test", &[request_id.as_bytes()]),
            request_id,
            subject: subject.clone(),
            scope,
            channel: String::new(),
            reason: reason.into(),
            intent: None,
        };
        let made = self.cancellations.request(&Caller::local(), new).await.unwrap();
        CancellationId::parse(&made.cancellation_id).unwrap()
    }

    /// Waits until it is in that state.
    pub async fn until(&self, id: &CancellationId, wanted: pb::State) {
        let is_so = async || self.state(id).await == wanted;
        until(&self.store, "the cancellation gets there", is_so).await;
    }

    /// Waits until a participant is told to execute in a later round than that.
    pub async fn until_told_again(&self, id: &CancellationId, name: &str, round: Option<u32>) {
        let is_so = async || self.round(id, name).await > round;
        until(&self.store, "it is told again", is_so).await;
    }

    /// The round in which a participant was told to execute last.
    pub async fn round(&self, id: &CancellationId, name: &str) -> Option<u32> {
        let (case, _) = self.cancellations.load(id).await.unwrap();
        let (_, progress) = case.participants().find(|(entry, _)| entry.name.as_str() == name).unwrap();
        progress.execute_epoch
    }

    pub async fn state(&self, id: &CancellationId) -> pb::State {
        self.cancellations.get(id).await.unwrap().state()
    }

    pub async fn carry_out(&self, id: &CancellationId, command: Command) -> pb::Cancellation {
        let caller = Caller::local();
        let change = Change { caller: &caller, claim: None, id };
        self.cancellations.execute(change, |_| command.clone()).await.unwrap()
    }

    /// One of the participants answers the last instruction of that kind.
    pub async fn answer(
        &self,
        id: &CancellationId,
        by: (&str, u8),
        kind: Kind,
        outcome: contract_pb::Outcome,
    ) -> pb::Cancellation {
        let said = self.said(id, by.0, kind, outcome).await;
        self.carry_out(id, Command::Acknowledge(signed(&said, by.1))).await
    }

    /// What it would say next.
    pub async fn said(
        &self,
        id: &CancellationId,
        name: &str,
        kind: Kind,
        outcome: contract_pb::Outcome,
    ) -> contract_pb::Acknowledgement {
        let (case, _) = self.cancellations.load(id).await.unwrap();
        let (_, progress) = case.participants().find(|(entry, _)| entry.name.as_str() == name).unwrap();
        let (epoch, last) = match kind {
            Kind::Assess => (progress.assess_epoch, &progress.assessment),
            Kind::Freeze => (progress.freeze_epoch, &progress.freeze),
            Kind::Execute => (progress.execute_epoch, &progress.execution),
            Kind::Undo => (progress.undo_epoch, &progress.undo),
        };
        let at = Some(self.cancellations.shell.clock.now().to_proto());
        let mut said = contract_pb::Acknowledgement {
            cancellation_id: id.to_string(),
            participant: name.into(),
            subject_id: case.request.subject.to_string(),
            kind: wire::kind_to(kind).into(),
            epoch: epoch.unwrap(),
            revision: last.as_ref().map_or(1, |last| last.revision + 1),
            outcome: outcome.into(),
            acknowledged_at: at,
            ..contract_pb::Acknowledgement::default()
        };
        if outcome == contract_pb::Outcome::Assessed {
            let made = contract_pb::Assessment { assessed_at: at, ..contract_pb::Assessment::default() };
            said.assessment_digest = contract::assessment_digest(&made).to_vec().into();
            said.assessment = Some(made);
        }
        if outcome == contract_pb::Outcome::Failed {
            said.failure = Some(contract_pb::Failure { code: "BROKEN".into(), ..Default::default() });
        }
        said
    }

    pub async fn assess(&self, id: &CancellationId) {
        for by in [FIRST, SECOND] {
            self.answer(id, by, Kind::Assess, contract_pb::Outcome::Assessed).await;
        }
    }

    /// Everybody assesses, and the subject accepts.
    pub async fn confirm(&self, id: &CancellationId) {
        self.assess(id).await;
        let (case, _) = self.cancellations.load(id).await.unwrap();
        let digest = quote::digest(&quote::content(&case).encode_to_vec());
        let caller = Caller::local();
        let change = Change { caller: &caller, claim: None, id };
        self.cancellations.confirm(change, digest, &[]).await.unwrap();
    }

    /// A subject of whom identity has told leaves: confirmed, and being executed.
    pub async fn leaving(&self, leaver: &SubjectId, reason: &str) -> CancellationId {
        self.know(leaver).await;
        let whole = self.request(leaver, Scope::WholeAccount, reason).await;
        self.confirm(&whole).await;
        whole
    }

    /// From the assessments to the receipt.
    pub async fn complete(&self, id: &CancellationId) {
        self.confirm(id).await;
        for by in [FIRST, SECOND] {
            self.answer(id, by, Kind::Execute, contract_pb::Outcome::Done).await;
        }
        assert_eq!(self.state(id).await, pb::State::Completed);
    }

    /// What follows the closing of accounts is done for all events there are, as after a crash that lost
    /// the follower's cursor.
    pub async fn close(&self) -> Result<(), messaging::FollowError> {
        let events = self.store.read(Position::default(), 10_000).await.unwrap();
        messaging::Follow::handle(&Closing(self.cancellations.clone()), &events).await
    }
}

impl Home {
    /// A participant's answer comes over the log.
    pub async fn publish(&self, said: &contract_pb::Acknowledgement, seed: u8) {
        let signed = contract::sign(said, &SigningKey::from_seed([seed; 32]));
        let event = CloudEvent {
            id: &fresh_uuid().to_string(),
            kind: &contract_pb::SignedAcknowledgement::full_name(),
            source: &said.participant,
            subject: &said.cancellation_id,
            at: self.stage.clock.now(),
            sequence: 1,
            traceparent: "",
        };
        let key = said.cancellation_id.clone().into_bytes().into();
        let payload = Some(signed.encode_to_vec().into());
        let message = messaging::cloud_event(contract::ACKNOWLEDGEMENTS.into(), key, &event, payload);
        self.stage.log.publish(vec![message]).await.unwrap();
    }
}

/// An answer as it was signed.
pub fn signed(said: &contract_pb::Acknowledgement, seed: u8) -> Answer {
    let signed = contract::sign(said, &SigningKey::from_seed([seed; 32]));
    wire::answer(said, &signed).unwrap()
}
