//! The time to think again: it ends by itself, everything is assessed once more, and only what the
//! subject has accepted is done.

use types::Timestamp;

use super::{
    Difference, Digest, Event,
    decide::{assess, execute},
    state::{Case, Phase, Want},
};

/// What is due by itself by now.
pub(super) fn wake(case: &Case, now: Timestamp) -> Vec<Event> {
    let over = case.phase == Phase::CoolingOff
        && !case.recheck
        && case.cooling_off_until.is_some_and(|until| until <= now);
    if !over {
        return Vec::new();
    }
    vec![Event::CooledOff { at: now }, assess(case)]
}

/// What follows from how the facts differ from those accepted: a material difference is the subject's to
/// accept, any other is recorded.
pub(super) fn recheck(
    case: &Case,
    digest: Digest,
    differences: Vec<Difference>,
    at: Timestamp,
) -> Vec<Event> {
    if case.wants() != Some(Want::Recheck) {
        return Vec::new();
    }
    let material = differences.iter().any(|difference| difference.material);
    let mut events = Vec::new();
    if !differences.is_empty() {
        events.push(Event::Drifted { digest, differences, at });
    }
    if material {
        events.push(Event::Quoted { digest, at });
    } else {
        events.push(execute(case));
    }
    events
}
