//! A participant that lies: it answers late, twice, in contradiction to itself, about what it was never
//! told, and in others' names. It does its work in the end, and says so.

use std::collections::BTreeMap;

use bytes::Bytes;
use keys::SigningKey;
use messaging::{CloudEvent, Message, Record, cloud_event};
use participant::contract;
use prost::{Message as _, Name as _};
use proto::participant::v1::{
    Acknowledgement, Assessment, Failure, Instruction, InstructionKind, Outcome, QuoteItem, QuoteItemKind,
    SignedAcknowledgement, Waiting, WaitingOn,
};
use testkit::Dice;
use types::Timestamp;

use crate::services::key;

/// Its name on the roster.
pub const LIAR: &str = "liar";

/// What it was told last about a case, and what it said.
struct Told {
    instruction: Instruction,
    /// The revision that it gave last at this epoch.
    revision: u32,
    /// The outcome that it gave last.
    said: Option<Outcome>,
}

/// The participant.
pub struct Liar {
    key: std::sync::Arc<SigningKey>,
    offsets: [i64; contract::PARTITIONS as usize],
    cases: BTreeMap<String, Told>,
    /// What it was told in rounds before those that it knows, and may not have answered.
    behind: Vec<Instruction>,
    messages: u64,
}

impl Default for Liar {
    fn default() -> Self {
        Self {
            key: key(LIAR),
            offsets: Default::default(),
            cases: BTreeMap::new(),
            behind: Vec::new(),
            messages: 0,
        }
    }
}

impl Liar {
    /// Reads what it is told in one partition of its topic.
    pub fn read(&mut self, partition: usize, records: &[Record]) -> usize {
        for record in records {
            self.offsets[partition] = record.offset + 1;
            let Ok(instruction) = Instruction::decode(record.payload.clone()) else { continue };
            match self.cases.get_mut(&instruction.cancellation_id) {
                Some(known) if known.instruction.epoch > instruction.epoch => self.behind.push(instruction),
                Some(known) if known.instruction.epoch == instruction.epoch => {
                    if known.instruction.kind == instruction.kind {
                        // Whoever tells it once more may have forgotten the answer.
                        known.said = None;
                    } else {
                        self.behind.push(instruction);
                    }
                }
                _ => {
                    let told = Told { revision: 0, said: None, instruction };
                    let before = self.cases.insert(told.instruction.cancellation_id.clone(), told);
                    self.behind.extend(before.map(|told| told.instruction));
                }
            }
        }
        records.len()
    }

    /// Where it goes on reading in a partition.
    #[must_use]
    pub fn offset(&self, partition: usize) -> i64 {
        self.offsets[partition]
    }

    /// Says something about one of its cases, as a rule not what is so; with what it says in words.
    pub fn lie(&mut self, dice: &mut Dice, now: Timestamp) -> Option<(String, Vec<Message>)> {
        let cases: Vec<String> = self.cases.keys().cloned().collect();
        let case = cases.get(dice.place(cases.len()))?;
        let kind = self.cases.get(case)?.instruction.kind();
        let outcome = match (kind, dice.between(0, 9)) {
            (InstructionKind::Assess, 0) => Outcome::Waiting,
            (InstructionKind::Assess, 1) => Outcome::Done,
            (InstructionKind::Assess, _) => Outcome::Assessed,
            (_, 0 | 1) => Outcome::Failed,
            (_, 2 | 3) => Outcome::Waiting,
            (_, 4) => Outcome::Accepted,
            (_, 5) => Outcome::Superseded,
            (_, 6) => Outcome::Changed,
            _ => Outcome::Done,
        };
        match dice.between(0, 9) {
            0 => Some((format!("forges {outcome:?} for {case}"), vec![self.forged(case, outcome, now)?])),
            1 => {
                let said = self.say(case, outcome, now)?;
                Some((format!("says {outcome:?} for {case} twice"), vec![said.clone(), said]))
            }
            2 => {
                let ahead = Acknowledgement {
                    epoch: self.cases.get(case)?.instruction.epoch + 3,
                    ..self.answer(case, outcome, now)?
                };
                let said = format!("says {outcome:?} for {case} about a round that never was");
                let message = self.message(&contract::sign(&ahead, &self.key), &ahead.cancellation_id, now);
                Some((said, vec![message]))
            }
            _ => Some((format!("says {outcome:?} for {case}"), vec![self.say(case, outcome, now)?])),
        }
    }

