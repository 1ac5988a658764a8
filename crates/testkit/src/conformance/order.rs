//! Instructions repeated, late, and in an order of their own.

use participant::Participant;
use pb::InstructionKind::{Assess, Execute, Freeze, Undo};
use proto::participant::v1 as pb;

use super::{Scenario, play::Play};

pub(super) async fn a_repeated_instruction_gets_the_same_bytes_again<P: Participant>(scenario: &Scenario<P>) {
    let mut play = Play::start(scenario).await;
    let case = Play::<P>::case();
    play.tell(&case, Assess, 1, None).await;
    let first = play.next(&case).await;
    let version = play.version().await;
    play.tell(&case, Assess, 1, None).await;
    play.again(&case, &first).await;
    assert_eq!(play.version().await, version, "a repeated ASSESS adds nothing");

    let assessed = first.0;
    let done = if scenario.then.is_empty() {
        play.execute(&case, 2, Some(&assessed)).await
    } else {
        play.tell(&case, Execute, 2, Some(&assessed)).await;
        let interim = play.next(&case).await;
        let version = play.version().await;
        play.tell(&case, Execute, 2, Some(&assessed)).await;
        play.again(&case, &interim).await;
        assert_eq!(play.version().await, version, "a repeated EXECUTE adds nothing");
        play.go_on(&case, 2).await
    };
    let version = play.version().await;
    play.tell(&case, Execute, 2, Some(&assessed)).await;
    play.again(&case, &done).await;
    assert_eq!(play.version().await, version, "a repeated EXECUTE adds nothing");
    play.settle().await;
}

pub(super) async fn what_comes_after_the_end_is_answered_without_effect<P: Participant>(
    scenario: &Scenario<P>,
) {
    let mut play = Play::start(scenario).await;
    let case = Play::<P>::case();
    let assessed = play.assess(&case, 1).await;
    let last = play.execute(&case, 2, Some(&assessed)).await;
    let version = play.version().await;
    play.tell(&case, Assess, 1, None).await;
    assert_eq!(play.next(&case).await.0.outcome(), pb::Outcome::Superseded);
    for (kind, epoch) in [(Assess, 3), (Freeze, 4)] {
        play.tell(&case, kind, epoch, None).await;
        play.again(&case, &last).await;
        // A coordinator that was restored does not know of the end, and asks to go on.
        if kind == Assess {
            let (found, _) = play.next(&case).await;
            assert_eq!((found.outcome(), found.epoch), (pb::Outcome::Assessed, epoch));
        }
    }
    play.tell(&case, Assess, 2, None).await;
    assert_eq!(play.next(&case).await.0.outcome(), pb::Outcome::Superseded);
    assert_eq!(play.version().await, version);
    // Whoever asks anew must hear an answer of the epoch in which he asked.
    play.tell(&case, Execute, 5, Some(&assessed)).await;
    let (again, _) = play.next(&case).await;
    assert_eq!((again.epoch, again.revision), (5, 1));
    assert_eq!((again.outcome(), again.kept), (last.0.outcome(), last.0.kept));
    play.settle().await;
}

pub(super) async fn execute_may_come_before_any_assess<P: Participant>(scenario: &Scenario<P>) {
    let mut play = Play::start(scenario).await;
    let case = Play::<P>::case();
    play.execute(&case, 2, None).await;
    play.tell(&case, Assess, 1, None).await;
    let (late, _) = play.next(&case).await;
    assert_eq!((late.outcome(), late.epoch), (pb::Outcome::Superseded, 1));
    play.settle().await;
}

pub(super) async fn execute_may_rest_on_an_assessment_that_it_was_not_asked_for<P: Participant>(
    scenario: &Scenario<P>,
) {
    let mut play = Play::start(scenario).await;
    let (other, case) = (Play::<P>::case(), Play::<P>::case());
    let assessed = play.assess(&other, 1).await;
    play.execute(&case, 2, Some(&assessed)).await;
    play.tell(&case, Assess, 1, None).await;
    assert_eq!(play.next(&case).await.0.outcome(), pb::Outcome::Superseded);
    play.settle().await;
}

pub(super) async fn undo_of_what_was_never_seen_stops_it<P: Participant>(scenario: &Scenario<P>) {
    let mut play = Play::start(scenario).await;
    let case = Play::<P>::case();
    play.tell(&case, Undo, 3, None).await;
    let (undone, _) = play.next(&case).await;
    assert_eq!((undone.outcome(), undone.epoch), (pb::Outcome::NothingToDo, 3));
    let version = play.version().await;
    play.tell(&case, Execute, 2, None).await;
    let (stopped, _) = play.next(&case).await;
    assert_eq!((stopped.outcome(), stopped.epoch), (pb::Outcome::Superseded, 2));
    assert_eq!(play.version().await, version);
    assert_eq!(play.effects().await, Vec::<String>::new());
}

pub(super) async fn a_lower_epoch_is_superseded<P: Participant>(scenario: &Scenario<P>) {
    let mut play = Play::start(scenario).await;
    let case = Play::<P>::case();
    play.assess(&case, 5).await;
    let version = play.version().await;
    for kind in [Assess, Freeze, Execute, Undo] {
        play.tell(&case, kind, 3, None).await;
        let (answer, _) = play.next(&case).await;
        assert_eq!((answer.outcome(), answer.kind(), answer.epoch), (pb::Outcome::Superseded, kind, 3));
    }
    assert_eq!(play.version().await, version);
    assert_eq!(play.effects().await, Vec::<String>::new());
}

pub(super) async fn freeze_and_undo_leave_things_as_they_were<P: Participant>(scenario: &Scenario<P>) {
    let mut play = Play::start(scenario).await;
    let case = Play::<P>::case();
    let before = play.assess(&case, 1).await;
    for (kind, epoch) in [(Freeze, 2), (Undo, 3)] {
        play.tell(&case, kind, epoch, None).await;
        let first = play.next(&case).await;
        let version = play.version().await;
        play.tell(&case, kind, epoch, None).await;
        play.again(&case, &first).await;
        assert_eq!(play.version().await, version, "a repeated {kind:?} adds nothing");
    }
    let after = play.assess(&case, 4).await;
    assert_eq!(after.assessment_digest, before.assessment_digest);
    // The same again with EXECUTE instead of UNDO: what is suspended can end.
    let other = Play::<P>::case();
    play.tell(&other, Freeze, 1, None).await;
    play.next(&other).await;
    let assessed = play.assess(&other, 2).await;
    play.execute(&other, 3, Some(&assessed)).await;
}
