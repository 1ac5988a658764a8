//! What callers ask for: load, decide, append. The only caller of domain and store together on
//! their behalf.

use std::{sync::Arc, time::Duration};

use event_store::{
    Append, AppendError, Expected, Guard, ListQuery, Listed, Metadata, Store, StreamAppend, StreamId,
};
use keys::{Secret, Vault, VerificationClaims};
use messaging::Backlog;
use participant::RequestClaim;
use policy::Packs;
use proto::cancellation::v1 as pb;
use types::{Caller, CancellationId, Scope, SubjectId, Tenant, Timestamp, fresh_uuid};

use crate::{
    Roster,
    domain::{Case, Command, Operation, Rejection, Request, Token},
    error::Error,
    participant_keys::ParticipantKeys,
    receipt, rules,
    shell::{self, Outcome, Shell},
    streams::{self, Folded, Subject},
    watch::Watchers,
    wire,
};

/// How often a command is decided again when the cancellation moved under it.
const ATTEMPTS_MAX: usize = 16;
/// How long a subject that nobody has told of yet is waited for.
const KNOWN_WAIT: Duration = Duration::from_secs(2);

/// A request for a new cancellation, read and checked.
#[derive(Debug, Clone)]
pub(crate) struct NewCancellation {
    pub(crate) request_id: String,
    pub(crate) digest: [u8; 32],
    pub(crate) subject: SubjectId,
    pub(crate) scope: Scope,
    pub(crate) channel: String,
    pub(crate) reason: String,
    pub(crate) intent: Option<&'static str>,
}

/// A call that changes a cancellation: who, and what makes it idempotent.
#[derive(Debug, Clone)]
pub(crate) struct Change<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) claim: Option<RequestClaim>,
    pub(crate) id: &'a CancellationId,
}

/// Every cancellation.
#[derive(Clone)]
pub(crate) struct Cancellations {
    pub(crate) store: Store,
    pub(crate) shell: Shell,
    pub(crate) roster: Arc<Roster>,
    pub(crate) packs: Arc<Packs>,
    pub(crate) participant_keys: Arc<ParticipantKeys>,
    pub(crate) vault: Arc<Vault>,
    pub(crate) secret: Arc<Secret>,
    pub(crate) watchers: Arc<Watchers>,
    pub(crate) backlog: Backlog,
}

impl Cancellations {
    pub(crate) async fn request(
        &self,
        caller: &Caller,
        new: NewCancellation,
    ) -> Result<pb::Cancellation, Error> {
        let Some(claim) = RequestClaim::new(caller, &new.request_id, new.digest) else {
            return Err(Error::Conflict);
        };
        // The claim is not looked at first: as a rule nobody has it, and the append says so when it is
        // otherwise. But a key must not be made for a text that is sealed already.
        if !new.reason.is_empty()
            && let Some(first) = self.made_before(Some(&claim)).await?
        {
            return self.get(&first).await;
        }
        match self.open(caller, new, &claim).await {
            Err(refused) => match self.made_before(Some(&claim)).await? {
                Some(first) => self.get(&first).await,
                None => Err(refused),
            },
            opened => opened,
        }
    }

    async fn open(
        &self,
        caller: &Caller,
        new: NewCancellation,
        claim: &RequestClaim,
    ) -> Result<pb::Cancellation, Error> {
        self.backlog.admit().await?;
        let Some(selection) = self.roster.select(&new.scope) else {
            return Err(Rejection::NothingToCancel.into());
        };
        let entries = selection.entries.clone();
        let roster = self.participant_keys.complete(entries).map_err(Error::KeysUnknown)?;
        let id = CancellationId::mint(fresh_uuid());
        let sealed_reason = self.seal(&id, new.reason).await?;
        for _ in 0..ATTEMPTS_MAX {
            let (subject, version) = self.subject(&new.subject).await?;
            let at = self.shell.clock.now();
            let kind = rules::kind_of(&new.scope, new.intent);
            let rules = rules::rules(&self.packs, &selection, kind, &subject.region, at);
            let request = Request {
                id: id.clone(),
                subject: new.subject.clone(),
                region: subject.region,
                edition: subject.edition,
                scope: new.scope.clone(),
                roster: roster.clone(),
                gates_none: rules.gates_none,
                tokens_required: rules.tokens_required,
                terms: rules.terms,
                ladder: self.roster.ladder().clone(),
                channel: new.channel.clone(),
                sealed_reason: sealed_reason.clone(),
                at,
            };
            let outcome = self.shell.carry_out(None, Command::Request(Box::new(request)), at)?;
            let mut append = self.to_append(&outcome, &id, 0, &caller.name, &new.request_id).await?;
            append.claims.push(claim.claim(id.as_str()));
            append.guards.push(Guard { stream: streams::of_subject(&new.subject), version });
            match self.store.append(append).await {
                Ok(appended) => {
                    let version = appended.versions.first().copied().unwrap_or(0);
                    let view = viewed(&outcome, version);
                    let folded = Arc::new(Folded { case: outcome.state, ..Folded::default() });
                    self.watchers.expect(streams::of_case(&id), &folded, version);
                    return Ok(view);
                }
                // The subject moved: known anew, or closed.
                Err(AppendError::Conflict(_)) => {}
                Err(AppendError::Claimed { key, value }) if key == claim.key() => {
                    return self.get(&parse(&claim.same(&value)?)?).await;
                }
                Err(other) => return Err(other.into()),
            }
        }
        Err(Error::Conflict)
    }

