//! The whole process, from outside: through gRPC and through the command line.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "all of this is tests, helpers included"
)]

mod answers;
mod closures;
mod command_line;
mod cooling;
mod extension;
mod harness;
mod hold;
mod operating;
mod parked;
mod policy;
mod roles;
mod session;
mod set;
mod standing;
mod starting;
