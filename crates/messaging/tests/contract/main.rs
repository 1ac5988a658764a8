//! The same cases on both logs and on both stores: embedded with SQLite, Kafka with PostgreSQL where
//! `EXEUNT_TEST_KAFKA_BROKERS` and `EXEUNT_TEST_POSTGRES_URL` name servers.
#![cfg(test)]

/// Runs each case on each side.
macro_rules! on_each {
    ($($case:ident),* $(,)?) => {
        mod embedded {
            $(#[test]
            fn $case() {
                $crate::bench::on_embedded(super::$case);
            })*
        }
        mod kafka {
            $(#[test]
            fn $case() {
                $crate::bench::on_kafka(super::$case);
            })*
        }
    };
}

mod bench;
mod catching_up;
mod consuming;
mod doubles;
mod embedded;
mod logs;
mod membership;
mod outages;
mod parking;
mod relaying;
mod topics;
mod toy;
