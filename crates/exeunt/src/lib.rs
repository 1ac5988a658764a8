//! The composition root: all services in one process on one port, and the command line for people.
//!
//! It may know everything; nothing may know it, but tests and the bench. In reading order:
//! [`compose`] starts a process from its configuration, [`operations`] is what only the whole process
//! can answer, [`cli`] is the command line, [`demo`] plays a cancellation from end to end.

pub mod cli;
pub mod compose;
pub mod demo;
pub mod error;
pub mod json;
pub mod operations;
mod runtime;
pub mod text;

pub use runtime::runtime;
