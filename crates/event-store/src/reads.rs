//! Group reads: what is asked for while a query runs shares the next one.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};

use crate::{Engine, Recorded, StoreError, StreamId};

/// Requests that may wait; more wait for their turn.
const QUEUE_MAX: usize = 1024;
/// Streams or keys of one query, unless one request alone has more.
const GROUP_MAX: usize = 512;

type Answer<T> = oneshot::Sender<Result<Vec<T>, StoreError>>;

/// A query: what each key has, in the order asked.
type Query<K, T> = fn(Arc<dyn Engine>, Vec<K>) -> BoxFuture<'static, Result<Vec<T>, StoreError>>;

/// Streams or claims that are wanted, and who wants them.
type Wanted<K, T> = (Vec<K>, Answer<T>);

/// The queues of what is to be read.
pub(crate) struct Reads {
    streams: mpsc::Sender<Wanted<StreamId, Vec<Recorded>>>,
    claims: mpsc::Sender<Wanted<String, Option<Bytes>>>,
}

impl Reads {
    /// Starts the tasks that read, which end when the store closes.
    pub(crate) fn start(
        engine: &Arc<dyn Engine>,
        closing: &watch::Sender<bool>,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let (streams, loads) = mpsc::channel(QUEUE_MAX);
        let (claims, asked) = mpsc::channel(QUEUE_MAX);
        tasks.spawn(run(engine.clone(), loads, closing.subscribe(), |engine, streams| {
            Box::pin(async move { engine.load(&streams).await })
        }));
        tasks.spawn(run(engine.clone(), asked, closing.subscribe(), |engine, keys| {
            Box::pin(async move { engine.claims(&keys).await })
        }));
        Self { streams, claims }
    }

    /// The events of each stream, in the order asked.
    pub(crate) async fn load(&self, streams: &[StreamId]) -> Result<Vec<Vec<Recorded>>, StoreError> {
        ask(&self.streams, streams.to_vec()).await
    }

    /// What stands under each claim, in the order asked.
    pub(crate) async fn claims(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, StoreError> {
        ask(&self.claims, keys.to_vec()).await
    }
}

async fn ask<K, T>(queue: &mpsc::Sender<Wanted<K, T>>, keys: Vec<K>) -> Result<Vec<T>, StoreError> {
    let closed = || StoreError::unavailable("the store is closed");
    let (answer, answered) = oneshot::channel();
    queue.send((keys, answer)).await.map_err(|_| closed())?;
    answered.await.unwrap_or_else(|_| Err(closed()))
}

/// Reads until the store closes.
async fn run<K: Clone, T>(
    engine: Arc<dyn Engine>,
    mut queue: mpsc::Receiver<Wanted<K, T>>,
    mut closing: watch::Receiver<bool>,
    query: Query<K, T>,
) {
    loop {
        let first = tokio::select! {
            first = queue.recv() => first,
            _ = closing.wait_for(|closing| *closing) => None,
        };
        let Some(first) = first else { return };
        let mut count = first.0.len();
        let mut group = vec![first];
        while count < GROUP_MAX
            && let Ok(wanted) = queue.try_recv()
        {
            count += wanted.0.len();
            group.push(wanted);
        }
        let keys = group.iter().flat_map(|(keys, _)| keys).cloned().collect();
        match query(engine.clone(), keys).await {
            Ok(found) => {
                let mut found = found.into_iter();
                for (keys, answer) in group {
                    // Whoever asked may have gone.
                    let _ = answer.send(Ok(found.by_ref().take(keys.len()).collect()));
                }
            }
            // Something in it cannot be read. Its neighbours can, so each goes alone.
            Err(StoreError::Corrupt(_)) if group.len() > 1 => {
                for (keys, answer) in group {
                    let _ = answer.send(query(engine.clone(), keys).await);
                }
            }
            Err(error) => {
                group.into_iter().for_each(|(_, answer)| drop(answer.send(Err(error.clone()))));
            }
        }
    }
}
