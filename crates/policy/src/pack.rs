//! One jurisdiction's rules.

use std::{collections::BTreeMap, fmt, time::Duration};

use jiff::tz::TimeZone;
use serde::Deserialize;
use types::Timestamp;

use crate::{
    Calendar, Clock, ClockRule, Period, Retention,
    clock::{Pause, Place, Reckoning},
};

/// How binding a rule is. Chinese law lets only laws and administrative regulations justify that data is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Passed by a parliament.
    Law,
    /// Of a government as a whole; a directive or regulation of the European Union counts as law.
    AdminRegulation,
    /// Of one ministry or agency.
    MinistryRule,
    /// Recommended.
    Standard,
    /// Agreed.
    Contract,
    /// Ours: nobody demands it.
    Policy,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Law => "law",
            Self::AdminRegulation => "admin_regulation",
            Self::MinistryRule => "ministry_rule",
            Self::Standard => "standard",
            Self::Contract => "contract",
            Self::Policy => "policy",
        })
    }
}

/// How well a rule is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Evidence {
    /// The official text was read.
    A,
    /// Somebody reliable says so.
    B,
    /// Nobody has checked it: counsel must.
    M,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::B => "B",
            Self::M => "M",
        })
    }
}

/// Whose rule it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authority {
    /// Law and article.
    pub source: String,
    /// How binding it is.
    pub tier: Tier,
    /// How well it is known.
    pub evidence: Evidence,
}

/// What stands before execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gates {
    /// Assessment, quote and confirmation.
    Quote,
    /// Nothing: what is declared is accepted.
    None,
}

/// A lighter choice that may be offered, and never delays the exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Offer {
    /// Not now, but later again.
    Pause,
    /// Less of it.
    Downgrade,
    /// Only some of it.
    Partial,
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pause => "pause",
            Self::Downgrade => "downgrade",
            Self::Partial => "partial",
        })
    }
}

/// Time in which a confirmed cancellation can be revoked. It is counted exactly, a day as 24 hours, so
/// that nobody gets less of it than somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoolingOff {
    /// How long.
    pub period: Period,
    /// How long an operator may make it.
    pub longest: Period,
    /// Whose rule it is.
    pub authority: Authority,
}

impl CoolingOff {
    /// How long.
    #[must_use]
    pub fn span(&self) -> Duration {
        // A pack with any other period is not read.
        self.period.exact().unwrap_or_default()
    }
}

/// How far what would happen may differ from what was accepted before it is accepted anew.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// Of an amount, in minor units of its currency.
    pub money_minor_units_max: u64,
    /// Of a date.
    pub days_max: u32,
    /// Whose rule it is.
    pub authority: Authority,
}

/// The rules of one kind of scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeRules {
    /// What stands before execution.
    pub gates: Gates,
    /// Whether the subject must have signed in.
    pub login: bool,
    /// How many independent factors must have been verified.
    pub factors: u32,
    /// Time to think again.
    pub cooling_off: CoolingOff,
    /// What may be offered instead.
    pub offers: Vec<Offer>,
    /// Whose rule it is.
    pub authority: Authority,
}

/// Something that must be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// After what: `the request`.
    pub when: String,
    /// How soon.
    pub within: Period,
    /// Whether the subject must be able to keep it.
    pub durable: bool,
    /// What it must contain.
    pub contains: Vec<String>,
    /// Whose rule it is.
    pub authority: Authority,
}

/// What becomes of money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refunds {
    /// Whether what was paid for time that is not used comes back.
    pub pro_rata: bool,
    /// How soon.
    pub within: Period,
    /// Whose rule it is.
    pub authority: Authority,
}

/// Whether somebody may come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReRegistration {
    /// Whether at all.
    pub allowed: bool,
    /// After how long.
    pub wait: Period,
    /// Why not, for some.
    pub refused_for: Vec<String>,
    /// Whose rule it is.
    pub authority: Authority,
}

/// The rules of one jurisdiction, those that it takes over from another included.
#[derive(Debug, Clone)]
pub struct Pack {
    /// `cn`.
    pub id: String,
    /// Rises with every change of what it says.
    pub version: u32,
    /// For people.
    pub name: String,
    /// The regions of subjects for whom it is: `CN`, `US-CA`.
    pub regions: Vec<String>,
    /// The zone of its civil dates.
    pub zone: String,
    /// The clocks by name.
    pub clocks: BTreeMap<String, Clock>,
    /// The scopes by kind; `other` is for those that are not named.
    pub scopes: BTreeMap<String, ScopeRules>,
    /// What must be told, by name.
    pub notices: BTreeMap<String, Notice>,
    /// What becomes of money.
    pub refunds: Refunds,
    /// Whether somebody may come back.
    pub re_registration: ReRegistration,
    /// What is accepted anew.
    pub drift: Drift,
    /// What becomes of personal data, by its category.
    pub retention: Retention,
    /// The zones of regions that have one of their own.
    pub(crate) zones: BTreeMap<String, TimeZone>,
    pub(crate) time_zone: TimeZone,
    pub(crate) calendar: Calendar,
}

/// The kind of a scope that has no rules of its own.
pub(crate) const OTHER: &str = "other";

impl Pack {
    /// The rules of a scope.
    #[must_use]
    pub fn scope(&self, kind: &str) -> Option<&ScopeRules> {
        self.scopes.get(kind).or_else(|| self.scopes.get(OTHER))
    }

    /// What a clock says that runs from (or, for notices, up to) an instant. `None`: there is no such clock.
    #[must_use]
    pub fn reckon(
        &self,
        clock: &str,
        from: Timestamp,
        pauses: &[Pause],
        extended: bool,
    ) -> Option<Reckoning> {
        let place = Place { zone: &self.time_zone, zone_name: &self.zone, calendar: &self.calendar };
        self.clocks.get(clock)?.reckon(place, from, pauses, extended)
    }

    /// By when money that goes back is paid, counted from the decision that it does.
    #[must_use]
    pub fn refund_due(&self, from: Timestamp) -> Timestamp {
        self.after(self.refunds.within, from)
    }

    /// The end of a period that runs from an instant: of civil time, the end of its last day in the pack's
    /// zone. Of no time at all, that instant.
    #[must_use]
    pub fn after(&self, period: Period, from: Timestamp) -> Timestamp {
        if period.is_zero() {
            return from;
        }
        let rule = ClockRule {
            id: String::new(),
            period,
            before: false,
            opens: None,
            extension: None,
            pauses: false,
            rolls: false,
            authority: self.re_registration.authority.clone(),
        };
        let clock = Clock { about: String::new(), from: String::new(), rules: vec![rule] };
        let place = Place { zone: &self.time_zone, zone_name: &self.zone, calendar: &self.calendar };
        clock.reckon(place, from, &[], false).map_or(from, |reckoned| reckoned.due)
    }
}
