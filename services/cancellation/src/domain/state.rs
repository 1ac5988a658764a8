//! What is known of a cancellation.

use std::{sync::Arc, time::Duration};

use types::{CancellationId, ItemKind, ParticipantName, Timestamp};

use super::{Answer, Digest, Outcome, Request};

/// A cancellation, or none yet. Boxed, since it travels by value.
pub type State = Option<Box<Case>>;

/// A participant as the roster had it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: ParticipantName,
    /// Who must have finished before it executes.
    pub after: Vec<ParticipantName>,
    /// Its public keys, as JWKs.
    pub keys: Vec<String>,
    /// How long it may take to answer.
    pub deadline: Option<Duration>,
    /// The kinds of selected items that are its own.
    pub item_kinds: Vec<ItemKind>,
}

/// Where a cancellation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Assessments are awaited.
    Assessing,
    /// Something must be cleared first.
    Blocked,
    /// The subject is asked.
    AwaitingConfirmation,
    /// It is being done.
    Executing,
    /// It is done, and proven.
    Completed,
    /// The subject wanted it no more.
    Revoked,
    /// It cannot be asked at all.
    Rejected,
    /// Another cancellation closed the account.
    Expired,
}

impl Phase {
    /// Nothing will happen any more.
    #[must_use]
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Revoked | Self::Rejected | Self::Expired)
    }

    /// Nothing has been done yet.
    #[must_use]
    pub fn is_before_execution(self) -> bool {
        matches!(self, Self::Assessing | Self::Blocked | Self::AwaitingConfirmation)
    }
}

/// How far one participant is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// The round in which it was last told to assess.
    pub assess_epoch: Option<u32>,
    /// Its last answer to that: its assessment, or why there is none yet.
    pub assessment: Option<Arc<Answer>>,
    /// The round in which it was last told to execute.
    pub execute_epoch: Option<u32>,
    /// Its last answer to that.
    pub execution: Option<Arc<Answer>>,
    /// The highest (epoch, revision) taken.
    pub last: (u32, u32),
}

impl Progress {
    /// Has assessed. Who answers that it waits or fails has not, and what nobody assessed nobody can
    /// accept.
    #[must_use]
    pub fn is_assessed(&self) -> bool {
        self.assessment.as_ref().is_some_and(|answer| answer.outcome == Outcome::Assessed)
    }

    /// Has a successful terminal acknowledgement.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.execution.as_ref().is_some_and(|answer| answer.outcome.is_success())
    }
}

/// The subject's acceptance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// Of which quote.
    pub digest: Digest,
    /// When.
    pub at: Timestamp,
}

/// A cancellation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// As it was asked for.
    pub request: Arc<Request>,
    /// Where it stands.
    pub phase: Phase,
    /// The last round of instructions.
    pub epoch: u32,
    /// How far each participant is, in the roster's order.
    pub progress: Vec<Progress>,
    /// The quote's digest, while there is one.
    pub quote: Option<Digest>,
    /// The last acceptance.
    pub confirmation: Option<Confirmation>,
    /// Tokens used up.
    pub tokens_used: Vec<String>,
    /// The receipt.
    pub receipt: Option<String>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The cancellation that closed the account before this one could.
    pub closed_by: Option<CancellationId>,
}

/// Something that the rules need and cannot make: it comes back as a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// The digest of all assessments.
    Quote,
    /// The sealed receipt.
    Receipt,
}

impl Case {
    /// Roster and progress, side by side.
    pub fn participants(&self) -> impl Iterator<Item = (&Entry, &Progress)> {
        self.request.roster.iter().zip(&self.progress)
    }

    /// Whether anything may have been done already.
    #[must_use]
    pub fn has_executed(&self) -> bool {
        self.progress.iter().any(|progress| progress.execute_epoch.is_some())
    }

    /// What the rules wait for from outside.
    #[must_use]
    pub fn wants(&self) -> Option<Want> {
        if self.phase.is_ended() {
            return None;
        }
        if self.progress.iter().all(Progress::is_finished) {
            return Some(Want::Receipt);
        }
        let assessing = matches!(self.phase, Phase::Assessing | Phase::Blocked);
        (assessing && self.all_assessed() && !self.any_blocked()).then_some(Want::Quote)
    }

    pub(super) fn index_of(&self, name: &ParticipantName) -> Option<usize> {
        self.request.roster.iter().position(|entry| entry.name == *name)
    }

    pub(super) fn all_assessed(&self) -> bool {
        self.progress.iter().all(|progress| progress.is_finished() || progress.is_assessed())
    }

    fn unfinished_assessments(&self) -> impl Iterator<Item = &Answer> {
        self.progress.iter().filter(|p| !p.is_finished()).filter_map(|p| p.assessment.as_deref())
    }

    pub(super) fn any_blocked(&self) -> bool {
        self.unfinished_assessments().any(|assessment| assessment.blocked || assessment.rejected)
    }

    pub(super) fn any_rejected(&self) -> bool {
        self.unfinished_assessments().any(|assessment| assessment.rejected)
    }

    /// Whether somebody said that it could not be done.
    pub(super) fn any_failed(&self) -> bool {
        let failed = |progress: &Progress| {
            progress.execution.as_ref().is_some_and(|answer| answer.outcome == Outcome::Failed)
        };
        self.progress.iter().any(failed)
    }

    /// Those that have not finished.
    pub(super) fn unfinished(&self) -> Vec<ParticipantName> {
        let unfinished = self.participants().filter(|(_, progress)| !progress.is_finished());
        unfinished.map(|(entry, _)| entry.name.clone()).collect()
    }

    /// Those whose turn to execute has come in that round, and that have not been told yet.
    pub(super) fn ready(&self, epoch: u32) -> Vec<ParticipantName> {
        let finished = |name: &ParticipantName| match self.index_of(name) {
            Some(index) => self.progress[index].is_finished(),
            // Not in this scope: nothing to wait for.
            None => true,
        };
        self.participants()
            .filter(|(_, progress)| !progress.is_finished() && progress.execute_epoch != Some(epoch))
            .filter(|(entry, _)| entry.after.iter().all(finished))
            .map(|(entry, _)| entry.name.clone())
            .collect()
    }
}
