//! Open cancellations that an older release left without a timer.

use std::time::Duration;

use event_store::{Append, Store, TimerChange};
use proto::cancellation::v1::{AttentionCause, State};
use testkit::Fault;
use types::{CancellationId, Clock as _};

use super::harness::{Coordinator, Home, one_item, subject};
use crate::{streams, sweep};

const HOUR: Duration = Duration::from_secs(3_600);

/// More than two pages of cancellations, as an older release had them; one of them has ended.
async fn older(coordinator: &Coordinator, store: &Store) -> Vec<CancellationId> {
    let mut ids = Vec::new();
    for n in 0..2 * sweep::PAGE + 3 {
        let who = subject(&format!("sbj_{n}"));
        coordinator.know(&who).await;
        ids.push(coordinator.request(&who, one_item(), "").await);
    }
    let ended = ids.swap_remove(7);
    coordinator.complete(&ended).await;
    let timers = ids
        .iter()
        .map(|id| TimerChange::Clear { stream: streams::of_case(id), kind: "case".into() })
        .collect();
    store.append(Append { timers, ..Append::default() }).await.unwrap();
    ids
}

async fn timers(home: &Home) -> usize {
    let later = home.stage.clock.now().plus(24 * HOUR);
    home.stage.store.due_timers(later, 10_000).await.unwrap().len()
}

async fn swept(home: Home) {
    let coordinator = home.coordinator().await;
    let ids = older(&coordinator, &home.stage.store).await;
    assert_eq!(timers(&home).await, 0);
    // It is cut short after the first page, and goes on from there.
    assert!(sweep::step(&coordinator.cancellations).await.unwrap());
    assert_eq!(timers(&home).await, sweep::PAGE);
    home.engine.fail_next(Fault::Before);
    while sweep::step(&coordinator.cancellations).await.unwrap_or(true) {}
    assert_eq!(timers(&home).await, ids.len());
    // And is done once.
    let loaded = home.stage.store.loaded();
    assert!(!sweep::step(&coordinator.cancellations).await.unwrap());
    assert_eq!(home.stage.store.loaded(), loaded);
    // Nobody touches them, and still it is found that nobody answers.
    home.stage.clock.advance(HOUR);
    while messaging::fire_due(&home.stage.store, &*home.stage.clock, &coordinator.cancellations)
        .await
        .unwrap()
        > 0
    {}
    for id in &ids {
        let told = coordinator.cancellations.get(id).await.unwrap();
        assert_eq!(told.state(), State::Assessing);
        assert_eq!(told.attention[0].cause(), AttentionCause::AnswerOverdue);
    }
}

#[tokio::test]
async fn what_an_older_release_left_without_a_timer_gets_one_on_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let store = testkit::temp_store(directory.path()).await;
    swept(Home::new().await.on(&store)).await;
}

#[tokio::test]
async fn what_an_older_release_left_without_a_timer_gets_one_on_postgresql() {
    let Some(store) = testkit::temp_postgres().await else {
        eprintln!("skipped: no PostgreSQL is named");
        return;
    };
    swept(Home::new().await.on(&store)).await;
}
