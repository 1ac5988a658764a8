//! What must hold of each cancellation, by the coordinator's own history and everybody else's.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use event_store::Recorded;
use participant::is_success;
use prost::Message as _;
use proto::{
    cancellation::v1 as pb,
    participant::v1::{Acknowledgement, InstructionKind, Outcome},
    types::v1::scope::Kind,
};
use types::Timestamp;

use super::{Checks, Finding, in_words, must};
use crate::users::Users;

/// A participant in a case.
#[derive(Debug, Clone, Default)]
pub struct Part {
    after: Vec<String>,
    assess_epoch: Option<u32>,
    /// The digest of its last assessment in that round.
    assessed: Option<Bytes>,
    blocked: bool,
    execute_epoch: Option<u32>,
    undo_epoch: Option<u32>,
    undone: bool,
    /// Whether it has finished, or somebody else vouches for it.
    pub(super) done: bool,
    last: (u32, u32),
    /// How long it may take to answer.
    pub(super) deadline: Option<Duration>,
    /// What it was told last, and when.
    pub(super) told_last: Option<(InstructionKind, Timestamp)>,
    pub(super) told_epoch: u32,
    pub(super) said_last: Option<Box<Acknowledgement>>,
}

/// A cancellation, by its events.
#[derive(Debug, Clone, Default)]
pub struct Case {
    /// Whose.
    pub subject: String,
    whole: bool,
    gated: bool,
    pub(super) parts: BTreeMap<String, Part>,
    /// What each had assessed when the subject accepted.
    accepted: Option<BTreeMap<String, Bytes>>,
    /// Until when it can be revoked, unless that is over.
    pub(super) cooling_off_until: Option<Timestamp>,
    /// What waits for a person, by cause and participant.
    pub(super) attention: BTreeMap<(i32, String), pb::Attention>,
    over: Option<&'static str>,
}

impl Case {
    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.over.is_some()
    }

    /// Whether it ended because its subject wanted it no more.
    pub fn is_revoked(&self) -> bool {
        self.over == Some("Revoked")
    }

    /// Whether it is done, and the whole account closed by it.
    pub fn closes_account(&self) -> bool {
        self.whole && self.over == Some("Completed")
    }

    /// Whether that participant is on its roster.
    pub fn has(&self, participant: &str) -> bool {
        self.parts.contains_key(participant)
    }

    /// Whether that participant was told to execute in that round or a later one.
    pub fn has_told(&self, participant: &str, epoch: u32) -> bool {
        self.parts.get(participant).and_then(|part| part.execute_epoch).is_some_and(|told| told >= epoch)
    }

    /// Who must have executed before that participant does.
    pub fn before(&self, participant: &str) -> &[String] {
        self.parts.get(participant).map_or(&[], |part| &part.after)
    }

    /// Whether it waits for somebody, in a state of that name.
    pub fn waits(&self, state: &str, has_timer: bool) -> bool {
        let mut open = self.parts.values().filter(|part| !part.done);
        match state {
            "STATE_ASSESSING" => open.any(Part::is_asked),
            // What blocked may be cleared while somebody has still to assess.
            "STATE_BLOCKED" => open.any(|part| part.blocked || part.is_asked()),
            "STATE_EXECUTING" => open.any(|part| part.execute_epoch.is_some()),
            "STATE_COOLING_OFF" => has_timer || open.any(Part::is_asked),
            "STATE_REVOKING" => self.parts.values().any(|part| part.undo_epoch.is_some() && !part.undone),
            _ => true,
        }
    }

    /// How far each participant is, for whoever reads a finding.
    pub fn in_words(&self) -> String {
        let said = |(name, part): (&String, &Part)| match (part.done, part.execute_epoch, &part.assessed) {
            (true, ..) => format!("{name} done"),
            (_, Some(epoch), _) => format!("{name} told to execute in round {epoch}"),
            (_, _, Some(_)) if part.blocked => format!("{name} blocks"),
            (_, _, Some(_)) => format!("{name} has assessed"),
            (_, None, None) => format!("{name} was asked in round {}", part.assess_epoch.unwrap_or(0)),
        };
        self.parts.iter().map(said).collect::<Vec<_>>().join(", ")
    }

    /// What everybody's last assessment is.
    fn assessed(&self) -> BTreeMap<String, Bytes> {
        let assessed = |(name, part): (&String, &Part)| Some((name.clone(), part.assessed.clone()?));
        self.parts.iter().filter_map(assessed).collect()
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        self.parts.keys()
    }
}

