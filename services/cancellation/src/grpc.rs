//! Thin handlers: parse, do, convert.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures::{Stream, stream};
use participant::RequestClaim;
use proto::cancellation::v1::{self as pb, cancellation_service_server::CancellationService};
use service_kit::caller;
use tonic::{Request, Response, Status};
use types::{Caller, CancellationId, Timestamp};

use crate::{
    Jwks,
    app::{Cancellations, Change, NewCancellation, page_token},
    case_token::{self, LIFETIME_MAX},
    error::Error,
    streams::{self, Folded},
    watch::Watcher,
    wire::{self, requests},
};

/// The public API.
#[derive(Clone)]
pub struct Api {
    pub(crate) cancellations: Cancellations,
    pub(crate) jwks: Jwks,
}

impl Api {
    fn change<'a>(
        &self,
        caller: &'a Caller,
        method: &str,
        message: &impl prost::Message,
        changed: &'a requests::Changed,
    ) -> Change<'a> {
        let digest = self.cancellations.digest(method, message);
        Change { caller, claim: RequestClaim::new(caller, &changed.request_id, digest), id: &changed.id }
    }

    /// The cancellation that a request names, by its id or by a case token.
    fn named(&self, id: &str, case_token: &str) -> Result<CancellationId, Error> {
        if case_token.is_empty() {
            return Ok(requests::cancellation_id(id)?);
        }
        let now = self.cancellations.shell.clock.now();
        let by_token = case_token::verify(case_token, &self.jwks.sealers(), now).map_err(Error::CaseToken)?;
        Ok(requests::reached(id, by_token)?)
    }

    /// Names it by its id where a case token does: the same request with a newer token is the same request.
    fn name(&self, id: &mut String, case_token: &mut String) -> Result<(), Error> {
        if !case_token.is_empty() {
            *id = self.named(id, &std::mem::take(case_token))?.to_string();
        }
        Ok(())
    }

    fn case_token(&self, id: &CancellationId, lifetime: Duration) -> (String, Timestamp) {
        let shell = &self.cancellations.shell;
        case_token::issue(&shell.receipt_key, id, shell.clock.now(), lifetime)
    }
}

/// What a watcher has been told.
struct Watch {
    cancellations: Cancellations,
    id: CancellationId,
    watcher: Watcher,
    /// The version told last; none yet.
    told: Option<u64>,
    ended: bool,
}

impl Watch {
    /// The next state that differs from the one told; `None` when there will be no more.
    async fn next(&mut self) -> Option<Result<pb::WatchCancellationResponse, Status>> {
        while !self.ended {
            if self.told.is_some() && !self.watcher.changed().await {
                return None;
            }
            let (case, version) = match self.look().await {
                Ok(found) => found,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error.into()));
                }
            };
            if self.told >= Some(version) {
                continue;
            }
            self.told = Some(version);
            let cancellation = case.case.as_ref().map(|case| wire::view(case, version));
            self.ended = cancellation.as_ref().is_none_or(|cancellation| cancellation.ended_at.is_some());
            return Some(Ok(pb::WatchCancellationResponse { cancellation }));
        }
        None
    }

    /// How it stands: as those say who follow the store or, where they cannot, as it says itself.
    async fn look(&mut self) -> Result<(Arc<Folded>, u64), Error> {
        if let Some(found) = self.watcher.state() {
            return Ok(found);
        }
        let (folded, version) = self.cancellations.folded(&streams::of_case(&self.id)).await?;
        if folded.case.is_none() {
            return Err(Error::NotFound(self.id.clone()));
        }
        self.watcher.learn(&folded, version);
        Ok((folded, version))
    }
}

