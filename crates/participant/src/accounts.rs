//! The way in for a service's own callers: read an account, or write it. What a write changes for
//! open cancellations is answered in the same transaction.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use event_store::{
    Append, AppendError, Expected, Guard, Metadata, Recorded, Store, StreamAppend, StreamId, TimerChange,
};
use keys::SigningKey;
use messaging::Backlog;
use proto::participant::v1 as pb;
use tokio::sync::{Mutex, MutexGuard};
use types::{Caller, Clock, SubjectId, Timestamp};

use crate::{
    Account, AccountError, Participant, WriteError,
    account::stream_of,
    decide::{Decided, Draft},
    error,
    given::Signer,
    request::RequestClaim,
    to_record::{id_key, to_record},
};

/// How often a write decides again when the account moved under it.
pub(crate) const ATTEMPTS_MAX: usize = 16;

/// How many turns there are; subjects that share one wait for each other, which is rare and short.
const TURNS: usize = 64;

/// How long a subject that nobody has told of yet is waited for.
const KNOWN_WAIT: Duration = Duration::from_secs(2);

/// One write: who asks for it, and what makes it idempotent.
#[derive(Debug, Clone)]
pub struct Write<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// The request's own id; empty for none.
    pub request_id: &'a str,
    /// A keyed digest of the whole request.
    pub digest: [u8; 32],
    /// Whose account.
    pub subject: &'a SubjectId,
}

/// What a write did.
#[derive(Debug, Clone)]
pub struct Written<S> {
    /// The account after it; as it is now, when the request had been made before.
    pub account: Account<S>,
    /// What the decision left as the way to find its result again.
    pub reference: String,
}

/// Which accounts take a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accepts {
    /// Those that are open; into one that is being closed nothing new.
    Open,
    /// All.
    Any,
}

/// Every subject's account in this service.
pub struct Accounts<P: Participant> {
    pub(crate) store: Store,
    pub(crate) participant: Arc<P>,
    pub(crate) signer: Signer,
    pub(crate) clock: Arc<dyn Clock>,
    /// Where writers of one subject that met in the store queue, so that none meets others for ever.
    turns: Arc<[Mutex<()>]>,
    backlog: Backlog,
}

impl<P: Participant> Clone for Accounts<P> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            participant: self.participant.clone(),
            signer: self.signer.clone(),
            clock: self.clock.clone(),
            turns: self.turns.clone(),
            backlog: self.backlog.clone(),
        }
    }
}

impl<P: Participant> Accounts<P> {
    /// The accounts of that store, answered with that key.
    #[must_use]
    pub fn new(store: Store, participant: Arc<P>, key: Arc<SigningKey>, clock: Arc<dyn Clock>) -> Self {
        let turns = (0..TURNS).map(|_| Mutex::default()).collect();
        let signer = Signer { key, batched: false };
        let backlog = Backlog::of(store.clone());
        Self { store, participant, signer, clock, turns, backlog }
    }

    /// The same, with one signature for several answers that are stored together.
    #[must_use]
    pub fn with_batched_signatures(mut self, batched: bool) -> Self {
        self.signer.batched = batched;
        self
    }

    /// The store behind.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The instant now, by this service's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A subject's account. One that nobody has told of yet is awaited for two seconds.
    ///
    /// # Errors
    /// [`AccountError::NotFound`], or what the store says.
    pub async fn get(&self, subject: &SubjectId) -> Result<Account<P::State>, AccountError> {
        Ok(self.load_known(subject).await?.0)
    }

    /// A subject's account as the store has it, also where nobody has told of the subject: an older copy may
    /// know an account by its end alone.
    ///
    /// # Errors
    /// What the store says.
    pub async fn stored(&self, subject: &SubjectId) -> Result<Account<P::State>, AccountError> {
        Ok(self.load(&stream_of(subject)).await?.0)
    }

    /// Whose the thing with that id is.
    ///
    /// # Errors
    /// [`AccountError::NotFound`], or what the store says.
    pub async fn subject_of(&self, id: &str) -> Result<SubjectId, AccountError> {
        let value = self.store.claim(&id_key(id)).await?.ok_or(AccountError::NotFound)?;
        let text = std::str::from_utf8(&value).map_err(|_| AccountError::NotFound)?;
        SubjectId::parse(text).map_err(|_| AccountError::NotFound)
    }

