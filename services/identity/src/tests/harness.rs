//! A service that runs, and somebody who calls it.

use std::{collections::HashMap, fs, path::PathBuf, sync::Arc, time::Duration};

use keys::{Kek, Secret, SigningKey, Vault};
use messaging::{Delivery, Follow, Record, Subscription};
use participant::{Accounts, stream_of};
use policy::{Files, Packs};
use proto::{
    identity::v1::{
        self as pb, CompleteVerificationRequest, CompleteVerificationResponse, Contact, Factor,
        RegisterSubjectRequest, StartVerificationRequest, StartVerificationResponse, contact::Address,
        identity_service_server::IdentityService,
    },
    participant::v1::InstructionKind,
    types::v1::Edition,
};
use testkit::{Stage, Told};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;
use types::{Caller, CancellationId, ParticipantName, Scope, SubjectId, Timestamp};

use crate::{
    Options, Service, build,
    effects::{Effects, Outside},
    grpc::Api,
    messages::MessageFolder,
    participant::Identity,
};

pub const SMS: &str = "+8613999990001";
pub const EMAIL: &str = "canary.mailbox@example.com";
const PATIENCE: Duration = Duration::from_secs(20);

/// Where everything lies, and what the service is built with.
pub struct Home {
    pub stage: Stage,
    pub vault: Arc<Vault>,
    pub secret: Arc<Secret>,
    pub messages: PathBuf,
    pub packs: Arc<Packs>,
}

/// The service at work.
pub struct Running {
    pub api: Api,
    pub accounts: Accounts<Identity>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Home {
    pub async fn new() -> Self {
        let stage = Stage::open(Timestamp::parse("2026-11-21T08:00:00.5Z").unwrap()).await;
        let kek = Kek::from_file_or_create(&stage.directory.path().join("kek")).unwrap();
        let vault = Arc::new(Vault::open(&stage.directory.path().join("vault"), kek).unwrap());
        let messages = stage.directory.path().join("messages");
        let packs = Arc::new(Packs::read(&Files::built_in()).unwrap());
        Self { vault, secret: Arc::new(Secret::from_bytes([9; 32])), messages, packs, stage }
    }

    pub fn options(&self, token_key: u8) -> Options {
        Options {
            participant: self.stage.options(),
            secret: self.secret.clone(),
            vault: self.vault.clone(),
            token_key: Arc::new(SigningKey::from_seed([token_key; 32])),
            messages_dir: self.messages.clone(),
            packs: self.packs.clone(),
        }
    }

    pub async fn built(&self) -> Service {
        build(self.options(1)).await.unwrap()
    }

    pub async fn run(&self) -> Running {
        let service = self.built().await;
        let (api, accounts) = (Api::new(service.app.clone()), service.accounts().clone());
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        let token = stop.clone();
        tasks.spawn(async move { service.run(token).await.unwrap() });
        Running { api, accounts, stop, tasks }
    }

    /// Has the follower's work done on all events there are, as after a crash that lost its cursor.
    pub async fn repeat_effects(&self, accounts: &Accounts<Identity>) {
        let messages = MessageFolder::open(&self.messages).unwrap();
        let outside = Outside { vault: self.vault.clone(), secret: self.secret.clone(), messages };
        let effects = Effects { accounts: accounts.clone(), packs: self.packs.clone(), outside };
        let events = self.stage.store.read(event_store::Position::default(), 10_000).await.unwrap();
        effects.handle(&events).await.unwrap();
    }

    pub async fn tell(&self, subject: &SubjectId, scope: &Scope, kind: InstructionKind, epoch: u32) {
        self.stage
            .instruct(told(&ParticipantName::parse("identity").unwrap(), subject, scope, kind, epoch))
            .await;
    }

    /// The short names of a subject's facts, in order.
    pub async fn facts(&self, subject: &SubjectId) -> Vec<String> {
        let events = self.stage.store.load(&stream_of(subject)).await.unwrap();
        events.iter().map(|event| event.kind.rsplit('.').next().unwrap_or_default().to_owned()).collect()
    }

    pub fn message_files(&self) -> HashMap<String, String> {
        fs::read_dir(&self.messages)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| {
                (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap())
            })
            .collect()
    }

    /// The code in a verification's message.
    pub fn code(&self, verification_id: &str) -> String {
        let message = &self.message_files()[&format!("{verification_id}.eml")];
        let (_, rest) = message.split_once("Your code is ").unwrap();
        rest[..6].to_owned()
    }

