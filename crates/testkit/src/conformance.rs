//! What every participant must keep to, checked over the real SDK: the checks that any participant can
//! be put to from outside, played in one process where the store can be looked into, and each step
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
mod play;
mod progress;

use std::sync::Arc;

use ::conformance::{CHECKS, Effect};
use participant::Participant;
use play::Play;
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
    for check in &CHECKS {
        let mut play = Play::start(scenario).await;
        match play.run(check).await {
            Effect::Once => play.settle().await,
            Effect::None => assert_eq!(play.house.effects_of().await, Vec::<String>::new(), "{}", check.says),
            Effect::Any | Effect::Skipped(_) => {}
        }
    }
    progress::what_blocks_is_waited_for(scenario).await;
    progress::a_closed_account_takes_nothing_more(scenario).await;
    failures::what_cannot_be_read_is_parked(scenario).await;
    failures::each_step_may_fail_once_in_the_store(scenario).await;
    failures::each_step_may_fail_once_in_the_log(scenario).await;
    failures::answers_that_were_not_sent_are_sent_after_a_restart(scenario).await;
}
