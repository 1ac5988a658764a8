//! Wakes those who wait for events, in the order in which they began to wait: so a run on one thread can be
//! repeated exactly, which tokio's `watch` does not promise.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::Position;

/// What those know who wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Wake {
    /// The highest position known to be committed.
    pub head: Position,
    /// How often something else gave a reason to look at the table.
    pub hints: u64,
}

/// Rings when something is new.
#[derive(Default)]
pub(crate) struct Bell {
    wake: Mutex<Wake>,
    rung: Notify,
}

impl Bell {
    /// What is known now.
    pub(crate) fn wake(&self) -> Wake {
        *self.lock()
    }

    /// Changes what is known, and wakes everybody when that makes a difference.
    pub(crate) fn ring(&self, change: impl FnOnce(&mut Wake)) {
        let mut wake = self.lock();
        let before = *wake;
        change(&mut wake);
        let differs = *wake != before;
        drop(wake);
        if differs {
            self.rung.notify_waiters();
        }
    }

    /// One who knows what is known now.
    pub(crate) fn listen(self: &Arc<Self>) -> Listener {
        Listener { heard: self.wake(), bell: self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Wake> {
        self.wake.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits.
pub(crate) struct Listener {
    bell: Arc<Bell>,
    heard: Wake,
}

impl Listener {
    /// What is known now; that is no news any more.
    pub(crate) fn hear(&mut self) -> Wake {
        self.heard = self.bell.wake();
        self.heard
    }

    /// Waits until something is known that was not heard yet. Safe to drop at any time.
    pub(crate) async fn changed(&mut self) {
        loop {
            // Made before looking, so that nothing rings unheard in between.
            let rung = self.bell.rung.notified();
            let wake = self.bell.wake();
            if wake != self.heard {
                self.heard = wake;
                return;
            }
            rung.await;
        }
    }
}
