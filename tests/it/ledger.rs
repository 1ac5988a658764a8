//! What took effect, counted in the stores themselves after the process has ended.

use std::{collections::BTreeMap, path::Path};

use event_store::{Position, Recorded, Store, StoreOptions};

use crate::process::{Engines, Installation};

/// Every service with a store.
pub const SERVICES: [&str; 6] =
    ["cancellation", "identity", "subscription", "payscore", "wallet", "retention"];

/// How often each kind of event stands in each stream of a service.
pub type Counts = BTreeMap<(String, String), usize>;

/// Where a service's events stand.
pub fn store_url(engines: &Engines, data: &Path, service: &str) -> String {
    match engines {
        Engines::Embedded => format!("sqlite:{}", data.join(format!("store/{service}.db")).display()),
        Engines::Real { event_store, .. } => format!("{event_store}_{service}"),
    }
}

/// Everything recorded in a store, in order.
pub async fn all_events(store: &Store) -> Vec<Recorded> {
    let (mut all, mut after) = (Vec::new(), Position::default());
    loop {
        let events = store.read(after, 1_000).await.unwrap();
        let Some(last) = events.last() else { return all };
        after = last.position;
        all.extend(events);
    }
}

/// Reads a service's whole store, and checks on the way that positions and versions have no gap.
pub async fn counts(installation: &Installation, service: &str) -> Counts {
    let url = store_url(&installation.engines, installation.data.path(), service);
    let store = Store::open(&url, StoreOptions::default()).await.unwrap();
    let (mut counts, mut versions) = (Counts::new(), BTreeMap::<String, u64>::new());
    for (expected, event) in (1..).zip(all_events(&store).await) {
        assert_eq!(event.position.0, expected, "{service}: positions have a gap");
        let version = versions.entry(event.stream.to_string()).or_default();
        *version += 1;
        assert_eq!(event.version, *version, "{service}: {} has a gap", event.stream);
        *counts.entry((event.stream.to_string(), event.kind.to_string())).or_default() += 1;
    }
    let parked = store.parked(None, None, 10).await.unwrap();
    assert!(parked.rows.is_empty(), "{service}: records are parked: {:?}", parked.rows);
    store.close().await;
    counts
}

/// How many streams have that kind of event, each of them just so often.
#[track_caller]
pub fn assert_each(counts: &Counts, kind: &str, streams: usize, times: usize) {
    let found: Vec<_> = counts.iter().filter(|((_, of), _)| of == kind).collect();
    assert_eq!(found.len(), streams, "{kind}: streams that have it");
    for ((stream, _), count) in found {
        assert_eq!(*count, times, "{kind} in {stream}");
    }
}
