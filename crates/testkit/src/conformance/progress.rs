//! What blocks, and an account that is closed: checks that need the participant's own way in.

use participant::{AccountError, Participant, Write, WriteError};
use pb::InstructionKind::Execute;
use proto::participant::v1 as pb;
use types::{Caller, Scope};

use super::{Scenario, play::Play};

pub(super) async fn what_blocks_is_waited_for<P: Participant>(scenario: &Scenario<P>) {
    let Some(block) = &scenario.block else { return };
    let mut play = Play::start(scenario).await;
    play.house.record(&block.set).await;
    let (asked, case) = (play.case(), play.case());
    let blocked = play.assess(&asked, 1).await.assessment.expect("is there").blockers;
    let name = scenario.participant.name().as_str();
    assert!(!blocked.is_empty() && blocked.iter().all(|blocker| blocker.participant == name));
    play.tell(&case, Execute, 1, None).await;
    let waiting = play.next(&case).await;
    assert_eq!(waiting.outcome(), pb::Outcome::Waiting);
    let waiting = waiting.waiting.expect("is there");
    assert_eq!(waiting.waiting_on(), pb::WaitingOn::Subject);
    assert_eq!(waiting.code, blocked[0].code);
    assert_eq!(play.house.effects_of().await, Vec::<String>::new(), "what blocks stops all of it");

    play.house.record(&block.clear).await;
    let cleared = play.next(&asked).await;
    assert_eq!(cleared.assessment.expect("is there").blockers, []);
    play.go_on(&case, 1).await;
    play.settle().await;
}

pub(super) async fn a_closed_account_takes_nothing_more<P: Participant>(scenario: &Scenario<P>) {
    let mut play = Play::start(scenario).await;
    let case = play.case();
    play.tell(&case, Execute, 1, None).await;
    play.go_on(&case, 1).await;
    let caller = Caller::local();
    let write = Write { caller: &caller, request_id: "late", digest: [0; 32], subject: &play.house.subject };
    let written = play.house.accounts.write(write, |_, _| Ok::<_, ()>((Vec::new(), String::new()))).await;
    if scenario.scope == Scope::WholeAccount {
        assert!(matches!(written, Err(WriteError::Account(AccountError::Closed))));
    } else {
        assert!(written.is_ok(), "an account of which a part ended goes on");
    }
    play.settle().await;
}
