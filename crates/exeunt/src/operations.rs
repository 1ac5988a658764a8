//! What operators need, across every service of this process: records of the log that could not be
//! handled, and publishing again.

mod closures;
mod consumers;
mod republish;
mod wire;

use std::sync::Arc;

use cancellation::CaseOperations;
use event_store::{
    Append, Expected, Metadata, NewEvent, ParkedChange, ParkedKey, ParkedRecord, Store, StreamAppend,
    StreamId,
};
use participant::RequestClaim;
use prost::{Message, Name};
use proto::operations::v1::{
    self as pb,
    operations_service_server::{OperationsService, OperationsServiceServer},
};
use service_kit::{caller, server::Gate};
use sha2::{Digest as _, Sha256};
use tonic::{Request, Response, Status};
use types::{Caller, Clock, Timestamp};

use crate::error::Error;
pub use consumers::Reading;
use wire::{Discard, Key, Listing, PageToken};

/// The stream, in the store concerned, of what was given up.
const DISCARDS: &str = "parked-discards";
/// The stream, in the store concerned, of what was tried again.
const REPLAYS: &str = "parked-replays";
/// How many records of one key are counted.
const KEY_RECORDS_MAX: usize = 100_000;

/// A service's store, and the consumer that parks records in it.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The service's name.
    pub service: Arc<str>,
    /// Its store.
    pub store: Store,
}

impl Stored {
    /// The consumer of a service is its group on the log.
    fn consumer(&self) -> Arc<str> {
        format!("exeunt.{}", self.service).into()
    }
}

/// The operators' API.
#[derive(Clone)]
pub struct Operations {
    stores: Arc<[Stored]>,
    reading: Arc<[Reading]>,
    clock: Arc<dyn Clock>,
    cases: Option<(CaseOperations, Gate)>,
}

impl Operations {
    /// Operates on these stores, tells of these readers of the log and, where this process coordinates,
    /// operates on its cancellations, once the coordinator lets calls in.
    #[must_use]
    pub fn new(
        stores: Vec<Stored>,
        reading: Vec<Reading>,
        clock: Arc<dyn Clock>,
        cases: Option<(CaseOperations, Gate)>,
    ) -> Self {
        Self { stores: stores.into(), reading: reading.into(), clock, cases }
    }

    fn cases(&self) -> Result<&CaseOperations, Status> {
        let (cases, gate) = self.cases.as_ref().ok_or(Error::NotCoordinator)?;
        gate.refusal().map_or(Ok(cases), |refusal| Err(refusal.into()))
    }

    /// To be served.
    #[must_use]
    pub fn grpc(&self) -> OperationsServiceServer<Self> {
        OperationsServiceServer::new(self.clone())
    }

    async fn list(&self, listing: Listing) -> Result<pb::ListParkedResponse, Error> {
        let Listing { stores, mut place, page_size } = listing;
        let mut response = pb::ListParkedResponse::default();
        let mut stores = stores.into_iter().peekable();
        while let Some(stored) = stores.next() {
            let left = page_size - response.records.len();
            let after = place.take();
            let after = after.as_ref().map(|(topic, partition, offset)| (&**topic, *partition, *offset));
            let page = stored.store.parked(None, after, left).await?;
            let last = page.rows.last().map(|row| (row.topic.to_string(), row.partition, row.offset));
            response.records.extend(page.rows.into_iter().map(|row| wire::record(&stored.service, row)));
            if page.more {
                let token = PageToken { service: stored.service.to_string(), after: last };
                response.next_page_token = token.encode();
                break;
            }
            if response.records.len() >= page_size {
                let next =
                    stores.peek().map(|next| PageToken { service: next.service.to_string(), after: None });
                response.next_page_token = next.map(|token| token.encode()).unwrap_or_default();
                break;
            }
        }
        Ok(response)
    }

    async fn replay(
        &self,
        wanted: Key,
        caller: &Caller,
        claim: Option<RequestClaim>,
    ) -> Result<pb::ReplayParkedResponse, Error> {
        let Key { stored, topic, partition, key, reason, request_id: _ } = wanted;
        if let Some(before) = made_before(&stored.store, claim.as_ref()).await? {
            return Ok(pb::ReplayParkedResponse { records: before.parse().unwrap_or_default() });
        }
        let key = ParkedKey { consumer: stored.consumer(), topic, partition, key };
        let records = stored.store.parked_of_key(&key, KEY_RECORDS_MAX).await?.len();
        if records == 0 {
            return Err(Error::NotParked);
        }
        let records = i32::try_from(records).unwrap_or(i32::MAX);
        let now = self.clock.now();
        let told = pb::ParkedReplayed {
            consumer: key.consumer.to_string(),
            topic: key.topic.to_string(),
            partition,
            key: key.key.clone(),
            records: records.unsigned_abs(),
            reason,
            asked_by: caller.name.to_string(),
            asked_at: Some(now.to_proto()),
        };
        let append = Append {
            streams: vec![recorded(REPLAYS, &told, caller, now)],
            parked: vec![ParkedChange::Replay(key)],
            claims: claim.iter().map(|claim| claim.claim(&records.to_string())).collect(),
            ..Append::default()
        };
        stored.store.append(append).await?;
        Ok(pb::ReplayParkedResponse { records })
    }

