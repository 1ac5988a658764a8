//! Work that waits for a disk, where it holds up nobody.

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::{JoinError, spawn_blocking},
};

/// Runs work that blocks on a thread for such work. In a runtime of one thread, which only tests and
/// simulations have, it is done at once: there a run must repeat exactly, and nobody else is held up. Must
/// be called within a tokio runtime.
///
/// # Errors
/// [`JoinError`] when it panicked, or the process ends.
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => Ok(work()),
        _ => spawn_blocking(work).await,
    }
}
