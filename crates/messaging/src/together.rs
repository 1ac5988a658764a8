//! The parts of one service at work together: when one cannot go on, the others stop too.

use std::future::Future;

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{BatchConsumer, ConsumerError, Follower, Handler};

/// Why the parts of a service stopped before they were told to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Its consumer cannot go on.
    #[error("consumer stopped")]
    Consumer(#[from] ConsumerError),
    /// A task of it panicked.
    #[error("a task panicked")]
    Panicked(#[from] JoinError),
}

/// Runs a consumer, followers and one thing more until shutdown. Whatever ends first stops the rest,
/// and all have ended when this returns.
///
/// # Errors
/// [`RunError`] of the first part that failed.
pub async fn run_together<H: Handler, O>(
    consumer: BatchConsumer<H>,
    followers: Vec<Follower>,
    other: impl FnOnce(CancellationToken) -> O,
    shutdown: CancellationToken,
) -> Result<(), RunError>
where
    O: Future<Output = ()> + Send + 'static,
{
    let stop = shutdown.child_token();
    let mut tasks: JoinSet<Result<(), ConsumerError>> = JoinSet::new();
    tasks.spawn(consumer.run(stop.clone()));
    for follower in followers {
        let run = follower.run(stop.clone());
        tasks.spawn(async move {
            run.await;
            Ok(())
        });
    }
    let other = other(stop.clone());
    tasks.spawn(async move {
        other.await;
        Ok(())
    });
    let mut first = Ok(());
    while let Some(ended) = tasks.join_next().await {
        stop.cancel();
        first = first.and(ended.map_err(RunError::from).and_then(|ended| Ok(ended?)));
    }
    first
}
