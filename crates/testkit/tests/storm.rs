//! Everything bad at once: commits fail, publishes fail and are there twice and in another order,
//! batches are read twice, and replicas come and go. What was accepted happens once all the same.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot be set up shall fail")]

use std::{sync::Arc, time::Duration};

use event_store::{Store, StoreOptions};
use participant::{AccountError, Accounts, RunError, Runtime, Write, WriteError};
use proto::participant::v1::InstructionKind;
use testkit::{Fault, FaultyEngine, FaultyLog, Ledger, Stage, Told, Toy, ToyEvent, temp_store};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use types::{Caller, CancellationId, ParticipantName, Scope, SubjectId, Timestamp, fresh_uuid};

const SUBJECTS: usize = 24;

/// A participant at work.
struct Replica {
    accounts: Accounts<Toy>,
    shutdown: CancellationToken,
    running: JoinSet<Result<(), RunError>>,
}

impl Replica {
    async fn start(options: participant::Options) -> Self {
        let runtime = Runtime::new(Arc::new(Toy::quick()), options, true).await.unwrap();
        let (accounts, shutdown) = (runtime.accounts().clone(), CancellationToken::new());
        let mut running = JoinSet::new();
        running.spawn(runtime.run(shutdown.clone()));
        Self { accounts, shutdown, running }
    }

    async fn stop(mut self) {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(30), self.running.join_next()).await;
        ended.unwrap().unwrap().unwrap().unwrap();
    }
}

async fn open() -> Stage {
    Stage::open(Timestamp::parse("2026-11-21T08:00:00Z").unwrap()).await
}

/// Registers subjects and gives each one unit of work, by a request that is repeated until it is
/// answered.
async fn seed(stage: &Stage, accounts: &Accounts<Toy>) -> Vec<(SubjectId, CancellationId)> {
    let caller = Caller::local();
    let mut cases = Vec::new();
    for number in 0..SUBJECTS {
        let subject = SubjectId::mint(fresh_uuid());
        stage.register(&subject).await;
        stage.until(accounts, &subject, |account| account.known.is_some()).await;
        let request_id = format!("r{number}");
        loop {
            let write =
                Write { caller: &caller, request_id: &request_id, digest: [1; 32], subject: &subject };
            let give = |_: &_, _| Ok::<_, ()>((vec![ToyEvent::Given { units: 1 }], String::new()));
            match accounts.write(write, give).await {
                Ok(written) => break assert_eq!(written.account.state.units, 1, "given once"),
                Err(WriteError::Account(AccountError::Store(_))) => {}
                Err(other) => panic!("{other}"),
            }
        }
        cases.push((subject, CancellationId::mint(fresh_uuid())));
    }
    cases
}

async fn tell(stage: &Stage, cases: &[(SubjectId, CancellationId)], kind: InstructionKind, epoch: u32) {
    let participant = &ParticipantName::parse("toy").unwrap();
    for (subject, cancellation) in cases {
        let scope = &Scope::WholeAccount;
        stage.instruct(Told { participant, cancellation, subject, kind, epoch, scope }).await;
    }
}

/// Every account closes, and its work was done once.
async fn settle(stage: &Stage, accounts: &Accounts<Toy>, cases: &[(SubjectId, CancellationId)]) {
    let mut ledger = Ledger::default();
    for (subject, _) in cases {
        ledger.accept(subject.clone());
        let account = stage.until(accounts, subject, |account| account.closed.is_some()).await;
        ledger.saw(subject, account.state.done.into());
    }
    ledger.settle();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_happens_once_in_a_storm() {
    for (every, fault) in [(3, Fault::Before), (4, Fault::After)] {
        let mut stage = open().await;
        let engine = FaultyEngine::new(stage.store.engine().clone());
        stage.store = Store::with_engine(engine.clone(), StoreOptions::default());
        let log = FaultyLog::new(stage.log.clone());
        stage.log = log.clone();
        let replica = Replica::start(stage.options()).await;
        log.repeat(true);
        log.reorder(every);
        log.redeliver(true);
        engine.fail_every(every, fault);

        let cases = seed(&stage, &replica.accounts).await;
        tell(&stage, &cases, InstructionKind::Assess, 1).await;
        tell(&stage, &cases, InstructionKind::Execute, 2).await;
        settle(&stage, &replica.accounts, &cases).await;
        assert!(engine.failed() > 0);
        replica.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_share_the_work_and_take_over_from_each_other() {
    let stage = open().await;
    let first = Replica::start(stage.options()).await;
    let cases = seed(&stage, &first.accounts).await;
    tell(&stage, &cases, InstructionKind::Assess, 1).await;
    // As another process has it: its own store over the same file.
    let store = temp_store(stage.directory.path()).await;
    let options = participant::Options { store, member: "other".into(), ..stage.options() };
    let second = Replica::start(options).await;
    tell(&stage, &cases, InstructionKind::Execute, 2).await;
    first.stop().await;
    tell(&stage, &cases, InstructionKind::Execute, 3).await;
    settle(&stage, &second.accounts, &cases).await;
    second.stop().await;
}
