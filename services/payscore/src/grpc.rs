//! The calls: parse, do, convert.

use std::{collections::BTreeSet, sync::Arc};

use keys::Secret;
use participant::{Account, AccountError, Accounts, Write};
use prost::Message;
use proto::payscore::v1::{self as pb, payscore_service_server::PayscoreService as Calls};
use tonic::{Request, Response, Status};
use types::{Caller, SubjectId, fresh_uuid};

use crate::{
    domain::{
        Authorization, AuthorizationId, Command, CreditPurchase, OrderId, OrderState, PurchaseId,
        ServiceOrder, State, decide,
    },
    error::Error,
    participant::Payscore,
    wire,
};

/// The calls over the accounts.
#[derive(Clone)]
pub struct Api {
    pub(crate) accounts: Accounts<Payscore>,
    pub(crate) secret: Arc<Secret>,
}

/// Who asks, and what makes asking again the same request.
struct Asked {
    caller: Caller,
    request_id: String,
    digest: [u8; 32],
}

/// What a write left: the account after it, and by which id its result is found.
struct Done {
    account: Account<State>,
    reference: String,
}

impl Done {
    fn authorization(&self) -> Result<Option<pb::Authorization>, Error> {
        let found = self.account.state.authorization(&self.reference).ok_or(AccountError::NotFound)?;
        Ok(Some(wire::authorization(found)))
    }

    fn order(&self) -> Result<Option<pb::ServiceOrder>, Error> {
        let found = self.account.state.order(&self.reference).ok_or(AccountError::NotFound)?;
        Ok(Some(wire::order(found)))
    }

    fn purchase(&self) -> Result<Option<pb::CreditPurchase>, Error> {
        let found = self.account.state.purchase(&self.reference).ok_or(AccountError::NotFound)?;
        Ok(Some(wire::purchase(found)))
    }
}

impl Api {
    fn asked<M: Message>(
        &self,
        method: &str,
        request: &Request<M>,
        request_id: impl Fn(&M) -> &str,
    ) -> Result<Asked, Status> {
        let message = request.get_ref();
        Ok(Asked {
            caller: service_kit::caller(request)?,
            request_id: request_id(message).to_owned(),
            digest: self.secret.hmac(method, &[&message.encode_to_vec()]),
        })
    }

    async fn write(
        &self,
        asked: &Asked,
        subject: &SubjectId,
        command: Command,
        reference: &str,
    ) -> Result<Done, Error> {
        let Asked { caller, request_id, digest } = asked;
        let write = Write { caller, request_id, digest: *digest, subject };
        let decide = |state: &State, _| Ok((decide(state, command.clone())?, reference.to_owned()));
        let written = self.accounts.write(write, decide).await?;
        Ok(Done { account: written.account, reference: written.reference })
    }

    /// A write about a thing that is found by its own id.
    async fn write_by_id(&self, asked: &Asked, id: &str, command: Command) -> Result<Done, Error> {
        let subject = self.accounts.subject_of(id).await?;
        self.write(asked, &subject, command, id).await
    }
}

#[tonic::async_trait]
impl Calls for Api {
    async fn record_authorization(
        &self,
        request: Request<pb::RecordAuthorizationRequest>,
    ) -> Result<Response<pb::RecordAuthorizationResponse>, Status> {
        let asked = self.asked("RecordAuthorization", &request, |it| &it.request_id)?;
        let told = wire::record_authorization(request.get_ref()).map_err(Error::from)?;
        let id = AuthorizationId::mint(fresh_uuid());
        let command = Command::RecordAuthorization(Box::new(Authorization {
            id: id.clone(),
            subject: told.subject.clone(),
            scheme: told.scheme,
            merchant: told.merchant,
            service_id: told.service_id,
            code: told.code,
            unbound_at: None,
            unbound_by: None,
            frozen_by: BTreeSet::new(),
            orders: Vec::new(),
        }));
        let done = self.write(&asked, &told.subject, command, id.as_str()).await?;
        Ok(Response::new(pb::RecordAuthorizationResponse { authorization: done.authorization()? }))
    }

    async fn list_authorizations(
        &self,
        request: Request<pb::ListAuthorizationsRequest>,
    ) -> Result<Response<pb::ListAuthorizationsResponse>, Status> {
        let subject = wire::subject_id(&request.get_ref().subject_id).map_err(Error::from)?;
        let account = self.accounts.get(&subject).await.map_err(Error::from)?;
        Ok(Response::new(wire::everything(&account.state)))
    }

