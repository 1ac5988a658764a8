//! The whole service on a store and a log in files, through its handlers.

use std::sync::{Arc, LazyLock};

use ::participant::timers;
use keys::Secret;
use proto::{
    participant::v1::{Acknowledgement, InstructionKind, Outcome},
    retention::v1::{
        Controller, DataCategory, DataSet, DataSetState, ListDataSetsRequest, RecordDataSetRequest,
        retention_service_server::RetentionService,
    },
};
use testkit::{
    Stage, Told,
    conformance::{self, Scenario},
};
use tokio::task::JoinSet;
use tonic::{Code, Request};
use tonic_types::StatusExt;
use types::{Action, Caller, CancellationId, Item, ItemKind, ParticipantName, Scope, SubjectId, Timestamp};

use super::*;
use crate::domain::{Category, Content, DataSetId, Event, NewDataSet};

mod devices;
mod holding;

struct World {
    stage: Stage,
    api: Api,
    accounts: Accounts<Retention>,
    subject: SubjectId,
    cancellation: CancellationId,
    /// Ends the service when it is dropped.
    _running: JoinSet<Result<(), RunError>>,
}

impl World {
    async fn new() -> Self {
        let stage = Stage::open(instant("2026-12-01T04:00:00Z")).await;
        let secret = Arc::new(Secret::from_bytes([7; 32]));
        let service =
            build(Options { participant: stage.options(), secret: secret.clone(), packs: packs() }).await;
        let service = service.unwrap();
        let accounts = service.accounts().clone();
        let mut running = JoinSet::new();
        running.spawn(service.run(CancellationToken::new()));
        let subject = SubjectId::parse("sbj_1").unwrap();
        stage.register(&subject).await;
        let cancellation = CancellationId::parse("can_1").unwrap();
        let api = Api::new(accounts.clone(), secret);
        Self { stage, api, accounts, subject, cancellation, _running: running }
    }

    fn new_data_set(&self, request_id: &str, category: DataCategory) -> RecordDataSetRequest {
        RecordDataSetRequest {
            request_id: request_id.into(),
            subject_id: self.subject.to_string(),
            system: "ledger".into(),
            controller: Some(Controller {
                name: "Example Pay".into(),
                jurisdiction: "CN".into(),
                ..Controller::default()
            }),
            category: category.into(),
            last_event_at: Some(instant("2026-11-21T04:00:00Z").to_proto()),
            evidence_of: String::new(),
        }
    }

    async fn record(&self, request_id: &str, category: DataCategory) -> DataSet {
        let message = self.new_data_set(request_id, category);
        self.api.record_data_set(request(message)).await.unwrap().into_inner().data_set.unwrap()
    }

    async fn list(&self, ground: &str) -> Vec<DataSet> {
        let message = ListDataSetsRequest { subject_id: self.subject.to_string(), ground: ground.into() };
        self.api.list_data_sets(request(message)).await.unwrap().into_inner().data_sets
    }

    /// The first instruction to end the whole account.
    fn told(&self) -> Told<'_> {
        static RETENTION: LazyLock<ParticipantName> =
            LazyLock::new(|| ParticipantName::parse("retention").unwrap());
        Told {
            participant: &RETENTION,
            cancellation: &self.cancellation,
            subject: &self.subject,
            kind: InstructionKind::Assess,
            epoch: 1,
            scope: &Scope::WholeAccount,
        }
    }

    /// Assesses the end of the whole account.
    async fn assess(&self) -> (Told<'_>, Acknowledgement) {
        let assess = self.told();
        self.stage.instruct(assess).await;
        (assess, self.answer(1).await)
    }

    /// Assesses and executes the end of the whole account.
    async fn close(&self) -> Outcome {
        let (assess, assessed) = self.assess().await;
        let execute = Told { kind: InstructionKind::Execute, epoch: 2, ..assess };
        self.stage.instruct_as_assessed(execute, &assessed).await;
        self.answer(2).await.outcome()
    }

    async fn answer(&self, epoch: u32) -> Acknowledgement {
        self.stage.answer(&self.accounts, &self.subject, &self.cancellation, (epoch, 1)).await
    }
}

fn packs() -> Arc<Packs> {
    Arc::new(Packs::read(&policy::Files::built_in()).unwrap())
}

fn instant(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Caller::local());
    request
}

#[tokio::test]
async fn a_closed_account_shows_what_is_kept_and_no_longer_holds_the_rest() {
    let world = World::new().await;
    let transactions = world.record("", DataCategory::TransactionRecords).await;
    world.record("", DataCategory::Marketing).await;
    assert_eq!(transactions.state(), DataSetState::Held);
    assert_eq!(world.list("").await[0], transactions);

    assert_eq!(world.close().await, Outcome::Restricted);

    let [kept, erased] = world.list("").await.try_into().unwrap();
    assert_eq!(kept.state(), DataSetState::Restricted);
    assert_eq!((kept.system.as_str(), kept.last_event_at), ("", None));
    assert_eq!(kept.ground, "ANTI_MONEY_LAUNDERING");
    let until = instant("2036-11-20T16:00:00Z").to_proto();
    assert_eq!(kept.restricted_until, Some(until));
    assert_eq!(erased.state(), DataSetState::Erased);
    assert_eq!((erased.system.as_str(), erased.last_event_at), ("", None));
    assert_eq!(erased.source, "Network Data Reg. Art. 24, PIPL Art. 47");
    assert!(erased.changed_at.is_some());

    let on_its_ground = world.list("ANTI_MONEY_LAUNDERING").await;
    assert_eq!(on_its_ground[0].system, "ledger");
    assert_eq!(on_its_ground[1], erased);
    assert_eq!(world.list("NETWORK_SECURITY").await[0], kept);
}