    /// Decides over the account and records what the decision says, the request's id and every
    /// answer that open cancellations thereby get, together. `decide` may run several times; it
    /// gives the new facts and a reference by which a repeated request finds the result.
    ///
    /// # Errors
    /// [`WriteError::Rejected`] with what `decide` says, or why the account cannot be written.
    pub async fn write<R, D>(&self, write: Write<'_>, decide: D) -> Result<Written<P::State>, WriteError<R>>
    where
        D: Fn(&P::State, Timestamp) -> Result<(Vec<P::Event>, String), R> + Send,
    {
        self.written(write, Accepts::Open, move |account, now| decide(&account.state, now)).await
    }

    /// The same for what is ordered by somebody whose word outlives the account, like a court, and for
    /// money that comes late and must not be lost: it is taken into an account that is being closed, and
    /// into one that is closed.
    ///
    /// # Errors
    /// As [`Accounts::write`] has them, but for an account that is closed or being closed.
    pub async fn order<R, D>(&self, write: Write<'_>, decide: D) -> Result<Written<P::State>, WriteError<R>>
    where
        D: Fn(&Account<P::State>, Timestamp) -> Result<(Vec<P::Event>, String), R> + Send,
    {
        self.written(write, Accepts::Any, decide).await
    }

    async fn written<R, D>(
        &self,
        write: Write<'_>,
        accepts: Accepts,
        decide: D,
    ) -> Result<Written<P::State>, WriteError<R>>
    where
        D: Fn(&Account<P::State>, Timestamp) -> Result<(Vec<P::Event>, String), R> + Send,
    {
        let claim = RequestClaim::new(write.caller, write.request_id, write.digest);
        let mut turn = None;
        for _ in 0..ATTEMPTS_MAX {
            let (account, version) = self.load_known(write.subject).await?;
            // After loading, not before: what the same request did would else be taken for another's,
            // and refused.
            if let Some(reference) = self.made_before(claim.as_ref()).await? {
                return Ok(Written { account: self.get(write.subject).await?, reference });
            }
            if account.closed.is_some() && accepts == Accepts::Open {
                return Err(AccountError::Closed.into());
            }
            self.backlog.admit().await.map_err(AccountError::from)?;
            let now = self.clock.now();
            let (events, reference) = decide(&account, now).map_err(WriteError::Rejected)?;
            let closing = account.is_closing() && accepts == Accepts::Open;
            if closing && events.iter().any(|event| !self.participant.ids(event).is_empty()) {
                return Err(AccountError::Closing.into());
            }
            let mut draft = Draft::new(&*self.participant, &self.signer.key, now, account);
            draft.own(events);
            draft.reconsider();
            let decided = draft.into_decided();
            match self.append(&write, claim.as_ref(), version, &decided, now, &reference).await {
                Ok(()) => return Ok(Written { account: decided.account, reference }),
                Err(AppendError::Conflict(_)) => {
                    if turn.is_none() {
                        turn = Some(self.turn(write.subject).await);
                    }
                }
                Err(other) => {
                    let reference = claimed(claim.as_ref(), other)?;
                    return Ok(Written { account: self.get(write.subject).await?, reference });
                }
            }
        }
        Err(AccountError::Conflict.into())
    }

    /// Opens the account of a subject that exists from now on: for the service that registers them.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn open(
        &self,
        write: Write<'_>,
        known: pb::SubjectKnown,
        events: Vec<P::Event>,
    ) -> Result<String, AccountError> {
        let claim = RequestClaim::new(write.caller, write.request_id, write.digest);
        if let Some(reference) = self.made_before(claim.as_ref()).await? {
            return Ok(reference);
        }
        self.backlog.admit().await?;
        let now = self.clock.now();
        let mut draft = Draft::new(&*self.participant, &self.signer.key, now, Account::default());
        draft.known(known);
        draft.own(events);
        let reference = write.subject.to_string();
        match self.append(&write, claim.as_ref(), 0, &draft.into_decided(), now, &reference).await {
            Ok(()) => Ok(reference),
            Err(other) => claimed(claim.as_ref(), other),
        }
    }

    /// Records facts that no caller asked for, like an effect outside that is confirmed; also of an
    /// account that is closed. `decide` gives nothing when they are recorded already, and the timers
    /// to change beside those that its facts change.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn record<D>(&self, subject: &SubjectId, cause: &str, decide: D) -> Result<(), AccountError>
    where
        D: Fn(&P::State, Timestamp) -> (Vec<P::Event>, Vec<TimerChange>) + Send,
    {
        for _ in 0..ATTEMPTS_MAX {
            let (account, version) = self.load(&stream_of(subject)).await?;
            let now = self.clock.now();
            let (events, timers) = decide(&account.state, now);
            if self.recorded(subject, cause, (account, version), now, events, timers).await? {
                return Ok(());
            }
        }
        Err(AccountError::Conflict)
    }

    /// Records facts and what they move; false when the account moved meanwhile.
    pub(crate) async fn recorded(
        &self,
        subject: &SubjectId,
        cause: &str,
        (account, version): (Account<P::State>, u64),
        now: Timestamp,
        events: Vec<P::Event>,
        mut timers: Vec<TimerChange>,
    ) -> Result<bool, AccountError> {
        if events.is_empty() && timers.is_empty() {
            return Ok(true);
        }
        let mut draft = Draft::new(&*self.participant, &self.signer.key, now, account);
        draft.own(events);
        draft.reconsider();
        let actor = self.participant.name().as_str().into();
        let metadata = metadata(types::TENANT_LOCAL.into(), actor, cause.into());
        let mut append = self.to_append(subject, version, &draft.into_decided(), now, metadata);
        // The last change to a timer is the one that holds: the facts' own.
        timers.append(&mut append.timers);
        append.timers = timers;
        if append.streams.is_empty() {
            append.guards.push(Guard { stream: stream_of(subject), version });
        }
        match self.store.append(append).await {
            Ok(_) => Ok(true),
            Err(AppendError::Conflict(_)) => Ok(false),
            Err(other) => Err(error::of_append(other)),
        }
    }

    async fn turn(&self, subject: &SubjectId) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        subject.hash(&mut hasher);
        let index = usize::try_from(hasher.finish()).unwrap_or_default() % self.turns.len();
        self.turns[index].lock().await
    }

