//! Faults with an oracle outside: processes of the binary that come and go, steady load through the
//! public API, and a judge that knows what was accepted and counts what took effect.

pub mod client;
mod error;
pub mod fleet;
mod journey;
pub mod ledger;
pub mod load;
pub mod oracle;
pub mod proxy;
pub mod server;
mod settle;
pub mod site;
pub mod stage;
mod stranger;
mod wait;

pub use client::Client;
pub use fleet::{Engines, Fleet, Layout, Release};
pub use load::{Load, Plan};
pub use oracle::{Verdict, judge};
pub use site::{Site, SiteOptions};
pub use stage::{Fault, Stage};
pub use wait::{BOUND, until};
