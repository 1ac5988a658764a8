//! A process's way to its database, which is in memory: calls fail, linger, lose their answers, and are
//! where the process crashes. What was committed is witnessed in the order in which it was.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use event_store::{Append, Engine, Memory, Recorded, StoreError, Verdict};
use testkit::Intercept;

use crate::{
    life::{Failed, Life},
    plant::{self, Bug},
};

impl From<Failed> for StoreError {
    fn from(failed: Failed) -> Self {
        Self::unavailable(failed)
    }
}

/// Everything that was committed anywhere and nobody has looked at yet, each with its service.
#[derive(Default)]
pub struct Witness(Mutex<VecDeque<(&'static str, Recorded)>>);

impl Witness {
    /// The oldest of them.
    pub fn next(&self) -> Option<(&'static str, Recorded)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    fn saw(&self, service: &'static str, events: Vec<Recorded>) {
        let seen = events.into_iter().map(|event| (service, event));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(seen);
    }
}

/// What stands between one process and its database.
pub struct Between {
    /// Whose database it is.
    pub service: &'static str,
    /// The database.
    pub memory: Arc<Memory>,
    /// The process.
    pub life: Arc<Life>,
    /// Who sees what is committed.
    pub witness: Arc<Witness>,
    /// What is wrong with it on purpose.
    pub bug: Option<Bug>,
}

impl Between {
    async fn committed(&self, appends: &Arc<Vec<Append>>) -> Result<Vec<Verdict>, StoreError> {
        let pass = self.life.enter().await?;
        let before = self.memory.head().await?;
        let verdicts = match self.bug {
            Some(Bug::IgnoredVersion) => plant::ignoring_versions(&self.memory, appends).await?,
            bug => self.memory.commit(&plant::altered(bug, appends)).await?,
        };
        self.witness.saw(self.service, self.memory.after(before));
        self.life.leave(pass).await?;
        Ok(verdicts)
    }
}

#[async_trait]
impl Intercept for Between {
    async fn commit(
        &self,
        _inner: &dyn Engine,
        appends: &Arc<Vec<Append>>,
    ) -> Result<Vec<Verdict>, StoreError> {
        if self.bug == Some(Bug::OffsetFirst)
            && let Some(offsets) = plant::offsets_alone(appends)
        {
            self.committed(&Arc::new(offsets)).await?;
            return self.committed(&Arc::new(plant::without_offsets(appends))).await;
        }
        self.committed(appends).await
    }

    // A read may fail or linger, and has no effect that could be lost. Consumers look after what is parked
    // now and then, and tokio decides by chance whether before or after they read on: so that a run repeats
    // exactly, that look must have no consequence but what it finds, and is not among these.
    async fn reads(&self) -> Result<(), StoreError> {
        let pass = self.life.enter().await?;
        Ok(self.life.leave(pass).await?)
    }
}