    async fn create_service_order(
        &self,
        request: Request<pb::CreateServiceOrderRequest>,
    ) -> Result<Response<pb::CreateServiceOrderResponse>, Status> {
        let asked = self.asked("CreateServiceOrder", &request, |it| &it.request_id)?;
        let told = wire::create_service_order(request.get_ref()).map_err(Error::from)?;
        let subject = self.accounts.subject_of(told.authorization.as_str()).await.map_err(Error::from)?;
        let id = OrderId::mint(fresh_uuid());
        let command = Command::CreateOrder(Box::new(ServiceOrder {
            id: id.clone(),
            authorization: told.authorization,
            out_order_no: told.out_order_no,
            amount: told.amount,
            deposit_waived: told.deposit_waived,
            state: OrderState::Doing,
        }));
        let done = self.write(&asked, &subject, command, id.as_str()).await?;
        Ok(Response::new(pb::CreateServiceOrderResponse { order: done.order()? }))
    }

    async fn complete_service_order(
        &self,
        request: Request<pb::CompleteServiceOrderRequest>,
    ) -> Result<Response<pb::CompleteServiceOrderResponse>, Status> {
        let asked = self.asked("CompleteServiceOrder", &request, |it| &it.request_id)?;
        let id = wire::order_call(&asked.request_id, &request.get_ref().order_id).map_err(Error::from)?;
        let done = self.write_by_id(&asked, id.as_str(), Command::CompleteOrder(id.clone())).await?;
        Ok(Response::new(pb::CompleteServiceOrderResponse { order: done.order()? }))
    }

    async fn record_collection(
        &self,
        request: Request<pb::RecordCollectionRequest>,
    ) -> Result<Response<pb::RecordCollectionResponse>, Status> {
        let asked = self.asked("RecordCollection", &request, |it| &it.request_id)?;
        let told = wire::record_collection(request.get_ref()).map_err(Error::from)?;
        let command = Command::RecordCollection(told.order.clone(), told.state);
        let done = self.write_by_id(&asked, told.order.as_str(), command).await?;
        Ok(Response::new(pb::RecordCollectionResponse { order: done.order()? }))
    }

    async fn cancel_service_order(
        &self,
        request: Request<pb::CancelServiceOrderRequest>,
    ) -> Result<Response<pb::CancelServiceOrderResponse>, Status> {
        let asked = self.asked("CancelServiceOrder", &request, |it| &it.request_id)?;
        let id = wire::order_call(&asked.request_id, &request.get_ref().order_id).map_err(Error::from)?;
        let done = self.write_by_id(&asked, id.as_str(), Command::CancelOrder(id.clone())).await?;
        Ok(Response::new(pb::CancelServiceOrderResponse { order: done.order()? }))
    }

    async fn record_credit_purchase(
        &self,
        request: Request<pb::RecordCreditPurchaseRequest>,
    ) -> Result<Response<pb::RecordCreditPurchaseResponse>, Status> {
        let asked = self.asked("RecordCreditPurchase", &request, |it| &it.request_id)?;
        let told = wire::record_credit_purchase(request.get_ref()).map_err(Error::from)?;
        let id = PurchaseId::mint(fresh_uuid());
        let command = Command::RecordPurchase(Box::new(CreditPurchase {
            id: id.clone(),
            subject: told.subject.clone(),
            amount: told.amount,
            out_trade_no: told.out_trade_no,
            settled: false,
        }));
        let done = self.write(&asked, &told.subject, command, id.as_str()).await?;
        Ok(Response::new(pb::RecordCreditPurchaseResponse { purchase: done.purchase()? }))
    }

    async fn record_credit_purchase_settled(
        &self,
        request: Request<pb::RecordCreditPurchaseSettledRequest>,
    ) -> Result<Response<pb::RecordCreditPurchaseSettledResponse>, Status> {
        let asked = self.asked("RecordCreditPurchaseSettled", &request, |it| &it.request_id)?;
        let id = wire::settled_call(request.get_ref()).map_err(Error::from)?;
        let done = self.write_by_id(&asked, id.as_str(), Command::SettlePurchase(id.clone())).await?;
        Ok(Response::new(pb::RecordCreditPurchaseSettledResponse { purchase: done.purchase()? }))
    }

    async fn set_face_payment(
        &self,
        request: Request<pb::SetFacePaymentRequest>,
    ) -> Result<Response<pb::SetFacePaymentResponse>, Status> {
        let asked = self.asked("SetFacePayment", &request, |it| &it.request_id)?;
        let told = request.get_ref();
        let subject = wire::subject_call(&told.request_id, &told.subject_id).map_err(Error::from)?;
        let command = Command::SetFacePayment(told.enabled);
        let done = self.write(&asked, &subject, command, "face-payment").await?;
        Ok(Response::new(pb::SetFacePaymentResponse { enabled: done.account.state.face_payment }))
    }
}
