//! Everything bad at once: commits fail, publishes fail and are there twice and in another order, and
//! batches are read twice. What was accepted happens once all the same.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot be set up shall fail")]

use std::{sync::Arc, time::Duration};

use event_store::{Store, StoreOptions};
use participant::{AccountError, Runtime, Write, WriteError};
use proto::participant::v1::InstructionKind;
use testkit::{Fault, FaultyEngine, FaultyLog, Ledger, Stage, Told, Toy, ToyEvent};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use types::{Caller, CancellationId, ParticipantName, Scope, SubjectId, Timestamp, fresh_uuid};

const SUBJECTS: usize = 24;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_happens_once_in_a_storm() {
    for (every, fault) in [(3, Fault::Before), (4, Fault::After)] {
        storm(every, fault).await;
    }
}

async fn storm(every: u64, fault: Fault) {
    let mut stage = Stage::open(Timestamp::parse("2026-11-21T08:00:00Z").unwrap()).await;
    let engine = FaultyEngine::new(stage.store.engine().clone());
    stage.store = Store::with_engine(engine.clone(), StoreOptions::default());
    let log = FaultyLog::new(stage.log.clone());
    stage.log = log.clone();
    let runtime = Runtime::new(Arc::new(Toy::quick()), stage.options(), true).await.unwrap();
    let (accounts, shutdown) = (runtime.accounts().clone(), CancellationToken::new());
    let mut running = JoinSet::new();
    running.spawn(runtime.run(shutdown.clone()));
    log.repeat(true);
    log.reorder(every);
    log.redeliver(true);
    engine.fail_every(every, fault);

    let (caller, toy) = (Caller::local(), ParticipantName::parse("toy").unwrap());
    let mut ledger = Ledger::default();
    let mut cases: Vec<(SubjectId, CancellationId)> = Vec::new();
    for number in 0..SUBJECTS {
        let subject = SubjectId::mint(fresh_uuid());
        stage.register(&subject).await;
        stage.until(&accounts, &subject, |account| account.known.is_some()).await;
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
        ledger.accept(subject.clone());
        cases.push((subject, CancellationId::mint(fresh_uuid())));
    }
    for (kind, epoch) in [(InstructionKind::Assess, 1), (InstructionKind::Execute, 2)] {
        for (subject, cancellation) in &cases {
            let scope = &Scope::WholeAccount;
            stage.instruct(Told { participant: &toy, cancellation, subject, kind, epoch, scope }).await;
        }
    }
    for (subject, _) in &cases {
        let account = stage.until(&accounts, subject, |account| account.closed.is_some()).await;
        ledger.saw(subject, account.state.done.into());
    }
    ledger.settle();
    assert!(engine.failed() > 0);
    shutdown.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(30), running.join_next()).await;
    ended.unwrap().unwrap().unwrap().unwrap();
}