/// What an event of the coordinator's says.
enum Said {
    Requested(pb::Requested),
    Instructed(pb::Instructed),
    Acknowledged(Box<Acknowledgement>),
    Confirmed(pb::Confirmed),
    CooledOff(Timestamp),
    Drifted(pb::Drifted),
    Completed(pb::Completed),
    Amended(pb::ReceiptAmended),
    Raised(pb::Attention),
    Cleared(pb::AttentionCleared),
    Attested(String),
    Over(&'static str),
    Other,
}

fn said(event: &Recorded) -> Said {
    let payload = event.payload.clone();
    let read = match event.kind.strip_prefix("exeunt.cancellation.v1.").unwrap_or_default() {
        "Requested" => pb::Requested::decode(payload).map(Said::Requested),
        "Instructed" => pb::Instructed::decode(payload).map(Said::Instructed),
        "Confirmed" => pb::Confirmed::decode(payload).map(Said::Confirmed),
        "CooledOff" => Ok(Said::CooledOff(event.at)),
        "Drifted" => pb::Drifted::decode(payload).map(Said::Drifted),
        "Completed" => pb::Completed::decode(payload).map(Said::Completed),
        "ReceiptAmended" => pb::ReceiptAmended::decode(payload).map(Said::Amended),
        "AttentionRaised" => {
            pb::AttentionRaised::decode(payload).map(|it| Said::Raised(it.attention.unwrap_or_default()))
        }
        "Overdue" => pb::Overdue::decode(payload).map(|it| Said::Raised(it.attention.unwrap_or_default())),
        "AttentionCleared" => pb::AttentionCleared::decode(payload).map(Said::Cleared),
        "Attested" => pb::Attested::decode(payload)
            .map(|it| Said::Attested(it.attestation.unwrap_or_default().participant)),
        "Acknowledged" => pb::Acknowledged::decode(payload).and_then(|told| {
            let signed = told.signed.unwrap_or_default();
            Acknowledgement::decode(signed.acknowledgement).map(|it| Said::Acknowledged(Box::new(it)))
        }),
        "Revoked" => Ok(Said::Over("Revoked")),
        "Rejected" => Ok(Said::Over("Rejected")),
        "Expired" => Ok(Said::Over("Expired")),
        _ => Ok(Said::Other),
    };
    read.unwrap_or(Said::Other)
}

impl Checks {
    /// An event of the coordinator's; what it says beyond its name.
    pub(super) fn of_coordinator(&mut self, event: &Recorded, users: &Users) -> Result<String, Finding> {
        let id = event.stream.to_string();
        let said = said(event);
        if let Some(case) = self.cases.get(&id) {
            self.fits(&id, case, &said, users)?;
        }
        match &said {
            Said::Completed(it) => self.receipts.fits_first(&id, &it.receipt_jws, &self.keys)?,
            Said::Amended(it) => self.receipts.fits_next(&id, it, &self.keys)?,
            _ => {}
        }
        let words = match &said {
            Said::Instructed(round) => instructed_in_words(round),
            Said::Acknowledged(answer) => format!(" {}", in_words(answer)),
            _ => String::new(),
        };
        self.take(&id, said, event.at);
        Ok(format!("{words} in {id}"))
    }

    /// Takes an event in that was checked when it happened.
    pub(super) fn fold_case(&mut self, event: &Recorded) {
        self.take(event.stream.as_str(), said(event), event.at);
    }

