//! Holds through the API, and what their ends and dates make happen by themselves.

use std::time::Duration;

use proto::{
    participant::v1::{Waiting, WaitingOn},
    retention::v1::{Hold, HoldState, ListHoldsRequest, PlaceHoldRequest, ReleaseHoldRequest},
};
use tonic::Status;

use super::*;
use crate::domain::{HoldId, NewHold, Reach, Release};

/// A hold over all that a subject has, as it is recorded.
pub fn over_everything(subject: &SubjectId) -> Event {
    Event::HoldPlaced(NewHold {
        id: HoldId::parse("hld_1").unwrap(),
        subject: subject.clone(),
        reach: Reach::default(),
        ground: "LITIGATION".into(),
        authority: "District Court, 2026-4711".into(),
        expires_at: None,
        actor: "legal".into(),
        placed_at: instant("2026-12-01T04:00:00Z"),
    })
}

/// That it was released.
pub fn released() -> Event {
    let at = instant("2026-12-02T04:00:00Z");
    let release = Release { reason: "settled".into(), actor: "legal".into(), at };
    Event::HoldReleased { id: HoldId::parse("hld_1").unwrap(), release }
}

impl World {
    fn new_hold(&self) -> PlaceHoldRequest {
        PlaceHoldRequest {
            request_id: "h1".into(),
            subject_id: self.subject.to_string(),
            ground: "LITIGATION".into(),
            authority: "District Court, 2026-4711".into(),
            ..PlaceHoldRequest::default()
        }
    }

    fn new_hold_on_marketing(&self) -> PlaceHoldRequest {
        PlaceHoldRequest { categories: vec![DataCategory::Marketing.into()], ..self.new_hold() }
    }

    async fn place(&self, hold: PlaceHoldRequest) -> Result<Hold, Status> {
        Ok(self.api.place_hold(request(hold)).await?.into_inner().hold.unwrap())
    }

    async fn release(&self, hold_id: &str) -> Result<Hold, Status> {
        let message = ReleaseHoldRequest {
            hold_id: hold_id.into(),
            reason: "settled".into(),
            actor: "legal-7".into(),
            ..ReleaseHoldRequest::default()
        };
        Ok(self.api.release_hold(request(message)).await?.into_inner().hold.unwrap())
    }

    async fn holds(&self) -> Vec<Hold> {
        let message = ListHoldsRequest { subject_id: self.subject.to_string() };
        self.api.list_holds(request(message)).await.unwrap().into_inner().holds
    }

    async fn states(&self) -> Vec<DataSetState> {
        self.list("").await.iter().map(DataSet::state).collect()
    }

    /// What EXECUTE is waiting for.
    async fn waiting(&self) -> Waiting {
        let answer = self.answer(2).await;
        assert_eq!(answer.outcome(), Outcome::Waiting);
        answer.waiting.unwrap()
    }

    /// What EXECUTE came to after it had waited.
    async fn second_answer(&self) -> Acknowledgement {
        self.stage.answer(&self.accounts, &self.subject, &self.cancellation, (2, 2)).await
    }

    async fn closed(&self) -> bool {
        self.accounts.get(&self.subject).await.unwrap().closed.is_some()
    }

    /// Records a data set that is evidence of the cancellation.
    async fn evidence(&self, category: DataCategory) {
        let new = self.new_data_set("", category);
        let new = RecordDataSetRequest { evidence_of: self.cancellation.to_string(), ..new };
        self.api.record_data_set(request(new)).await.unwrap();
    }
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap().reason
}

#[tokio::test]
async fn b17_an_account_closes_with_the_release_of_the_hold_that_it_waited_for() {
    let world = World::new().await;
    world.record("", DataCategory::TransactionRecords).await;
    world.record("", DataCategory::Marketing).await;
    world.record("", DataCategory::Profile).await;
    let placed = world.place(world.new_hold_on_marketing()).await.unwrap();
    assert_eq!((placed.state(), placed.actor.as_str()), (HoldState::Standing, "local"));
    assert_eq!(world.place(world.new_hold_on_marketing()).await.unwrap(), placed, "repeating adds nothing");

    assert_eq!(world.close().await, Outcome::Waiting);
    let waiting = world.waiting().await;
    assert_eq!((waiting.waiting_on(), waiting.until), (WaitingOn::Hold, None));
    let [_, held, _] = world.list("").await.try_into().unwrap();
    assert_eq!(waiting.item_ids, [held.data_set_id]);
    assert_eq!(
        (held.hold_ids, held.waiting_cancellation_ids),
        (vec![placed.hold_id.clone()], vec!["can_1".into()])
    );
    assert_eq!(world.states().await, [DataSetState::Restricted, DataSetState::Held, DataSetState::Erased]);
    assert!(!world.closed().await);

    let before = world.stage.store.head().await.unwrap();
    let released = world.release(&placed.hold_id).await.unwrap();
    assert_eq!((released.state(), released.released_by.as_str()), (HoldState::Released, "legal-7"));
    // In one transaction: the release, the erasure, the answer, and the end of the account.
    let mut tail = world.stage.store.tail(before);
    let added = tail.next(10).await.unwrap();
    let kinds: Vec<_> = added.iter().filter_map(|event| event.kind.rsplit('.').next()).collect();
    assert_eq!(kinds, ["HoldReleased", "DataSetErased", "Answered", "SubjectClosed"]);
    let answer = world.second_answer().await;
    assert_eq!((answer.outcome(), answer.kept.len()), (Outcome::Restricted, 1));
    assert_eq!(world.states().await, [DataSetState::Restricted, DataSetState::Erased, DataSetState::Erased]);
    assert_eq!(world.release(&placed.hold_id).await.unwrap(), released, "it has ended, and stays so");
    assert_eq!(world.holds().await, [released]);
}

