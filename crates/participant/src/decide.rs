//! What a participant does with an instruction, or when its facts change. Plain functions: the
//! clock's time and the signing key come in as values.

use std::sync::Arc;

use bytes::Bytes;
use keys::SigningKey;
use proto::participant::v1 as pb;
use types::{CancellationId, Edition, Scope, Timestamp};

use crate::{
    Account, Answer, Assessed, Case, CaseRecord, Participant, Phase, Step,
    account::{Answered, Fact},
    contract,
    given::Given,
    handler::Closure,
    is_success,
};

/// How often cases may move each other within one decision.
const ROUNDS_MAX: usize = 8;

/// How many of a subject's open assessments are kept true.
const ASSESSMENTS_MAX: usize = 8;

/// What cannot be taken back.
const ACCOUNT_CLOSED: &str = "ACCOUNT_CLOSED";

type Go<P> = fn(&P, &Case, &<P as Participant>::State, Timestamp) -> Step<<P as Participant>::Event>;

/// An instruction as it came.
#[derive(Debug)]
pub struct Told {
    pub(crate) instruction: pb::Instruction,
    pub(crate) case: Case,
    pub(crate) bytes: Bytes,
}

/// What one decision adds, and what is sent again without adding anything.
#[derive(Debug)]
pub struct Decided<P: Participant> {
    pub(crate) account: Account<P::State>,
    pub(crate) facts: Vec<Fact<P::Event>>,
    pub(crate) replies: Vec<pb::SignedAcknowledgement>,
}

/// A decision in the making: facts are applied as they are added, so that later steps see them.
pub(crate) struct Draft<'a, P: Participant> {
    participant: &'a P,
    key: &'a SigningKey,
    now: Timestamp,
    decided: Decided<P>,
}

impl<'a, P: Participant> Draft<'a, P> {
    pub(crate) fn new(
        participant: &'a P,
        key: &'a SigningKey,
        now: Timestamp,
        account: Account<P::State>,
    ) -> Self {
        let decided = Decided { account, facts: Vec::new(), replies: Vec::new() };
        Self { participant, key, now, decided }
    }

