//! Waiting for a level, with a bound.

use std::{future::Future, time::Duration};

use anyhow::{Context, Result};
use messaging::BackOff;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

/// How long anything may take before it counts as never.
pub const BOUND: Duration = Duration::from_secs(300);

/// Waits that become longer.
pub(crate) struct Pause(BackOff, CancellationToken);

impl Pause {
    /// From the first wait to the longest.
    pub(crate) fn between((first, longest): (Duration, Duration)) -> Self {
        Self(BackOff::between(first, longest), CancellationToken::new())
    }

    pub(crate) async fn wait(&mut self) {
        self.0.wait(&self.1).await;
    }
}

/// Looks every so often until there is something, or an error, within a bound.
///
/// # Errors
/// What `look` fails with, or that it took longer than `within`.
pub async fn until<T, F>(
    what: &str,
    every: Duration,
    within: Duration,
    mut look: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let looking = async {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Some(found) = look().await? {
                return Ok(found);
            }
        }
    };
    timeout(within, looking).await.with_context(|| format!("waited longer than {within:?} for {what}"))?
}
