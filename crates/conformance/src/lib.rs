//! What every participant must keep to, checked from outside: instructions through the log, answers
//! from `exeunt.acknowledgements`, whatever language the participant is written in and wherever it
//! runs.
//!
//! A [`Coordinator`] speaks the coordinator's lines, a [`Host`] knows the participant's surroundings
//! as far as anybody can, and each of [`CHECKS`] plays one rule of docs/participants.md. The command
//! `exeunt conformance` plays them over Kafka, `testkit` over the embedded log in one process.

mod checks;
mod coordinator;
mod fault;
mod hearing;
mod host;
mod session;

pub use checks::{CHECKS, Check, Effect, Verdict, run};
pub use coordinator::{Coordinator, Options};
pub use fault::Fault;
pub use hearing::Heard;
pub use host::{Host, HostError};
pub use session::Session;
