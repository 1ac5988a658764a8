//! Events in, events out.

use std::sync::Arc;

use bytes::Bytes;
use event_store::{
    Append, AppendError, Expected, Guard, Metadata, NewEvent, Position, Recorded, StoreError, StoreOptions,
    StreamAppend,
};
use types::fresh_uuid;

use super::harness::{Fresh, any, appended, at, events, one, payloads, positions, stream, take};

pub async fn every_field_comes_back_as_it_went_in(db: Fresh) {
    let store = db.store().await;
    let metadata = Arc::new(Metadata {
        tenant: "tenant-ü".into(),
        actor: "actor".into(),
        causation: "cause/1".into(),
        correlation: "can_1".into(),
        traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into(),
    });
    let new = |kind: &'static str, schema, payload: &'static [u8]| NewEvent {
        id: fresh_uuid(),
        kind: kind.into(),
        schema,
        payload: Bytes::from_static(payload),
    };
    let append = StreamAppend {
        stream: stream("can_1"),
        expected: Expected::Exactly(0),
        metadata: metadata.clone(),
        at: at(1_700_000_000_123_456),
        events: vec![new("a.v1.Began", 1, b""), new("a.v1.Ended", u16::MAX, b"\0\x01\xff' \"")],
    };
    let expected: Vec<_> = append
        .events
        .iter()
        .zip(1..)
        .map(|(event, n)| Recorded {
            position: Position(n),
            stream: stream("can_1"),
            version: n,
            id: event.id,
            kind: event.kind.as_ref().into(),
            schema: event.schema,
            at: append.at,
            metadata: metadata.clone(),
            payload: event.payload.clone(),
        })
        .collect();

    let mut tail = store.tail(Position(0));
    store.append(Append { streams: vec![append], ..Append::default() }).await.unwrap();
    assert_eq!(store.load(&stream("can_1")).await.unwrap(), expected);
    assert_eq!(store.read(Position(0), 10).await.unwrap(), expected);
    assert_eq!(take(&mut tail, 2).await, expected);
    assert_eq!(store.head().await.unwrap(), Position(2));
}

pub async fn an_expected_version_must_stand(db: Fresh) {
    let store = db.store().await;
    assert_eq!(store.append(one("a", 0, "1")).await.unwrap(), appended(1, 1));
    assert_eq!(store.append(any("a", "2")).await.unwrap(), appended(2, 2));
    assert_eq!(store.append(one("a", 2, "3")).await.unwrap(), appended(3, 3));
    assert_eq!(store.append(any("b", "1")).await.unwrap(), appended(4, 1));
    for wrong in [0, 2, 4] {
        let refused = store.append(one("a", wrong, "no")).await.unwrap_err();
        assert!(matches!(&refused, AppendError::Conflict(s) if *s == [stream("a")]), "{refused:?}");
    }
    assert!(store.append(one("new", 1, "no")).await.is_err());
    assert_eq!(payloads(&store.load(&stream("a")).await.unwrap()), ["1", "2", "3"]);
    assert_eq!(store.head().await.unwrap(), Position(4));
}

pub async fn a_guarded_stream_must_not_have_moved(db: Fresh) {
    let store = db.store().await;
    let guarded = |version, expected| Append {
        guards: vec![Guard { stream: stream("subject"), version }],
        ..one("a", expected, "x")
    };
    store.append(guarded(0, 0)).await.unwrap();
    store.append(one("subject", 0, "closed")).await.unwrap();
    let refused = store.append(guarded(0, 1)).await.unwrap_err();
    assert!(matches!(&refused, AppendError::Conflict(s) if *s == [stream("subject")]), "{refused:?}");
    let refused = store.append(guarded(0, 7)).await.unwrap_err();
    assert!(matches!(&refused, AppendError::Conflict(s) if *s == [stream("a"), stream("subject")]));
    store.append(guarded(1, 1)).await.unwrap();
}

pub async fn a_conflict_names_its_streams_and_leaves_its_neighbours_be(db: Fresh) {
    let store = db.store().await;
    store.append(one("a", 0, "1")).await.unwrap();
    let conflicting = Append {
        streams: vec![
            events("fine", Expected::Exactly(0), &["no"]),
            events("a", Expected::Exactly(0), &["no"]),
            events("b", Expected::Exactly(3), &["no"]),
        ],
        ..Append::default()
    };
    let verdicts = store
        .engine()
        .commit(&Arc::new(vec![one("c", 0, "1"), conflicting, one("d", 0, "1")]))
        .await
        .unwrap();
    assert_eq!(verdicts[0].as_ref().unwrap(), &appended(2, 1));
    assert!(matches!(&verdicts[1], Err(AppendError::Conflict(s)) if *s == [stream("a"), stream("b")]));
    assert_eq!(verdicts[2].as_ref().unwrap(), &appended(3, 1));
    assert!(store.load(&stream("fine")).await.unwrap().is_empty());
    assert_eq!(positions(&store.read(Position(0), 10).await.unwrap()), [1, 2, 3]);
}

