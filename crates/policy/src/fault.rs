//! What is wrong with packs: everything at once.

use std::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where: `packs/cn.toml: clocks.complete[0].period`.
    pub at: String,
    /// What.
    pub message: String,
}

/// Packs that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError {
    /// What is wrong; never empty.
    pub faults: Vec<Fault>,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("policy packs are not valid")?;
        self.faults.iter().try_for_each(|fault| write!(f, "\n  {}: {}", fault.at, fault.message))
    }
}

impl std::error::Error for PolicyError {}
