//! Records that are kept, once what they are about has ended, for one ground and nothing else, until their
//! date comes.

use types::{CancellationId, Timestamp};

use crate::{RetentionAction, Ruling};

/// The rule that decided.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Basis {
    /// Its id; empty where it was decided before rules had ids.
    pub rule: String,
    /// Law and article.
    pub source: String,
}

/// Why a record is kept for nothing else, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restriction {
    /// The only ground on which it may be read.
    pub ground: String,
    /// The rule that says so.
    pub basis: Basis,
    /// Until when; `None` while nobody can say.
    pub until: Option<Timestamp>,
    /// The cancellation that restricted it.
    pub cancellation: CancellationId,
    /// Since when.
    pub since: Timestamp,
}

/// Why a record is gone, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// The rule that says so.
    pub basis: Basis,
    /// The cancellation that erased or restricted it.
    pub cancellation: CancellationId,
    /// Since when.
    pub since: Timestamp,
    /// Where it went because a date came: that date.
    pub due: Option<Timestamp>,
}

/// What the law says of a record, its date worked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Treatment {
    /// It is kept for one ground.
    Restrict {
        /// The ground.
        ground: String,
        /// The rule that says so.
        basis: Basis,
        /// Until when; `None` while nobody can say.
        until: Option<Timestamp>,
    },
    /// Nothing keeps it once the account has closed.
    Erase(Basis),
}

impl Ruling<'_> {
    /// What decided.
    #[must_use]
    pub fn basis(&self) -> Basis {
        Basis { rule: self.rule.id.clone(), source: self.rule.authority.source.clone() }
    }

    /// What becomes of a record at that moment. What need not be kept any more goes.
    #[must_use]
    pub fn treatment(&self, now: Timestamp) -> Treatment {
        match &self.rule.action {
            RetentionAction::Restrict { ground, .. } if self.until.is_none_or(|until| until > now) => {
                Treatment::Restrict { ground: ground.clone(), basis: self.basis(), until: self.until }
            }
            RetentionAction::Restrict { .. } | RetentionAction::Erase | RetentionAction::Anonymise => {
                Treatment::Erase(self.basis())
            }
        }
    }
}
