//! Timers of cancellations that fell due: what is due by itself happens.

use async_trait::async_trait;
use event_store::Timer;
use messaging::Fire;
use tokio_util::sync::CancellationToken;
use types::CancellationId;

use crate::{app::Cancellations, bulk, error::Error};

#[async_trait]
impl Fire for Cancellations {
    type Error = Error;

    async fn fire(&self, timer: &Timer) -> Result<bool, Error> {
        if *timer.kind == *bulk::TIMER {
            return self.step_bulk(timer.stream.as_str()).await;
        }
        match CancellationId::parse(timer.stream.as_str()) {
            Ok(id) => self.wake(&id).await,
            // No stream of another kind has timers here.
            Err(_) => Ok(false),
        }
    }

    fn passes(error: &Error) -> bool {
        matches!(error, Error::Conflict | Error::Busy | Error::Store(_))
    }
}

/// Fires timers until told to stop.
pub(crate) async fn run(cancellations: Cancellations, shutdown: CancellationToken) {
    messaging::run_timers(&cancellations.store, &*cancellations.shell.clock, &cancellations, shutdown).await;
}
