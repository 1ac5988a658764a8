//! Who reads the public facts with another language's Kafka client and the published descriptors.

use std::{path::Path, process::Stdio};

use proto::{identity::v1 as idn, types::v1 as words};

use crate::{
    client::Client,
    process::{BOUND, Engines, Installation},
};

const READER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/it/public_facts.py");

/// Reads that many facts of a stream; each is a JSON object.
async fn read(
    brokers: &str,
    topic: &str,
    key: &str,
    count: usize,
    descriptors: &Path,
) -> Vec<serde_json::Value> {
    let python = match std::env::var_os("EXEUNT_TEST_PYTHON") {
        Some(python) => python.into(),
        None => tokio::task::spawn_blocking(engines::python::interpreter).await.unwrap().unwrap(),
    };
    let reading = tokio::process::Command::new(python)
        .args([READER, brokers, topic, key, &count.to_string()])
        .arg(descriptors)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let read = tokio::time::timeout(BOUND, reading).await.unwrap().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    String::from_utf8(read.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn public_facts_are_read_by_another_languages_client_with_the_published_descriptors() {
    let Some(engines) = Engines::real() else {
        eprintln!("skipped: no PostgreSQL and Kafka are named");
        return;
    };
    let Engines::Real { event_log, .. } = &engines else { panic!() };
    let (brokers, prefix) = event_log.strip_prefix("kafka://").unwrap().split_once('/').unwrap();
    let (brokers, prefix) = (brokers.to_owned(), prefix.to_owned());
    let mut installation = Installation::new(engines);
    installation.start();
    let client = Client::new(&installation.url());
    let request = idn::RegisterSubjectRequest {
        region: "CN".into(),
        edition: words::Edition::Domestic.into(),
        contacts: vec![idn::Contact {
            address: Some(idn::contact::Address::Email("canary@example.com".into())),
        }],
        ..Default::default()
    };
    let registered = client.identity.clone().register_subject(request).await.unwrap().into_inner();
    let subject = registered.subject_id;
    let whole = words::scope::Kind::WholeAccount(words::WholeAccount {});
    let requested = client.request("downstream", &subject, whole).await;
    let id = requested.cancellation_id;

    // What a client is given: the descriptors that reflection serves, too.
    let descriptors = installation.data.path().join("exeunt.binpb");
    std::fs::write(&descriptors, proto::DESCRIPTORS).unwrap();
    let topic = |name: &str| format!("{prefix}.exeunt.{name}.events");
    let facts = read(&brokers, &topic("identity"), &subject, 1, &descriptors).await;
    let fact = &facts[0];
    assert_eq!(fact["key"], subject);
    let headers = &fact["headers"];
    assert_eq!(headers["ce_specversion"], "1.0");
    assert_eq!(headers["ce_type"], "exeunt.identity.v1.SubjectRegistered");
    assert_eq!(headers["ce_source"], "identity");
    assert_eq!(headers["ce_subject"], subject);
    // Its place in the subject's stream, after what is not public.
    assert!(headers["ce_sequence"].as_str().unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(headers["content-type"], "application/protobuf");
    assert!(headers["ce_id"].as_str().unwrap().ends_with("/public"));
    assert!(headers["ce_time"].as_str().unwrap().ends_with('Z'));
    assert_eq!(fact["payload"]["subjectId"], subject);
    assert_eq!(
        (&fact["payload"]["region"], &fact["payload"]["edition"]),
        (&"CN".into(), &"EDITION_DOMESTIC".into())
    );
    // The partition is the one that every language's clients agree on.
    let partition = messaging::partition_of(subject.as_bytes(), 8);
    assert_eq!(fact["partition"], partition);

    let facts = read(&brokers, &topic("cancellation"), &id, 1, &descriptors).await;
    assert_eq!(facts[0]["headers"]["ce_type"], "exeunt.cancellation.v1.Requested");
    assert_eq!(facts[0]["payload"]["cancellationId"], id);
    assert_eq!(facts[0]["payload"]["subjectId"], subject);
    assert_eq!(facts[0]["payload"]["roster"].as_array().unwrap().len(), 5);
    installation.stop();
}
