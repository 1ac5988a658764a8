//! Consumers' offsets, compared and set.

use std::sync::Arc;

use event_store::{Append, AppendError, LogOffset, OffsetAdvance, Position, Store};

use super::harness::{Fresh, one};

fn offset(partition: i32, incarnation: &str, next: i64) -> LogOffset {
    LogOffset {
        consumer: "role".into(),
        topic: "topic".into(),
        partition,
        incarnation: incarnation.into(),
        next,
    }
}

fn advance(partition: i32, from: Option<(&str, i64)>, to: (&str, i64)) -> OffsetAdvance {
    let from = from.map(|(incarnation, next)| (incarnation.into(), next));
    OffsetAdvance { from, to: offset(partition, to.0, to.1) }
}

async fn moved(store: &Store, offsets: Vec<OffsetAdvance>) -> Vec<Option<LogOffset>> {
    match store.append(Append { offsets, ..one("never", 0, "x") }).await {
        Err(AppendError::OffsetMoved { current }) => current,
        other => panic!("{other:?}"),
    }
}

async fn advanced(store: &Store, offsets: Vec<OffsetAdvance>) {
    store.append(Append { offsets, ..Append::default() }).await.unwrap();
}

pub async fn an_offset_moves_only_from_where_it_stands(db: Fresh) {
    let (ours, theirs) = (db.store().await, db.store().await);
    assert!(ours.offsets("role").await.unwrap().is_empty());
    advanced(&ours, vec![advance(0, None, ("u1", 5)), advance(1, None, ("u1", 7))]).await;
    // The other owner believed that there was no row, or an older one.
    assert_eq!(moved(&theirs, vec![advance(0, None, ("u1", 3))]).await, [Some(offset(0, "u1", 5))]);
    let late = vec![advance(0, Some(("u1", 5)), ("u1", 6)), advance(1, Some(("u1", 5)), ("u1", 6))];
    assert_eq!(moved(&theirs, late).await, [Some(offset(1, "u1", 7))]);
    assert_eq!(moved(&theirs, vec![advance(2, Some(("u1", 1)), ("u1", 2))]).await, [None]);
    advanced(&theirs, vec![advance(0, Some(("u1", 5)), ("u1", 9))]).await;
    assert_eq!(moved(&ours, vec![advance(0, Some(("u1", 5)), ("u1", 8))]).await, [Some(offset(0, "u1", 9))]);
    assert_eq!(ours.offsets("role").await.unwrap(), [offset(0, "u1", 9), offset(1, "u1", 7)]);
    assert!(ours.offsets("another").await.unwrap().is_empty());
    assert_eq!(ours.head().await.unwrap(), Position(0));

    // Two in one transaction: the second is judged after the first.
    let batch = [("u1", 10), ("u1", 11)]
        .map(|to| Append { offsets: vec![advance(0, Some(("u1", 9)), to)], ..Append::default() });
    let verdicts = ours.engine().commit(&Arc::new(Vec::from(batch))).await.unwrap();
    assert!(verdicts[0].is_ok());
    assert!(
        matches!(&verdicts[1], Err(AppendError::OffsetMoved { current }) if *current == [Some(offset(0, "u1", 10))])
    );
}

pub async fn an_offset_goes_on_in_another_incarnation(db: Fresh) {
    let store = db.store().await;
    advanced(&store, vec![advance(0, None, ("u1", 500))]).await;
    assert_eq!(
        moved(&store, vec![advance(0, Some(("u2", 500)), ("u2", 501))]).await,
        [Some(offset(0, "u1", 500))]
    );
    advanced(&store, vec![advance(0, Some(("u1", 500)), ("u2", 0))]).await;
    assert_eq!(store.offsets("role").await.unwrap(), [offset(0, "u2", 0)]);
}