    /// Says about each of its cases what is so, where it did not say so last.
    pub fn tell_the_truth(&mut self, now: Timestamp) -> Vec<Message> {
        let true_of = |told: &Told| match told.instruction.kind() {
            InstructionKind::Assess => Outcome::Assessed,
            _ => Outcome::Done,
        };
        let untold: Vec<(String, Outcome)> = self
            .cases
            .iter()
            .filter(|(_, told)| told.said != Some(true_of(told)))
            .map(|(case, told)| (case.clone(), true_of(told)))
            .collect();
        let mut messages: Vec<Message> =
            untold.iter().filter_map(|(case, outcome)| self.say(case, *outcome, now)).collect();
        for instruction in std::mem::take(&mut self.behind) {
            let answer = answered(&instruction, 1, Outcome::Superseded, now);
            messages.push(self.message(
                &contract::sign(&answer, &self.key),
                &instruction.cancellation_id,
                now,
            ));
        }
        messages
    }

    fn say(&mut self, case: &str, outcome: Outcome, now: Timestamp) -> Option<Message> {
        let told = self.cases.get_mut(case)?;
        told.revision += 1;
        told.said = Some(outcome);
        let answer = self.answer(case, outcome, now)?;
        Some(self.message(&contract::sign(&answer, &self.key), case, now))
    }

    /// Signed by somebody else than it says.
    fn forged(&mut self, case: &str, outcome: Outcome, now: Timestamp) -> Option<Message> {
        let answer = Acknowledgement { revision: 99, ..self.answer(case, outcome, now)? };
        Some(self.message(&contract::sign(&answer, &key("stranger")), case, now))
    }

    fn answer(&self, case: &str, outcome: Outcome, now: Timestamp) -> Option<Acknowledgement> {
        let told = self.cases.get(case)?;
        let mut answer = answered(&told.instruction, told.revision, outcome, now);
        match outcome {
            Outcome::Assessed => {
                let made = assessment(now);
                answer.assessment_digest = contract::assessment_digest(&made).to_vec().into();
                answer.assessment = Some(made);
            }
            Outcome::Waiting => {
                let waiting_on = WaitingOn::Provider.into();
                answer.waiting = Some(Waiting { waiting_on, code: "LATER".into(), ..Waiting::default() });
            }
            Outcome::Failed => {
                let failure =
                    Failure { code: "BROKEN".into(), cause: "It broke.".into(), owner: LIAR.into() };
                answer.failure = Some(failure);
            }
            _ => {}
        }
        Some(answer)
    }

    fn message(&mut self, signed: &SignedAcknowledgement, case: &str, at: Timestamp) -> Message {
        self.messages += 1;
        let id = format!("{LIAR}-{}", self.messages);
        let kind = SignedAcknowledgement::full_name();
        let headers = CloudEvent {
            id: &id,
            kind: &kind,
            source: LIAR,
            subject: case,
            at,
            sequence: self.messages,
            traceparent: "",
        };
        let (topic, key) = (contract::ACKNOWLEDGEMENTS.into(), Bytes::copy_from_slice(case.as_bytes()));
        cloud_event(topic, key, &headers, Some(signed.encode_to_vec().into()))
    }
}

fn answered(instruction: &Instruction, revision: u32, outcome: Outcome, now: Timestamp) -> Acknowledgement {
    Acknowledgement {
        cancellation_id: instruction.cancellation_id.clone(),
        participant: LIAR.into(),
        kind: instruction.kind,
        epoch: instruction.epoch,
        revision,
        outcome: outcome.into(),
        assessment_digest: instruction.assessment_digest.clone(),
        acknowledged_at: Some(now.to_proto()),
        subject_id: instruction.subject_id.clone(),
        ..Acknowledgement::default()
    }
}

fn assessment(now: Timestamp) -> Assessment {
    let item = QuoteItem {
        participant: LIAR.into(),
        kind: QuoteItemKind::Effect.into(),
        code: "ENDS".into(),
        text: "It ends.".into(),
        ..QuoteItem::default()
    };
    Assessment { assessed_at: Some(now.to_proto()), items: vec![item], ..Assessment::default() }
}
