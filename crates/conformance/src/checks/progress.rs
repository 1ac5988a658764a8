//! Dates, and facts that are not those accepted.

use bytes::Bytes;
use pb::InstructionKind::{Assess, Execute, Freeze, Undo};
use proto::participant::v1 as pb;
use types::{Scope, Timestamp};

use super::Effect;
use crate::{
    Fault, Session,
    fault::{holds, same},
    session::is_assessment,
};

pub(super) async fn due_dates_are_kept_and_what_is_overdue_is_answered(
    session: &mut Session<'_>,
) -> Result<Effect, Fault> {
    let case = session.case();
    let instruction = |session: &Session<'_>, epoch, due: Timestamp| pb::Instruction {
        due_at: Some(due.to_proto()),
        ..session.coordinator.instruction(&case, &session.subject, Assess, epoch, None)
    };
    // The bound is for the way there and back; two machines' clocks may differ by as much.
    let due = session.coordinator.now().plus(session.coordinator.within());
    session.coordinator.tell(&instruction(session, 1, due)).await?;
    let answer = session.ended(&case, 1).await?.answer;
    let at = answer.acknowledged_at.as_ref().and_then(Timestamp::from_proto);
    holds("acknowledged_at", &format!("at most {due}"), at.is_some_and(|at| at <= due), || {
        format!("{at:?}")
    })?;
    let long_ago = Timestamp::from_micros(session.coordinator.now().as_micros() - 86_400_000_000);
    session.coordinator.tell(&instruction(session, 2, long_ago)).await?;
    let late = session.ended(&case, 2).await?;
    is_assessment(&late.answer)?;
    session.untouched().await?;
    Ok(Effect::None)
}

pub(super) async fn another_digest_is_answered_changed_and_nothing_is_done(
    session: &mut Session<'_>,
) -> Result<Effect, Fault> {
    let case = session.case();
    let accepted = session.assess(&case, 1).await?.answer;
    let mut digest = accepted.assessment_digest.to_vec();
    digest.iter_mut().for_each(|byte| *byte = !*byte);
    let other = pb::Acknowledgement { assessment_digest: Bytes::from(digest), ..accepted.clone() };
    changed(session, &case, 2, &other).await?;
    // The coordinator asks again, and what is then accepted is done.
    let anew = session.assess(&case, 3).await?.answer;
    same("digest of the same facts", &accepted.assessment_digest, &anew.assessment_digest)?;
    session.execute(&case, 4, Some(&anew)).await?;
    Ok(Effect::Once)
}

pub(super) async fn changed_facts_are_told_and_stop_execution(
    session: &mut Session<'_>,
) -> Result<Effect, Fault> {
    let case = session.case();
    let accepted = session.assess(&case, 1).await?.answer;
    if !session.host.change(&session.subject).await? {
        return Ok(Effect::Skipped("nobody here can change what the participant has of the subject"));
    }
    let anew = session.next(&case).await?;
    let is = (anew.answer.kind(), anew.answer.epoch, anew.answer.revision);
    holds("answer after facts changed", "ASSESS of epoch 1, revision 2", is == (Assess, 1, 2), || {
        anew.told()
    })?;
    is_assessment(&anew.answer)?;
    let digest = &anew.answer.assessment_digest;
    holds("digest after facts changed", "another", *digest != accepted.assessment_digest, || {
        "the same".into()
    })?;
    changed(session, &case, 2, &accepted).await?;
    let accepted = session.assess(&case, 3).await?.answer;
    same("digest of the same facts", digest, &accepted.assessment_digest)?;
    session.tell(&case, Execute, 4, Some(&accepted)).await?;
    let heard = session.next(&case).await?;
    let outcome = heard.answer.outcome();
    holds(
        "answer to EXECUTE of the facts as they are",
        "it is done",
        outcome != pb::Outcome::Changed,
        || heard.told(),
    )?;
    Ok(Effect::Any)
}

pub(super) async fn a_closed_account_takes_nothing_more(session: &mut Session<'_>) -> Result<Effect, Fault> {
    if *session.coordinator.scope() != Scope::WholeAccount {
        return Ok(Effect::Skipped("what ends is not the whole account"));
    }
    let (case, other) = (session.case(), session.case());
    session.execute(&case, 1, None).await?;
    let left = session.assess(&other, 1).await?.answer.assessment.unwrap_or_default();
    let empty = left.blockers.is_empty() && left.items.is_empty();
    holds("assessment of a closed account", "nothing", empty, || format!("{left:?}"))?;
    for (kind, epoch) in [(Freeze, 2), (Undo, 3), (Execute, 4)] {
        session.tell(&other, kind, epoch, None).await?;
        let heard = session.next(&other).await?;
        let is = heard.answer.outcome();
        holds("answer for a closed account", "NOTHING_TO_DO", is == pb::Outcome::NothingToDo, || {
            heard.told()
        })?;
    }
    // What closed it cannot be taken back, and that is said.
    session.tell(&case, Undo, 2, None).await?;
    let refused = session.ended(&case, 2).await?;
    let is = refused.answer.outcome();
    holds("answer to UNDO of what closed the account", "FAILED", is == pb::Outcome::Failed, || {
        refused.told()
    })?;
    Ok(Effect::Once)
}

/// EXECUTE on facts that are not: CHANGED, as often as it is told, and nothing is done.
async fn changed(
    session: &mut Session<'_>,
    case: &types::CancellationId,
    epoch: u32,
    accepted: &pb::Acknowledgement,
) -> Result<(), Fault> {
    session.tell(case, Execute, epoch, Some(accepted)).await?;
    let heard = session.next(case).await?;
    let is = (heard.answer.outcome(), heard.answer.epoch);
    holds("EXECUTE on another digest", "CHANGED", is == (pb::Outcome::Changed, epoch), || heard.told())?;
    session.repeat(case, (Execute, epoch), Some(accepted), &heard).await?;
    session.untouched().await
}
