//! Listeners that demand encryption and a password, for tests of connecting to them: those that the environment
//! names, or private ones.

use std::env;
use std::path::PathBuf;

use anyhow::Result;

use crate::certificates::Certificates;
use crate::{Kafka, KafkaOptions, Postgres};

/// The folder of the certificates of both listeners.
pub const CERTIFICATES: &str = "EXEUNT_TEST_CERTIFICATES";
/// `host:port` of brokers that demand TLS and SCRAM.
pub const KAFKA: &str = "EXEUNT_TEST_KAFKA_SECURED";
/// `host:port` of a PostgreSQL that demands TLS and a password of [`USER`].
pub const POSTGRES: &str = "EXEUNT_TEST_POSTGRES_SECURED";

/// Who may enter.
pub const USER: &str = "exeunt";
/// Its password, which protects nothing but the tests' own engines on loopback.
pub const PASSWORD: &str = "of tests only";

/// Brokers that demand TLS and SCRAM.
pub struct SecuredKafka {
    /// `host:port`, with commas between.
    pub brokers: String,
    /// Theirs and a client's.
    pub certificates: Certificates,
    _private: Option<Kafka>,
}

impl SecuredKafka {
    /// Those that the environment names, or one of our own.
    pub fn get() -> Result<Self> {
        if let (Some(brokers), Some(dir)) = (named(KAFKA), named(CERTIFICATES)) {
            return Ok(Self { brokers, certificates: Certificates::of(&PathBuf::from(dir)), _private: None });
        }
        let kafka = Kafka::start(&KafkaOptions { secured: true, ..KafkaOptions::default() })?;
        let (brokers, certificates) = (kafka.secured_brokers(), kafka.certificates());
        Ok(Self { brokers, certificates, _private: Some(kafka) })
    }
}

/// A PostgreSQL that demands TLS and a password.
pub struct SecuredPostgres {
    /// `host:port`.
    pub address: String,
    /// Its and a client's.
    pub certificates: Certificates,
    _private: Option<Postgres>,
}

impl SecuredPostgres {
    /// The one that the environment names, or one of our own.
    pub fn get() -> Result<Self> {
        if let (Some(address), Some(dir)) = (named(POSTGRES), named(CERTIFICATES)) {
            return Ok(Self { address, certificates: Certificates::of(&PathBuf::from(dir)), _private: None });
        }
        let postgres = Postgres::start_secured()?;
        let address = format!("127.0.0.1:{}", postgres.port());
        Ok(Self { address, certificates: postgres.certificates(), _private: Some(postgres) })
    }
}

fn named(variable: &str) -> Option<String> {
    env::var(variable).ok().filter(|value| !value.is_empty())
}