#[tokio::test]
async fn b17_an_account_closes_when_the_hold_that_it_waits_for_expires() {
    let world = World::new().await;
    world.record("", DataCategory::Marketing).await;
    let end = instant("2026-12-31T00:00:00Z");
    world.place(PlaceHoldRequest { expires_at: Some(end.to_proto()), ..world.new_hold() }).await.unwrap();
    world.close().await;
    assert_eq!(world.waiting().await.until, Some(end.to_proto()));
    world.stage.clock.set(instant("2026-12-30T23:59:59Z"));
    assert_eq!(timers::fire_due(&world.accounts).await.unwrap(), 0);
    world.stage.clock.set(end);
    timers::fire_due(&world.accounts).await.unwrap();
    assert_eq!(world.second_answer().await.outcome(), Outcome::Done);
    assert!(world.closed().await);
    let [hold] = world.holds().await.try_into().unwrap();
    assert_eq!((hold.state(), hold.ended_at), (HoldState::Expired, Some(end.to_proto())));
}

#[tokio::test]
async fn b17_a_hold_over_everything_keeps_an_account_open_of_which_nothing_waits_to_be_erased() {
    let world = World::new().await;
    world.record("", DataCategory::TransactionRecords).await;
    let placed = world.place(world.new_hold()).await.unwrap();
    assert_eq!(world.close().await, Outcome::Waiting);
    let waiting = world.waiting().await;
    assert_eq!((waiting.waiting_on(), waiting.until), (WaitingOn::Hold, None));
    assert!(waiting.item_ids.is_empty(), "{waiting:?}");
    assert_eq!(world.states().await, [DataSetState::Restricted]);
    assert!(!world.closed().await);

    let before = world.stage.store.head().await.unwrap();
    world.release(&placed.hold_id).await.unwrap();
    let mut tail = world.stage.store.tail(before);
    let added = tail.next(10).await.unwrap();
    let kinds: Vec<_> = added.iter().filter_map(|event| event.kind.rsplit('.').next()).collect();
    assert_eq!(kinds, ["HoldReleased", "Answered", "SubjectClosed"]);
    let answer = world.second_answer().await;
    assert_eq!((answer.outcome(), answer.kept.len()), (Outcome::Restricted, 1));
}

#[tokio::test]
async fn b17_an_account_without_data_closes_when_the_hold_over_everything_expires() {
    let world = World::new().await;
    let end = instant("2026-12-31T00:00:00Z");
    world.place(PlaceHoldRequest { expires_at: Some(end.to_proto()), ..world.new_hold() }).await.unwrap();
    assert_eq!(world.close().await, Outcome::Waiting);
    assert_eq!(world.waiting().await.until, Some(end.to_proto()));
    world.stage.clock.set(end);
    timers::fire_due(&world.accounts).await.unwrap();
    assert_eq!(world.second_answer().await.outcome(), Outcome::NothingToDo);
    assert!(world.closed().await);
}

#[tokio::test]
async fn b17_an_account_that_only_waits_for_a_hold_over_everything_stays_open_when_its_end_is_undone() {
    let world = World::new().await;
    let placed = world.place(world.new_hold()).await.unwrap();
    assert_eq!(world.close().await, Outcome::Waiting);
    let refused = world.api.record_data_set(request(world.new_data_set("", DataCategory::Profile))).await;
    assert_eq!(reason(&refused.unwrap_err()), "SUBJECT_CLOSING");
    let undo = Told { kind: InstructionKind::Undo, epoch: 3, ..world.told() };
    world.stage.instruct(undo).await;
    assert_eq!(world.answer(3).await.outcome(), Outcome::NothingToDo);
    world.release(&placed.hold_id).await.unwrap();
    assert!(!world.closed().await);
    world.record("", DataCategory::Profile).await;
}

