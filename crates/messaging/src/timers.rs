//! Timers that fell due. Any replica may fire one: firing is idempotent, decided over the stream as it
//! stands, and the timer moves in the same transaction.

use std::{error::Error as StdError, time::Duration};

use async_trait::async_trait;
use event_store::{Store, StoreError, Timer};
use tokio_util::sync::CancellationToken;
use types::Clock;

/// How many timers are fired in one round.
const TIMERS_PER_ROUND: usize = 100;

/// How many that cannot be fired are looked past, at the most.
const STUCK_MAX: usize = 100_000;

/// How late a timer may fire, at the most, while nothing is wrong.
const INTERVAL: Duration = Duration::from_millis(500);

/// What happens when a timer falls due.
#[async_trait]
pub trait Fire: Send + Sync {
    /// Why it could not be fired; it stays due then.
    type Error: StdError + From<StoreError> + Send + Sync + 'static;

    /// Fires it, and clears or moves it in the same transaction. False when it was moved since it was
    /// found due.
    async fn fire(&self, timer: &Timer) -> Result<bool, Self::Error>;

    /// Whether what went wrong passes by itself. What does not is looked past.
    fn passes(error: &Self::Error) -> bool;
}

/// Fires what is due by the clock, at most 100 timers; says how many it fired. One that cannot be fired
/// stands in no other's way.
///
/// # Errors
/// That of the first that could not be fired.
pub async fn fire_due<F: Fire>(store: &Store, clock: &dyn Clock, on: &F) -> Result<usize, F::Error> {
    let round = Round::fire(store, clock, on, 0).await?;
    round.failed.map_or(Ok(round.fired), Err)
}

/// What came of a round.
struct Round<E> {
    fired: usize,
    /// How many cannot be fired as things are.
    stuck: usize,
    /// Why the first of those is due still that should have been fired.
    failed: Option<E>,
    /// Whether more may be due than were looked at.
    more: bool,
}

impl<E: StdError + From<StoreError>> Round<E> {
    /// Those that could not be fired before are the earliest, so that a round looks so many further.
    async fn fire<F: Fire<Error = E>>(
        store: &Store,
        clock: &dyn Clock,
        on: &F,
        stuck: usize,
    ) -> Result<Self, E> {
        let limit = TIMERS_PER_ROUND + stuck.min(STUCK_MAX);
        let due = store.due_timers(clock.now(), limit).await?;
        let mut round = Self { fired: 0, stuck: 0, failed: None, more: due.len() == limit };
        for timer in &due {
            match on.fire(timer).await {
                Ok(fired) => round.fired += usize::from(fired),
                Err(error) => {
                    // What passes by itself is tried again in its place.
                    round.stuck += usize::from(!F::passes(&error));
                    round.failed.get_or_insert(error);
                }
            }
        }
        Ok(round)
    }
}

/// Fires timers until told to stop.
pub async fn run_timers<F: Fire>(store: &Store, clock: &dyn Clock, on: &F, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut stuck = 0;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        loop {
            let round = match Round::fire(store, clock, on, stuck).await {
                Ok(round) => round,
                Err(error) => {
                    tracing::warn!(%error, "timers could not be read");
                    break;
                }
            };
            if let Some(error) = &round.failed {
                let error = error as &dyn StdError;
                tracing::warn!(error, stuck = round.stuck, "timers could not be fired; they stay due");
            }
            stuck = round.stuck;
            if !round.more || round.fired == 0 || shutdown.is_cancelled() {
                break;
            }
        }
    }
}
