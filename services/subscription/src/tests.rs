//! The whole service on a store and a log, through its handlers.

use std::sync::Arc;

use ::participant::Participant as _;
use keys::Secret;
use proto::{
    participant::v1::{InstructionKind, Outcome},
    subscription::v1::{self as pb, subscription_service_server::SubscriptionService as _},
};
use testkit::{Stage, Told};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};
use tonic_types::StatusExt;
use types::{Action, Caller, CancellationId, Item, ItemKind, Scope, SubjectId, Timestamp};

use crate::{Api, Options, Service, Subscriptions};

mod refunds;

const NOW: &str = "2026-11-21T08:00:00Z";
const PERIOD_END: &str = "2026-12-01T00:00:00Z";

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

/// The service at work, with one subject.
struct Play {
    stage: Stage,
    api: Api,
    subject: SubjectId,
    it: Subscriptions,
    stop: CancellationToken,
    running: JoinSet<()>,
}

impl Play {
    async fn begin() -> Self {
        let stage = Stage::open(at(NOW)).await;
        let secret = Arc::new(Secret::from_bytes([1; 32]));
        let options = Options { participant: stage.options(), secret, packs: None };
        let service: Service = crate::build(options).await.unwrap();
        let api = service.api();
        let stop = CancellationToken::new();
        let mut running = JoinSet::new();
        let token = stop.clone();
        running.spawn(async move { service.run(token).await.unwrap() });
        let subject = SubjectId::parse("sbj_1").unwrap();
        stage.register(&subject).await;
        Self { stage, api, subject, it: Subscriptions::default(), stop, running }
    }

    async fn end(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.running.join_next().await {
            ended.unwrap();
        }
    }

    async fn record(&self, billing: pb::Billing, request_id: &str) -> Result<pb::Subscription, Status> {
        let request = pb::RecordSubscriptionRequest {
            request_id: request_id.into(),
            subject_id: self.subject.to_string(),
            plan: Some(pb::Plan { name: "Video".into(), ..pb::Plan::default() }),
            billing: billing.into(),
            current_period_end: Some(at(PERIOD_END).to_proto()),
            will_renew: true,
            ..pb::RecordSubscriptionRequest::default()
        };
        let answer = self.api.record_subscription(called(request)).await?;
        Ok(answer.into_inner().subscription.unwrap())
    }

    async fn observe(&self, id: &str, state: pb::ProviderState) -> Result<pb::Subscription, Status> {
        self.observe_at(NOW, id, state).await
    }

    async fn observe_at(
        &self,
        observed_at: &str,
        id: &str,
        state: pb::ProviderState,
    ) -> Result<pb::Subscription, Status> {
        let request = pb::RecordProviderStateRequest {
            request_id: String::new(),
            subscription_id: id.into(),
            state: state.into(),
            observed_at: Some(at(observed_at).to_proto()),
        };
        let answer = self.api.record_provider_state(called(request)).await?;
        Ok(answer.into_inner().subscription.unwrap())
    }

    async fn get(&self, id: &str) -> Result<pb::Subscription, Status> {
        let request = pb::GetSubscriptionRequest { subscription_id: id.into() };
        Ok(self.api.get_subscription(called(request)).await?.into_inner().subscription.unwrap())
    }

    fn told<'a>(
        &'a self,
        cancellation: &'a CancellationId,
        kind: InstructionKind,
        epoch: u32,
        scope: &'a Scope,
    ) -> Told<'a> {
        Told { participant: self.it.name(), cancellation, subject: &self.subject, kind, epoch, scope }
    }
}

fn called<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Caller::local());
    request
}

fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

