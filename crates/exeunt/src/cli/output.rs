//! Where answers and failures go: answers to standard output, everything else to standard error.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use prost::{Message, Name};

use super::Failure;
use crate::json;

/// How answers look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// Protobuf's JSON mapping, one object a line.
    Json,
}

/// Where answers go, and how they look.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    format: Format,
}

impl Output {
    /// Answers of this format, to standard output.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self { format }
    }

    /// Whether programs read it.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Prints an answer: as JSON, or as that text.
    pub fn answer<M: Message + Name>(&self, message: &M, text: impl FnOnce(&M) -> String) {
        if self.is_json() { self.line(&json::line(message)) } else { self.text(&text(message)) }
    }

    /// Prints a line to standard output.
    pub fn line(&self, line: &str) {
        self.text(&format!("{line}\n"));
    }

    /// Prints text to standard output as it stands.
    pub fn text(&self, text: &str) {
        let mut stdout = io::stdout().lock();
        // Whoever reads may have had enough, like `head`; that is no failure of ours.
        let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    }

    /// Prints a line to standard error, for people only.
    pub fn aside(&self, line: &str) {
        if !self.is_json() {
            complain(line);
        }
    }

    /// Prints a failure to standard error, and gives its exit code.
    #[must_use]
    pub fn failed(&self, failure: &Failure) -> ExitCode {
        if self.is_json() {
            complain(&failure.json().to_string());
        } else {
            complain(failure.text().trim_end());
        }
        ExitCode::from(failure.exit_code())
    }
}

fn complain(line: &str) {
    // There is nowhere left to say that this failed.
    let _ = writeln!(io::stderr().lock(), "{line}");
}
