//! Services in processes of their own, which meet on PostgreSQL and Kafka.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use exeunt::compose::{self, Guest, Overrides, Role, Running, StartError};
use keys::{JwkSet, SigningKey};
use messaging::{CloudEvent, Message};
use participant::contract;
use prost::bytes::Bytes;
use proto::{
    cancellation::v1::{self as pb, cancellation_service_client::CancellationServiceClient},
    identity::v1::{self as identity, identity_service_client::IdentityServiceClient},
    operations::v1::{ListParkedRequest, operations_service_client::OperationsServiceClient},
    participant::v1::{Acknowledgement, InstructionKind, KeyAnnounced, Outcome},
    types::v1::{Edition, Scope, scope::Kind},
};
use service_kit::{Config, config::Sources, lock::LockedError};
use tempfile::TempDir;
use testkit::Toy;
use tonic::{Status, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use types::{Clock as _, SystemClock};

use crate::harness::{WITHIN, eventually};

/// One participant for each scope, so that a cancellation needs three processes only.
const ROSTER: &str = r#"
    [scopes.fast]
    gates = "none"
    [scopes.guests]
    gates = "none"
    [[participant]]
    name = "wallet"
    scopes = ["fast"]
    [[participant]]
    name = "toy"
    scopes = ["guests"]
"#;

/// Processes that meet on one log, each service with a database of its own.
pub struct Set {
    home: TempDir,
    event_store: String,
    event_log: String,
}

impl Set {
    /// Under names of its own; `None` where nobody named any engines.
    pub fn on_real_engines() -> Option<Self> {
        let postgres = std::env::var("EXEUNT_TEST_POSTGRES_URL").ok();
        let brokers = std::env::var("EXEUNT_TEST_KAFKA_BROKERS").ok();
        let (Some(postgres), Some(brokers)) = (postgres, brokers) else {
            eprintln!("skipped: no PostgreSQL and Kafka are named");
            return None;
        };
        let name = format!("roles_{}", types::fresh_uuid().simple());
        let (server, _) = postgres.rsplit_once('/').unwrap();
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("roster.toml"), ROSTER).unwrap();
        let (event_store, event_log) = (format!("{server}/{name}"), format!("kafka://{brokers}/{name}"));
        Some(Self { home, event_store, event_log })
    }

    pub fn data_dir(&self, role: Role, member: &str) -> PathBuf {
        self.home.path().join(format!("{role}-{member}"))
    }

    fn flags(&self, role: Role, member: &str) -> Vec<(&'static str, String)> {
        vec![
            ("data-dir", self.data_dir(role, member).display().to_string()),
            ("listen", "127.0.0.1:0".into()),
            ("event-store", self.event_store.clone()),
            ("event-log", self.event_log.clone()),
        ]
    }

    pub fn shared_dir(&self, role: Role) -> PathBuf {
        self.home.path().join(format!("{role}-shared"))
    }

    /// A process with this one role, in this process. Replicas share a directory of keys.
    pub async fn start(&self, role: Role, member: &str) -> Member {
        self.start_at(role, member, member).await
    }

    /// A process with a guest and no role.
    pub async fn start_guest(&self) -> Member {
        let flags = [
            ("roles", "none".to_owned()),
            ("data_dir", self.home.path().join("guest").display().to_string()),
        ];
        let others = self.flags(Role::Wallet, "").into_iter().filter(|(flag, _)| *flag != "data-dir");
        let others = others.map(|(flag, value)| (flag.replace('-', "_"), value));
        let flags = flags.into_iter().map(|(flag, value)| (flag.to_owned(), value)).chain(others).collect();
        let config = Config::load(Sources { flags, ..Sources::default() }).unwrap();
        let guests = vec![Guest::new(Arc::new(Toy::quick()))];
        let running = compose::start(config, Overrides { guests, ..Overrides::default() }).await.unwrap();
        let channel = exeunt::cli::connect(&format!("http://{}", running.address())).await.unwrap();
        Member { running, channel }
    }

    /// Another process under the same member's id.
    pub async fn start_twin(&self, role: Role, member: &str) -> Member {
        self.start_at(role, member, &format!("{member}-twin")).await
    }

    async fn start_at(&self, role: Role, member: &str, place: &str) -> Member {
        let more = [
            ("roles", role.name().to_owned()),
            ("roster", self.home.path().join("roster.toml").display().to_string()),
            ("shared-dir", self.shared_dir(role).display().to_string()),
            ("member-id", member.to_owned()),
        ];
        let flags = self.flags(role, place).into_iter().chain(more);
        let flags = flags.map(|(flag, value)| (flag.replace('-', "_"), value)).collect();
        let config = Config::load(Sources { flags, ..Sources::default() }).unwrap();
        // One that was killed lets go of its directory a moment later.
        let running = eventually(async || match compose::start(config.clone(), Overrides::default()).await {
            Err(StartError::DataDir(LockedError::Held { .. })) => None,
            started => Some(started.unwrap()),
        })
        .await;
        let channel = exeunt::cli::connect(&format!("http://{}", running.address())).await.unwrap();
        Member { running, channel }
    }
}

/// A process in this process. Dropped, it is killed.
pub struct Member {
    pub running: Running,
    channel: Channel,
}

impl Member {
    pub async fn ready(self) -> Self {
        ready(&self.channel).await;
        self
    }

