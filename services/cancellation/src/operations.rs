//! The coordinator's part of the operators' API: what waits for a person, and what they do about it.

use std::sync::Arc;

use event_store::ListQuery;
use participant::RequestClaim;
use proto::{
    cancellation::v1::{self as can, Cancellation},
    operations::v1 as pb,
};
use service_kit::{BadRequest, Violations, caller};
use tonic::{Request, Response, Status};
use types::{Caller, CancellationId, ParticipantName, Timestamp};

use crate::{
    app::{Cancellations, Change, page_from, page_token},
    domain::{
        Action, Operation,
        bulk::{Bulk, Filter},
    },
    error::Error,
    wire::{self, ATTENTION, OPEN},
};

const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: i32 = 1_000;
/// How many cancellations are looked at for one page, at the most.
const LOOKED_AT_MAX: usize = 2_000;
const OWNER_LENGTH_MAX: usize = 64;
const REASON_LENGTH_MAX: usize = 500;
const EVIDENCE_LENGTH_MAX: usize = 200;
const BULK_REASON_LENGTH_MAX: usize = 400;
const BULK_PER_MINUTE_MAX: u32 = 6_000;

/// What operators can ask of the coordinator.
#[derive(Clone)]
pub struct CaseOperations(pub(crate) Cancellations);

/// What an operator wants done, read.
struct Wanted {
    request_id: String,
    id: CancellationId,
    action: Action,
    reason: String,
}

impl CaseOperations {
    /// What people wrote about a cancellation.
    ///
    /// # Errors
    /// [`Status`], as for every call here.
    pub async fn list_texts(
        &self,
        request: Request<pb::ListTextsRequest>,
    ) -> Result<Response<pb::ListTextsResponse>, Status> {
        let mut v = Violations::new();
        let id = v.cancellation_id("cancellation_id", &request.into_inner().cancellation_id);
        let id = v.finish(|| id).map_err(Error::from)?;
        Ok(Response::new(pb::ListTextsResponse { texts: self.0.texts(&id).await? }))
    }

    /// What waits for a person, by pages.
    ///
    /// # Errors
    /// [`Status`], as for every call here.
    pub async fn list_attention(
        &self,
        request: Request<pb::ListAttentionRequest>,
    ) -> Result<Response<pb::ListAttentionResponse>, Status> {
        let (filter, mut query, size) = listing(&request.into_inner()).map_err(Error::from)?;
        let mut response = pb::ListAttentionResponse::default();
        let mut looked_at = 0;
        loop {
            query.limit = (size - response.waiting.len()).clamp(1, PAGE_DEFAULT);
            let page = self.0.store.list(&query).await.map_err(Error::from)?;
            let found = self.0.cases(&page.rows).await?;
            for case in found {
                let wanted = case.attention.iter().filter(|told| filter.takes(told));
                response.waiting.extend(wanted.map(|told| pb::WaitingForAttention {
                    cancellation_id: case.request.id.to_string(),
                    subject_id: case.request.subject.to_string(),
                    state: wire::state_of(case.phase).into(),
                    attention: Some(wire::attention(&case, told)),
                }));
            }
            looked_at += page.rows.len();
            query.after = page.rows.last().map(|row| (row.since, row.stream.clone()));
            if !page.more {
                return Ok(Response::new(response));
            }
            if response.waiting.len() >= size || looked_at >= LOOKED_AT_MAX {
                response.next_page_token = query.after.as_ref().map(page_token).unwrap_or_default();
                return Ok(Response::new(response));
            }
        }
    }

