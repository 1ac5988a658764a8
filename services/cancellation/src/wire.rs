//! Between protobuf and the domain: stored events, acknowledgements, and what callers see.

mod attention;
pub(crate) mod bulk;
mod events;
pub(crate) mod operations;
pub(crate) mod requests;
mod terms;
mod view;

use std::sync::Arc;

pub(crate) use attention::{ATTENTION, OPEN, attention_listing, cause_from, to_proto as attention};
use bytes::Bytes;
#[cfg(test)]
pub(crate) use events::recorded_for_test;
pub(crate) use events::{CANCELLATIONS, Decoded, decode, encode, instructions, listing};
use prost::Message as _;
use proto::participant::v1 as pb;
use types::{ParticipantName, Timestamp};
pub(crate) use view::{blockers, decoded, state_of, view, view_of_row};

use crate::domain::{Answer, Batch, Digest, Kind, Outcome, Signed};

/// What is wrong with an acknowledgement whose signature holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("acknowledgement has no usable {0}")]
pub(crate) struct Unusable(&'static str);

/// A verified acknowledgement in the domain's terms.
pub(crate) fn answer(
    acknowledgement: &pb::Acknowledgement,
    signed: &pb::SignedAcknowledgement,
) -> Result<Answer, Unusable> {
    let assessment = acknowledgement.assessment.as_ref();
    let assessed_at = assessment.and_then(|made| made.assessed_at.as_ref()).and_then(Timestamp::from_proto);
    let at = acknowledgement.acknowledged_at.as_ref().and_then(Timestamp::from_proto);
    let outcome = outcome(acknowledgement.outcome()).ok_or(Unusable("outcome"))?;
    let digest = digest(&acknowledgement.assessment_digest);
    if outcome == Outcome::Assessed {
        let made = assessment.ok_or(Unusable("assessment"))?;
        assessed_at.ok_or(Unusable("moment of assessment"))?;
        if digest != Some(participant::contract::assessment_digest(made)) {
            return Err(Unusable("assessment digest"));
        }
    }
    let until = acknowledgement.waiting.as_ref().and_then(|waiting| waiting.until.as_ref());
    let failure = acknowledgement.failure.as_ref();
    let owner = failure.map(|failure| &failure.owner).filter(|owner| !owner.is_empty());
    Ok(Answer {
        participant: ParticipantName::parse(&acknowledgement.participant)
            .map_err(|_| Unusable("participant"))?,
        kind: kind(acknowledgement.kind()).ok_or(Unusable("kind"))?,
        epoch: acknowledgement.epoch,
        revision: acknowledgement.revision,
        outcome,
        digest,
        assessed_at,
        blocked: assessment.is_some_and(|made| !made.blockers.is_empty()),
        rejected: assessment.is_some_and(|made| !made.rejections.is_empty()),
        undo_until: acknowledgement.undo_until.as_ref().and_then(Timestamp::from_proto),
        said: said(acknowledgement),
        until: until.and_then(Timestamp::from_proto),
        owner: owner.map(|owner| owner.as_str().into()),
        at: at.ok_or(Unusable("moment"))?,
        signed: Signed {
            bytes: Arc::from(&signed.acknowledgement[..]),
            signature: Arc::from(&signed.signature[..]),
            kid: signed.kid.as_str().into(),
            batch: signed.batch.as_ref().map(|batch| {
                let path = Arc::from(&batch.path[..]);
                Arc::new(Batch { index: batch.index, size: batch.size, path })
            }),
        },
    })
}

/// What an answer says beside its outcome, in bytes that are the same for the same.
fn said(acknowledgement: &pb::Acknowledgement) -> Arc<[u8]> {
    let pb::Acknowledgement { kept, waiting, failure, .. } = acknowledgement;
    if kept.is_empty() && waiting.is_none() && failure.is_none() {
        return Arc::default();
    }
    let mut kept = kept.clone();
    kept.sort_by_cached_key(prost::Message::encode_to_vec);
    let said = pb::Acknowledgement {
        kept,
        waiting: waiting.clone(),
        failure: failure.clone(),
        ..Default::default()
    };
    Arc::from(said.encode_to_vec())
}

pub(crate) fn signed(signed: &Signed) -> pb::SignedAcknowledgement {
    pb::SignedAcknowledgement {
        acknowledgement: Bytes::copy_from_slice(&signed.bytes),
        signature: Bytes::copy_from_slice(&signed.signature),
        kid: signed.kid.to_string(),
        batch: signed.batch.as_deref().map(batch),
    }
}

pub(crate) fn batch(batch: &Batch) -> pb::BatchProof {
    pb::BatchProof { index: batch.index, size: batch.size, path: Bytes::copy_from_slice(&batch.path) }
}

pub(crate) fn digest(bytes: &[u8]) -> Option<Digest> {
    bytes.try_into().ok()
}

pub(crate) fn kind_to(kind: Kind) -> pb::InstructionKind {
    match kind {
        Kind::Assess => pb::InstructionKind::Assess,
        Kind::Freeze => pb::InstructionKind::Freeze,
        Kind::Execute => pb::InstructionKind::Execute,
        Kind::Undo => pb::InstructionKind::Undo,
    }
}

pub(crate) fn kind(kind: pb::InstructionKind) -> Option<Kind> {
    match kind {
        pb::InstructionKind::Unspecified => None,
        pb::InstructionKind::Assess => Some(Kind::Assess),
        pb::InstructionKind::Freeze => Some(Kind::Freeze),
        pb::InstructionKind::Execute => Some(Kind::Execute),
        pb::InstructionKind::Undo => Some(Kind::Undo),
    }
}

pub(crate) fn outcome_to(outcome: Outcome) -> pb::Outcome {
    match outcome {
        Outcome::Assessed => pb::Outcome::Assessed,
        Outcome::Done => pb::Outcome::Done,
        Outcome::NothingToDo => pb::Outcome::NothingToDo,
        Outcome::Exempt => pb::Outcome::Exempt,
        Outcome::Restricted => pb::Outcome::Restricted,
        Outcome::Waiting => pb::Outcome::Waiting,
        Outcome::Accepted => pb::Outcome::Accepted,
        Outcome::Failed => pb::Outcome::Failed,
        Outcome::Changed => pb::Outcome::Changed,
        Outcome::Superseded => pb::Outcome::Superseded,
    }
}

fn outcome(outcome: pb::Outcome) -> Option<Outcome> {
    Some(match outcome {
        pb::Outcome::Unspecified => return None,
        pb::Outcome::Assessed => Outcome::Assessed,
        pb::Outcome::Done => Outcome::Done,
        pb::Outcome::NothingToDo => Outcome::NothingToDo,
        pb::Outcome::Exempt => Outcome::Exempt,
        pb::Outcome::Restricted => Outcome::Restricted,
        pb::Outcome::Waiting => Outcome::Waiting,
        pb::Outcome::Accepted => Outcome::Accepted,
        pb::Outcome::Failed => Outcome::Failed,
        pb::Outcome::Changed => Outcome::Changed,
        pb::Outcome::Superseded => Outcome::Superseded,
    })
}
