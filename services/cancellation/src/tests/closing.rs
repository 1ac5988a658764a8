//! What a closed account leaves: nothing open, and nothing that the subject wrote.

use std::time::Duration;

use async_trait::async_trait;
use event_store::{Engine, Recorded, Store, StoreError, StoreOptions, StreamId};
use keys::VaultError;
use proto::{cancellation::v1::State, participant::v1::Outcome};
use testkit::{Fault, Intercept, Intercepted};
use tokio::sync::oneshot;
use types::{Caller, CancellationId, Clock as _, Scope};

use super::harness::{Coordinator, FIRST, Home, PATIENCE, SECOND, one_item, signed, subject};
use crate::{
    app::Change,
    domain::{Command, Kind},
};

const SAID: &str = "canary: too expensive for me";

/// Cancellations of one subject in every state that lasts, each with its reason; the last one closes the
/// account.
async fn left(coordinator: &Coordinator) -> Vec<(CancellationId, State)> {
    let leaver = subject("sbj_1");
    coordinator.know(&leaver).await;
    let request = |scope| coordinator.request(&leaver, scope, SAID);
    let revoked = request(one_item()).await;
    let caller = Caller::local();
    let change = Change { caller: &caller, claim: None, id: &revoked };
    coordinator.cancellations.revoke(change, SAID.into()).await.unwrap();
    let partial = request(one_item()).await;
    coordinator.complete(&partial).await;
    let open = request(one_item()).await;
    let executing = request(one_item()).await;
    coordinator.confirm(&executing).await;
    let whole = request(Scope::WholeAccount).await;
    coordinator.complete(&whole).await;
    vec![
        (revoked, State::Revoked),
        (partial, State::Completed),
        (open, State::Expired),
        (executing, State::Executing),
        (whole, State::Completed),
    ]
}

