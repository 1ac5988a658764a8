//! What becomes of personal data: by category, by the class of its controller, and by the law that
//! keeps it longest.

mod category;
mod written;

use std::{collections::BTreeMap, fmt};

use jiff::tz::TimeZone;
use serde::Deserialize;
use types::Timestamp;

pub use category::Category;
pub(crate) use written::{WrittenRetention, read};

use crate::{Authority, Pack, Period, period};

/// Under which licence a controller works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControllerClass {
    /// A bank.
    Bank,
    /// Who moves money without being a bank.
    PaymentInstitution,
    /// Where others trade.
    Platform,
    /// Anybody else.
    Other,
}

impl ControllerClass {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Bank, Self::PaymentInstitution, Self::Platform, Self::Other];

    /// Its name in packs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bank => "bank",
            Self::PaymentInstitution => "payment_institution",
            Self::Platform => "platform",
            Self::Other => "other",
        }
    }
}

/// From when a period counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anchor {
    /// The last event in the data.
    LastEvent,
    /// The end of the account.
    AccountClosed,
}

/// For how long data is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// How long, in civil time.
    pub period: Period,
    /// From when.
    pub anchor: Anchor,
    /// However it counts, no longer than this after the last event.
    pub longest: Option<Period>,
}

/// What is done with data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetentionAction {
    /// It goes.
    Erase,
    /// What points to the subject goes.
    Anonymise,
    /// It stays, for one ground.
    Restrict {
        /// The only ground on which it may be read, UPPER_SNAKE_CASE.
        ground: String,
        /// For how long; `None`: the controller decides.
        term: Option<Term>,
    },
}

/// What one law says of one category.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionRule {
    /// Its id: `cn.aml.transactions`.
    pub id: String,
    /// What is done.
    pub action: RetentionAction,
    /// The controllers whom it binds; all of them when none is named.
    pub controllers: Vec<ControllerClass>,
    /// Whose rule it is.
    pub authority: Authority,
}

impl RetentionRule {
    /// Whether it binds a controller. One of whom nobody knows the class is bound by all: data that
    /// is gone cannot be had back.
    #[must_use]
    pub fn binds(&self, class: Option<ControllerClass>) -> bool {
        class.is_none_or(|class| self.controllers.is_empty() || self.controllers.contains(&class))
    }
}

/// The rules of every category.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention(BTreeMap<Category, Vec<RetentionRule>>);

impl Retention {
    /// The rules of a category, none empty.
    #[must_use]
    pub fn of(&self, category: Category) -> &[RetentionRule] {
        self.0.get(&category).map(Vec::as_slice).unwrap_or_default()
    }
}

/// What is known of data when it is asked what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataFacts<'a> {
    /// What it is.
    pub category: Category,
    /// Where its controller stands under the law, like `CN`: by the zone of it dates are counted.
    pub jurisdiction: &'a str,
    /// The controller's class; `None` while nobody told.
    pub class: Option<ControllerClass>,
    /// When the last event in it took place.
    pub last_event_at: Timestamp,
    /// When the account closed, or closes now; `None` while it goes on.
    pub account_closed_at: Option<Timestamp>,
}

/// The rule that keeps data longest, and its date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ruling<'a> {
    /// The rule that won.
    pub rule: &'a RetentionRule,
    /// Until when it is kept, the first instant after; `None` when it is not kept, or nobody can say.
    pub until: Option<Timestamp>,
    /// How long it is kept from the end of the account, while that goes on.
    pub from_closure: Option<Period>,
}

/// How long a rule keeps data: the later of two is the stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kept {
    Not,
    Anonymous,
    Until(Timestamp),
    Unknown,
}

impl Pack {
    /// What becomes of data: of all rules that bind its controller, the one that keeps it longest.
    /// `None`: nothing binds it, which no pack has.
    #[must_use]
    pub fn retain(&self, facts: &DataFacts<'_>) -> Option<Ruling<'_>> {
        let zone = self.zone_of(facts.jurisdiction);
        let bound = self.retention.of(facts.category).iter().filter(|rule| rule.binds(facts.class));
        let ruled = bound.map(|rule| ruling(rule, facts, zone));
        // Of equal ones the first stands.
        let (_, ruling) = ruled.reduce(|best, next| if next.0 > best.0 { next } else { best })?;
        Some(ruling)
    }

    /// The zone of civil dates where data of a jurisdiction is kept.
    fn zone_of(&self, jurisdiction: &str) -> &TimeZone {
        self.zones.get(jurisdiction).unwrap_or(&self.time_zone)
    }

    /// The day of an instant there: `2036-11-21`.
    #[must_use]
    pub fn day(&self, jurisdiction: &str, at: Timestamp) -> String {
        at.to_jiff().to_zoned(self.zone_of(jurisdiction).clone()).date().to_string()
    }
}

fn ruling<'a>(rule: &'a RetentionRule, facts: &DataFacts<'_>, zone: &TimeZone) -> (Kept, Ruling<'a>) {
    let mut ruling = Ruling { rule, until: None, from_closure: None };
    let kept = match &rule.action {
        RetentionAction::Erase => Kept::Not,
        RetentionAction::Anonymise => Kept::Anonymous,
        RetentionAction::Restrict { term: None, .. } => Kept::Unknown,
        RetentionAction::Restrict { term: Some(term), .. } => {
            let from = match term.anchor {
                Anchor::LastEvent => Some(facts.last_event_at),
                Anchor::AccountClosed => facts.account_closed_at,
            };
            let end = |from, period| period::end(zone, from, period);
            ruling.until = from.map(|from| {
                let until = end(from, term.period);
                term.longest.map_or(until, |longest| until.min(end(facts.last_event_at, longest)))
            });
            if from.is_none() {
                ruling.from_closure = Some(term.period);
            }
            ruling.until.map_or(Kept::Unknown, Kept::Until)
        }
    };
    (kept, ruling)
}

/// UPPER_SNAKE_CASE of at most 63 characters, as grounds are.
#[must_use]
pub fn is_ground(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=written::GROUND_CHARS_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

/// For people: `kept for P10Y from the last event, for ANTI_MONEY_LAUNDERING`.
impl fmt::Display for RetentionRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.action {
            RetentionAction::Erase => f.write_str("erased")?,
            RetentionAction::Anonymise => f.write_str("anonymised")?,
            RetentionAction::Restrict { ground, term: None } => {
                write!(f, "kept as long as the controller decides, for {ground} only")?;
            }
            RetentionAction::Restrict { ground, term: Some(term) } => {
                let from = match term.anchor {
                    Anchor::LastEvent => "the last event",
                    Anchor::AccountClosed => "the end of the account",
                };
                write!(f, "kept for {} from {from}, for {ground} only", term.period)?;
                if let Some(longest) = term.longest {
                    write!(f, ", and {longest} from the last event at most")?;
                }
            }
        }
        if self.controllers.is_empty() {
            return Ok(());
        }
        let classes: Vec<_> = self.controllers.iter().map(|class| class.name()).collect();
        write!(f, "; binds {}", classes.join(", "))
    }
}
