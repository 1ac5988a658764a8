//! The categories of personal data.

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
    /// All of them.
    pub const ALL: [Self; 10] = [
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

    /// Its name in scopes and acknowledgements; in packs it stands in small letters.
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
