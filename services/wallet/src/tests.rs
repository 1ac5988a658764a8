//! The whole service on a store and a log in files, through its handlers.

use std::sync::Arc;

use keys::Secret;
use proto::{
    participant::v1::{Acknowledgement, InstructionKind, Outcome},
    types::v1::Money,
    wallet::v1::{
        Benefit, BenefitKind, GetWalletRequest, PayOutBalanceRequest, PayoutRecordState,
        RecordBalanceRequest, RecordBenefitRequest, Wallet as WalletMessage,
        wallet_service_server::WalletService,
    },
};
use testkit::{
    Stage, Told,
    conformance::{self, Scenario},
};
use tokio::task::JoinSet;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;
use types::{Caller, CancellationId, Currency, ParticipantName, Scope, SubjectId, Timestamp};

use super::*;
use crate::domain::{BenefitId, Event};

struct World {
    stage: Stage,
    api: Api,
    accounts: Accounts<Wallet>,
    subject: SubjectId,
    cancellation: CancellationId,
    /// Ends the service when it is dropped.
    _running: JoinSet<Result<(), RunError>>,
}

impl World {
    async fn new() -> Self {
        let stage = Stage::open(instant("2026-12-01T04:00:00Z")).await;
        let secret = Arc::new(Secret::from_bytes([7; 32]));
        let service = build(Options { participant: stage.options(), secret: secret.clone(), packs: None })
            .await
            .unwrap();
        let accounts = service.accounts().clone();
        let mut running = JoinSet::new();
        running.spawn(service.run(CancellationToken::new()));
        let subject = SubjectId::parse("sbj_1").unwrap();
        stage.register(&subject).await;
        let cancellation = CancellationId::parse("can_1").unwrap();
        let api = Api::new(accounts.clone(), secret);
        Self { stage, api, accounts, subject, cancellation, _running: running }
    }

    async fn record_balance(&self, request_id: &str, minor_units: i64) -> Result<WalletMessage, Status> {
        let message = RecordBalanceRequest {
            request_id: request_id.into(),
            subject_id: self.subject.to_string(),
            balance: Some(cny(minor_units)),
        };
        let response = self.api.record_balance(request(message)).await?;
        Ok(response.into_inner().wallet.unwrap())
    }

    async fn pay_out(&self, request_id: &str) -> Result<WalletMessage, Status> {
        let message = PayOutBalanceRequest {
            request_id: request_id.into(),
            subject_id: self.subject.to_string(),
            currency_code: String::new(),
        };
        let response = self.api.pay_out_balance(request(message)).await?;
        Ok(response.into_inner().wallet.unwrap())
    }

    async fn record_benefit(&self, request_id: &str) -> Benefit {
        let message = RecordBenefitRequest {
            request_id: request_id.into(),
            subject_id: self.subject.to_string(),
            kind: BenefitKind::Points.into(),
            quantity: 1_250,
            paid_value: None,
            expires_at: Some(instant("2027-12-31T00:00:00Z").to_proto()),
        };
        self.api.record_benefit(request(message)).await.unwrap().into_inner().benefit.unwrap()
    }

    async fn wallet(&self) -> WalletMessage {
        let message = GetWalletRequest { subject_id: self.subject.to_string() };
        self.api.get_wallet(request(message)).await.unwrap().into_inner().wallet.unwrap()
    }

    async fn instruct(&self, kind: InstructionKind, epoch: u32, assessed: Option<&Acknowledgement>) {
        let told = Told {
            participant: &ParticipantName::parse("wallet").unwrap(),
            cancellation: &self.cancellation,
            subject: &self.subject,
            kind,
            epoch,
            scope: &Scope::WholeAccount,
        };
        match assessed {
            Some(assessed) => self.stage.instruct_as_assessed(told, assessed).await,
            None => self.stage.instruct(told).await,
        }
    }

    async fn answer(&self, epoch: u32, revision: u32) -> Acknowledgement {
        self.stage.answer(&self.accounts, &self.subject, &self.cancellation, (epoch, revision)).await
    }
}

fn instant(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn cny(minor_units: i64) -> Money {
    Money { currency_code: "CNY".into(), minor_units }
}

fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Caller::local());
    request
}

fn reason(status: &Status) -> String {
    status.get_error_details().error_info().unwrap().reason.clone()
}

#[tokio::test]
async fn a_balance_blocks_until_it_is_paid_out_and_then_the_benefits_lapse() {
    let world = World::new().await;
    world.record_balance("", 12_840).await.unwrap();
    let points = world.record_benefit("").await;
    world.instruct(InstructionKind::Assess, 1, None).await;
    let blocked = world.answer(1, 1).await.assessment.unwrap();
    assert_eq!(blocked.blockers[0].amount, Some(cny(12_840)));
    assert_eq!(blocked.items.len(), 1);

    // The answer moves on by itself.
    assert_eq!(world.pay_out("").await.unwrap().paid_out, [cny(12_840)]);
    let clear = world.answer(1, 2).await;
    assert_eq!(clear.assessment.as_ref().unwrap().blockers, []);

    world.instruct(InstructionKind::Execute, 2, Some(&clear)).await;
    // What was paid out is a record that outlives the account.
    let closed = world.answer(2, 1).await;
    assert_eq!((closed.outcome(), closed.kept.len()), (Outcome::Restricted, 1));
    let wallet = world.wallet().await;
    assert_eq!(wallet.balances, []);
    assert_eq!(wallet.benefits[0].benefit_id, points.benefit_id);
    assert!(wallet.benefits[0].lapsed_at.is_some());

    let refused = world.record_balance("", 1).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "SUBJECT_CLOSED"));
}

