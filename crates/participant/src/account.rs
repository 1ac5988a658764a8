//! What a participant knows of one subject: its own state, the cases open and past, and whether the
//! account is closed. Folded from one stream.

use std::collections::BTreeMap;

use bytes::Bytes;
use event_store::{Recorded, StreamId};
use messaging::Unreadable;
use prost::{Message as _, Name as _};
use proto::participant::v1 as pb;
use types::{CancellationId, Edition, Scope, SubjectId, Timestamp};

use crate::{Encoded, Participant, is_success, wire};

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
    /// The last answer, decoded.
    pub answer: pb::Acknowledgement,
    /// The last answer as it was signed.
    pub signed: pb::SignedAcknowledgement,
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
    Answered { instruction: Option<Box<pb::Instruction>>, signed: pb::SignedAcknowledgement },
    Closed(pb::SubjectClosed),
    Own(E),
}

/// The stream of a subject in a participant's store.
#[must_use]
pub fn stream_of(subject: &SubjectId) -> StreamId {
    StreamId::new(subject.as_str())
}

impl<E: Clone> Fact<E> {
    /// As it is stored.
    pub(crate) fn encode<P: Participant<Event = E>>(&self, participant: &P) -> Encoded {
        match self {
            Self::Known(known) => Encoded::of(known),
            Self::Answered { instruction, signed } => {
                let instruction = instruction.as_deref().cloned();
                Encoded::of(&pb::Answered { instruction, signed: Some(signed.clone()) })
            }
            Self::Closed(closed) => Encoded::of(closed),
            Self::Own(event) => participant.encode(event),
        }
    }

    pub(crate) fn decode<P: Participant<Event = E>>(
        participant: &P,
        kind: &str,
        schema: u16,
        payload: &Bytes,
    ) -> Result<Self, Unreadable> {
        if kind == pb::Answered::full_name() {
            let answered: pb::Answered = read(kind, schema, payload)?;
            let signed = answered.signed.unwrap_or_default();
            return Ok(Self::Answered { instruction: answered.instruction.map(Box::new), signed });
        }
        if kind == pb::SubjectKnown::full_name() {
            return Ok(Self::Known(read(kind, schema, payload)?));
        }
        if kind == pb::SubjectClosed::full_name() {
            return Ok(Self::Closed(read(kind, schema, payload)?));
        }
        Ok(Self::Own(participant.decode(kind, schema, payload)?))
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
            Fact::Answered { instruction, signed } => self.answered(instruction.as_deref(), signed),
            Fact::Closed(closed) => self.closed = CancellationId::parse(&closed.cancellation_id).ok(),
            Fact::Own(event) => {
                self.state = participant.evolve(std::mem::take(&mut self.state), event);
            }
        }
        self
    }

    fn answered(&mut self, instruction: Option<&pb::Instruction>, signed: &pb::SignedAcknowledgement) {
        let Ok(answer) = pb::Acknowledgement::decode(signed.acknowledgement.clone()) else { return };
        let Ok(cancellation) = CancellationId::parse(&answer.cancellation_id) else { return };
        let before = self.cases.get(&cancellation).map(|record| record.phase);
        let case = match (instruction.and_then(case_of), self.cases.get(&cancellation)) {
            (Some(case), _) => case,
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
            signed: signed.clone(),
            answer,
        };
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
