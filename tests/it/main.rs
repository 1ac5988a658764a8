//! The whole product from outside: the binary as a process, the public API, kills.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "all of this is tests, helpers included"
)]

mod client;
mod downstream;
mod faults;
mod ledger;
mod poison;
mod pressure;
mod process;
mod public_facts;
mod republish;
mod restart;
mod restore;
mod secured;
mod session;
mod settle;
mod stage;
mod topics;
