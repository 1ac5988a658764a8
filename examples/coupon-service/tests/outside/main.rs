//! Both examples from outside, as processes over a real Kafka: they keep to the contract, and they
//! take part in a cancellation whose receipt proves it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "all of this is tests, helpers included"
)]

mod conforming;
mod joining;
mod programs;
