//! What every participant must keep to, checked over the real SDK: instructions through the log,
//! answers from `exeunt.acknowledgements`, each repeated, late, reordered, poisoned, and each step
//! failing once.
//!
//! ```no_run
//! # async fn example() {
//! use testkit::{Toy, ToyEvent, conformance::{self, Scenario}};
//!
//! let scenario = Scenario::new(Toy::quick(), |_subject| vec![ToyEvent::Given { units: 3 }])
//!     .changed_by([ToyEvent::Given { units: 1 }])
//!     .adds(["toy.v1.Done"]);
//! conformance::check(scenario).await;
//! # }
//! ```

mod failures;
mod order;
mod play;
mod progress;

use std::sync::Arc;

use participant::Participant;
use types::{Scope, SubjectId, Timestamp};

/// The facts that a subject begins with.
type Given<E> = dyn Fn(&SubjectId) -> Vec<E> + Send + Sync;

/// Facts that block, and those that clear that.
pub(crate) struct Block<E> {
    pub(crate) set: Vec<E>,
    pub(crate) clear: Vec<E>,
}

/// A subject, what ends of theirs, and what that must come to.
pub struct Scenario<P: Participant> {
    pub(crate) participant: Arc<P>,
    pub(crate) follows_identity: bool,
    pub(crate) now: Timestamp,
    pub(crate) given: Box<Given<P::Event>>,
    pub(crate) scope: Scope,
    pub(crate) then: Vec<Vec<P::Event>>,
    pub(crate) adds: Vec<String>,
    pub(crate) change: Vec<P::Event>,
    pub(crate) block: Option<Block<P::Event>>,
    pub(crate) on_postgres: bool,
}

impl<P: Participant> Scenario<P> {
    /// The participant, and the facts that a subject begins with; for the whole account.
    pub fn new(participant: P, given: impl Fn(&SubjectId) -> Vec<P::Event> + Send + Sync + 'static) -> Self {
        Self {
            participant: Arc::new(participant),
            follows_identity: true,
            now: Timestamp::from_micros(1_795_000_000_000_000),
            given: Box::new(given),
            scope: Scope::WholeAccount,
            then: Vec::new(),
            adds: Vec::new(),
            change: Vec::new(),
            block: None,
            on_postgres: false,
        }
    }

    /// For the participant that registers subjects itself.
    #[must_use]
    pub fn registering(mut self) -> Self {
        self.follows_identity = false;
        self
    }

    /// At that instant, instead of one in November 2026.
    #[must_use]
    pub fn at(mut self, now: Timestamp) -> Self {
        self.now = now;
        self
    }

    /// On PostgreSQL, which must be there, instead of SQLite.
    #[must_use]
    pub fn on_postgres(mut self) -> Self {
        self.on_postgres = true;
        self
    }

    /// Not the whole account, but this.
    #[must_use]
    pub fn ending(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// EXECUTE is answered by an interim answer, until these facts are recorded too: what somebody
    /// outside confirms. Each call adds one step.
    #[must_use]
    pub fn then(mut self, facts: impl IntoIterator<Item = P::Event>) -> Self {
        self.then.push(facts.into_iter().collect());
        self
    }

    /// The types of the participant's own facts that all of it adds, in any order, once each unless
    /// named more often.
    #[must_use]
    pub fn adds<K: Into<String>>(mut self, kinds: impl IntoIterator<Item = K>) -> Self {
        self.adds = kinds.into_iter().map(Into::into).collect();
        self.adds.sort_unstable();
        self
    }

    /// Facts after which an assessment is no longer true.
    #[must_use]
    pub fn changed_by(mut self, facts: impl IntoIterator<Item = P::Event>) -> Self {
        self.change = facts.into_iter().collect();
        self
    }

    /// Facts that block, and those that clear that.
    #[must_use]
    pub fn blocked_by(
        mut self,
        block: impl IntoIterator<Item = P::Event>,
        clear: impl IntoIterator<Item = P::Event>,
    ) -> Self {
        self.block = Some(Block { set: block.into_iter().collect(), clear: clear.into_iter().collect() });
        self
    }
}

/// Checks it all.
///
/// # Panics
/// When the participant does not keep to the contract.
pub async fn check<P: Participant>(scenario: Scenario<P>) {
    let scenario = &scenario;
    order::a_repeated_instruction_gets_the_same_bytes_again(scenario).await;
    order::what_comes_after_the_end_is_answered_without_effect(scenario).await;
    order::execute_may_come_before_any_assess(scenario).await;
    order::execute_may_rest_on_an_assessment_that_it_was_not_asked_for(scenario).await;
    order::undo_of_what_was_never_seen_stops_it(scenario).await;
    order::a_lower_epoch_is_superseded(scenario).await;
    order::freeze_and_undo_leave_things_as_they_were(scenario).await;
    progress::changed_facts_are_told_and_stop_execution(scenario).await;
    progress::what_blocks_is_waited_for(scenario).await;
    progress::a_closed_account_takes_nothing_more(scenario).await;
    failures::poison_parks_its_key_and_no_other(scenario).await;
    failures::each_step_may_fail_once_in_the_store(scenario).await;
    failures::each_step_may_fail_once_in_the_log(scenario).await;
    failures::answers_that_were_not_sent_are_sent_after_a_restart(scenario).await;
}
