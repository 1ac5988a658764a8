//! What a process believes of the database, and what others did to it meanwhile. On PostgreSQL, where
//! several processes share one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use event_store::{
    Append, AppendError, Claim, Expected, Guard, LogOffset, OffsetAdvance, Position, Store, StoreError,
    StoreOptions,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::harness::{Fresh, any, appended, bytes, events, one, payloads, positions, stream};

/// Appends until the store has found out that it is alone.
async fn settle(store: &Store, name: &str) -> u64 {
    for version in 0..4 {
        store.append(one(name, version, "x")).await.unwrap();
    }
    4
}

fn guarding(name: &str, version: u64, append: Append) -> Append {
    Append { guards: vec![Guard { stream: stream(name), version }], ..append }
}

pub async fn what_another_process_appended_is_never_overlooked(db: Fresh) {
    let (ours, theirs) = (db.store().await, db.store().await);
    let mut version = settle(&ours, "a").await;
    for round in 0..10 {
        // They move the stream behind our back.
        theirs.append(one("a", version, "theirs")).await.unwrap();
        let refused = match round % 3 {
            0 => ours.append(one("a", version, "no")).await.unwrap_err(),
            1 => ours.append(guarding("a", version, one(&format!("b{round}"), 0, "no"))).await.unwrap_err(),
            _ => ours.append(one("a", version + 2, "no")).await.unwrap_err(),
        };
        assert!(matches!(&refused, AppendError::Conflict(s) if *s == [stream("a")]), "{refused:?}");
        version += 1;
        // Several in a row rely on what the first of them found.
        for _ in 0..round {
            version += 1;
            let done = ours.append(guarding("a", version - 1, one("a", version - 1, "ours"))).await.unwrap();
            assert_eq!(done.versions, [version]);
        }
    }
    let all = theirs.read(Position(0), usize::MAX).await.unwrap();
    assert_eq!(positions(&all), (1..=all.len() as u64).collect::<Vec<_>>());
    let loaded = ours.load(&stream("a")).await.unwrap();
    assert_eq!(loaded.iter().map(|e| e.version).collect::<Vec<_>>(), (1..=version).collect::<Vec<_>>());
}

pub async fn versions_that_were_never_read_are_verified_where_they_are_relied_on(db: Fresh) {
    let ours = db.store().await;
    settle(&ours, "a").await;
    for wrong in [1, 7] {
        assert!(matches!(ours.append(one("new", wrong, "no")).await, Err(AppendError::Conflict(_))));
        let guarded = guarding("new", wrong, one("b", 0, "no"));
        assert!(matches!(ours.append(guarded).await, Err(AppendError::Conflict(_))));
    }
    // A store that has just opened knows nothing, and believes what is so.
    let fresh = db.store().await;
    settle(&fresh, "z").await;
    fresh.append(guarding("none", 0, one("a", 4, "right"))).await.unwrap();
    assert!(matches!(fresh.append(one("a", 0, "no")).await, Err(AppendError::Conflict(_))));
    let many = (0..3000).map(|n| events(&format!("s{n}"), Expected::Exactly(0), &["1"])).collect();
    fresh.append(Append { streams: many, ..Append::default() }).await.unwrap();
    // More than is remembered.
    for round in 0..3 {
        let more =
            (0..3000).map(|n| events(&format!("r{round}-{n}"), Expected::Exactly(0), &["1"])).collect();
        fresh.append(Append { streams: more, ..Append::default() }).await.unwrap();
    }
    assert!(matches!(fresh.append(one("s7", 0, "no")).await, Err(AppendError::Conflict(_))));
    assert_eq!(fresh.append(one("s7", 1, "2")).await.unwrap().versions, [2]);
}

pub async fn claims_and_offsets_of_another_process_hold(db: Fresh) {
    let (ours, theirs) = (db.store().await, db.store().await);
    let mut version = settle(&ours, "a").await;
    let offset = |next| LogOffset {
        consumer: "c".into(),
        topic: "t".into(),
        partition: 0,
        incarnation: "u".into(),
        next,
    };
    let advance = |from: Option<i64>, to| Append {
        offsets: vec![OffsetAdvance { from: from.map(|from| ("u".into(), from)), to: offset(to) }],
        ..Append::default()
    };
    let claim = |key: &str, value: &str| Claim { key: key.to_owned(), value: bytes(value) };
    ours.append(advance(None, 1)).await.unwrap();
    for round in 0..5 {
        let key = format!("k{round}");
        let next = 1 + 2 * round;
        // Neither of these moves the store's head.
        theirs
            .append(Append { claims: vec![claim(&key, "theirs")], ..advance(Some(next), next + 1) })
            .await
            .unwrap();
        let late = Append { streams: one("a", version, "no").streams, ..advance(Some(next), next + 1) };
        let refused = ours.append(late).await.unwrap_err();
        assert!(
            matches!(&refused, AppendError::OffsetMoved { current } if *current == [Some(offset(next + 1))]),
            "{refused:?}"
        );
        let late = Append { claims: vec![claim(&key, "ours")], ..one("a", version, "no") };
        let refused = ours.append(late).await.unwrap_err();
        assert!(
            matches!(&refused, AppendError::Claimed { value, .. } if *value == bytes("theirs")),
            "{refused:?}"
        );
        let right = Append { streams: one("a", version, "x").streams, ..advance(Some(next + 1), next + 2) };
        ours.append(right).await.unwrap();
        version += 1;
    }
    assert_eq!(theirs.head().await.unwrap(), Position(version));
}