pub async fn an_append_sees_those_before_it_in_its_batch(db: Fresh) {
    let store = db.store().await;
    let batch = Arc::new(vec![one("a", 0, "1"), one("a", 0, "no"), one("a", 1, "2"), any("a", "3")]);
    let verdicts = store.engine().commit(&batch).await.unwrap();
    assert_eq!(verdicts[0].as_ref().unwrap(), &appended(1, 1));
    assert!(matches!(&verdicts[1], Err(AppendError::Conflict(_))));
    assert_eq!(verdicts[2].as_ref().unwrap(), &appended(2, 2));
    assert_eq!(verdicts[3].as_ref().unwrap(), &appended(3, 3));
    assert_eq!(payloads(&store.load(&stream("a")).await.unwrap()), ["1", "2", "3"]);
}

pub async fn a_stream_goes_on_with_other_metadata_in_one_append(db: Fresh) {
    let store = db.store().await;
    let mut tail = store.tail(Position(0));
    let mut second = events("a", Expected::Any, &["3"]);
    second.at = at(2_000);
    let streams =
        vec![events("a", Expected::Exactly(0), &["1", "2"]), events("b", Expected::Any, &["1"]), second];
    let done = store.append(Append { streams, ..Append::default() }).await.unwrap();
    assert_eq!((done.position, done.versions), (Position(4), vec![2, 1, 3]));
    let loaded = store.load(&stream("a")).await.unwrap();
    assert_eq!((payloads(&loaded), positions(&loaded)), (vec!["1", "2", "3"], vec![1, 2, 4]));
    assert_eq!(loaded.iter().map(|e| e.at).collect::<Vec<_>>(), [at(1_000), at(1_000), at(2_000)]);
    // What memory tells is what the table holds.
    assert_eq!(take(&mut tail, 4).await, store.read(Position(0), 10).await.unwrap());
}

pub async fn streams_load_in_the_order_asked(db: Fresh) {
    let store = db.store().await;
    for (name, version) in [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2)] {
        store.append(one(name, version, &format!("{name}{version}"))).await.unwrap();
    }
    let asked = [stream("b"), stream("none"), stream("a"), stream("b")];
    let loaded = store.load_many(&asked).await.unwrap();
    let loaded: Vec<_> = loaded.iter().map(|events| payloads(events)).collect();
    assert_eq!(loaded, [vec!["b0", "b1"], vec![], vec!["a0", "a1", "a2"], vec!["b0", "b1"]]);
    assert!(store.load_many(&[]).await.unwrap().is_empty());
}

pub async fn a_batch_of_any_size_comes_back_whole(db: Fresh) {
    let store = db.store().await;
    // Around each length of a statement, and more than one of the longest.
    let mut head = 0;
    for count in [1, 15, 16, 17, 31, 64, 127, 128, 129, 300] {
        let streams: Vec<_> =
            (0..count).map(|i| events(&format!("s{count}-{i}"), Expected::Exactly(0), &["x", "y"])).collect();
        let names: Vec<_> = streams.iter().map(|s| s.stream.clone()).collect();
        let done = store.append(Append { streams, ..Append::default() }).await.unwrap();
        head += 2 * count;
        assert_eq!(done.position, Position(head));
        assert!(done.versions.iter().all(|version| *version == 2));
        let loaded = store.load_many(&names).await.unwrap();
        assert!(loaded.iter().all(|events| payloads(events) == ["x", "y"]));
    }
    let all = store.read(Position(0), usize::MAX).await.unwrap();
    assert_eq!(positions(&all), (1..=head).collect::<Vec<_>>());
}

pub async fn an_append_without_events_stands_at_the_position_before_it(db: Fresh) {
    let store = db.store().await;
    let nothing = store.append(Append::default()).await.unwrap();
    assert_eq!((nothing.position, nothing.versions.len()), (Position(0), 0));
    store.append(one("a", 0, "1")).await.unwrap();
    let looked = Append { streams: vec![events("a", Expected::Exactly(1), &[])], ..Append::default() };
    assert_eq!(store.append(looked.clone()).await.unwrap(), appended(1, 1));
    store.append(one("a", 1, "2")).await.unwrap();
    assert!(matches!(store.append(looked).await, Err(AppendError::Conflict(_))));
}

pub async fn what_cannot_be_stored_is_refused_before_it_queues(db: Fresh) {
    let store = db.store_with(StoreOptions { event_bytes_max: 8, ..StoreOptions::default() }).await;
    store.append(one("a", 0, "12345678")).await.unwrap();
    let refused = store.append(one("a", 1, "123456789")).await.unwrap_err();
    assert!(matches!(refused, AppendError::Oversize { bytes: 9, limit: 8 }), "{refused:?}");
    let twice = Append {
        streams: vec![events("b", Expected::Any, &["1"]), events("b", Expected::Exactly(1), &["2"])],
        ..Append::default()
    };
    for wrong in [one("", 0, "x"), one(&"n".repeat(65), 0, "x"), twice] {
        let refused = store.append(wrong).await.unwrap_err();
        assert!(matches!(refused, AppendError::Store(StoreError::Corrupt(_))), "{refused:?}");
    }
    assert_eq!(store.head().await.unwrap(), Position(1));
}
