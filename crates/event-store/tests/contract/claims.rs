//! Keys that are taken once, ever.

use std::sync::Arc;

use event_store::{Append, AppendError, Claim, Position};

use super::harness::{Fresh, bytes, one};

fn claiming(key: &str, value: &str, name: &str) -> Append {
    Append { claims: vec![Claim { key: key.to_owned(), value: bytes(value) }], ..one(name, 0, "x") }
}

pub async fn a_claim_is_taken_once_and_answers_with_its_value(db: Fresh) {
    let store = db.store().await;
    assert_eq!(store.claim("k").await.unwrap(), None);
    store.append(claiming("k", "first", "a")).await.unwrap();
    let refused = store.append(claiming("k", "second", "b")).await.unwrap_err();
    assert!(
        matches!(&refused, AppendError::Claimed { key, value } if key == "k" && value == "first"),
        "{refused:?}"
    );
    // The claim is the answer even where its stream would conflict too.
    let refused = store.append(claiming("k", "first", "a")).await.unwrap_err();
    assert!(matches!(refused, AppendError::Claimed { .. }), "{refused:?}");
    assert_eq!(store.claim("k").await.unwrap(), Some(bytes("first")));
    let asked = ["other".to_owned(), "k".to_owned()];
    assert_eq!(store.claims(&asked).await.unwrap(), [None, Some(bytes("first"))]);
    assert_eq!(store.head().await.unwrap(), Position(1));
}

pub async fn of_two_claims_in_one_batch_the_first_stands(db: Fresh) {
    let store = db.store().await;
    let batch = [claiming("k", "first", "a"), claiming("k", "second", "b"), claiming("l", "", "c")];
    let verdicts = store.engine().commit(&Arc::new(Vec::from(batch))).await.unwrap();
    assert!(verdicts[0].is_ok());
    assert!(matches!(&verdicts[1], Err(AppendError::Claimed { value, .. }) if value == "first"));
    assert!(verdicts[2].is_ok());
    assert_eq!(store.claim("k").await.unwrap(), Some(bytes("first")));
    assert_eq!(store.claim("l").await.unwrap(), Some(bytes("")));
    assert_eq!(store.head().await.unwrap(), Position(2));
}
