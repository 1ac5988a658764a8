//! The service as a whole, on a store and a log of its own.

mod closing;
mod harness;
mod secrecy;
mod verifying;
