//! The relay: a follower that turns each event into messages and publishes them.

use std::sync::Arc;

use event_store::{Position, Recorded, Store};

use crate::{EventLog, FollowError, Follower, Message};

/// The name of a service's relay among the followers of its store.
pub const RELAY: &str = "relay";

/// Where the first event stands.
const FIRST: Position = Position(1);

/// Batches that are produced before the first is acknowledged.
const AHEAD: usize = 4;

/// Turns one event into zero or more messages. Pure: the same event gives the same messages.
pub type Publish = dyn Fn(&Recorded, &mut Vec<Message>) + Send + Sync;

/// A follower that publishes what [`Publish`] makes of each event: at least once, in commit order,
/// pipelined, and with its cursor moving only after the log has acknowledged. When the log fails one
/// batch, those begun after it may be there already; they come again behind it.
pub struct Relay;

impl Relay {
    /// A follower of that name which publishes.
    #[must_use]
    #[expect(clippy::new_ret_no_self, reason = "a relay is a follower with its handling chosen")]
    pub fn new(store: Store, name: &str, log: Arc<dyn EventLog>, publish: Arc<Publish>) -> Follower {
        Self::named(store, name, log, publish, |_| false, Vec::new())
    }

    /// A service's relay. It is told which topics are compacted: a rewind fills those again from the
    /// first event on; and what to publish before the first event, whenever that is published.
    #[must_use]
    pub fn keeping(
        store: Store,
        log: Arc<dyn EventLog>,
        publish: Arc<Publish>,
        is_compacted: fn(&str) -> bool,
        preface: Vec<Message>,
    ) -> Follower {
        Self::named(store, RELAY, log, publish, is_compacted, preface)
    }

    fn named(
        store: Store,
        name: &str,
        log: Arc<dyn EventLog>,
        publish: Arc<Publish>,
        is_compacted: fn(&str) -> bool,
        preface: Vec<Message>,
    ) -> Follower {
        let begin = move |batch: Vec<Recorded>, compacted_until: Position| {
            let mut messages = Vec::with_capacity(batch.len());
            if batch.first().is_some_and(|event| event.position == FIRST) {
                messages.extend_from_slice(&preface);
            }
            for event in &batch {
                let before = messages.len();
                publish(event, &mut messages);
                if event.position <= compacted_until {
                    let told = messages.split_off(before);
                    messages.extend(told.into_iter().filter(|message| is_compacted(&message.topic)));
                }
            }
            let log = log.clone();
            let handling = async move {
                if messages.is_empty() {
                    return Ok(());
                }
                log.publish(messages).await.map_err(FollowError::new)
            };
            Box::pin(handling) as _
        };
        Follower::pipelined(store, name, AHEAD, Box::new(begin))
    }
}
