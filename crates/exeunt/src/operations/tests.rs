//! Parked records of two services, listed, tried again and given up.

use event_store::{LogOffset, OffsetAdvance, ParkedState, Position, StoreOptions};
use messaging::{Cursor, RELAY};
use prost::bytes::Bytes;
use proto::operations::v1::republish_request::From;
use tonic_types::StatusExt;
use types::{SystemClock, Timestamp};

use super::*;

struct Stage {
    operations: Operations,
    stores: Vec<Stored>,
    _home: tempfile::TempDir,
}

impl Stage {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut stores = Vec::new();
        for service in ["a", "b"] {
            let url = format!("sqlite:{}", home.path().join(service).display());
            let store = Store::open(&url, StoreOptions::default()).await.unwrap();
            stores.push(Stored { service: service.into(), store });
        }
        let operations = Operations::new(stores.clone(), Vec::new(), Arc::new(SystemClock), None);
        Self { operations, stores, _home: home }
    }

    async fn park(&self, service: usize, offset: i64, key: &'static [u8]) {
        let record = ParkedRecord {
            consumer: self.stores[service].consumer(),
            topic: "t".into(),
            partition: 3,
            incarnation: "one".into(),
            offset,
            key: Bytes::from_static(key),
            headers: Vec::new(),
            payload: Bytes::new(),
            cause: "behind".into(),
            at: Timestamp::from_micros(1),
            state: ParkedState::Parked,
        };
        let append = Append { parked: vec![ParkedChange::Park(record)], ..Append::default() };
        self.stores[service].store.append(append).await.unwrap();
    }

    /// Records an event a second from the first second on, all published.
    async fn publish(&self, service: usize, events: u64) {
        for second in 1..=events {
            let at = Timestamp::from_micros(i64::try_from(second * 1_000_000).unwrap());
            let any = pb::ParkedDiscarded::default();
            let streams = vec![recorded("toy", &any, &Caller::local(), at)];
            self.stores[service].store.append(Append { streams, ..Append::default() }).await.unwrap();
        }
        let there = Cursor { next: Position(events), ..Cursor::default() };
        let offsets = vec![Cursor::default().to(there, RELAY)];
        self.stores[service].store.append(Append { offsets, ..Append::default() }).await.unwrap();
    }

    async fn republish(&self, request: pb::RepublishRequest) -> Result<pb::RepublishResponse, Status> {
        let mut request = Request::new(request);
        request.extensions_mut().insert(Caller::local());
        OperationsService::republish(&self.operations, request).await.map(Response::into_inner)
    }

    async fn list(&self, service: &str, page_size: i32, page_token: &str) -> pb::ListParkedResponse {
        let request =
            pb::ListParkedRequest { service: service.into(), page_size, page_token: page_token.into() };
        self.operations.list_parked(Request::new(request)).await.unwrap().into_inner()
    }

    async fn discard(&self, request: pb::DiscardParkedRequest) -> Result<(), Status> {
        let mut request = Request::new(request);
        request.extensions_mut().insert(Caller::local());
        self.operations.discard_parked(request).await.map(|_| ())
    }
}

fn places(records: &[pb::ParkedRecord]) -> Vec<(String, i64)> {
    records.iter().map(|record| (record.service.clone(), record.offset)).collect()
}

#[tokio::test]
async fn a_list_goes_through_every_store_page_by_page() {
    let stage = Stage::new().await;
    for (service, offset) in [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2)] {
        stage.park(service, offset, b"k").await;
    }
    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let page = stage.list("", 2, &token).await;
        assert!(page.records.len() <= 2);
        seen.extend(places(&page.records));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let expected = [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("b", 2)];
    assert_eq!(seen, expected.map(|(service, offset)| (service.to_owned(), offset)));
    assert_eq!(places(&stage.list("b", 0, "").await.records).len(), 2);
    assert_eq!(stage.list("b", 0, "").await.records[0].cause, "BEHIND");
}