#[tokio::test]
async fn an_account_closes_when_the_store_says_that_the_last_subscription_has_ended() {
    let play = Play::begin().await;
    let merchant = play.record(pb::Billing::Merchant, "r-1").await.unwrap();
    let store = play.record(pb::Billing::AppStore, "r-2").await.unwrap();
    let cancellation = CancellationId::parse("can_1").unwrap();
    let whole = Scope::WholeAccount;

    play.stage.instruct(play.told(&cancellation, InstructionKind::Assess, 1, &whole)).await;
    let answer = |at_least| play.stage.answer(&play.api.accounts, &play.subject, &cancellation, at_least);
    let assessed = answer((1, 1)).await;
    assert_eq!(assessed.outcome(), Outcome::Assessed);

    let execute = play.told(&cancellation, InstructionKind::Execute, 2, &whole);
    play.stage.instruct_as_assessed(execute, &assessed).await;
    let waiting = answer((2, 1)).await;
    assert_eq!(waiting.outcome(), Outcome::Waiting);
    assert_eq!(waiting.waiting.unwrap().item_ids, std::slice::from_ref(&store.subscription_id));
    let ended = play.get(&merchant.subscription_id).await.unwrap();
    assert_eq!(ended.status(), pb::SubscriptionStatus::Ended);

    play.observe(&store.subscription_id, pb::ProviderState::Ended).await.unwrap();
    assert_eq!(answer((2, 2)).await.outcome(), Outcome::Done);

    let refused = play.record(pb::Billing::Merchant, "r-3").await.unwrap_err();
    assert_eq!(reason(&refused), "SUBJECT_CLOSED");
    let list = pb::ListSubscriptionsRequest { subject_id: play.subject.to_string() };
    let listed = play.api.list_subscriptions(called(list)).await.unwrap().into_inner().subscriptions;
    let ids: Vec<_> = listed.into_iter().map(|it| it.subscription_id).collect();
    assert_eq!(ids, [merchant.subscription_id, store.subscription_id]);
    play.end().await;
}

#[tokio::test]
async fn other_facts_than_those_accepted_change_nothing() {
    let play = Play::begin().await;
    play.record(pb::Billing::Merchant, "").await.unwrap();
    let cancellation = CancellationId::parse("can_1").unwrap();
    let whole = Scope::WholeAccount;
    play.stage.instruct(play.told(&cancellation, InstructionKind::Assess, 1, &whole)).await;
    let accounts = &play.api.accounts;
    let assessed = play.stage.answer(accounts, &play.subject, &cancellation, (1, 1)).await;
    let second = play.record(pb::Billing::Merchant, "").await.unwrap();
    let again = play.stage.answer(accounts, &play.subject, &cancellation, (1, 2)).await;
    assert_ne!(assessed.assessment_digest, again.assessment_digest);

    let execute = play.told(&cancellation, InstructionKind::Execute, 2, &whole);
    play.stage.instruct_as_assessed(execute, &assessed).await;
    let changed = play.stage.answer(accounts, &play.subject, &cancellation, (2, 1)).await;
    assert_eq!(changed.outcome(), Outcome::Changed);
    let untouched = play.get(&second.subscription_id).await.unwrap();
    assert_eq!(untouched.status(), pb::SubscriptionStatus::Active);
    play.end().await;
}

#[tokio::test]
async fn access_ends_by_itself_when_the_paid_period_does() {
    let play = Play::begin().await;
    let id = play.record(pb::Billing::Merchant, "").await.unwrap().subscription_id;
    let cancellation = CancellationId::parse("can_1").unwrap();
    let item = Item { kind: ItemKind::Subscription, id: id.clone(), action: Action::StopRenewal };
    let scope = Scope::Selected(vec![item]);
    play.stage.instruct(play.told(&cancellation, InstructionKind::Execute, 1, &scope)).await;
    let accounts = &play.api.accounts;
    let done = play.stage.answer(accounts, &play.subject, &cancellation, (1, 1)).await;
    assert_eq!(done.outcome(), Outcome::Done);
    let stopped = play.get(&id).await.unwrap();
    assert_eq!(stopped.status(), pb::SubscriptionStatus::WillNotRenew);
    assert_eq!(stopped.access_ends_at, Some(at(PERIOD_END).to_proto()));

    play.stage.clock.set(at(PERIOD_END));
    let over = |account: &::participant::Account<crate::domain::State>| {
        account.state.subscriptions[0].status == crate::domain::Status::Ended
    };
    play.stage.until(accounts, &play.subject, over).await;
    // The account goes on: ending a service never freezes it.
    play.record(pb::Billing::Merchant, "").await.unwrap();
    play.end().await;
}

