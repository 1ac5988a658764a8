//! The simulation over many seeds, and every bug that is put in is found.
#![expect(clippy::unwrap_used, clippy::panic, reason = "all of it is tests")]

use simulation::{Bug, run, run_seeds};

/// So many seeds hold.
const SEEDS: u64 = 2_000;
/// Every bug is found within so many.
const FOUND_WITHIN: u64 = 400;

#[test]
fn everything_holds_whatever_goes_wrong() {
    let outcome = run_seeds(0..SEEDS, None).unwrap();
    if let Some(report) = outcome.found {
        let said = report.finding.unwrap().0;
        panic!("{}\nseed {}: {said}", report.transcript, report.seed);
    }
}

#[test]
fn the_same_seed_is_the_same_history() {
    for seed in 0..20 {
        let [first, second] = [run(seed, None).unwrap(), run(seed, None).unwrap()];
        assert!(!first.transcript.is_empty());
        assert_eq!(first.transcript, second.transcript, "seed {seed}");
        assert_eq!(first.finding, second.finding, "seed {seed}");
    }
    assert_ne!(run(1, None).unwrap().transcript, run(2, None).unwrap().transcript);
}

#[track_caller]
fn is_found(bug: Bug, says: &str) {
    let outcome = run_seeds(0..FOUND_WITHIN, Some(bug)).unwrap();
    let report = outcome.found.unwrap_or_else(|| panic!("{bug} is not found by {FOUND_WITHIN} seeds"));
    let said = report.finding.unwrap().0;
    assert!(said.contains(says), "{bug} is found as something else, with seed {}: {said}", report.seed);
}

#[test]
fn a_participant_that_acknowledges_before_it_has_done_anything_is_found() {
    is_found(Bug::EarlyAnswer, "wallet");
}

#[test]
fn a_store_that_takes_an_append_although_its_stream_has_moved_is_found() {
    is_found(Bug::IgnoredVersion, "");
}

#[test]
fn a_participant_that_executes_without_comparing_is_found() {
    is_found(Bug::BlindExecution, "wallet executed");
}

#[test]
fn an_offset_that_is_committed_before_the_effect_is_found() {
    is_found(Bug::OffsetFirst, "");
}

#[test]
fn an_address_in_a_header_is_found() {
    is_found(Bug::LeakedContact, "something personal in the header");
}

#[test]
fn a_case_that_waits_without_a_date_is_found() {
    is_found(Bug::UndatedWait, "has no timer for");
}

#[test]
fn a_receipt_that_does_not_link_to_the_one_before_is_found() {
    is_found(Bug::UnlinkedAmendment, "amends another receipt than the version before");
}
