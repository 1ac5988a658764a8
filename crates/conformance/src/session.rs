//! One check with one subject: the steps that checks are made of.

use participant::is_success;
use proto::participant::v1 as pb;
use types::{CancellationId, SubjectId};

use crate::{
    Coordinator, Fault, Heard, Host,
    fault::{holds, same},
    hearing::told,
};

/// A coordinator, the participant's surroundings, and a subject.
pub struct Session<'a> {
    /// Who speaks and hears.
    pub coordinator: &'a mut Coordinator,
    /// The participant's surroundings.
    pub host: &'a mut dyn Host,
    /// Whose things end.
    pub subject: SubjectId,
}

impl Session<'_> {
    /// A case of its own.
    pub fn case(&mut self) -> CancellationId {
        self.coordinator.case()
    }

    /// Tells the participant to do something, on an assessment when one is given.
    ///
    /// # Errors
    /// [`Fault::Log`].
    pub async fn tell(
        &self,
        case: &CancellationId,
        kind: pb::InstructionKind,
        epoch: u32,
        assessed: Option<&pb::Acknowledgement>,
    ) -> Result<(), Fault> {
        let told = self.coordinator.instruction(case, &self.subject, kind, epoch, assessed);
        Ok(self.coordinator.tell(&told).await?)
    }

    /// The next new answer of a case.
    ///
    /// # Errors
    /// [`Fault`] when none comes in time.
    pub async fn next(&mut self, case: &CancellationId) -> Result<Heard, Fault> {
        let heard = self.coordinator.next(case).await?;
        same("subject_id of an answer", &self.subject.as_str(), &heard.answer.subject_id.as_str())?;
        Ok(heard)
    }

    /// Waits until an answer is given again, bytes and all.
    ///
    /// # Errors
    /// [`Fault`] when it is not.
    pub async fn again(&mut self, case: &CancellationId, expected: &Heard) -> Result<(), Fault> {
        self.coordinator.again(case, expected).await
    }

    /// Tells it once more what it has answered: it answers alike, and nothing is added.
    ///
    /// # Errors
    /// [`Fault`] when it does otherwise.
    pub async fn repeat(
        &mut self,
        case: &CancellationId,
        (kind, epoch): (pb::InstructionKind, u32),
        assessed: Option<&pb::Acknowledgement>,
        answered: &Heard,
    ) -> Result<(), Fault> {
        let before = self.facts().await?;
        self.tell(case, kind, epoch, assessed).await?;
        self.again(case, answered).await?;
        self.nothing_since(before).await
    }

    /// The next new answer, which must say that the instruction came too late.
    ///
    /// # Errors
    /// [`Fault`] when it says something else.
    pub async fn superseded(
        &mut self,
        case: &CancellationId,
        kind: pb::InstructionKind,
        epoch: u32,
    ) -> Result<(), Fault> {
        self.tell(case, kind, epoch, None).await?;
        let heard = self.next(case).await?;
        let is = (heard.answer.outcome(), heard.answer.kind(), heard.answer.epoch);
        holds("answer to a lower epoch", "SUPERSEDED", is == (pb::Outcome::Superseded, kind, epoch), || {
            heard.told()
        })
    }

    /// Takes note of answers until one ends the instruction of that epoch, and gives it.
    ///
    /// # Errors
    /// [`Fault`] when none comes in time.
    pub async fn ended(&mut self, case: &CancellationId, epoch: u32) -> Result<Heard, Fault> {
        let mut helped = false;
        loop {
            let heard = self.next(case).await?;
            if heard.answer.epoch != epoch {
                continue;
            }
            if !is_interim(heard.answer.outcome()) {
                return Ok(heard);
            }
            if !helped {
                helped = self.host.help(&self.subject).await?;
            }
        }
    }

    /// ASSESS: gives the assessment.
    ///
    /// # Errors
    /// [`Fault`] when it is none.
    pub async fn assess(&mut self, case: &CancellationId, epoch: u32) -> Result<Heard, Fault> {
        self.tell(case, pb::InstructionKind::Assess, epoch, None).await?;
        let heard = self.ended(case, epoch).await?;
        is_assessment(&heard.answer)?;
        Ok(heard)
    }

    /// EXECUTE, and all that must come after, to the end; it must be a success.
    ///
    /// # Errors
    /// [`Fault`] when it is none.
    pub async fn execute(
        &mut self,
        case: &CancellationId,
        epoch: u32,
        assessed: Option<&pb::Acknowledgement>,
    ) -> Result<Heard, Fault> {
        self.tell(case, pb::InstructionKind::Execute, epoch, assessed).await?;
        self.finish(case, epoch).await
    }

    /// All that comes after EXECUTE was told.
    ///
    /// # Errors
    /// [`Fault`] when it does not end well.
    pub async fn finish(&mut self, case: &CancellationId, epoch: u32) -> Result<Heard, Fault> {
        let heard = self.ended(case, epoch).await?;
        holds(
            "end of EXECUTE",
            "DONE, NOTHING_TO_DO, RESTRICTED or EXEMPT",
            is_success(heard.answer.outcome()),
            || format!("{} {:?}", heard.told(), heard.answer.failure),
        )?;
        Ok(heard)
    }

    /// How many facts the participant has recorded, where that can be seen.
    ///
    /// # Errors
    /// [`Fault::Host`].
    pub async fn facts(&mut self) -> Result<Option<usize>, Fault> {
        Ok(self.host.facts(&self.subject).await?)
    }

    /// Nothing was recorded since.
    ///
    /// # Errors
    /// [`Fault`] when something was.
    pub async fn nothing_since(&mut self, before: Option<usize>) -> Result<(), Fault> {
        let now = self.facts().await?;
        same("facts recorded", &before, &now)
    }

    /// Nothing has taken effect, where that can be seen.
    ///
    /// # Errors
    /// [`Fault`] when something has.
    pub async fn untouched(&mut self) -> Result<(), Fault> {
        let effects = self.host.effects(&self.subject).await?;
        same("effects", &0, &effects.unwrap_or_default())
    }
}

/// Whether more is to come.
pub(crate) fn is_interim(outcome: pb::Outcome) -> bool {
    matches!(outcome, pb::Outcome::Waiting | pb::Outcome::Accepted)
}

/// It is an assessment, and its digest is that of what it says.
pub(crate) fn is_assessment(answer: &pb::Acknowledgement) -> Result<(), Fault> {
    let assessed = answer.outcome() == pb::Outcome::Assessed;
    holds("answer to ASSESS", "ASSESSED", assessed, || told(answer))?;
    let Some(assessment) = &answer.assessment else {
        return Err(Fault::broken("answer to ASSESS", "an assessment", "none in it"));
    };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let expected = hex(&participant::contract::assessment_digest(assessment));
    same("assessment_digest", &expected, &hex(&answer.assessment_digest))
}
