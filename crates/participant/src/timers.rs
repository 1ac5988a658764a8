//! Timers that fell due. Firing one is idempotent: what it makes happen is decided over the account
//! as it is, and the timer goes in the same transaction.

use std::{sync::Arc, time::Duration};

use event_store::{Recorded, TimerChange};
use tokio_util::sync::CancellationToken;
use types::{SubjectId, Timestamp};

use crate::{
    AccountError, Accounts, Participant,
    account::{Fact, stream_of},
    accounts::ATTEMPTS_MAX,
};

/// How many timers are fired in one round.
const TIMERS_PER_ROUND: usize = 100;

/// How late a timer may fire, at the most, while nothing is wrong.
const INTERVAL: Duration = Duration::from_millis(500);

/// Fires what is due by the service's clock, at most 100 timers; says how many it fired. One that
/// cannot be fired stands in no other's way.
///
/// # Errors
/// [`AccountError`] of the first that could not be fired; it stays due.
pub async fn fire_due<P: Participant>(accounts: &Accounts<P>) -> Result<usize, AccountError> {
    let due = accounts.store().due_timers(accounts.now(), TIMERS_PER_ROUND).await?;
    let mut fired = Ok(0);
    for timer in &due {
        let Ok(subject) = SubjectId::parse(timer.stream.as_str()) else { continue };
        let one = fire(accounts, &subject, &timer.kind).await;
        fired = fired.and_then(|count| one.map(|fired| count + usize::from(fired)));
    }
    fired
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
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        loop {
            match fire_due(&accounts).await {
                Ok(TIMERS_PER_ROUND..) if !shutdown.is_cancelled() => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(%error, "timers could not be fired; they stay due");
                    break;
                }
            }
        }
    }
}