    /// The record goes, and the record of it comes, in one transaction.
    async fn discard(
        &self,
        wanted: Discard,
        caller: &Caller,
        claim: Option<RequestClaim>,
    ) -> Result<(), Error> {
        let Discard { stored, topic, partition, offset, incarnation, reason, request_id: _ } = wanted;
        if made_before(&stored.store, claim.as_ref()).await?.is_some() {
            return Ok(());
        }
        let consumer = stored.consumer();
        let page = stored.store.parked(Some(&consumer), Some((&topic, partition, offset - 1)), 1).await?;
        let there = |row: &ParkedRecord| {
            row.topic == topic
                && row.partition == partition
                && row.offset == offset
                && incarnation.as_ref().is_none_or(|wanted| **wanted == *row.incarnation)
        };
        let mut rows = page.rows.into_iter().filter(there);
        let row = rows.next().ok_or(Error::NotParked)?;
        if rows.next().is_some() {
            return Err(wire::several_lives().into());
        }
        let mut append = self.discarding(row, reason, caller);
        append.claims.extend(claim.iter().map(|claim| claim.claim("")));
        stored.store.append(append).await?;
        Ok(())
    }

    fn discarding(&self, row: ParkedRecord, reason: String, caller: &Caller) -> Append {
        let now = self.clock.now();
        let told = pb::ParkedDiscarded {
            consumer: row.consumer.to_string(),
            topic: row.topic.to_string(),
            partition: row.partition,
            offset: row.offset,
            incarnation: row.incarnation.to_string(),
            key: row.key.clone(),
            cause: row.cause.to_string(),
            reason,
            discarded_by: caller.name.to_string(),
            discarded_at: Some(now.to_proto()),
        };
        let stream = recorded(DISCARDS, &told, caller, now);
        let key =
            ParkedKey { consumer: row.consumer, topic: row.topic, partition: row.partition, key: row.key };
        let gone = ParkedChange::Remove { key, incarnation: row.incarnation, offset: row.offset };
        Append { streams: vec![stream], parked: vec![gone], ..Append::default() }
    }
}

/// What an operator does is not part of a case: it stands in a stream of its own.
fn recorded<M: Message + Name>(stream: &str, told: &M, caller: &Caller, at: Timestamp) -> StreamAppend {
    let metadata = Metadata {
        tenant: caller.tenant.as_str().into(),
        actor: caller.name.clone(),
        causation: "".into(),
        correlation: "".into(),
        traceparent: "".into(),
    };
    let event = NewEvent {
        id: types::fresh_uuid(),
        kind: M::full_name().into(),
        schema: 1,
        payload: told.encode_to_vec().into(),
    };
    StreamAppend {
        stream: StreamId::new(stream),
        expected: Expected::Any,
        metadata: Arc::new(metadata),
        at,
        events: vec![event],
    }
}

/// What the same request gave before.
async fn made_before(store: &Store, claim: Option<&RequestClaim>) -> Result<Option<String>, Error> {
    let Some(claim) = claim else { return Ok(None) };
    Ok(store.claim(claim.key()).await?.map(|value| claim.same(&value)).transpose()?)
}

/// Nothing that operators say here is personal, so the digest needs no key.
fn digest(method: &str, request: &impl Message) -> [u8; 32] {
    Sha256::new()
        .chain_update(method)
        .chain_update([0])
        .chain_update(request.encode_to_vec())
        .finalize()
        .into()
}

#[tonic::async_trait]
impl OperationsService for Operations {
    async fn list_parked(
        &self,
        request: Request<pb::ListParkedRequest>,
    ) -> Result<Response<pb::ListParkedResponse>, Status> {
        let listing = wire::listing(request.into_inner(), &self.stores).map_err(Error::from)?;
        Ok(Response::new(self.list(listing).await?))
    }