#[tokio::test]
async fn a_repeated_request_is_answered_with_what_it_made() {
    let play = Play::begin().await;
    let first = play.record(pb::Billing::AppStore, "r-1").await.unwrap();
    assert_eq!(play.record(pb::Billing::AppStore, "r-1").await.unwrap(), first);
    let other = play.record(pb::Billing::Merchant, "r-1").await.unwrap_err();
    assert_eq!(reason(&other), "REQUEST_ID_TAKEN");
    let info = other.get_error_details().error_info().unwrap().clone();
    assert_eq!(info.metadata["first"], first.subscription_id);
    assert_ne!(play.record(pb::Billing::AppStore, "").await.unwrap().subscription_id, first.subscription_id);
    play.end().await;
}

#[tokio::test]
async fn every_refusal_has_its_reason() {
    let play = Play::begin().await;
    let unknown = play.get("sub_none").await.unwrap_err();
    assert_eq!(reason(&unknown), "NOT_FOUND");
    assert_eq!(reason(&play.get("").await.unwrap_err()), "INVALID_ARGUMENT");
    let merchant = play.record(pb::Billing::Merchant, "").await.unwrap().subscription_id;
    let refused = play.observe(&merchant, pb::ProviderState::Ended).await.unwrap_err();
    assert_eq!(reason(&refused), "NOT_PROVIDER_BILLED");
    let store = play.record(pb::Billing::AppStore, "").await.unwrap().subscription_id;
    let refused = play.observe_at(PERIOD_END, &store, pb::ProviderState::Active).await.unwrap_err();
    assert_eq!(reason(&refused), "INVALID_ARGUMENT", "nobody has observed that yet");
    play.observe(&store, pb::ProviderState::Ended).await.unwrap();
    let refused = play.observe(&store, pb::ProviderState::Active).await.unwrap_err();
    assert_eq!(reason(&refused), "SUBSCRIPTION_ENDED");
    let nobody = Request::new(pb::GetSubscriptionRequest { subscription_id: store });
    assert!(play.api.get_subscription(nobody).await.is_ok());
    play.end().await;
}

#[tokio::test]
async fn our_own_billing_is_refused_while_a_cancellation_can_still_be_taken_back() {
    let play = Play::begin().await;
    let id = play.record(pb::Billing::Merchant, "").await.unwrap().subscription_id;
    let cancellation = CancellationId::parse("can_1").unwrap();
    let whole = Scope::WholeAccount;
    let tell = async |kind, epoch| {
        play.stage.instruct(play.told(&cancellation, kind, epoch, &whole)).await;
        play.stage.answer(&play.api.accounts, &play.subject, &cancellation, (epoch, 1)).await
    };
    let before = tell(InstructionKind::Assess, 1).await;
    let frozen = tell(InstructionKind::Freeze, 2).await;
    assert_eq!((frozen.outcome(), frozen.undo_until), (Outcome::Done, Some(at(PERIOD_END).to_proto())));
    assert_eq!(play.get(&id).await.unwrap().frozen_by, ["can_1"]);

    let after = tell(InstructionKind::Assess, 3).await;
    assert_eq!(after.assessment_digest, before.assessment_digest, "being suspended changes no assessment");

    play.stage.clock.set(at(PERIOD_END));
    let renew = async |request_id: &str| {
        let request = pb::RenewSubscriptionRequest {
            request_id: request_id.into(),
            subscription_id: id.clone(),
            current_period_end: Some(at("2027-01-01T00:00:00Z").to_proto()),
            next_charge_at: None,
        };
        play.api.renew_subscription(called(request)).await
    };
    let refused = renew("r-1").await.unwrap_err();
    assert_eq!(reason(&refused), "RENEWAL_FROZEN");
    assert_eq!(tell(InstructionKind::Undo, 4).await.outcome(), Outcome::Done);
    let renewed = renew("r-1").await.unwrap().into_inner().subscription.unwrap();
    assert_eq!(renewed.current_period_end, Some(at("2027-01-01T00:00:00Z").to_proto()));
    assert_eq!(renew("r-1").await.unwrap().into_inner().subscription.unwrap(), renewed);
    assert_eq!(reason(&renew("r-2").await.unwrap_err()), "PERIOD_PAID");
    play.end().await;
}

