//! Private engines that may be killed, each behind a proxy.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use engines::{Kafka, KafkaOptions, Postgres};
use tokio::task::block_in_place;

use crate::{
    fleet::{Engines, shared_kafka, shared_postgres},
    proxy::{Proxy, Wire},
};

/// What is private; the rest is what the tests share.
#[derive(Debug, Clone, Copy, Default)]
pub struct SiteOptions {
    /// SQLite and the embedded log instead; then the rest has no meaning.
    pub embedded: bool,
    /// So many brokers; none: the shared ones.
    pub brokers: usize,
    /// A PostgreSQL of our own.
    pub database: bool,
    /// And a synchronous standby of it.
    pub standby: bool,
}

/// Engines of our own and the wires to them. Dropped, they are gone. What concerns them blocks, so
/// this wants a runtime of several threads.
#[derive(Default)]
pub struct Site {
    embedded: bool,
    kafka: Option<Kafka>,
    brokers: Vec<Proxy>,
    primary: Option<Postgres>,
    standby: Option<Postgres>,
    database: Option<Proxy>,
}

fn at(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

impl Site {
    /// Starts them; all answer when this returns.
    ///
    /// # Errors
    /// When one does not start.
    pub async fn start(options: SiteOptions) -> Result<Self> {
        if options.embedded {
            return Ok(Self { embedded: true, ..Self::default() });
        }
        let mut site = Self::default();
        // Brokers tell clients where to connect to, so the proxies come first.
        for _ in 0..options.brokers {
            site.brokers.push(Proxy::listen(at(0)).await?);
        }
        if options.brokers > 0 {
            let advertised = site.brokers.iter().map(|proxy| proxy.address().port()).collect();
            let options = KafkaOptions { brokers: options.brokers, advertised, ..KafkaOptions::default() };
            let kafka = block_in_place(|| Kafka::start(&options))?;
            for (proxy, port) in site.brokers.iter().zip(kafka.ports()) {
                proxy.redirect(at(port));
            }
            site.kafka = Some(kafka);
        }
        if options.database {
            let primary = block_in_place(Postgres::start)?;
            site.database = Some(Proxy::listen(at(primary.port())).await?);
            site.primary = Some(primary);
            if options.standby {
                site.follow()?;
            }
        }
        Ok(site)
    }

    /// Where services go to: the proxies before what is ours, or what is shared.
    ///
    /// # Errors
    /// When something is neither ours nor named.
    pub fn engines(&self) -> Result<Engines> {
        if self.embedded {
            return Ok(Engines::Embedded);
        }
        let brokers = self.kafka.as_ref().map(Kafka::brokers).or_else(shared_kafka);
        let ours = self.database.as_ref().map(|proxy| format!("postgres://postgres@{}/x", proxy.address()));
        let postgres = ours.or_else(shared_postgres).context("no PostgreSQL is named")?;
        Ok(Engines::on(&postgres, &brokers.context("no Kafka is named")?))
    }

    /// How many brokers are ours.
    #[must_use]
    pub fn brokers(&self) -> usize {
        self.brokers.len()
    }

    /// Whether there is a standby to fail over to.
    #[must_use]
    pub fn has_standby(&self) -> bool {
        self.standby.is_some()
    }

    /// The wire to the database, where it is ours.
    ///
    /// # Errors
    /// When it is not.
    pub fn database_wire(&self) -> Result<&Proxy> {
        self.database.as_ref().context("the database is not ours")
    }

    /// The wire to a broker.
    ///
    /// # Errors
    /// When there is none.
    pub fn broker_wire(&self, broker: usize) -> Result<&Proxy> {
        self.brokers.get(broker).context("the broker is not ours")
    }

    /// SIGKILL for a broker.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill_broker(&mut self, broker: usize) -> Result<()> {
        block_in_place(|| self.kafka.as_mut().context("no broker is ours")?.kill(broker))
    }

    /// Starts a broker again on what it holds.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_broker(&mut self, broker: usize) -> Result<()> {
        block_in_place(|| self.kafka.as_mut().context("no broker is ours")?.start_again(broker))
    }

    /// An immediate shutdown of the database: no checkpoint, no farewell.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub fn end_database(&mut self) -> Result<()> {
        block_in_place(|| self.primary.as_mut().context("the database is not ours")?.end_at_once())
    }

    /// Starts the database again on what it holds; it recovers.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_database(&mut self) -> Result<()> {
        block_in_place(|| self.primary.as_mut().context("the database is not ours")?.start_again())
    }

    /// Promotes the standby, and leads the wire to it. The primary must have ended: it stays away.
    ///
    /// # Errors
    /// When there is no standby, or it cannot be promoted.
    pub fn fail_over(&mut self) -> Result<()> {
        let standby = self.standby.take().context("there is no standby")?;
        block_in_place(|| standby.promote())?;
        self.database_wire()?.redirect(at(standby.port()));
        self.primary = Some(standby);
        Ok(())
    }

    /// Makes a synchronous standby of the database as it runs.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn follow(&mut self) -> Result<()> {
        let primary = self.primary.as_ref().context("the database is not ours")?;
        self.standby = Some(block_in_place(|| primary.standby())?);
        Ok(())
    }

    /// Makes every wire whole.
    pub fn mend(&self) {
        self.brokers.iter().chain(&self.database).for_each(|proxy| proxy.wire(Wire::Whole));
    }
}