    /// The first so many records of a topic, by partition and offset.
    pub async fn records(&self, topic: &str, count: usize) -> Vec<Record> {
        let subscription =
            Subscription { group: "test".into(), member: "test".into(), topics: vec![topic.into()] };
        let mut log = self.stage.log.subscribe(subscription).await.unwrap();
        let mut records = Vec::new();
        let read = async {
            while records.len() < count {
                match log.next(1_000).await.unwrap() {
                    Delivery::Assigned(all) => {
                        for given in all {
                            log.start(&given.topic, given.partition, None).await.unwrap();
                        }
                    }
                    Delivery::Revoked(_) => {}
                    Delivery::Records(more) => records.extend(more),
                }
            }
        };
        tokio::time::timeout(PATIENCE, read).await.expect("the records come");
        records
    }
}

pub fn can() -> CancellationId {
    CancellationId::parse("can_1").unwrap()
}

pub fn told<'a>(
    participant: &'a ParticipantName,
    subject: &'a SubjectId,
    scope: &'a Scope,
    kind: InstructionKind,
    epoch: u32,
) -> Told<'a> {
    static CAN: std::sync::LazyLock<CancellationId> = std::sync::LazyLock::new(can);
    Told { participant, cancellation: &CAN, subject, kind, epoch, scope }
}

pub fn called<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Caller::local());
    request
}

pub fn registration(request_id: &str) -> RegisterSubjectRequest {
    let contact = |address| Contact { address: Some(address) };
    RegisterSubjectRequest {
        request_id: request_id.into(),
        region: "CN".into(),
        edition: Edition::Domestic.into(),
        contacts: vec![contact(Address::Sms(SMS.into())), contact(Address::Email(EMAIL.into()))],
    }
}

pub fn starting(subject: &SubjectId, request_id: &str, factor: Factor) -> StartVerificationRequest {
    StartVerificationRequest {
        request_id: request_id.into(),
        subject_id: subject.to_string(),
        cancellation_id: can().to_string(),
        factor: factor.into(),
    }
}

impl Running {
    pub async fn register(&self, request: RegisterSubjectRequest) -> Result<SubjectId, Status> {
        let answer = self.api.register_subject(called(request)).await?;
        Ok(SubjectId::parse(&answer.into_inner().subject_id).unwrap())
    }

    /// A subject whose account has been assessed for a cancellation.
    pub async fn assessed(&self, home: &Home, scope: &Scope) -> SubjectId {
        let subject = self.register(registration("")).await.unwrap();
        home.tell(&subject, scope, InstructionKind::Assess, 1).await;
        home.stage.answer(&self.accounts, &subject, &can(), (1, 1)).await;
        subject
    }

    pub async fn start(
        &self,
        request: StartVerificationRequest,
    ) -> Result<StartVerificationResponse, Status> {
        self.api.start_verification(called(request)).await.map(tonic::Response::into_inner)
    }

    pub async fn complete(
        &self,
        verification_id: &str,
        code: &str,
        request_id: &str,
    ) -> Result<CompleteVerificationResponse, Status> {
        let request = CompleteVerificationRequest {
            request_id: request_id.into(),
            verification_id: verification_id.into(),
            code: code.into(),
        };
        self.api.complete_verification(called(request)).await.map(tonic::Response::into_inner)
    }

    pub async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

/// A code that is not this one.
pub fn other_than(code: &str) -> &'static str {
    if code == "000000" { "000001" } else { "000000" }
}

#[track_caller]
pub fn assert_refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, reason: &str) -> Status {
    let status = answer.expect_err("must be refused");
    let details = status.get_error_details();
    let found = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
    assert_eq!((status.code(), found.as_str()), (code, reason), "{status:?}");
    status
}

pub fn metadata(status: &Status, key: &str) -> String {
    status.get_error_details().error_info().unwrap().metadata[key].clone()
}

/// The JWKs that the service has published in its store.
pub async fn token_keys(home: &Home) -> keys::JwkSet {
    let stream = event_store::StreamId::new(crate::token_key::STREAM);
    let events = home.stage.store.load(&stream).await.unwrap();
    let jwk = |event: &event_store::Recorded| {
        let fact = <pb::TokenKeyPublished as prost::Message>::decode(event.payload.clone()).unwrap();
        keys::Jwk::parse(&fact.jwk_json).unwrap()
    };
    events.iter().map(jwk).collect()
}
