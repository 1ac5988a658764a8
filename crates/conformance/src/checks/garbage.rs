//! What is no instruction, among those that are.

use bytes::Bytes;
use pb::InstructionKind::Assess;
use prost::Message as _;
use proto::participant::v1 as pb;

use super::Effect;
use crate::{Fault, Session, fault::holds, session::is_assessment};

pub(super) async fn garbage_stops_its_key_and_no_other(session: &mut Session<'_>) -> Result<Effect, Fault> {
    let good = session.case();
    let mut neighbour = || session.coordinator.neighbour(&good);
    let (undecodable, foreign, unknown, lacking) = (neighbour(), neighbour(), neighbour(), neighbour());
    let assess = |case| session.coordinator.instruction(case, &session.subject, Assess, 1, None);
    let bad = [
        (&undecodable, Bytes::from_static(b"\xff\xff\xff"), "bytes that are no message"),
        (
            &foreign,
            encoded(pb::Instruction { participant: "another".into(), ..assess(&foreign) }),
            "another's",
        ),
        (&unknown, encoded(pb::Instruction { kind: 99, ..assess(&unknown) }), "of an unknown kind"),
        (&lacking, encoded(pb::Instruction { scope: None, ..assess(&lacking) }), "without a scope"),
    ];
    for (case, payload, _) in &bad {
        session.coordinator.tell_raw(case.as_str(), payload.clone()).await?;
    }
    // One behind garbage may be parked with it, or answered.
    session.coordinator.tell(&assess(&undecodable)).await?;
    // One behind them in the same partition, with a key of its own, is answered.
    session.tell(&good, Assess, 1, None).await?;
    let heard = session.next(&good).await?;
    is_assessment(&heard.answer)?;
    // The partition is in order: whatever would be answered to those before has been.
    for (case, _, what) in bad.iter().skip(1) {
        let answers = session.coordinator.heard(case)?;
        holds(&format!("answers to an instruction {what}"), "none", answers.is_empty(), || {
            answers.iter().map(crate::Heard::told).collect::<Vec<_>>().join("; ")
        })?;
    }
    session.untouched().await?;
    Ok(Effect::None)
}

fn encoded(instruction: pb::Instruction) -> Bytes {
    instruction.encode_to_vec().into()
}
