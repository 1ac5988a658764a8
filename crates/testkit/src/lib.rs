//! What tests share: a clock that goes when told, and a stage for one participant. Production code
//! never depends on it.

mod clock;
mod stage;

pub use clock::ManualClock;
pub use stage::{Stage, Told};
