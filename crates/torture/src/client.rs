//! A caller of the public API that finds each role at any of its replicas, and calls again while
//! nobody answers.

use std::{
    collections::BTreeMap,
    future::Future,
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail};
use proto::{
    cancellation::v1::{self as can, cancellation_service_client::CancellationServiceClient},
    identity::v1::{self as idn, identity_service_client::IdentityServiceClient},
    types::v1 as words,
};
use tokio::time::{Instant, timeout};
use tonic::{
    Response, Status,
    transport::{Channel, Endpoint},
};

use crate::{
    error::{answer_is_lost, may_pass},
    fleet::ROLES,
    wait::{BOUND, Pause, until},
};

/// How long one call may take before it is made again.
const CALL_WITHIN: Duration = Duration::from_secs(5);
/// How long to wait before a call is made again: longer each time, or those who call again would be all that
/// the servers have to do when they come back.
const AGAIN_AFTER: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How long until something that is waited for is looked at again.
const LOOK_AFTER: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

type Routes = BTreeMap<&'static str, Vec<(String, Channel)>>;

/// Everybody who clones this calls the same processes.
#[derive(Clone)]
pub struct Client {
    routes: Arc<RwLock<Routes>>,
    turn: Arc<AtomicUsize>,
    messages: PathBuf,
}

/// What was answered, and whether an answer was lost on the way: then the call was made again.
pub struct Answered<T> {
    /// The answer.
    pub answer: T,
    /// Whether nobody knows if an earlier try was carried out.
    pub lost: bool,
}

impl Client {
    /// Nobody to call yet. Messages to subjects are read from that folder.
    #[must_use]
    pub fn new(messages: &Path) -> Self {
        Self { routes: Arc::default(), turn: Arc::default(), messages: messages.to_owned() }
    }

    /// Where messages to subjects are put.
    #[must_use]
    pub fn messages(&self) -> &Path {
        &self.messages
    }

