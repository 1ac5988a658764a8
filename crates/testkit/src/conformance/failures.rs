//! Poison, and each step failing once.

use bytes::Bytes;
use messaging::CloudEvent;
use participant::{Participant, contract, stream_of};
use pb::InstructionKind::{Assess, Execute};
use prost::{Message as _, Name as _};
use proto::participant::v1 as pb;
use types::{CancellationId, Clock as _};

use super::{Scenario, play::Play};
use crate::Fault;

pub(super) async fn poison_parks_its_key_and_no_other<P: Participant>(scenario: &Scenario<P>) {
    let mut play = Play::start(scenario).await;
    let [garbage, foreign, unknown, lacking, good] = neighbours();
    let instruction = |case: &CancellationId| pb::Instruction {
        instruction_id: format!("{case}/x/assess/1"),
        cancellation_id: case.to_string(),
        participant: scenario.participant.name().to_string(),
        kind: Assess.into(),
        epoch: 1,
        subject_id: play.subject.to_string(),
        scope: Some(participant::wire::scope(&scenario.scope)),
        issued_at: Some(scenario.now.to_proto()),
        ..pb::Instruction::default()
    };
    let poison = [
        (&garbage, b"\xff\xff\xff".to_vec(), "UNDECODABLE"),
        (
            &foreign,
            pb::Instruction { participant: "another".into(), ..instruction(&foreign) }.encode_to_vec(),
            "WRONG_PARTICIPANT",
        ),
        (&unknown, pb::Instruction { kind: 99, ..instruction(&unknown) }.encode_to_vec(), "UNKNOWN_KIND"),
        (&lacking, pb::Instruction { scope: None, ..instruction(&lacking) }.encode_to_vec(), "UNDECODABLE"),
    ];
    for (case, payload, _) in &poison {
        publish(&play, case, payload).await;
    }
    publish(&play, &garbage, &instruction(&garbage).encode_to_vec()).await;
    // One behind them in the same partition is answered.
    play.assess(&good, 1).await;
    let mut health = play.consumer.health();
    let parks = health.wait_for(|health| health.parked_keys == poison.len());
    tokio::time::timeout(std::time::Duration::from_secs(30), parks)
        .await
        .expect("they park")
        .expect("it runs");
    let page = play.stage.store.parked(None, None, 100).await.expect("the store is read");
    let causes: Vec<_> = page.rows.iter().map(|row| (row.key.clone(), &*row.cause)).collect();
    let mut expected: Vec<_> = poison.iter().map(|(case, _, cause)| (key(case), *cause)).collect();
    expected.push((key(&garbage), "behind"));
    assert_eq!(causes, expected);
    assert_eq!(play.effects().await, Vec::<String>::new());
}

pub(super) async fn each_step_may_fail_once_in_the_store<P: Participant>(scenario: &Scenario<P>) {
    for fault in [Fault::Before, Fault::After] {
        for step in 0..2 + scenario.then.len() {
            let play = Play::start(scenario).await;
            let (engine, stream) = (play.engine.clone(), stream_of(&play.subject));
            let play = through(play, step, || engine.fail_next_of(stream, fault)).await;
            assert_eq!(play.engine.failed(), 1, "step {step} failed {fault:?} it was committed");
            play.settle().await;
        }
    }
}

pub(super) async fn each_step_may_fail_once_in_the_log<P: Participant>(scenario: &Scenario<P>) {
    for fault in [Fault::Before, Fault::After] {
        for step in 0..2 + scenario.then.len() {
            let play = Play::start(scenario).await;
            let log = play.log.clone();
            through(play, step, || log.fail_publishes(1, fault)).await.settle().await;
        }
    }
}

/// Plays the scenario, and lets something happen just before one of its steps.
async fn through<'a, P: Participant>(mut play: Play<'a, P>, at: usize, happen: impl FnOnce()) -> Play<'a, P> {
    let case = Play::<P>::case();
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
    for (index, step) in play.scenario.then.iter().enumerate() {
        play.interim(&case, (2, 1)).await;
        reach(2 + index);
        play.record(step).await;
    }
    let (answer, _) = play.ended(&case, 2).await;
    assert!(participant::is_success(answer.outcome()), "{:?}", answer.outcome());
    play
}

pub(super) async fn answers_that_were_not_sent_are_sent_after_a_restart<P: Participant>(
    scenario: &Scenario<P>,
) {
    let mut play = Play::start(scenario).await;
    let case = Play::<P>::case();
    let assessed = play.assess(&case, 1).await;
    play.log.fail_publishes(u64::MAX, Fault::Before);
    play.tell(&case, Execute, 2, Some(&assessed)).await;
    play.stage.answer(&play.accounts, &play.subject, &case, (2, 1)).await;
    play.stop().await;
    play.log.fail_publishes(0, Fault::Before);
    play.restart().await;
    play.go_on(&case, 2).await;
    play.settle().await;
}

/// Cases whose keys share a partition.
fn neighbours() -> [CancellationId; 5] {
    let partition =
        |case: &CancellationId| messaging::partition_of(case.as_str().as_bytes(), contract::PARTITIONS);
    let first = Play::<crate::Toy>::case();
    let mut others =
        std::iter::repeat_with(Play::<crate::Toy>::case).filter(|case| partition(case) == partition(&first));
    let mut other = || others.next().expect("there is always another");
    [other(), other(), other(), other(), other()]
}

fn key(case: &CancellationId) -> Bytes {
    Bytes::copy_from_slice(case.as_str().as_bytes())
}

async fn publish<P: Participant>(play: &Play<'_, P>, case: &CancellationId, payload: &[u8]) {
    let topic = contract::instructions_topic(play.scenario.participant.name());
    let event = CloudEvent {
        id: case.as_str(),
        kind: &pb::Instruction::full_name(),
        source: "conformance",
        subject: case.as_str(),
        at: play.stage.clock.now(),
        sequence: 1,
        traceparent: "",
    };
    let payload = Some(Bytes::copy_from_slice(payload));
    let message = messaging::cloud_event(topic.into(), key(case), &event, payload);
    play.stage.log.publish(vec![message]).await.expect("the log takes it");
}
