//! Timers as rows.

use event_store::{Append, Store, Timer, TimerChange};
use types::Timestamp;

use super::harness::{Fresh, at, stream};

fn set(name: &str, kind: &str, due: i64) -> TimerChange {
    TimerChange::Set { stream: stream(name), kind: kind.into(), due: at(due) }
}

fn clear(name: &str, kind: &str) -> TimerChange {
    TimerChange::Clear { stream: stream(name), kind: kind.into() }
}

fn timer(name: &str, kind: &str, due: i64) -> Timer {
    Timer { stream: stream(name), kind: kind.into(), due: at(due) }
}

async fn change(store: &Store, timers: Vec<TimerChange>) {
    store.append(Append { timers, ..Append::default() }).await.unwrap();
}

const LATER: i64 = 1_000_000;

async fn all(store: &Store) -> Vec<Timer> {
    store.due_timers(at(LATER), 100).await.unwrap()
}

pub async fn timers_are_set_moved_and_cleared(db: Fresh) {
    let store = db.store().await;
    assert_eq!(store.next_timer().await.unwrap(), None);
    change(&store, vec![set("a", "deadline", 30), set("a", "reminder", 20), set("b", "deadline", 10)]).await;
    assert_eq!(store.next_timer().await.unwrap(), Some(at(10)));
    change(&store, vec![set("b", "deadline", 40), clear("a", "reminder"), clear("nobody", "deadline")]).await;
    assert_eq!(all(&store).await, [timer("a", "deadline", 30), timer("b", "deadline", 40)]);
    // The last change of one batch stands.
    change(&store, vec![clear("a", "deadline"), set("a", "deadline", 50), set("b", "x", 1), clear("b", "x")])
        .await;
    assert_eq!(all(&store).await, [timer("b", "deadline", 40), timer("a", "deadline", 50)]);
    change(&store, vec![clear("a", "deadline"), clear("b", "deadline")]).await;
    assert_eq!(store.next_timer().await.unwrap(), None::<Timestamp>);
}

pub async fn due_timers_come_earliest_first(db: Fresh) {
    let store = db.store().await;
    change(&store, vec![set("c", "k", 20), set("a", "k", 30), set("b", "k", 20), set("b", "j", 20)]).await;
    assert!(store.due_timers(at(19), 100).await.unwrap().is_empty());
    let due = [timer("b", "j", 20), timer("b", "k", 20), timer("c", "k", 20)];
    assert_eq!(store.due_timers(at(20), 100).await.unwrap(), due);
    assert_eq!(store.due_timers(at(LATER), 2).await.unwrap(), due[..2]);
}
