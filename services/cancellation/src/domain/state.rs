//! What is known of a cancellation.

use std::{sync::Arc, time::Duration};

use types::{CancellationId, ItemKind, ParticipantName, Timestamp};

use super::{
    Answer, Attention, Attestation, CaseClock, Difference, Digest, Extension, Kind, Outcome, Request,
    attention,
};

/// How many versions of a receipt are sealed because of what participants say afterwards. One that goes on
/// saying now this and now that is a person's to look at, and what it said last is told without a receipt.
pub const RECEIPT_VERSIONS_MAX: usize = 10;

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
    /// Whether it suspends what it can when cooling-off begins.
    pub freezes: bool,
    /// Who deals with what it does not do, where the roster names anybody.
    pub owner: Option<Arc<str>>,
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
    /// The subject has accepted, and may think again.
    CoolingOff,
    /// It is being done.
    Executing,
    /// It is done, and proven.
    Completed,
    /// The subject wants it no more: what was suspended is being taken back.
    Revoking,
    /// The subject wanted it no more.
    Revoked,
    /// It cannot be asked at all.
    Rejected,
    /// Another cancellation closed the account.
    Expired,
}

impl Phase {
    /// All in which something is to happen still.
    pub const OPEN: [Self; 6] = [
        Self::Assessing,
        Self::Blocked,
        Self::AwaitingConfirmation,
        Self::CoolingOff,
        Self::Executing,
        Self::Revoking,
    ];

    /// Nothing will happen any more.
    #[must_use]
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Revoked | Self::Rejected | Self::Expired)
    }

    /// Nothing has been done yet.
    #[must_use]
    pub fn is_before_execution(self) -> bool {
        matches!(self, Self::Assessing | Self::Blocked | Self::AwaitingConfirmation | Self::CoolingOff)
    }
}

/// How far one participant is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// The round in which it was last told to assess.
    pub assess_epoch: Option<u32>,
    /// Its last answer to that: its assessment, or why there is none yet.
    pub assessment: Option<Arc<Answer>>,
    /// The assessment that the subject accepted last.
    pub accepted: Option<Arc<Answer>>,
    /// The round in which it was told to suspend what it can.
    pub freeze_epoch: Option<u32>,
    /// Its last answer to that.
    pub freeze: Option<Arc<Answer>>,
    /// The round in which it was told to take that back.
    pub undo_epoch: Option<u32>,
    /// Its last answer to that.
    pub undo: Option<Arc<Answer>>,
    /// The round in which it was last told to execute.
    pub execute_epoch: Option<u32>,
    /// Its last answer to that.
    pub execution: Option<Arc<Answer>>,
    /// That its work was done outside; what it answers itself since counts instead.
    pub attestation: Option<Arc<Attestation>>,
    /// What it was told last, and when.
    pub told: Option<(Kind, Timestamp)>,
    /// When its last answer was recorded.
    pub answered_at: Option<Timestamp>,
    /// The highest (epoch, revision) taken.
    pub last: (u32, u32),
    /// How often it has said something since that no version of the receipt has: there are too many.
    pub untold: u32,
}

impl Progress {
    /// Has assessed. Who answers that it waits or fails has not, and what nobody assessed nobody can
    /// accept.
    #[must_use]
    pub fn is_assessed(&self) -> bool {
        self.assessment.as_ref().is_some_and(|answer| answer.outcome == Outcome::Assessed)
    }

