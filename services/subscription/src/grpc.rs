//! The calls: parse, do, convert.

use std::sync::Arc;

use keys::Secret;
use participant::{Account, AccountError, Accounts, Write};
use policy::Packs;
use prost::Message;
use proto::subscription::v1::{self as pb, subscription_service_server::SubscriptionService as Calls};
use service_kit::caller;
use tonic::{Request, Response, Status};
use types::{Caller, Timestamp, fresh_uuid};

use crate::{
    domain::{Approval, Command, Consequent, Decided, Decision, RefundId, State, SubscriptionId, decide},
    error::Error,
    participant::Subscriptions,
    review::{self, Dates},
    settlement, wire, work_list,
};

/// The calls over the accounts.
#[derive(Clone)]
pub struct Api {
    pub(crate) accounts: Accounts<Subscriptions>,
    pub(crate) secret: Arc<Secret>,
    pub(crate) packs: Arc<Packs>,
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

    /// By when a refund is decided on and paid for that subject.
    fn dates(&self, account: &Account<State>, now: Timestamp) -> Dates {
        let region = account.known.as_ref().map_or("", |(region, _)| region.as_str());
        review::dates(&self.packs, region, now)
    }

    /// What is done to a refund, also when the account is closed: money is never lost with it.
    async fn to_refund(
        &self,
        (caller, request_id, digest): (&Caller, &str, [u8; 32]),
        id: &RefundId,
        command: impl Fn(&Account<State>, Timestamp) -> Command + Send + Sync,
    ) -> Result<Option<pb::Refund>, Error> {
        let subject = self.accounts.subject_of(id.as_str()).await?;
        let write = Write { caller, request_id, digest, subject: &subject };
        let decided = |account: &Account<State>, now| {
            let mut events = decide(&account.state, command(account, now))?;
            events.extend(settlement::after_the_end(&self.packs, account, &events, now));
            Ok((events, id.to_string()))
        };
        let written = self.accounts.order(write, decided).await?;
        refund(&written.account, &written.reference)
    }
}

