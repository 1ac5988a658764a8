//! Timers: rows that facts set, and that go in the transaction of what they make happen.

use std::{sync::Arc, time::Duration};

use event_store::{Append, TimerChange};
use participant::{AccountError, Runtime, stream_of, timers::fire_due};
use testkit::{ALARM, Fault, Toy, ToyEvent};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use types::Timestamp;

use crate::{World, start};

fn after(seconds: u64) -> Timestamp {
    start().plus(Duration::from_secs(seconds))
}

fn alarm(seconds: u64) -> Vec<ToyEvent> {
    vec![ToyEvent::AlarmSet { at: after(seconds) }]
}

#[tokio::test]
async fn a_timer_fires_when_it_is_due_once_and_again_when_it_sets_itself_anew() {
    let world = World::new().await;
    let subject = world.subject(alarm(60)).await;
    assert_eq!(fire_due(&world.accounts).await.unwrap(), 0);
    world.stage.clock.set(after(60));
    assert_eq!(fire_due(&world.accounts).await.unwrap(), 1);
    assert_eq!(fire_due(&world.accounts).await.unwrap(), 0);
    assert_eq!(world.state(&subject).await.rang, 1);
    assert_eq!(world.stage.store.next_timer().await.unwrap(), Some(after(60 + 86_400)));
    world.stage.clock.advance(Duration::from_secs(86_400));
    assert_eq!(fire_due(&world.accounts).await.unwrap(), 1);
    assert_eq!(world.state(&subject).await.rang, 2);
    assert_eq!(world.stage.store.next_timer().await.unwrap(), None);
}

#[tokio::test]
async fn a_timer_that_was_moved_since_it_was_found_due_is_left_be() {
    let world = World::new().await;
    let subject = world.subject(alarm(60)).await;
    world.record(&subject, alarm(900)).await;
    // As whoever found it due sees it, who looked before it was moved.
    let stale = TimerChange::Set { stream: stream_of(&subject), kind: ALARM.into(), due: after(60) };
    world.stage.store.append(Append { timers: vec![stale], ..Append::default() }).await.unwrap();
    world.stage.clock.set(after(61));
    assert_eq!(fire_due(&world.accounts).await.unwrap(), 0);
    assert_eq!(world.state(&subject).await.rang, 0);
    assert!(world.stage.store.next_timer().await.unwrap().is_some());
}

#[tokio::test]
async fn a_timer_that_cannot_be_fired_stands_in_no_others_way() {
    let world = World::new().await;
    let (strange, well) = (world.subject(alarm(1)).await, world.subject(alarm(2)).await);
    world.spoil(&strange, "toy.v9.Strange", 1).await;
    world.stage.clock.set(after(2));
    assert!(matches!(fire_due(&world.accounts).await, Err(AccountError::Unreadable(_))));
    assert_eq!(world.state(&well).await.rang, 1);
}

#[tokio::test]
async fn a_timer_whose_commit_fails_fires_again_to_the_same_effect() {
    for fault in [Fault::Before, Fault::After] {
        let world = World::new().await;
        let subject = world.subject(alarm(1)).await;
        world.stage.clock.set(after(1));
        world.engine.fail_next(fault);
        assert!(matches!(fire_due(&world.accounts).await, Err(AccountError::Store(_))));
        fire_due(&world.accounts).await.unwrap();
        assert_eq!(world.state(&subject).await.rang, 1);
    }
}

#[tokio::test]
async fn a_running_participant_fires_by_itself_more_than_one_rounds_worth() {
    let world = World::new().await;
    let mut subjects = Vec::new();
    for _ in 0..120 {
        subjects.push(world.subject(alarm(60)).await);
    }
    let runtime = Runtime::new(Arc::new(Toy::quick()), world.stage.options(), true).await.unwrap();
    let shutdown = CancellationToken::new();
    let mut running = JoinSet::new();
    running.spawn(runtime.run(shutdown.clone()));
    world.stage.clock.set(after(60));
    for subject in &subjects {
        world.stage.until(&world.accounts, subject, |account| account.state.rang == 1).await;
    }
    shutdown.cancel();
    running.join_next().await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn more_timers_that_cannot_be_fired_than_a_round_has_stand_in_no_others_way() {
    let world = World::new().await;
    for _ in 0..210 {
        let strange = world.subject(alarm(1)).await;
        world.spoil(&strange, "toy.v9.Strange", 1).await;
    }
    let well = world.subject(alarm(2)).await;
    let runtime = Runtime::new(Arc::new(Toy::quick()), world.stage.options(), true).await.unwrap();
    let shutdown = CancellationToken::new();
    let mut running = JoinSet::new();
    running.spawn(runtime.run(shutdown.clone()));
    world.stage.clock.set(after(2));
    world.stage.until(&world.accounts, &well, |account| account.state.rang == 1).await;
    shutdown.cancel();
    running.join_next().await.unwrap().unwrap().unwrap();
}
