//! Lists of streams.

use event_store::{Append, ListQuery, Listed, Listing, Store};

use super::harness::{Fresh, at, stream};

fn listing(name: &str, owner: &str, state: &str, since: i64) -> Listing {
    Listing {
        stream: stream(name),
        list: "cancellation".into(),
        owner: owner.into(),
        state: state.into(),
        since: at(since),
    }
}

async fn list(store: &Store, listings: Vec<Listing>) {
    store.append(Append { listings, ..Append::default() }).await.unwrap();
}

fn query(owner: Option<&str>, states: &[&str], limit: usize) -> ListQuery {
    ListQuery {
        list: "cancellation".into(),
        owner: owner.map(Into::into),
        states: states.iter().map(|state| (*state).into()).collect(),
        after: None,
        limit,
    }
}

/// The streams of all pages.
async fn told(store: &Store, mut query: ListQuery) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        let page = store.list(&query).await.unwrap();
        assert!(page.rows.len() <= query.limit);
        query.after = page.rows.last().map(|row| (row.since, row.stream.clone()));
        told.extend(page.rows.iter().map(|row| row.stream.to_string()));
        if !page.more {
            return told;
        }
    }
}

pub async fn a_listing_keeps_when_it_began_and_changes_the_rest(db: Fresh) {
    let store = db.store().await;
    list(&store, vec![listing("a", "subject", "OPEN", 10)]).await;
    list(&store, vec![listing("a", "other", "DONE", 99)]).await;
    // Twice in one batch, for a row that is not there yet: the first one's beginning, the last one's state.
    list(&store, vec![listing("b", "subject", "OPEN", 5), listing("b", "subject", "DONE", 50)]).await;
    let row = |name: &str, owner: &str, since| Listed {
        stream: stream(name),
        list: "cancellation".into(),
        owner: owner.into(),
        state: "DONE".into(),
        since: at(since),
    };
    let page = store.list(&query(None, &[], 10)).await.unwrap();
    assert_eq!(page.rows, [row("a", "other", 10), row("b", "subject", 5)]);
    assert!(!page.more);
    let elsewhere = ListQuery { list: "export".into(), ..query(None, &[], 10) };
    assert!(store.list(&elsewhere).await.unwrap().rows.is_empty());
}

pub async fn lists_are_told_newest_first_page_by_page(db: Fresh) {
    let store = db.store().await;
    let rows = [("a", 10), ("b", 30), ("c", 20), ("d", 20), ("e", 20), ("f", 40)];
    list(&store, rows.map(|(name, since)| listing(name, "s", "OPEN", since)).to_vec()).await;
    for limit in 1..8 {
        assert_eq!(told(&store, query(None, &[], limit)).await, ["f", "b", "e", "d", "c", "a"], "{limit}");
    }
    assert!(store.list(&query(None, &[], 5)).await.unwrap().more);
    assert!(!store.list(&query(None, &[], 6)).await.unwrap().more);
}

pub async fn lists_are_picked_by_owner_and_state(db: Fresh) {
    let store = db.store().await;
    let rows = [
        ("a", "x", "OPEN", 1),
        ("b", "y", "OPEN", 2),
        ("c", "x", "DONE", 3),
        ("d", "x", "BLOCKED", 4),
        ("e", "y", "DONE", 5),
        ("f", "x", "OPEN", 6),
    ];
    list(&store, rows.map(|(name, owner, state, since)| listing(name, owner, state, since)).to_vec()).await;
    for limit in [1, 2, 3, 10] {
        assert_eq!(told(&store, query(Some("x"), &[], limit)).await, ["f", "d", "c", "a"]);
        assert_eq!(told(&store, query(None, &["OPEN"], limit)).await, ["f", "b", "a"]);
        assert_eq!(told(&store, query(None, &["DONE", "BLOCKED", "DONE"], limit)).await, ["e", "d", "c"]);
        assert_eq!(told(&store, query(Some("x"), &["OPEN", "BLOCKED"], limit)).await, ["f", "d", "a"]);
        assert!(told(&store, query(Some("nobody"), &["OPEN"], limit)).await.is_empty());
        assert!(told(&store, query(None, &["NONE"], limit)).await.is_empty());
    }
}