#[tokio::test]
async fn a_replay_asks_for_all_of_a_key_whatever_its_bytes() {
    let stage = Stage::new().await;
    for offset in [1, 2] {
        stage.park(1, offset, b"\xff").await;
    }
    let request = |key: &str, request_id: &str| {
        let request = pb::ReplayParkedRequest {
            service: "b".into(),
            topic: "t".into(),
            partition: 3,
            key: key.into(),
            request_id: request_id.into(),
            reason: "mended".into(),
        };
        let mut request = Request::new(request);
        request.extensions_mut().insert(Caller::local());
        stage.operations.replay_parked(request)
    };
    assert_eq!(request("hex:ff", "r1").await.unwrap().into_inner().records, 2);
    assert!(stage.list("b", 0, "").await.records.iter().all(|record| record.replaying));
    let recorded = stage.stores[1].store.read(Position(0), 10).await.unwrap();
    assert_eq!(recorded[0].stream.as_str(), "parked-replays");
    let told = pb::ParkedReplayed::decode(recorded[0].payload.clone()).unwrap();
    assert_eq!((&*told.key, told.records), (&b"\xff"[..], 2));
    assert_eq!((told.reason.as_str(), told.asked_by.as_str()), ("mended", "local"));
    // The same request again says the same, and is recorded once; its id is not another's.
    assert_eq!(request("hex:ff", "r1").await.unwrap().into_inner().records, 2);
    assert_eq!(stage.stores[1].store.read(Position(0), 10).await.unwrap().len(), 1);
    let taken = request("other", "r1").await.unwrap_err();
    assert_eq!(taken.get_details_error_info().unwrap().reason, "REQUEST_ID_TAKEN");
    let refused = request("other", "").await.unwrap_err();
    assert_eq!(refused.get_details_error_info().unwrap().reason, "NOT_FOUND");
}

#[tokio::test]
async fn a_discard_leaves_a_record_of_who_did_it_and_why() {
    let stage = Stage::new().await;
    stage.park(0, 41, b"k").await;
    let request = pb::DiscardParkedRequest {
        service: "a".into(),
        topic: "t".into(),
        partition: 3,
        offset: 41,
        reason: "never readable".into(),
        incarnation: String::new(),
        request_id: "r1".into(),
    };
    stage.discard(request.clone()).await.unwrap();
    stage.discard(request.clone()).await.expect("the same request again is answered alike");
    assert!(stage.list("", 0, "").await.records.is_empty());
    let recorded = stage.stores[0].store.read(Position(0), 10).await.unwrap();
    assert_eq!(&*recorded[0].kind, "exeunt.operations.v1.ParkedDiscarded");
    let told = pb::ParkedDiscarded::decode(recorded[0].payload.clone()).unwrap();
    assert_eq!(
        (told.offset, told.reason.as_str(), told.discarded_by.as_str()),
        (41, "never readable", "local")
    );

    let anew = pb::DiscardParkedRequest { request_id: String::new(), ..request };
    let again = stage.discard(anew).await.unwrap_err();
    assert_eq!(again.get_details_error_info().unwrap().reason, "NOT_FOUND");
}

#[tokio::test]
async fn every_wrong_field_is_named_at_once() {
    let stage = Stage::new().await;
    let request = pb::DiscardParkedRequest {
        service: "c".into(),
        topic: String::new(),
        partition: -1,
        offset: -1,
        reason: "x".repeat(501),
        incarnation: "x".repeat(65),
        request_id: "a b".into(),
    };
    let refused = stage.discard(request).await.unwrap_err();
    let wrong = refused.get_details_bad_request().unwrap().field_violations;
    let fields: Vec<_> = wrong.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["service", "topic", "partition", "offset", "reason", "incarnation", "request_id"]);

    let request = pb::ListParkedRequest { service: "c".into(), page_size: 1_001, page_token: "x".into() };
    let refused = stage.operations.list_parked(Request::new(request)).await.unwrap_err();
    assert_eq!(refused.get_details_bad_request().unwrap().field_violations.len(), 3);

    let mut request =
        Request::new(pb::ReplayParkedRequest { partition: -1, ..pb::ReplayParkedRequest::default() });
    request.extensions_mut().insert(Caller::local());
    let refused = stage.operations.replay_parked(request).await.unwrap_err();
    let wrong = refused.get_details_bad_request().unwrap().field_violations;
    let fields: Vec<_> = wrong.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["service", "topic", "partition", "key", "reason"]);
}

