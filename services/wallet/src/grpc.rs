//! Thin handlers: parse, do, convert.

use std::sync::Arc;

use keys::Secret;
use participant::{Accounts, Write, Written};
use prost::Message;
use proto::wallet::v1::{
    GetWalletRequest, GetWalletResponse, PayOutBalanceRequest, PayOutBalanceResponse, RecordBalanceRequest,
    RecordBalanceResponse, RecordBenefitRequest, RecordBenefitResponse, wallet_service_server::WalletService,
};
use tonic::{Request, Response, Status};
use types::{Caller, Timestamp, fresh_uuid};

use crate::{
    Wallet,
    domain::{self, BenefitId, Command, State},
    error::Error,
    wire::{self, Asked},
};

/// The service's gRPC side.
#[derive(Clone)]
pub struct Api {
    accounts: Accounts<Wallet>,
    secret: Arc<Secret>,
}

impl Api {
    pub(crate) fn new(accounts: Accounts<Wallet>, secret: Arc<Secret>) -> Self {
        Self { accounts, secret }
    }

    /// Decides the command that `command` makes of what was asked, and records what follows.
    async fn write<T: Sync>(
        &self,
        (caller, method, request): (&Caller, &str, &impl Message),
        asked: &Asked<T>,
        reference: &str,
        command: impl Fn(&T, Timestamp) -> Command + Send + Sync,
    ) -> Result<Written<State>, Error> {
        let write = Write {
            caller,
            request_id: &asked.request_id,
            digest: self.secret.hmac(method, &[&request.encode_to_vec()]),
            subject: &asked.subject,
        };
        let decide = |state: &State, now| {
            Ok((domain::decide(state, command(&asked.what, now))?, reference.to_owned()))
        };
        Ok(self.accounts.write(write, decide).await?)
    }
}

#[tonic::async_trait]
impl WalletService for Api {
    async fn record_balance(
        &self,
        request: Request<RecordBalanceRequest>,
    ) -> Result<Response<RecordBalanceResponse>, Status> {
        let caller = service_kit::caller(&request)?;
        let request = request.into_inner();
        let asked = wire::record_balance(&request).map_err(Error::from)?;
        let what = (&caller, "RecordBalance", &request);
        let reference = asked.what.currency.as_str();
        let written =
            self.write(what, &asked, reference, |balance, _| Command::RecordBalance(*balance)).await?;
        let wallet = Some(wire::wallet(&asked.subject, &written.account.state));
        Ok(Response::new(RecordBalanceResponse { wallet }))
    }

    async fn pay_out_balance(
        &self,
        request: Request<PayOutBalanceRequest>,
    ) -> Result<Response<PayOutBalanceResponse>, Status> {
        let caller = service_kit::caller(&request)?;
        let request = request.into_inner();
        let asked = wire::pay_out_balance(&request).map_err(Error::from)?;
        let what = (&caller, "PayOutBalance", &request);
        let reference = asked.subject.as_str();
        let written = self
            .write(what, &asked, reference, |currency, now| Command::PayOut { currency: *currency, now })
            .await?;
        let wallet = Some(wire::wallet(&asked.subject, &written.account.state));
        Ok(Response::new(PayOutBalanceResponse { wallet }))
    }

    async fn record_benefit(
        &self,
        request: Request<RecordBenefitRequest>,
    ) -> Result<Response<RecordBenefitResponse>, Status> {
        let caller = service_kit::caller(&request)?;
        let request = request.into_inner();
        let asked = wire::record_benefit(&request).map_err(Error::from)?;
        let id = BenefitId::mint(fresh_uuid());
        let command = |new: &wire::NewBenefit, now| {
            let benefit = new.with_id(id.clone());
            Command::RecordBenefit { benefit, now }
        };
        let what = (&caller, "RecordBenefit", &request);
        let written = self.write(what, &asked, id.as_str(), command).await?;
        let found = BenefitId::parse(&written.reference).ok();
        let benefit = found.and_then(|id| written.account.state.find(&id).map(wire::benefit));
        Ok(Response::new(RecordBenefitResponse { benefit }))
    }

    async fn get_wallet(
        &self,
        request: Request<GetWalletRequest>,
    ) -> Result<Response<GetWalletResponse>, Status> {
        let subject = wire::get_wallet(request.get_ref()).map_err(Error::from)?;
        let account = self.accounts.get(&subject).await.map_err(Error::from)?;
        Ok(Response::new(GetWalletResponse { wallet: Some(wire::wallet(&subject, &account.state)) }))
    }
}
