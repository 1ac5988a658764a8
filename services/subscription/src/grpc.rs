//! The calls: parse, do, convert.

use std::sync::Arc;

use keys::Secret;
use participant::{Account, AccountError, Accounts, Write};
use prost::Message;
use proto::subscription::v1::{self as pb, subscription_service_server::SubscriptionService as Calls};
use service_kit::caller;
use tonic::{Request, Response, Status};
use types::fresh_uuid;

use crate::{
    domain::{Command, State, SubscriptionId, decide},
    error::Error,
    participant::Subscriptions,
    wire,
};

/// The calls over the accounts.
#[derive(Clone)]
pub struct Api {
    pub(crate) accounts: Accounts<Subscriptions>,
    pub(crate) secret: Arc<Secret>,
}

/// The subscription of that id, as callers see it.
fn shown(account: &Account<State>, id: &str) -> Result<Option<pb::Subscription>, Error> {
    let found = account.state.get(id).ok_or(AccountError::NotFound)?;
    Ok(Some(wire::subscription(found)))
}

impl Api {
    fn digest(&self, method: &str, request: &impl Message) -> [u8; 32] {
        self.secret.hmac(method, &[&request.encode_to_vec()])
    }
}

#[tonic::async_trait]
impl Calls for Api {
    async fn record_subscription(
        &self,
        request: Request<pb::RecordSubscriptionRequest>,
    ) -> Result<Response<pb::RecordSubscriptionResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let digest = self.digest("RecordSubscription", &request);
        let asked = wire::record_subscription(&request).map_err(Error::from)?;
        let id = SubscriptionId::mint(fresh_uuid());
        let write =
            Write { caller: &caller, request_id: &request.request_id, digest, subject: &asked.subject };
        let record = |state: &State, now| {
            let command = Command::Record {
                id: id.clone(),
                subject: asked.subject.clone(),
                terms: Box::new(asked.terms.clone()),
                will_renew: asked.will_renew,
                now,
            };
            Ok((decide(state, command)?, id.to_string()))
        };
        let written = self.accounts.write(write, record).await.map_err(Error::from)?;
        let subscription = shown(&written.account, &written.reference)?;
        Ok(Response::new(pb::RecordSubscriptionResponse { subscription }))
    }

    async fn record_provider_state(
        &self,
        request: Request<pb::RecordProviderStateRequest>,
    ) -> Result<Response<pb::RecordProviderStateResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let digest = self.digest("RecordProviderState", &request);
        let asked = wire::record_provider_state(&request, self.accounts.now()).map_err(Error::from)?;
        let subject = self.accounts.subject_of(asked.id.as_str()).await.map_err(Error::from)?;
        let write = Write { caller: &caller, request_id: &request.request_id, digest, subject: &subject };
        let record = |state: &State, _| {
            let command = Command::RecordProviderState {
                id: asked.id.clone(),
                state: asked.state,
                observed_at: asked.observed_at,
            };
            Ok((decide(state, command)?, asked.id.to_string()))
        };
        let written = self.accounts.write(write, record).await.map_err(Error::from)?;
        let subscription = shown(&written.account, &written.reference)?;
        Ok(Response::new(pb::RecordProviderStateResponse { subscription }))
    }

    async fn renew_subscription(
        &self,
        request: Request<pb::RenewSubscriptionRequest>,
    ) -> Result<Response<pb::RenewSubscriptionResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let digest = self.digest("RenewSubscription", &request);
        let asked = wire::renew_subscription(&request, self.accounts.now()).map_err(Error::from)?;
        let subject = self.accounts.subject_of(asked.id.as_str()).await.map_err(Error::from)?;
        let write = Write { caller: &caller, request_id: &request.request_id, digest, subject: &subject };
        let renew = |state: &State, now| {
            let wire::RenewSubscription { id, period_end, next_charge_at } = asked.clone();
            let reference = id.to_string();
            Ok((decide(state, Command::Renew { id, period_end, next_charge_at, now })?, reference))
        };
        let written = self.accounts.write(write, renew).await.map_err(Error::from)?;
        let subscription = shown(&written.account, &written.reference)?;
        Ok(Response::new(pb::RenewSubscriptionResponse { subscription }))
    }

    async fn get_subscription(
        &self,
        request: Request<pb::GetSubscriptionRequest>,
    ) -> Result<Response<pb::GetSubscriptionResponse>, Status> {
        let id = wire::subscription_id(&request.get_ref().subscription_id).map_err(Error::from)?;
        let subject = self.accounts.subject_of(id.as_str()).await.map_err(Error::from)?;
        let account = self.accounts.get(&subject).await.map_err(Error::from)?;
        Ok(Response::new(pb::GetSubscriptionResponse { subscription: shown(&account, id.as_str())? }))
    }

    async fn list_subscriptions(
        &self,
        request: Request<pb::ListSubscriptionsRequest>,
    ) -> Result<Response<pb::ListSubscriptionsResponse>, Status> {
        let subject = wire::subject_id(&request.get_ref().subject_id).map_err(Error::from)?;
        let account = self.accounts.get(&subject).await.map_err(Error::from)?;
        let subscriptions = account.state.subscriptions.iter().map(wire::subscription).collect();
        Ok(Response::new(pb::ListSubscriptionsResponse { subscriptions }))
    }
}