/// A cancellation of the whole account, from the assessment on.
async fn execute(play: &Play, cancellation: &CancellationId) -> ::proto::participant::v1::Acknowledgement {
    let whole = Scope::WholeAccount;
    play.stage.instruct(play.told(cancellation, InstructionKind::Assess, 1, &whole)).await;
    let accounts = &play.api.accounts;
    let assessed = play.stage.answer(accounts, &play.subject, cancellation, (1, 1)).await;
    let told = play.told(cancellation, InstructionKind::Execute, 2, &whole);
    play.stage.instruct_as_assessed(told, &assessed).await;
    play.stage.answer(accounts, &play.subject, cancellation, (2, 1)).await
}

fn cny(minor_units: i64) -> Option<::proto::types::v1::Money> {
    Some(::proto::types::v1::Money { currency_code: "CNY".into(), minor_units })
}

#[tokio::test]
async fn whoever_takes_something_cheaper_while_they_leave_is_not_asked_again_and_leaves_in_time() {
    let play = Play::begin().await;
    let price = |minor_units| Some(proto::types::v1::Money { currency_code: "CNY".into(), minor_units });
    let plan =
        |name: &str, units| Some(pb::Plan { name: name.into(), price: price(units), ..pb::Plan::default() });
    let request = pb::RecordSubscriptionRequest {
        subject_id: play.subject.to_string(),
        plan: plan("Video", 2_500),
        alternative: plan("Video Basic", 900),
        billing: pb::Billing::Merchant.into(),
        current_period_end: Some(at(PERIOD_END).to_proto()),
        will_renew: true,
        ..pb::RecordSubscriptionRequest::default()
    };
    let wrong = pb::RecordSubscriptionRequest { alternative: plan("Video Plus", 2_500), ..request.clone() };
    let refused = play.api.record_subscription(called(wrong)).await.unwrap_err();
    let faults = refused.get_details_bad_request().unwrap().field_violations;
    assert_eq!(faults.iter().map(|it| it.field.as_str()).collect::<Vec<_>>(), ["alternative.price"]);
    let recorded = play.api.record_subscription(called(request)).await.unwrap().into_inner();
    let recorded = recorded.subscription.unwrap();
    let item = Item {
        kind: ItemKind::Subscription,
        id: recorded.subscription_id.clone(),
        action: Action::StopRenewal,
    };
    let (can, scope) = (CancellationId::parse("can_1").unwrap(), Scope::Selected(vec![item]));
    play.stage.instruct(play.told(&can, InstructionKind::Assess, 1, &scope)).await;
    let quote = play.stage.answer(&play.api.accounts, &play.subject, &can, (1, 1)).await;
    let told = quote.assessment.clone().unwrap().items;
    assert!(told.iter().any(|item| item.code == "DOWNGRADE_POSSIBLE"), "{told:?}");

    let downgrade = pb::DowngradeSubscriptionRequest {
        request_id: "d1".into(),
        subscription_id: recorded.subscription_id.clone(),
        withdraw: false,
    };
    for _ in 0..2 {
        let taken = play.api.downgrade_subscription(called(downgrade.clone())).await.unwrap().into_inner();
        assert_eq!(taken.subscription.unwrap().downgraded_at, Some(at(NOW).to_proto()));
    }
    // What was accepted before is still what there is, so that nothing is asked again.
    let execute = play.told(&can, InstructionKind::Execute, 2, &scope);
    play.stage.instruct_as_assessed(execute, &quote).await;
    let done = play.stage.answer(&play.api.accounts, &play.subject, &can, (2, 1)).await;
    assert_eq!(done.outcome(), Outcome::Done);
    let left = play.get(&recorded.subscription_id).await.unwrap();
    assert_eq!(left.status(), pb::SubscriptionStatus::WillNotRenew);
    assert_eq!(left.access_ends_at, Some(at(PERIOD_END).to_proto()));
    play.end().await;
}
