//! How the story is told: in steps, in plain text, to standard output. Silent where only the JSON
//! object at the end is wanted.

use std::{cell::Cell, path::Path};

use crate::cli::Output;

/// The teller.
pub(super) struct Story {
    output: Output,
    silent: bool,
    steps: Cell<u32>,
}

impl Story {
    pub(super) fn new(output: Output, silent: bool) -> Self {
        Self { output, silent, steps: Cell::new(0) }
    }

    pub(super) fn is_silent(&self) -> bool {
        self.silent
    }

    pub(super) fn opening(&self, server: &str, home: &Path) {
        self.say("Exeunt: one request, all leave the stage together, and a receipt proves it.");
        self.say(&format!("All services run in this process, at {server}, on embedded storage in"));
        self.say(&format!("{}. What follows goes through the public gRPC API only.", home.display()));
    }

    pub(super) fn opening_at(&self, messages: &Path) {
        self.say("Exeunt: one request, all leave the stage together, and a receipt proves it.");
        self.say("What follows goes through the public gRPC API of the servers named; only the code that");
        self.say(&format!("the user is sent is looked for in {}.", messages.display()));
    }

    /// Begins the next step.
    pub(super) fn step(&self, title: &str) {
        self.steps.set(self.steps.get() + 1);
        self.say(&format!("\n{}. {title}", self.steps.get()));
    }

    /// Tells something, each line indented below the step.
    pub(super) fn tell(&self, text: &str) {
        for line in text.lines() {
            self.say(format!("   {line}").trim_end());
        }
    }

    /// Says a line as it stands.
    pub(super) fn say(&self, line: &str) {
        if !self.silent {
            self.output.line(line);
        }
    }
}