/// The refund of that id, as callers see it.
fn refund(account: &Account<State>, id: &str) -> Result<Option<pb::Refund>, Error> {
    let state = &account.state;
    let found = state.refunds.iter().find(|it| it.id.as_str() == id).map(|it| wire::refund(it, state));
    let erased = || state.erased_refunds.iter().find(|it| it.id.as_str() == id);
    let told = found.or_else(|| erased().map(|it| wire::erased_refund(it, state)));
    Ok(Some(told.ok_or(AccountError::NotFound)?))
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

    async fn pause_subscription(
        &self,
        request: Request<pb::PauseSubscriptionRequest>,
    ) -> Result<Response<pb::PauseSubscriptionResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let digest = self.digest("PauseSubscription", &request);
        let asked = wire::pause_subscription(&request).map_err(Error::from)?;
        let subject = self.accounts.subject_of(asked.id.as_str()).await.map_err(Error::from)?;
        let write = Write { caller: &caller, request_id: &request.request_id, digest, subject: &subject };
        let pause = |state: &State, now| {
            let wire::PauseSubscription { id, until } = asked.clone();
            let reference = id.to_string();
            Ok((decide(state, Command::Pause { id, until, now })?, reference))
        };
        let written = self.accounts.write(write, pause).await.map_err(Error::from)?;
        let subscription = shown(&written.account, &written.reference)?;
        Ok(Response::new(pb::PauseSubscriptionResponse { subscription }))
    }

    async fn downgrade_subscription(
        &self,
        request: Request<pb::DowngradeSubscriptionRequest>,
    ) -> Result<Response<pb::DowngradeSubscriptionResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let digest = self.digest("DowngradeSubscription", &request);
        let asked = wire::downgrade_subscription(&request).map_err(Error::from)?;
        let subject = self.accounts.subject_of(asked.id.as_str()).await.map_err(Error::from)?;
        let write = Write { caller: &caller, request_id: &request.request_id, digest, subject: &subject };
        let downgrade = |state: &State, now| {
            let wire::DowngradeSubscription { id, withdraw } = asked.clone();
            let reference = id.to_string();
            Ok((decide(state, Command::Downgrade { id, withdraw, now })?, reference))
        };
        let written = self.accounts.write(write, downgrade).await.map_err(Error::from)?;
        let subscription = shown(&written.account, &written.reference)?;
        Ok(Response::new(pb::DowngradeSubscriptionResponse { subscription }))
    }

    async fn record_charge(
        &self,
        request: Request<pb::RecordChargeRequest>,
    ) -> Result<Response<pb::RecordChargeResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let digest = self.digest("RecordCharge", &request);
        let charge = wire::record_charge(&request, self.accounts.now()).map_err(Error::from)?;
        let subject = self.accounts.subject_of(charge.subscription.as_str()).await.map_err(Error::from)?;
        let refund = RefundId::mint(fresh_uuid());
        let write = Write { caller: &caller, request_id: &request.request_id, digest, subject: &subject };
        let record = |account: &Account<State>, now| {
            let Dates { review_until, pay_by } = self.dates(account, now);
            let then = Consequent { refund: refund.clone(), pay_by, review_until, now };
            let command = Command::RecordCharge { charge: charge.clone(), then };
            Ok((decide(&account.state, command)?, charge.subscription.to_string()))
        };
        let written = self.accounts.order(write, record).await.map_err(Error::from)?;
        let state = &written.account.state;
        Ok(Response::new(wire::recorded_charge(state, &charge.subscription, &charge.reference)))
    }

    async fn apply_for_refund(
        &self,
        request: Request<pb::ApplyForRefundRequest>,
    ) -> Result<Response<pb::ApplyForRefundResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let digest = self.digest("ApplyForRefund", &request);
        let asked = wire::apply_for_refund(&request).map_err(Error::from)?;
        let subject = self.accounts.subject_of(asked.subscription.as_str()).await.map_err(Error::from)?;
        let account = self.accounts.get(&subject).await.map_err(Error::from)?;
        let id = RefundId::mint(fresh_uuid());
        let write = Write { caller: &caller, request_id: &request.request_id, digest, subject: &subject };
        let apply = |state: &State, now| {
            let wire::ApplyForRefund { subscription, reason } = asked.clone();
            let review_until = self.dates(&account, now).review_until;
            let command = Command::ApplyForRefund { id: id.clone(), subscription, reason, now, review_until };
            Ok((decide(state, command)?, id.to_string()))
        };
        let written = self.accounts.write(write, apply).await.map_err(Error::from)?;
        let refund = refund(&written.account, &written.reference)?;
        Ok(Response::new(pb::ApplyForRefundResponse { refund }))
    }

    async fn decide_refund(
        &self,
        request: Request<pb::DecideRefundRequest>,
    ) -> Result<Response<pb::DecideRefundResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let digest = self.digest("DecideRefund", &request);
        let asked = wire::decide_refund(&request).map_err(Error::from)?;
        let command = |account: &Account<State>, now| {
            let wire::DecideRefund { id, verdict, actor } = asked.clone();
            let decision = match verdict {
                wire::Verdict::Approved(amount, destination) => {
                    let pay_by = self.dates(account, now).pay_by;
                    Decision::Approve(Approval { amount, destination, pay_by })
                }
                wire::Verdict::Refused(refusal) => Decision::Refuse(refusal),
            };
            Command::DecideRefund { id, decision, decided: Decided { by: actor, at: now } }
        };
        let asks = (&caller, request.request_id.as_str(), digest);
        let refund = self.to_refund(asks, &asked.id, command).await?;
        Ok(Response::new(pb::DecideRefundResponse { refund }))
    }

    async fn record_refund_paid(
        &self,
        request: Request<pb::RecordRefundPaidRequest>,
    ) -> Result<Response<pb::RecordRefundPaidResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let digest = self.digest("RecordRefundPaid", &request);
        let asked = wire::record_refund_paid(&request, self.accounts.now()).map_err(Error::from)?;
        let command = |_: &Account<State>, _| {
            let wire::RecordRefundPaid { id, reference, at } = asked.clone();
            Command::RecordRefundPaid { id, reference, at }
        };
        let asks = (&caller, request.request_id.as_str(), digest);
        let refund = self.to_refund(asks, &asked.id, command).await?;
        Ok(Response::new(pb::RecordRefundPaidResponse { refund }))
    }

    async fn list_refunds(
        &self,
        request: Request<pb::ListRefundsRequest>,
    ) -> Result<Response<pb::ListRefundsResponse>, Status> {
        let subject = wire::subject_id(&request.get_ref().subject_id).map_err(Error::from)?;
        let account = self.accounts.get(&subject).await.map_err(Error::from)?;
        let state = &account.state;
        let erased = state.erased_refunds.iter().map(|it| wire::erased_refund(it, state));
        let refunds = erased.chain(state.refunds.iter().map(|it| wire::refund(it, state))).collect();
        Ok(Response::new(pb::ListRefundsResponse { refunds }))
    }

    async fn list_open_refunds(
        &self,
        request: Request<pb::ListOpenRefundsRequest>,
    ) -> Result<Response<pb::ListOpenRefundsResponse>, Status> {
        let wanted = wire::open_refunds(request.get_ref()).map_err(Error::from)?;
        let (refunds, last) = work_list::page(&self.accounts, &wanted).await.map_err(Error::from)?;
        let next_page_token = last.as_ref().map(wire::page_token).unwrap_or_default();
        Ok(Response::new(pb::ListOpenRefundsResponse { refunds, next_page_token }))
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
