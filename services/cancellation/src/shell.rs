//! Around the pure rules: supplies what they want from outside, and turns what they say into what
//! the store takes. Used alike by what callers ask and by what participants answer.

use std::sync::Arc;

use event_store::{Listing, NewEvent, TimerChange};
use keys::SigningKey;
use prost::Message as _;
use types::{CancellationId, Clock, Scope, Timestamp};

use crate::{
    domain::{Case, Command, Digest, Event, Phase, Rejection, State, Want, decide, evolve},
    drift, quote, receipt, streams, wire,
};

/// The kind of a cancellation's timer.
const TIMER: &str = "case";

/// What a command led to.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// When it happened. The store records its events with this moment, so that what was decided,
    /// sealed and answered tells the same one.
    pub(crate) at: Timestamp,
    /// The cancellation after it.
    pub(crate) state: State,
    /// The new facts, as the store takes them.
    pub(crate) events: Vec<NewEvent>,
    /// Its rows in lists, where they change.
    pub(crate) listings: Vec<Listing>,
    /// Its timer, when that changes.
    pub(crate) timer: Option<TimerChange>,
    /// Whether the subject's whole account is closed now.
    pub(crate) closes_subject: bool,
    /// Whether it was being done and comes back to its subject, who may be there no more.
    pub(crate) comes_back: bool,
}

/// Decides, and goes on as long as the rules want something that can be made at once.
#[derive(Clone)]
pub(crate) struct Shell {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) receipt_key: Arc<SigningKey>,
}

impl Shell {
    /// `at` is the moment that the command has, if it has one.
    pub(crate) fn carry_out(
        &self,
        state: State,
        command: Command,
        at: Timestamp,
    ) -> Result<Outcome, Rejection> {
        self.carry_out_with(state, command, None, at)
    }

    /// The same where the subject's account was closed, and by which cancellation: what would come back to
    /// them ends.
    pub(crate) fn carry_out_with(
        &self,
        state: State,
        command: Command,
        closed: Option<CancellationId>,
        at: Timestamp,
    ) -> Result<Outcome, Rejection> {
        let phase_before = state.as_ref().map(|case| case.phase);
        let due_before = state.as_ref().and_then(|case| case.next_due());
        let waited_before = state.as_ref().is_some_and(|case| !case.attention.is_empty());
        let mut outcome = Outcome {
            at,
            state,
            events: Vec::new(),
            listings: Vec::new(),
            timer: None,
            closes_subject: false,
            comes_back: false,
        };
        let mut expire = closed.map(|by| Command::Expire { by, now: at });
        // The moment at which the store records what follows, and from which it is folded again.
        let recorded_before = outcome.state.as_mut().map(|case| std::mem::replace(&mut case.at, at));
        let mut next = Some(command);
        let mut woken = false;
        while let Some(command) = next {
            let events = decide(&outcome.state, command)?;
            let more = !events.is_empty();
            for event in events {
                outcome.add(event);
            }
            next = outcome.state.as_ref().filter(|_| more).and_then(|case| self.supply(case, at));
            if outcome.state.as_ref().is_some_and(|case| case.phase.is_before_execution()) {
                next = expire.take().or(next);
            }
            // Whatever happens, what is due by then happens too, until nothing is.
            if next.is_none() && (more || !woken) {
                woken = true;
                next = Some(Command::Wake { now: at });
            }
        }
        if let (Some(case), Some(before), true) =
            (&mut outcome.state, recorded_before, outcome.events.is_empty())
        {
            case.at = before;
        }
        if let Some(case) = outcome.state.as_deref() {
            outcome.comes_back = phase_before == Some(Phase::Executing) && case.phase.is_before_execution();
            outcome.listings.extend((phase_before != Some(case.phase)).then(|| wire::listing(case)));
            let waits = !case.attention.is_empty();
            outcome.listings.extend((waits != waited_before).then(|| wire::attention_listing(case)));
            outcome.timer = (case.next_due() != due_before).then(|| timer(case));
        }
        Ok(outcome)
    }

    fn supply(&self, case: &Case, now: Timestamp) -> Option<Command> {
        Some(match case.wants()? {
            Want::Quote => Command::Quote { digest: quoted(case), now },
            Want::Recheck => {
                Command::Recheck { digest: quoted(case), differences: drift::differences(case), now }
            }
            Want::Receipt => Command::Seal { receipt: receipt::seal(case, now, &self.receipt_key), now },
            Want::Amendment => Command::Amend { receipt: receipt::amend(case, now, &self.receipt_key), now },
        })
    }
}

/// The one timer of a cancellation: when something happens to it by itself next.
pub(crate) fn timer(case: &Case) -> TimerChange {
    let (stream, kind) = (streams::of_case(&case.request.id), TIMER.into());
    match case.next_due() {
        Some(due) => TimerChange::Set { stream, kind, due },
        None => TimerChange::Clear { stream, kind },
    }
}

fn quoted(case: &Case) -> Digest {
    quote::digest(&quote::content(case).encode_to_vec())
}

impl Outcome {
    fn add(&mut self, event: Event) {
        self.state = evolve(self.state.take(), event.clone());
        let Some(case) = &self.state else { return };
        self.events.push(wire::encode(case, &event));
        let completed = matches!(event, Event::Completed { .. });
        self.closes_subject |= completed && case.request.scope == Scope::WholeAccount;
    }
}
