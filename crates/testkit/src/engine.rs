//! An engine that fails on purpose, in front of a real one.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use event_store::{Append, Engine, StoreError, StreamId, Verdict};

use crate::{Intercept, Intercepted};

/// How something fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Before it happened.
    Before,
    /// After it happened: only the answer is lost.
    After,
}

/// An engine whose commits fail as planned.
pub type FaultyEngine = Intercepted<Faults>;

/// Which commits fail.
#[derive(Default)]
pub struct Faults(Mutex<Plan>);

#[derive(Default)]
struct Plan {
    /// Faults to come; one with a stream waits for a commit with events of that stream.
    next: VecDeque<(Option<StreamId>, Fault)>,
    every: Option<(u64, Fault)>,
    full: bool,
    commits: u64,
    failed: u64,
}

impl FaultyEngine {
    /// An engine in front of that one, which fails nothing yet.
    #[must_use]
    pub fn new(inner: Arc<dyn Engine>) -> Arc<Self> {
        Self::with(inner, Faults::default())
    }
}

impl Faults {
    /// Fails the next commit.
    pub fn fail_next(&self, fault: Fault) {
        self.plan().next.push_back((None, fault));
    }

    /// Fails the next commit that has events of that stream.
    pub fn fail_next_of(&self, stream: StreamId, fault: Fault) {
        self.plan().next.push_back((Some(stream), fault));
    }

    /// Fails every `n`-th commit from now on; none for zero.
    pub fn fail_every(&self, n: u64, fault: Fault) {
        let mut plan = self.plan();
        plan.commits = 0;
        plan.every = (n > 0).then_some((n, fault));
    }

    /// Fails every commit for as long as it is full.
    pub fn fill_up(&self, full: bool) {
        self.plan().full = full;
    }

    /// How many commits failed so far.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.plan().failed
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plan {
    fn fault(&mut self, appends: &[Append]) -> Option<Fault> {
        self.commits += 1;
        let writes = |stream: &StreamId| {
            appends.iter().flat_map(|append| &append.streams).any(|append| append.stream == *stream)
        };
        let met = match self.next.front() {
            Some((stream, fault)) if stream.as_ref().is_none_or(writes) => Some(*fault),
            Some(_) | None => None,
        };
        if met.is_some() {
            self.next.pop_front();
        }
        let full = self.full.then_some(Fault::Before);
        let nth = self.every.filter(|(n, _)| self.commits.is_multiple_of(*n)).map(|(_, fault)| fault);
        let fault = met.or(full).or(nth);
        self.failed += u64::from(fault.is_some());
        fault
    }
}

#[async_trait]
impl Intercept for Faults {
    async fn commit(
        &self,
        inner: &dyn Engine,
        appends: &Arc<Vec<Append>>,
    ) -> Result<Vec<Verdict>, StoreError> {
        let fault = self.plan().fault(appends);
        match fault {
            None => inner.commit(appends).await,
            Some(Fault::Before) => Err(StoreError::unavailable("failed on purpose")),
            Some(Fault::After) => {
                inner.commit(appends).await?;
                Err(StoreError::unavailable("answer lost on purpose"))
            }
        }
    }
}
