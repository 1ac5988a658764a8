//! What can be wrong with a participant, or stand in the way of finding out.

use std::fmt::Debug;

use messaging::LogError;

use crate::HostError;

/// Why a check did not pass.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Fault {
    /// The participant does not keep to the contract.
    #[error("{what}: expected {expected}, seen {seen}")]
    Broken {
        /// What was looked at.
        what: String,
        /// What the contract says.
        expected: String,
        /// What came instead.
        seen: String,
    },
    /// The log failed.
    #[error("the event log failed: {0}")]
    Log(#[from] LogError),
    /// The participant's surroundings failed.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl Fault {
    pub(crate) fn broken(
        what: impl Into<String>,
        expected: impl Into<String>,
        seen: impl Into<String>,
    ) -> Self {
        Self::Broken { what: what.into(), expected: expected.into(), seen: seen.into() }
    }
}

/// Both must be the same.
pub(crate) fn same<T: PartialEq + Debug>(what: &str, expected: &T, seen: &T) -> Result<(), Fault> {
    if expected == seen {
        return Ok(());
    }
    Err(Fault::broken(what, format!("{expected:?}"), format!("{seen:?}")))
}

/// It must hold.
pub(crate) fn holds(
    what: &str,
    expected: &str,
    holds: bool,
    seen: impl FnOnce() -> String,
) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(Fault::broken(what, expected, seen())) }
}
