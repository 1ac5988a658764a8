//! Having many participants execute once more, so slowly that none is flooded: one step after another,
//! each of which can be taken again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use types::{ParticipantName, Timestamp};

use super::{Attention, Case, Cause};

const MINUTE_SECONDS: u64 = 60;

/// Which of what waits for a person is meant; what is not given takes all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Only what is this one's.
    pub owner: Option<Arc<str>>,
    /// Only of these causes.
    pub causes: Vec<Cause>,
    /// Only of this participant.
    pub participant: Option<ParticipantName>,
    /// Only what is due before that moment.
    pub due_before: Option<Timestamp>,
}

impl Filter {
    /// Whether it is meant.
    #[must_use]
    pub fn takes(&self, told: &Attention) -> bool {
        self.owner.as_ref().is_none_or(|owner| *owner == told.owner)
            && (self.causes.is_empty() || self.causes.contains(&told.cause))
            && (self.participant.is_none() || self.participant == told.participant)
            && self.due_before.is_none_or(|before| told.due < before)
    }
}

/// A bulk retry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bulk {
    /// What it takes.
    pub filter: Filter,
    /// How many a minute each participant is told at the most; at least one.
    pub per_minute: u32,
    /// Who began it.
    pub actor: Arc<str>,
    /// Why, in their words.
    pub reason: String,
    /// When. What has come to wait since then is not of it.
    pub started_at: Timestamp,
    /// The cancellation that it has got to; none yet.
    pub after: Option<(Timestamp, Arc<str>)>,
    /// How many it has told.
    pub retried: u64,
    /// How many it passed over, since they waited no more by then.
    pub skipped: u64,
    /// When it ended, and whether by somebody's hand.
    pub ended: Option<(Timestamp, bool)>,
}

/// What has happened to one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BulkEvent {
    /// It was begun.
    Started(Arc<Bulk>),
    /// It took a step.
    Progressed {
        /// The cancellation that it has got to.
        after: (Timestamp, Arc<str>),
        /// How many it told in this step.
        retried: u64,
        /// How many it passed over in it.
        skipped: u64,
    },
    /// It has got to the end, or was stopped.
    Ended {
        /// Whether somebody stopped it.
        cancelled: bool,
        /// Who.
        actor: Arc<str>,
        /// Why, in their words.
        reason: String,
        /// When.
        at: Timestamp,
    },
}

/// Applies one recorded fact.
#[must_use]
pub fn evolve(bulk: Option<Bulk>, event: BulkEvent) -> Option<Bulk> {
    match (bulk, event) {
        (None, BulkEvent::Started(started)) => Some(Arc::unwrap_or_clone(started)),
        (Some(mut bulk), BulkEvent::Progressed { after, retried, skipped }) => {
            bulk.after = Some(after);
            bulk.retried += retried;
            bulk.skipped += skipped;
            Some(bulk)
        }
        (Some(mut bulk), BulkEvent::Ended { cancelled, actor: _, reason: _, at }) => {
            bulk.ended.get_or_insert((at, cancelled));
            Some(bulk)
        }
        (bulk, BulkEvent::Started(_) | BulkEvent::Progressed { .. } | BulkEvent::Ended { .. }) => bulk,
    }
}

impl Bulk {
    /// How long a step lasts that tells a participant all that it may.
    #[must_use]
    pub fn pace(&self) -> Duration {
        Duration::from_secs(MINUTE_SECONDS.div_ceil(u64::from(self.per_minute.max(1))))
    }

    /// What each participant may be told in one step.
    #[must_use]
    pub fn allowance(&self) -> Allowance {
        let each = u64::from(self.per_minute) * self.pace().as_secs() / MINUTE_SECONDS;
        Allowance { each: u32::try_from(each).unwrap_or(u32::MAX).max(1), told: BTreeMap::new() }
    }

    /// The participants of a cancellation that it means.
    #[must_use]
    pub fn meant(&self, case: &Case) -> Vec<ParticipantName> {
        let retried = |told: &&Attention| {
            matches!(told.cause, Cause::AnswerOverdue | Cause::WaitingTooLong | Cause::Failed)
        };
        let meant = case.attention.iter().filter(retried).filter(|told| {
            // What failed again after it was told again is not told a third time.
            told.since <= self.started_at && self.filter.takes(told)
        });
        meant.filter_map(|told| told.participant.clone()).collect()
    }
}

/// How many each participant has been told in a step.
#[derive(Debug)]
pub struct Allowance {
    each: u32,
    told: BTreeMap<ParticipantName, u32>,
}

impl Allowance {
    /// Whether each of them may be told one more.
    #[must_use]
    pub fn has(&self, names: &[ParticipantName]) -> bool {
        names.iter().all(|name| self.told.get(name).is_none_or(|told| *told < self.each))
    }

    /// It was told.
    pub fn told(&mut self, name: ParticipantName) {
        *self.told.entry(name).or_default() += 1;
    }

    /// How long what was told in the step lasts at that pace: none where nobody was.
    #[must_use]
    pub fn spent(&self, pace: Duration) -> Duration {
        pace * self.told.values().max().copied().unwrap_or_default() / self.each
    }
}