    async fn replay_parked(
        &self,
        request: Request<pb::ReplayParkedRequest>,
    ) -> Result<Response<pb::ReplayParkedResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let digest = digest("ReplayParked", &request);
        let wanted = wire::key(request, &self.stores).map_err(Error::from)?;
        let claim = RequestClaim::new(&caller, &wanted.request_id, digest);
        Ok(Response::new(self.replay(wanted, &caller, claim).await?))
    }

    async fn discard_parked(
        &self,
        request: Request<pb::DiscardParkedRequest>,
    ) -> Result<Response<pb::DiscardParkedResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let digest = digest("DiscardParked", &request);
        let wanted = wire::discard(request, &self.stores).map_err(Error::from)?;
        let claim = RequestClaim::new(&caller, &wanted.request_id, digest);
        self.discard(wanted, &caller, claim).await?;
        Ok(Response::new(pb::DiscardParkedResponse {}))
    }

    async fn list_consumers(
        &self,
        _: Request<pb::ListConsumersRequest>,
    ) -> Result<Response<pb::ListConsumersResponse>, Status> {
        let consumers = self.reading.iter().map(consumers::told).collect();
        Ok(Response::new(pb::ListConsumersResponse { consumers }))
    }

    async fn list_relays(
        &self,
        _: Request<pb::ListRelaysRequest>,
    ) -> Result<Response<pb::ListRelaysResponse>, Status> {
        Ok(Response::new(self.relays().await?))
    }

    async fn list_closures(
        &self,
        _: Request<pb::ListClosuresRequest>,
    ) -> Result<Response<pb::ListClosuresResponse>, Status> {
        Ok(Response::new(self.closures().await?))
    }

    async fn republish(
        &self,
        request: Request<pb::RepublishRequest>,
    ) -> Result<Response<pb::RepublishResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let digest = digest("Republish", &request);
        let wanted = wire::republishing(request, &self.stores).map_err(Error::from)?;
        let claim = RequestClaim::new(&caller, &wanted.request_id, digest);
        Ok(Response::new(self.republish(wanted, &caller, claim).await?))
    }

    async fn list_texts(
        &self,
        request: Request<pb::ListTextsRequest>,
    ) -> Result<Response<pb::ListTextsResponse>, Status> {
        self.cases()?.list_texts(request).await
    }

    async fn list_attention(
        &self,
        request: Request<pb::ListAttentionRequest>,
    ) -> Result<Response<pb::ListAttentionResponse>, Status> {
        self.cases()?.list_attention(request).await
    }

    async fn assign_attention(
        &self,
        request: Request<pb::AssignAttentionRequest>,
    ) -> Result<Response<pb::AssignAttentionResponse>, Status> {
        self.cases()?.assign_attention(request).await
    }

    async fn reassess(
        &self,
        request: Request<pb::ReassessRequest>,
    ) -> Result<Response<pb::ReassessResponse>, Status> {
        self.cases()?.reassess(request).await
    }

    async fn retry_participant(
        &self,
        request: Request<pb::RetryParticipantRequest>,
    ) -> Result<Response<pb::RetryParticipantResponse>, Status> {
        self.cases()?.retry_participant(request).await
    }

    async fn attest(
        &self,
        request: Request<pb::AttestRequest>,
    ) -> Result<Response<pb::AttestResponse>, Status> {
        self.cases()?.attest(request).await
    }

    async fn extend_clock(
        &self,
        request: Request<pb::ExtendClockRequest>,
    ) -> Result<Response<pb::ExtendClockResponse>, Status> {
        self.cases()?.extend_clock(request).await
    }

    async fn record_extension_notice(
        &self,
        request: Request<pb::RecordExtensionNoticeRequest>,
    ) -> Result<Response<pb::RecordExtensionNoticeResponse>, Status> {
        self.cases()?.record_extension_notice(request).await
    }

    async fn start_bulk_retry(
        &self,
        request: Request<pb::StartBulkRetryRequest>,
    ) -> Result<Response<pb::StartBulkRetryResponse>, Status> {
        self.cases()?.start_bulk_retry(request).await
    }

    async fn get_bulk_retry(
        &self,
        request: Request<pb::GetBulkRetryRequest>,
    ) -> Result<Response<pb::GetBulkRetryResponse>, Status> {
        self.cases()?.get_bulk_retry(request).await
    }

    async fn cancel_bulk_retry(
        &self,
        request: Request<pb::CancelBulkRetryRequest>,
    ) -> Result<Response<pb::CancelBulkRetryResponse>, Status> {
        self.cases()?.cancel_bulk_retry(request).await
    }
}

#[cfg(test)]
mod tests;