    /// From now on these processes are called, each for its roles, none meaning all.
    pub fn route<'a>(&self, servers: impl Iterator<Item = (&'a [String], String)>) {
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        let mut before: BTreeMap<String, Channel> =
            std::mem::take(&mut *routes).into_values().flatten().collect();
        for (roles, url) in servers {
            if !before.contains_key(&url) {
                let Ok(endpoint) = Endpoint::from_shared(url.clone()) else { continue };
                let endpoint = endpoint.connect_timeout(Duration::from_secs(1)).tcp_nodelay(true);
                before.insert(url.clone(), endpoint.connect_lazy());
            }
            let channel = &before[&url];
            for role in ROLES.iter().filter(|role| roles.is_empty() || roles.iter().any(|it| it == *role)) {
                routes.entry(role).or_default().push((url.clone(), channel.clone()));
            }
        }
    }

    /// The next replica of a role, in turn.
    fn next(&self, role: &str) -> Option<Channel> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        let replicas = routes.get(role)?;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        replicas.get(turn % replicas.len()).map(|(_, channel)| channel.clone())
    }

    /// Calls until a replica of the role answers.
    ///
    /// # Errors
    /// What is refused for good, or that nobody answered within [`BOUND`].
    pub async fn surely<T, F>(&self, role: &str, call: impl Fn(Channel) -> F) -> Result<Answered<T>>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let mut lost = false;
        let mut last = None;
        let mut pause = Pause::between(AGAIN_AFTER);
        let deadline = Instant::now() + BOUND;
        while Instant::now() < deadline {
            if let Some(channel) = self.next(role) {
                match timeout(CALL_WITHIN, call(channel)).await {
                    Ok(Ok(response)) => return Ok(Answered { answer: response.into_inner(), lost }),
                    Ok(Err(status)) if may_pass(&status) => {
                        lost |= answer_is_lost(&status);
                        last = Some(status);
                    }
                    Ok(Err(status)) => {
                        return Err(status).with_context(|| format!("{role} refuses for good"));
                    }
                    Err(_) => lost = true,
                }
            }
            pause.wait().await;
        }
        bail!("{role} did not answer within {BOUND:?}; the last refusal: {last:?}")
    }

    /// A new subject; gives its id.
    ///
    /// # Errors
    /// As [`Client::surely`].
    pub async fn register(&self, request_id: &str) -> Result<String> {
        let address = idn::contact::Address::Email(format!("{request_id}@example.com"));
        let request = idn::RegisterSubjectRequest {
            request_id: request_id.to_owned(),
            region: "CN".into(),
            edition: words::Edition::Domestic.into(),
            contacts: vec![idn::Contact { address: Some(address) }],
        };
        let registered = self.surely("identity", |channel| {
            let request = request.clone();
            async move { IdentityServiceClient::new(channel).register_subject(request).await }
        });
        Ok(registered.await?.answer.subject_id)
    }

    /// Asks for a cancellation; gives its id.
    ///
    /// # Errors
    /// As [`Client::surely`].
    pub async fn request(
        &self,
        request_id: &str,
        subject_id: &str,
        scope: words::scope::Kind,
    ) -> Result<Answered<String>> {
        let request = can::RequestCancellationRequest {
            request_id: request_id.to_owned(),
            subject_id: subject_id.to_owned(),
            scope: Some(words::Scope { kind: Some(scope) }),
            ..Default::default()
        };
        let requested = self.surely("cancellation", |channel| {
            let request = request.clone();
            async move { CancellationServiceClient::new(channel).request_cancellation(request).await }
        });
        let Answered { answer, lost } = requested.await?;
        let cancellation = answer.cancellation.context("no cancellation was answered")?;
        Ok(Answered { answer: cancellation.cancellation_id, lost })
    }

    /// A cancellation as it is.
    ///
    /// # Errors
    /// As [`Client::surely`].
    pub async fn get(&self, cancellation_id: &str) -> Result<can::Cancellation> {
        let got = self.surely("cancellation", |channel| {
            let request = can::GetCancellationRequest {
                cancellation_id: cancellation_id.to_owned(),
                ..Default::default()
            };
            async move { CancellationServiceClient::new(channel).get_cancellation(request).await }
        });
        got.await?.answer.cancellation.context("no cancellation was answered")
    }

    /// Waits for a state, and gives the cancellation in it.
    ///
    /// # Errors
    /// As [`Client::surely`], or that it is not in that state within the bound.
    pub async fn until(
        &self,
        cancellation_id: &str,
        state: can::State,
        within: Duration,
    ) -> Result<can::Cancellation> {
        let looking = async {
            let mut pause = Pause::between(LOOK_AFTER);
            loop {
                let cancellation = self.get(cancellation_id).await?;
                if cancellation.state() == state {
                    return Ok(cancellation);
                }
                pause.wait().await;
            }
        };
        let what =
            || format!("waited longer than {within:?} for {cancellation_id} in {}", state.as_str_name());
        timeout(within, looking).await.with_context(what)?
    }

    /// Proves that it is the subject, with the code that arrives in the folder of messages; gives the token.
    ///
    /// # Errors
    /// As [`Client::surely`], or that no code arrives.
    pub async fn verify(&self, subject_id: &str, cancellation_id: &str) -> Result<String> {
        let request = idn::StartVerificationRequest {
            request_id: format!("verify-{cancellation_id}"),
            subject_id: subject_id.to_owned(),
            cancellation_id: cancellation_id.to_owned(),
            factor: idn::Factor::EmailCode.into(),
        };
        let started = self.surely("identity", |channel| {
            let request = request.clone();
            async move { IdentityServiceClient::new(channel).start_verification(request).await }
        });
        let verification_id = started.await?.answer.verification_id;
        let path = self.messages.join(format!("{verification_id}.eml"));
        let code = until("the message with the code", LOOK_AFTER.0, BOUND, || async {
            Ok(std::fs::read_to_string(&path).ok().and_then(|message| code_in(&message)))
        });
        let request =
            idn::CompleteVerificationRequest { verification_id, code: code.await?, ..Default::default() };
        let completed = self.surely("identity", |channel| {
            let request = request.clone();
            async move { IdentityServiceClient::new(channel).complete_verification(request).await }
        });
        Ok(completed.await?.answer.verification_token)
    }

    /// Confirms what was quoted.
    ///
    /// # Errors
    /// As [`Client::surely`].
    pub async fn confirm(&self, cancellation_id: &str, quote_digest: &str, token: &str) -> Result<()> {
        let request = can::ConfirmCancellationRequest {
            cancellation_id: cancellation_id.to_owned(),
            quote_digest: quote_digest.to_owned(),
            verification_tokens: vec![token.to_owned()],
            ..Default::default()
        };
        let confirmed = self.surely("cancellation", |channel| {
            let request = request.clone();
            async move { CancellationServiceClient::new(channel).confirm_cancellation(request).await }
        });
        confirmed.await.map(|_| ())
    }

    /// The sealed receipt of a completed cancellation.
    ///
    /// # Errors
    /// As [`Client::surely`].
    pub async fn receipt(&self, cancellation_id: &str) -> Result<String> {
        let got = self.surely("cancellation", |channel| {
            let request =
                can::GetReceiptRequest { cancellation_id: cancellation_id.to_owned(), ..Default::default() };
            async move { CancellationServiceClient::new(channel).get_receipt(request).await }
        });
        Ok(got.await?.answer.receipt_jws)
    }

    /// All public keys.
    ///
    /// # Errors
    /// As [`Client::surely`], or that they are not keys.
    pub async fn keys(&self) -> Result<keys::JwkSet> {
        let got = self.surely("cancellation", |channel| async move {
            CancellationServiceClient::new(channel).get_keys(can::GetKeysRequest {}).await
        });
        Ok(keys::JwkSet::parse(&got.await?.answer.jwks_json)?)
    }
}

/// The six digits in a message.
fn code_in(message: &str) -> Option<String> {
    let (_, body) = message.split_once("\r\n\r\n").or_else(|| message.split_once("\n\n"))?;
    let digits = |word: &&str| word.len() == 6 && word.bytes().all(|byte| byte.is_ascii_digit());
    body.split(|c: char| !c.is_ascii_digit()).find(digits).map(str::to_owned)
}