/// Passes everything on until it is told to swallow the server's next answer, with which it ends the
/// connection.
async fn proxy(server: String, swallow: Arc<AtomicBool>) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let (server, swallow) = (TcpStream::connect(&server).await.unwrap(), swallow.clone());
            connections.spawn(async move {
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                let answers = async {
                    let mut buffer = vec![0; 65_536];
                    while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
                        if swallow.load(Ordering::SeqCst)
                            || to_client.write_all(&buffer[..count]).await.is_err()
                        {
                            return;
                        }
                    }
                };
                tokio::select! {
                    () = answers => {}
                    _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
                }
            });
        }
    });
    (address, tasks)
}

pub async fn an_answer_that_was_lost_is_unavailable_and_never_a_conflict(db: Fresh) {
    let direct = db.store().await;
    let swallow = Arc::new(AtomicBool::new(false));
    let (_, place) = db.url.split_once('@').unwrap();
    let (server, _) = place.split_once('/').unwrap();
    let (address, _proxy) = proxy(server.to_owned(), swallow.clone()).await;
    let url = db.url.replace(server, &address);
    // Nothing but the append speaks meanwhile.
    let options = StoreOptions { poll_interval: Duration::from_secs(60), ..StoreOptions::default() };
    let store = Store::open(&url, options).await.unwrap();
    let mut version = settle(&store, "a").await;
    for _ in 0..3 {
        swallow.store(true, Ordering::SeqCst);
        let unknown = store.append(one("a", version, "unheard")).await.unwrap_err();
        assert!(matches!(unknown, AppendError::Store(StoreError::Unavailable(_))), "{unknown:?}");
        swallow.store(false, Ordering::SeqCst);
        // It was committed, or is about to be.
        while direct.load(&stream("a")).await.unwrap().len() as u64 == version {
            tokio::task::yield_now().await;
        }
        version += 1;
        assert!(matches!(store.append(one("a", version - 1, "no")).await, Err(AppendError::Conflict(_))));
        for _ in 0..3 {
            assert_eq!(
                store.append(one("a", version, "heard")).await.unwrap(),
                appended(version + 1, version + 1)
            );
            version += 1;
        }
    }
    let loaded = direct.load(&stream("a")).await.unwrap();
    assert_eq!(payloads(&loaded).iter().filter(|payload| **payload == "unheard").count(), 3);
    direct.append(any("a", "last")).await.unwrap();
}

/// Appends to a stream for as long as its gate is open, each time at the version just read; says how often
/// that went through.
async fn write_while_open(store: Store, name: String, gate: String) -> u64 {
    let mut done = 0;
    loop {
        let version = store.load(&stream(&name)).await.unwrap().len() as u64;
        match store.append(guarding(&gate, 0, one(&name, version, "x"))).await {
            Ok(_) => done += 1,
            Err(AppendError::Conflict(streams)) if streams.contains(&stream(&gate)) => return done,
            Err(AppendError::Conflict(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
}

pub async fn what_several_processes_do_at_once_breaks_no_guard_and_no_version(db: Fresh) {
    let stores = [db.store().await, db.store().await];
    let mut writers = JoinSet::new();
    for writer in 0..6 {
        let (name, gate) = (format!("s{}", writer % 3), format!("gate{}", writer % 3));
        writers.spawn(write_while_open(stores[writer % 2].clone(), name, gate));
    }
    for (n, store) in stores.iter().cycle().take(3).enumerate() {
        // Enough has been written to it by either process.
        while store.load(&stream(&format!("s{n}"))).await.unwrap().len() < 20 {
            tokio::task::yield_now().await;
        }
        store.append(one(&format!("gate{n}"), 0, "closed")).await.unwrap();
    }
    let mut done = 0;
    while let Some(count) = writers.join_next().await {
        done += count.unwrap();
    }
    let all = stores[0].read(Position(0), usize::MAX).await.unwrap();
    assert_eq!(positions(&all), (1..=all.len() as u64).collect::<Vec<_>>());
    assert_eq!(all.len() as u64, done + 3);
    for n in 0..3 {
        let written = stores[1].load(&stream(&format!("s{n}"))).await.unwrap();
        let closed = stores[1].load(&stream(&format!("gate{n}"))).await.unwrap()[0].position;
        assert!(written.iter().zip(1..).all(|(event, version)| event.version == version));
        assert!(written.iter().all(|event| event.position < closed));
    }
}
