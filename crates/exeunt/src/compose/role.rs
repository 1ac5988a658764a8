//! The roles that a process may have: which services it runs.

use std::fmt;

use clap::ValueEnum;

/// One service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Role {
    /// Coordinates cancellations.
    Cancellation,
    /// Who subjects are.
    Identity,
    /// What renews.
    Subscription,
    /// Payment scores.
    Payscore,
    /// Balances and benefits.
    Wallet,
    /// Personal data.
    Retention,
}

/// The word for a process that runs guests and none of our services.
pub(super) const NONE: &str = "none";

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] = [
        Self::Cancellation,
        Self::Identity,
        Self::Subscription,
        Self::Payscore,
        Self::Wallet,
        Self::Retention,
    ];

    /// Its name, as the configuration, the roster and the databases have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cancellation => cancellation::NAME,
            Self::Identity => "identity",
            Self::Subscription => "subscription",
            Self::Payscore => "payscore",
            Self::Wallet => "wallet",
            Self::Retention => "retention",
        }
    }

    /// The roles that the configuration names; all of them when it names none.
    ///
    /// # Errors
    /// The first word that is no role.
    pub(super) fn parse(words: &[String]) -> Result<Vec<Self>, UnknownRole> {
        match words {
            [] => return Ok(Self::ALL.to_vec()),
            [word] if word == NONE => return Ok(Vec::new()),
            _ => {}
        }
        let role = |word: &String| {
            let found = Self::ALL.into_iter().find(|role| role.name() == word);
            found.ok_or_else(|| UnknownRole(word.clone()))
        };
        let mut roles: Vec<Self> = words.iter().map(role).collect::<Result<_, _>>()?;
        roles.sort_unstable();
        roles.dedup();
        Ok(roles)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("roles: {0} is none of {all}", all = Role::ALL.map(Role::name).join(", "))]
pub struct UnknownRole(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Vec<Role>, UnknownRole> {
        Role::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn none_named_means_all_and_naming_one_twice_means_it_once() {
        assert_eq!(parse(&[]).unwrap(), Role::ALL);
        assert_eq!(parse(&["wallet", "identity", "wallet"]).unwrap(), [Role::Identity, Role::Wallet]);
        assert_eq!(parse(&["none"]).unwrap(), []);
    }

    #[test]
    fn a_word_that_is_no_role_is_named_with_those_that_are() {
        let error = parse(&["wallet", "purse"]).unwrap_err().to_string();
        assert!(error.starts_with("roles: purse is none of cancellation, identity"), "{error}");
        assert!(parse(&["none", "wallet"]).is_err());
    }
}
