//! What a service supplies: which stream a record belongs to, how events fold, what to decide.

use std::{borrow::Cow, cell::RefCell, sync::Arc};

use bytes::Bytes;
use event_store::{Claim, Listing, Metadata, NewEvent, Recorded, StreamId, TimerChange};
use types::Timestamp;

use super::working::Working;
use crate::{Message, Record};

/// A record that the same bytes would make fail again: it parks, and its key with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cause}: {detail}")]
pub struct Poison {
    /// Why, as a stable `UPPER_SNAKE` code.
    pub cause: Cow<'static, str>,
    /// What exactly, for the log; no personal data.
    pub detail: String,
    /// Whether it parks apart: kept for a person to look at, while those of its key that come after
    /// it flow on, and not counted into the share of poison at which a partition stops.
    pub apart: bool,
}

impl Poison {
    /// A record that cannot be handled, for that cause.
    pub fn new(cause: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self { cause: cause.into(), detail: detail.into(), apart: false }
    }

    /// A record that nothing vouches for, like a forged one: it parks apart, for anybody who can
    /// write one could hold up a key with it, or stop a partition.
    pub fn apart(cause: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self { apart: true, ..Self::new(cause, detail) }
    }
}

/// A stored event that this program cannot read: its stream stops, the service does not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event of type {kind} cannot be read: {detail}")]
pub struct Unreadable {
    /// The event's type.
    pub kind: Arc<str>,
    /// What is wrong with it; no personal data.
    pub detail: String,
}

/// A stream that a decision needs and that is not loaded. Handlers pass it up with `?`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stream {0} is not loaded")]
pub struct Missing(pub StreamId);

/// Why a record has no decision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// Another stream is needed first; the consumer loads it and asks again.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// The record can never be handled.
    #[error(transparent)]
    Poison(#[from] Poison),
}

/// Events of one stream that a decision adds.
pub struct StreamEvents<H: Handler> {
    /// The stream. It must be as it was when the decision was made.
    pub stream: StreamId,
    /// Who, why, within what.
    pub metadata: Arc<Metadata>,
    /// When.
    pub at: Timestamp,
    /// The events, in order.
    pub events: Vec<NewEvent>,
    /// The state that they leave, where the decision has it: exactly what [`Handler::evolve`] makes of
    /// them. Without it they are read and folded once more.
    pub folded: Option<H::State>,
    /// Which of the events have no payload yet, by their place, and what [`Handler::seal`] makes it
    /// from. With any, `folded` must be there.
    pub open: Vec<(usize, H::Open)>,
}

/// What a record leads to. All of it but the replies commits together with the record's offset.
pub struct Decision<H: Handler> {
    /// Events; a stream may stand here once.
    pub events: Vec<StreamEvents<H>>,
    /// Streams that were only read and must not have moved when this commits.
    pub guards: Vec<StreamId>,
    /// Keys to take. One that is taken has the record decided again, and parks it with
    /// `CLAIM_TAKEN` when that does not help.
    pub claims: Vec<Claim>,
    /// Timers to set and clear.
    pub timers: Vec<TimerChange>,
    /// List rows to set.
    pub listings: Vec<Listing>,
    /// Stored answers to send again. They are published before the offset commits, and only from
    /// what is committed already.
    pub replies: Vec<Message>,
}

impl<H: Handler> Default for Decision<H> {
    /// Nothing.
    fn default() -> Self {
        Self {
            events: Vec::new(),
            guards: Vec::new(),
            claims: Vec::new(),
            timers: Vec::new(),
            listings: Vec::new(),
            replies: Vec::new(),
        }
    }
}

/// The states of the streams that a decision may look at, with what earlier records of the same
/// batch did to them. Two of them may have been loaded one after the other, and are no snapshot: a decision
/// that rests on one and writes to the other guards it ([`Decision::guards`]).
pub struct Streams<'a, S> {
    pub(crate) working: &'a Working<S>,
    pub(crate) read: &'a RefCell<Vec<StreamId>>,
}

impl<S> Streams<'_, S> {
    /// A stream's state; the default for one that does not exist.
    ///
    /// # Errors
    /// [`Missing`] for one that is not loaded: pass it up, and the decision is asked for again.
    pub fn get(&self, stream: &StreamId) -> Result<&S, Missing> {
        self.look(stream).map(|(state, _)| state)
    }

    /// A stream's version; zero for one that does not exist.
    ///
    /// # Errors
    /// [`Missing`], as for [`Streams::get`].
    pub fn version(&self, stream: &StreamId) -> Result<u64, Missing> {
        self.look(stream).map(|(_, version)| version)
    }

    fn look(&self, stream: &StreamId) -> Result<(&S, u64), Missing> {
        let found = self.working.get(stream).ok_or_else(|| Missing(stream.clone()))?;
        self.read.borrow_mut().push(stream.clone());
        Ok(found)
    }
}

/// What a service does with records. Everything here is pure and sync: no IO, no waiting.
pub trait Handler: Send + Sync + Sized + 'static {
    /// What a stream's events fold into; the default is a stream that does not exist. Cloning it
    /// should be cheap.
    type State: Clone + Default + Send + Sync + 'static;

    /// A record's content, read once.
    type Input: Send + Sync + 'static;

    /// What an event's payload is made from once its whole batch is decided;
    /// [`std::convert::Infallible`] where decisions give all payloads themselves.
    type Open: Send + 'static;

    /// Reads a record, and says from which stream its decision starts. That one is loaded before
    /// [`Handler::decide`].
    ///
    /// # Errors
    /// [`Poison`] parks the record.
    fn read(&self, record: &Record) -> Result<(StreamId, Self::Input), Poison>;

    /// Folds one event. Events just decided come with position zero, as they have none yet.
    ///
    /// # Errors
    /// [`Unreadable`] for an unknown or undecodable event: records that need its stream park.
    fn evolve(&self, state: Self::State, event: &Recorded) -> Result<Self::State, Unreadable>;

    /// Says what the record leads to. May be asked several times for one record, and must answer
    /// a record that was handled before without new events.
    ///
    /// # Errors
    /// [`Undecided`].
    fn decide(
        &self,
        record: &Record,
        input: &Self::Input,
        streams: &Streams<'_, Self::State>,
    ) -> Result<Decision<Self>, Undecided>;

    /// Makes the payloads that decisions left open, in order, right before the batch is appended. So
    /// what is costly once, like a signature, can serve a whole batch.
    fn seal(&self, open: Vec<Self::Open>) -> Vec<Bytes> {
        let _ = open;
        Vec::new()
    }

    /// Whether nothing more is expected of a stream, so that it need not be kept in memory.
    fn rests(&self, state: &Self::State) -> bool {
        let _ = state;
        false
    }
}
