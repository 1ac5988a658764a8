//! The public API as a caller has it, and the subject's mailbox.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use keys::JwkSet;
use proto::{
    cancellation::v1::{
        self as pb, Cancellation, State, cancellation_service_client::CancellationServiceClient,
    },
    identity::v1::{self as identity, identity_service_client::IdentityServiceClient},
    types::v1::{Edition, Scope, scope::Kind},
};
use tokio::time::{interval, timeout};
use tonic::{
    Streaming,
    transport::{Channel, Endpoint},
};
use types::fresh_uuid;

const MAIL_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// A receipt is proven with every signature in it.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One connection.
#[derive(Clone)]
pub struct Client {
    cancellation: CancellationServiceClient<Channel>,
    identity: IdentityServiceClient<Channel>,
    messages: PathBuf,
}

impl Client {
    /// Connects to the coordinator and to identity, which may be one process.
    pub async fn connect(cancellation: &str, identity: &str, messages: &Path) -> Result<Self> {
        let coordinator = channel(cancellation).await?;
        let registry = if identity == cancellation { coordinator.clone() } else { channel(identity).await? };
        let cancellation = CancellationServiceClient::new(coordinator);
        Ok(Self {
            cancellation: cancellation.max_decoding_message_size(ANSWER_BYTES_MAX),
            identity: IdentityServiceClient::new(registry),
            messages: messages.to_owned(),
        })
    }

    /// A new subject.
    pub async fn register(&mut self) -> Result<String> {
        let address = identity::contact::Address::Email("user@example.com".to_owned());
        let request = identity::RegisterSubjectRequest {
            region: "CN".to_owned(),
            edition: Edition::Domestic.into(),
            contacts: vec![identity::Contact { address: Some(address) }],
            ..identity::RegisterSubjectRequest::default()
        };
        let answer = self.identity.register_subject(request).await.context("RegisterSubject")?;
        Ok(answer.into_inner().subject_id)
    }

    pub async fn request(&mut self, subject_id: &str, scope: Kind) -> Result<Watch> {
        let request = pb::RequestCancellationRequest {
            request_id: fresh_uuid().to_string(),
            subject_id: subject_id.to_owned(),
            scope: Some(Scope { kind: Some(scope) }),
            ..pb::RequestCancellationRequest::default()
        };
        let answer = self.cancellation.request_cancellation(request).await.context("RequestCancellation")?;
        let cancellation = answer.into_inner().cancellation.context("no cancellation was answered")?;
        let request = pb::WatchCancellationRequest {
            cancellation_id: cancellation.cancellation_id.clone(),
            ..Default::default()
        };
        let changes = self.cancellation.watch_cancellation(request).await.context("WatchCancellation")?;
        Ok(Watch { id: cancellation.cancellation_id, changes: changes.into_inner() })
    }

    /// Proves who the subject is: asks for a code, reads the mail, gives the code for a token.
    pub async fn verify(&mut self, cancellation: &Cancellation) -> Result<String> {
        let request = identity::StartVerificationRequest {
            subject_id: cancellation.subject_id.clone(),
            cancellation_id: cancellation.cancellation_id.clone(),
            factor: identity::Factor::EmailCode.into(),
            ..identity::StartVerificationRequest::default()
        };
        let started = self.identity.start_verification(request).await.context("StartVerification")?;
        let verification_id = started.into_inner().verification_id;
        let code = self.code(&verification_id).await?;
        let request = identity::CompleteVerificationRequest {
            verification_id,
            code,
            ..identity::CompleteVerificationRequest::default()
        };
        let completed = self.identity.complete_verification(request).await.context("CompleteVerification")?;
        Ok(completed.into_inner().verification_token)
    }

    pub async fn confirm(&mut self, quoted: &Cancellation, token: String) -> Result<()> {
        let quote = quoted.quote.as_ref().context("a cancellation that awaits confirmation has no quote")?;
        let request = pb::ConfirmCancellationRequest {
            cancellation_id: quoted.cancellation_id.clone(),
            quote_digest: quote.digest.clone(),
            verification_tokens: vec![token],
            ..pb::ConfirmCancellationRequest::default()
        };
        self.cancellation.confirm_cancellation(request).await.context("ConfirmCancellation")?;
        Ok(())
    }

    /// Makes sure that the cancellation's receipt proves what it must.
    pub async fn prove(&mut self, cancellation_id: &str) -> Result<()> {
        let keys = self.cancellation.get_keys(pb::GetKeysRequest {}).await.context("GetKeys")?.into_inner();
        let request =
            pb::GetReceiptRequest { cancellation_id: cancellation_id.to_owned(), ..Default::default() };
        let answer = self.cancellation.get_receipt(request).await.context("GetReceipt")?.into_inner();
        let receipt = cancellation::receipt::verify(&answer.receipt_jws, &JwkSet::parse(&keys.jwks_json)?)?;
        ensure!(receipt.cancellation_id == cancellation_id, "the receipt is another cancellation's");
        ensure!(!receipt.acknowledgements.is_empty(), "the receipt has no acknowledgements");
        Ok(())
    }

    /// The code in the mail of a verification, which is mostly there before the call is answered.
    async fn code(&self, verification_id: &str) -> Result<String> {
        let path = self.messages.join(format!("{verification_id}.eml"));
        let arrived = timeout(MAIL_WITHIN, async {
            let mut ticks = interval(LOOK_EVERY);
            loop {
                ticks.tick().await;
                if let Ok(mail) = std::fs::read_to_string(&path) {
                    return mail;
                }
            }
        });
        let mail = arrived.await.context("no mail arrived")?;
        let body = mail.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let code = body.split(|char: char| !char.is_ascii_digit()).find(|digits| digits.len() == 6);
        Ok(code.context("the mail has no code")?.to_owned())
    }
}

async fn channel(url: &str) -> Result<Channel> {
    Ok(Endpoint::from_shared(url.to_owned())?.tcp_nodelay(true).connect().await?)
}

/// A cancellation that is watched.
pub struct Watch {
    pub id: String,
    changes: Streaming<pb::WatchCancellationResponse>,
}

impl Watch {
    /// Waits until the cancellation is in that state.
    pub async fn until(&mut self, wanted: State) -> Result<Cancellation> {
        let id = &self.id;
        let mut last = State::Unspecified;
        while let Some(change) = self.changes.message().await.context("WatchCancellation")? {
            let cancellation = change.cancellation.unwrap_or_default();
            last = cancellation.state();
            if last == wanted {
                return Ok(cancellation);
            }
        }
        bail!("{id} ended as {} and was never {}", last.as_str_name(), wanted.as_str_name())
    }

    /// Waits until it has completed, and hears the server out: a connection on which answers are given up
    /// too often is closed (`too_many_internal_resets`).
    pub async fn completed(mut self) -> Result<String> {
        self.until(State::Completed).await?;
        let more = self.changes.message().await.context("WatchCancellation")?;
        ensure!(more.is_none(), "{} changed after it had completed", self.id);
        Ok(self.id)
    }
}
