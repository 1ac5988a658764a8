//! What the edge of every service needs: configuration, the server, refusals, ordered shutdown.
//!
//! Knows no domain and none of our messages. In reading order: [`config`] says what a process
//! shall do, [`lock`] makes it the only one in its data directory, [`telemetry`] and [`shutdown`]
//! surround it, [`Server`] answers, [`Violations`] and [`Refusal`] are how it says no.

mod account;
pub mod config;
pub mod lock;
pub mod server;
pub mod shutdown;
mod status;
pub mod telemetry;
mod violations;

pub use account::{CallError, RETRY_AFTER, RETRY_BEHIND_AFTER, Refuse, account_refusal};
pub use config::{Config, ConfigError};
pub use lock::DataDirLock;
pub use server::{Server, caller};
pub use status::{DOMAIN, Precondition, Refusal, reason};
pub use violations::{BadRequest, FieldFault, REQUEST_ID_LENGTH_MAX, Violations};
