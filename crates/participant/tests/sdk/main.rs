//! The SDK over a real store: accounts, timers, and what the log is told.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up shall fail")]

mod accounts;
mod closures;
mod publish;
mod restored;
mod timers;

use std::sync::Arc;

use event_store::{Append, Expected, NewEvent, Store, StoreOptions, StreamAppend};
use participant::{Accounts, Participant, Write, stream_of};
use proto::participant::v1 as pb;
use testkit::{FaultyEngine, Stage, Toy, ToyEvent, ToyState};
use types::{Caller, SubjectId, Timestamp, fresh_uuid};

/// The accounts of a toy, on a store that can fail.
struct World {
    stage: Stage,
    engine: Arc<FaultyEngine>,
    accounts: Accounts<Toy>,
    caller: Caller,
}

fn start() -> Timestamp {
    Timestamp::parse("2026-11-21T08:00:00Z").unwrap()
}

impl World {
    async fn new() -> Self {
        let mut stage = Stage::open(start()).await;
        let engine = FaultyEngine::new(stage.store.engine().clone());
        stage.store = Store::with_engine(engine.clone(), StoreOptions::default());
        let accounts = Accounts::new(
            stage.store.clone(),
            Arc::new(Toy::quick()),
            stage.key.clone(),
            stage.clock.clone(),
        );
        Self { stage, engine, accounts, caller: Caller::local() }
    }

    /// A subject that is known, with these facts.
    async fn subject(&self, facts: Vec<ToyEvent>) -> SubjectId {
        let subject = SubjectId::mint(fresh_uuid());
        let known =
            pb::SubjectKnown { subject_id: subject.to_string(), region: "CN".into(), ..Default::default() };
        self.accounts.open(self.request(&subject, "", 0), known, facts).await.unwrap();
        subject
    }

    fn request<'a>(&'a self, subject: &'a SubjectId, request_id: &'a str, digest: u8) -> Write<'a> {
        Write { caller: &self.caller, request_id, digest: [digest; 32], subject }
    }

    async fn record(&self, subject: &SubjectId, facts: Vec<ToyEvent>) {
        self.accounts.record(subject, "test", |_, _| (facts.clone(), Vec::new())).await.unwrap();
    }

    async fn state(&self, subject: &SubjectId) -> ToyState {
        self.accounts.get(subject).await.unwrap().state
    }

    /// Puts a fact into the subject's stream that no toy knows.
    async fn spoil(&self, subject: &SubjectId, kind: &str, schema: u16) {
        let event =
            NewEvent { id: fresh_uuid(), kind: kind.to_owned().into(), schema, payload: Default::default() };
        let metadata = event_store::Metadata {
            tenant: "local".into(),
            actor: "test".into(),
            causation: "".into(),
            correlation: "".into(),
            traceparent: "".into(),
        };
        let stream = StreamAppend {
            stream: stream_of(subject),
            expected: Expected::Any,
            metadata: Arc::new(metadata),
            at: start(),
            events: vec![event],
        };
        self.stage.store.append(Append { streams: vec![stream], ..Append::default() }).await.unwrap();
    }
}

/// The toy's own facts, as they are stored, can all be read again.
#[test]
fn every_fact_of_the_toy_survives_its_encoding() {
    let toy = Toy::quick();
    let at = start();
    for event in [
        ToyEvent::Given { units: 7 },
        ToyEvent::Named { id: "thing".into() },
        ToyEvent::Blocked,
        ToyEvent::Cleared,
        ToyEvent::Frozen,
        ToyEvent::Thawed,
        ToyEvent::Asked,
        ToyEvent::Confirmed,
        ToyEvent::Done,
        ToyEvent::AlarmSet { at },
        ToyEvent::Rang { again: Some(at) },
        ToyEvent::Rang { again: None },
    ] {
        let encoded = toy.encode(&event);
        assert_eq!(toy.decode(&encoded.kind, encoded.schema, &encoded.payload), Ok(event));
    }
}
