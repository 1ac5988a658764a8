//! The history of a run, one line for each thing that happened: when, who, what.

use std::fmt;

use types::Timestamp;

/// What happened, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transcript {
    lines: Vec<String>,
}

impl Transcript {
    /// Notes something.
    pub fn say(&mut self, at: Timestamp, who: &str, what: fmt::Arguments<'_>) {
        self.lines.push(format!("{at} {who:<12} {what}"));
    }

    /// How many things happened.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether nothing has happened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
