//! The relay: a follower that turns each event into messages and publishes them.

use std::sync::Arc;

use event_store::{Recorded, Store};

use crate::{EventLog, FollowError, Follower, Message};

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
        let begin = move |batch: Vec<Recorded>| {
            let mut messages = Vec::with_capacity(batch.len());
            for event in &batch {
                publish(event, &mut messages);
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
