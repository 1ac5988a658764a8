//! What the policy pack of the subject's jurisdiction says of a cancellation, as it stood when that was
//! requested; and how far what would happen may differ from what was accepted.

use std::time::Duration;

use types::{ParticipantName, Timestamp};

/// The rules that a cancellation stands under.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// The pack: `cn`.
    pub pack: String,
    /// Its version.
    pub version: u32,
    /// The kind of scope: `whole_account`.
    pub scope_kind: String,
    /// How long a confirmed one can be revoked.
    pub cooling_off: Duration,
    /// By when all of it must be done.
    pub clock: Option<CaseClock>,
    /// What is no material difference yet.
    pub drift: DriftLimits,
    /// What may be offered instead.
    pub offers: Vec<String>,
}

/// The clock of the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseClock {
    /// By when.
    pub due: Timestamp,
    /// The rule that says so.
    pub rule: String,
    /// By when, once it is extended.
    pub extended: Option<Timestamp>,
    /// By when an extension must be told.
    pub notice_by: Option<Timestamp>,
    /// Whether it stands still while the subject is waited for.
    pub pauses: bool,
}

/// That the clock of the whole is to run longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// Since when.
    pub at: Timestamp,
    /// When the subject was told; the clock runs longer from there on.
    pub told_at: Option<Timestamp>,
}

/// Up to here a difference is immaterial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DriftLimits {
    /// Of an amount, in minor units.
    pub money_minor_units: u64,
    /// Of a date.
    pub days: u32,
}

/// Between what was accepted and what would be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Whose item.
    pub participant: ParticipantName,
    /// In what.
    pub kind: DifferenceKind,
    /// The kind of item, by its number in the contract.
    pub item_kind: i32,
    /// The item's code.
    pub code: String,
    /// The item's id.
    pub item_id: String,
    /// As accepted.
    pub before: String,
    /// As it is.
    pub after: String,
    /// Whether the subject must be asked again.
    pub material: bool,
}

/// In what an item differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DifferenceKind {
    /// It was not there.
    Added,
    /// It is there no more.
    Removed,
    /// Money.
    Amount,
    /// How many.
    Quantity,
    /// When.
    Date,
    /// Who keeps data, or why.
    Kept,
    /// Words.
    Wording,
}
