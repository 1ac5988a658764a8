//! A simulation of all services in one process, which one seed decides: the same seed, the same history.
//!
//! The real services run, each on a store in memory, a log that moves when it is told, and a clock that
//! somebody sets; everything happens on one thread, whose runtime's clock goes on only when nothing is
//! left to do. The dice choose what goes wrong: records that are lost until they are published again,
//! repeated, overtaken, delayed by days; crashes at any call to store, log or clock; answers that are
//! lost; stores put back to older copies; people who do the wrong thing at the worst moment; a participant
//! that lies. After each step everything that was committed and published is checked.

mod checks;
mod liar;
mod life;
mod log;
mod plant;
mod run;
mod seeds;
mod services;
mod store;
mod transcript;
mod users;
mod world;

pub use checks::Finding;
pub use plant::Bug;
pub use run::{Report, run};
pub use seeds::{Outcome, run_seeds};
pub use transcript::Transcript;