    pub(crate) async fn get(&self, id: &CancellationId) -> Result<pb::Cancellation, Error> {
        let (case, version) = self.load(id).await?;
        Ok(wire::view(&case, version))
    }

    pub(crate) async fn list(
        &self,
        query: ListQuery,
    ) -> Result<(Vec<pb::Cancellation>, Option<(Timestamp, StreamId)>), Error> {
        let page = self.store.list(&query).await?;
        let last = page.rows.last().filter(|_| page.more).map(|row| (row.since, row.stream.clone()));
        let names: Vec<StreamId> = page.rows.iter().map(|row| row.stream.clone()).collect();
        let mut views = Vec::with_capacity(names.len());
        for (row, events) in page.rows.iter().zip(self.store.load_many(&names).await?) {
            match streams::fold_all(&events) {
                Ok((folded, version)) => {
                    views.extend(folded.case.as_ref().map(|case| wire::view(case, version)));
                }
                // One history that cannot be read must not hide the others.
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(cancellation = %row.stream, error, "listed without its history");
                    views.push(wire::view_of_row(row));
                }
            }
        }
        Ok((views, last))
    }

    pub(crate) async fn reassess(&self, change: Change<'_>) -> Result<pb::Cancellation, Error> {
        self.execute(change, |_| Command::Reassess).await
    }

    pub(crate) async fn confirm(
        &self,
        change: Change<'_>,
        digest: [u8; 32],
        tokens: &[String],
    ) -> Result<pb::Cancellation, Error> {
        let tokens = self.check_tokens(tokens).await?;
        self.execute(change, |now| Command::Confirm { digest, tokens: tokens.clone(), now }).await
    }

    pub(crate) async fn revoke(&self, change: Change<'_>, reason: String) -> Result<pb::Cancellation, Error> {
        // Looked at first, so that a key is made only for a cancellation that can still take a reason.
        let (case, _) = self.load(change.id).await?;
        let reason = if case.phase.is_ended() { String::new() } else { reason };
        let sealed_reason = self.seal(change.id, reason).await?;
        self.execute(change, |now| Command::Revoke { sealed_reason: sealed_reason.clone(), now }).await
    }

    /// Lets happen to it what is due by itself; nothing when it is past that. Its timer stands afterwards
    /// where its own facts have it.
    ///
    /// False when nothing was due.
    pub(crate) async fn wake(&self, id: &CancellationId) -> Result<bool, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let (case, version) = self.load(id).await?;
            let at = self.shell.clock.now();
            let outcome = self.shell.carry_out(Some(case), Command::Wake { now: at }, at)?;
            let mut append = self.to_append(&outcome, id, version, &crate::NAME.into(), "").await?;
            append.timers = outcome.state.as_deref().map(shell::timer).into_iter().collect();
            if outcome.events.is_empty() {
                append.guards.push(Guard { stream: streams::of_case(id), version });
            }
            match self.store.append(append).await {
                Ok(_) => return Ok(!outcome.events.is_empty()),
                Err(AppendError::Conflict(_)) => {}
                Err(other) => return Err(other.into()),
            }
        }
        Err(Error::Conflict)
    }

    /// Does what an operator wants done.
    pub(crate) async fn operate(
        &self,
        change: Change<'_>,
        operation: impl Fn(Timestamp) -> Operation,
    ) -> Result<pb::Cancellation, Error> {
        self.execute(change, |now| Command::Operate(operation(now))).await
    }

    /// The cancellations of those rows. One whose history cannot be read is told of and left out.
    pub(crate) async fn cases(&self, rows: &[Listed]) -> Result<Vec<Box<Case>>, Error> {
        let names: Vec<StreamId> = rows.iter().map(|row| row.stream.clone()).collect();
        let mut cases = Vec::with_capacity(rows.len());
        for (name, events) in names.iter().zip(self.store.load_many(&names).await?) {
            match streams::fold_all(&events) {
                Ok((folded, _)) => cases.extend(Arc::unwrap_or_clone(folded).case),
                Err(error) => tracing::error!(cancellation = %name, %error, "left out of a list"),
            }
        }
        Ok(cases)
    }

    /// Ends one that another has left nothing to end of; nothing when it is past that.
    pub(crate) async fn expire(&self, id: &CancellationId, by: &CancellationId) -> Result<(), Error> {
        let caller = Caller { tenant: Tenant::local(), name: crate::NAME.into(), roles: Vec::new() };
        let change = Change { caller: &caller, claim: None, id };
        self.execute(change, |now| Command::Expire { by: by.clone(), now }).await.map(drop)
    }

    /// The receipt, in that version, from 1; 0 for the newest.
    pub(crate) async fn receipt(
        &self,
        id: &CancellationId,
        version: u32,
    ) -> Result<pb::GetReceiptResponse, Error> {
        let (mut case, _) = self.load(id).await?;
        let newest_version = u32::try_from(case.receipts.len()).unwrap_or(u32::MAX);
        let wanted = if version == 0 { newest_version } else { version };
        let index = usize::try_from(wanted).ok().and_then(|wanted| wanted.checked_sub(1));
        let index = index.ok_or(Error::NoReceipt)?;
        if case.receipts.len() <= index {
            return Err(if newest_version == 0 { Error::NoReceipt } else { Error::NoReceiptVersion(wanted) });
        }
        let receipt_jws = case.receipts.swap_remove(index);
        let receipt = receipt::to_proto(&receipt_jws, &case.request.scope);
        Ok(pb::GetReceiptResponse { receipt_jws, receipt, newest_version })
    }

    /// A keyed digest of a call: its method and its whole content.
    pub(crate) fn digest(&self, method: &str, request: &impl prost::Message) -> [u8; 32] {
        self.secret.hmac(method, &[&request.encode_to_vec()])
    }

    pub(crate) async fn execute<C>(&self, change: Change<'_>, command: C) -> Result<pb::Cancellation, Error>
    where
        C: Fn(Timestamp) -> Command,
    {
        for _ in 0..ATTEMPTS_MAX {
            let (case, version) = self.load(change.id).await?;
            // After loading, not before: what the same request did would else be taken for another's,
            // and refused.
            if self.made_before(change.claim.as_ref()).await?.is_some() {
                return self.get(change.id).await;
            }
            self.backlog.admit().await?;
            let blockers = wire::blockers(&case);
            let at = self.shell.clock.now();
            let subject = streams::of_subject(&case.request.subject);
            let (mut outcome, mut guards) = match self.shell.carry_out(Some(case.clone()), command(at), at) {
                Ok(outcome) => (outcome, Vec::new()),
                Err(Rejection::Blocked) => return Err(Error::Blocked(blockers)),
                Err(other) => return Err(other.into()),
            };
            if outcome.comes_back {
                let (folded, version) = self.folded(&subject).await?;
                let closed = folded.closed.clone();
                outcome = self.shell.carry_out_with(Some(case), command(at), closed, at)?;
                guards.push(Guard { stream: subject, version });
            }
            if outcome.events.is_empty() && change.claim.is_none() {
                return Ok(viewed(&outcome, version));
            }
            let request_id = change.claim.as_ref().map_or("", RequestClaim::key);
            let mut append =
                self.to_append(&outcome, change.id, version, &change.caller.name, request_id).await?;
            append.guards = guards;
            append.claims.extend(change.claim.as_ref().map(|claim| claim.claim(change.id.as_str())));
            match self.store.append(append).await {
                Ok(appended) => {
                    return Ok(viewed(&outcome, appended.versions.first().copied().unwrap_or(version)));
                }
                Err(AppendError::Conflict(_)) => {}
                Err(AppendError::Claimed { value, .. }) => {
                    if let Some(claim) = &change.claim {
                        claim.same(&value)?;
                    }
                    return self.get(change.id).await;
                }
                Err(other) => return Err(other.into()),
            }
        }
        Err(Error::Conflict)
    }

    async fn to_append(
        &self,
        outcome: &Outcome,
        id: &CancellationId,
        version: u64,
        actor: &Arc<str>,
        cause: &str,
    ) -> Result<Append, Error> {
        let metadata = metadata(actor.clone(), cause, id.as_str());
        let mut append = Append {
            listings: outcome.listings.clone(),
            timers: outcome.timer.iter().cloned().collect(),
            ..Append::default()
        };
        if !outcome.events.is_empty() {
            append.streams.push(StreamAppend {
                stream: streams::of_case(id),
                expected: Expected::Exactly(version),
                metadata: metadata.clone(),
                at: outcome.at,
                events: outcome.events.clone(),
            });
        }
        if let Some(case) = outcome.state.as_deref().filter(|_| outcome.closes_subject) {
            let stream = streams::of_subject(&case.request.subject);
            let (known, version) = self.folded(&stream).await?;
            // The ledger may have said so before.
            if known.closed.is_none() {
                let (expected, events) = (Expected::Exactly(version), vec![streams::closed(id)]);
                append.streams.push(StreamAppend { stream, expected, metadata, at: outcome.at, events });
            }
        }
        Ok(append)
    }

    async fn made_before(&self, claim: Option<&RequestClaim>) -> Result<Option<CancellationId>, Error> {
        let Some(claim) = claim else { return Ok(None) };
        match self.store.claim(claim.key()).await? {
            Some(value) => Ok(Some(parse(&claim.same(&value)?)?)),
            None => Ok(None),
        }
    }

    pub(crate) async fn load(&self, id: &CancellationId) -> Result<(Box<Case>, u64), Error> {
        let (folded, version) = self.folded(&streams::of_case(id)).await?;
        let case = Arc::unwrap_or_clone(folded).case.ok_or_else(|| Error::NotFound(id.clone()))?;
        Ok((case, version))
    }

    pub(crate) async fn folded(&self, stream: &StreamId) -> Result<(Arc<Folded>, u64), Error> {
        streams::fold_all(&self.store.load(stream).await?).map_err(Error::Unreadable)
    }

    /// What is known of a subject. One that nobody has told of yet is awaited for a moment.
    async fn subject(&self, id: &SubjectId) -> Result<(Subject, u64), Error> {
        let stream = streams::of_subject(id);
        if let Some(found) = self.known(&stream).await? {
            return Ok(found);
        }
        let told = async {
            let mut tail = self.store.tail(self.store.head().await?);
            loop {
                if let Some(found) = self.known(&stream).await? {
                    return Ok(found);
                }
                tail.pass_until(&stream).await?;
            }
        };
        tokio::time::timeout(KNOWN_WAIT, told).await.unwrap_or(Err(Error::SubjectNotFound))
    }

    async fn known(&self, stream: &StreamId) -> Result<Option<(Subject, u64)>, Error> {
        let (folded, version) = self.folded(stream).await?;
        if folded.closed.is_some() {
            return Err(Error::SubjectClosed);
        }
        Ok(folded.subject.clone().map(|subject| (subject, version)))
    }

    async fn check_tokens(&self, tokens: &[String]) -> Result<Vec<Token>, Error> {
        let (folded, _) = self.folded(&streams::of_token_keys()).await?;
        let keys = folded.key_set();
        let check = |token: &String| {
            let claims = VerificationClaims::verify(token, &keys).map_err(Error::TokenInvalid)?;
            Ok(Token {
                id: claims.jti,
                subject: claims.sub,
                cancellation: claims.can,
                expires_at: Timestamp::from_micros(claims.exp.saturating_mul(1_000_000)),
            })
        };
        tokens.iter().map(check).collect()
    }
}

/// The envelope that the events of one command share.
pub(crate) fn metadata(actor: Arc<str>, cause: &str, correlation: &str) -> Arc<Metadata> {
    Arc::new(Metadata {
        tenant: types::TENANT_LOCAL.into(),
        actor,
        causation: cause.into(),
        correlation: correlation.into(),
        traceparent: "".into(),
    })
}

fn viewed(outcome: &Outcome, version: u64) -> pb::Cancellation {
    outcome.state.as_ref().map(|case| wire::view(case, version)).unwrap_or_default()
}

fn parse(reference: &str) -> Result<CancellationId, Error> {
    CancellationId::parse(reference).map_err(|_| Error::Conflict)
}

/// What a page's end says to the next call, and back: `<microseconds>.<stream>`.
pub(crate) fn page_token(last: &(Timestamp, StreamId)) -> String {
    format!("{}.{}", last.0.as_micros(), last.1)
}

pub(crate) fn page_from(token: &str) -> Option<(Timestamp, StreamId)> {
    let (micros, stream) = token.split_once('.')?;
    let id = CancellationId::parse(stream).ok()?;
    Some((Timestamp::from_micros(micros.parse().ok()?), streams::of_case(&id)))
}
