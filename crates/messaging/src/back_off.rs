//! Waits between attempts at something that is away.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// The shortest and the longest wait of an outage.
pub(crate) const OUTAGE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));

/// Each wait is twice as long as the one before, within bounds.
#[derive(Debug)]
pub struct BackOff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Default for BackOff {
    /// The waits of an outage.
    fn default() -> Self {
        Self::between(OUTAGE.0, OUTAGE.1)
    }
}

impl BackOff {
    /// From the shortest wait to the longest.
    #[must_use]
    pub fn between(min: Duration, max: Duration) -> Self {
        Self { min, max, next: min }
    }

    /// Begins with the shortest wait again.
    pub fn reset(&mut self) {
        self.next = self.min;
    }

    /// Waits; false when the process stops meanwhile.
    pub async fn wait(&mut self, shutdown: &CancellationToken) -> bool {
        let span = self.next;
        self.next = (self.next * 2).min(self.max);
        tokio::time::timeout(span, shutdown.cancelled()).await.is_err()
    }
}
