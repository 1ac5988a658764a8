//! Instructions repeated, late, and in an order of their own.

use messaging::{CE_ID, CE_SPECVERSION, CE_SUBJECT, CE_TYPE};
use pb::InstructionKind::{Assess, Execute, Freeze, Undo};
use prost::Name as _;
use proto::participant::v1 as pb;

use super::Effect;
use crate::{
    Fault, Session,
    fault::{holds, same},
    session::is_interim,
};

pub(super) async fn an_answer_says_what_it_answers(session: &mut Session<'_>) -> Result<Effect, Fault> {
    let case = session.case();
    let heard = session.assess(&case, 1).await?;
    let answer = &heard.answer;
    same("kind, epoch and revision", &(Assess, 1, 1), &(answer.kind(), answer.epoch, answer.revision))?;
    let moment = answer.acknowledged_at.as_ref().and_then(types::Timestamp::from_proto);
    holds("acknowledged_at", "an instant", moment.is_some(), || format!("{:?}", answer.acknowledged_at))?;
    let assessment = answer.assessment.clone().unwrap_or_default();
    let name = session.coordinator.participant().as_str();
    let speakers = assessment.blockers.iter().map(|it| &it.participant);
    let speakers = speakers.chain(assessment.items.iter().map(|it| &it.participant));
    for speaker in speakers.chain(assessment.rejections.iter().map(|it| &it.participant)) {
        same("participant within an assessment", &name, &speaker.as_str())?;
    }
    let made = assessment.assessed_at.as_ref().and_then(types::Timestamp::from_proto);
    holds("assessed_at", "an instant", made.is_some(), || format!("{:?}", assessment.assessed_at))?;
    let header = |wanted: &str| {
        let found = heard.headers.iter().find(|(name, _)| **name == *wanted);
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    };
    same("header ce_specversion", &Some("1.0".to_owned()), &header(CE_SPECVERSION))?;
    same("header ce_type", &Some(pb::SignedAcknowledgement::full_name()), &header(CE_TYPE))?;
    same("header ce_subject", &Some(case.to_string()), &header(CE_SUBJECT))?;
    holds("header ce_id", "some text", header(CE_ID).is_some_and(|id| !id.is_empty()), || {
        format!("{:?}", header(CE_ID))
    })?;
    session.untouched().await?;
    Ok(Effect::None)
}

pub(super) async fn a_repeated_instruction_gets_the_same_bytes_again(
    session: &mut Session<'_>,
) -> Result<Effect, Fault> {
    let case = session.case();
    let first = session.assess(&case, 1).await?;
    session.repeat(&case, (Assess, 1), None, &first).await?;
    let assessed = Some(&first.answer);
    session.tell(&case, Execute, 2, assessed).await?;
    let mut last = session.next(&case).await?;
    if is_interim(last.answer.outcome()) {
        session.repeat(&case, (Execute, 2), assessed, &last).await?;
        session.host.help(&session.subject).await?;
        last = session.finish(&case, 2).await?;
    }
    holds("end of EXECUTE", "a success", participant::is_success(last.answer.outcome()), || last.told())?;
    session.repeat(&case, (Execute, 2), assessed, &last).await?;
    Ok(Effect::Once)
}

