//! Positions: gapless, in commit order, whoever appends.

use std::{collections::HashMap, time::Duration};

use event_store::{AppendError, Position, Store, StoreError, StoreOptions};
use tokio::task::JoinSet;

use super::harness::{Fresh, Raw, any, one, payloads, positions, take};

const APPENDERS: u64 = 8;
const APPENDS_EACH: u64 = 25;

/// Appends from many tasks, and checks that a tail gives each append once, in the order of positions, and
/// each appender's own in the order it made them.
async fn race(stores: &[Store], reader: &Store) {
    let mut tail = reader.tail(Position(0));
    let mut appenders = JoinSet::new();
    for appender in 0..APPENDERS {
        let store = stores[appender as usize % stores.len()].clone();
        appenders.spawn(async move {
            for n in 0..APPENDS_EACH {
                let name = format!("s{}", (appender + n) % 5);
                store.append(any(&name, &format!("{appender}/{n}"))).await.unwrap();
            }
        });
    }
    let total = APPENDERS * APPENDS_EACH;
    let seen = take(&mut tail, usize::try_from(total).unwrap()).await;
    while let Some(done) = appenders.join_next().await {
        done.unwrap();
    }
    assert_eq!(positions(&seen), (1..=total).collect::<Vec<_>>());
    let (mut next, mut versions) = (HashMap::new(), HashMap::new());
    for (payload, event) in payloads(&seen).iter().zip(&seen) {
        let (appender, n) = payload.split_once('/').unwrap();
        let due = next.entry(appender.to_owned()).or_insert(0);
        assert_eq!(n.parse::<u64>().unwrap(), *due);
        *due += 1;
        let version = versions.entry(event.stream.clone()).or_insert(0);
        *version += 1;
        assert_eq!(event.version, *version);
    }
    assert_eq!(reader.read(Position(0), usize::MAX).await.unwrap(), seen);
}

pub async fn positions_are_gapless_and_in_commit_order(db: Fresh) {
    let store = db.store().await;
    race(std::slice::from_ref(&store), &store).await;
}

pub async fn positions_are_gapless_across_two_stores(db: Fresh) {
    let stores = [db.store().await, db.store().await];
    race(&stores, &stores[0]).await;
}

/// Begins an append past the store, as another process would, and leaves it open.
async fn hold_open(db: &Fresh) -> Raw {
    let mut raw = db.raw().await;
    let insert = |id: &str| {
        format!(
            "insert into events (position, stream, version, id, kind, schema, at, tenant, actor, causation, \
             correlation, traceparent, payload) values (1, 'held', 1, {id}, 'k', 1, 0, '', '', '', '', '', 'held');"
        )
    };
    match &raw {
        Raw::Sqlite(_) => {
            raw.run("begin immediate").await;
            let insert = insert("x'00112233445566778899aabbccddeeff'");
            raw.run(&insert.replace("'held');", "cast('held' as blob));")).await;
        }
        Raw::Postgres(_) => {
            raw.run("begin; update counter set head = head + 1 where id = 1;").await;
            raw.run(&insert("'00112233-4455-6677-8899-aabbccddeeff'")).await;
        }
    }
    raw
}

pub async fn an_append_held_open_makes_later_ones_wait(db: Fresh) {
    let store = db.store().await;
    let mut tail = store.tail(Position(0));
    let mut held = hold_open(&db).await;
    let (appended, ()) = tokio::join!(store.append(one("a", 0, "later")), async {
        // What is not committed is not seen, and nothing after it either.
        assert!(store.read(Position(0), 10).await.unwrap().is_empty());
        held.run("commit").await;
    });
    assert_eq!(appended.unwrap().position, Position(2));
    let seen = take(&mut tail, 2).await;
    assert_eq!((payloads(&seen), positions(&seen)), (vec!["held", "later"], vec![1, 2]));
}

pub async fn an_append_held_open_for_too_long_is_unavailable_and_loses_nothing(db: Fresh) {
    let options = StoreOptions { lock_wait_max: Duration::from_millis(50), ..StoreOptions::default() };
    let store = db.store_with(options).await;
    let mut tail = store.tail(Position(0));
    let mut held = hold_open(&db).await;
    let refused = store.append(one("a", 0, "x")).await.unwrap_err();
    assert!(matches!(refused, AppendError::Store(StoreError::Unavailable(_))), "{refused:?}");
    held.run("commit").await;
    store.append(one("a", 0, "again")).await.unwrap();
    let seen = take(&mut tail, 2).await;
    assert_eq!((payloads(&seen), positions(&seen)), (vec!["held", "again"], vec![1, 2]));
}
