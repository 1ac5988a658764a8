//! Group commit: what gathered while the last transaction ran shares the next one.

use std::{
    collections::{HashSet, VecDeque},
    future::pending,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, timeout_at},
};

use crate::{Append, Appended, Engine, Position, Recorded, StoreError, StoreOptions, Verdict, feed::Feed};

/// How many names of event types are kept shared; a program has far fewer.
const KINDS_MAX: usize = 4096;

/// A commit of so many appends says that more are coming: those are then let gather for a moment, since a
/// commit costs much and an append in it little.
const GATHERS_FROM: usize = 4;
/// From the beginning of such a commit to that of the next.
const GATHER: Duration = Duration::from_millis(8);

/// An append that waits for its transaction.
pub(crate) struct Request {
    pub append: Append,
    /// Its size, for the bound of a batch.
    pub bytes: usize,
    pub answer: oneshot::Sender<Verdict>,
}

/// The one task that commits.
pub(crate) struct Writer {
    engine: Arc<dyn Engine>,
    feed: Arc<Feed>,
    queue: mpsc::Receiver<Request>,
    closing: watch::Receiver<bool>,
    appends_max: usize,
    bytes_max: usize,
    kinds: HashSet<Arc<str>>,
}

impl Writer {
    pub(crate) fn new(
        engine: Arc<dyn Engine>,
        feed: Arc<Feed>,
        queue: mpsc::Receiver<Request>,
        closing: watch::Receiver<bool>,
        options: &StoreOptions,
    ) -> Self {
        Self {
            engine,
            feed,
            queue,
            closing,
            appends_max: options.batch_appends_max.max(1),
            bytes_max: options.batch_bytes_max,
            kinds: HashSet::new(),
        }
    }

    /// Commits until the store closes and everything that waited is answered.
    pub(crate) async fn run(mut self) {
        let mut waiting = VecDeque::new();
        loop {
            if waiting.is_empty() {
                match self.first().await {
                    Some(request) => waiting.push_back(request),
                    None => return,
                }
            }
            while waiting.len() < self.appends_max {
                let Ok(request) = self.queue.try_recv() else { break };
                waiting.push_back(request);
            }
            let (appends, answers) = self.take(&mut waiting);
            let next = (appends.len() >= GATHERS_FROM).then(|| Instant::now() + GATHER);
            self.commit(appends, answers).await;
            if let Some(next) = next {
                let _ = timeout_at(next, pending::<()>()).await;
            }
        }
    }

    /// Waits for an append. After closing, the queue takes no more and ends when it is empty.
    async fn first(&mut self) -> Option<Request> {
        tokio::select! {
            request = self.queue.recv() => return request,
            _ = self.closing.wait_for(|closing| *closing) => {}
        }
        self.queue.close();
        self.queue.recv().await
    }

    fn take(&self, waiting: &mut VecDeque<Request>) -> (Vec<Append>, Vec<oneshot::Sender<Verdict>>) {
        let (mut appends, mut answers, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some(request) = waiting.front() {
            bytes += request.bytes;
            if !appends.is_empty() && bytes > self.bytes_max {
                break;
            }
            if let Some(request) = waiting.pop_front() {
                appends.push(request.append);
                answers.push(request.answer);
            }
        }
        (appends, answers)
    }

    async fn commit(&mut self, appends: Vec<Append>, answers: Vec<oneshot::Sender<Verdict>>) {
        let alone = appends.len() == 1;
        let appends = Arc::new(appends);
        match self.engine.commit(&appends).await {
            Ok(verdicts) => self.settle(own(appends), answers, verdicts),
            // Something in it cannot be stored. Its neighbours can, so each goes alone.
            Err(StoreError::Corrupt(_)) if !alone => {
                for (append, answer) in own(appends).into_iter().zip(answers) {
                    let append = Arc::new(vec![append]);
                    match self.engine.commit(&append).await {
                        Ok(verdicts) => self.settle(own(append), vec![answer], verdicts),
                        Err(error) => self.fail(vec![answer], &error),
                    }
                }
            }
            Err(error) => self.fail(answers, &error),
        }
    }

    /// Shows what was committed to the tails, then answers.
    fn settle(
        &mut self,
        appends: Vec<Append>,
        answers: Vec<oneshot::Sender<Verdict>>,
        verdicts: Vec<Verdict>,
    ) {
        let mut events = Vec::new();
        for (append, verdict) in appends.into_iter().zip(&verdicts) {
            if let Ok(appended) = verdict {
                self.record(append, appended, &mut events);
            }
        }
        self.feed.publish(events);
        for (answer, verdict) in answers.into_iter().zip(verdicts) {
            // Whoever asked may have gone; the append stands all the same.
            let _ = answer.send(verdict);
        }
    }

    fn fail(&self, answers: Vec<oneshot::Sender<Verdict>>, error: &StoreError) {
        // It may have been committed after all: its answer got lost, not its rows.
        self.feed.hint();
        for answer in answers {
            let _ = answer.send(Err(error.clone().into()));
        }
    }

    /// The events as the table has them now.
    fn record(&mut self, append: Append, appended: &Appended, events: &mut Vec<Recorded>) {
        let count: usize = append.streams.iter().map(|s| s.events.len()).sum();
        let mut position = appended.position.0 - count as u64;
        for (stream, last) in append.streams.into_iter().zip(&appended.versions) {
            let first = last + 1 - stream.events.len() as u64;
            for (version, event) in (first..).zip(stream.events) {
                position += 1;
                events.push(Recorded {
                    position: Position(position),
                    stream: stream.stream.clone(),
                    version,
                    id: event.id,
                    kind: self.kind(&event.kind),
                    schema: event.schema,
                    at: stream.at,
                    metadata: stream.metadata.clone(),
                    payload: event.payload,
                });
            }
        }
    }

    fn kind(&mut self, name: &str) -> Arc<str> {
        if let Some(kind) = self.kinds.get(name) {
            return kind.clone();
        }
        if self.kinds.len() >= KINDS_MAX {
            self.kinds.clear();
        }
        let kind: Arc<str> = name.into();
        self.kinds.insert(kind.clone());
        kind
    }
}

/// Appends back out of an engine, which has let go of them when it has answered.
fn own(appends: Arc<Vec<Append>>) -> Vec<Append> {
    Arc::try_unwrap(appends).unwrap_or_else(|shared| (*shared).clone())
}
