//! What tests share: a clock that goes when told, dice that a seed decides, a stage for one participant, stores and logs that
//! fail on purpose, a toy participant, and what every participant must keep to. Production code never
//! depends on it.

mod clock;
pub mod conformance;
mod dice;
mod domain;
mod engine;
mod intercept;
mod ledger;
mod log;
mod stage;
mod temp;
mod toy;

pub use clock::ManualClock;
pub use dice::Dice;
pub use domain::Then;
pub use engine::{Fault, Faults, FaultyEngine};
pub use intercept::{Intercept, Intercepted};
pub use ledger::Ledger;
pub use log::FaultyLog;
pub use stage::{Stage, Told};
pub use temp::{POSTGRES_URL, temp_log, temp_postgres, temp_store};
pub use toy::{ALARM, TOY_ASKED, TOY_BLOCKED, Toy, ToyEvent, ToyState};