    /// The moment at which this is decided.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    pub(crate) fn into_decided(self) -> Decided<P> {
        self.decided
    }

    fn add(&mut self, fact: Fact<P::Event>) {
        let account = std::mem::take(&mut self.decided.account);
        self.decided.account = account.apply(self.participant, &fact);
        self.decided.facts.push(fact);
    }

    pub(crate) fn known(&mut self, known: pb::SubjectKnown) {
        if self.decided.account.known.is_none() {
            self.add(Fact::Known(known));
        }
    }

    pub(crate) fn own(&mut self, events: impl IntoIterator<Item = P::Event>) {
        for event in events {
            self.add(Fact::Own(event));
        }
    }

    /// Answers an instruction. Every command is answered in every state.
    pub(crate) fn instruct(&mut self, told: &Told) {
        let Told { instruction, case, .. } = told;
        let record = self.decided.account.cases.get(&case.cancellation).cloned();
        match record {
            // An epoch has one kind of instruction, but for a coordinator that forgot some of them: its
            // database was restored. It must go on with higher ones.
            Some(record)
                if instruction.epoch < record.epoch
                    || (instruction.epoch == record.epoch && instruction.kind() != record.kind) =>
            {
                let answer = self.acknowledgement(instruction, &record.case, 1, pb::Outcome::Superseded);
                self.decided.replies.push(contract::sign(&answer, self.key));
            }
            // Repeated, or finished: what was answered is answered again, and nothing is added.
            Some(record) if instruction.epoch == record.epoch => self.repeat(&record),
            Some(record) if record.phase == Phase::Finished => self.finished(told, &record),
            record => self.obey(told, record.as_ref()),
        }
    }

    /// Answers what comes after the end: told to do it once more, it says once more what it did, for
    /// only an answer of the new epoch is heard. Asked to assess, it says that it has ended and,
    /// should the coordinator not know that it ever told it to, what it finds now, too.
    fn finished(&mut self, told: &Told, record: &CaseRecord) {
        let instruction = &told.instruction;
        match instruction.kind() {
            pb::InstructionKind::Undo => self.undo(told, &record.case, Some(record)),
            pb::InstructionKind::Execute => {
                let answer = pb::Acknowledgement {
                    epoch: instruction.epoch,
                    revision: 1,
                    acknowledged_at: Some(self.now.to_proto()),
                    ..record.answer().clone()
                };
                self.answered(Some(told), answer);
            }
            pb::InstructionKind::Assess => {
                let case = Case { assessed_at: self.now, ..record.case.clone() };
                let found = self.assessed(instruction, &case, 1);
                self.repeat(record);
                self.decided.replies.push(contract::sign(&found, self.key));
            }
            pb::InstructionKind::Freeze | pb::InstructionKind::Unspecified => self.repeat(record),
        }
    }

    fn repeat(&mut self, record: &CaseRecord) {
        self.decided.replies.push(record.given.signed(self.key).clone());
    }

    fn obey(&mut self, told: &Told, before: Option<&CaseRecord>) {
        let Told { instruction, case, .. } = told;
        match instruction.kind() {
            pb::InstructionKind::Assess => {
                let case = Case { assessed_at: self.now, ..case.clone() };
                let answer = self.assessed(instruction, &case, 1);
                self.answered(Some(told), answer);
            }
            pb::InstructionKind::Execute => self.execute(told, before),
            pb::InstructionKind::Freeze => {
                let step = match self.decided.account.closed {
                    Some(_) => Step::nothing_to_do(),
                    None => self.participant.freeze(case, &self.decided.account.state, self.now),
                };
                self.take(Some(told), case, 1, step);
                self.reconsider();
            }
            pb::InstructionKind::Undo => self.undo(told, case, before),
            pb::InstructionKind::Unspecified => {}
        }
    }

    fn undo(&mut self, told: &Told, case: &Case, before: Option<&CaseRecord>) {
        let step = match (before, &self.decided.account.closed) {
            // One that was never seen leaves its epoch behind, and that stops what comes late.
            (None, _) => Step::nothing_to_do(),
            (Some(_), Some(by)) if *by == case.cancellation => {
                let failure = pb::Failure {
                    code: ACCOUNT_CLOSED.to_owned(),
                    cause: "The account is closed, and stays so.".to_owned(),
                    owner: self.participant.name().to_string(),
                };
                // Its own facts stay, and it knows them by name.
                let found = self.participant.undo(case, &self.decided.account.state, self.now);
                Step::new(Vec::new(), Answer::Failed(failure)).remaining(found.remaining)
            }
            (Some(_), Some(_)) => Step::nothing_to_do(),
            (Some(_), None) => self.participant.undo(case, &self.decided.account.state, self.now),
        };
        self.take(Some(told), case, 1, step);
        self.reconsider();
    }

    /// Closes the account of a subject that the ledger says is closed, if that is not known here: its
    /// facts come to what EXECUTE would have made of them.
    pub(crate) fn stay_closed(&mut self, closure: &Closure) {
        let Closure { subject, cancellation, at } = closure;
        let account = &self.decided.account;
        if account.closed.is_some() {
            return;
        }
        let known = account.cases.get(cancellation).map(|record| &record.case);
        let case = known.filter(|case| case.scope == Scope::WholeAccount).cloned().unwrap_or_else(|| {
            let (region, edition) = account.known.clone().unwrap_or((String::new(), Edition::Domestic));
            let (cancellation, subject) = (cancellation.clone(), subject.clone());
            Case { cancellation, subject, region, edition, scope: Scope::WholeAccount, assessed_at: *at }
        });
        let events = self.participant.stay_closed(&case, &account.state, *at, self.now);
        self.own(events);
        self.close(&case);
        self.reconsider();
    }

    fn close(&mut self, case: &Case) {
        self.add(Fact::Closed(pb::SubjectClosed {
            subject_id: case.subject.to_string(),
            cancellation_id: case.cancellation.to_string(),
        }));
    }

    fn execute(&mut self, told: &Told, before: Option<&CaseRecord>) {
        let Told { instruction, case, .. } = told;
        // The ledger was faster than the instruction: it has happened, whatever was assessed.
        if self.decided.account.closed.as_ref() == Some(&case.cancellation) {
            self.take(Some(told), case, 1, Step::nothing_to_do());
            return;
        }
        let found = self.assessment(case);
        let accepted = &instruction.assessment_digest;
        // Of a closed account nothing is left that could be other than accepted, and nobody to accept anew.
        let is_closed = self.decided.account.closed.is_some();
        // Told once more while it waits, or after it failed: what it has done of that since is no changed fact.
        let begun = before.is_some_and(|before| before.has_begun(accepted));
        let other = !accepted.is_empty() && contract::assessment_digest(&found)[..] != accepted[..];
        if other && !begun && !is_closed {
            let answer = self.acknowledgement(instruction, case, 1, pb::Outcome::Changed);
            self.answered(Some(told), answer);
            return;
        }
        let go = if begun { P::resume } else { P::execute };
        let step = self.unless_blocked(case, &found.blockers, go);
        self.take(Some(told), case, 1, step);
        self.reconsider();
    }

    /// Adds a step's facts, its answer and, when the account is thereby left, its end.
    fn take(&mut self, new: Option<&Told>, case: &Case, revision: u32, step: Step<P::Event>) {
        self.own(step.events);
        let instruction = new.map(|told| &told.instruction);
        let told = match (instruction, self.decided.account.cases.get(&case.cancellation)) {
            (Some(instruction), _) => (instruction.kind(), instruction.epoch),
            (None, Some(record)) => (record.kind, record.epoch),
            (None, None) => return,
        };
        let outcome = step.answer.outcome();
        let mut answer = pb::Acknowledgement {
            kind: told.0.into(),
            epoch: told.1,
            assessment_digest: instruction.map_or_else(
                || self.digest_of(&case.cancellation),
                |instruction| instruction.assessment_digest.clone(),
            ),
            undo_until: step.undo_until.map(Timestamp::to_proto),
            remaining: step.remaining,
            ..self.blank(case, revision, outcome)
        };
        match step.answer {
            Answer::Done | Answer::NothingToDo | Answer::Accepted => {}
            Answer::Restricted(kept) | Answer::Exempt(kept) => answer.kept = kept,
            Answer::Waiting(waiting) => answer.waiting = Some(waiting),
            Answer::Failed(failure) => answer.failure = Some(failure),
        }
        self.answered(new, answer);
        let left = told.0 == pb::InstructionKind::Execute && is_success(outcome);
        if left && case.scope == Scope::WholeAccount && self.decided.account.closed.is_none() {
            self.close(case);
        }
    }

    /// After facts changed: an open assessment that is no longer true is replaced, and what waited
    /// moves on. What one case does may move another.
    pub(crate) fn reconsider(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let before = self.decided.facts.len();
            for record in self.open() {
                match record.phase {
                    Phase::Assessed => self.reassess(&record),
                    _ => self.resume(&record),
                }
            }
            if self.decided.facts.len() == before {
                return;
            }
        }
    }

    /// The cases to look at again. Whoever asks for a quote and leaves it tells nobody, so that of
    /// assessments only the newest are kept true; EXECUTE compares them all.
    fn open(&self) -> Vec<CaseRecord> {
        let cases = self.decided.account.cases.values();
        let (mut assessed, mut open): (Vec<_>, Vec<_>) =
            cases.filter(|case| case.is_open()).cloned().partition(|case| case.phase == Phase::Assessed);
        assessed.sort_by_key(|case| std::cmp::Reverse(case.case.assessed_at));
        assessed.truncate(ASSESSMENTS_MAX);
        open.append(&mut assessed);
        open
    }

    fn reassess(&mut self, record: &CaseRecord) {
        let then = contract::assessment_digest(&self.assessment(&record.case));
        if then[..] == record.answer().assessment_digest[..] {
            return;
        }
        let case = Case { assessed_at: self.now, ..record.case.clone() };
        let made = self.assessment(&case);
        let answer = pb::Acknowledgement {
            kind: record.kind.into(),
            epoch: record.epoch,
            assessment_digest: contract::assessment_digest(&made).to_vec().into(),
            assessment: Some(made),
            ..self.blank(&case, record.revision + 1, pb::Outcome::Assessed)
        };
        self.answered(None, answer);
    }

    fn resume(&mut self, record: &CaseRecord) {
        let found = self.assessment(&record.case);
        let step = self.unless_blocked(&record.case, &found.blockers, P::resume);
        let same = match &step.answer {
            Answer::Waiting(waiting) => record.answer().waiting.as_ref() == Some(waiting),
            other => other.outcome() == record.answer().outcome(),
        };
        if !same || !step.events.is_empty() {
            self.take(None, &record.case, record.revision + 1, step);
        }
    }

    /// Goes on; what blocks is waited for.
    fn unless_blocked(&self, case: &Case, blockers: &[pb::Blocker], go: Go<P>) -> Step<P::Event> {
        if self.decided.account.closed.is_some() {
            return Step::nothing_to_do();
        }
        let Some(first) = blockers.first() else {
            return go(self.participant, case, &self.decided.account.state, self.now);
        };
        let waiting = pb::Waiting {
            waiting_on: pb::WaitingOn::Subject.into(),
            code: first.code.clone(),
            item_ids: blockers.iter().map(|blocker| blocker.item_id.clone()).collect(),
            ..pb::Waiting::default()
        };
        Step::new(Vec::new(), Answer::Waiting(waiting))
    }

    fn assessment(&self, case: &Case) -> pb::Assessment {
        let assessed = match self.decided.account.closed {
            Some(_) => Assessed::default(),
            None => self.participant.assess(case, &self.decided.account.state),
        };
        let name = self.participant.name();
        let mut made = pb::Assessment {
            assessed_at: Some(case.assessed_at.to_proto()),
            blockers: assessed.blockers,
            items: assessed.items,
            rejections: assessed.rejections,
        };
        made.blockers.iter_mut().for_each(|blocker| blocker.participant = name.to_string());
        made.items.iter_mut().for_each(|item| item.participant = name.to_string());
        made.rejections.iter_mut().for_each(|rejection| rejection.participant = name.to_string());
        made
    }

    fn assessed(&self, instruction: &pb::Instruction, case: &Case, revision: u32) -> pb::Acknowledgement {
        let made = self.assessment(case);
        pb::Acknowledgement {
            assessment_digest: contract::assessment_digest(&made).to_vec().into(),
            assessment: Some(made),
            ..self.acknowledgement(instruction, case, revision, pb::Outcome::Assessed)
        }
    }

    fn acknowledgement(
        &self,
        instruction: &pb::Instruction,
        case: &Case,
        revision: u32,
        outcome: pb::Outcome,
    ) -> pb::Acknowledgement {
        pb::Acknowledgement {
            kind: instruction.kind,
            epoch: instruction.epoch,
            ..self.blank(case, revision, outcome)
        }
    }

    fn blank(&self, case: &Case, revision: u32, outcome: pb::Outcome) -> pb::Acknowledgement {
        pb::Acknowledgement {
            cancellation_id: case.cancellation.to_string(),
            participant: self.participant.name().to_string(),
            subject_id: case.subject.to_string(),
            revision,
            outcome: outcome.into(),
            acknowledged_at: Some(self.now.to_proto()),
            ..pb::Acknowledgement::default()
        }
    }

    fn digest_of(&self, cancellation: &CancellationId) -> bytes::Bytes {
        let record = self.decided.account.cases.get(cancellation);
        record.map(|record| record.answer().assessment_digest.clone()).unwrap_or_default()
    }

    /// Notes an answer. It is signed before it is stored, with others where that may be.
    fn answered(&mut self, told: Option<&Told>, answer: pb::Acknowledgement) {
        let instruction = told.map(|told| (told.case.clone(), told.bytes.clone()));
        self.add(Fact::Answered(Answered { instruction, given: Arc::new(Given::new(answer)) }));
    }
}
