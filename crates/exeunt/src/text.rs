//! What the contract's messages look like to people: plain text, aligned, in the order in which it
//! matters.

mod cancellation;
mod consequences;
mod identity;
mod refund;
mod values;

pub use cancellation::{blockers, cancellation, participant, participants, quote_of, rejections, row};
pub use identity::{appeal, proof, standing, verification};
pub use refund::refund;
pub use values::{day, moment, money, scope, word};

/// Text that grows line by line.
#[derive(Debug, Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, line: impl AsRef<str>) {
        self.0.push_str(line.as_ref().trim_end());
        self.0.push('\n');
    }

    fn blank(&mut self) {
        if !self.0.is_empty() && !self.0.ends_with("\n\n") {
            self.0.push('\n');
        }
    }
}