    /// Says whose something is.
    ///
    /// # Errors
    /// [`Status`].
    pub async fn assign_attention(
        &self,
        request: Request<pb::AssignAttentionRequest>,
    ) -> Result<Response<pb::AssignAttentionResponse>, Status> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        let wanted = assigning(&message).map_err(Error::from)?;
        let cancellation = Some(self.operate(&caller, ("AssignAttention", &message), wanted).await?);
        Ok(Response::new(pb::AssignAttentionResponse { cancellation }))
    }

    /// Asks everybody again.
    ///
    /// # Errors
    /// [`Status`].
    pub async fn reassess(
        &self,
        request: Request<pb::ReassessRequest>,
    ) -> Result<Response<pb::ReassessResponse>, Status> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        let pb::ReassessRequest { request_id, cancellation_id, reason } = &message;
        let wanted = wanted((request_id, cancellation_id, reason), |_| Some(Action::Reassess));
        let wanted = wanted.map_err(Error::from)?;
        let cancellation = Some(self.operate(&caller, ("operations.Reassess", &message), wanted).await?);
        Ok(Response::new(pb::ReassessResponse { cancellation }))
    }

    /// Has one participant execute once more.
    ///
    /// # Errors
    /// [`Status`].
    pub async fn retry_participant(
        &self,
        request: Request<pb::RetryParticipantRequest>,
    ) -> Result<Response<pb::RetryParticipantResponse>, Status> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        let pb::RetryParticipantRequest { request_id, cancellation_id, participant, reason } = &message;
        let wanted = wanted((request_id, cancellation_id, reason), |v| {
            Some(Action::Retry { participant: named(v, participant)? })
        });
        let wanted = wanted.map_err(Error::from)?;
        let cancellation = Some(self.operate(&caller, ("RetryParticipant", &message), wanted).await?);
        Ok(Response::new(pb::RetryParticipantResponse { cancellation }))
    }

    /// Says that a participant's work was done outside.
    ///
    /// # Errors
    /// [`Status`].
    pub async fn attest(
        &self,
        request: Request<pb::AttestRequest>,
    ) -> Result<Response<pb::AttestResponse>, Status> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        let pb::AttestRequest { request_id, cancellation_id, participant, evidence, reason } = &message;
        let wanted = wanted((request_id, cancellation_id, reason), |v| {
            let (participant, evidence) =
                (named(v, participant), v.text("evidence", evidence, EVIDENCE_LENGTH_MAX));
            Some(Action::Attest { participant: participant?, evidence: evidence? })
        });
        let wanted = wanted.map_err(Error::from)?;
        let cancellation = Some(self.operate(&caller, ("Attest", &message), wanted).await?);
        Ok(Response::new(pb::AttestResponse { cancellation }))
    }

    /// Has the clock of the whole run longer.
    ///
    /// # Errors
    /// [`Status`].
    pub async fn extend_clock(
        &self,
        request: Request<pb::ExtendClockRequest>,
    ) -> Result<Response<pb::ExtendClockResponse>, Status> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        let pb::ExtendClockRequest { request_id, cancellation_id, reason } = &message;
        let wanted = wanted((request_id, cancellation_id, reason), |_| Some(Action::Extend));
        let wanted = wanted.map_err(Error::from)?;
        let cancellation = Some(self.operate(&caller, ("ExtendClock", &message), wanted).await?);
        Ok(Response::new(pb::ExtendClockResponse { cancellation }))
    }

    /// Says that the subject was told of that.
    ///
    /// # Errors
    /// [`Status`].
    pub async fn record_extension_notice(
        &self,
        request: Request<pb::RecordExtensionNoticeRequest>,
    ) -> Result<Response<pb::RecordExtensionNoticeResponse>, Status> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        let pb::RecordExtensionNoticeRequest { request_id, cancellation_id, told_at, reason } = &message;
        let now = self.0.shell.clock.now();
        let wanted = wanted((request_id, cancellation_id, reason), |v| {
            Some(Action::Notice { told_at: v.past("told_at", told_at.as_ref(), now)? })
        });
        let wanted = wanted.map_err(Error::from)?;
        let cancellation = Some(self.operate(&caller, ("RecordExtensionNotice", &message), wanted).await?);
        Ok(Response::new(pb::RecordExtensionNoticeResponse { cancellation }))
    }

    /// Begins a bulk retry.
    ///
    /// # Errors
    /// [`Status`].
    pub async fn start_bulk_retry(
        &self,
        request: Request<pb::StartBulkRetryRequest>,
    ) -> Result<Response<pb::StartBulkRetryResponse>, Status> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        let digest = self.0.digest("StartBulkRetry", &message);
        let at = self.0.shell.clock.now();
        let (request_id, bulk) = starting(&message, &caller, at).map_err(Error::from)?;
        let claim = RequestClaim::new(&caller, &request_id, digest);
        let (id, bulk) = self.0.start_bulk(&caller, claim, bulk).await?;
        Ok(Response::new(pb::StartBulkRetryResponse { bulk_retry: Some(wire::bulk::view(&id, &bulk)) }))
    }

    /// How a bulk retry stands.
    ///
    /// # Errors
    /// [`Status`].
    pub async fn get_bulk_retry(
        &self,
        request: Request<pb::GetBulkRetryRequest>,
    ) -> Result<Response<pb::GetBulkRetryResponse>, Status> {
        let id = bulk_id(&request.into_inner().bulk_id).map_err(Error::from)?;
        let (id, bulk, _) = self.0.bulk(id).await?;
        Ok(Response::new(pb::GetBulkRetryResponse { bulk_retry: Some(wire::bulk::view(&id, &bulk)) }))
    }

    /// Stops a bulk retry.
    ///
    /// # Errors
    /// [`Status`].
    pub async fn cancel_bulk_retry(
        &self,
        request: Request<pb::CancelBulkRetryRequest>,
    ) -> Result<Response<pb::CancelBulkRetryResponse>, Status> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        let mut v = Violations::new();
        let reason = v.text("reason", &message.reason, REASON_LENGTH_MAX);
        let reason = v.finish(|| reason).map_err(Error::from)?;
        let id = bulk_id(&message.bulk_id).map_err(Error::from)?;
        let (id, bulk) = self.0.cancel_bulk(&caller, id, &reason).await?;
        Ok(Response::new(pb::CancelBulkRetryResponse { bulk_retry: Some(wire::bulk::view(&id, &bulk)) }))
    }

    async fn operate(
        &self,
        caller: &Caller,
        (method, message): (&str, &impl prost::Message),
        wanted: Wanted,
    ) -> Result<Cancellation, Error> {
        let Wanted { request_id, id, action, reason } = wanted;
        let digest = self.0.digest(method, message);
        let reason = self.0.seal_words(&id, reason).await?;
        let change = Change { caller, claim: RequestClaim::new(caller, &request_id, digest), id: &id };
        let operation =
            |at| Operation { action: action.clone(), actor: caller.name.clone(), reason: reason.clone(), at };
        self.0.operate(change, operation).await
    }
}