fn is_destroyed(home: &Home, id: &CancellationId) -> bool {
    match home.vault.open_sealed(id.as_str(), "reason", &[1; 64]) {
        Err(VaultError::Destroyed) => true,
        Err(VaultError::Tampered) => false,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_a_subject_wrote_goes_with_the_account_whatever_became_of_each_cancellation() {
    let home = Home::new().await;
    let coordinator = home.coordinator().await;
    let stays = subject("sbj_2");
    coordinator.know(&stays).await;
    let other = coordinator.request(&stays, one_item(), SAID).await;
    let all = left(&coordinator).await;
    assert!(all.iter().all(|(id, _)| !is_destroyed(&home, id)));
    for _ in 0..2 {
        coordinator.close().await.unwrap();
        for (id, state) in &all {
            assert!(is_destroyed(&home, id), "{state:?}");
            assert_eq!(coordinator.state(id).await, *state);
        }
        assert!(!is_destroyed(&home, &other));
    }
}

#[tokio::test]
async fn keys_that_an_older_copy_of_the_vault_brings_back_go_again() {
    let home = Home::new().await;
    let coordinator = home.coordinator().await;
    let all = left(&coordinator).await;
    let (vault, copy) = (home.stage.directory.path().join("vault"), home.stage.directory.path().join("copy"));
    let copied = std::process::Command::new("cp").arg("-r").args([&vault, &copy]).status().unwrap();
    assert!(copied.success());
    coordinator.close().await.unwrap();
    std::fs::remove_dir_all(&vault).unwrap();
    std::fs::rename(&copy, &vault).unwrap();
    assert!(all.iter().all(|(id, _)| !is_destroyed(&home, id)));
    coordinator.close().await.unwrap();
    assert!(all.iter().all(|(id, _)| is_destroyed(&home, id)));
}

#[tokio::test]
async fn what_an_outage_left_undone_of_a_closing_is_done_when_it_is_over() {
    let home = Home::new().await;
    let coordinator = home.coordinator().await;
    let all = left(&coordinator).await;
    let (open, _) = &all[2];
    home.engine.fail_next_of(crate::streams::of_case(open), Fault::Before);
    coordinator.close().await.unwrap_err();
    // Its key is what it still may be told with.
    assert!(!is_destroyed(&home, open));
    coordinator.close().await.unwrap();
    assert!(all.iter().all(|(id, _)| is_destroyed(&home, id)));
    assert_eq!(coordinator.state(open).await, State::Expired);
}

/// Somebody whose account another cancellation closes while this one is being done.
async fn overtaken(coordinator: &Coordinator) -> (CancellationId, CancellationId) {
    let leaver = subject("sbj_1");
    coordinator.know(&leaver).await;
    let overtaken = coordinator.request(&leaver, one_item(), "").await;
    coordinator.confirm(&overtaken).await;
    let whole = coordinator.request(&leaver, Scope::WholeAccount, "").await;
    coordinator.complete(&whole).await;
    coordinator.close().await.unwrap();
    assert_eq!(coordinator.state(&overtaken).await, State::Executing);
    (overtaken, whole)
}

#[tokio::test]
async fn what_would_come_back_to_somebody_who_has_left_ends_by_itself() {
    let home = Home::new().await;
    let coordinator = home.coordinator().await;
    let (overtaken, whole) = overtaken(&coordinator).await;
    let changed = coordinator.said(&overtaken, FIRST.0, Kind::Execute, Outcome::Changed).await;
    let running = home.run().await;
    home.publish(&changed, FIRST.1).await;
    coordinator.until(&overtaken, State::Expired).await;
    running.stop().await;
    let told = coordinator.cancellations.get(&overtaken).await.unwrap();
    assert_eq!(told.closed_by_cancellation_id, whole.as_str());
    let due =
        home.stage.store.due_timers(home.stage.clock.now().plus(Duration::from_secs(1_000_000)), 9).await;
    assert_eq!(due.unwrap(), [], "nothing is waited for");
}

#[tokio::test]
async fn an_operator_brings_nothing_back_to_somebody_who_has_left() {
    let home = Home::new().await;
    let coordinator = home.coordinator().await;
    let (overtaken, whole) = overtaken(&coordinator).await;
    coordinator.answer(&overtaken, FIRST, Kind::Execute, Outcome::Failed).await;
    let told = coordinator.carry_out(&overtaken, Command::Reassess).await;
    assert_eq!((told.state(), told.closed_by_cancellation_id), (State::Expired, whole.to_string()));
}

#[tokio::test]
async fn what_comes_back_to_somebody_who_is_there_is_asked_again() {
    let home = Home::new().await;
    let coordinator = home.coordinator().await;
    let stays = subject("sbj_1");
    coordinator.know(&stays).await;
    let case = coordinator.request(&stays, one_item(), "").await;
    coordinator.confirm(&case).await;
    let changed = coordinator.said(&case, FIRST.0, Kind::Execute, Outcome::Changed).await;
    let running = home.run().await;
    home.publish(&changed, FIRST.1).await;
    coordinator.until(&case, State::Assessing).await;
    running.stop().await;
}

#[tokio::test]
async fn who_has_left_is_told_so_and_what_they_still_write_makes_no_key() {
    let home = Home::new().await;
    let coordinator = home.coordinator().await;
    let leaver = subject("sbj_1");
    coordinator.know(&leaver).await;
    let silent = coordinator.request(&leaver, one_item(), "").await;
    let whole = coordinator.request(&leaver, Scope::WholeAccount, SAID).await;
    coordinator.complete(&whole).await;
    coordinator.close().await.unwrap();
    for id in [&silent, &whole] {
        let caller = Caller::local();
        let change = Change { caller: &caller, claim: None, id };
        let refused = coordinator.cancellations.revoke(change, SAID.into()).await.unwrap_err();
        assert!(matches!(refused, crate::error::Error::Rejected(crate::domain::Rejection::Ended)));
    }
    let unknown = home.vault.open_sealed(silent.as_str(), "reason", &[1; 64]);
    assert!(matches!(unknown, Err(VaultError::Unknown)), "{unknown:?}");
}

#[tokio::test]
async fn b16_a_copy_that_knows_nothing_of_the_end_of_an_account_learns_it_from_the_ledger() {
    let home = Home::new().await;
    let coordinator = home.coordinator().await;
    let leaver = subject("sbj_1");
    coordinator.know(&leaver).await;
    let open = coordinator.request(&leaver, one_item(), SAID).await;
    let forgotten = CancellationId::parse("can_forgotten").unwrap();
    home.stage.close(&leaver, &forgotten).await;
    let running = home.run().await;
    coordinator.until(&open, State::Expired).await;
    let told = coordinator.cancellations.get(&open).await.unwrap();
    assert_eq!(told.closed_by_cancellation_id, forgotten.as_str());
    // Told again it adds nothing.
    home.stage.close(&leaver, &forgotten).await;
    let last = subject("sbj_2");
    home.stage.close(&last, &forgotten).await;
    home.until_known(&last, 1).await;
    running.stop().await;
    coordinator.close().await.unwrap();
    assert!(is_destroyed(&home, &open));
    assert_eq!(home.known(&leaver).await, 2);
}

#[tokio::test]
async fn what_the_ledger_says_before_the_cancellation_has_completed_is_recorded_once() {
    let home = Home::new().await;
    let coordinator = home.coordinator().await;
    for (leaver, by_operator) in [(subject("sbj_1"), false), (subject("sbj_2"), true)] {
        let whole = coordinator.leaving(&leaver, SAID).await;
        coordinator.answer(&whole, FIRST, Kind::Execute, Outcome::Done).await;
        let running = home.run().await;
        home.stage.close(&leaver, &whole).await;
        home.until_known(&leaver, 2).await;
        let said = coordinator.said(&whole, SECOND.0, Kind::Execute, Outcome::Done).await;
        if by_operator {
            coordinator.carry_out(&whole, Command::Acknowledge(signed(&said, SECOND.1))).await;
        } else {
            home.publish(&said, SECOND.1).await;
        }
        coordinator.until(&whole, State::Completed).await;
        running.stop().await;
        assert_eq!(home.known(&leaver).await, 2);
    }
}

#[tokio::test]
async fn b16_what_comes_back_to_somebody_whom_it_has_closed_already_goes_on() {
    let home = Home::new().await;
    let coordinator = home.coordinator().await;
    let leaver = subject("sbj_1");
    let whole = coordinator.leaving(&leaver, SAID).await;
    // An older copy: it was answered, confirmed again and done since.
    let changed = coordinator.said(&whole, FIRST.0, Kind::Execute, Outcome::Changed).await;
    let told = coordinator.round(&whole, FIRST.0).await;
    let running = home.run().await;
    home.stage.close(&leaver, &whole).await;
    home.until_known(&leaver, 2).await;
    home.publish(&changed, FIRST.1).await;
    coordinator.until_told_again(&whole, FIRST.0, told).await;
    running.stop().await;
    assert_eq!(coordinator.state(&whole).await, State::Executing);
    coordinator.answer(&whole, FIRST, Kind::Execute, Outcome::Done).await;
    coordinator.answer(&whole, SECOND, Kind::Execute, Outcome::Done).await;
    assert_eq!(coordinator.state(&whole).await, State::Completed);
}

/// Has the next load of a stream answered late.
#[derive(Default)]
struct SlowLoad(std::sync::Mutex<Option<Late>>);

struct Late {
    stream: StreamId,
    loaded: oneshot::Sender<()>,
    released: oneshot::Receiver<()>,
}

impl SlowLoad {
    /// Says when that stream is loaded, and gives it when told so.
    fn next(&self, stream: StreamId) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        let ((loaded, is_loaded), (release, released)) = (oneshot::channel(), oneshot::channel());
        *self.0.lock().unwrap() = Some(Late { stream, loaded, released });
        (is_loaded, release)
    }
}

#[async_trait]
impl Intercept for SlowLoad {
    async fn load(&self, inner: &dyn Engine, streams: &[StreamId]) -> Result<Vec<Vec<Recorded>>, StoreError> {
        let found = inner.load(streams).await;
        let late = self.0.lock().unwrap().take_if(|late| streams.contains(&late.stream));
        if let Some(late) = late {
            late.loaded.send(()).unwrap();
            late.released.await.unwrap();
        }
        found
    }
}

#[tokio::test]
async fn an_account_that_another_replica_closes_while_the_ledger_is_read_is_closed_once() {
    let home = Home::new().await;
    let coordinator = home.coordinator().await;
    let engine = Intercepted::with(home.stage.store.engine().clone(), SlowLoad::default());
    let home = home.on(&Store::with_engine(engine.clone(), StoreOptions::default()));
    let (leaver, last) = (subject("sbj_1"), subject("sbj_2"));
    let whole = coordinator.leaving(&leaver, "").await;
    coordinator.answer(&whole, FIRST, Kind::Execute, Outcome::Done).await;
    let running = home.run().await;
    // When what is known of the subject has been loaded, and before it is used, the cancellation completes.
    let (loaded, release) = engine.next(crate::streams::of_subject(&leaver));
    home.stage.close(&leaver, &whole).await;
    tokio::time::timeout(PATIENCE, loaded).await.expect("the ledger is read").unwrap();
    coordinator.answer(&whole, SECOND, Kind::Execute, Outcome::Done).await;
    release.send(()).unwrap();
    home.stage.close(&last, &CancellationId::parse("can_forgotten").unwrap()).await;
    home.until_known(&last, 1).await;
    running.stop().await;
    assert_eq!(coordinator.state(&whole).await, State::Completed);
    assert_eq!(home.known(&leaver).await, 2);
}
