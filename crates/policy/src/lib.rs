//! The rules of jurisdictions as data: packs of clocks, gates, cooling-off, notices, refunds,
//! re-registration and retention, and the calendars by which they count.
//!
//! Pure: files come in as text, instants as values. A fault in a pack is found when it is read, with every
//! other one.

mod calendar;
mod clock;
mod explain;
mod fault;
mod pack;
mod packs;
mod period;
mod read;
mod record;
mod retention;

pub use calendar::Calendar;
pub use clock::{Clock, ClockRule, Pause, Reckoning, Step};
pub use explain::Explained;
pub use fault::{Fault, PolicyError};
pub use pack::{
    Authority, CoolingOff, Drift, Evidence, Gates, Notice, Offer, Pack, ReRegistration, Refunds, ScopeRules,
    Tier,
};
pub use packs::{Files, Packs};
pub use period::Period;
pub use record::{Basis, Gone, Restriction, Treatment};
pub use retention::{
    Anchor, Category, ControllerClass, DataFacts, Retention, RetentionAction, RetentionRule, Ruling, Term,
    is_ground,
};