#[tokio::test]
async fn b17_what_a_closed_account_left_is_held_past_its_date_until_the_hold_is_released() {
    let world = World::new().await;
    world.record("", DataCategory::TransactionRecords).await;
    assert_eq!(world.close().await, Outcome::Restricted);
    assert!(world.closed().await);
    let late = world.new_data_set("", DataCategory::Profile);
    assert!(world.api.record_data_set(request(late)).await.is_err(), "nothing new comes in");
    let placed = world.place(world.new_hold()).await.unwrap();

    world.stage.clock.set(instant("2036-11-20T16:00:00Z"));
    timers::fire_due(&world.accounts).await.unwrap();
    assert_eq!(world.states().await, [DataSetState::Restricted]);
    world.stage.clock.set(instant("2037-01-01T00:00:00Z"));
    world.release(&placed.hold_id).await.unwrap();
    let [erased] = world.list("").await.try_into().unwrap();
    assert_eq!(erased.state(), DataSetState::Erased);
    assert_eq!(erased.changed_at, Some(instant("2037-01-01T00:00:00Z").to_proto()));
    let gone = PlaceHoldRequest {
        request_id: String::new(),
        data_set_ids: vec![erased.data_set_id],
        ..world.new_hold()
    };
    assert_eq!(reason(&world.place(gone).await.unwrap_err()), "NOTHING_TO_HOLD");
}

#[tokio::test]
async fn b17_a_hold_comes_between_confirmation_and_end_and_nobody_is_asked_again() {
    let world = World::new().await;
    world.record("", DataCategory::Marketing).await;
    let (assess, assessed) = world.assess().await;
    let first = world.place(world.new_hold()).await.unwrap();
    let execute = Told { kind: InstructionKind::Execute, epoch: 2, ..assess };
    world.stage.instruct_as_assessed(execute, &assessed).await;
    world.waiting().await;
    // Another one over the same: the end of the first alone changes nothing.
    let another = PlaceHoldRequest { request_id: "h2".into(), ..world.new_hold() };
    let second = world.place(another).await.unwrap();
    world.release(&first.hold_id).await.unwrap();
    assert!(!world.closed().await);
    world.release(&second.hold_id).await.unwrap();
    assert!(world.closed().await);
}

#[tokio::test]
async fn b17_an_execute_that_is_told_once_more_while_it_waits_goes_on_waiting() {
    let world = World::new().await;
    world.record("", DataCategory::TransactionRecords).await;
    world.record("", DataCategory::Marketing).await;
    let hold = world.place(world.new_hold_on_marketing()).await.unwrap();
    let (assess, assessed) = world.assess().await;
    for epoch in [2, 3] {
        let execute = Told { kind: InstructionKind::Execute, epoch, ..assess };
        world.stage.instruct_as_assessed(execute, &assessed).await;
        assert_eq!(world.answer(epoch).await.outcome(), Outcome::Waiting, "{epoch}");
    }
    world.release(&hold.hold_id).await.unwrap();
    let answer = world.stage.answer(&world.accounts, &world.subject, &world.cancellation, (3, 2)).await;
    assert_eq!((answer.outcome(), answer.kept.len()), (Outcome::Restricted, 1));
    assert!(world.closed().await);
}

#[tokio::test]
async fn b18_the_evidence_of_an_open_cancellation_outlasts_its_date_and_goes_with_its_end() {
    let world = World::new().await;
    world.evidence(DataCategory::DeviceLogs).await;
    world.record("", DataCategory::Marketing).await;
    let placed = world.place(world.new_hold_on_marketing()).await.unwrap();
    assert_eq!(world.close().await, Outcome::Waiting);
    // Six months after their last event the logs would go, but their cancellation is still open.
    for days in 0..3 {
        world.stage.clock.set(instant("2027-05-20T16:00:00Z").plus(Duration::from_hours(24 * days)));
        timers::fire_due(&world.accounts).await.unwrap();
        assert_eq!(world.states().await[0], DataSetState::Restricted);
    }
    world.release(&placed.hold_id).await.unwrap();
    assert!(world.closed().await);
    assert_eq!(world.states().await, [DataSetState::Erased, DataSetState::Erased]);
    assert_eq!(world.second_answer().await.outcome(), Outcome::Done, "nothing is kept any more");
}

