//! The whole service on a store and a log, through its handlers.

use std::sync::Arc;

use ::participant::Participant as _;
use keys::Secret;
use proto::{
    participant::v1::{Acknowledgement, InstructionKind, Outcome},
    payscore::v1::{self as pb, payscore_service_server::PayscoreService as _},
    types::v1::Money,
};
use testkit::{Stage, Told};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};
use tonic_types::StatusExt;
use types::{Action, Caller, CancellationId, Item, ItemKind, Scope, SubjectId, Timestamp};

use crate::{Api, Options, Payscore};

/// The service at work, with one subject.
struct Play {
    stage: Stage,
    api: Api,
    subject: SubjectId,
    cancellation: CancellationId,
    it: Payscore,
    stop: CancellationToken,
    running: JoinSet<()>,
}

impl Play {
    async fn begin() -> Self {
        let stage = Stage::open(Timestamp::parse("2026-11-21T08:00:00Z").unwrap()).await;
        let secret = Arc::new(Secret::from_bytes([1; 32]));
        let service = crate::build(Options { participant: stage.options(), secret }).await.unwrap();
        let api = Api { accounts: service.accounts().clone(), secret: service.secret.clone() };
        let stop = CancellationToken::new();
        let mut running = JoinSet::new();
        let token = stop.clone();
        running.spawn(async move { service.run(token).await.unwrap() });
        let subject = SubjectId::parse("sbj_1").unwrap();
        stage.register(&subject).await;
        let cancellation = CancellationId::parse("can_1").unwrap();
        Self { stage, api, subject, cancellation, it: Payscore::default(), stop, running }
    }

    async fn end(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.running.join_next().await {
            ended.unwrap();
        }
    }

    async fn authorize(&self, code: &str, request_id: &str) -> Result<pb::Authorization, Status> {
        let request = pb::RecordAuthorizationRequest {
            request_id: request_id.into(),
            subject_id: self.subject.to_string(),
            scheme: pb::Scheme::WechatPayScore.into(),
            merchant: Some(pb::Merchant { mchid: "1900000109".into(), name: "Power Bank".into() }),
            service_id: "rent".into(),
            authorization_code: code.into(),
        };
        let answer = self.api.record_authorization(called(request)).await?;
        Ok(answer.into_inner().authorization.unwrap())
    }

    async fn rent(
        &self,
        authorization: &str,
        no: &str,
        request_id: &str,
    ) -> Result<pb::ServiceOrder, Status> {
        let request = pb::CreateServiceOrderRequest {
            request_id: request_id.into(),
            authorization_id: authorization.into(),
            out_order_no: no.into(),
            amount: cny(600),
            deposit_waived: cny(9_900),
        };
        Ok(self.api.create_service_order(called(request)).await?.into_inner().order.unwrap())
    }

    async fn complete(&self, order_id: &str) -> Result<pb::ServiceOrder, Status> {
        let request =
            pb::CompleteServiceOrderRequest { request_id: String::new(), order_id: order_id.into() };
        Ok(self.api.complete_service_order(called(request)).await?.into_inner().order.unwrap())
    }

    async fn collect(&self, order_id: &str, state: pb::Collection) -> Result<pb::ServiceOrder, Status> {
        let (request_id, order_id) = (String::new(), order_id.into());
        let request = pb::RecordCollectionRequest { request_id, order_id, state: state.into() };
        Ok(self.api.record_collection(called(request)).await?.into_inner().order.unwrap())
    }

    async fn list(&self) -> pb::ListAuthorizationsResponse {
        let request = pb::ListAuthorizationsRequest { subject_id: self.subject.to_string() };
        self.api.list_authorizations(called(request)).await.unwrap().into_inner()
    }

    async fn assess(&self, scope: &Scope) -> Acknowledgement {
        self.stage.instruct(self.told(InstructionKind::Assess, 1, scope)).await;
        self.answer((1, 1)).await
    }

