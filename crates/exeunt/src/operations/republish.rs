//! Publishing again what stores hold: the cursor of a relay that runs is put back, and the relay does
//! the rest.

use std::{sync::Arc, time::Duration};

use event_store::{Append, AppendError, Position, Store};
use messaging::{Cursor, RELAY, Rewind};
use participant::RequestClaim;
use proto::operations::v1 as pb;
use types::{Caller, Timestamp};

use super::{Operations, Stored, made_before, recorded};
use crate::error::Error;

/// The stream, in the store concerned, of what was published again.
const REPUBLICATIONS: &str = "republications";
/// By how much the instants of events may be out of the order in which they were recorded: clocks of
/// processes differ, and a decision is older than its commit.
const DISORDER_MAX: Duration = Duration::from_secs(300);
/// How often a cursor that moves is tried again. A relay moves its own ten times a second.
const ATTEMPTS_MAX: usize = 32;

/// From where on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    Time(Timestamp),
    /// The event there and all after it.
    Position(u64),
}

/// What is published again.
#[derive(Debug)]
pub(super) struct Republishing {
    pub(super) stores: Vec<Stored>,
    pub(super) from: From,
    pub(super) reason: String,
    pub(super) request_id: String,
}

impl Operations {
    pub(super) async fn relays(&self) -> Result<pb::ListRelaysResponse, Error> {
        let mut relays = Vec::new();
        for Stored { service, store } in self.stores.iter() {
            // In this order, so that nothing seems published before it was recorded.
            let cursor = Cursor::of(store, RELAY).await?;
            let recorded = store.head().await?;
            relays.push(pb::Relay {
                service: service.to_string(),
                recorded: recorded.0,
                published: cursor.reached().0,
                republication: cursor.rewind.map(|rewind| told(service, rewind, cursor.next)),
            });
        }
        Ok(pb::ListRelaysResponse { relays })
    }

    pub(super) async fn republish(
        &self,
        wanted: Republishing,
        caller: &Caller,
        claim: Option<RequestClaim>,
    ) -> Result<pb::RepublishResponse, Error> {
        let mut response = pb::RepublishResponse::default();
        for stored in &wanted.stores {
            // What the same request did before is as good as done now: one of several may have failed.
            if made_before(&stored.store, claim.as_ref()).await?.is_none() {
                self.rewind(stored, &wanted, caller, claim.as_ref()).await?;
            }
            let cursor = Cursor::of(&stored.store, RELAY).await?;
            response
                .republications
                .extend(cursor.rewind.map(|rewind| told(&stored.service, rewind, cursor.next)));
        }
        Ok(response)
    }

    /// Puts a cursor back, and records who wanted it, in one transaction.
    async fn rewind(
        &self,
        stored: &Stored,
        wanted: &Republishing,
        caller: &Caller,
        claim: Option<&RequestClaim>,
    ) -> Result<(), Error> {
        let after = match wanted.from {
            From::Position(position) => Position(position.saturating_sub(1)),
            From::Time(time) => last_before(&stored.store, time).await?,
        };
        let mut attempts = 0;
        loop {
            let cursor = Cursor::of(&stored.store, RELAY).await?;
            if cursor.reached() == Position::default() {
                // It has published nothing yet, and will publish everything.
                return Ok(());
            }
            let rewound = cursor.rewound(after);
            let mut append = self.asked(&rewound, &wanted.reason, caller);
            append.offsets.push(cursor.to(rewound, RELAY));
            append.claims.extend(claim.map(|claim| claim.claim("")));
            attempts += 1;
            match stored.store.append(append).await {
                Ok(_) => {
                    let Stored { service, .. } = stored;
                    tracing::warn!(%service, from = after.0 + 1, by = %caller.name, "events are published again");
                    return Ok(());
                }
                Err(AppendError::OffsetMoved { .. }) if attempts < ATTEMPTS_MAX => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn asked(&self, rewound: &Cursor, reason: &str, caller: &Caller) -> Append {
        let Some(Rewind { from, until }) = rewound.rewind else { return Append::default() };
        let now = self.clock.now();
        let told = pb::RepublicationAsked {
            from: from.0 + 1,
            until: until.0,
            reason: reason.to_owned(),
            asked_by: caller.name.to_string(),
            asked_at: Some(now.to_proto()),
        };
        Append { streams: vec![recorded(REPUBLICATIONS, &told, caller, now)], ..Append::default() }
    }
}

fn told(service: &Arc<str>, rewind: Rewind, done: Position) -> pb::Republication {
    let service = service.to_string();
    pb::Republication { service, from: rewind.from.0 + 1, until: rewind.until.0, done: done.0 }
}

/// A position before which nothing was recorded at that time or later.
async fn last_before(store: &Store, time: Timestamp) -> Result<Position, Error> {
    let earliest = Timestamp::from_micros(
        time.as_micros().saturating_sub(i64::try_from(DISORDER_MAX.as_micros()).unwrap_or(i64::MAX)),
    );
    // All up to `low` are earlier; `high` is not, or is after the last.
    let (mut low, mut high) = (0, store.head().await?.0 + 1);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let found = store.read(Position(middle - 1), 1).await?;
        match found.first() {
            Some(event) if event.at < earliest => low = middle,
            _ => high = middle,
        }
    }
    Ok(Position(low))
}
