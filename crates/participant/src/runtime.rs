//! A participant at work: its consumer, its relay and its timers.

use std::sync::Arc;

use event_store::{Recorded, Store};
use keys::SigningKey;
use messaging::{
    BatchConsumer, ConsumerHandle, ConsumerOptions, EventLog, Follower, LogError, Message, Relay, RunError,
    Subscription,
};
use tokio_util::sync::CancellationToken;
use types::Clock;

use crate::{
    Accounts, Participant,
    announce::{announce, announcement},
    contract,
    publish::publisher,
    timers, topics,
};

/// What a participant runs on.
#[derive(Clone)]
pub struct Options {
    /// Its store.
    pub store: Store,
    /// The event log.
    pub log: Arc<dyn EventLog>,
    /// What its acknowledgements are signed with.
    pub key: Arc<SigningKey>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// This process's static id within the consumer group.
    pub member: Arc<str>,
    /// Whether one signature may cover several acknowledgements that are stored together.
    pub batched_signatures: bool,
}

/// A participant that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its topics could not be made.
    #[error("topics could not be declared")]
    Topics(#[source] LogError),
}

/// A participant, ready to run.
pub struct Runtime<P: Participant> {
    accounts: Accounts<P>,
    consumer: BatchConsumer<Accounts<P>>,
    followers: Vec<Follower>,
    log: Arc<dyn EventLog>,
    announcement: Message,
}

impl<P: Participant> Runtime<P> {
    /// Declares the topics and joins up the parts. `follows_identity` is false only for the service
    /// that registers subjects itself.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn new(
        participant: Arc<P>,
        options: Options,
        follows_identity: bool,
    ) -> Result<Self, StartError> {
        let publish = publisher(participant.clone());
        Self::with_publisher(participant, options, follows_identity, publish).await
    }

    /// The same with a publisher that says more than [`publisher`] does.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn with_publisher<F>(
        participant: Arc<P>,
        options: Options,
        follows_identity: bool,
        publish: F,
    ) -> Result<Self, StartError>
    where
        F: Fn(&Recorded, &mut Vec<Message>) + Send + Sync + 'static,
    {
        let Options { store, log, key, clock, member, batched_signatures } = options;
        let name = participant.name().clone();
        let instructions: Arc<str> = contract::instructions_topic(&name).into();
        log.declare(&topics::of_participant(&name)).await.map_err(StartError::Topics)?;

        let announcement = announcement(&name, &key, clock.now());
        let relay = Relay::keeping(
            store.clone(),
            log.clone(),
            Arc::new(publish),
            contract::is_compacted,
            vec![announcement.clone()],
        );
        let accounts = Accounts::new(store.clone(), participant, key, clock.clone())
            .with_batched_signatures(batched_signatures);
        let closures: Arc<str> = contract::CLOSURES.into();
        let mut topics = vec![instructions, closures.clone()];
        topics.extend(follows_identity.then(|| Arc::from(contract::IDENTITY_EVENTS)));
        let subscription = Subscription { group: format!("exeunt.{name}").into(), member, topics };
        let handler = Arc::new(accounts.clone());
        let consumer =
            BatchConsumer::new(store, log.clone(), subscription, handler, clock, ConsumerOptions::default())
                .reading_first([closures])
                .await;
        Ok(Self { accounts, consumer, followers: vec![relay], log, announcement })
    }

    /// Has another follower run along, like one that carries out effects outside.
    #[must_use]
    pub fn and_follower(mut self, follower: Follower) -> Self {
        self.followers.push(follower);
        self
    }

    /// The subjects' accounts.
    #[must_use]
    pub fn accounts(&self) -> &Accounts<P> {
        &self.accounts
    }

    /// What may be asked of the consumer while it runs. It is behind until the ledger of closed subjects
    /// is applied up to the end that it had at the start.
    #[must_use]
    pub fn consumer(&self) -> ConsumerHandle {
        self.consumer.handle()
    }

    /// Works until told to stop. It announces its key meanwhile, so that an outage of the log keeps
    /// nothing else from being done; what the coordinator sees signed with it before, it tries again.
    ///
    /// # Errors
    /// [`RunError`] when a part cannot go on; the others are stopped then.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RunError> {
        let Self { accounts, consumer, followers, log, announcement } = self;
        let telling = |stop: CancellationToken| async move {
            tokio::join!(announce(log, announcement, &stop), timers::run(accounts, stop.clone()));
        };
        messaging::run_together(consumer, followers, telling, shutdown).await
    }
}