    async fn answer(&self, at_least: (u32, u32)) -> Acknowledgement {
        self.stage.answer(&self.api.accounts, &self.subject, &self.cancellation, at_least).await
    }

    fn told<'a>(&'a self, kind: InstructionKind, epoch: u32, scope: &'a Scope) -> Told<'a> {
        let (cancellation, subject) = (&self.cancellation, &self.subject);
        Told { participant: self.it.name(), cancellation, subject, kind, epoch, scope }
    }
}

fn called<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Caller::local());
    request
}

fn cny(minor_units: i64) -> Option<Money> {
    Some(Money { currency_code: "CNY".into(), minor_units })
}

fn reason(status: &Status) -> (String, Option<String>) {
    let info = status.get_error_details().error_info().cloned().unwrap();
    (info.reason, info.metadata.get("first").cloned())
}

fn blockers(answer: &Acknowledgement) -> Vec<&str> {
    answer.assessment.as_ref().unwrap().blockers.iter().map(|it| it.code.as_str()).collect()
}

#[tokio::test]
async fn what_blocks_clears_by_itself_as_it_is_settled_and_then_the_account_closes() {
    let play = Play::begin().await;
    let authorization = play.authorize("c-1", "").await.unwrap().authorization_id;
    let order = play.rent(&authorization, "n-1", "").await.unwrap().order_id;
    let purchase = pb::RecordCreditPurchaseRequest {
        subject_id: play.subject.to_string(),
        amount: cny(39_900),
        ..Default::default()
    };
    let purchase = play.api.record_credit_purchase(called(purchase)).await.unwrap().into_inner();
    let purchase_id = purchase.purchase.unwrap().purchase_id;
    let face = pb::SetFacePaymentRequest {
        request_id: String::new(),
        subject_id: play.subject.to_string(),
        enabled: true,
    };
    assert!(play.api.set_face_payment(called(face)).await.unwrap().into_inner().enabled);

    let assessed = play.assess(&Scope::WholeAccount).await;
    assert_eq!(blockers(&assessed), ["SERVICE_ORDER_OPEN", "CREDIT_PURCHASE_UNSETTLED"]);
    play.complete(&order).await.unwrap();
    assert_eq!(blockers(&play.answer((1, 2)).await), ["SERVICE_ORDER_UNPAID", "CREDIT_PURCHASE_UNSETTLED"]);
    play.collect(&order, pb::Collection::UserPaying).await.unwrap();
    let paid = play.collect(&order, pb::Collection::UserPaid).await.unwrap();
    assert_eq!(paid.state(), pb::ServiceOrderState::Paid);
    assert_eq!(blockers(&play.answer((1, 3)).await), ["CREDIT_PURCHASE_UNSETTLED"]);
    let settle = pb::RecordCreditPurchaseSettledRequest { request_id: String::new(), purchase_id };
    play.api.record_credit_purchase_settled(called(settle)).await.unwrap();
    let clear = play.answer((1, 4)).await;
    assert!(blockers(&clear).is_empty());

    let execute = play.told(InstructionKind::Execute, 2, &Scope::WholeAccount);
    play.stage.instruct_as_assessed(execute, &clear).await;
    assert_eq!(play.answer((2, 1)).await.outcome(), Outcome::Done);
    let all = play.list().await;
    assert_eq!(all.authorizations[0].state(), pb::AuthorizationState::Unbound);
    assert!(!all.face_payment_enabled && all.credit_purchases[0].settled);
    let refused = play.authorize("c-2", "").await.unwrap_err();
    assert_eq!(reason(&refused).0, "SUBJECT_CLOSED");
    play.end().await;
}

