//! The short way to commit: one statement on what this process presumes, which the statement verifies.
//!
//! Whatever a batch names, its appends say what they believe of it: versions, offsets, free claims. Where
//! all of that is so, one round trip commits the batch. Where anything is not, nothing is written, and the
//! long way (see [`super::commit`]) reads under the counter's lock, judges, and has the last word.

use std::collections::HashMap;

use sqlx::{PgConnection, Row};

use super::{
    commit::{Query, bind_events, bind_listings, bind_offsets, bind_timers, column},
    open::code,
};
use crate::{
    Append, Expected, LogOffset, Position, StreamId, Verdict,
    judge::{Judged, Snapshot},
    rows::signed,
};

/// Streams whose versions are remembered, in each of two generations.
const STREAMS_MAX: usize = 4096;

/// What this process knows of the database: the last position it committed or saw, and versions of streams
/// as of it.
pub(super) struct Known {
    head: u64,
    /// Whether nobody else appended between our last two commits, so that it pays to rely on versions.
    alone: bool,
    recent: HashMap<StreamId, u64>,
    older: HashMap<StreamId, u64>,
}

/// What became of the short way.
pub(super) enum Outcome {
    /// All of it is committed. The position of the last event, when there were any.
    Committed { verdicts: Vec<Verdict>, head: Option<u64> },
    /// Nothing was written; the long way must judge.
    Open,
}

impl Known {
    /// Only the last position is known.
    pub(super) fn at(head: u64) -> Self {
        Self { head, alone: false, recent: HashMap::new(), older: HashMap::new() }
    }

    fn version(&self, stream: &StreamId) -> Option<u64> {
        self.recent.get(stream).or_else(|| self.older.get(stream)).copied()
    }

    /// Takes note of a commit of ours of that many events behind `base`.
    fn committed(&mut self, base: u64, appends: &[Append], judged: &Judged<'_>) {
        self.alone = base == self.head;
        if !self.alone {
            self.recent.clear();
            self.older.clear();
        }
        self.head = base + judged.events.len() as u64;
        let last = judged.events.iter().map(|row| (&row.append.stream, row.version));
        let guarded = appends.iter().flat_map(|append| &append.guards);
        // A guard was right before the events of its own batch, which come behind it here.
        for (stream, version) in guarded.map(|guard| (&guard.stream, guard.version)).chain(last) {
            self.note(stream, version);
        }
    }