#[tokio::test]
async fn what_was_paid_out_is_erased_when_its_date_comes_though_the_account_is_closed() {
    let world = World::new().await;
    world.record_balance("", 12_840).await.unwrap();
    world.pay_out("").await.unwrap();
    assert_eq!(world.wallet().await.payout_record, None);
    world.instruct(InstructionKind::Assess, 1, None).await;
    let clear = world.answer(1, 1).await;
    world.instruct(InstructionKind::Execute, 2, Some(&clear)).await;
    let told = world.answer(2, 1).await.kept.remove(0);

    let wallet = world.wallet().await;
    let record = wallet.payout_record.unwrap();
    assert_eq!(wallet.paid_out, [cny(12_840)]);
    assert_eq!((record.state(), record.ground), (PayoutRecordState::Restricted, told.ground));
    assert_eq!((record.source, record.restricted_until), (told.source, told.until));
    assert_eq!(record.rule, "cn.aml.transaction_records");

    world.stage.clock.set(told.until.as_ref().and_then(Timestamp::from_proto).unwrap());
    let erased = |account: &::participant::Account<domain::State>| account.state.paid_out.is_empty();
    world.stage.until(&world.accounts, &world.subject, erased).await;
    let wallet = world.wallet().await;
    let record = wallet.payout_record.unwrap();
    assert_eq!((wallet.paid_out, record.state()), (vec![], PayoutRecordState::Erased));
    assert_eq!((record.rule.as_str(), record.changed_at), ("cn.aml.transaction_records", told.until));
    assert_eq!(record.ground, "");
}

#[tokio::test]
async fn money_that_comes_in_after_the_quote_is_noticed_and_nothing_lapses() {
    let world = World::new().await;
    world.record_benefit("").await;
    world.instruct(InstructionKind::Assess, 1, None).await;
    let accepted = world.answer(1, 1).await;
    world.record_balance("", 500).await.unwrap();
    world.instruct(InstructionKind::Execute, 2, Some(&accepted)).await;
    assert_eq!(world.answer(2, 1).await.outcome(), Outcome::Changed);
    assert_eq!(world.wallet().await.benefits[0].lapsed_at, None);
    assert_eq!(world.wallet().await.balances, [cny(500)]);
}

#[tokio::test]
async fn a_repeated_payout_pays_once_and_another_finds_nothing() {
    let world = World::new().await;
    world.record_balance("r1", 12_840).await.unwrap();
    let first = world.pay_out("r2").await.unwrap();
    assert_eq!(world.pay_out("r2").await.unwrap(), first);
    assert_eq!(first.paid_out, [cny(12_840)]);
    // A late repetition of the first request does not put the money back.
    assert_eq!(world.record_balance("r1", 12_840).await.unwrap(), first);

    let refused = world.pay_out("r3").await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "NOTHING_TO_PAY_OUT"));
}

#[tokio::test]
async fn a_repeated_benefit_is_the_same_one() {
    let world = World::new().await;
    let first = world.record_benefit("r1").await;
    assert_eq!(world.record_benefit("r1").await, first);
    assert_eq!(world.wallet().await.benefits, [first]);
    let refused = world.record_balance("r1", 1).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::AlreadyExists, "REQUEST_ID_TAKEN"));
}

#[tokio::test]
async fn bad_fields_and_an_unknown_subject_are_refused() {
    let world = World::new().await;
    let refused = world.api.record_benefit(request(RecordBenefitRequest::default())).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.get_error_details().bad_request().unwrap().field_violations.len(), 3);
    let unknown = GetWalletRequest { subject_id: "sbj_2".into() };
    assert_eq!(world.api.get_wallet(request(unknown)).await.unwrap_err().code(), Code::NotFound);
}

fn benefit(id: &str) -> Event {
    Event::BenefitRecorded(domain::Benefit {
        id: BenefitId::parse(id).unwrap(),
        kind: domain::BenefitKind::Points,
        quantity: 1_250,
        paid_value: None,
        expires_at: None,
        lapsed_at: None,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wallet_keeps_to_the_contract() {
    let given = |_: &SubjectId| vec![benefit("ben_1")];
    let scenario = Scenario::new(Wallet::default(), given)
        .changed_by([benefit("ben_2")])
        .adds(["exeunt.wallet.v1.BenefitLapsed"]);
    conformance::check(scenario).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_out_of_which_money_is_paid_keeps_to_the_contract_too() {
    let balance = types::Money { currency: Currency::parse("CNY").unwrap(), minor_units: 12_840 };
    let paid_out = Event::BalancePaidOut { amount: balance, at: None };
    let before = paid_out.clone();
    let scenario = Scenario::new(Wallet::default(), move |_| vec![benefit("ben_1"), before.clone()])
        .changed_by([benefit("ben_2")])
        .blocked_by([Event::BalanceRecorded(balance)], [paid_out])
        .adds(["exeunt.wallet.v1.BenefitLapsed", "exeunt.wallet.v1.PayoutRecordRestricted"]);
    conformance::check(scenario).await;
}
