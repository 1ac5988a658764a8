//! The judge against a naive model that commits one append after the other.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::{Guard, Metadata};

/// A database that nothing is clever about.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    log: Vec<(String, u64)>,
    claims: BTreeMap<String, Bytes>,
    offsets: BTreeMap<i32, (String, i64)>,
    timers: BTreeMap<(String, String), i64>,
    listings: BTreeMap<(String, String), (String, i64)>,
}

impl Model {
    fn version(&self, stream: &StreamId) -> u64 {
        self.log.iter().filter(|(name, _)| name == stream.as_str()).count() as u64
    }

    fn append(&mut self, append: &Append) -> String {
        let moved: Vec<_> = append
            .offsets
            .iter()
            .map(|advance| (advance, self.offsets.get(&advance.to.partition)))
            .filter(|(advance, row)| {
                row.map(|(i, n)| (i.as_str(), *n)) != advance.from.as_ref().map(|(i, n)| (&**i, *n))
            })
            .map(|(_, row)| row.map(|(_, next)| *next))
            .collect();
        if !moved.is_empty() {
            return format!("moved {moved:?}");
        }
        for claim in &append.claims {
            if let Some(value) = self.claims.get(&claim.key) {
                return format!("claimed {} {value:?}", claim.key);
            }
        }
        let mut conflicts = BTreeSet::new();
        for stream in &append.streams {
            if let Expected::Exactly(version) = stream.expected
                && version != self.version(&stream.stream)
            {
                conflicts.insert(stream.stream.clone());
            }
        }
        conflicts.extend(
            append.guards.iter().filter(|g| g.version != self.version(&g.stream)).map(|g| g.stream.clone()),
        );
        if !conflicts.is_empty() {
            return format!("conflict {conflicts:?}");
        }
        let mut versions = Vec::new();
        for stream in &append.streams {
            for _ in &stream.events {
                let version = self.version(&stream.stream) + 1;
                self.log.push((stream.stream.to_string(), version));
            }
            versions.push(self.version(&stream.stream));
        }
        self.claims.extend(append.claims.iter().map(|c| (c.key.clone(), c.value.clone())));
        for to in append.offsets.iter().map(|o| &o.to) {
            self.offsets.insert(to.partition, (to.incarnation.to_string(), to.next));
        }
        for change in &append.timers {
            match change {
                TimerChange::Set { stream, kind, due } => {
                    self.timers.insert((stream.to_string(), kind.to_string()), due.as_micros());
                }
                TimerChange::Clear { stream, kind } => {
                    self.timers.remove(&(stream.to_string(), kind.to_string()));
                }
            }
        }
        for row in &append.listings {
            let key = (row.list.to_string(), row.stream.to_string());
            let stands = self.listings.entry(key).or_insert((String::new(), row.since.as_micros()));
            stands.0 = row.state.to_string();
        }
        format!("ok {} {versions:?}", self.log.len())
    }

    /// Does what the judge says, all at once.
    fn commit(&mut self, appends: &[Append]) -> Vec<String> {
        let mut snapshot = Snapshot::asking(appends);
        snapshot.set_head(Position(self.log.len() as u64));
        for stream in snapshot.streams() {
            snapshot.set_version(stream, self.version(&StreamId::new(stream)));
        }
        for (key, value) in &self.claims {
            snapshot.set_claim(key, value.clone());
        }
        for (partition, (incarnation, next)) in &self.offsets {
            snapshot.set_offset(offset(*partition, incarnation, *next));
        }
        let judged = snapshot.judge(appends);
        for row in &judged.events {
            self.log.push((row.append.stream.to_string(), row.version));
            assert_eq!(row.position, self.log.len() as u64);
        }
        assert_eq!(judged.head.0, self.log.len() as u64);
        for claim in &judged.claims {
            assert!(self.claims.insert(claim.key.clone(), claim.value.clone()).is_none());
        }
        let mut written = BTreeSet::new();
        for to in &judged.offsets {
            assert!(written.insert(to.partition), "a row is written twice");
            self.offsets.insert(to.partition, (to.incarnation.to_string(), to.next));
        }
        for ((stream, kind), due) in &judged.timers {
            let key = (stream.to_string(), kind.to_string());
            match due {
                Some(due) => drop(self.timers.insert(key, due.as_micros())),
                None => drop(self.timers.remove(&key)),
            }
        }
        for ((list, stream), (since, row)) in &judged.listings {
            let key = (list.to_string(), stream.to_string());
            let stands = self.listings.entry(key).or_insert((String::new(), since.as_micros()));
            stands.0 = row.state.to_string();
        }
        judged.verdicts.iter().map(told).collect()
    }
}

