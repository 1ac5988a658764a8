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

/// How many that cannot be fired are looked past, at the most.
const STUCK_MAX: usize = 100_000;

/// How late a timer may fire, at the most, while nothing is wrong.
const INTERVAL: Duration = Duration::from_millis(500);

/// Fires what is due by the service's clock, at most 100 timers; says how many it fired. One that
/// cannot be fired stands in no other's way.
///
/// # Errors
/// [`AccountError`] of the first that could not be fired; it stays due.
pub async fn fire_due<P: Participant>(accounts: &Accounts<P>) -> Result<usize, AccountError> {
    let round = fire_round(accounts, 0).await?;
    round.failed.map_or(Ok(round.fired), Err)
}

/// What came of a round.
struct Round {
    fired: usize,
    /// How many cannot be fired as things are.
    stuck: usize,
    /// Why the first of those is due still that should have been fired.
    failed: Option<AccountError>,
    /// Whether more may be due than were looked at.
    more: bool,
}

/// Fires what is due. Those that could not be fired before are the earliest, so that a round looks
/// so many further.
async fn fire_round<P: Participant>(accounts: &Accounts<P>, stuck: usize) -> Result<Round, AccountError> {
    let limit = TIMERS_PER_ROUND + stuck.min(STUCK_MAX);
    let due = accounts.store().due_timers(accounts.now(), limit).await?;
    let mut round = Round { fired: 0, stuck: 0, failed: None, more: due.len() == limit };
    for timer in &due {
        let fired = match SubjectId::parse(timer.stream.as_str()) {
            Ok(subject) => fire(accounts, &subject, &timer.kind).await,
            Err(_) => Err(AccountError::NotFound),
        };
        match fired {
            Ok(fired) => round.fired += usize::from(fired),
            Err(error) => {
                // What passes by itself is tried again in its place.
                round.stuck += usize::from(!matches!(
                    error,
                    AccountError::Conflict | AccountError::Busy | AccountError::Store(_)
                ));
                round.failed.get_or_insert(error);
            }
        }
    }
    Ok(round)
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
    let mut stuck = 0;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        loop {
            let round = match fire_round(&accounts, stuck).await {
                Ok(round) => round,
                Err(error) => {
                    tracing::warn!(%error, "timers could not be read");
                    break;
                }
            };
            if let Some(error) = &round.failed {
                let error = error as &dyn std::error::Error;
                tracing::warn!(error, stuck = round.stuck, "timers could not be fired; they stay due");
            }
            stuck = round.stuck;
            if !round.more || round.fired == 0 || shutdown.is_cancelled() {
                break;
            }
        }
    }
}
