//! What goes wrong, and what is left of it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use event_store::{
    Append, AppendError, Claim, Guard, Listing, LogOffset, OffsetAdvance, Position, Store, StoreError,
    StoreOptions, TimerChange,
};
use futures::{future::join_all, poll};

use super::{
    doubles,
    harness::{Dialect, Fresh, any, appended, at, bytes, event, one, payloads, positions, stream, take},
};

pub async fn what_conflicts_leaves_nothing_behind(db: Fresh) {
    let store = db.store().await;
    let full = |guard| Append {
        guards: vec![Guard { stream: stream("guarded"), version: guard }],
        claims: vec![Claim { key: "k".to_owned(), value: bytes("v") }],
        timers: vec![TimerChange::Set { stream: stream("a"), kind: "t".into(), due: at(1) }],
        offsets: vec![OffsetAdvance {
            from: None,
            to: LogOffset {
                consumer: "c".into(),
                topic: "t".into(),
                partition: 0,
                incarnation: "u".into(),
                next: 1,
            },
        }],
        listings: vec![Listing {
            stream: stream("a"),
            list: "l".into(),
            owner: "o".into(),
            state: "s".into(),
            since: at(1),
        }],
        ..one("a", 0, "x")
    };
    assert!(matches!(store.append(full(1)).await, Err(AppendError::Conflict(_))));
    assert_eq!(store.head().await.unwrap(), Position(0));
    assert_eq!(store.claim("k").await.unwrap(), None);
    assert_eq!(store.next_timer().await.unwrap(), None);
    assert!(store.offsets("c").await.unwrap().is_empty());
    // The same parts, allowed, take effect together.
    store.append(full(0)).await.unwrap();
    assert_eq!(store.claim("k").await.unwrap(), Some(bytes("v")));
    assert_eq!(store.next_timer().await.unwrap(), Some(at(1)));
    assert_eq!(store.offsets("c").await.unwrap().len(), 1);
}

pub async fn what_was_acknowledged_is_there_after_reopening(db: Fresh) {
    for n in 0..3 {
        let store = db.store().await;
        assert_eq!(store.head().await.unwrap(), Position(n));
        assert_eq!(store.append(one("a", n, "x")).await.unwrap(), appended(n + 1, n + 1));
        store.close().await;
        assert!(matches!(store.append(any("a", "no")).await, Err(AppendError::Store(_))));
    }
}

pub async fn migrations_apply_once_however_many_open_at_once(db: Fresh) {
    let stores = join_all((0..4).map(|_| db.store())).await;
    for (n, store) in (0..).zip(&stores) {
        assert_eq!(store.append(one("a", n, "x")).await.unwrap(), appended(n + 1, n + 1));
    }
    assert_eq!(db.store().await.load(&stream("a")).await.unwrap().len(), 4);
}

pub async fn appends_that_gather_share_a_transaction(db: Fresh) {
    let gated = doubles::closed(db.store().await.engine().clone());
    let options = StoreOptions { batch_appends_max: 6, ..StoreOptions::default() };
    let store = Store::with_engine(gated.clone(), options);
    let first = tokio::join!(store.append(one("a", 0, "x")), async {
        gated.wait_arrived(1).await;
        // These come while the first commits: six fit in one transaction, the rest goes in another.
        let appends = (0..10).map(|n| store.append(one(&format!("b{n}"), 0, "x")));
        let (done, ()) = tokio::join!(join_all(appends), async {
            gated.gate.add_permits(100);
        });
        assert!(done.iter().all(Result::is_ok));
    })
    .0;
    assert_eq!(first.unwrap().position, Position(1));
    assert_eq!(*gated.arrived.borrow(), [1, 6, 4]);
    assert_eq!(store.head().await.unwrap(), Position(11));
}