pub(super) async fn what_comes_after_the_end_is_answered_without_effect(
    session: &mut Session<'_>,
) -> Result<Effect, Fault> {
    let case = session.case();
    let assessed = session.assess(&case, 1).await?.answer;
    let last = session.execute(&case, 2, Some(&assessed)).await?;
    let before = session.facts().await?;
    session.superseded(&case, Assess, 1).await?;
    for (kind, epoch) in [(Assess, 3), (Freeze, 4)] {
        session.tell(&case, kind, epoch, None).await?;
        session.again(&case, &last).await?;
        // A coordinator that was restored does not know of the end, and asks to go on.
        if kind == Assess {
            let found = session.next(&case).await?;
            let is = (found.answer.outcome(), found.answer.epoch);
            holds(
                "answer to ASSESS after the end",
                "ASSESSED, too",
                is == (pb::Outcome::Assessed, epoch),
                || found.told(),
            )?;
        }
    }
    session.superseded(&case, Assess, 2).await?;
    session.nothing_since(before).await?;
    // Whoever asks anew must hear an answer of the epoch in which he asked.
    session.tell(&case, Execute, 5, Some(&assessed)).await?;
    let again = session.next(&case).await?.answer;
    same("epoch and revision of EXECUTE told again", &(5, 1), &(again.epoch, again.revision))?;
    same("outcome of EXECUTE told again", &last.answer.outcome(), &again.outcome())?;
    same("what is kept of EXECUTE told again", &last.answer.kept, &again.kept)?;
    Ok(Effect::Once)
}

pub(super) async fn execute_may_come_before_any_assess(session: &mut Session<'_>) -> Result<Effect, Fault> {
    let case = session.case();
    session.execute(&case, 2, None).await?;
    session.superseded(&case, Assess, 1).await?;
    Ok(Effect::Once)
}

pub(super) async fn execute_may_rest_on_an_assessment_that_it_was_not_asked_for(
    session: &mut Session<'_>,
) -> Result<Effect, Fault> {
    let (other, case) = (session.case(), session.case());
    let assessed = session.assess(&other, 1).await?.answer;
    session.execute(&case, 2, Some(&assessed)).await?;
    session.superseded(&case, Assess, 1).await?;
    Ok(Effect::Once)
}

pub(super) async fn undo_of_what_was_never_seen_stops_it(session: &mut Session<'_>) -> Result<Effect, Fault> {
    let case = session.case();
    session.tell(&case, Undo, 3, None).await?;
    let undone = session.next(&case).await?;
    let is = (undone.answer.outcome(), undone.answer.epoch);
    holds("answer to UNDO of nothing", "NOTHING_TO_DO", is == (pb::Outcome::NothingToDo, 3), || {
        undone.told()
    })?;
    let before = session.facts().await?;
    session.superseded(&case, Execute, 2).await?;
    session.nothing_since(before).await?;
    session.untouched().await?;
    Ok(Effect::None)
}

pub(super) async fn a_lower_epoch_is_superseded(session: &mut Session<'_>) -> Result<Effect, Fault> {
    let case = session.case();
    session.assess(&case, 5).await?;
    let before = session.facts().await?;
    for kind in [Assess, Freeze, Execute, Undo] {
        session.superseded(&case, kind, 3).await?;
    }
    session.nothing_since(before).await?;
    session.untouched().await?;
    Ok(Effect::None)
}

pub(super) async fn freeze_and_undo_leave_things_as_they_were(
    session: &mut Session<'_>,
) -> Result<Effect, Fault> {
    let case = session.case();
    let before = session.assess(&case, 1).await?.answer;
    for (kind, epoch) in [(Freeze, 2), (Undo, 3)] {
        session.tell(&case, kind, epoch, None).await?;
        let first = session.next(&case).await?;
        let fine = [pb::Outcome::Done, pb::Outcome::NothingToDo].contains(&first.answer.outcome());
        holds(&format!("answer to {kind:?}"), "DONE or NOTHING_TO_DO", fine, || first.told())?;
        session.repeat(&case, (kind, epoch), None, &first).await?;
    }
    let after = session.assess(&case, 4).await?.answer;
    same("digest after FREEZE and UNDO", &before.assessment_digest, &after.assessment_digest)?;
    // The same again with EXECUTE instead of UNDO: what is suspended can end.
    let other = session.case();
    session.tell(&other, Freeze, 1, None).await?;
    session.next(&other).await?;
    let assessed = session.assess(&other, 2).await?.answer;
    session.execute(&other, 3, Some(&assessed)).await?;
    Ok(Effect::Any)
}
