//! Having many participants execute once more.

use std::time::Duration;

use super::*;
use crate::domain::bulk::{self, Bulk, BulkEvent, Filter};

fn begun(per_minute: u32) -> Bulk {
    Bulk {
        filter: Filter::default(),
        per_minute,
        actor: "kim".into(),
        reason: "the provider is back".into(),
        started_at: at(100),
        after: None,
        retried: 0,
        skipped: 0,
        ended: None,
    }
}

/// A cancellation in which that waits for a person.
fn waiting(told: &[(Cause, &str, i64)]) -> Case {
    let mut case = *given(executing()).0.unwrap();
    case.attention = told
        .iter()
        .map(|(cause, of, since)| Attention {
            cause: *cause,
            participant: (!of.is_empty()).then(|| name(of)),
            level: Level::Attention,
            since: at(*since),
            owner: "tills".into(),
            due: at(*since + 50),
            assigned: false,
        })
        .collect();
    case
}

#[test]
fn b07_no_participant_is_told_faster_than_was_said() {
    for (per_minute, pace, each) in
        [(1, 60, 1), (6, 10, 1), (7, 9, 1), (60, 1, 1), (600, 1, 10), (6_000, 1, 100)]
    {
        let bulk = begun(per_minute);
        assert_eq!(bulk.pace(), Duration::from_secs(pace), "{per_minute}");
        let (mut allowance, mut told) = (bulk.allowance(), 0);
        // What is only looked at takes no time.
        assert_eq!(allowance.spent(bulk.pace()), Duration::ZERO);
        while allowance.has(&names(&["a"])) {
            allowance.told(name("a"));
            told += 1;
            let least = Duration::from_secs(60 * told) / per_minute;
            assert!(allowance.spent(bulk.pace()) >= least, "{per_minute}");
        }
        assert_eq!(told, each, "{per_minute}");
        assert_eq!(allowance.spent(bulk.pace()), bulk.pace());
        // Another has an allowance of its own, and both together need both.
        assert!(!allowance.has(&names(&["b", "a"])));
        assert!(allowance.has(&names(&["b"])));
    }
}

#[test]
fn b07_only_what_waited_when_it_began_and_can_be_told_again_is_meant() {
    let case = waiting(&[
        (Cause::Failed, "a", 90),
        (Cause::AnswerOverdue, "b", 100),
        (Cause::Failed, "c", 101),
        (Cause::Contradicted, "d", 90),
        (Cause::DueSoon, "", 90),
    ]);
    assert_eq!(begun(60).meant(&case), names(&["a", "b"]));
    let meant = |filter| Bulk { filter, ..begun(60) }.meant(&case);
    let any = Filter::default;
    assert_eq!(meant(Filter { causes: vec![Cause::AnswerOverdue], ..any() }), names(&["b"]));
    assert_eq!(meant(Filter { participant: Some(name("a")), ..any() }), names(&["a"]));
    assert_eq!(meant(Filter { due_before: Some(at(150)), ..any() }), names(&["a"]));
    assert_eq!(meant(Filter { owner: Some("others".into()), ..any() }), vec![]);
}

#[test]
fn b07_a_bulk_retry_adds_up_its_steps_and_ends_once() {
    let step = |retried, skipped| BulkEvent::Progressed { after: (at(7), "can_1".into()), retried, skipped };
    let end =
        |cancelled| BulkEvent::Ended { cancelled, actor: "kim".into(), reason: String::new(), at: at(200) };
    let history = [BulkEvent::Started(Arc::new(begun(60))), step(2, 1), step(3, 0), end(true), end(false)];
    let bulk = history.into_iter().fold(None, bulk::evolve).unwrap();
    assert_eq!((bulk.retried, bulk.skipped, bulk.ended), (5, 1, Some((at(200), true))));
    assert_eq!(bulk.after, Some((at(7), "can_1".into())));
}