    pub async fn register(&self) -> String {
        let email = identity::contact::Address::Email("user@example.com".into());
        let request = identity::RegisterSubjectRequest {
            region: "CN".into(),
            edition: Edition::Domestic.into(),
            contacts: vec![identity::Contact { address: Some(email) }],
            ..identity::RegisterSubjectRequest::default()
        };
        let mut identity = IdentityServiceClient::new(self.channel.clone());
        identity.register_subject(request).await.unwrap().into_inner().subject_id
    }

    fn cancellation(&self) -> CancellationServiceClient<Channel> {
        CancellationServiceClient::new(self.channel.clone())
    }

    pub async fn request(&self, request_id: &str, subject_id: &str) -> Result<String, Status> {
        self.request_scope("fast", request_id, subject_id).await
    }

    pub async fn request_scope(
        &self,
        scope: &str,
        request_id: &str,
        subject_id: &str,
    ) -> Result<String, Status> {
        let request = pb::RequestCancellationRequest {
            request_id: request_id.into(),
            subject_id: subject_id.into(),
            scope: Some(Scope { kind: Some(Kind::Named(scope.into())) }),
            ..pb::RequestCancellationRequest::default()
        };
        let answer = self.cancellation().request_cancellation(request).await?;
        Ok(answer.into_inner().cancellation.unwrap().cancellation_id)
    }

    /// Waits for the receipt, and verifies it with what this process says are the keys.
    pub async fn proven(&self, id: &str) -> cancellation::receipt::Receipt {
        let receipt = eventually(async || {
            let request = pb::GetReceiptRequest { cancellation_id: id.into(), ..Default::default() };
            self.cancellation().get_receipt(request).await.ok()
        });
        let receipt = receipt.await.into_inner().receipt_jws;
        cancellation::receipt::verify(&receipt, &JwkSet::parse(&self.keys().await).unwrap()).unwrap()
    }

    pub async fn keys(&self) -> String {
        self.cancellation().get_keys(pb::GetKeysRequest {}).await.unwrap().into_inner().jwks_json
    }

    /// The causes of what is parked.
    pub async fn parked(&self) -> Vec<String> {
        let mut operations = OperationsServiceClient::new(self.channel.clone());
        let listed = operations.list_parked(ListParkedRequest::default()).await.unwrap().into_inner();
        listed.records.into_iter().map(|record| record.cause).collect()
    }

    pub async fn stop(mut self) {
        self.running.shutdown();
        tokio::time::timeout(WITHIN, self.running.join()).await.unwrap().unwrap();
    }
}

/// What the participant of the roster announces of its key.
pub fn announcement(key: &SigningKey) -> Message {
    let announced = KeyAnnounced { participant: "wallet".into(), jwk_json: key.jwk().to_json() };
    message("exeunt.keys.wallet", key.kid(), &announced)
}

/// What it says when it has done what the cancellation asks.
pub fn done(cancellation_id: &str, subject_id: &str, key: &SigningKey) -> Message {
    let acknowledgement = Acknowledgement {
        cancellation_id: cancellation_id.into(),
        subject_id: subject_id.into(),
        participant: "wallet".into(),
        kind: InstructionKind::Execute.into(),
        epoch: 1,
        revision: 1,
        outcome: Outcome::Done.into(),
        acknowledged_at: Some(SystemClock.now().to_proto()),
        ..Acknowledgement::default()
    };
    message(contract::ACKNOWLEDGEMENTS, cancellation_id, &contract::sign(&acknowledgement, key))
}

fn message<M: prost::Message + prost::Name>(topic: &str, key: &str, payload: &M) -> Message {
    let headers = CloudEvent {
        id: "by-hand",
        kind: &M::full_name(),
        source: "wallet",
        subject: key,
        at: SystemClock.now(),
        sequence: 1,
        traceparent: "",
    };
    let payload = Some(payload.encode_to_vec().into());
    messaging::cloud_event(topic.into(), Bytes::copy_from_slice(key.as_bytes()), &headers, payload)
}

/// Waits until health says that the process serves.
pub async fn ready(channel: &Channel) {
    let mut health = HealthClient::new(channel.clone());
    eventually(async || {
        let answer = health.check(HealthCheckRequest::default()).await.ok()?;
        (answer.into_inner().status() == ServingStatus::Serving).then_some(())
    })
    .await;
}

/// The program as a process of its own.
pub struct Program {
    child: Child,
}

impl Program {
    /// Starts it with this one role and nothing that need be told.
    pub fn spawn(set: &Set, role: Role) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_exeunt"));
        let settings = std::env::vars_os().map(|(name, _)| name);
        for name in settings.filter(|name| name.to_string_lossy().starts_with("EXEUNT_")) {
            command.env_remove(name);
        }
        command.arg("serve").arg(role.name());
        for (flag, value) in set.flags(role, "only") {
            command.arg(format!("--{flag}")).arg(value);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        Self { child }
    }

    /// Where it listens, once it does.
    pub fn listens(&mut self) -> String {
        let mut lines = BufReader::new(self.child.stdout.take().unwrap()).lines();
        let told =
            lines.find_map(|line| line.unwrap().strip_prefix("exeunt: listening on ").map(str::to_owned));
        // What it says later must not block it.
        std::thread::spawn(move || lines.for_each(drop));
        told.expect("it says where it listens")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
