//! Whoever is open waits for somebody, who is known, and with a date: in the stores and in what callers
//! are told.

use std::collections::BTreeMap;

use event_store::{Memory, StreamId};
use proto::{
    cancellation::v1::{self as pb, AttentionCause, AttentionLevel, ParticipantState, State},
    participant::v1::{InstructionKind, Outcome, WaitingOn},
};
use types::Timestamp;

use super::{
    Checks, Finding,
    cases::{Case, Part},
    must,
};

impl Checks {
    /// Every open case waits for somebody, who is known, and nothing that is due to happen by itself lacks
    /// its timer.
    ///
    /// # Errors
    /// [`Finding`].
    pub fn waiting(&self, coordinator: &Memory) -> Result<(), Finding> {
        let timers: BTreeMap<StreamId, Timestamp> =
            coordinator.timers().into_iter().map(|timer| (timer.stream, timer.due)).collect();
        for row in coordinator.listed("cancellation") {
            let Some(case) = self.cases.get(row.stream.as_str()) else { continue };
            let (id, timer) = (&row.stream, timers.get(&row.stream).copied());
            must!(
                case.waits(&row.state, timer.is_some()),
                "{id} is {} and waits for nobody: {}",
                row.state,
                case.in_words()
            );
            for (what, due) in case.due(&row.state) {
                must!(timer.is_some_and(|at| at <= due), "{id} is {} and has no timer for {what}", row.state);
            }
            if is_dated(&row.state) {
                let dated = timer.is_some() || case.attention.values().any(|it| it.due_at.is_some());
                must!(dated, "{id} is {} and waits without a date: {}", row.state, case.in_words());
            }
            let said = self.receipts.unfinished(id.as_str());
            for name in said {
                let key = (AttentionCause::Contradicted as i32, name.clone());
                must!(
                    case.attention.contains_key(&key),
                    "{name} took its end of {id} back, and nobody looks"
                );
            }
        }
        Ok(())
    }

    /// A case as somebody was told of it.
    ///
    /// # Errors
    /// [`Finding`].
    pub fn told(&self, view: &pb::Cancellation) -> Result<(), Finding> {
        let (id, state) = (&view.cancellation_id, view.state());
        let has = |state: ParticipantState| view.participants.iter().any(|it| it.state() == state);
        let assessing = || {
            [ParticipantState::Assessing, ParticipantState::Waiting, ParticipantState::Failed]
                .into_iter()
                .any(has)
        };
        let waits = match state {
            State::Assessing => assessing(),
            State::Blocked => !view.blockers.is_empty() || !view.rejections.is_empty() || assessing(),
            State::AwaitingConfirmation => view.quote.is_some(),
            State::CoolingOff => view.cooling_off_until.is_some() || assessing(),
            State::Executing => {
                [ParticipantState::Instructed, ParticipantState::Waiting, ParticipantState::Failed]
                    .into_iter()
                    .any(has)
            }
            State::Revoking => has(ParticipantState::Undoing),
            State::Completed => view.receipt_version > 0 && view.ended_at.is_some(),
            State::Revoked | State::Rejected | State::Expired => view.ended_at.is_some(),
            State::Unspecified => false,
        };
        must!(waits, "{id} is told as {} and names nobody that it waits for", state.as_str_name());
        for it in &view.participants {
            let on = it.waiting.as_ref().map_or(WaitingOn::Unspecified, |waiting| waiting.waiting_on());
            let named = it.state() != ParticipantState::Waiting || on != WaitingOn::Unspecified;
            must!(named, "{id} is told as waiting for {}, which does not say for whom it waits", it.name);
        }
        let dated = view.due_at.is_some() || view.ended_at.is_some();
        must!(dated, "{id} is told as {} and has no date", state.as_str_name());
        let attention = view.attention.iter().all(|it| !it.owner.is_empty() && it.due_at.is_some());
        must!(attention, "{id} waits for a person, and nobody knows for whom or until when");
        Ok(())
    }
}

/// Whether somebody else than the subject is waited for, who has no time of their own.
fn is_dated(state: &str) -> bool {
    ["STATE_ASSESSING", "STATE_COOLING_OFF", "STATE_EXECUTING", "STATE_REVOKING"].contains(&state)
}

impl Case {
    /// What happens by itself in a state of that name, and when at the latest.
    fn due(&self, state: &str) -> Vec<(String, Timestamp)> {
        let told = match state {
            "STATE_ASSESSING" | "STATE_BLOCKED" | "STATE_AWAITING_CONFIRMATION" => InstructionKind::Assess,
            "STATE_EXECUTING" => InstructionKind::Execute,
            "STATE_REVOKING" => InstructionKind::Undo,
            _ => InstructionKind::Unspecified,
        };
        let late = |(name, part): (&String, &Part)| {
            let (cause, due) = part.late(told)?;
            let is_known = self.attention.contains_key(&(cause as i32, name.clone()));
            (!is_known).then(|| (format!("{name}, which may be late"), due))
        };
        let climbs = |((_, name), it): (&(i32, String), &pb::Attention)| {
            let due = it.due_at.as_ref().and_then(Timestamp::from_proto)?;
            // The clock of the whole may have stood still since it was told of.
            let climbs = it.level() < AttentionLevel::Overdue && it.cause() != AttentionCause::DueSoon;
            climbs.then(|| (format!("what waits for a person: {name}"), due))
        };
        let cooled_off = self.cooling_off_until.filter(|_| state == "STATE_COOLING_OFF");
        let cooled_off = cooled_off.map(|until| ("the end of cooling-off".to_owned(), until));
        let late = self.parts.iter().filter(|(_, part)| !part.done).filter_map(late);
        late.chain(self.attention.iter().filter_map(climbs)).chain(cooled_off).collect()
    }
}

impl Part {
    /// From when on it is late with what it was told last, if that was this.
    fn late(&self, told: InstructionKind) -> Option<(AttentionCause, Timestamp)> {
        let (kind, at) = self.told_last.filter(|(kind, _)| *kind == told)?;
        match &self.said_last {
            Some(said) if said.kind() == kind && said.epoch >= self.told_epoch => match said.outcome() {
                Outcome::Waiting => {
                    let until = said.waiting.as_ref()?.until.as_ref().and_then(Timestamp::from_proto)?;
                    Some((AttentionCause::WaitingTooLong, until))
                }
                Outcome::Accepted => Some((AttentionCause::AnswerOverdue, at.plus(self.deadline?))),
                _ => None,
            },
            _ => Some((AttentionCause::AnswerOverdue, at.plus(self.deadline?))),
        }
    }
}
