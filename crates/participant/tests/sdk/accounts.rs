//! Writes: idempotent by the request's id, whoever else writes and whatever the store does.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use participant::{Account, AccountError, Runtime, Write, WriteError};
use proto::participant::v1::{InstructionKind, Outcome};
use testkit::{Fault, Stage, Told, Toy, ToyEvent, ToyState};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use types::{Caller, CancellationId, ParticipantName, Scope, SubjectId, Timestamp, fresh_uuid};

use crate::{World, start};

type Decided = Result<(Vec<ToyEvent>, String), &'static str>;

/// Something that can be done once: whoever does it again is refused.
fn once(state: &ToyState, _now: Timestamp) -> Decided {
    if state.units > 0 { Err("was done before") } else { Ok((vec![given(1)], "thing".into())) }
}

fn more(_state: &ToyState, _now: Timestamp) -> Decided {
    Ok((vec![given(1)], String::new()))
}

fn given(units: u32) -> ToyEvent {
    ToyEvent::Given { units }
}

#[tokio::test]
async fn a_repeated_request_finds_the_first_result_and_the_account_as_it_is_now() {
    let world = World::new().await;
    let subject = world.subject(vec![]).await;
    let first = world.accounts.write(world.request(&subject, "r1", 1), once).await.unwrap();
    assert_eq!((first.reference.as_str(), first.account.state.units), ("thing", 1));
    world.record(&subject, vec![given(4)]).await;
    let again = world.accounts.write(world.request(&subject, "r1", 1), once).await.unwrap();
    assert_eq!((again.reference.as_str(), again.account.state.units), ("thing", 5));
    let refused = world.accounts.write(world.request(&subject, "r2", 1), once).await;
    assert!(matches!(refused, Err(WriteError::Rejected("was done before"))));
}

#[tokio::test]
async fn a_request_id_used_for_something_else_tells_of_the_first() {
    let world = World::new().await;
    let subject = world.subject(vec![]).await;
    world.accounts.write(world.request(&subject, "r1", 1), once).await.unwrap();
    let taken = world.accounts.write(world.request(&subject, "r1", 2), once).await;
    let Err(WriteError::Account(AccountError::RequestIdTaken { reference })) = taken else {
        panic!("{taken:?}")
    };
    assert_eq!(reference, "thing");
}

#[tokio::test]
async fn a_refused_request_leaves_its_id_free() {
    let world = World::new().await;
    let subject = world.subject(vec![given(1)]).await;
    assert!(world.accounts.write(world.request(&subject, "r1", 1), once).await.is_err());
    assert!(world.accounts.write(world.request(&subject, "r1", 2), more).await.is_ok());
}

#[tokio::test]
async fn the_same_request_many_times_at_once_is_done_once_and_answered_alike() {
    let world = World::new().await;
    for _ in 0..20 {
        let subject = world.subject(vec![]).await;
        let id = fresh_uuid().to_string();
        let same = || world.accounts.write(world.request(&subject, &id, 1), once);
        for written in join_all((0..8).map(|_| same())).await {
            assert_eq!(written.unwrap().reference, "thing");
        }
        assert_eq!(world.state(&subject).await.units, 1);
    }
}

#[tokio::test]
async fn different_requests_at_once_all_take_place() {
    let world = World::new().await;
    let subject = world.subject(vec![]).await;
    let ids: Vec<_> = (0..60).map(|number| format!("r{number}")).collect();
    let all = ids.iter().map(|id| world.accounts.write(world.request(&subject, id, 1), more));
    for written in join_all(all).await {
        written.unwrap();
    }
    assert_eq!(world.state(&subject).await.units, 60);
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_found_when_it_is_repeated() {
    let world = World::new().await;
    for fault in [Fault::Before, Fault::After] {
        let subject = world.subject(vec![]).await;
        let id = format!("{fault:?}");
        world.engine.fail_next(fault);
        let failed = world.accounts.write(world.request(&subject, &id, 1), once).await;
        assert!(matches!(failed, Err(WriteError::Account(AccountError::Store(_)))));
        let written = world.accounts.write(world.request(&subject, &id, 1), once).await.unwrap();
        assert_eq!(written.reference, "thing");
        assert_eq!(world.state(&subject).await.units, 1);
    }
}

#[tokio::test]
async fn a_full_store_refuses_writes_and_still_answers_reads() {
    let world = World::new().await;
    let subject = world.subject(vec![given(2)]).await;
    world.engine.fill_up(true);
    let refused = world.accounts.write(world.request(&subject, "r1", 1), more).await;
    assert!(matches!(refused, Err(WriteError::Account(AccountError::Store(_)))));
    assert_eq!(world.state(&subject).await.units, 2);
    world.engine.fill_up(false);
    world.accounts.write(world.request(&subject, "r1", 1), more).await.unwrap();
    assert_eq!(world.state(&subject).await.units, 3);
}

#[tokio::test]
async fn a_subject_that_nobody_tells_of_is_not_found_after_two_seconds() {
    let world = World::new().await;
    let subject = SubjectId::mint(fresh_uuid());
    let begun = tokio::time::Instant::now();
    assert!(matches!(world.accounts.get(&subject).await, Err(AccountError::NotFound)));
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_secs(2) && waited < Duration::from_secs(10), "{waited:?}");
}

