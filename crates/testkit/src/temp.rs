//! Stores and logs that live as long as a test.

use std::{path::Path, sync::Arc};

use event_store::{Store, StoreOptions};
use messaging::{EmbeddedLog, EventLog};
use types::fresh_uuid;

/// Names the PostgreSQL server of the tests; without it nothing is tested there.
pub const POSTGRES_URL: &str = "EXEUNT_TEST_POSTGRES_URL";

/// A SQLite store in that directory.
pub async fn temp_store(directory: &Path) -> Store {
    let url = format!("sqlite:{}", directory.join("store.db").display());
    Store::open(&url, StoreOptions::default()).await.expect("a store opens")
}

/// A store in a PostgreSQL database of its own, where there is a server. The database stays until
/// the server goes.
pub async fn temp_postgres() -> Option<Store> {
    let server = std::env::var(POSTGRES_URL).ok()?;
    let (address, _) = server.rsplit_once('/')?;
    let url = format!("{address}/test_{}", fresh_uuid().simple());
    Some(Store::open(&url, StoreOptions::default()).await.expect("a store opens"))
}

/// An embedded log in that directory.
pub async fn temp_log(directory: &Path) -> Arc<dyn EventLog> {
    Arc::new(EmbeddedLog::open(&directory.join("log.db")).await.expect("a log opens"))
}
