//! An oracle: knows what was accepted, and that each of it must have happened once.

use std::{collections::BTreeMap, fmt::Debug};

/// What was accepted, and how often each was seen to have happened.
#[derive(Debug, Clone)]
pub struct Ledger<K> {
    seen: BTreeMap<K, u64>,
    foreign: Vec<K>,
}

impl<K> Default for Ledger<K> {
    fn default() -> Self {
        Self { seen: BTreeMap::new(), foreign: Vec::new() }
    }
}

impl<K: Ord + Clone + Debug> Ledger<K> {
    /// Something was accepted, so it must happen.
    pub fn accept(&mut self, what: K) {
        self.seen.entry(what).or_default();
    }

    /// It was seen to have happened so many times more.
    pub fn saw(&mut self, what: &K, times: u64) {
        match self.seen.get_mut(what) {
            Some(seen) => *seen += times,
            None => self.foreign.push(what.clone()),
        }
    }

    /// What was accepted and has not happened.
    #[must_use]
    pub fn open(&self) -> Vec<&K> {
        self.seen.iter().filter(|(_, seen)| **seen == 0).map(|(what, _)| what).collect()
    }

    /// Everything accepted has happened once, and nothing else has.
    #[track_caller]
    pub fn settle(&self) {
        let twice: Vec<_> = self.seen.iter().filter(|(_, seen)| **seen > 1).collect();
        assert!(self.open().is_empty(), "accepted, but did not happen: {:?}", self.open());
        assert!(twice.is_empty(), "happened more than once: {twice:?}");
        assert!(self.foreign.is_empty(), "happened, but was never accepted: {:?}", self.foreign);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_settles_when_all_that_was_accepted_happened_once() {
        let mut ledger = Ledger::default();
        ledger.accept("a");
        assert_eq!(ledger.open(), [&"a"]);
        ledger.saw(&"a", 1);
        ledger.settle();
    }

    #[test]
    #[should_panic(expected = "more than once")]
    fn what_happens_twice_does_not_settle() {
        let mut ledger = Ledger::default();
        ledger.accept("a");
        ledger.saw(&"a", 2);
        ledger.settle();
    }

    #[test]
    #[should_panic(expected = "never accepted")]
    fn what_nobody_asked_for_does_not_settle() {
        let mut ledger = Ledger::default();
        ledger.saw(&"a", 1);
        ledger.settle();
    }
}