#[tokio::test]
async fn without_an_accepted_assessment_an_open_order_is_waited_for() {
    let play = Play::begin().await;
    let authorization = play.authorize("c-1", "").await.unwrap().authorization_id;
    let order = play.rent(&authorization, "n-1", "").await.unwrap().order_id;
    let item =
        Item { kind: ItemKind::PayscoreAuthorization, id: authorization.clone(), action: Action::Unbind };
    let scope = Scope::Selected(vec![item]);
    play.stage.instruct(play.told(InstructionKind::Execute, 1, &scope)).await;
    let waiting = play.answer((1, 1)).await;
    assert_eq!(
        (waiting.outcome(), waiting.waiting.unwrap().code.as_str()),
        (Outcome::Waiting, "SERVICE_ORDER_OPEN")
    );
    let cancel = pb::CancelServiceOrderRequest { request_id: String::new(), order_id: order };
    play.api.cancel_service_order(called(cancel)).await.unwrap();
    assert_eq!(play.answer((1, 2)).await.outcome(), Outcome::Done);
    // The account goes on, but not under that authorisation.
    let refused = play.rent(&authorization, "n-2", "").await.unwrap_err();
    assert_eq!(reason(&refused).0, "AUTHORIZATION_UNBOUND");
    play.authorize("c-2", "").await.unwrap();
    play.end().await;
}

#[tokio::test]
async fn every_refusal_has_its_reason_and_names_what_was_first() {
    let play = Play::begin().await;
    let first = play.authorize("c-1", "r-1").await.unwrap();
    assert_eq!(play.authorize("c-1", "r-1").await.unwrap(), first);
    let id = first.authorization_id;
    let again = play.authorize("c-1", "").await.unwrap_err();
    assert_eq!(reason(&again), ("AUTHORIZATION_EXISTS".into(), Some(id.clone())));
    let order = play.rent(&id, "n-1", "r-2").await.unwrap();
    assert_eq!(play.rent(&id, "n-1", "r-2").await.unwrap(), order);
    let again = play.rent(&id, "n-1", "r-3").await.unwrap_err();
    assert_eq!(reason(&again), ("SERVICE_ORDER_EXISTS".into(), Some(order.order_id.clone())));
    let taken = play.rent(&id, "n-9", "r-2").await.unwrap_err();
    assert_eq!(reason(&taken), ("REQUEST_ID_TAKEN".into(), Some(order.order_id.clone())));
    let early = play.collect(&order.order_id, pb::Collection::UserPaid).await.unwrap_err();
    assert_eq!(reason(&early).0, "SERVICE_ORDER_NOT_COMPLETED");
    play.complete(&order.order_id).await.unwrap();
    let late = play.complete(&order.order_id).await.unwrap_err();
    assert_eq!(reason(&late).0, "SERVICE_ORDER_NOT_OPEN");
    assert_eq!(reason(&play.complete("ord_none").await.unwrap_err()).0, "NOT_FOUND");
    assert_eq!(reason(&play.complete(&id).await.unwrap_err()).0, "NOT_FOUND");
    assert_eq!(reason(&play.complete("").await.unwrap_err()).0, "INVALID_ARGUMENT");
    assert_eq!(play.list().await.authorizations[0].orders.len(), 1);
    play.end().await;
}

#[tokio::test]
async fn a_merchant_cannot_use_what_is_suspended_until_it_is_taken_back() {
    let play = Play::begin().await;
    let authorization = play.authorize("c-1", "").await.unwrap().authorization_id;
    let tell = async |kind, epoch| {
        play.stage.instruct(play.told(kind, epoch, &Scope::WholeAccount)).await;
        play.answer((epoch, 1)).await.outcome()
    };
    assert_eq!(tell(InstructionKind::Freeze, 1).await, Outcome::Done);
    let refused = play.rent(&authorization, "n-1", "").await.unwrap_err();
    assert_eq!(reason(&refused).0, "AUTHORIZATION_FROZEN");
    assert_eq!(play.list().await.authorizations[0].frozen_by, [play.cancellation.to_string()]);
    assert_eq!(tell(InstructionKind::Undo, 2).await, Outcome::Done);
    play.rent(&authorization, "n-1", "").await.unwrap();
    play.end().await;
}
