//! What a participant knows of one subject: its own state, the cases open and past, and whether the
//! account is closed. Folded from one stream.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use event_store::{Recorded, StreamId};
use messaging::Unreadable;
use prost::Message as _;
use proto::participant::v1 as pb;
use types::{CancellationId, Edition, Scope, SubjectId, Timestamp};

use crate::{
    Participant,
    given::{Given, RawAnswered},
    is_success, wire,
};

/// What the participant is asked about: the same for every instruction of one cancellation, but for
/// the moment from which dates are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The cancellation.
    pub cancellation: CancellationId,
    /// Whose.
    pub subject: SubjectId,
    /// The subject's region, ISO 3166-1 alpha-2.
    pub region: String,
    /// The subject's edition.
    pub edition: Edition,
    /// What ends; of selected items only this participant's own.
    pub scope: Scope,
    /// The moment from which dates are counted.
    pub assessed_at: Timestamp,
}

/// Where a case stands with this participant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Assessed; may change until it is executed.
    Assessed,
    /// Suspended.
    Frozen,
    /// Executing: waits for somebody, or for an effect outside.
    Working,
    /// Executed, successfully.
    Finished,
    /// Could not be executed, or found other facts than those accepted.
    Stopped,
    /// Taken back, or stopped before it was ever seen.
    Undone,
}

/// What is known of one cancellation.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseRecord {
    /// The case.
    pub case: Case,
    /// Where it stands.
    pub phase: Phase,
    /// The highest epoch seen.
    pub epoch: u32,
    /// What was told at that epoch.
    pub kind: pb::InstructionKind,
    /// The last answer's revision.
    pub revision: u32,
    /// The last answer.
    pub(crate) given: Arc<Given>,
}

impl CaseRecord {
    /// Whether it may be answered anew without being asked.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Assessed | Phase::Working)
    }

    /// Whether it was told before to execute what was accepted under that digest, and has begun: what it
    /// has done of it since makes its own assessment another.
    pub(crate) fn has_begun(&self, accepted: &[u8]) -> bool {
        let answer = self.answer();
        let begun = self.phase == Phase::Working || answer.outcome() == pb::Outcome::Failed;
        let same = !accepted.is_empty() && answer.assessment_digest[..] == *accepted;
        self.kind == pb::InstructionKind::Execute && begun && same
    }

    /// The last answer.
    #[must_use]
    pub fn answer(&self) -> &pb::Acknowledgement {
        self.given.answer()
    }
}

/// One subject, as a participant sees them.
#[derive(Debug, Clone, Default)]
pub struct Account<S> {
    /// The subject's region and edition, once identity has told of them.
    pub known: Option<(String, Edition)>,
    /// The participant's own state.
    pub state: S,
    /// Cases by cancellation.
    pub cases: BTreeMap<CancellationId, CaseRecord>,
    /// The cancellation that closed the account.
    pub closed: Option<CancellationId>,
}

/// Something that is recorded in a subject's stream.
#[derive(Debug, Clone)]
pub(crate) enum Fact<E> {
    Known(pb::SubjectKnown),
    Answered(Answered),
    Closed(pb::SubjectClosed),
    Own(E),
}

/// That an answer was given.
#[derive(Debug, Clone)]
pub(crate) struct Answered {
    /// The instruction, when it is new: what it is about, and itself as it came.
    pub(crate) instruction: Option<(Case, Bytes)>,
    pub(crate) given: Arc<Given>,
}

/// The types of the SDK's own facts, which the tests compare with the contract.
pub(crate) const ANSWERED: &str = "exeunt.participant.v1.Answered";
pub(crate) const SUBJECT_KNOWN: &str = "exeunt.participant.v1.SubjectKnown";
pub(crate) const SUBJECT_CLOSED: &str = "exeunt.participant.v1.SubjectClosed";

/// The stream of a subject in a participant's store.
#[must_use]
pub fn stream_of(subject: &SubjectId) -> StreamId {
    StreamId::new(subject.as_str())
}

impl<E: Clone> Fact<E> {
    pub(crate) fn decode<P: Participant<Event = E>>(
        participant: &P,
        kind: &str,
        schema: u16,
        payload: &Bytes,
    ) -> Result<Self, Unreadable> {
        Ok(match kind {
            ANSWERED => {
                let answered: RawAnswered = read(kind, schema, payload)?;
                let fault = |fault: &str| unreadable(kind, schema, fault);
                let signed = answered.signed.unwrap_or_default();
                let signed = pb::SignedAcknowledgement::decode(signed).map_err(|e| fault(&e.to_string()))?;
                let given = Given::stored(signed).ok_or_else(|| fault("what is signed is no answer"))?;
                let instruction = answered.instruction.map(|bytes| {
                    let told = pb::Instruction::decode(bytes.clone()).map_err(|e| fault(&e.to_string()))?;
                    Ok(case_of(&told).map(|case| (case, bytes)))
                });
                let instruction = instruction.transpose()?.flatten();
                Self::Answered(Answered { instruction, given: Arc::new(given) })
            }
            SUBJECT_KNOWN => Self::Known(read(kind, schema, payload)?),
            SUBJECT_CLOSED => Self::Closed(read(kind, schema, payload)?),
            _ => Self::Own(participant.decode(kind, schema, payload)?),
        })
    }
}