pub async fn a_full_queue_says_so(db: Fresh) {
    let gated = doubles::closed(db.store().await.engine().clone());
    let options = StoreOptions {
        queue_appends_max: 1,
        queue_wait_max: Duration::from_millis(10),
        batch_appends_max: 1,
        ..StoreOptions::default()
    };
    let store = Store::with_engine(gated.clone(), options);
    let (mut first, mut second) =
        (std::pin::pin!(store.append(any("a", "1"))), std::pin::pin!(store.append(any("a", "2"))));
    assert!(poll!(first.as_mut()).is_pending());
    gated.wait_arrived(1).await;
    assert!(poll!(second.as_mut()).is_pending());
    assert!(matches!(store.append(any("a", "no")).await, Err(AppendError::Busy)));
    gated.gate.add_permits(100);
    assert!(first.await.is_ok() && second.await.is_ok());
    store.append(any("a", "3")).await.unwrap();
    assert_eq!(payloads(&store.load(&stream("a")).await.unwrap()), ["1", "2", "3"]);
}

pub async fn reads_that_gather_share_a_query_and_each_gets_its_own(db: Fresh) {
    let store = db.store().await;
    for n in 0..20 {
        let claims = vec![Claim { key: format!("k{n}"), value: bytes(&format!("v{n}")) }];
        store.append(Append { claims, ..one(&format!("s{n}"), 0, &format!("{n}")) }).await.unwrap();
    }
    let names: Vec<_> = (0..25).map(|n| [stream(&format!("s{n}")), stream("s0")]).collect();
    let loads = names.iter().map(|pair| store.load_many(pair));
    for (n, loaded) in join_all(loads).await.into_iter().enumerate() {
        let loaded = loaded.unwrap();
        let own = format!("{n}");
        assert_eq!(payloads(&loaded[0]), if n < 20 { vec![&*own] } else { vec![] });
        assert_eq!(payloads(&loaded[1]), ["0"]);
    }
    let keys: Vec<_> = (0..25).map(|n| format!("k{n}")).collect();
    for (n, value) in join_all(keys.iter().map(|key| store.claim(key))).await.into_iter().enumerate() {
        assert_eq!(value.unwrap(), (n < 20).then(|| bytes(&format!("v{n}"))));
    }
}

pub async fn an_append_nobody_waits_for_is_whole(db: Fresh) {
    let gated = doubles::closed(db.store().await.engine().clone());
    let store = Store::with_engine(gated.clone(), StoreOptions::default());
    {
        let mut given_up = std::pin::pin!(store.append(one("a", 0, "1")));
        assert!(poll!(given_up.as_mut()).is_pending());
        gated.wait_arrived(1).await;
    }
    gated.gate.add_permits(100);
    // The next one comes after it, and finds what it did.
    assert_eq!(store.append(one("a", 1, "2")).await.unwrap(), appended(2, 2));
    // A commit left in the middle leaves the connection to be made again, and all or nothing.
    let engine = db.store().await.engine().clone();
    for polls in 0..12 {
        let append = Arc::new(vec![any("b", "x")]);
        let mut left = engine.commit(&append);
        for _ in 0..polls {
            let _ = poll!(left.as_mut());
            tokio::task::yield_now().await;
        }
        drop(left);
        engine.commit(&Arc::new(vec![any("c", "x")])).await.unwrap()[0].as_ref().unwrap();
    }
    assert_eq!(store.load(&stream("c")).await.unwrap().len(), 12);
    let all = store.read(Position(0), usize::MAX).await.unwrap();
    assert_eq!(positions(&all), (1..=all.len() as u64).collect::<Vec<_>>());
}

pub async fn closing_commits_what_waits_and_takes_no_more(db: Fresh) {
    let gated = doubles::closed(db.store().await.engine().clone());
    let store = Store::with_engine(gated.clone(), StoreOptions::default());
    let appends = join_all((0..5).map(|n| store.append(one(&format!("s{n}"), 0, "x"))));
    let (done, ()) = tokio::join!(appends, async {
        gated.wait_arrived(1).await;
        gated.gate.add_permits(100);
        store.close().await;
    });
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    assert!(store.append(any("a", "no")).await.is_err());
    assert_eq!(db.store().await.head().await.unwrap(), Position(5));
}

