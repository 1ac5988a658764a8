//! Who reads the public facts with another language's Kafka client and the published descriptors.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use proto::{cancellation::v1::State, types::v1 as words};
use serde_json::Value;

use crate::{
    client::Client,
    process::{BOUND, Engines, Installation, binary},
    settle::settle_in,
};

const READER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/it/public_facts.py");

/// What of somebody who leaves with something at every service is told under their id.
const OF_SUBJECT: [&str; 6] = [
    "exeunt.identity.v1.SubjectRegistered",
    "exeunt.identity.v1.SubjectClosed",
    "exeunt.subscription.v1.RenewalStopped",
    "exeunt.payscore.v1.AuthorizationUnbound",
    "exeunt.wallet.v1.BenefitLapsed",
    "exeunt.retention.v1.DataSetErased",
];
/// And under their cancellation's.
const OF_CANCELLATION: [&str; 3] = [
    "exeunt.cancellation.v1.Requested",
    "exeunt.cancellation.v1.Confirmed",
    "exeunt.cancellation.v1.Completed",
];

/// Reads every topic of public facts until each wanted one has come, a type and a key joined by `=`; gives
/// all that it read, each as a JSON object.
async fn read(brokers: &str, prefix: &str, descriptors: &Path, wanted: &[String]) -> Vec<Value> {
    let python = match std::env::var_os("EXEUNT_TEST_PYTHON") {
        Some(python) => python.into(),
        None => tokio::task::spawn_blocking(engines::python::interpreter).await.unwrap().unwrap(),
    };
    let reading = tokio::process::Command::new(python)
        .args([READER, brokers, prefix])
        .arg(descriptors)
        .args(wanted)
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
    let subject = settle_in(&client, 1).await;
    let whole = words::scope::Kind::WholeAccount(words::WholeAccount {});
    let id = client.request("downstream", &subject, whole).await.cancellation_id;
    let quoted = client.until(&id, State::AwaitingConfirmation).await;
    let token = client.verify(&subject, &id, &installation.messages()).await;
    client.confirm(&id, &quoted.quote.unwrap().digest, &token).await;
    client.until(&id, State::Completed).await;

    // What a client is given.
    let descriptors = installation.data.path().join("exeunt.binpb");
    let printed = Command::new(binary()).arg("descriptors").output().unwrap();
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    std::fs::write(&descriptors, printed.stdout).unwrap();

    let of = |kinds: &[&str], key: &str| kinds.iter().map(|kind| format!("{kind}={key}")).collect::<Vec<_>>();
    let wanted = [of(&OF_SUBJECT, &subject), of(&OF_CANCELLATION, &id)].concat();
    let facts = read(&brokers, &prefix, &descriptors, &wanted).await;
    for fact in &facts {
        is_as_promised(fact, &prefix);
        assert!(!fact.to_string().contains("someone1@"), "it tells an address: {fact}");
    }
    let fact = |kind: &str| facts.iter().find(|fact| fact["headers"]["ce_type"] == kind).unwrap();
    let registered = fact(OF_SUBJECT[0]);
    assert_eq!(registered["payload"]["subjectId"], subject);
    assert_eq!(
        (&registered["payload"]["region"], &registered["payload"]["edition"]),
        (&"CN".into(), &"EDITION_DOMESTIC".into())
    );
    let requested = fact(OF_CANCELLATION[0]);
    assert_eq!(requested["payload"]["cancellationId"], id);
    assert_eq!(requested["payload"]["subjectId"], subject);
    assert_eq!(requested["payload"]["roster"].as_array().unwrap().len(), 5);
    for kind in &OF_SUBJECT[1..] {
        assert_eq!(fact(kind)["payload"]["cancellationId"], id, "{kind}");
    }
    installation.stop();
}

/// What every public fact has around it.
fn is_as_promised(fact: &Value, prefix: &str) {
    let headers = &fact["headers"];
    let header = |name: &str| headers[name].as_str().unwrap_or_else(|| panic!("{name} of {fact}"));
    let source = header("ce_source");
    assert_eq!(fact["topic"], format!("{prefix}.exeunt.{source}.events"));
    assert!(header("ce_type").starts_with(&format!("exeunt.{source}.v")), "{fact}");
    assert_eq!(header("ce_specversion"), "1.0");
    assert_eq!(headers["ce_subject"], fact["key"]);
    // Its place in the stream, after what is not public.
    assert!(header("ce_sequence").parse::<u64>().unwrap() >= 1);
    assert_eq!(header("content-type"), "application/protobuf");
    assert!(header("ce_id").ends_with("/public"));
    assert!(header("ce_time").ends_with('Z'));
    // The partition is the one that every language's clients agree on.
    let partition = messaging::partition_of(fact["key"].as_str().unwrap().as_bytes(), 8);
    assert_eq!(fact["partition"], partition);
}
