//! The cursor of a follower: how far it is, and what a rewind has it do again.
//!
//! It stands in the store as an offset's row. What other rows have for a topic's UUID says here
//! whether a rewind is under way, and in which epoch: whoever gets the follower's lock begins a new one,
//! and nobody who had it before can move the cursor any more.

use std::sync::Arc;

use event_store::{LogOffset, OffsetAdvance, Position, Store, StoreError};

/// Stands in the row where a topic's UUID stands in others, while nothing is done again.
const PLAIN: &str = "store";
/// Begins what stands there while something is: `again/<from>/<until>`.
const AGAIN: &str = "again/";
/// Stands before the epoch's number.
const EPOCH: char = '#';

/// How far a follower is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Everything up to here is handled.
    pub next: Position,
    /// The rewind under way.
    pub rewind: Option<Rewind>,
    /// How many times somebody got the follower's lock: a fencing token.
    pub epoch: u64,
}

/// Events that are handled again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewind {
    /// Of the events up to here only what compacted topics keep is published again: they must hold
    /// every key's last record, whenever it was recorded.
    pub from: Position,
    /// Everything up to here had been handled before.
    pub until: Position,
}

impl Cursor {
    /// The cursor of a store's follower of that name.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn of(store: &Store, follower: &str) -> Result<Self, StoreError> {
        let rows = store.offsets(&consumer_of(follower)).await?;
        Ok(Self::read(rows.first()))
    }

    /// What a row says; the beginning when there is none.
    pub(crate) fn read(row: Option<&LogOffset>) -> Self {
        let Some(row) = row else { return Self::default() };
        let next = Position(u64::try_from(row.next).unwrap_or(0));
        let (state, epoch) = row.incarnation.split_once(EPOCH).unwrap_or((&row.incarnation, ""));
        let rewind = state.strip_prefix(AGAIN).and_then(|text| {
            let (from, until) = text.split_once('/')?;
            Some(Rewind { from: Position(from.parse().ok()?), until: Position(until.parse().ok()?) })
        });
        Self { next, rewind, epoch: epoch.parse().unwrap_or(0) }
    }

    /// Up to where everything was handled at least once.
    #[must_use]
    pub fn reached(&self) -> Position {
        self.rewind.map_or(self.next, |rewind| rewind.until.max(self.next))
    }

    /// From where on everything is handled again, at the latest: what compacted topics keep is told
    /// from the first event on.
    #[must_use]
    pub fn rewound(&self, from: Position) -> Self {
        let (pending, until) = self.rewind.map_or((self.next, self.next), |it| (it.from, it.until));
        let rewind = Rewind { from: from.min(pending).min(until), until: until.max(self.next) };
        Self { next: Position::default(), rewind: Some(rewind), ..*self }
    }

    /// The same in the hands of whoever has the lock now.
    pub(crate) fn taken_over(&self) -> Self {
        Self { epoch: self.epoch.wrapping_add(1), ..*self }
    }

    /// The same further on. A rewind ends where it began.
    pub(crate) fn advanced(&self, next: Position) -> Self {
        Self { next, rewind: self.rewind.filter(|rewind| next < rewind.until), ..*self }
    }

    /// Up to where only what compacted topics keep is told.
    pub(crate) fn compacted_until(&self) -> Position {
        self.rewind.map_or(Position::default(), |rewind| rewind.from)
    }

    /// Its row.
    pub(crate) fn row(&self, follower: &str) -> LogOffset {
        let mut state = match self.rewind {
            None => PLAIN.into(),
            Some(Rewind { from, until }) => format!("{AGAIN}{}/{}", from.0, until.0),
        };
        // Nobody of this release has had it yet: it stands as the releases before it wrote it.
        if self.epoch > 0 {
            state = format!("{state}{EPOCH}{}", self.epoch);
        }
        LogOffset {
            consumer: consumer_of(follower),
            topic: "".into(),
            partition: 0,
            incarnation: state.into(),
            next: i64::try_from(self.next.0).unwrap_or(i64::MAX),
        }
    }

    /// Moves the cursor of that follower from here to there, if it still stands here. A follower that
    /// runs goes on from there within half a second.
    #[must_use]
    pub fn to(&self, there: Self, follower: &str) -> OffsetAdvance {
        let row = self.row(follower);
        let from = (*self != Self::default()).then_some((row.incarnation, row.next));
        OffsetAdvance { from, to: there.row(follower) }
    }
}

/// The name of a follower's cursor among the offsets.
pub(crate) fn consumer_of(follower: &str) -> Arc<str> {
    format!("follower/{follower}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(next: u64) -> Cursor {
        Cursor { next: Position(next), rewind: None, epoch: 0 }
    }

    #[test]
    fn a_row_tells_the_cursor_that_it_was_made_of() {
        let rewound = plain(7).rewound(Position(3));
        for cursor in [plain(7), rewound, rewound.advanced(Position(5))] {
            for cursor in [cursor, cursor.taken_over(), cursor.taken_over().taken_over()] {
                assert_eq!(Cursor::read(Some(&cursor.row("relay"))), cursor);
            }
        }
        assert_eq!(Cursor::read(None), plain(0));
        // What this program does not know is taken for the position that it also is.
        let strange = LogOffset { incarnation: "again/x".into(), ..plain(7).row("relay") };
        assert_eq!(Cursor::read(Some(&strange)), plain(7));
        // Written before there were epochs.
        let unnumbered = LogOffset { incarnation: "again/3/7".into(), ..plain(0).row("relay") };
        assert_eq!(Cursor::read(Some(&unnumbered)), rewound);
        assert_eq!(rewound.row("relay"), unnumbered);
    }

    #[test]
    fn a_rewind_begins_at_the_first_event_and_ends_where_the_cursor_was() {
        let rewound = plain(10).rewound(Position(4));
        assert_eq!(
            (rewound.next, rewound.compacted_until(), rewound.reached()),
            (Position(0), Position(4), Position(10))
        );
        assert_eq!(rewound.advanced(Position(9)).rewind, rewound.rewind);
        assert_eq!(rewound.advanced(Position(10)), plain(10));
        // Nothing is passed over that was not handled.
        assert_eq!(plain(10).rewound(Position(99)).compacted_until(), Position(10));
    }

    #[test]
    fn a_second_rewind_leaves_nothing_of_the_first_out() {
        let under_way = plain(10).rewound(Position(4)).advanced(Position(6));
        for (from, expected) in [(2, 2), (8, 4)] {
            let again = under_way.rewound(Position(from));
            assert_eq!(again.rewind, Some(Rewind { from: Position(expected), until: Position(10) }));
        }
    }
}
