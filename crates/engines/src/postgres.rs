//! PostgreSQL on loopback: one server for everybody, or private ones that may be killed and replicated.

mod client;
mod copy;
mod private;
mod programs;
mod server;

pub use client::Rows;
pub use private::Postgres;
pub(crate) use programs::prepare;
pub use server::Server;
