//! Around the pure rules: supplies what they want from outside, and turns what they say into what
//! the store takes. Used alike by what callers ask and by what participants answer.

use std::sync::Arc;

use event_store::{Listing, NewEvent};
use keys::SigningKey;
use prost::Message as _;
use types::{Clock, Scope, Timestamp};

use crate::{
    domain::{Case, Command, Event, Rejection, State, Want, decide, evolve},
    quote, receipt, wire,
};

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
    /// Its row in the list, when that changes.
    pub(crate) listing: Option<Listing>,
    /// Whether the subject's whole account is closed now.
    pub(crate) closes_subject: bool,
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
        let phase_before = state.as_ref().map(|case| case.phase);
        let mut outcome = Outcome { at, state, events: Vec::new(), listing: None, closes_subject: false };
        let mut next = Some(command);
        while let Some(command) = next {
            let events = decide(&outcome.state, command)?;
            let more = !events.is_empty();
            for event in events {
                outcome.add(event);
            }
            next = outcome.state.as_ref().filter(|_| more).and_then(|case| self.supply(case, at));
        }
        outcome.listing = outcome
            .state
            .as_ref()
            .filter(|case| phase_before != Some(case.phase))
            .map(|case| wire::listing(case));
        Ok(outcome)
    }

    fn supply(&self, case: &Case, now: Timestamp) -> Option<Command> {
        Some(match case.wants()? {
            Want::Quote => Command::Quote { digest: quote::digest(&quote::content(case).encode_to_vec()) },
            Want::Receipt => Command::Seal { receipt: receipt::seal(case, now, &self.receipt_key), now },
        })
    }
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