fn told(verdict: &Verdict) -> String {
    match verdict {
        Ok(appended) => format!("ok {} {:?}", appended.position.0, appended.versions),
        Err(AppendError::OffsetMoved { current }) => {
            format!("moved {:?}", current.iter().map(|c| c.as_ref().map(|o| o.next)).collect::<Vec<_>>())
        }
        Err(AppendError::Claimed { key, value }) => format!("claimed {key} {value:?}"),
        Err(AppendError::Conflict(streams)) => {
            format!("conflict {:?}", streams.iter().collect::<BTreeSet<_>>())
        }
        Err(other) => panic!("{other:?}"),
    }
}

fn offset(partition: i32, incarnation: &str, next: i64) -> LogOffset {
    LogOffset { consumer: "c".into(), topic: "t".into(), partition, incarnation: incarnation.into(), next }
}

fn name() -> impl Strategy<Value = StreamId> {
    prop::sample::select(vec!["a", "b", "c"]).prop_map(StreamId::new)
}

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["x", "y"]).prop_map(str::to_owned)
}

fn stream_append() -> impl Strategy<Value = StreamAppend> {
    (name(), prop::option::of(0..4_u64), 0..3_usize).prop_map(|(stream, version, count)| {
        let text = || Arc::from("");
        let (tenant, actor, causation, correlation) = (text(), text(), text(), text());
        StreamAppend {
            stream,
            expected: version.map_or(Expected::Any, Expected::Exactly),
            metadata: Arc::new(Metadata { tenant, actor, causation, correlation, traceparent: text() }),
            at: Timestamp::default(),
            events: vec![
                NewEvent {
                    id: uuid::Uuid::nil(),
                    kind: "k".into(),
                    schema: 1,
                    payload: Bytes::new()
                };
                count
            ],
        }
    })
}

prop_compose! {
    fn append()(
        streams in prop::collection::vec(stream_append(), 0..3),
        guards in prop::collection::vec((name(), 0..3_u64), 0..2),
        claim in prop::option::of((word(), word())),
        offset_change in prop::option::of((0..2_i32, prop::option::of((word(), 0..3_i64)), word(), 0..3_i64)),
        timers in prop::collection::vec((name(), word(), prop::option::of(0..9_i64)), 0..3),
        listings in prop::collection::vec((name(), word(), 0..9_i64), 0..3),
    ) -> Append {
        let mut seen = BTreeSet::new();
        Append {
            streams: streams
                .into_iter()
                .filter(|s| seen.insert(s.stream.clone()) || s.expected == Expected::Any)
                .collect(),
            guards: guards.into_iter().map(|(stream, version)| Guard { stream, version }).collect(),
            claims: claim.into_iter().map(|(key, value)| Claim { key, value: value.into() }).collect(),
            offsets: offset_change
                .into_iter()
                .map(|(partition, from, incarnation, next)| OffsetAdvance {
                    from: from.map(|(incarnation, next)| (incarnation.into(), next)),
                    to: offset(partition, &incarnation, next),
                })
                .collect(),
            timers: timers
                .into_iter()
                .map(|(stream, kind, due)| match due {
                    Some(due) => {
                        TimerChange::Set { stream, kind: kind.into(), due: Timestamp::from_micros(due) }
                    }
                    None => TimerChange::Clear { stream, kind: kind.into() },
                })
                .collect(),
            listings: listings
                .into_iter()
                .map(|(stream, state, since)| Listing {
                    stream,
                    list: "l".into(),
                    owner: "o".into(),
                    state: state.into(),
                    since: Timestamp::from_micros(since),
                })
                .collect(),
            parked: Vec::new(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn a_batch_comes_to_what_its_appends_come_to_one_by_one(
        batches in prop::collection::vec(prop::collection::vec(append(), 1..6), 1..4)
    ) {
        let (mut naive, mut database) = (Model::default(), Model::default());
        for batch in &batches {
            let expected: Vec<_> = batch.iter().map(|append| naive.append(append)).collect();
            prop_assert_eq!(database.commit(batch), expected);
            prop_assert_eq!(&database, &naive);
        }
    }
}