#[tonic::async_trait]
impl CancellationService for Api {
    async fn request_cancellation(
        &self,
        request: Request<pb::RequestCancellationRequest>,
    ) -> Result<Response<pb::RequestCancellationResponse>, Status> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        let cancellations = &self.cancellations;
        let read = requests::request(&message, cancellations.shell.clock.now(), |scope| {
            cancellations.roster.select(scope).is_some()
        })?;
        let new = NewCancellation {
            digest: cancellations.digest("RequestCancellation", &message),
            request_id: read.request_id,
            subject: read.subject,
            scope: read.scope,
            channel: read.channel,
            reason: read.reason,
            intent: read.intent,
        };
        let cancellation = Some(cancellations.request(&caller, new).await?);
        Ok(Response::new(pb::RequestCancellationResponse { cancellation }))
    }

    async fn get_cancellation(
        &self,
        request: Request<pb::GetCancellationRequest>,
    ) -> Result<Response<pb::GetCancellationResponse>, Status> {
        let message = request.into_inner();
        let id = self.named(&message.cancellation_id, &message.case_token)?;
        let cancellation = Some(self.cancellations.get(&id).await?);
        Ok(Response::new(pb::GetCancellationResponse { cancellation }))
    }

    async fn list_cancellations(
        &self,
        request: Request<pb::ListCancellationsRequest>,
    ) -> Result<Response<pb::ListCancellationsResponse>, Status> {
        let query = requests::list(&request.into_inner())?;
        let (cancellations, last) = self.cancellations.list(query).await?;
        let next_page_token = last.as_ref().map(page_token).unwrap_or_default();
        Ok(Response::new(pb::ListCancellationsResponse { cancellations, next_page_token }))
    }

    type WatchCancellationStream =
        Pin<Box<dyn Stream<Item = Result<pb::WatchCancellationResponse, Status>> + Send>>;

    async fn watch_cancellation(
        &self,
        request: Request<pb::WatchCancellationRequest>,
    ) -> Result<Response<Self::WatchCancellationStream>, Status> {
        let message = request.into_inner();
        let id = self.named(&message.cancellation_id, &message.case_token)?;
        let watcher = self.cancellations.watchers.subscribe(streams::of_case(&id));
        let cancellations = self.cancellations.clone();
        let mut watch = Watch { cancellations, id, watcher, told: None, ended: false };
        // An unknown one is refused at once, not within the stream.
        watch.look().await?;
        let stream =
            stream::unfold(watch, |mut watch| async move { watch.next().await.map(|next| (next, watch)) });
        Ok(Response::new(Box::pin(stream)))
    }

    async fn reassess(
        &self,
        request: Request<pb::ReassessRequest>,
    ) -> Result<Response<pb::ReassessResponse>, Status> {
        let caller = caller(&request)?;
        let mut message = request.into_inner();
        self.name(&mut message.cancellation_id, &mut message.case_token)?;
        let changed = requests::reassess(&message)?;
        let change = self.change(&caller, "Reassess", &message, &changed);
        let cancellation = Some(self.cancellations.reassess(change).await?);
        Ok(Response::new(pb::ReassessResponse { cancellation }))
    }

    async fn confirm_cancellation(
        &self,
        request: Request<pb::ConfirmCancellationRequest>,
    ) -> Result<Response<pb::ConfirmCancellationResponse>, Status> {
        let caller = caller(&request)?;
        let mut message = request.into_inner();
        self.name(&mut message.cancellation_id, &mut message.case_token)?;
        let (changed, digest) = requests::confirm(&message)?;
        let change = self.change(&caller, "ConfirmCancellation", &message, &changed);
        let tokens = &message.verification_tokens;
        let cancellation = self.cancellations.confirm(change, digest, tokens).await?;
        let until = cancellation.cooling_off_until.as_ref().and_then(Timestamp::from_proto);
        let now = self.cancellations.shell.clock.now();
        // It reaches as far as there is a way back, and as long after it as an answer may take.
        let token = until.map(|until| self.case_token(&changed.id, until.since(now) + LIFETIME_MAX).0);
        let case_token = token.unwrap_or_default();
        let cancellation = Some(cancellation);
        Ok(Response::new(pb::ConfirmCancellationResponse { cancellation, case_token }))
    }

    async fn revoke_cancellation(
        &self,
        request: Request<pb::RevokeCancellationRequest>,
    ) -> Result<Response<pb::RevokeCancellationResponse>, Status> {
        let caller = caller(&request)?;
        let mut message = request.into_inner();
        self.name(&mut message.cancellation_id, &mut message.case_token)?;
        let (changed, reason) = requests::revoke(&message)?;
        let change = self.change(&caller, "RevokeCancellation", &message, &changed);
        let cancellation = Some(self.cancellations.revoke(change, reason).await?);
        Ok(Response::new(pb::RevokeCancellationResponse { cancellation }))
    }

    async fn get_receipt(
        &self,
        request: Request<pb::GetReceiptRequest>,
    ) -> Result<Response<pb::GetReceiptResponse>, Status> {
        let message = request.into_inner();
        let id = self.named(&message.cancellation_id, &message.case_token)?;
        Ok(Response::new(self.cancellations.receipt(&id, message.version).await?))
    }

    async fn issue_case_token(
        &self,
        request: Request<pb::IssueCaseTokenRequest>,
    ) -> Result<Response<pb::IssueCaseTokenResponse>, Status> {
        let mut message = request.into_inner();
        self.name(&mut message.cancellation_id, &mut message.case_token)?;
        let (id, lifetime) = requests::lifetime(&message)?;
        self.cancellations.get(&id).await?;
        let (case_token, expires_at) = self.case_token(&id, lifetime);
        let expires_at = Some(expires_at.to_proto());
        Ok(Response::new(pb::IssueCaseTokenResponse { case_token, expires_at }))
    }

    async fn get_keys(
        &self,
        _: Request<pb::GetKeysRequest>,
    ) -> Result<Response<pb::GetKeysResponse>, Status> {
        Ok(Response::new(pb::GetKeysResponse { jwks_json: self.jwks.json() }))
    }
}
