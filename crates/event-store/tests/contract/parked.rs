//! Records that wait for a person.

use event_store::{Append, ParkedChange, ParkedKey, ParkedRecord, ParkedState, Store};

use super::harness::{Fresh, at, bytes};

fn record(consumer: &str, partition: i32, offset: i64, key: &str, cause: &str) -> ParkedRecord {
    ParkedRecord {
        consumer: consumer.into(),
        topic: "topic".into(),
        partition,
        incarnation: "u1".into(),
        offset,
        key: bytes(key),
        headers: vec![("ce_id".into(), bytes("1")), ("ce_id".into(), bytes(""))],
        payload: bytes("\0payload"),
        cause: cause.into(),
        at: at(77),
        state: ParkedState::Parked,
    }
}

fn key(consumer: &str, partition: i32, key: &str) -> ParkedKey {
    ParkedKey { consumer: consumer.into(), topic: "topic".into(), partition, key: bytes(key) }
}

fn remove(of: &ParkedRecord) -> ParkedChange {
    let key = ParkedKey {
        consumer: of.consumer.clone(),
        topic: of.topic.clone(),
        partition: of.partition,
        key: of.key.clone(),
    };
    ParkedChange::Remove { key, incarnation: of.incarnation.clone(), offset: of.offset }
}

async fn change(store: &Store, parked: Vec<ParkedChange>) {
    store.append(Append { parked, ..Append::default() }).await.unwrap();
}

async fn park(store: &Store, records: &[ParkedRecord]) {
    change(store, records.iter().cloned().map(ParkedChange::Park).collect()).await;
}

pub async fn a_record_is_parked_replayed_and_removed(db: Fresh) {
    let store = db.store().await;
    let first = record("role", 0, 10, "k", "undecodable");
    let second = record("role", 0, 11, "k", "behind");
    let other = record("role", 0, 12, "l", "panicked");
    park(&store, &[first.clone(), second.clone(), other.clone()]).await;
    assert_eq!(store.parked_of_key(&key("role", 0, "k"), 10).await.unwrap(), [first.clone(), second.clone()]);
    assert_eq!(store.parked_of_key(&key("role", 0, "k"), 1).await.unwrap(), std::slice::from_ref(&first));

    change(&store, vec![ParkedChange::Replay(key("role", 0, "k"))]).await;
    let replaying = |record: &ParkedRecord| ParkedRecord { state: ParkedState::Replaying, ..record.clone() };
    let found = store.parked_of_key(&key("role", 0, "k"), 10).await.unwrap();
    assert_eq!(found, [replaying(&first), replaying(&second)]);
    assert_eq!(store.parked_of_key(&key("role", 0, "l"), 10).await.unwrap(), [other]);

    // Parked again: the new cause and state stand, all else stays.
    let again = ParkedRecord { payload: bytes("changed"), cause: "unknown".into(), ..first.clone() };
    park(&store, &[again]).await;
    let found = store.parked_of_key(&key("role", 0, "k"), 1).await.unwrap();
    assert_eq!(found, [ParkedRecord { cause: "unknown".into(), ..first.clone() }]);

    change(&store, vec![remove(&first), remove(&second)]).await;
    assert!(store.parked_of_key(&key("role", 0, "k"), 10).await.unwrap().is_empty());
    assert_eq!(store.parked(None, None, 10).await.unwrap().rows.len(), 1);
}

pub async fn parked_records_are_told_in_order_page_by_page(db: Fresh) {
    let store = db.store().await;
    let records = [
        record("a", 0, 1, "k", "x"),
        record("a", 0, 2, "k", "x"),
        // The same place, for two consumers.
        record("b", 0, 2, "k", "x"),
        record("b", 1, 0, "k", "x"),
        record("a", 1, 5, "k", "x"),
    ];
    park(&store, &records).await;
    for limit in 1..7 {
        let (mut told, mut after) = (Vec::new(), None);
        loop {
            let page = store.parked(None, after, limit).await.unwrap();
            told.extend(page.rows);
            if !page.more {
                break;
            }
            after = told.last().map(|r| ("topic", r.partition, r.offset));
        }
        assert_eq!(told, records, "{limit}");
    }
    let page = store.parked(Some("b"), None, 1).await.unwrap();
    assert_eq!((page.rows.as_slice(), page.more), (&records[2..3], true));
    let page = store.parked(Some("b"), Some(("topic", 0, 2)), 1).await.unwrap();
    assert_eq!((page.rows.as_slice(), page.more), (&records[3..4], false));
}

pub async fn keys_tell_whether_they_are_replayed(db: Fresh) {
    let store = db.store().await;
    park(&store, &[record("r", 0, 1, "k", "x"), record("r", 0, 2, "l", "x"), record("r", 1, 1, "m", "x")])
        .await;
    change(&store, vec![ParkedChange::Replay(key("r", 0, "l"))]).await;
    // Behind a key that is replayed: still one that is replayed.
    park(&store, &[record("r", 0, 3, "l", "behind")]).await;
    let keys = store.parked_keys("r").await.unwrap();
    assert_eq!(keys, [(key("r", 0, "k"), false), (key("r", 0, "l"), true), (key("r", 1, "m"), false)]);
    assert!(store.parked_keys("s").await.unwrap().is_empty());
}

pub async fn changes_of_one_batch_take_effect_in_order(db: Fresh) {
    let store = db.store().await;
    let (first, second) = (record("r", 0, 1, "k", "x"), record("r", 0, 2, "k", "behind"));
    let recaused = ParkedRecord { cause: "y".into(), ..second.clone() };
    let changes = vec![
        ParkedChange::Park(first.clone()),
        ParkedChange::Park(second.clone()),
        ParkedChange::Park(recaused.clone()),
        ParkedChange::Replay(key("r", 0, "k")),
        ParkedChange::Replay(key("r", 0, "k")),
        remove(&first),
        remove(&first),
    ];
    change(&store, changes).await;
    let left = store.parked(None, None, 10).await.unwrap();
    assert_eq!(left.rows, [ParkedRecord { state: ParkedState::Replaying, ..recaused }]);
    change(&store, vec![remove(&second), ParkedChange::Park(first.clone())]).await;
    assert_eq!(store.parked(None, None, 10).await.unwrap().rows, [first]);
}
