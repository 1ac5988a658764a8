//! Facts that change, block, clear, and end.

use participant::{AccountError, Participant, Write, WriteError};
use pb::InstructionKind::{Assess, Execute, Freeze, Undo};
use proto::participant::v1 as pb;
use types::{Caller, Scope};

use super::{Scenario, play::Play};

pub(super) async fn changed_facts_are_told_and_stop_execution<P: Participant>(scenario: &Scenario<P>) {
    if scenario.change.is_empty() {
        return;
    }
    let mut play = Play::start(scenario).await;
    let case = Play::<P>::case();
    let accepted = play.assess(&case, 1).await;
    play.record(&scenario.change).await;
    let (anew, _) = play.next(&case).await;
    assert_eq!((anew.kind(), anew.epoch, anew.revision), (Assess, 1, 2), "a change is told by itself");
    assert_ne!(anew.assessment_digest, accepted.assessment_digest);
    play.tell(&case, Execute, 2, Some(&accepted)).await;
    let changed = play.next(&case).await;
    assert_eq!(changed.0.outcome(), pb::Outcome::Changed);
    let version = play.version().await;
    play.tell(&case, Execute, 2, Some(&accepted)).await;
    play.again(&case, &changed).await;
    assert_eq!(play.version().await, version);
    assert_eq!(play.effects().await, Vec::<String>::new(), "CHANGED does nothing");
    let accepted = play.assess(&case, 3).await;
    assert_eq!(accepted.assessment_digest, anew.assessment_digest);
    play.tell(&case, Execute, 4, Some(&accepted)).await;
    let (answer, _) = play.next(&case).await;
    assert_ne!(answer.outcome(), pb::Outcome::Changed);
}

pub(super) async fn what_blocks_is_waited_for<P: Participant>(scenario: &Scenario<P>) {
    let Some(block) = &scenario.block else { return };
    let mut play = Play::start(scenario).await;
    play.record(&block.set).await;
    let (asked, case) = (Play::<P>::case(), Play::<P>::case());
    let blocked = play.assess(&asked, 1).await.assessment.expect("is there").blockers;
    let name = scenario.participant.name().as_str();
    assert!(!blocked.is_empty() && blocked.iter().all(|blocker| blocker.participant == name));
    play.tell(&case, Execute, 1, None).await;
    let (waiting, _) = play.next(&case).await;
    assert_eq!(waiting.outcome(), pb::Outcome::Waiting);
    let waiting = waiting.waiting.expect("is there");
    assert_eq!(waiting.waiting_on(), pb::WaitingOn::Subject);
    assert_eq!(waiting.code, blocked[0].code);
    assert_eq!(play.effects().await, Vec::<String>::new(), "what blocks stops all of it");

    play.record(&block.clear).await;
    let (cleared, _) = play.next(&asked).await;
    assert_eq!(cleared.assessment.expect("is there").blockers, []);
    play.go_on_from(&case, 1, 2).await;
    play.settle().await;
}

pub(super) async fn a_closed_account_takes_nothing_more<P: Participant>(scenario: &Scenario<P>) {
    let mut play = Play::start(scenario).await;
    let (case, other) = (Play::<P>::case(), Play::<P>::case());
    play.execute(&case, 1, None).await;
    let caller = Caller::local();
    let write = Write { caller: &caller, request_id: "late", digest: [0; 32], subject: &play.subject };
    let written = play.accounts.write(write, |_, _| Ok::<_, ()>((Vec::new(), String::new()))).await;
    if scenario.scope != Scope::WholeAccount {
        assert!(written.is_ok(), "an account of which a part ended goes on");
        return play.settle().await;
    }
    assert!(matches!(written, Err(WriteError::Account(AccountError::Closed))));
    let assessment = play.assess(&other, 1).await.assessment.expect("is there");
    assert_eq!((assessment.blockers, assessment.items), (Vec::new(), Vec::new()), "nothing is left");
    for (kind, epoch) in [(Freeze, 2), (Undo, 3), (Execute, 4)] {
        play.tell(&other, kind, epoch, None).await;
        assert_eq!(play.next(&other).await.0.outcome(), pb::Outcome::NothingToDo, "{kind:?}");
    }
    // What closed it cannot be taken back, and that is said.
    play.tell(&case, Undo, 2, None).await;
    let (refused, _) = play.ended(&case, 2).await;
    assert_eq!(refused.outcome(), pb::Outcome::Failed);
    play.settle().await;
}