impl<S> Account<S> {
    /// Whether an accepted end of the whole account is under way.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        let working = self.cases.values().filter(|record| record.phase == Phase::Working);
        working.map(|record| &record.case.scope).any(|scope| *scope == Scope::WholeAccount)
    }
}

impl<S: Default> Account<S> {
    /// Applies one fact. Total: what does not fit changes nothing.
    pub(crate) fn apply<P: Participant<State = S>>(mut self, participant: &P, fact: &Fact<P::Event>) -> Self {
        match fact {
            Fact::Known(known) => {
                let edition = wire::edition_from(known.edition);
                self.known.get_or_insert((known.region.clone(), edition));
            }
            Fact::Answered(answered) => self.answered(participant, answered),
            Fact::Closed(closed) => self.closed = CancellationId::parse(&closed.cancellation_id).ok(),
            Fact::Own(event) => {
                self.state = participant.evolve(std::mem::take(&mut self.state), event);
            }
        }
        self
    }

    fn answered<P: Participant<State = S>>(&mut self, participant: &P, answered: &Answered) {
        let answer = answered.given.answer();
        let Ok(cancellation) = CancellationId::parse(&answer.cancellation_id) else { return };
        let before = self.cases.get(&cancellation).map(|record| record.phase);
        let case = match (&answered.instruction, self.cases.get(&cancellation)) {
            (Some((case, _)), _) => case.clone(),
            (None, Some(record)) => record.case.clone(),
            (None, None) => return,
        };
        // An assessment counts its dates from the moment it was made.
        let assessed_at = answer.assessment.as_ref().and_then(|made| made.assessed_at.as_ref());
        let assessed_at = assessed_at.and_then(Timestamp::from_proto).unwrap_or(case.assessed_at);
        let record = CaseRecord {
            case: Case { assessed_at, ..case },
            phase: phase_after(answer.kind(), answer.outcome(), before),
            epoch: answer.epoch,
            kind: answer.kind(),
            revision: answer.revision,
            given: answered.given.clone(),
        };
        self.state = participant.evolve_case(std::mem::take(&mut self.state), &record.case, record.phase);
        self.cases.insert(cancellation, record);
    }
}

/// Reads one of the SDK's own facts; there is one version of each so far.
fn read<M: prost::Message + Default>(kind: &str, schema: u16, payload: &Bytes) -> Result<M, Unreadable> {
    if schema != 1 {
        return Err(unreadable(kind, schema, "this program knows schema 1 only"));
    }
    M::decode(payload.clone()).map_err(|error| unreadable(kind, schema, error))
}

/// What a participant says of a stored event that it does not know.
#[must_use]
pub fn unreadable(kind: &str, schema: u16, detail: impl std::fmt::Display) -> Unreadable {
    Unreadable { kind: kind.into(), detail: format!("schema {schema}: {detail}") }
}

fn phase_after(kind: pb::InstructionKind, outcome: pb::Outcome, before: Option<Phase>) -> Phase {
    match kind {
        pb::InstructionKind::Assess => Phase::Assessed,
        pb::InstructionKind::Freeze => Phase::Frozen,
        pb::InstructionKind::Undo => Phase::Undone,
        pb::InstructionKind::Execute if is_success(outcome) => Phase::Finished,
        pb::InstructionKind::Execute => match outcome {
            pb::Outcome::Waiting | pb::Outcome::Accepted => Phase::Working,
            _ => Phase::Stopped,
        },
        pb::InstructionKind::Unspecified => before.unwrap_or(Phase::Stopped),
    }
}

/// The case that an instruction is about; `None` when a field is not what it must be.
pub(crate) fn case_of(instruction: &pb::Instruction) -> Option<Case> {
    let issued_at = instruction.issued_at.as_ref().and_then(Timestamp::from_proto)?;
    let assessed_at = instruction.assessed_at.as_ref().and_then(Timestamp::from_proto);
    Some(Case {
        cancellation: CancellationId::parse(&instruction.cancellation_id).ok()?,
        subject: SubjectId::parse(&instruction.subject_id).ok()?,
        region: instruction.region.clone(),
        edition: wire::edition_from(instruction.edition),
        scope: wire::scope_from(instruction.scope.as_ref()?)?,
        assessed_at: assessed_at.unwrap_or(issued_at),
    })
}

/// Folds a stored event.
pub(crate) fn fold<P: Participant>(
    participant: &P,
    account: Account<P::State>,
    event: &Recorded,
) -> Result<Account<P::State>, Unreadable> {
    let fact = Fact::decode(participant, &event.kind, event.schema, &event.payload)?;
    Ok(account.apply(participant, &fact))
}

#[cfg(test)]
mod tests {
    use prost::Name as _;

    use super::*;

    #[test]
    fn the_names_of_facts_are_those_of_the_contract() {
        assert_eq!(ANSWERED, pb::Answered::full_name());
        assert_eq!(SUBJECT_KNOWN, pb::SubjectKnown::full_name());
        assert_eq!(SUBJECT_CLOSED, pb::SubjectClosed::full_name());
    }
}
