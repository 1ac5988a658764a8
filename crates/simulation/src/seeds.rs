//! Many runs, on as many threads as there are processors.

use std::{
    num::NonZero,
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use anyhow::Result;

use crate::{Bug, Report, run};

/// What many runs came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The run of the lowest seed that found something.
    pub found: Option<Report>,
    /// How many seeds there are up to that one, or in all.
    pub runs: u64,
    /// The last seed.
    pub last: Option<u64>,
}

/// Runs seeds until one finds something.
///
/// # Errors
/// What keeps one from being run, which is no finding.
pub fn run_seeds(seeds: Range<u64>, bug: Option<Bug>) -> Result<Outcome> {
    let (next, stop) = (AtomicU64::new(seeds.start), AtomicU64::new(seeds.end));
    let found: Mutex<Option<Report>> = Mutex::new(None);
    let work = || -> Result<()> {
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= stop.load(Ordering::SeqCst) {
                return Ok(());
            }
            let report = run(seed, bug)?;
            if report.finding.is_some() {
                stop.fetch_min(seed, Ordering::SeqCst);
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                if found.as_ref().is_none_or(|other| other.seed > seed) {
                    *found = Some(report);
                }
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let ends = workers.into_iter().map(|worker| worker.join());
        ends.into_iter().try_for_each(|end| end.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let runs = found.as_ref().map_or(seeds.end - seeds.start, |report| report.seed - seeds.start + 1);
    Ok(Outcome { found, runs, last: seeds.end.checked_sub(1) })
}
