//! A process in this process, its clients, and the program beside it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use exeunt::compose::{self, Overrides, Running};
use proto::{
    cancellation::v1::{self as pb, cancellation_service_client::CancellationServiceClient},
    identity::v1::{self as identity, identity_service_client::IdentityServiceClient},
    types::v1::{Edition, Scope, WholeAccount, scope::Kind},
};
use service_kit::{Config, config::Sources};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::{Status, transport::Channel};
use tonic_types::StatusExt;

pub const WITHIN: Duration = Duration::from_secs(120);

pub fn config(data_dir: &Path) -> Config {
    let flags = [("data_dir", data_dir.display().to_string()), ("listen", "127.0.0.1:0".into())];
    let flags = flags.map(|(key, value)| (key.to_owned(), value)).into();
    Config::load(Sources { flags, ..Sources::default() }).unwrap()
}

/// All services on embedded storage in a directory of their own.
pub struct App {
    pub running: Running,
    pub server: String,
    pub channel: Channel,
    pub cancellation: CancellationServiceClient<Channel>,
    pub identity: IdentityServiceClient<Channel>,
    home: TempDir,
}

impl App {
    pub async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    pub async fn start_in(home: TempDir) -> Self {
        let config = config(&home.path().join("data"));
        Self::run(home, config, Overrides::default()).await
    }

    pub async fn run(home: TempDir, config: Config, overrides: Overrides) -> Self {
        let running = compose::start(config, overrides).await.unwrap();
        let server = format!("http://{}", running.address());
        let channel = exeunt::cli::connect(&server).await.unwrap();
        Self {
            cancellation: CancellationServiceClient::new(channel.clone()),
            identity: IdentityServiceClient::new(channel.clone()),
            running,
            server,
            channel,
            home,
        }
    }

    pub fn data_dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// A path for a file of the test's own.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Stops it in order; what it stored stays.
    pub async fn stop(mut self) -> TempDir {
        self.running.shutdown();
        tokio::time::timeout(WITHIN, self.running.join()).await.unwrap().unwrap();
        self.home
    }

    pub async fn register(&mut self) -> String {
        self.register_in("CN", "user@example.com").await
    }

    pub async fn register_in(&mut self, region: &str, email: &str) -> String {
        let email = identity::contact::Address::Email(email.into());
        let edition = if region == "CN" { Edition::Domestic } else { Edition::International };
        let request = identity::RegisterSubjectRequest {
            region: region.into(),
            edition: edition.into(),
            contacts: vec![identity::Contact { address: Some(email) }],
            ..identity::RegisterSubjectRequest::default()
        };
        self.identity.register_subject(request).await.unwrap().into_inner().subject_id
    }

    pub fn whole_account(&self) -> Scope {
        Scope { kind: Some(Kind::WholeAccount(WholeAccount {})) }
    }

    pub async fn request(&mut self, request_id: &str, subject_id: &str) -> Result<pb::Cancellation, Status> {
        let request = pb::RequestCancellationRequest {
            request_id: request_id.into(),
            subject_id: subject_id.into(),
            scope: Some(self.whole_account()),
            ..pb::RequestCancellationRequest::default()
        };
        let answer = self.cancellation.request_cancellation(request).await?;
        Ok(answer.into_inner().cancellation.unwrap())
    }

    /// Watches until the cancellation is in that state.
    pub async fn reach(&mut self, id: &str, state: pb::State) -> pb::Cancellation {
        let request = pb::WatchCancellationRequest { cancellation_id: id.into(), ..Default::default() };
        let mut changes = self.cancellation.watch_cancellation(request).await.unwrap().into_inner();
        let waited = tokio::time::timeout(WITHIN, async {
            while let Some(change) = changes.message().await.unwrap() {
                let now = change.cancellation.unwrap();
                if now.state() == state {
                    return now;
                }
            }
            panic!("{id} ended without {state:?}")
        });
        waited.await.unwrap_or_else(|_| panic!("{id} did not reach {state:?}"))
    }

    /// A token of the subject's for the cancellation, by the code in the message folder.
    pub async fn token(&mut self, subject_id: &str, cancellation_id: &str) -> String {
        let request = identity::StartVerificationRequest {
            subject_id: subject_id.into(),
            cancellation_id: cancellation_id.into(),
            factor: identity::Factor::EmailCode.into(),
            ..identity::StartVerificationRequest::default()
        };
        let started = self.identity.start_verification(request).await.unwrap().into_inner();
        let request = identity::CompleteVerificationRequest {
            code: self.code(&started.verification_id).await,
            verification_id: started.verification_id,
            ..identity::CompleteVerificationRequest::default()
        };
        self.identity.complete_verification(request).await.unwrap().into_inner().verification_token
    }

    /// The code that was sent for an email verification, from the message folder.
    pub async fn code(&self, verification_id: &str) -> String {
        let folder = compose::messages_directory(&self.data_dir());
        let message =
            eventually(async || std::fs::read_to_string(folder.join(format!("{verification_id}.eml"))).ok())
                .await;
        let (_, body) = message.split_once("\r\n\r\n").unwrap();
        let code = body.split(|char: char| !char.is_ascii_digit()).find(|run| run.len() == 6);
        code.unwrap().to_owned()
    }

    /// Closes the account of a subject that has nothing; gives the cancellation and its receipt.
    pub async fn close_account(&mut self, subject_id: &str) -> (pb::Cancellation, String) {
        let requested = self.request("close", subject_id).await.unwrap();
        let id = requested.cancellation_id;
        let quoted = self.reach(&id, pb::State::AwaitingConfirmation).await;
        let token = self.token(subject_id, &id).await;
        let request = pb::ConfirmCancellationRequest {
            cancellation_id: id.clone(),
            quote_digest: quoted.quote.unwrap().digest,
            verification_tokens: vec![token],
            ..pb::ConfirmCancellationRequest::default()
        };
        self.cancellation.confirm_cancellation(request).await.unwrap();
        let completed = self.reach(&id, pb::State::Completed).await;
        let request = pb::GetReceiptRequest { cancellation_id: id, ..Default::default() };
        let receipt = self.cancellation.get_receipt(request).await.unwrap().into_inner();
        (completed, receipt.receipt_jws)
    }

    pub async fn keys(&mut self) -> String {
        self.cancellation.get_keys(pb::GetKeysRequest {}).await.unwrap().into_inner().jwks_json
    }
}

/// What a server of that URL answers when its public keys are asked for, headers included.
pub async fn jwks_at(url: &str) -> String {
    let mut http = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
    let request = b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    http.write_all(request).await.unwrap();
    let mut answer = String::new();
    http.read_to_string(&mut answer).await.unwrap();
    answer
}

pub fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap().reason
}

/// Asks again and again, within a bound, until there is an answer.
pub async fn eventually<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asked = tokio::time::timeout(WITHIN, async {
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        loop {
            ticks.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    });
    asked.await.unwrap()
}

/// Runs the program with these arguments and nothing of this environment's settings.
pub fn program(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exeunt"));
    let settings = std::env::vars_os().map(|(name, _)| name);
    for name in settings.filter(|name| name.to_string_lossy().starts_with("EXEUNT_")) {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null()).output().unwrap()
}

pub fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

pub fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}
