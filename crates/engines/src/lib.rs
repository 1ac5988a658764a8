//! The engines that this project is tested on, PostgreSQL and Apache Kafka, on loopback and with nothing prepared:
//! what `cargo xtask services` keeps running for everybody, and private ones that a test may kill.
//!
//! Everything here blocks, within bounds. It is for tests, benches and chores only.
#![expect(clippy::print_stderr, reason = "what is fetched and installed is told to whoever waits for it")]

pub mod certificates;
pub mod checkout;
pub mod daemon;
mod guard;
pub mod kafka;
pub mod packages;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod python;
pub mod secured;
mod wait;

pub use certificates::Certificates;
pub use kafka::{Kafka, KafkaOptions};
pub use packages::Packages;
pub use postgres::Postgres;
pub use secured::{SecuredKafka, SecuredPostgres};
