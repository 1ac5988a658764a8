//! Named locks.

use std::time::Duration;

use super::harness::Fresh;

pub async fn a_lock_has_one_holder_until_its_guard_is_gone(db: Fresh) {
    let (ours, theirs) = (db.store().await, db.store().await);
    let held = ours.try_lock("relay").await.unwrap().expect("nobody has it");
    assert!(theirs.try_lock("relay").await.unwrap().is_none());
    assert!(ours.try_lock("relay").await.unwrap().is_none());
    let _other = theirs.try_lock("timers").await.unwrap().expect("another name is another lock");
    drop(held);
    // A server may need a moment to see that a connection is gone; the case's own bound holds.
    let mut again = tokio::time::interval(Duration::from_millis(10));
    while theirs.try_lock("relay").await.unwrap().is_none() {
        again.tick().await;
    }
}
