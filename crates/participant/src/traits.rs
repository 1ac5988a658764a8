//! What a service implements to be a participant.

use std::borrow::Cow;

use bytes::Bytes;
use event_store::{NewEvent, Recorded};
use messaging::{Poison, Unreadable};
use proto::participant::v1::{Blocker, QuoteItem, Rejection};
use types::{ParticipantName, Timestamp, fresh_uuid};

use crate::{Account, Case, Phase, Step};

/// What a participant finds when it is asked to assess.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Assessed {
    /// Everything that must be cleared first, all of it.
    pub blockers: Vec<Blocker>,
    /// Everything that will follow, in a stable order.
    pub items: Vec<QuoteItem>,
    /// What cannot be asked of it at all.
    pub rejections: Vec<Rejection>,
}

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Its type's full protobuf name.
    pub kind: Cow<'static, str>,
    /// The version of its payload, from 1.
    pub schema: u16,
    /// The payload.
    pub payload: Bytes,
}

impl Encoded {
    /// A protobuf message as a stored event of schema version 1.
    #[must_use]
    pub fn of<M: prost::Message + prost::Name>(message: &M) -> Self {
        Self { kind: M::full_name().into(), schema: 1, payload: message.encode_to_vec().into() }
    }
}

/// The event with a fresh id.
impl From<Encoded> for NewEvent {
    fn from(Encoded { kind, schema, payload }: Encoded) -> Self {
        Self { id: fresh_uuid(), kind, schema, payload }
    }
}

/// A timer that an event sets, moves or clears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimerWish {
    /// What it is for; one of a kind per subject.
    pub kind: String,
    /// When it falls due; `None` clears it.
    pub due: Option<Timestamp>,
}

/// The row that a subject has in a list of this service's, as an event sets or changes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListWish {
    /// Which list.
    pub list: &'static str,
    /// The state's name.
    pub state: &'static str,
    /// When it began; the first one stays.
    pub since: Timestamp,
}

/// A service that must acknowledge cancellations. Every method is a plain function: no IO, no
/// clock, no randomness; what changes outside comes in as an argument.
pub trait Participant: Send + Sync + 'static {
    /// What the service knows of one subject.
    type State: Clone + Default + Send + Sync + 'static;
    /// Its own facts.
    type Event: Clone + Send + Sync + 'static;

    /// Its name on the roster.
    fn name(&self) -> &ParticipantName;

    /// Applies one fact. Total.
    fn evolve(&self, state: Self::State, event: &Self::Event) -> Self::State;

    /// Applies where one of the subject's cancellations stands, each time that it was answered: for a
    /// service whose rules depend on which of them are open. Total.
    fn evolve_case(&self, state: Self::State, _case: &Case, _phase: Phase) -> Self::State {
        state
    }

    /// A fact as it is stored and, when it is public, told.
    fn encode(&self, event: &Self::Event) -> Encoded;

    /// A stored fact.
    ///
    /// # Errors
    /// [`Unreadable`] for a type or version that this program does not know: the stream stops.
    fn decode(&self, kind: &str, schema: u16, payload: &Bytes) -> Result<Self::Event, Unreadable>;

    /// Whether a stored fact is told on the service's public topic.
    fn is_public(&self, _kind: &str) -> bool {
        true
    }

    /// The ids of things that a fact brings into being, by which their subject can be found again:
    /// each told by one fact only, ever.
    fn ids(&self, _event: &Self::Event) -> Vec<String> {
        Vec::new()
    }

    /// The timers that a fact sets, moves or clears.
    fn timers(&self, _event: &Self::Event) -> Vec<TimerWish> {
        Vec::new()
    }

    /// The row of a list that a fact sets or changes, given the state after all facts that are recorded
    /// with it.
    fn lists(&self, _state: &Self::State, _event: &Self::Event) -> Option<ListWish> {
        None
    }

    /// What a timer that fell due makes happen; nothing when it no longer matters. Facts that set a
    /// timer of the same kind set it anew. Also of an account that is closed: the law's clocks outlive it.
    fn due(&self, _state: &Self::State, _timer: &str, _now: Timestamp) -> Vec<Self::Event> {
        Vec::new()
    }

    /// What blocks and what follows, as of `case.assessed_at`. Given the same case and state it must
    /// say the same: EXECUTE derives it again and compares.
    fn assess(&self, case: &Case, state: &Self::State) -> Assessed;

    /// Does it. Called for every EXECUTE of a higher epoch that finds the facts as assessed and
    /// nothing that blocks; what an earlier one began must not begin twice.
    fn execute(&self, case: &Case, state: &Self::State, now: Timestamp) -> Step<Self::Event>;

    /// Looks again at a case that waits, after the subject's facts changed. Says the same answer,
    /// and adds no fact, when nothing moved. It may come before any `execute`, when what blocked
    /// until now is cleared.
    fn resume(&self, case: &Case, state: &Self::State, now: Timestamp) -> Step<Self::Event> {
        self.execute(case, state, now)
    }

    /// Suspends, so that it can be undone; at once, for an answer that waits is not looked at again.
    /// A participant that cannot has nothing to do.
    fn freeze(&self, _case: &Case, _state: &Self::State, _now: Timestamp) -> Step<Self::Event> {
        Step::nothing_to_do()
    }

    /// Takes back what FREEZE or EXECUTE did, if anything; at once, like `freeze`.
    fn undo(&self, _case: &Case, _state: &Self::State, _now: Timestamp) -> Step<Self::Event> {
        Step::nothing_to_do()
    }

    /// The account is closed, as the ledger of closed subjects tells, and this store does not know it:
    /// it is an older copy, or was never asked. What its data must come to is what EXECUTE brings about,
    /// whatever would block or wait there: nobody waits for the answer.
    fn stay_closed(
        &self,
        case: &Case,
        state: &Self::State,
        _closed_at: Timestamp,
        now: Timestamp,
    ) -> Vec<Self::Event> {
        self.execute(case, state, now).events
    }

    /// Folds a stored event into a subject's account.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn fold(
        &self,
        account: Account<Self::State>,
        event: &Recorded,
    ) -> Result<Account<Self::State>, Unreadable>
    where
        Self: Sized,
    {
        crate::account::fold(self, account, event)
    }
}

/// A record that cannot be read, with a cause for the operator and nothing personal.
pub(crate) fn undecodable(detail: impl Into<String>) -> Poison {
    Poison::new("UNDECODABLE", detail)
}
