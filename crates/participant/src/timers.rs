//! Timers that fell due. Firing one is idempotent: what it makes happen is decided over the account
//! as it is, and the timer goes in the same transaction.

use std::sync::Arc;

use async_trait::async_trait;
use event_store::{Recorded, Timer, TimerChange};
use messaging::Fire;
use tokio_util::sync::CancellationToken;
use types::{SubjectId, Timestamp};

use crate::{
    AccountError, Accounts, Participant,
    account::{Fact, stream_of},
    accounts::ATTEMPTS_MAX,
};

/// Fires what is due by the service's clock, at most 100 timers; says how many it fired. One that
/// cannot be fired stands in no other's way.
///
/// # Errors
/// [`AccountError`] of the first that could not be fired; it stays due.
pub async fn fire_due<P: Participant>(accounts: &Accounts<P>) -> Result<usize, AccountError> {
    messaging::fire_due(accounts.store(), &*accounts.clock, accounts).await
}

#[async_trait]
impl<P: Participant> Fire for Accounts<P> {
    type Error = AccountError;

    async fn fire(&self, timer: &Timer) -> Result<bool, AccountError> {
        let subject = SubjectId::parse(timer.stream.as_str()).map_err(|_| AccountError::NotFound)?;
        fire(self, &subject, &timer.kind).await
    }

    fn passes(error: &AccountError) -> bool {
        matches!(error, AccountError::Conflict | AccountError::Busy | AccountError::Store(_))
    }
}

/// Fires a subject's timer if, by the account's own facts, it is due; and clears it, unless what it
/// makes happen sets it anew. False when it was moved since it was found due.
async fn fire<P: Participant>(
    accounts: &Accounts<P>,
    subject: &SubjectId,
    kind: &Arc<str>,
) -> Result<bool, AccountError> {
    let stream = stream_of(subject);
    for _ in 0..ATTEMPTS_MAX {
        let history = accounts.store.load(&stream).await?;
        let now = accounts.now();
        if stands(&*accounts.participant, &history, kind)?.is_some_and(|due| due > now) {
            return Ok(false);
        }
        let (account, version) = accounts.folded(&history)?;
        let events = accounts.participant.due(&account.state, kind, now);
        let cleared = vec![TimerChange::Clear { stream: stream.clone(), kind: kind.clone() }];
        if accounts.recorded(subject, kind, (account, version), now, events, cleared).await? {
            return Ok(true);
        }
    }
    Err(AccountError::Conflict)
}

/// When a timer is due, as the subject's facts set it last.
fn stands<P: Participant>(
    participant: &P,
    history: &[Recorded],
    kind: &str,
) -> Result<Option<Timestamp>, AccountError> {
    let mut stands = None;
    for event in history {
        let fact = Fact::decode(participant, &event.kind, event.schema, &event.payload)
            .map_err(AccountError::Unreadable)?;
        let Fact::Own(own) = fact else { continue };
        for wish in participant.timers(&own) {
            if wish.kind == kind {
                stands = wish.due;
            }
        }
    }
    Ok(stands)
}

/// Fires timers until told to stop.
pub(crate) async fn run<P: Participant>(accounts: Accounts<P>, shutdown: CancellationToken) {
    messaging::run_timers(accounts.store(), &*accounts.clock, &accounts, shutdown).await;
}
