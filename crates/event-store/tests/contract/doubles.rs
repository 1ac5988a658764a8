//! What stands between a store and its engine: deaf to hints, and with a gate before its commits.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use event_store::{Append, Engine, StoreError, Verdict};
use testkit::{Intercept, Intercepted};
use tokio::sync::{Semaphore, watch};

pub struct Gate {
    /// One permit lets one commit through.
    pub gate: Semaphore,
    /// How many appends each commit that came to the gate had.
    pub arrived: watch::Sender<Vec<usize>>,
    /// Whether commits fail instead.
    pub broken: AtomicBool,
}

/// An engine whose gate lets nothing through yet.
pub fn closed(inner: Arc<dyn Engine>) -> Arc<Intercepted<Gate>> {
    let gate = Semaphore::new(0);
    Intercepted::with(inner, Gate { gate, arrived: watch::Sender::default(), broken: AtomicBool::new(false) })
}

/// An engine whose gate stands open.
pub fn open(inner: Arc<dyn Engine>) -> Arc<Intercepted<Gate>> {
    let gated = closed(inner);
    gated.gate.add_permits(1_000_000);
    gated
}

impl Gate {
    /// Waits until so many commits came to the gate.
    pub async fn wait_arrived(&self, commits: usize) {
        self.arrived.subscribe().wait_for(|arrived| arrived.len() >= commits).await.unwrap();
    }
}

#[async_trait]
impl Intercept for Gate {
    async fn commit(
        &self,
        inner: &dyn Engine,
        appends: &Arc<Vec<Append>>,
    ) -> Result<Vec<Verdict>, StoreError> {
        self.arrived.send_modify(|arrived| arrived.push(appends.len()));
        self.gate.acquire().await.unwrap().forget();
        if self.broken.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("broken on purpose"));
        }
        inner.commit(appends).await
    }

    fn hears(&self) -> bool {
        false
    }
}
