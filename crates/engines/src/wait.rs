//! Waiting for a level, within a bound.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks until there is something, or too much time has passed. What is waited for is named in the error.
pub(crate) fn until<T>(
    what: &str,
    within: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    // Nobody sends: each wait is the time between two looks.
    let (_open, tick) = mpsc::channel::<()>();
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("{what}: not within {within:?}");
        }
        let _ = tick.recv_timeout(LOOK_EVERY);
    }
}
