//! Every check by its name.

mod garbage;
mod order;
mod progress;

use std::pin::Pin;

use crate::{Coordinator, Fault, Host, Session};

type Playing<'s> = Pin<Box<dyn Future<Output = Result<Effect, Fault>> + Send + 's>>;

/// One rule, and what plays it.
pub struct Check {
    /// Its name: small letters and hyphens.
    pub name: &'static str,
    /// What it says.
    pub says: &'static str,
    play: for<'s, 'a> fn(&'s mut Session<'a>) -> Playing<'s>,
}

/// What a check leaves behind in the participant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// What ends has ended, once.
    Once,
    /// Nothing has happened.
    None,
    /// Something may have been suspended and taken back beside.
    Any,
    /// The check could not be played: nobody here could do what it needs.
    Skipped(&'static str),
}

/// How a check went.
pub type Verdict = Result<Effect, Fault>;

macro_rules! check {
    ($name:literal, $play:path, $says:literal) => {
        Check { name: $name, says: $says, play: |session| Box::pin($play(session)) }
    };
}

/// All of them, in the order in which they are best read.
pub static CHECKS: [Check; 13] = [
    check!(
        "answered",
        order::an_answer_says_what_it_answers,
        "an answer is signed, enveloped and digested as the contract says"
    ),
    check!(
        "repeated",
        order::a_repeated_instruction_gets_the_same_bytes_again,
        "a repeated instruction gets the same bytes again and adds nothing"
    ),
    check!(
        "after-the-end",
        order::what_comes_after_the_end_is_answered_without_effect,
        "what comes after the end is answered and has no effect"
    ),
    check!(
        "execute-first",
        order::execute_may_come_before_any_assess,
        "EXECUTE may come before any ASSESS, which is then too late"
    ),
    check!(
        "foreign-assessment",
        order::execute_may_rest_on_an_assessment_that_it_was_not_asked_for,
        "EXECUTE may rest on an equal assessment of another cancellation"
    ),
    check!("undo-first", order::undo_of_what_was_never_seen_stops_it, "UNDO of what was never seen stops it"),
    check!(
        "superseded",
        order::a_lower_epoch_is_superseded,
        "a lower epoch is answered SUPERSEDED and has no effect"
    ),
    check!(
        "freeze-and-undo",
        order::freeze_and_undo_leave_things_as_they_were,
        "FREEZE and UNDO leave things as they were"
    ),
    check!(
        "due",
        progress::due_dates_are_kept_and_what_is_overdue_is_answered,
        "answers come before they are due, and what is overdue is answered, too"
    ),
    check!(
        "changed",
        progress::another_digest_is_answered_changed_and_nothing_is_done,
        "EXECUTE on another digest is answered CHANGED and does nothing"
    ),
    check!(
        "told",
        progress::changed_facts_are_told_and_stop_execution,
        "facts that change are told by a higher revision, and stop what was accepted before"
    ),
    check!(
        "closed",
        progress::a_closed_account_takes_nothing_more,
        "when the account is closed, nothing is left for other cancellations"
    ),
    check!(
        "garbage",
        garbage::garbage_stops_its_key_and_no_other,
        "what cannot be read stops its key and no other"
    ),
];

/// Plays a check with a subject of its own. What it leaves behind is told, for whoever can look.
///
/// # Errors
/// [`Fault`] with what the contract says and what came instead.
pub async fn run(check: &Check, coordinator: &mut Coordinator, host: &mut dyn Host) -> Verdict {
    let subject = host.subject().await?;
    let mut session = Session { coordinator, host, subject };
    let effect = (check.play)(&mut session).await?;
    session.coordinator.orderly()?;
    Ok(effect)
}
