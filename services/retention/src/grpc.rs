//! Thin handlers: parse, do, convert.

use std::sync::Arc;

use keys::Secret;
use participant::{Account, AccountError, Accounts, Write, Written};
use prost::Message as _;
use proto::retention::v1::{
    Hold, ListDataSetsRequest, ListDataSetsResponse, ListHoldsRequest, ListHoldsResponse, PlaceHoldRequest,
    PlaceHoldResponse, RecordDataSetRequest, RecordDataSetResponse, ReleaseHoldRequest, ReleaseHoldResponse,
    ReportDeviceCleanUpRequest, ReportDeviceCleanUpResponse, retention_service_server::RetentionService,
};
use tonic::{Request, Response, Status};
use types::fresh_uuid;

use crate::{
    Retention,
    domain::{self, CleanUp, Command, DataSetId, HoldId},
    error::Error,
    wire,
};

/// The service's gRPC side.
#[derive(Clone)]
pub struct Api {
    accounts: Accounts<Retention>,
    secret: Arc<Secret>,
}

impl Api {
    pub(crate) fn new(accounts: Accounts<Retention>, secret: Arc<Secret>) -> Self {
        Self { accounts, secret }
    }
}

#[tonic::async_trait]
impl RetentionService for Api {
    async fn record_data_set(
        &self,
        request: Request<RecordDataSetRequest>,
    ) -> Result<Response<RecordDataSetResponse>, Status> {
        let caller = service_kit::caller(&request)?;
        let request = request.into_inner();
        let read = wire::record_data_set(&request, self.accounts.now()).map_err(Error::from)?;
        let new = read.with_id(DataSetId::mint(fresh_uuid()));
        let write = Write {
            caller: &caller,
            request_id: &read.request_id,
            digest: self.secret.hmac("RecordDataSet", &[&request.encode_to_vec()]),
            subject: &read.subject,
        };
        let record = |state: &domain::State, _| {
            let events = domain::decide(state, Command::Record(new.clone()))?;
            Ok((events, new.id.to_string()))
        };
        let written = self.accounts.write(write, record).await.map_err(Error::from)?;
        let id = DataSetId::parse(&written.reference).ok();
        let set = id.and_then(|id| written.account.state.find(&id));
        let data_set = set.map(|set| wire::data_set(&read.subject, set, ""));
        Ok(Response::new(RecordDataSetResponse { data_set }))
    }

    async fn list_data_sets(
        &self,
        request: Request<ListDataSetsRequest>,
    ) -> Result<Response<ListDataSetsResponse>, Status> {
        let (subject, ground) = wire::list_data_sets(request.get_ref()).map_err(Error::from)?;
        let account = self.accounts.get(&subject).await.map_err(Error::from)?;
        let data_sets = wire::data_sets(&subject, &account.state, &ground);
        Ok(Response::new(ListDataSetsResponse { data_sets }))
    }

    async fn place_hold(
        &self,
        request: Request<PlaceHoldRequest>,
    ) -> Result<Response<PlaceHoldResponse>, Status> {
        let caller = service_kit::caller(&request)?;
        let request = request.into_inner();
        let read = wire::place_hold(&request, &caller.name).map_err(Error::from)?;
        let id = HoldId::mint(fresh_uuid());
        let write = Write {
            caller: &caller,
            request_id: &read.request_id,
            digest: self.secret.hmac("PlaceHold", &[&request.encode_to_vec()]),
            subject: &read.subject,
        };
        let place = |account: &Account<domain::State>, now| {
            let new = read.with_id(id.clone(), now);
            Ok((domain::decide(&account.state, Command::PlaceHold(new))?, id.to_string()))
        };
        let written = self.accounts.order(write, place).await.map_err(Error::from)?;
        Ok(Response::new(PlaceHoldResponse { hold: hold_of(&written) }))
    }

    async fn release_hold(
        &self,
        request: Request<ReleaseHoldRequest>,
    ) -> Result<Response<ReleaseHoldResponse>, Status> {
        let caller = service_kit::caller(&request)?;
        let request = request.into_inner();
        let read = wire::release_hold(&request, &caller.name).map_err(Error::from)?;
        let subject = self.accounts.subject_of(read.hold.as_str()).await.map_err(Error::from)?;
        let write = Write {
            caller: &caller,
            request_id: &read.request_id,
            digest: self.secret.hmac("ReleaseHold", &[&request.encode_to_vec()]),
            subject: &subject,
        };
        let release = |account: &Account<domain::State>, now| {
            let command = Command::ReleaseHold { id: read.hold.clone(), release: read.at(now) };
            Ok((domain::decide(&account.state, command)?, read.hold.to_string()))
        };
        let written = self.accounts.order(write, release).await.map_err(Error::from)?;
        // The id of a data set finds its subject, too, but no hold.
        let hold = hold_of(&written).ok_or(AccountError::NotFound).map_err(Error::from)?;
        Ok(Response::new(ReleaseHoldResponse { hold: Some(hold) }))
    }

    async fn report_device_clean_up(
        &self,
        request: Request<ReportDeviceCleanUpRequest>,
    ) -> Result<Response<ReportDeviceCleanUpResponse>, Status> {
        let caller = service_kit::caller(&request)?;
        let request = request.into_inner();
        let (request_id, id, client) = wire::report_device_clean_up(&request).map_err(Error::from)?;
        let subject = self.accounts.subject_of(id.as_str()).await.map_err(Error::from)?;
        let write = Write {
            caller: &caller,
            request_id: &request_id,
            digest: self.secret.hmac("ReportDeviceCleanUp", &[&request.encode_to_vec()]),
            subject: &subject,
        };
        let report = |account: &Account<domain::State>, at| {
            let done = CleanUp { client: client.clone(), at };
            let command = Command::CleanUp { id: id.clone(), done };
            Ok((domain::decide(&account.state, command)?, id.to_string()))
        };
        let written = self.accounts.order(write, report).await.map_err(Error::from)?;
        let data_set = written.account.state.find(&id).map(|set| wire::data_set(&subject, set, ""));
        Ok(Response::new(ReportDeviceCleanUpResponse { data_set }))
    }

    async fn list_holds(
        &self,
        request: Request<ListHoldsRequest>,
    ) -> Result<Response<ListHoldsResponse>, Status> {
        let subject = wire::list_holds(request.get_ref()).map_err(Error::from)?;
        let account = self.accounts.get(&subject).await.map_err(Error::from)?;
        let holds = account.state.holds.iter().map(|hold| wire::hold(&hold.placed, hold.end.as_ref()));
        Ok(Response::new(ListHoldsResponse { holds: holds.collect() }))
    }
}

/// The hold that a write placed or released.
fn hold_of(written: &Written<domain::State>) -> Option<Hold> {
    let id = HoldId::parse(&written.reference).ok()?;
    let hold = written.account.state.hold(&id)?;
    Some(wire::hold(&hold.placed, hold.end.as_ref()))
}
