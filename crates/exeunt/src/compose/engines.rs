//! The stores and the log that the configuration names.

use std::{error::Error, path::Path, sync::Arc, time::Duration};

use event_store::{Store, StoreError, StoreOptions};
use messaging::{
    BackOff, EmbeddedLog, EventLog, LogError, LogOptions, TopicSettings, TopicSpec, open_log_with,
};
use participant::topics;
use service_kit::config::{EventLogPlace, EventStorePlace, Topics};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use types::Clock;

use super::StartError;
use crate::operations::Stored;

/// What database names begin with where the URL's own database is only the way in.
const DATABASE: &str = "exeunt";

/// How long engines that are away are waited for at a start: they may be starting themselves.
const PATIENCE: Duration = Duration::from_secs(60);

/// Everything that must be closed at the end.
pub(super) struct Engines {
    place: EventStorePlace,
    options: StoreOptions,
    /// The log, which all services share.
    pub(super) log: Arc<dyn EventLog>,
    /// The stores opened, one per service.
    pub(super) stores: Vec<Stored>,
}

impl Engines {
    pub(super) async fn open(
        store: EventStorePlace,
        options: StoreOptions,
        log: EventLogPlace,
        topics: Topics,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let log = match log {
            EventLogPlace::Embedded { directory } => {
                make(&directory)?;
                let log = EmbeddedLog::open_with(&directory.join("log.db"), clock).await;
                log.map(|log| Arc::new(log) as Arc<dyn EventLog>)
            }
            kafka @ EventLogPlace::Kafka { .. } => reached(&kafka, topics).await,
        };
        Ok(Self { place: store, options, log: log.map_err(StartError::Log)?, stores: Vec::new() })
    }

    /// Opens the store of a service. They are opened one after the other: PostgreSQL makes only one
    /// database at a time from its template.
    pub(super) async fn store(&mut self, service: &str) -> Result<Store, StartError> {
        let url = match &self.place {
            EventStorePlace::Sqlite { directory } => {
                make(directory)?;
                format!("sqlite:{}", directory.join(format!("{service}.db")).display())
            }
            EventStorePlace::Postgres { url } => database_of(url, service),
        };
        let away = |error: &StoreError| matches!(error, StoreError::Unavailable(_));
        let open = || Store::open(&url, self.options.clone());
        let opened = patiently("event store", away, open).await;
        let store = opened.map_err(|source| StartError::Store { service: service.into(), source })?;
        self.stores.push(Stored { service: service.into(), store: store.clone() });
        Ok(store)
    }

    /// Closes the stores, then the log.
    pub(super) async fn close(self) {
        for stored in self.stores {
            stored.store.close().await;
        }
        self.log.close().await;
    }
}

/// What the log is told beside its URL.
pub(crate) fn log_options(place: &EventLogPlace, topics: Topics) -> LogOptions {
    let password = match place {
        EventLogPlace::Embedded { .. } => None,
        EventLogPlace::Kafka { password, .. } => password.as_ref().map(|it| it.expose().to_owned()),
    };
    let Topics { partitions, replication, retention } = topics;
    LogOptions { password, topics: TopicSettings { partitions, replication, retention } }
}

/// A cluster that answers: the first topic is declared.
async fn reached(kafka: &EventLogPlace, settings: Topics) -> Result<Arc<dyn EventLog>, LogError> {
    let log = open_log_with(&kafka.url(), log_options(kafka, settings)).await?;
    let away = |error: &LogError| matches!(error, LogError::Unavailable(_));
    let first: [TopicSpec; 1] = [topics::closures()];
    patiently("event log", away, || log.declare(&first)).await?;
    Ok(log)
}

/// Asks again while an engine is away, for as long as patience lasts.
async fn patiently<T, E: Error + 'static, F: Future<Output = Result<T, E>>>(
    what: &str,
    away: impl Fn(&E) -> bool,
    mut open: impl FnMut() -> F,
) -> Result<T, E> {
    let (deadline, mut pause) = (Instant::now() + PATIENCE, BackOff::default());
    // Whoever stops a start gives up its future.
    let never = CancellationToken::new();
    loop {
        match open().await {
            Err(error) if away(&error) && Instant::now() < deadline => {
                let error = &error as &(dyn Error + 'static);
                tracing::warn!(error, "{what} is away, and waited for");
            }
            outcome => return outcome,
        }
        pause.wait(&never).await;
    }
}

fn make(directory: &Path) -> Result<(), StartError> {
    std::fs::create_dir_all(directory)
        .map_err(|source| StartError::Directory { path: directory.into(), source })
}

/// The URL with the service's own database: `<database>_<service>`, where the URL's database is
/// `exeunt` when it names none, or only `postgres`, which every server has.
fn database_of(url: &str, service: &str) -> String {
    let (address, query) = url.split_once('?').map_or((url, None), |(address, query)| (address, Some(query)));
    let (scheme, rest) = address.split_once("://").unwrap_or(("postgres", address));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let database = match database {
        "" | "postgres" => DATABASE,
        named => named,
    };
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{scheme}://{authority}/{database}_{}{query}", service.replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_has_a_database_of_its_own() {
        let of = |url| database_of(url, "till");
        assert_eq!(of("postgres://me@db:5432/postgres"), "postgres://me@db:5432/exeunt_till");
        assert_eq!(of("postgres://me@db:5432"), "postgres://me@db:5432/exeunt_till");
        assert_eq!(
            of("postgresql://me:p@db/prod?sslmode=require"),
            "postgresql://me:p@db/prod_till?sslmode=require"
        );
        assert_eq!(database_of("postgres://db/", "two-words"), "postgres://db/exeunt_two_words");
    }
}
