//! What a participant says after it has finished: repeated, late, or contradicting itself.

use types::Timestamp;

use super::{
    Answer, Event, Kind, Outcome,
    state::{Case, Phase, Progress, Want},
};

/// Whether an answer that is newer than any before is heard at all. Who has finished is heard only when
/// it says of its execution something else; what has come to nothing hears nobody.
pub(super) fn is_heard(phase: Phase, progress: &Progress, answer: &Answer) -> bool {
    if phase.is_ended() && phase != Phase::Completed {
        // What became of what it had suspended.
        return answer.kind == Kind::Undo && (!progress.is_undone() || progress.is_not_undone());
    }
    // Who is on the way, or did nothing because the facts are others, says nothing against an attestation.
    let says_nothing = matches!(answer.outcome, Outcome::Waiting | Outcome::Accepted | Outcome::Changed);
    if progress.attestation.is_some() && says_nothing {
        return false;
    }
    let last_word = phase == Phase::Completed || progress.is_finished();
    let repeated = || progress.execution.as_ref().is_some_and(|before| says_the_same(before, answer));
    !last_word || (answer.kind == Kind::Execute && !repeated())
}

/// Epochs, revisions and moments differ with every answer: they are not what is said.
fn says_the_same(one: &Answer, other: &Answer) -> bool {
    one.outcome == other.outcome && one.said == other.said
}

/// Takes the next version of the receipt, where one is due.
pub(super) fn amend(case: &Case, receipt: String, at: Timestamp) -> Vec<Event> {
    let wanted = case.wants() == Some(Want::Amendment);
    if wanted { vec![Event::Amended { receipt, unfinished: case.unfinished(), at }] } else { Vec::new() }
}