    fn note(&mut self, stream: &StreamId, version: u64) {
        if let Some(known) = self.recent.get_mut(stream) {
            *known = version;
            return;
        }
        if self.recent.len() >= STREAMS_MAX {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(stream.clone(), version);
    }
}

/// What a batch presumes beyond what is known.
struct Presumed<'a> {
    snapshot: Snapshot<'a>,
    /// Streams and versions that the statement must verify.
    versions: Vec<(&'a StreamId, u64)>,
    /// Where offsets stand: incarnation and next.
    offsets: HashMap<(&'a str, &'a str, i32), (&'a str, i64)>,
}

impl<'a> Presumed<'a> {
    /// `None` when something of it can only be known by reading.
    fn of(appends: &'a [Append], known: &Known) -> Option<Self> {
        let mut snapshot = Snapshot::asking(appends);
        snapshot.set_head(Position(known.head));
        let mut presumed = Self { snapshot, versions: Vec::new(), offsets: HashMap::new() };
        let mut seen: HashMap<&StreamId, ()> = HashMap::new();
        for append in appends {
            if !append.parked.is_empty() {
                return None;
            }
            let written = append.streams.iter().map(|s| (&s.stream, s.expected, !s.events.is_empty()));
            let guards = append.guards.iter().map(|g| (&g.stream, Expected::Exactly(g.version), false));
            for (stream, expected, writes) in written.chain(guards) {
                if seen.insert(stream, ()).is_some() {
                    continue;
                }
                let remembered = if known.alone { known.version(stream) } else { None };
                let version = match (remembered, expected) {
                    (Some(version), _) => version,
                    // That a first event is the first is what its row's uniqueness says.
                    (None, Expected::Exactly(0)) if writes => 0,
                    (None, Expected::Exactly(version)) => {
                        presumed.versions.push((stream, version));
                        version
                    }
                    (None, Expected::Any) => return None,
                };
                presumed.snapshot.set_version(stream.as_str(), version);
            }
            for advance in &append.offsets {
                let to = &advance.to;
                let key = (&*to.consumer, &*to.topic, to.partition);
                if presumed.offsets.contains_key(&key) {
                    continue;
                }
                let (incarnation, next) = advance.from.as_ref()?;
                presumed.offsets.insert(key, (incarnation, *next));
                let stands = LogOffset { incarnation: incarnation.clone(), next: *next, ..to.clone() };
                presumed.snapshot.set_offset(stands);
            }
        }
        Some(presumed)
    }
}

/// Commits the short way, if what the batch presumes is so. After an error it is not known whether the
/// batch was committed, and the connection must not be used again.
pub(super) async fn commit(
    connection: &mut PgConnection,
    known: &mut Known,
    appends: &[Append],
) -> Result<Outcome, sqlx::Error> {
    let relies = known.alone;
    let Some(presumed) = Presumed::of(appends, known) else { return Ok(Outcome::Open) };
    let Presumed { snapshot, mut versions, offsets } = presumed;
    // In the order of the index.
    versions.sort_unstable();
    let judged = snapshot.judge(appends);
    // A refusal must not rest on what is merely presumed.
    if judged.verdicts.iter().any(Result::is_err) {
        return Ok(Outcome::Open);
    }
    let head = relies.then_some(signed(known.head));
    let query = sqlx::query(include_str!("presumed.sql"))
        .bind(signed(judged.events.len() as u64))
        .bind(head)
        .bind(column(&versions, |(stream, _)| stream.as_str()))
        .bind(column(&versions, |(_, version)| signed(*version)))
        .bind(column(&judged.claims, |claim| claim.key.as_str()));
    let query = bind_events(query, &judged.events).bind(column(&judged.claims, |claim| &*claim.value));
    let query = bind_moves(bind_timers(query, &judged.timers), &judged.offsets, &offsets);
    let answered = match bind_listings(query, &judged.listings).fetch_optional(&mut *connection).await {
        Ok(answered) => answered,
        Err(error) if is_contradicted(&error) => None,
        Err(error) => return Err(error),
    };
    let Some(row) = answered else { return Ok(Outcome::Open) };
    let base = u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default();
    let (presumed_base, grew) = (known.head, !judged.events.is_empty());
    known.committed(base, appends, &judged);
    let verdicts = judged.verdicts.into_iter().map(|verdict| {
        verdict.map(|mut appended| {
            appended.position.0 = appended.position.0 - presumed_base + base;
            appended
        })
    });
    Ok(Outcome::Committed { verdicts: verdicts.collect(), head: grew.then_some(known.head) })
}

fn bind_moves<'q>(
    query: Query<'q>,
    offsets: &'q [&'q LogOffset],
    from: &HashMap<(&'q str, &'q str, i32), (&'q str, i64)>,
) -> Query<'q> {
    let from = |offset: &&'q LogOffset| {
        from.get(&(&*offset.consumer, &*offset.topic, offset.partition)).copied().unwrap_or_default()
    };
    bind_offsets(query, offsets)
        .bind(column(offsets, |offset| from(offset).0))
        .bind(column(offsets, |offset| from(offset).1))
}

/// Whether the statement ended because something presumed is not so: a row that is there already, or an
/// offset that was moved (the one text that it reads as a number).
fn is_contradicted(error: &sqlx::Error) -> bool {
    matches!(code(error).as_deref(), Some("23505" | "22P02"))
}