fn listing(message: &pb::ListAttentionRequest) -> Result<(Filter, ListQuery, usize), BadRequest> {
    let mut v = Violations::new();
    let pb::ListAttentionRequest { owner, causes, participant, due_before, .. } = message.clone();
    let filter = filter(&mut v, &pb::AttentionFilter { owner, causes, participant, due_before });
    let size = v.within_range("page_size", message.page_size, 0..=PAGE_MAX);
    let after = page_from(&message.page_token);
    let token_holds = message.page_token.is_empty() || after.is_some();
    v.check(token_holds, "page_token", "must come from the response before");
    v.finish(|| {
        let size = match usize::try_from(size?) {
            Ok(0) | Err(_) => PAGE_DEFAULT,
            Ok(size) => size,
        };
        let query = ListQuery {
            list: ATTENTION.into(),
            owner: None,
            states: vec![OPEN.into()],
            after,
            limit: PAGE_DEFAULT,
        };
        Some((filter?, query, size))
    })
}

fn filter(v: &mut Violations, message: &pb::AttentionFilter) -> Option<Filter> {
    let owner = v.optional_text("owner", &message.owner, OWNER_LENGTH_MAX);
    let causes = v.each("causes", &message.causes, PAGE_DEFAULT, |v, cause| {
        let cause: Option<can::AttentionCause> = v.enumeration("", *cause);
        cause.and_then(wire::cause_from)
    });
    let participant = match message.participant.as_str() {
        "" => Some(None),
        name => named(v, name).map(Some),
    };
    let due_before = v.optional_timestamp("due_before", message.due_before.as_ref());
    Some(Filter {
        owner: owner?.map(Arc::from),
        causes: causes?,
        participant: participant?,
        due_before: due_before?,
    })
}

fn assigning(message: &pb::AssignAttentionRequest) -> Result<Wanted, BadRequest> {
    let pb::AssignAttentionRequest { request_id, cancellation_id, cause, participant, owner, due_at, reason } =
        message;
    wanted((request_id, cancellation_id, reason), |v| {
        let cause: Option<can::AttentionCause> = v.enumeration("cause", *cause);
        let cause = cause.and_then(wire::cause_from);
        let participant = match participant.as_str() {
            "" => Some(None),
            name => named(v, name).map(Some),
        };
        let owner = v.text("owner", owner, OWNER_LENGTH_MAX);
        let due = v.timestamp("due_at", due_at.as_ref());
        let (cause, participant, owner) = (cause?, participant?, Arc::from(owner?));
        Some(Action::Assign { cause, participant, owner, due: due? })
    })
}

fn starting(
    message: &pb::StartBulkRetryRequest,
    caller: &Caller,
    at: Timestamp,
) -> Result<(String, Bulk), BadRequest> {
    let mut v = Violations::new();
    let request_id = v.optional_request_id("request_id", &message.request_id);
    let given = message.filter.clone().unwrap_or_default();
    let filter = v.within("filter", |v| filter(v, &given));
    let per_minute = v.within_range(
        "per_participant_per_minute",
        message.per_participant_per_minute,
        1..=BULK_PER_MINUTE_MAX,
    );
    let reason = v.text("reason", &message.reason, BULK_REASON_LENGTH_MAX);
    v.finish(|| {
        let bulk = Bulk {
            filter: filter?,
            per_minute: per_minute?,
            actor: caller.name.clone(),
            reason: reason?,
            started_at: at,
            after: None,
            retried: 0,
            skipped: 0,
            ended: None,
        };
        Some((request_id?.unwrap_or_default(), bulk))
    })
}

fn bulk_id(text: &str) -> Result<String, BadRequest> {
    let mut v = Violations::new();
    v.check(types::is_opaque_id(text), "bulk_id", "must be that of StartBulkRetry");
    v.finish(|| Some(text.to_owned()))
}

fn wanted(
    (request_id, id, reason): (&str, &str, &str),
    action: impl FnOnce(&mut Violations) -> Option<Action>,
) -> Result<Wanted, BadRequest> {
    let mut v = Violations::new();
    let request_id = v.optional_request_id("request_id", request_id);
    let id = v.cancellation_id("cancellation_id", id);
    let action = action(&mut v);
    let reason = v.text("reason", reason, REASON_LENGTH_MAX);
    v.finish(|| {
        Some(Wanted {
            request_id: request_id?.unwrap_or_default(),
            id: id?,
            action: action?,
            reason: reason?,
        })
    })
}

fn named(v: &mut Violations, text: &str) -> Option<ParticipantName> {
    let name = ParticipantName::parse(text).ok();
    v.check(name.is_some(), "participant", "must be a participant's name");
    name
}
