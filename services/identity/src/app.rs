//! The shell: seals, decides, appends, waits for the effect, signs.

mod coming_back;
mod guardian;
pub(crate) mod standing;

use std::{sync::Arc, time::Duration};

use event_store::Position;
use keys::{Secret, SigningKey, Vault, VerificationClaims, constant_time_eq};
use participant::{Account, AccountError, Accounts, RequestClaim, Write, Written, stream_of};
use policy::Packs;
use proto::participant::v1::SubjectKnown;
use tokio::{sync::watch, time::timeout};
use types::{Caller, SubjectId, Timestamp, fresh_uuid};

use crate::{
    address::Address,
    code::{code, code_hash},
    domain::{
        self, Command, Complete, Event, Key, Rejection, SealedContact, State, TOKEN_LIFETIME, TokenId,
        VerificationId,
    },
    effects::{open_contact, sealed_field},
    error::Error,
    participant::Identity,
    wire::{Completion, Registration, Start, factor_name},
};

/// How long a cancellation is awaited that was requested, but has not reached identity yet.
const CASE_WAIT: Duration = Duration::from_secs(2);

/// How long the delivery of a code is awaited; beyond that it goes on by itself.
const DELIVERY_WAIT: Duration = Duration::from_secs(2);

/// Between a verification's id and the tries left, in what a repeated request finds of a wrong code.
const WRONG: &str = "/wrong/";

/// Everything that a request needs.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) accounts: Accounts<Identity>,
    pub(crate) secret: Arc<Secret>,
    pub(crate) vault: Arc<Vault>,
    pub(crate) token_key: Arc<SigningKey>,
    pub(crate) packs: Arc<Packs>,
    /// Up to where codes are delivered.
    pub(crate) delivered: watch::Receiver<Position>,
}

/// Who asks, and what makes the request idempotent.
pub(crate) struct Asked<'a> {
    pub(crate) caller: &'a Caller,
    /// Empty for none.
    pub(crate) request_id: &'a str,
    pub(crate) digest: [u8; 32],
}

impl<'a> Asked<'a> {
    fn write(&self, subject: &'a SubjectId) -> Write<'a> {
        Write { caller: self.caller, request_id: self.request_id, digest: self.digest, subject }
    }
}

/// A code that is on its way.
pub(crate) struct Started {
    pub(crate) id: VerificationId,
    pub(crate) masked_address: String,
    pub(crate) expires_at: Timestamp,
}

/// A token.
pub(crate) struct Given {
    pub(crate) token: String,
    pub(crate) expires_at: Timestamp,
}

impl App {
    /// The keyed digest of a request.
    pub(crate) fn digest(&self, method: &str, request: &[u8]) -> [u8; 32] {
        self.secret.hmac(method, &[request])
    }

    /// Makes a subject known; gives its id.
    pub(crate) async fn register(&self, asked: Asked<'_>, who: Registration) -> Result<String, Error> {
        // Looked at before anything is sealed, so that a repeated request makes no key.
        let claim = RequestClaim::new(asked.caller, asked.request_id, asked.digest);
        if let Some(claim) = &claim
            && let Some(value) = self.accounts.store().claim(claim.key()).await.map_err(AccountError::from)?
        {
            return Ok(claim.same(&value).map_err(AccountError::from)?);
        }
        // Somebody new, whoever had the contacts before: another id, another key, nothing of the old.
        let subject = SubjectId::mint(fresh_uuid());
        let Registration { region, edition, contacts } = who;
        self.may_come_back(contacts.clone()).await?;
        let contacts = self.seal(&subject, contacts).await?;
        let known = SubjectKnown {
            subject_id: subject.to_string(),
            region: region.clone(),
            edition: participant::wire::edition(edition).into(),
            registered_at: Some(self.accounts.now().to_proto()),
        };
        let events = domain::register(subject.clone(), region, edition, contacts);
        Ok(self.accounts.open(asked.write(&subject), known, events).await?)
    }

    async fn seal(&self, subject: &SubjectId, contacts: Vec<Address>) -> Result<Vec<SealedContact>, Error> {
        let (vault, owner) = (self.vault.clone(), subject.clone());
        let seal = move || {
            let seal = |(place, address): (usize, &Address)| {
                let field = sealed_field(place);
                let sealed = vault.seal(owner.as_str(), &field, address.expose().as_bytes())?;
                Ok(SealedContact { factor: address.factor(), sealed: sealed.into() })
            };
            contacts.iter().enumerate().map(seal).collect::<Result<_, Error>>()
        };
        participant::aside(seal).await?
    }

