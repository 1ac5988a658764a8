//! The life of one process: when it crashes, and what its calls to store, log and clock meet.

use std::{
    future::pending,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use testkit::{Dice, ManualClock};
use types::{Clock, Timestamp};

/// Out of a thousand calls, so many fail before they did anything, so many lose their answer, and so many
/// take a while, which lets others come between.
const FAILS: u64 = 12;
const LOSES: u64 = 12;
const LINGERS: u64 = 250;
/// The longest that a call lingers, in milliseconds of the runtime's clock.
const LINGER_MS_MAX: u64 = 8;

/// Whether faults happen at all.
#[derive(Debug, Default)]
pub struct Weather(AtomicBool);

impl Weather {
    /// Lets faults happen, or ends them.
    pub fn set_stormy(&self, stormy: bool) {
        self.0.store(stormy, Ordering::SeqCst);
    }

    /// Whether faults happen.
    #[must_use]
    pub fn is_stormy(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// When a process crashes: at which of its calls from now on.
#[derive(Debug, Clone, Copy)]
pub struct Fuse {
    /// So many calls go well.
    pub calls: u64,
    /// Whether the last one takes effect before the process ends.
    pub after: bool,
}

/// A call that goes on; what is to become of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// It is answered.
    Answered,
    /// It takes effect, and the answer is lost.
    Lost,
    /// It takes effect, and the process is no more.
    Last,
}

/// A call that failed on purpose.
#[derive(Debug, thiserror::Error)]
#[error("failed on purpose")]
pub struct Failed;

/// The life of one process. Whatever it does after its end has no effect and no answer.
#[derive(Debug)]
pub struct Life {
    dead: AtomicBool,
    inner: Mutex<Inner>,
    weather: Arc<Weather>,
}

#[derive(Debug)]
struct Inner {
    fuse: Option<Fuse>,
    dice: Dice,
}

impl Life {
    /// A new one.
    #[must_use]
    pub fn new(dice: Dice, weather: Arc<Weather>) -> Self {
        Self { dead: AtomicBool::new(false), inner: Mutex::new(Inner { fuse: None, dice }), weather }
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Ends it.
    pub fn end(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    /// Has it end at a call to come.
    pub fn set_fuse(&self, fuse: Fuse) {
        self.inner().fuse = Some(fuse);
    }

    /// Before a call takes effect.
    ///
    /// # Errors
    /// [`Failed`]: it must not take effect.
    pub async fn enter(&self) -> Result<Pass, Failed> {
        let (met, linger) = self.meet();
        if linger > 0 {
            let _ = tokio::time::timeout(Duration::from_millis(linger), pending::<()>()).await;
        }
        if self.is_over() {
            pending::<()>().await;
        }
        met
    }

    /// After a call took effect.
    ///
    /// # Errors
    /// [`Failed`]: the caller must not know what came of it.
    pub async fn leave(&self, pass: Pass) -> Result<(), Failed> {
        if pass == Pass::Last {
            self.end();
        }
        if self.is_over() {
            pending::<()>().await;
        }
        if pass == Pass::Lost { Err(Failed) } else { Ok(()) }
    }

    fn meet(&self) -> (Result<Pass, Failed>, u64) {
        let burnt = self.burns();
        if let Some(after) = burnt {
            if !after {
                self.end();
            }
            return (Ok(if after { Pass::Last } else { Pass::Answered }), 0);
        }
        if !self.weather.is_stormy() {
            return (Ok(Pass::Answered), 0);
        }
        let mut inner = self.inner();
        let thrown = inner.dice.between(0, 999);
        let linger = if thrown < LINGERS { inner.dice.between(1, LINGER_MS_MAX) } else { 0 };
        let met = match 999 - thrown {
            it if it < FAILS => Err(Failed),
            it if it < FAILS + LOSES => Ok(Pass::Lost),
            _ => Ok(Pass::Answered),
        };
        (met, linger)
    }

    /// Counts a call down; when the fuse has burnt, whether the call takes effect.
    fn burns(&self) -> Option<bool> {
        let mut inner = self.inner();
        let fuse = inner.fuse.as_mut()?;
        if fuse.calls > 0 {
            fuse.calls -= 1;
            return None;
        }
        let after = fuse.after;
        inner.fuse = None;
        Some(after)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A process's own clock: everybody's, so much ahead or behind. Looking at it is a call like others.
pub struct OwnClock {
    /// Everybody's.
    pub common: Arc<ManualClock>,
    /// How much ahead of it, in microseconds; it may jump at any time.
    pub ahead_micros: Arc<AtomicI64>,
    /// Whose.
    pub life: Arc<Life>,
}

impl Clock for OwnClock {
    fn now(&self) -> Timestamp {
        if self.life.burns().is_some() {
            self.life.end();
        }
        Timestamp::from_micros(self.common.now().as_micros() + self.ahead_micros.load(Ordering::SeqCst))
    }
}
