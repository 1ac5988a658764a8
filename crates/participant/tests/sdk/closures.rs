//! The ledger of closed subjects: what it says is so, also where the store is an older copy.

use std::{sync::Arc, time::Duration};

use messaging::ConsumerHealth;
use participant::{AccountError, Accounts, Participant as _, Runtime, WriteError, contract, stream_of};
use proto::participant::v1::{InstructionKind, Outcome};
use testkit::{Told, Toy, ToyEvent};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use types::{CancellationId, Scope, SubjectId};

use crate::World;

const PATIENCE: Duration = Duration::from_secs(20);

fn can(n: u8) -> CancellationId {
    CancellationId::parse(&format!("can_{n}")).unwrap()
}

/// A toy at work on a world's store.
struct Running {
    accounts: Accounts<Toy>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Running {
    /// Starts it and waits until it is ready.
    async fn ready(world: &World) -> Self {
        let runtime = Runtime::new(Arc::new(Toy::slow()), world.stage.options(), true).await.unwrap();
        let (accounts, mut health) = (runtime.accounts().clone(), runtime.consumer().health());
        assert!(health.borrow().behind, "nobody is ready before the ledger was read");
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        let token = stop.clone();
        tasks.spawn(async move { runtime.run(token).await.unwrap() });
        let ready = |health: &ConsumerHealth| health.joined && !health.behind;
        tokio::time::timeout(PATIENCE, health.wait_for(ready)).await.unwrap().unwrap();
        Self { accounts, stop, tasks }
    }

    async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

async fn facts(world: &World, subject: &SubjectId) -> Vec<String> {
    let events = world.stage.store.load(&stream_of(subject)).await.unwrap();
    events.iter().map(|event| event.kind.rsplit('.').next().unwrap_or_default().to_owned()).collect()
}

/// How many entries of the ledger the store's offsets cover.
async fn applied(world: &World) -> i64 {
    let rows = world.stage.store.offsets("exeunt.toy").await.unwrap();
    rows.iter().filter(|row| *row.topic == *contract::CLOSURES).map(|row| row.next).sum()
}

#[tokio::test]
async fn b16_an_older_copy_applies_the_ledger_before_it_is_ready_and_its_offsets_say_up_to_where() {
    let world = World::new().await;
    // Of neither does the copy know an end. What blocks is no reason to keep what must go.
    let left = world.subject(vec![ToyEvent::Given { units: 3 }, ToyEvent::Blocked]).await;
    let stays = world.subject(vec![ToyEvent::Given { units: 3 }]).await;
    let unknown = SubjectId::parse("sbj_unknown").unwrap();
    world.stage.close(&left, &can(1)).await;
    world.stage.close(&unknown, &can(2)).await;

    let running = Running::ready(&world).await;
    assert_eq!(applied(&world).await, 2);
    let account = running.accounts.get(&left).await.unwrap();
    assert_eq!((account.closed, account.state.asked), (Some(can(1)), true));
    assert_eq!(facts(&world, &left).await, ["SubjectKnown", "Given", "Blocked", "Asked", "SubjectClosed"]);
    assert_eq!(facts(&world, &unknown).await, ["SubjectClosed"]);
    assert!(running.accounts.get(&stays).await.unwrap().closed.is_none());
    let write = running.accounts.write(world.request(&left, "", 0), |_, _| {
        Ok::<_, &str>((vec![ToyEvent::Given { units: 1 }], String::new()))
    });
    assert!(matches!(write.await, Err(WriteError::Account(AccountError::Closed))));

    // An effect outside that the end began goes on, on the closed account.
    let confirm = |_: &testkit::ToyState, _| (vec![ToyEvent::Confirmed], Vec::new());
    running.accounts.record(&left, "test", confirm).await.unwrap();
    assert_eq!(facts(&world, &left).await.len(), 6);

    // The instruction that closed it is repeated late, as after every restore: it has happened.
    let toy = Toy::slow();
    let (kind, scope) = (InstructionKind::Execute, Scope::WholeAccount);
    let (cancellation, subject) = (can(1), left.clone());
    let told = Told {
        participant: toy.name(),
        cancellation: &cancellation,
        subject: &subject,
        kind,
        epoch: 4,
        scope: &scope,
    };
    world.stage.instruct(told).await;
    let answer = world.stage.answer(&running.accounts, &left, &can(1), (4, 1)).await;
    assert_eq!(answer.outcome(), Outcome::NothingToDo);
    assert_eq!(running.accounts.get(&left).await.unwrap().state.done, 0);
    running.stop().await;
}

#[tokio::test]
async fn b16_an_entry_that_is_known_or_told_again_adds_nothing() {
    let world = World::new().await;
    let left = world.subject(vec![ToyEvent::Given { units: 3 }]).await;
    world.stage.close(&left, &can(1)).await;
    Running::ready(&world).await.stop().await;
    let before = facts(&world, &left).await;
    for by in [1, 2] {
        world.stage.close(&left, &can(by)).await;
    }
    let running = Running::ready(&world).await;
    assert_eq!((applied(&world).await, facts(&world, &left).await), (3, before));
    assert_eq!(running.accounts.get(&left).await.unwrap().closed, Some(can(1)));
    running.stop().await;
}