pub async fn a_failed_transaction_fails_its_appends_and_no_others(db: Fresh) {
    let gated = doubles::open(db.store().await.engine().clone());
    let store = Store::with_engine(gated.clone(), StoreOptions::default());
    gated.broken.store(true, Ordering::SeqCst);
    let refused = store.append(one("a", 0, "x")).await.unwrap_err();
    assert!(matches!(refused, AppendError::Store(StoreError::Unavailable(_))), "{refused:?}");
    gated.broken.store(false, Ordering::SeqCst);
    assert_eq!(store.append(one("a", 0, "x")).await.unwrap(), appended(1, 1));
}

pub async fn a_full_disk_is_unavailable_until_there_is_room_again(db: Fresh) {
    db.store().await.close().await;
    let mut raw = db.raw().await;
    raw.run("create table ballast (x blob); insert into ballast values (zeroblob(1000000));").await;
    let pages = raw.number("pragma page_count").await;
    let url = format!("{}?max_page_count={}", db.url, pages + 20);
    let store = Store::open(&url, StoreOptions::default()).await.unwrap();
    let mut tail = store.tail(Position(0));

    let payload = "x".repeat(10_000);
    let mut stored = 0;
    let refused = loop {
        assert!(stored < 100, "the disk does not fill");
        match store.append(one("a", stored, &payload)).await {
            Ok(_) => stored += 1,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, AppendError::Store(StoreError::Unavailable(_))), "{refused:?}");
    assert!(stored > 0);
    assert!(store.append(one("a", stored, &payload)).await.is_err());
    assert_eq!(store.head().await.unwrap(), Position(stored));

    raw.run("drop table ballast").await;
    store.append(one("a", stored, "room")).await.unwrap();
    let seen = take(&mut tail, usize::try_from(stored).unwrap() + 1).await;
    assert_eq!(positions(&seen), (1..=stored + 1).collect::<Vec<_>>());
}

pub async fn connections_that_were_cut_are_made_again(db: Fresh) {
    assert!(db.dialect == Dialect::Postgres);
    let store = db.store().await;
    let mut tail = store.tail(Position(0));
    let mut again = tokio::time::interval(Duration::from_millis(10));
    for n in 0..3 {
        store.append(one("a", n, "x")).await.unwrap();
        let mut raw = db.raw().await;
        raw.run(
            "select pg_terminate_backend(pid) from pg_stat_activity \
             where datname = current_database() and pid <> pg_backend_pid()",
        )
        .await;
        // A read may find a connection that just died; the next ones find others.
        while store.head().await.is_err() {
            again.tick().await;
        }
    }
    store.append(one("a", 3, "x")).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 4 {
        seen.extend(tail.next(10).await.unwrap_or_default());
    }
    assert_eq!(positions(&seen), [1, 2, 3, 4]);
}

pub async fn what_the_database_refuses_does_not_take_its_neighbours_with_it(db: Fresh) {
    let gated = doubles::closed(db.store().await.engine().clone());
    let store = Store::with_engine(gated.clone(), StoreOptions::default());
    let mut poison = one("poison", 0, "x");
    poison.streams[0].events[0].kind = "nul\0".into();
    poison.streams[0].events.push(event("y"));
    let (first, poisoned, last, ()) = tokio::join!(
        store.append(one("a", 0, "x")),
        store.append(poison),
        store.append(one("a", 1, "x")),
        async {
            gated.gate.add_permits(100);
        }
    );
    assert_eq!((first.unwrap(), last.unwrap()), (appended(1, 1), appended(2, 2)));
    assert!(matches!(poisoned, Err(AppendError::Store(StoreError::Corrupt(_)))), "{poisoned:?}");
}