    /// Makes a code and waits, within a bound, until it is delivered.
    pub(crate) async fn start(&self, asked: Asked<'_>, start: Start) -> Result<Started, Error> {
        let Start { subject, cancellation, factor, ward } = start;
        let whose = ward.as_ref().unwrap_or(&subject);
        self.await_case(whose, |account| account.cases.contains_key(&cancellation)).await?;
        if let Some(ward) = &ward {
            self.guards(ward, &subject).await?;
        }
        let id = VerificationId::mint(fresh_uuid());
        let code_hash = code_hash(&self.secret, &id, &code(&self.secret, &id));
        let reference = id.to_string();
        let decide = |state: &State, now| {
            let (id, cancellation) = (id.clone(), cancellation.clone());
            let wanted = domain::Start { id, cancellation, factor, code_hash, now };
            let events = domain::decide(state, Command::Start(wanted))?;
            Ok::<_, Rejection>((events, reference.clone()))
        };
        let written = self.accounts.write(asked.write(&subject), decide).await?;
        self.await_delivery().await?;
        self.started(subject, written).await
    }

    async fn started(&self, subject: SubjectId, written: Written<State>) -> Result<Started, Error> {
        let state = open_state(written.account)?;
        let id = VerificationId::parse(&written.reference).map_err(|_| Rejection::VerificationUnknown)?;
        let verification = state.verifications.get(&id).ok_or(Rejection::VerificationUnknown)?;
        let (place, expires_at) = (verification.contact, verification.expires_at);
        let vault = self.vault.clone();
        let open = move || open_contact(&vault, &subject, &state, place).map(|address| address.masked());
        let masked_address = participant::aside(open).await??;
        Ok(Started { id, masked_address, expires_at })
    }

    /// Waits, within a bound, until the subject's account has what is asked for.
    async fn await_case(
        &self,
        subject: &SubjectId,
        has: impl Fn(&Account<State>) -> bool + Send,
    ) -> Result<(), Error> {
        if has(&self.accounts.get(subject).await?) {
            return Ok(());
        }
        let (store, stream) = (self.accounts.store(), stream_of(subject));
        let look = async {
            let mut tail = store.tail(store.head().await.map_err(AccountError::from)?);
            loop {
                let account = self.accounts.get(subject).await?;
                if has(&account) {
                    return Ok(());
                }
                open_state(account)?;
                tail.pass_until(&stream).await.map_err(AccountError::from)?;
            }
        };
        timeout(CASE_WAIT, look).await.unwrap_or(Err(Error::CancellationUnknown))
    }

    async fn await_delivery(&self) -> Result<(), Error> {
        let head = self.accounts.store().head().await.map_err(AccountError::from)?;
        let mut delivered = self.delivered.clone();
        // Late or not, the code is recorded and will be delivered.
        let _ = timeout(DELIVERY_WAIT, delivered.wait_for(|position| *position >= head)).await;
        Ok(())
    }

    /// Takes a code; gives the token when it is the right one.
    pub(crate) async fn complete(&self, asked: Asked<'_>, given: &Completion) -> Result<Given, Error> {
        let subject = self.accounts.subject_of(given.id.as_str()).await?;
        let hash = code_hash(&self.secret, &given.id, &given.code);
        let token = TokenId::mint(fresh_uuid());
        let decide = |state: &State, now| {
            let (id, token) = (given.id.clone(), token.clone());
            let verification = state.verifications.get(&id);
            let code_is_right = verification.is_some_and(|made| constant_time_eq(&made.code_hash, &hash));
            let completed = Complete { id, code_is_right, token, now };
            let events = domain::decide(state, Command::Complete(completed))?;
            let reference = match events.first() {
                Some(Event::CodeRefused(id)) => {
                    let left = verification.map_or(0, |made| made.tries_left().saturating_sub(1));
                    format!("{id}{WRONG}{left}")
                }
                _ => given.id.to_string(),
            };
            Ok::<_, Rejection>((events, reference))
        };
        let written = self.accounts.write(asked.write(&subject), decide).await?;
        if let Some((_, left)) = written.reference.split_once(WRONG) {
            return Err(Error::CodeWrong { tries_left: left.parse().unwrap_or(0) });
        }
        self.given(&subject, &given.id, written.account)
    }

    /// The token of a completed verification: the same whenever it is asked for.
    fn given(
        &self,
        subject: &SubjectId,
        id: &VerificationId,
        account: Account<State>,
    ) -> Result<Given, Error> {
        let state = open_state(account)?;
        let verification = state.verifications.get(id).ok_or(Rejection::VerificationUnknown)?;
        let token = verification.token.as_ref().ok_or(Rejection::VerificationUnknown)?;
        if self.accounts.now() >= token.expires_at {
            return Err(Rejection::CodeExpired.into());
        }
        let claims = VerificationClaims::new(
            subject,
            &verification.cancellation,
            token.id.as_str(),
            token.issued_at(),
            TOKEN_LIFETIME,
            factor_name(verification.factor),
        );
        Ok(Given { token: claims.sign(&self.token_key), expires_at: token.expires_at })
    }
}

/// The state of an account that is neither closed nor about to be.
fn open_state(account: Account<State>) -> Result<State, Error> {
    if account.closed.is_some() {
        return Err(AccountError::Closed.into());
    }
    if account.state.key == Key::Stands { Ok(account.state) } else { Err(Rejection::Closed.into()) }
}
