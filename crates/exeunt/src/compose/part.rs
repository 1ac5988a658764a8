//! A service among others: something with a name that runs until it is told to stop.

use std::{pin::Pin, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::StopError;

/// Why a service of any kind cannot start or go on.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

type Work = Pin<Box<dyn Future<Output = Result<(), Cause>> + Send>>;

/// A service that was built and does not run yet.
pub(super) struct Part {
    name: Arc<str>,
    work: Box<dyn FnOnce(CancellationToken) -> Work + Send>,
}

impl Part {
    pub(super) fn new<F, W, E>(name: impl Into<Arc<str>>, work: W) -> Self
    where
        W: FnOnce(CancellationToken) -> F + Send + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Cause> + 'static,
    {
        let work = move |stop| -> Work {
            let running = work(stop);
            Box::pin(async move { running.await.map_err(Into::into) })
        };
        Self { name: name.into(), work: Box::new(work) }
    }

    pub(super) async fn run(self, stop: CancellationToken) -> Result<(), StopError> {
        let Self { name, work } = self;
        work(stop).await.map_err(|source| StopError::Service { service: name, source })
    }
}
