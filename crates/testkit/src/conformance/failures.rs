//! Poison where it lies, and each step failing once.

use ::conformance::CHECKS;
use participant::{Participant, stream_of};
use pb::InstructionKind::Execute;
use proto::participant::v1 as pb;

use super::{Scenario, play::Play};
use crate::Fault;

/// The garbage of the check of that name is parked, each with its cause, and what came behind it with
/// it.
pub(super) async fn what_cannot_be_read_is_parked<P: Participant>(scenario: &Scenario<P>) {
    let mut play = Play::start(scenario).await;
    for check in CHECKS.iter().filter(|check| check.name == "garbage") {
        play.run(check).await;
    }
    let house = &play.house;
    let mut expected = ["UNDECODABLE", "WRONG_PARTICIPANT", "UNKNOWN_KIND", "UNDECODABLE", "behind"];
    let mut health = house.consumer.health();
    let parks = health.wait_for(|health| health.parked_keys == expected.len() - 1);
    tokio::time::timeout(std::time::Duration::from_secs(120), parks)
        .await
        .expect("they park")
        .expect("it runs");
    let page = house.stage.store.parked(None, None, 100).await.expect("the store is read");
    let mut causes: Vec<_> = page.rows.iter().map(|row| &*row.cause).collect();
    causes.sort_unstable();
    expected.sort_unstable();
    assert_eq!(causes, expected);
}

pub(super) async fn each_step_may_fail_once_in_the_store<P: Participant>(scenario: &Scenario<P>) {
    for fault in [Fault::Before, Fault::After] {
        for step in 0..2 + scenario.then.len() {
            let play = Play::start(scenario).await;
            let (engine, stream) = (play.house.engine.clone(), stream_of(&play.house.subject));
            let play = through(play, step, || engine.fail_next_of(stream, fault)).await;
            assert_eq!(play.house.engine.failed(), 1, "step {step} failed {fault:?} it was committed");
            play.settle().await;
        }
    }
}

pub(super) async fn each_step_may_fail_once_in_the_log<P: Participant>(scenario: &Scenario<P>) {
    for fault in [Fault::Before, Fault::After] {
        for step in 0..2 + scenario.then.len() {
            let play = Play::start(scenario).await;
            let log = play.house.log.clone();
            through(play, step, || log.fail_publishes(1, fault)).await.settle().await;
        }
    }
}

/// Plays the scenario, and lets something happen just before one of its steps.
async fn through<'a, P: Participant>(mut play: Play<'a, P>, at: usize, happen: impl FnOnce()) -> Play<'a, P> {
    let case = play.case();
    let mut happen = Some(happen);
    let mut reach = |step| {
        if step == at
            && let Some(happen) = happen.take()
        {
            happen();
        }
    };
    reach(0);
    let assessed = play.assess(&case, 1).await;
    reach(1);
    play.tell(&case, Execute, 2, Some(&assessed)).await;
    for index in 0..play.house.scenario.then.len() {
        play.interim(&case, (2, 1)).await;
        reach(2 + index);
        play.house.step().await;
    }
    play.go_on(&case, 2).await;
    play
}

pub(super) async fn answers_that_were_not_sent_are_sent_after_a_restart<P: Participant>(
    scenario: &Scenario<P>,
) {
    let mut play = Play::start(scenario).await;
    let case = play.case();
    let assessed = play.assess(&case, 1).await;
    play.house.log.fail_publishes(u64::MAX, Fault::Before);
    play.tell(&case, Execute, 2, Some(&assessed)).await;
    play.house.stage.answer(&play.house.accounts, &play.house.subject, &case, (2, 1)).await;
    play.house.stop().await;
    play.house.log.fail_publishes(0, Fault::Before);
    play.house.restart().await;
    play.go_on(&case, 2).await;
    play.settle().await;
}
