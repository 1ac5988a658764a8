//! What the law says of a data set: by its controller's jurisdiction, and by its category.

use std::{collections::BTreeMap, fmt};

/// The categories of personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Category {
    /// Payments and what belongs to them.
    TransactionRecords,
    /// What proved who the subject is.
    IdentityDocuments,
    /// What the subject said of themselves.
    Profile,
    /// Advertising preferences and segments.
    Marketing,
    /// What the subject wrote to others.
    ChatMessages,
    /// The same, on behalf of an enterprise, which is its controller.
    EnterpriseChat,
    /// Which device did what, when.
    DeviceLogs,
    /// What the app keeps on the subject's devices.
    OnDeviceCache,
    /// Face, fingerprint, voice.
    Biometric,
    /// Passwords, passkeys, payment credentials.
    Credentials,
}

impl Category {
    /// How many there are.
    pub const COUNT: usize = 10;

    /// All of them.
    pub const ALL: [Self; Self::COUNT] = [
        Self::TransactionRecords,
        Self::IdentityDocuments,
        Self::Profile,
        Self::Marketing,
        Self::ChatMessages,
        Self::EnterpriseChat,
        Self::DeviceLogs,
        Self::OnDeviceCache,
        Self::Biometric,
        Self::Credentials,
    ];

    /// Its name in tables, scopes and acknowledgements.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TransactionRecords => "TRANSACTION_RECORDS",
            Self::IdentityDocuments => "IDENTITY_DOCUMENTS",
            Self::Profile => "PROFILE",
            Self::Marketing => "MARKETING",
            Self::ChatMessages => "CHAT_MESSAGES",
            Self::EnterpriseChat => "ENTERPRISE_CHAT",
            Self::DeviceLogs => "DEVICE_LOGS",
            Self::OnDeviceCache => "ON_DEVICE_CACHE",
            Self::Biometric => "BIOMETRIC",
            Self::Credentials => "CREDENTIALS",
        }
    }

    /// The category of that name; `None` when there is none.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|category| category.name() == name)
    }
}

/// Who answers for a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// Its name.
    pub name: String,
    /// Under which law it stands, ISO 3166-1 alpha-2.
    pub jurisdiction: String,
}

/// A span of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Years.
    pub years: u8,
    /// Months.
    pub months: u8,
    /// Days.
    pub days: u16,
}

/// For people: `10 years`, `1 year and 6 months`.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [(u16::from(self.years), "year"), (u16::from(self.months), "month"), (self.days, "day")];
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        let words =
            parts.map(|(count, unit)| format!("{count} {unit}{}", if *count == 1 { "" } else { "s" }));
        f.write_str(&words.collect::<Vec<_>>().join(" and "))
    }
}

/// From when a period counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The last event in the data set.
    LastEvent,
    /// The end of the account.
    AccountClosed,
}

/// For how long data is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// How long.
    pub period: Period,
    /// From when.
    pub start: Start,
    /// However it counts, no longer than this after the last event.
    pub longest: Option<Period>,
}

/// What is done with data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It goes.
    Erase,
    /// What points to the subject goes.
    Anonymise,
    /// It stays, for one ground.
    Restrict {
        /// The ground, UPPER_SNAKE_CASE.
        ground: String,
        /// For how long; `None`: the controller decides.
        term: Option<Term>,
    },
}

/// What one law says of one category.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What is done.
    pub action: Action,
    /// Law and article.
    pub source: String,
}

/// What is said of every category, by one jurisdiction or for one controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The time zone of its civil dates, by its IANA name.
    pub zone: String,
    by_category: [Rule; Category::COUNT],
}

impl Rules {
    /// The rules that `rule_of` gives for each category.
    ///
    /// # Errors
    /// The categories for which it gives none.
    pub fn new(zone: String, rule_of: impl Fn(Category) -> Option<Rule>) -> Result<Self, Vec<Category>> {
        let rules: Vec<Rule> = Category::ALL.into_iter().filter_map(&rule_of).collect();
        match rules.try_into() {
            Ok(by_category) => Ok(Self { zone, by_category }),
            Err(_) => {
                Err(Category::ALL.into_iter().filter(|category| rule_of(*category).is_none()).collect())
            }
        }
    }

    /// The rule for a category. Every category has one.
    #[must_use]
    pub fn of(&self, category: Category) -> &Rule {
        &self.by_category[category as usize]
    }
}

/// What is done with whose data, everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Where no other rules fit.
    pub default: Rules,
    /// By ISO 3166-1 alpha-2.
    pub jurisdictions: BTreeMap<String, Rules>,
    /// For controllers of that name, whose licence asks for rules of their own.
    pub controllers: BTreeMap<String, Rules>,
}

impl Table {
    /// The rules that bind a controller: its own, or its jurisdiction's, or the default.
    #[must_use]
    pub fn of(&self, controller: &Controller) -> &Rules {
        let own = self.controllers.get(&controller.name);
        own.or_else(|| self.jurisdictions.get(&controller.jurisdiction)).unwrap_or(&self.default)
    }
}
