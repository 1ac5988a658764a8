//! What a batch leads to, ready to commit.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use event_store::{Append, StreamId};

use super::Handler;
use crate::Message;

/// What a batch leads to, ready to commit.
pub(crate) struct Draft<H: Handler> {
    pub(crate) append: Append,
    pub(crate) replies: Vec<Message>,
    /// How many of the batch's records it covers; the rest waits for it to commit.
    pub(crate) covers: usize,
    /// Which record wants each claim.
    pub(crate) claimants: HashMap<String, usize>,
    /// Keys that it parks: lane and key.
    pub(crate) parks: HashSet<(usize, Bytes)>,
    /// Records that it parks for themselves, and how many it handles, by lane.
    pub(crate) poisoned: Vec<usize>,
    pub(crate) handled: Vec<usize>,
    /// The record with the largest event.
    pub(crate) largest: Option<(usize, usize)>,
    /// Events without a payload so far.
    pub(super) open: Vec<OpenEvent<H>>,
    /// Where each stream stands among the appended ones: for the first time and for the last.
    pub(super) streams: HashMap<StreamId, (usize, usize)>,
    pub(super) guards: HashMap<StreamId, u64>,
    pub(super) timers: HashMap<(StreamId, Arc<str>), usize>,
    pub(super) listings: HashMap<(StreamId, Arc<str>), usize>,
}

/// An event whose payload is made when the batch is complete.
pub(super) struct OpenEvent<H: Handler> {
    /// The record that led to it.
    pub(super) index: usize,
    /// Where it stands: among the appended ones, and within that.
    pub(super) place: (usize, usize),
    pub(super) open: H::Open,
}

impl<H: Handler> Default for Draft<H> {
    fn default() -> Self {
        Self {
            append: Append::default(),
            replies: Vec::new(),
            covers: 0,
            claimants: HashMap::new(),
            parks: HashSet::new(),
            poisoned: Vec::new(),
            handled: Vec::new(),
            largest: None,
            open: Vec::new(),
            streams: HashMap::new(),
            guards: HashMap::new(),
            timers: HashMap::new(),
            listings: HashMap::new(),
        }
    }
}

impl<H: Handler> Draft<H> {
    /// Has the payloads made that decisions left open.
    pub(crate) fn seal(&mut self, handler: &H) {
        if self.open.is_empty() {
            return;
        }
        let mut places = Vec::with_capacity(self.open.len());
        let mut open = Vec::with_capacity(self.open.len());
        for event in self.open.drain(..) {
            places.push((event.index, event.place));
            open.push(event.open);
        }
        for ((index, (stream, event)), payload) in places.into_iter().zip(handler.seal(open)) {
            self.note_largest(payload.len(), index);
            self.append.streams[stream].events[event].payload = payload;
        }
    }

    pub(super) fn note_largest(&mut self, bytes: usize, index: usize) {
        if self.largest.is_none_or(|(largest, _)| largest < bytes) {
            self.largest = Some((bytes, index));
        }
    }
}