#[tokio::test]
async fn republishing_puts_the_cursors_back_and_says_who_did_it_and_how_far_it_is() {
    let stage = Stage::new().await;
    stage.publish(0, 4).await;
    let request = pb::RepublishRequest {
        reason: "the cluster was lost".into(),
        request_id: "r1".into(),
        from: Some(From::Position(0)),
        ..pb::RepublishRequest::default()
    };
    // The second service has published nothing yet: it will begin with the first event anyway.
    let asked = stage.republish(request.clone()).await.unwrap().republications;
    let expected = [pb::Republication { service: "a".into(), from: 1, until: 4, done: 0 }];
    assert_eq!(asked, expected);
    assert_eq!(stage.republish(request.clone()).await.unwrap().republications, expected);
    let relays = stage.operations.list_relays(Request::new(pb::ListRelaysRequest {})).await.unwrap();
    let relays = relays.into_inner().relays;
    let told = |relay: &pb::Relay| (relay.recorded, relay.published, relay.republication.clone());
    let [expected] = expected;
    assert_eq!(relays.iter().map(told).collect::<Vec<_>>(), [(5, 4, Some(expected)), (0, 0, None)]);

    let recorded = stage.stores[0].store.read(Position(4), 10).await.unwrap();
    assert_eq!(recorded.len(), 1, "asked once");
    assert_eq!(&*recorded[0].kind, "exeunt.operations.v1.RepublicationAsked");
    let told = pb::RepublicationAsked::decode(recorded[0].payload.clone()).unwrap();
    assert_eq!((told.reason.as_str(), told.asked_by.as_str()), ("the cluster was lost", "local"));
    let other = pb::RepublishRequest { reason: "another".into(), ..request };
    let taken = stage.republish(other).await.unwrap_err();
    assert_eq!(taken.get_details_error_info().unwrap().reason, "REQUEST_ID_TAKEN");
}

#[tokio::test]
async fn republishing_begins_at_an_instant_and_not_after_it() {
    let stage = Stage::new().await;
    stage.publish(1, 1_000).await;
    for (second, first) in [(0, 1), (301, 1), (302, 2), (700, 400), (5_000, 1_001)] {
        let from = Timestamp::from_micros(second * 1_000_000).to_proto();
        let before = Cursor::of(&stage.stores[1].store, RELAY).await.unwrap();
        let request = pb::RepublishRequest {
            services: vec!["b".into()],
            from: Some(From::Time(from)),
            reason: "the topics were made anew".into(),
            ..pb::RepublishRequest::default()
        };
        let asked = stage.republish(request).await.unwrap().republications;
        assert_eq!(asked[0].from, first, "from second {second}");
        // As if that had been done.
        let after = Cursor::of(&stage.stores[1].store, RELAY).await.unwrap();
        let offsets = vec![after.to(Cursor { rewind: None, ..before }, RELAY)];
        stage.stores[1].store.append(Append { offsets, ..Append::default() }).await.unwrap();
    }
}

#[tokio::test]
async fn a_position_needs_the_one_service_that_it_is_of() {
    let stage = Stage::new().await;
    let request = |services: &[&str], from| pb::RepublishRequest {
        services: services.iter().map(|&service| service.to_owned()).collect(),
        from,
        reason: "x".repeat(501),
        ..pb::RepublishRequest::default()
    };
    for (services, from, fields) in [
        (&["a", "b"][..], Some(From::Position(7)), &["position", "reason"][..]),
        (&[], Some(From::Position(7)), &["position", "reason"]),
        (&["a", "c"], None, &["services[1]", "from", "reason"]),
    ] {
        let refused = stage.republish(request(services, from)).await.unwrap_err();
        let wrong = refused.get_details_bad_request().unwrap().field_violations;
        assert_eq!(wrong.iter().map(|fault| fault.field.as_str()).collect::<Vec<_>>(), fields);
    }
}

#[tokio::test]
async fn b16_it_is_told_up_to_where_each_service_has_applied_the_ledger_of_closed_subjects() {
    let stage = Stage::new().await;
    let row = |service: usize, topic: &str, partition, next| LogOffset {
        consumer: stage.stores[service].consumer(),
        topic: topic.into(),
        partition,
        incarnation: "one".into(),
        next,
    };
    let ledger = participant::contract::CLOSURES;
    for (service, rows) in
        [(1, vec![row(1, ledger, 2, 7), row(1, ledger, 0, 3), row(1, "other", 0, 9)]), (0, vec![])]
    {
        let offsets = rows.into_iter().map(|to| OffsetAdvance { from: None, to }).collect();
        let append = Append { offsets, ..Append::default() };
        stage.stores[service].store.append(append).await.unwrap();
    }
    let answer = stage.operations.list_closures(Request::new(pb::ListClosuresRequest {})).await.unwrap();
    let applied = answer.into_inner().applied;
    let told = applied.iter().map(|it| (it.service.as_str(), it.partition, it.next, it.incarnation.as_str()));
    assert_eq!(told.collect::<Vec<_>>(), [("b", 0, 3, "one"), ("b", 2, 7, "one")]);
}
