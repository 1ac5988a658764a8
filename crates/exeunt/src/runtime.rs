//! The runtime that every process runs on.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// Threads for what blocks: commits and reads of SQLite, and the files of vaults. Each keeps memory of its own,
/// and work wanders over all of them, so that there may be hundreds after a storm of requests.
const BLOCKING_THREADS: usize = 16;

/// A runtime with as many threads as there are cores, and some for what blocks.
///
/// # Errors
/// When the system gives no threads.
pub fn runtime() -> io::Result<Runtime> {
    // What each thread keeps back for its next allocation would be pages of 2 MiB. Where the system knows no
    // such pages, there is nothing to refuse.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    Builder::new_multi_thread().max_blocking_threads(BLOCKING_THREADS).enable_all().build()
}