    /// Was told to suspend, and not yet to take it back.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.freeze_epoch.is_some() && self.undo_epoch.is_none()
    }

    /// Nothing more will come of it: it was taken back, or could not be.
    #[must_use]
    pub fn is_undone(&self) -> bool {
        let ends = |answer: &Arc<Answer>| answer.outcome.is_success() || answer.outcome == Outcome::Failed;
        self.undo_epoch.is_none() || self.undo.as_ref().is_some_and(ends)
    }

    /// It could not be taken back, and nobody has said that it was dealt with outside.
    #[must_use]
    pub fn is_not_undone(&self) -> bool {
        let failed = |answer: &Arc<Answer>| answer.outcome == Outcome::Failed;
        self.attestation.is_none() && self.undo.as_ref().is_some_and(failed)
    }

    /// Has a successful terminal acknowledgement, or an attestation in its place.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.attestation.is_some()
            || self.execution.as_ref().is_some_and(|answer| answer.outcome.is_success())
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
    /// When the last thing happened to it. Who applies an event sets it first.
    pub at: Timestamp,
    /// The last round of instructions.
    pub epoch: u32,
    /// The round in which execution began: who was told in an earlier one has not been told yet.
    pub round: u32,
    /// How far each participant is, in the roster's order.
    pub progress: Vec<Progress>,
    /// The quote's digest, while there is one.
    pub quote: Option<Digest>,
    /// The last acceptance.
    pub confirmation: Option<Confirmation>,
    /// Tokens used up.
    pub tokens_used: Vec<String>,
    /// Until when it could be revoked, once it was confirmed under a rule of cooling-off. It is given
    /// once.
    pub cooling_off_until: Option<Timestamp>,
    /// Cooling-off is over, and what was accepted is compared with what would happen.
    pub recheck: bool,
    /// In what the last comparison found them to differ.
    pub differences: Vec<Difference>,
    /// Since when the subject is waited for: a blocker or a quote was told, and nothing accepted yet.
    pub waiting_since: Option<Timestamp>,
    /// How long they were waited for before that.
    pub waited: Duration,
    /// Every version of the receipt, the first one first.
    pub receipts: Vec<String>,
    /// Whether a participant has said something since that the newest version does not have.
    pub amendment_due: bool,
    /// That its clock is to run as long as its rule allows.
    pub extension: Option<Extension>,
    /// What waits for a person.
    pub attention: Vec<Attention>,
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
    /// In what all assessments differ from those accepted.
    Recheck,
    /// The sealed receipt.
    Receipt,
    /// The receipt's next version.
    Amendment,
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
            return self.amendment_due.then_some(Want::Amendment);
        }
        if self.progress.iter().all(Progress::is_finished) {
            return Some(Want::Receipt);
        }
        let assessing = match self.phase {
            Phase::Assessing | Phase::Blocked => true,
            Phase::CoolingOff => self.recheck,
            _ => false,
        };
        let want = if self.recheck { Want::Recheck } else { Want::Quote };
        (assessing && self.all_assessed() && !self.any_blocked()).then_some(want)
    }

    /// The next moment at which anything happens by itself.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        let cooled_off = self.cooling_off_until.filter(|_| self.phase == Phase::CoolingOff && !self.recheck);
        [cooled_off, attention::next_due(self)].into_iter().flatten().min()
    }

    /// Until when it could be revoked without loss, once it is confirmed: the end of cooling-off or, where
    /// that is earlier, a participant's point of no return.
    #[must_use]
    pub fn undo_until(&self) -> Option<Timestamp> {
        let end =
            self.cooling_off_until.or(self.confirmation.as_ref().map(|confirmation| confirmation.at))?;
        let points = self.progress.iter().filter_map(|progress| progress.freeze.as_ref()?.undo_until);
        Some(points.fold(end, Ord::min))
    }

    /// By when all of it must be done, with the time added in which the clock stood still.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        let clock = self.request.terms.clock.as_ref()?;
        let told = self.extension.as_ref().is_some_and(|extension| extension.told_at.is_some());
        Some(self.later(clock, clock.extended.filter(|_| told).unwrap_or(clock.due)))
    }

    /// By when all of it must be done once the subject has been told of an extension.
    #[must_use]
    pub fn extended_due(&self) -> Option<Timestamp> {
        let clock = self.request.terms.clock.as_ref()?;
        Some(self.later(clock, clock.extended?))
    }

    /// By when the subject must have been told of an extension.
    #[must_use]
    pub fn notice_by(&self) -> Option<Timestamp> {
        let clock = self.request.terms.clock.as_ref()?;
        Some(self.later(clock, clock.notice_by?))
    }

    /// With the time added in which the clock stood still.
    fn later(&self, clock: &CaseClock, at: Timestamp) -> Timestamp {
        if clock.pauses { at.plus(self.waited) } else { at }
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
            let failed = |answer: &Arc<Answer>| answer.outcome == Outcome::Failed;
            !progress.is_finished() && progress.execution.as_ref().is_some_and(failed)
        };
        self.progress.iter().any(failed)
    }

    /// Those that suspend what they can, and have something to do still.
    pub(super) fn to_freeze(&self) -> Vec<ParticipantName> {
        self.named(|entry, progress| entry.freezes && !progress.is_finished())
    }

    /// Those that were told to suspend, and not yet to take it back.
    pub(super) fn frozen(&self) -> Vec<ParticipantName> {
        self.named(|_, progress| progress.is_frozen())
    }

    /// Whether it was told to suspend, and has not said that it did.
    pub(super) fn is_freezing(&self, progress: &Progress) -> bool {
        let told = self.phase == Phase::CoolingOff && matches!(progress.told, Some((Kind::Freeze, _)));
        told && !progress.freeze.as_ref().is_some_and(|answer| answer.outcome.is_success())
    }

    pub(super) fn named(&self, which: impl Fn(&Entry, &Progress) -> bool) -> Vec<ParticipantName> {
        let chosen = self.participants().filter(|(entry, progress)| which(entry, progress));
        chosen.map(|(entry, _)| entry.name.clone()).collect()
    }

    /// Those that have not finished.
    pub(super) fn unfinished(&self) -> Vec<ParticipantName> {
        self.named(|_, progress| !progress.is_finished())
    }

    /// Those whose turn to execute has come, and that have not been told in that round or a later one.
    pub(super) fn ready(&self, epoch: u32) -> Vec<ParticipantName> {
        let finished = |name: &ParticipantName| match self.index_of(name) {
            Some(index) => self.progress[index].is_finished(),
            // Not in this scope: nothing to wait for.
            None => true,
        };
        self.named(|entry, progress| {
            let untold = progress.execute_epoch.is_none_or(|told| told < epoch);
            !progress.is_finished() && untold && entry.after.iter().all(finished)
        })
    }
}
