//! The states a consumer works with: folded streams kept between batches, and the draft of this one.

use std::collections::HashMap;

use event_store::StreamId;

use super::Unreadable;

/// A stream as it is stored.
struct Held<S> {
    state: S,
    version: u64,
    /// The attempt that loaded it; what an earlier one loaded may be stale by now.
    attempt: u64,
}

/// A stream as the batch being decided leaves it.
struct Draft<S> {
    state: S,
    version: u64,
}

/// Folded streams. Two generations bound them: a full young one becomes the old one, and what the
/// old one held and nobody asked for since is forgotten.
pub(crate) struct Working<S> {
    young: HashMap<StreamId, Held<S>>,
    old: HashMap<StreamId, Held<S>>,
    drafts: HashMap<StreamId, Draft<S>>,
    /// Streams of which an event cannot be read.
    unreadable: HashMap<StreamId, Unreadable>,
    generation_max: usize,
    attempt: u64,
}

impl<S: Clone + Default> Working<S> {
    /// Keeps about so many streams.
    pub(crate) fn new(streams_max: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            drafts: HashMap::new(),
            unreadable: HashMap::new(),
            generation_max: (streams_max / 2).max(1),
            attempt: 0,
        }
    }

    /// Whether the stream needs no loading; brings it into the young generation.
    pub(crate) fn touch(&mut self, stream: &StreamId) -> bool {
        if self.young.contains_key(stream) || self.unreadable.contains_key(stream) {
            return true;
        }
        match self.old.remove_entry(stream) {
            Some((stream, held)) => {
                self.young.insert(stream, held);
                true
            }
            None => false,
        }
    }

    /// Why a stream that was loaded cannot be read.
    pub(crate) fn unreadable(&self, stream: &StreamId) -> Option<&Unreadable> {
        self.unreadable.get(stream)
    }

    /// Takes a stream as it was loaded.
    pub(crate) fn hold(&mut self, stream: StreamId, loaded: Result<(S, u64), Unreadable>) {
        match loaded {
            Ok((state, version)) => {
                self.young.insert(stream, Held { state, version, attempt: self.attempt });
            }
            Err(unreadable) => {
                self.unreadable.insert(stream, unreadable);
            }
        }
    }

    /// Begins an attempt to decide and commit a batch: no draft, and nothing known as fresh.
    pub(crate) fn begin(&mut self) {
        self.attempt += 1;
        self.unreadable.clear();
        self.restart();
    }

    /// Throws the draft away and keeps what was loaded.
    pub(crate) fn restart(&mut self) {
        self.drafts.clear();
    }

    /// The version of a stored stream that the draft has not changed, if it may be stale.
    pub(crate) fn unsure(&self, stream: &StreamId) -> Option<u64> {
        if self.drafts.contains_key(stream) {
            return None;
        }
        self.held(stream).filter(|held| held.attempt != self.attempt).map(|held| held.version)
    }

    /// Whether the draft has changed the stream.
    pub(crate) fn is_drafted(&self, stream: &StreamId) -> bool {
        self.drafts.contains_key(stream)
    }

    /// Takes a stream's state to fold events into it; [`Working::draft`] gives it back. A failure in
    /// between is followed by [`Working::restart`].
    pub(crate) fn take(&mut self, stream: &StreamId) -> Option<(S, u64)> {
        if let Some(draft) = self.drafts.get_mut(stream) {
            return Some((std::mem::take(&mut draft.state), draft.version));
        }
        self.held(stream).map(|held| (held.state.clone(), held.version))
    }

    /// Puts a stream into the draft.
    pub(crate) fn draft(&mut self, stream: StreamId, state: S, version: u64) {
        self.drafts.insert(stream, Draft { state, version });
    }

    /// Forgets a stream, because it moved.
    pub(crate) fn forget(&mut self, stream: &StreamId) {
        self.young.remove(stream);
        self.old.remove(stream);
    }

    /// Forgets everything, because others may have written meanwhile.
    pub(crate) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
        self.begin();
    }

    /// The draft is committed: it is what is stored now. Of streams that rest nothing is kept.
    pub(crate) fn promote(&mut self, rests: impl Fn(&S) -> bool) {
        let attempt = self.attempt;
        for (stream, Draft { state, version }) in self.drafts.drain() {
            self.old.remove(&stream);
            if rests(&state) {
                self.young.remove(&stream);
            } else {
                self.young.insert(stream, Held { state, version, attempt });
            }
        }
        if self.young.len() >= self.generation_max {
            self.old = std::mem::take(&mut self.young);
        }
    }

    fn held(&self, stream: &StreamId) -> Option<&Held<S>> {
        self.young.get(stream).or_else(|| self.old.get(stream))
    }
}

impl<S> Working<S> {
    /// A stream's state and version, as the draft has it.
    pub(crate) fn get(&self, stream: &StreamId) -> Option<(&S, u64)> {
        if let Some(draft) = self.drafts.get(stream) {
            return Some((&draft.state, draft.version));
        }
        if self.unreadable.contains_key(stream) {
            return None;
        }
        let held = self.young.get(stream).or_else(|| self.old.get(stream))?;
        Some((&held.state, held.version))
    }
}
