//! What ends.

/// Which edition of the product a subject uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Edition {
    /// The home market's.
    #[default]
    Domestic,
    /// The one for other markets.
    International,
}

/// What a cancellation ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everything: the account closes.
    WholeAccount,
    /// Chosen items.
    Selected(Vec<Item>),
    /// A scope that the roster names.
    Named(String),
}

/// One thing that ends, and how.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// Its id with the service that has it.
    pub id: String,
    /// How it ends.
    pub action: Action,
}

/// The kinds of items that can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ItemKind {
    /// A subscription.
    Subscription,
    /// A payment-score authorisation of one merchant's service.
    PayscoreAuthorization,
    /// Payment by face.
    FacePayment,
    /// All data sets of one category.
    DataCategory,
}

/// How an item ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// No further charge; access stays until the period ends.
    StopRenewal,
    /// No further charge, and access ends at once.
    EndNow,
    /// The authorisation is taken back.
    Unbind,
    /// Switched off.
    Disable,
    /// Erased, as far as the law allows.
    Erase,
}

impl ItemKind {
    /// Whether an item of this kind can end that way.
    #[must_use]
    pub fn allows(self, action: Action) -> bool {
        match self {
            Self::Subscription => matches!(action, Action::StopRenewal | Action::EndNow),
            Self::PayscoreAuthorization => action == Action::Unbind,
            Self::FacePayment => action == Action::Disable,
            Self::DataCategory => action == Action::Erase,
        }
    }
}
