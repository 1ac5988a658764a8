//! The service on a store and a vault of its own, with participants that answer as they are told to.

mod closing;
mod harness;
mod sweep;
mod texts;