#[tokio::test]
async fn a_subject_that_identity_tells_of_meanwhile_is_found() {
    let stage = Stage::open(start()).await;
    let runtime = Runtime::new(Arc::new(Toy::quick()), stage.options(), true).await.unwrap();
    let (accounts, shutdown) = (runtime.accounts().clone(), CancellationToken::new());
    let mut running = JoinSet::new();
    running.spawn(runtime.run(shutdown.clone()));
    // The consumer has joined when this one is there; then telling of the next takes no time.
    let (first, next) = (SubjectId::mint(fresh_uuid()), SubjectId::mint(fresh_uuid()));
    stage.register(&first).await;
    stage.until(&accounts, &first, |account| account.known.is_some()).await;
    let (found, ()) = tokio::join!(accounts.get(&next), stage.register(&next));
    assert_eq!(found.unwrap().known.unwrap().0, "CN");
    shutdown.cancel();
    running.join_next().await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_thing_is_found_by_its_id_and_belongs_to_one_subject() {
    let world = World::new().await;
    let named = || ToyEvent::Named { id: "thing_1".into() };
    let owner = world.subject(vec![named(), named()]).await;
    assert_eq!(world.accounts.subject_of("thing_1").await.unwrap(), owner);
    assert!(matches!(world.accounts.subject_of("thing_2").await, Err(AccountError::NotFound)));

    let other = world.subject(vec![]).await;
    let take = |_: &ToyState, _| -> Decided { Ok((vec![named()], String::new())) };
    let taken = world.accounts.write(world.request(&other, "r1", 1), take).await;
    assert!(matches!(taken, Err(WriteError::Account(AccountError::Conflict))));
    assert_eq!(world.accounts.subject_of("thing_1").await.unwrap(), owner);
}

#[tokio::test]
async fn a_history_that_this_program_cannot_read_stops_its_subject_only() {
    let world = World::new().await;
    let (strange, newer, well) =
        (world.subject(vec![]).await, world.subject(vec![]).await, world.subject(vec![given(1)]).await);
    world.spoil(&strange, "toy.v9.Strange", 1).await;
    world.spoil(&newer, "exeunt.participant.v1.Answered", 2).await;
    for subject in [strange, newer] {
        assert!(matches!(world.accounts.get(&subject).await, Err(AccountError::Unreadable(_))));
        let written = world.accounts.write(world.request(&subject, "", 1), more).await;
        assert!(matches!(written, Err(WriteError::Account(AccountError::Unreadable(_)))));
    }
    assert_eq!(world.state(&well).await.units, 1);
}

#[tokio::test]
async fn of_many_quotes_that_nobody_confirmed_only_the_newest_are_kept_true() {
    let stage = Stage::open(start()).await;
    let runtime = Runtime::new(Arc::new(Toy::quick()), stage.options(), true).await.unwrap();
    let (accounts, shutdown) = (runtime.accounts().clone(), CancellationToken::new());
    let mut running = JoinSet::new();
    running.spawn(runtime.run(shutdown.clone()));
    let (subject, toy) = (SubjectId::mint(fresh_uuid()), ParticipantName::parse("toy").unwrap());
    stage.register(&subject).await;
    stage.until(&accounts, &subject, |account| account.known.is_some()).await;
    let mut cases = Vec::new();
    for _ in 0..10 {
        let cancellation = CancellationId::mint(fresh_uuid());
        let (kind, epoch, scope) = (InstructionKind::Assess, 1, &Scope::WholeAccount);
        let told =
            Told { participant: &toy, cancellation: &cancellation, subject: &subject, kind, epoch, scope };
        stage.instruct(told).await;
        stage.answer(&accounts, &subject, &cancellation, (1, 1)).await;
        stage.clock.advance(Duration::from_secs(1));
        cases.push(cancellation);
    }
    accounts.record(&subject, "test", |_, _| (vec![given(1)], Vec::new())).await.unwrap();
    let account = accounts.get(&subject).await.unwrap();
    let revisions: Vec<_> = cases.iter().map(|case| account.cases[case].revision).collect();
    assert_eq!(revisions, [1, 1, 2, 2, 2, 2, 2, 2, 2, 2]);
    shutdown.cancel();
    running.join_next().await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn an_order_is_taken_into_an_account_that_is_closed_and_a_write_is_not() {
    let stage = Stage::open(start()).await;
    let runtime = Runtime::new(Arc::new(Toy::quick()), stage.options(), true).await.unwrap();
    let (accounts, shutdown) = (runtime.accounts().clone(), CancellationToken::new());
    let mut running = JoinSet::new();
    running.spawn(runtime.run(shutdown.clone()));
    let (subject, toy) = (SubjectId::mint(fresh_uuid()), ParticipantName::parse("toy").unwrap());
    let cancellation = CancellationId::mint(fresh_uuid());
    stage.register(&subject).await;
    let (kind, epoch, scope) = (InstructionKind::Execute, 1, &Scope::WholeAccount);
    stage
        .instruct(Told {
            participant: &toy,
            cancellation: &cancellation,
            subject: &subject,
            kind,
            epoch,
            scope,
        })
        .await;
    stage.until(&accounts, &subject, |account| account.closed.is_some()).await;

    let caller = Caller::local();
    let write = Write { caller: &caller, request_id: "r1", digest: [1; 32], subject: &subject };
    let refused = accounts.write(write.clone(), more).await;
    assert!(matches!(refused, Err(WriteError::Account(AccountError::Closed))));
    let order = |account: &Account<ToyState>, _: Timestamp| -> Decided {
        assert_eq!(account.closed.as_ref(), Some(&cancellation), "it sees that");
        Ok((vec![ToyEvent::Named { id: "order_1".into() }], "order".into()))
    };
    let ordered = accounts.order(write.clone(), order).await.unwrap();
    assert_eq!(accounts.order(write, order).await.unwrap().reference, ordered.reference);
    assert_eq!(accounts.subject_of("order_1").await.unwrap(), subject);
    shutdown.cancel();
    running.join_next().await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn of_a_closed_account_nothing_is_left_that_could_be_other_than_accepted() {
    let stage = Stage::open(start()).await;
    let runtime = Runtime::new(Arc::new(Toy::quick()), stage.options(), true).await.unwrap();
    let accounts = runtime.accounts().clone();
    let mut running = JoinSet::new();
    running.spawn(runtime.run(CancellationToken::new()));
    let (subject, toy) = (SubjectId::mint(fresh_uuid()), ParticipantName::parse("toy").unwrap());
    stage.register(&subject).await;
    stage.until(&accounts, &subject, |account| account.known.is_some()).await;
    accounts.record(&subject, "test", |_, _| (vec![given(3)], Vec::new())).await.unwrap();
    let [one, other] = ["can_1", "can_2"].map(|id| CancellationId::parse(id).unwrap());
    let told = |cancellation, kind, epoch| {
        let scope = &Scope::WholeAccount;
        Told { participant: &toy, cancellation, subject: &subject, kind, epoch, scope }
    };
    stage.instruct(told(&other, InstructionKind::Assess, 1)).await;
    let accepted = stage.answer(&accounts, &subject, &other, (1, 1)).await;
    // Both were confirmed, and the first closes the account while the second is under way.
    stage.instruct(told(&one, InstructionKind::Execute, 1)).await;
    stage.until(&accounts, &subject, |account| account.closed.is_some()).await;
    stage.instruct_as_assessed(told(&other, InstructionKind::Execute, 2), &accepted).await;
    let answer = stage.answer(&accounts, &subject, &other, (2, 1)).await;
    assert_eq!(answer.outcome(), Outcome::NothingToDo);
}
