//! Following the store.

use std::time::Duration;

use event_store::{Position, Store, StoreOptions};
use futures::poll;

use super::{
    doubles,
    harness::{Fresh, any, payloads, positions, take},
};

/// So long that only a wake-up can explain an answer within a case's time.
const NEVER: Duration = Duration::from_secs(3600);

pub async fn a_tail_gives_everything_once_and_in_order(db: Fresh) {
    let store = db.store_with(StoreOptions { poll_interval: NEVER, ..StoreOptions::default() }).await;
    store.append(any("a", "1")).await.unwrap();
    let mut tail = store.tail(Position(0));
    assert_eq!(payloads(&tail.next(10).await.unwrap()), ["1"]);
    assert_eq!(tail.position(), Position(1));
    let (seen, ()) = tokio::join!(take(&mut tail, 3), async {
        for payload in ["2", "3", "4"] {
            store.append(any("a", payload)).await.unwrap();
        }
    });
    assert_eq!(payloads(&seen), ["2", "3", "4"]);
    // From the middle, in small pages.
    let mut tail = store.tail(Position(1));
    assert_eq!(positions(&tail.next(2).await.unwrap()), [2, 3]);
    assert_eq!(positions(&tail.next(2).await.unwrap()), [4]);
}

pub async fn a_tail_without_wake_ups_gets_everything_by_polling(db: Fresh) {
    let options = StoreOptions { poll_interval: Duration::from_millis(10), ..StoreOptions::default() };
    let deaf = Store::with_engine(doubles::open(db.store().await.engine().clone()), options);
    let elsewhere = db.store().await;
    let mut tail = deaf.tail(Position(0));
    let (seen, ()) = tokio::join!(take(&mut tail, 6), async {
        for payload in ["1", "2", "3"] {
            elsewhere.append(any("a", payload)).await.unwrap();
            // Ours are in memory, theirs are not: neither may hide the other.
            deaf.append(any("b", payload)).await.unwrap();
        }
    });
    assert_eq!(payloads(&seen), ["1", "1", "2", "2", "3", "3"]);
    // At rest, with nothing of our own to follow, only the poll can find it.
    let idle = tokio::time::timeout(Duration::from_millis(50), tail.next(10)).await;
    assert!(idle.is_err(), "{idle:?}");
    elsewhere.append(any("a", "4")).await.unwrap();
    assert_eq!(payloads(&tail.next(10).await.unwrap()), ["4"]);
}

pub async fn a_tail_catches_up_from_the_table_when_memory_has_forgotten(db: Fresh) {
    let options = StoreOptions { poll_interval: NEVER, memory_events_max: 2, ..StoreOptions::default() };
    let store = db.store_with(options).await;
    let mut tail = store.tail(Position(0));
    for n in 0..20 {
        store.append(any("a", &n.to_string())).await.unwrap();
    }
    assert_eq!(positions(&take(&mut tail, 20).await), (1..=20).collect::<Vec<_>>());
    store.append(any("a", "after")).await.unwrap();
    assert_eq!(payloads(&tail.next(10).await.unwrap()), ["after"]);
}

pub async fn a_tail_dropped_while_it_waits_loses_nothing(db: Fresh) {
    let store = db.store_with(StoreOptions { poll_interval: NEVER, ..StoreOptions::default() }).await;
    let mut tail = store.tail(Position(0));
    for n in 1..=5 {
        // Given up at any point: before its read, in it, or waiting.
        for _ in 0..n {
            let mut waiting = std::pin::pin!(tail.next(10));
            assert!(poll!(waiting.as_mut()).is_pending());
            tokio::task::yield_now().await;
        }
        store.append(any("a", &n.to_string())).await.unwrap();
        assert_eq!(positions(&tail.next(10).await.unwrap()), [n]);
    }
}

pub async fn waiting_for_a_position_ends_when_it_is_passed(db: Fresh) {
    let store = db.store_with(StoreOptions { poll_interval: NEVER, ..StoreOptions::default() }).await;
    store.append(any("a", "1")).await.unwrap();
    store.appended_after(Position(0)).await;
    tokio::join!(store.appended_after(Position(1)), async {
        store.append(any("a", "2")).await.unwrap();
    });
    let polling = StoreOptions { poll_interval: Duration::from_millis(10), ..StoreOptions::default() };
    let deaf = Store::with_engine(doubles::open(store.engine().clone()), polling);
    tokio::join!(deaf.appended_after(Position(2)), async {
        store.append(any("a", "3")).await.unwrap();
    });
}

pub async fn an_append_elsewhere_wakes_a_tail(db: Fresh) {
    let store = db.store_with(StoreOptions { poll_interval: NEVER, ..StoreOptions::default() }).await;
    let elsewhere = db.store().await;
    let mut tail = store.tail(Position(0));
    for n in 1..=3 {
        let (seen, done) = tokio::join!(tail.next(10), elsewhere.append(any("a", "x")));
        done.unwrap();
        assert_eq!(positions(&seen.unwrap()), [n]);
    }
}