#[tokio::test]
async fn what_is_kept_is_erased_when_its_date_comes_though_the_account_is_closed() {
    let world = World::new().await;
    world.record("", DataCategory::TransactionRecords).await;
    world.close().await;
    world.stage.clock.set(instant("2036-11-20T15:59:59Z"));
    assert_eq!(timers::fire_due(&world.accounts).await.unwrap(), 0);
    world.stage.clock.set(instant("2036-11-20T16:00:00Z"));
    timers::fire_due(&world.accounts).await.unwrap();
    assert_eq!(world.list("ANTI_MONEY_LAUNDERING").await[0].state(), DataSetState::Erased);
}

#[tokio::test]
async fn a_repeated_request_is_answered_alike_and_another_under_its_id_is_refused() {
    let world = World::new().await;
    let first = world.record("r1", DataCategory::Profile).await;
    assert_eq!(world.record("r1", DataCategory::Profile).await, first);
    assert_eq!(world.list("").await.len(), 1);

    let other = world.new_data_set("r1", DataCategory::Marketing);
    let refused = world.api.record_data_set(request(other)).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    let details = refused.get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["first"], first.data_set_id);
}

#[tokio::test]
async fn after_closure_nothing_is_recorded_any_more() {
    let world = World::new().await;
    world.record("", DataCategory::Profile).await;
    assert_eq!(world.close().await, Outcome::Done);
    let late = world.new_data_set("", DataCategory::Profile);
    let refused = world.api.record_data_set(request(late)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(refused.get_error_details().error_info().unwrap().reason, "SUBJECT_CLOSED");
}

#[tokio::test]
async fn bad_fields_an_unknown_subject_and_one_set_too_many_are_refused_with_their_reasons() {
    let world = World::new().await;
    let refused = world.api.record_data_set(request(RecordDataSetRequest::default())).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.get_error_details().bad_request().unwrap().field_violations.len(), 5);

    let unknown = ListDataSetsRequest { subject_id: "sbj_2".into(), ground: String::new() };
    let refused = world.api.list_data_sets(request(unknown)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);

    for _ in 0..domain::DATA_SETS_MAX {
        world.record("", DataCategory::Profile).await;
    }
    let refused = world.api.record_data_set(request(world.new_data_set("", DataCategory::Profile))).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(refused.get_error_details().error_info().unwrap().reason, "DATA_SETS_TOO_MANY");
}

/// A data set of which something is left, and one of which nothing is.
fn data_sets(subject: &SubjectId) -> Vec<Event> {
    let recorded = |(name, category)| {
        Event::Recorded(NewDataSet {
            id: DataSetId::parse(&format!("dat_{name}_{subject}")).unwrap(),
            subject: subject.clone(),
            controller: domain::Controller {
                name: "Example Pay".into(),
                jurisdiction: "CN".into(),
                class: None,
            },
            category,
            content: Content { system: "ledger".into(), last_event_at: instant("2026-11-21T04:00:00Z") },
            evidence_of: None,
        })
    };
    [("kept", Category::TransactionRecords), ("gone", Category::Marketing)].map(recorded).to_vec()
}

fn scenario() -> Scenario<Retention> {
    let stranger = SubjectId::parse("sbj_x").unwrap();
    let retention = Retention::new(packs());
    Scenario::new(retention, data_sets).changed_by(data_sets(&stranger).pop())
}

#[tokio::test(flavor = "multi_thread")]
async fn b17_what_is_held_keeps_to_the_contract_too() {
    let with_hold = |subject: &SubjectId| {
        let mut events = data_sets(subject);
        events.push(holding::over_everything(subject));
        events
    };
    let retention = Retention::new(packs());
    let scenario =
        Scenario::new(retention, with_hold).changed_by(data_sets(&SubjectId::parse("sbj_x").unwrap()).pop());
    let kinds = ["DataSetErased", "DataSetRestricted", "ErasureSuspended"]
        .map(|kind| format!("exeunt.retention.v1.{kind}"));
    conformance::check(scenario.then([holding::released()]).adds(kinds)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b17_an_account_that_is_held_as_a_whole_keeps_to_the_contract_too() {
    let only_kept = |subject: &SubjectId| {
        let kept = data_sets(subject).into_iter().take(1);
        kept.chain([holding::over_everything(subject)]).collect()
    };
    let scenario = Scenario::new(Retention::new(packs()), only_kept)
        .changed_by(data_sets(&SubjectId::parse("sbj_x").unwrap()).pop());
    let restricted = "exeunt.retention.v1.DataSetRestricted";
    conformance::check(scenario.then([holding::released()]).adds([restricted])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_keeps_to_the_contract() {
    let both = ["exeunt.retention.v1.DataSetErased", "exeunt.retention.v1.DataSetRestricted"];
    conformance::check(scenario().adds(both)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erasing_one_category_keeps_to_the_contract() {
    let id = "MARKETING".into();
    let item = Item { kind: ItemKind::DataCategory, id, action: Action::Erase };
    let scenario = scenario().ending(Scope::Selected(vec![item]));
    conformance::check(scenario.adds(["exeunt.retention.v1.DataSetErased"])).await;
}
