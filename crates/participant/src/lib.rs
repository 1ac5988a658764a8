//! The SDK for services that must acknowledge cancellations.
//!
//! Implement [`Participant`] over your own state and events; get idempotence, epochs, tombstones,
//! signing, repeated answers, and answers that move on by themselves when your facts change. One
//! stream per subject holds your events and the answers given, so an effect and its acknowledgement
//! commit together or not at all.
//!
//! It knows the contract (`exeunt.participant.v1`) and nothing of who coordinates.

pub mod contract;
pub mod wire;

mod account;
mod accounts;
mod announce;
mod answer;
mod aside;
mod decide;
mod error;
mod given;
mod handler;
pub mod publish;
mod request;
mod runtime;
pub mod timers;
mod to_record;
pub mod topics;
mod traits;

pub use account::{Account, Case, CaseRecord, Phase, stream_of, unreadable};
pub use accounts::{Accounts, Write, Written};
pub use answer::{Answer, Step, is_success};
pub use aside::aside;
pub use error::{AccountError, WriteError};
pub use messaging::RunError;
pub use request::{RequestClaim, Taken};
pub use runtime::{Options, Runtime, StartError};
pub use traits::{Assessed, Encoded, ListWish, Participant, TimerWish};
