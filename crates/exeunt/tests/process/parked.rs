//! A record that cannot be read is parked, the others go on, and a person deals with it.

use std::sync::Arc;

use messaging::Message;
use prost::bytes::Bytes;
use proto::operations::v1::{self as pb, operations_service_client::OperationsServiceClient};

use crate::harness::{App, eventually, program, stderr, stdout};

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_record_is_parked_listed_tried_again_and_given_up() {
    let mut app = App::start().await;
    let poison = Message {
        topic: Arc::from("exeunt.acknowledgements"),
        key: Bytes::from_static(b"can_poisoned"),
        headers: Vec::new(),
        payload: Some(Bytes::from_static(b"\xff\xff")),
    };
    app.running.log().publish(vec![poison.clone()]).await.unwrap();
    let mut operations = OperationsServiceClient::new(app.channel.clone());
    let parked = eventually(async || {
        let answer = operations.list_parked(pb::ListParkedRequest::default()).await.unwrap();
        answer.into_inner().records.pop()
    })
    .await;
    let consumers =
        operations.list_consumers(pb::ListConsumersRequest {}).await.unwrap().into_inner().consumers;
    let counts: Vec<_> = consumers.iter().map(|one| (one.joined, one.parked_keys)).collect();
    assert_eq!(counts, [(true, 0), (true, 0), (true, 0), (true, 0), (true, 0), (true, 1)], "{consumers:?}");
    let told = program(&["--server", &app.server, "consumers"]);
    let row = stdout(&told).lines().find(|line| line.starts_with("cancellation")).unwrap().to_owned();
    let partitions = consumers[5].partitions.to_string();
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["cancellation", "reading", &partitions, "1"]);
    // Nothing vouches for it, so that it lies apart and its key is free.
    let key = format!("apart:{}:can_poisoned", parked.offset);
    assert_eq!((parked.service.as_str(), parked.key.as_str()), ("cancellation", key.as_str()));
    let subject = app.register().await;
    app.close_account(&subject).await;

    let (partition, offset) = (parked.partition.to_string(), parked.offset.to_string());
    let place =
        ["--service", "cancellation", "--topic", "exeunt.acknowledgements", "--partition", &partition];
    let ask = |arguments: &[&str]| program(&[&["--server", &app.server, "parked"], arguments].concat());
    let replayed = ask(&[&["replay", "--key", &key, "--reason", "mended"], &place[..]].concat());
    assert_eq!(replayed.status.code(), Some(0), "{}", stderr(&replayed));
    // It fails again, and waits again.
    eventually(async || {
        let answer = operations.list_parked(pb::ListParkedRequest::default()).await.unwrap();
        answer.into_inner().records.pop().filter(|record| !record.replaying)
    })
    .await;
    let discarded =
        ask(&[&["discard", "--offset", &offset, "--reason", "never readable"], &place[..]].concat());
    assert_eq!(discarded.status.code(), Some(0), "{}", stderr(&discarded));
    assert_eq!(stdout(&ask(&["list"])), "nothing is parked\n");
    app.stop().await;
}