#[tokio::test]
async fn b18_a_cancellation_leaves_the_evidence_of_another_until_that_has_ended() {
    let world = World::new().await;
    let other = CancellationId::parse("can_2").unwrap();
    let new = world.new_data_set("", DataCategory::Marketing);
    let of_another = RecordDataSetRequest { evidence_of: other.to_string(), ..new };
    world.api.record_data_set(request(of_another)).await.unwrap();
    let item = |id: &str| Item { kind: ItemKind::DataCategory, id: id.into(), action: Action::Erase };
    let (marketing, profile) =
        (Scope::Selected(vec![item("MARKETING")]), Scope::Selected(vec![item("PROFILE")]));
    let of_other = Told { cancellation: &other, scope: &profile, ..world.told() };
    world.stage.instruct(of_other).await;
    world.stage.answer(&world.accounts, &world.subject, &other, (1, 1)).await;

    let assess = Told { scope: &marketing, ..world.told() };
    world.stage.instruct(assess).await;
    let assessed = world.answer(1).await;
    let execute = Told { kind: InstructionKind::Execute, epoch: 2, ..assess };
    world.stage.instruct_as_assessed(execute, &assessed).await;
    let answer = world.answer(2).await;
    assert_eq!((answer.outcome(), answer.kept[0].ground.as_str()), (Outcome::Restricted, domain::EVIDENCE));
    for days in 1..3 {
        world.stage.clock.set(instant("2026-12-01T04:00:00Z").plus(Duration::from_hours(24 * days)));
        timers::fire_due(&world.accounts).await.unwrap();
        assert_eq!(world.states().await, [DataSetState::Restricted]);
    }
    let undo = Told { kind: InstructionKind::Undo, epoch: 2, ..of_other };
    world.stage.instruct(undo).await;
    world.stage.answer(&world.accounts, &world.subject, &other, (2, 1)).await;
    assert_eq!(world.states().await, [DataSetState::Erased]);
}

#[tokio::test]
async fn b18_what_is_evidence_of_nothing_that_is_open_goes_on_its_date() {
    let world = World::new().await;
    let new = world.new_data_set("", DataCategory::DeviceLogs);
    let of_another = RecordDataSetRequest { evidence_of: "can_elsewhere".into(), ..new };
    world.api.record_data_set(request(of_another)).await.unwrap();
    world.evidence(DataCategory::DeviceLogs).await;
    assert_eq!(world.close().await, Outcome::Restricted);
    world.stage.clock.set(instant("2027-05-20T16:00:00Z"));
    timers::fire_due(&world.accounts).await.unwrap();
    assert_eq!(world.states().await, [DataSetState::Erased, DataSetState::Erased]);
}

#[tokio::test]
async fn holds_that_cannot_be_are_refused_with_their_reasons() {
    let world = World::new().await;
    let set = world.record("", DataCategory::Marketing).await;
    let refused = world.place(PlaceHoldRequest::default()).await.unwrap_err();
    assert_eq!(refused.get_error_details().bad_request().unwrap().field_violations.len(), 3);
    let over = Some(instant("2026-11-30T00:00:00Z").to_proto());
    let refused = world.place(PlaceHoldRequest { expires_at: over, ..world.new_hold() }).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "HOLD_OVER"));
    for unknown in ["hld_unknown", &set.data_set_id] {
        let refused = world.release(unknown).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "NOT_FOUND"), "{unknown}");
    }
    for number in 0..domain::HOLDS_MAX {
        let request_id = format!("h{number}");
        world.place(PlaceHoldRequest { request_id, ..world.new_hold() }).await.unwrap();
    }
    let refused = world.place(PlaceHoldRequest { request_id: String::new(), ..world.new_hold() }).await;
    assert_eq!(reason(&refused.unwrap_err()), "HOLDS_TOO_MANY");
}

#[tokio::test]
async fn who_is_told_again_goes_on_with_what_it_has_begun_and_asks_nobody_anew() {
    let world = World::new().await;
    world.record("", DataCategory::Marketing).await;
    world.record("", DataCategory::Profile).await;
    let placed = world.place(world.new_hold_on_marketing()).await.unwrap();
    let (assess, assessed) = world.assess().await;
    let execute = |epoch| Told { kind: InstructionKind::Execute, epoch, ..assess };
    world.stage.instruct_as_assessed(execute(2), &assessed).await;
    assert_eq!(world.answer(2).await.outcome(), Outcome::Waiting);
    // The profile is gone since, which makes its own assessment another.
    world.stage.instruct_as_assessed(execute(3), &assessed).await;
    assert_eq!(world.answer(3).await.outcome(), Outcome::Waiting);
    world.release(&placed.hold_id).await.unwrap();
    let answer = world.stage.answer(&world.accounts, &world.subject, &world.cancellation, (3, 2)).await;
    assert_eq!(answer.outcome(), Outcome::Done);
}