    fn fits(&self, id: &str, case: &Case, said: &Said, users: &Users) -> Result<(), Finding> {
        match said {
            Said::Requested(_) => must!(false, "{id} was asked for twice"),
            Said::Instructed(round) => self.fits_round(id, case, round)?,
            Said::Acknowledged(answer) => fits_answer(id, case, answer)?,
            Said::Confirmed(confirmed) => {
                must!(!case.is_over(), "{id} was confirmed after it had ended");
                let digest: String = confirmed.digest.iter().map(|byte| format!("{byte:02x}")).collect();
                let journeys = users.people.iter().flat_map(|person| &person.journeys);
                let wanted = journeys.flat_map(|journey| &journey.accepted).any(|it| *it == digest);
                must!(wanted, "{id} was confirmed with a quote that nobody accepted");
                let assessed = |part: &Part| part.done || part.assessed.is_some() && !part.blocked;
                must!(case.parts.values().all(assessed), "{id} was confirmed before all had assessed");
            }
            Said::CooledOff(at) => {
                let until = case.cooling_off_until;
                must!(until.is_some_and(|until| until <= *at), "{id} has cooled off before its time");
            }
            Said::Completed(_) => self.fits_completion(id, case)?,
            Said::Over(how) => {
                must!(!case.is_over(), "{id} is {how} after it had ended");
                let begun = case.parts.values().any(|part| part.execute_epoch.is_some());
                must!(!begun || *how != "Revoked", "{id} is revoked after something was executed");
            }
            Said::Amended(_) => must!(case.over == Some("Completed"), "{id} has an amendment of no receipt"),
            Said::Drifted(_) | Said::Raised(_) | Said::Cleared(_) | Said::Attested(_) | Said::Other => {}
        }
        Ok(())
    }

    fn fits_round(&self, id: &str, case: &Case, round: &pb::Instructed) -> Result<(), Finding> {
        let template = round.template.clone().unwrap_or_default();
        if template.kind() != InstructionKind::Execute {
            return Ok(());
        }
        must!(!case.is_over(), "{id} tells to execute after it has ended");
        must!(case.cooling_off_until.is_none(), "{id} tells to execute while it can be revoked");
        for target in &round.targets {
            let name = &target.participant;
            let Some(part) = case.parts.get(name) else {
                return Err(Finding(format!("{id} tells {name} to execute, who is not on its roster")));
            };
            for before in &part.after {
                must!(case.parts[before].done, "{id} tells {name} to execute before {before} has finished");
            }
            // What has closed the account was accepted, though an older copy knows nothing of it.
            if case.gated && !self.ever.closed.contains(id) {
                let accepted = case.accepted.as_ref().and_then(|accepted| accepted.get(name));
                must!(
                    accepted == Some(&target.assessment_digest),
                    "{id} tells {name} to execute what nobody accepted"
                );
            }
        }
        Ok(())
    }

    fn fits_completion(&self, id: &str, case: &Case) -> Result<(), Finding> {
        must!(!case.is_over(), "{id} is completed after it had ended");
        for name in case.names() {
            must!(case.parts[name].done, "{id} is completed, and {name} has not said that it is done");
            let key = (id.to_owned(), name.clone());
            let executed = self.ever.executed.contains_key(&key) || self.ever.attested.contains(&key);
            must!(executed, "{id} is completed, and {name} has done nothing");
        }
        Ok(())
    }

