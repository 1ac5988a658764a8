//! Timers that fell due. Firing one is idempotent: what it makes happen is decided over the account
//! as it is, and the timer goes in the same transaction.

use std::time::Duration;

use event_store::TimerChange;
use tokio_util::sync::CancellationToken;
use types::SubjectId;

use crate::{AccountError, Accounts, Participant};

/// How many timers are fired in one round.
const TIMERS_PER_ROUND: usize = 100;

/// How late a timer may fire, at the most, while nothing is wrong.
const INTERVAL: Duration = Duration::from_millis(500);

/// Fires everything that is due by the service's clock; says how many.
///
/// # Errors
/// [`AccountError`] of the first that could not be fired; it stays due.
pub async fn fire_due<P: Participant>(accounts: &Accounts<P>) -> Result<usize, AccountError> {
    let due = accounts.store().due_timers(accounts.now(), TIMERS_PER_ROUND).await?;
    for timer in &due {
        let Ok(subject) = SubjectId::parse(timer.stream.as_str()) else { continue };
        let (stream, kind) = (timer.stream.clone(), timer.kind.clone());
        let decide = |state: &P::State, now| {
            let cleared = TimerChange::Clear { stream: stream.clone(), kind: kind.clone() };
            (accounts.participant.due(state, &kind, now), vec![cleared])
        };
        accounts.record(&subject, &timer.kind, decide).await?;
    }
    Ok(due.len())
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
        if let Err(error) = fire_due(&accounts).await {
            tracing::warn!(%error, "timers could not be fired; they stay due");
        }
    }
}
