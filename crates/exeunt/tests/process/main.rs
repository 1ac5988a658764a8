//! The whole process, from outside: through gRPC and through the command line.
#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is tests, helpers included")]

mod command_line;
mod harness;
mod parked;
mod session;
mod starting;