    fn take(&mut self, id: &str, said: Said, at: Timestamp) {
        if let Said::Requested(requested) = said {
            let part = |entry: &pb::RosterEntry| Part {
                after: entry.after.clone(),
                deadline: (entry.deadline_ms > 0).then(|| Duration::from_millis(entry.deadline_ms)),
                ..Part::default()
            };
            let mut parts: BTreeMap<String, Part> =
                requested.roster.iter().map(|entry| (entry.name.clone(), part(entry))).collect();
            // Who is not on this roster is waited for by nobody.
            let names: Vec<String> = parts.keys().cloned().collect();
            parts.values_mut().for_each(|part| part.after.retain(|name| names.contains(name)));
            let kind = requested.scope.and_then(|scope| scope.kind);
            let case = Case {
                subject: requested.subject_id,
                whole: matches!(kind, Some(Kind::WholeAccount(_))),
                gated: !requested.gates_none,
                parts,
                ..Case::default()
            };
            self.cases.insert(id.to_owned(), case);
            return;
        }
        let Some(case) = self.cases.get_mut(id) else { return };
        match said {
            Said::Instructed(round) => {
                let template = round.template.unwrap_or_default();
                for target in round.targets {
                    let told = (id.to_owned(), target.participant.clone(), template.kind, template.epoch);
                    self.ever.told.entry(told).or_default().insert(target.assessment_digest);
                    if let Some(part) = case.parts.get_mut(&target.participant) {
                        part.told(template.kind(), template.epoch, at);
                    }
                }
            }
            Said::Acknowledged(answer) => {
                if let Some(part) = case.parts.get_mut(&answer.participant) {
                    part.answered(&answer);
                }
            }
            Said::Confirmed(confirmed) => {
                case.accepted = Some(case.assessed());
                case.cooling_off_until = confirmed.cooling_off_until.as_ref().and_then(Timestamp::from_proto);
            }
            Said::CooledOff(_) => case.cooling_off_until = None,
            // What differs in nothing material is what was accepted.
            Said::Drifted(drifted) if drifted.differences.iter().all(|it| !it.material) => {
                case.accepted = Some(case.assessed());
            }
            Said::Completed(completed) => {
                case.over = Some("Completed");
                self.receipts.fold(id, &completed.receipt_jws, &[]);
            }
            Said::Amended(amended) => self.receipts.fold(id, &amended.receipt_jws, &amended.unfinished),
            Said::Raised(it) => {
                case.attention.insert((it.cause, it.participant.clone()), it);
            }
            Said::Cleared(it) => {
                case.attention.remove(&(it.cause, it.participant));
            }
            Said::Attested(name) => {
                if let Some(part) = case.parts.get_mut(&name) {
                    part.done = true;
                    self.ever.attested.insert((id.to_owned(), name));
                }
            }
            Said::Over(how) => case.over = Some(how),
            Said::Requested(_) | Said::Drifted(_) | Said::Other => {}
        }
    }
}

impl Part {
    /// Whether its assessment is awaited.
    fn is_asked(&self) -> bool {
        self.assess_epoch.is_some() && self.assessed.is_none()
    }

    fn told(&mut self, kind: InstructionKind, epoch: u32, at: Timestamp) {
        (self.told_last, self.told_epoch) = (Some((kind, at)), epoch);
        match kind {
            InstructionKind::Assess => {
                (self.assess_epoch, self.assessed, self.blocked) = (Some(epoch), None, false);
            }
            InstructionKind::Execute => self.execute_epoch = Some(epoch),
            InstructionKind::Undo => (self.undo_epoch, self.undone) = (Some(epoch), false),
            InstructionKind::Freeze | InstructionKind::Unspecified => {}
        }
    }

    fn answered(&mut self, answer: &Acknowledgement) {
        self.last = self.last.max((answer.epoch, answer.revision));
        self.said_last = Some(Box::new(answer.clone()));
        match answer.kind() {
            InstructionKind::Assess if answer.outcome() == Outcome::Assessed => {
                let made = answer.assessment.as_ref();
                self.blocked = made.is_some_and(|it| !it.blockers.is_empty() || !it.rejections.is_empty());
                self.assessed = Some(answer.assessment_digest.clone());
            }
            InstructionKind::Assess => (self.assessed, self.blocked) = (None, false),
            InstructionKind::Execute => self.done = is_success(answer.outcome()),
            InstructionKind::Undo => self.undone = true,
            InstructionKind::Freeze | InstructionKind::Unspecified => {}
        }
    }
}

fn fits_answer(id: &str, case: &Case, answer: &Acknowledgement) -> Result<(), Finding> {
    let name = &answer.participant;
    let Some(part) = case.parts.get(name) else {
        return Err(Finding(format!("{id} took an answer of {name}, who is not on its roster")));
    };
    must!(
        (answer.epoch, answer.revision) > part.last,
        "{id} took answer {}.{} of {name} after {}.{}",
        answer.epoch,
        answer.revision,
        part.last.0,
        part.last.1
    );
    let told = match answer.kind() {
        InstructionKind::Assess => part.assess_epoch,
        InstructionKind::Execute => part.execute_epoch,
        InstructionKind::Undo => part.undo_epoch,
        InstructionKind::Freeze | InstructionKind::Unspecified => return Ok(()),
    };
    must!(told == Some(answer.epoch), "{id} took an answer of {name} to a round that it was not told of");
    Ok(())
}

fn instructed_in_words(round: &pb::Instructed) -> String {
    let template = round.template.clone().unwrap_or_default();
    let names: Vec<&str> = round.targets.iter().map(|target| target.participant.as_str()).collect();
    format!(" {:?} {} to {}", template.kind(), template.epoch, names.join(", "))
}
