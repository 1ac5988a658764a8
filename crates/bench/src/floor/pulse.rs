//! The load on the floor: what is due, and how long what completes has taken.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;

use super::Load;
use crate::load::Measured;

/// Names one fan-out, and says when it was due: time-ordered like a UUIDv7, and as long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Id {
    /// Since the pulse began.
    due_micros: u64,
    pub number: u64,
}

impl Id {
    pub fn to_bytes(self) -> [u8; 16] {
        ((u128::from(self.due_micros) << 64) | u128::from(self.number)).to_be_bytes()
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let whole = u128::from_be_bytes(bytes.try_into().ok()?);
        Some(Self { due_micros: (whole >> 64) as u64, number: whole as u64 })
    }
}

struct Giving {
    load: Load,
    since: Instant,
    /// How many were given under this load.
    given: u64,
    /// The number of the next.
    next: u64,
}

/// The load.
pub struct Pulse {
    begun: Instant,
    giving: Mutex<Giving>,
    in_flight: AtomicUsize,
    /// What completed in the window that is measured.
    measured: Mutex<Option<Measured>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pulse {
    /// No load at first.
    pub fn new() -> Self {
        let now = Instant::now();
        let giving = Giving { load: Load::Closed(0), since: now, given: 0, next: 0 };
        Self {
            begun: now,
            giving: Mutex::new(giving),
            in_flight: AtomicUsize::new(0),
            measured: Mutex::default(),
        }
    }

    pub fn put(&self, load: Load) {
        let mut giving = lock(&self.giving);
        (giving.load, giving.since, giving.given) = (load, Instant::now(), 0);
    }

    /// What is to begin now, at most so many.
    pub fn take(&self, max: usize) -> Vec<Id> {
        let mut giving = lock(&self.giving);
        let now = Instant::now();
        let (count, apart) = match giving.load {
            Load::Closed(at_once) => (at_once.saturating_sub(self.in_flight()), None),
            Load::Open(per_s) => {
                let due = ((now - giving.since).as_secs_f64() * per_s) as u64;
                (due.saturating_sub(giving.given) as usize, Some(per_s))
            }
        };
        let count = count.min(max);
        let id = |index: usize| {
            let due = match apart {
                None => now,
                Some(per_s) => {
                    let number = giving.given + index as u64 + 1;
                    giving.since + Duration::from_secs_f64(number as f64 / per_s)
                }
            };
            Id {
                due_micros: due.saturating_duration_since(self.begun).as_micros() as u64,
                number: giving.next + index as u64,
            }
        };
        let ids = (0..count).map(id).collect();
        giving.given += count as u64;
        giving.next += count as u64;
        self.in_flight.fetch_add(count, Ordering::Relaxed);
        ids
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// They completed just now.
    pub fn complete(&self, ids: &[Id]) {
        self.in_flight.fetch_sub(ids.len(), Ordering::Relaxed);
        let now = self.begun.elapsed();
        if let Some(measured) = &mut *lock(&self.measured) {
            for id in ids {
                measured.add(now.saturating_sub(Duration::from_micros(id.due_micros)), None);
            }
        }
    }

    /// From now on what completes counts.
    pub fn begin(&self) -> Result<()> {
        *lock(&self.measured) = Some(Measured::new()?);
        Ok(())
    }

    /// What has completed since [`Pulse::begin`].
    pub fn end(&self) -> Result<Measured> {
        lock(&self.measured).take().map_or_else(Measured::new, Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_load_gives_as_many_as_have_completed() {
        let pulse = Pulse::new();
        assert!(pulse.take(10).is_empty());
        pulse.put(Load::Closed(3));
        pulse.begin().unwrap();
        let first = pulse.take(2);
        assert_eq!((first.len(), pulse.take(10).len(), pulse.take(10).len()), (2, 1, 0));
        pulse.complete(&first);
        assert_eq!((pulse.in_flight(), pulse.take(10).len()), (1, 2));
        assert_eq!(pulse.end().unwrap().completed, 2);
    }

    #[test]
    fn an_id_is_as_long_as_a_uuid_and_sorted_by_time() {
        let (early, late) = (Id { due_micros: 1, number: 9 }, Id { due_micros: 2, number: 3 });
        assert!(early.to_bytes() < late.to_bytes());
        assert_eq!(Id::from_bytes(&early.to_bytes()), Some(early));
        assert_eq!(Id::from_bytes(b"short"), None);
    }
}
