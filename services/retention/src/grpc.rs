//! Thin handlers: parse, do, convert.

use std::sync::Arc;

use keys::Secret;
use participant::{Accounts, Write};
use prost::Message as _;
use proto::retention::v1::{
    ListDataSetsRequest, ListDataSetsResponse, RecordDataSetRequest, RecordDataSetResponse,
    retention_service_server::RetentionService,
};
use tonic::{Request, Response, Status};
use types::fresh_uuid;

use crate::{
    Retention,
    domain::{self, Command, DataSetId},
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
        let data_sets = account.state.data_sets.iter();
        let data_sets = data_sets.map(|set| wire::data_set(&subject, set, &ground)).collect();
        Ok(Response::new(ListDataSetsResponse { data_sets }))
    }
}