    async fn made_before(&self, claim: Option<&RequestClaim>) -> Result<Option<String>, AccountError> {
        let Some(claim) = claim else { return Ok(None) };
        let value = self.store.claim(claim.key()).await?;
        Ok(value.map(|value| claim.same(&value)).transpose()?)
    }

    async fn append(
        &self,
        write: &Write<'_>,
        claim: Option<&RequestClaim>,
        version: u64,
        decided: &Decided<P>,
        now: Timestamp,
        reference: &str,
    ) -> Result<(), AppendError> {
        let metadata =
            metadata(write.caller.tenant.as_str().into(), write.caller.name.clone(), write.request_id.into());
        let mut append = self.to_append(write.subject, version, decided, now, metadata);
        append.claims.extend(claim.map(|claim| claim.claim(reference)));
        if append == Append::default() {
            return Ok(());
        }
        self.store.append(append).await.map(drop)
    }

    fn to_append(
        &self,
        subject: &SubjectId,
        version: u64,
        decided: &Decided<P>,
        at: Timestamp,
        metadata: Arc<Metadata>,
    ) -> Append {
        let stream = stream_of(subject);
        let mut recorded = to_record(&*self.participant, subject, &decided.account.state, &decided.facts);
        let (places, answers): (Vec<_>, Vec<_>) = std::mem::take(&mut recorded.answers).into_iter().unzip();
        for (place, payload) in places.into_iter().zip(self.signer.seal(&answers)) {
            recorded.events[place].payload = payload;
        }
        let (timers, claims, listings) = (recorded.timers, recorded.claims, recorded.listings);
        let mut append = Append { timers, claims, listings, ..Append::default() };
        if !recorded.events.is_empty() {
            let expected = Expected::Exactly(version);
            append.streams.push(StreamAppend { stream, expected, metadata, at, events: recorded.events });
        }
        append
    }

    async fn load(&self, stream: &StreamId) -> Result<(Account<P::State>, u64), AccountError> {
        self.folded(&self.store.load(stream).await?)
    }

    pub(crate) fn folded(&self, events: &[Recorded]) -> Result<(Account<P::State>, u64), AccountError> {
        let version = events.last().map_or(0, |event| event.version);
        let account = events.iter().try_fold(Account::default(), |account, event: &Recorded| {
            self.participant.fold(account, event).map_err(AccountError::Unreadable)
        })?;
        Ok((account, version))
    }

    async fn load_known(&self, subject: &SubjectId) -> Result<(Account<P::State>, u64), AccountError> {
        let stream = stream_of(subject);
        let found = self.load(&stream).await?;
        if found.0.known.is_some() {
            return Ok(found);
        }
        match tokio::time::timeout(KNOWN_WAIT, self.until_known(&stream)).await {
            Ok(found) => found,
            Err(_) => Err(AccountError::NotFound),
        }
    }

    async fn until_known(&self, stream: &StreamId) -> Result<(Account<P::State>, u64), AccountError> {
        let mut tail = self.store.tail(self.store.head().await?);
        loop {
            let found = self.load(stream).await?;
            if found.0.known.is_some() {
                return Ok(found);
            }
            tail.pass_until(stream).await?;
        }
    }
}

fn metadata(tenant: Arc<str>, actor: Arc<str>, causation: Arc<str>) -> Arc<Metadata> {
    Arc::new(Metadata { tenant, actor, causation, correlation: "".into(), traceparent: "".into() })
}

/// The result of the same request, when that is what stood in the way of an append.
fn claimed(claim: Option<&RequestClaim>, error: AppendError) -> Result<String, AccountError> {
    match (claim, error) {
        (Some(claim), AppendError::Claimed { key, value }) if key == claim.key() => Ok(claim.same(&value)?),
        (_, other) => Err(error::of_append(other)),
    }
}
