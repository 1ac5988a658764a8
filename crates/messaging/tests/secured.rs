//! Brokers that demand encryption and a password: who has both gets in, who has not is told so, soon.
#![expect(clippy::unwrap_used, reason = "all of it is tests")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use engines::{SecuredKafka, secured};
use messaging::{Delivery, EventLog, LogError, LogOptions, Message, Subscription, TopicSpec, open_log_with};
use types::fresh_uuid;

/// No attempt takes longer, whatever is wrong.
const BOUND: Duration = Duration::from_secs(120);

struct Way<'a> {
    settings: String,
    password: &'a str,
}

fn way<'a>(kafka: &SecuredKafka, mechanism: &str, authority: &str, password: &'a str) -> Way<'a> {
    let authority = kafka.certificates.path(authority).display().to_string();
    let user = secured::USER;
    let settings = format!(
        "security.protocol=SASL_SSL&ssl.ca.location={authority}&sasl.mechanism={mechanism}&sasl.username={user}"
    );
    Way { settings, password }
}

async fn open(kafka: &SecuredKafka, way: &Way<'_>) -> Arc<dyn EventLog> {
    let url = format!("kafka://{}?{}", kafka.brokers, way.settings);
    let options = LogOptions { password: Some(way.password.to_owned()), ..LogOptions::default() };
    open_log_with(&url, options).await.unwrap()
}

fn topic() -> TopicSpec {
    TopicSpec { name: format!("secured-{}", fresh_uuid().simple()).into(), partitions: 1, compacted: false }
}

/// Publishes a record and reads it back.
async fn there_and_back(log: &dyn EventLog) {
    let spec = topic();
    log.declare(std::slice::from_ref(&spec)).await.unwrap();
    let message = Message {
        topic: spec.name.clone(),
        key: "key".into(),
        headers: vec![("h".into(), "v".into())],
        payload: Some("payload".into()),
    };
    log.publish(vec![message]).await.unwrap();
    let group = format!("secured-{}", fresh_uuid().simple()).into();
    let mut reader = log
        .subscribe(Subscription { group, member: "m".into(), topics: vec![spec.name.clone()] })
        .await
        .unwrap();
    let read = async {
        loop {
            match reader.next(10).await.unwrap() {
                Delivery::Assigned(assigned) => {
                    for it in assigned {
                        reader.start(&it.topic, it.partition, None).await.unwrap();
                    }
                }
                Delivery::Records(records) if !records.is_empty() => return records,
                Delivery::Records(_) | Delivery::Revoked(_) => {}
            }
        }
    };
    let records = tokio::time::timeout(BOUND, read).await.unwrap();
    assert_eq!((records.len(), &*records[0].payload), (1, &b"payload"[..]));
    drop(reader);
    log.delete(&spec.name).await.unwrap();
}

/// What declaring a topic fails with, and that it fails soon and without the password.
async fn refused(kafka: &SecuredKafka, way: &Way<'_>) -> LogError {
    let log = open(kafka, way).await;
    let begun = Instant::now();
    let error = tokio::time::timeout(BOUND, log.declare(&[topic()])).await.unwrap().unwrap_err();
    assert!(begun.elapsed() < BOUND);
    assert!(!format!("{error:?}").contains(way.password), "{error:?}");
    error
}

/// One test, because a broker of its own would cost each of several as much again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_certificate_and_password_gets_in_and_nobody_else_does() {
    let kafka = tokio::task::spawn_blocking(SecuredKafka::get).await.unwrap().unwrap();
    for mechanism in ["SCRAM-SHA-512", "SCRAM-SHA-256"] {
        let log = open(&kafka, &way(&kafka, mechanism, "ca.pem", secured::PASSWORD)).await;
        there_and_back(&*log).await;
        log.close().await;
    }
    let mutual = Way {
        settings: format!(
            "{}&ssl.certificate.location={}&ssl.key.location={}",
            way(&kafka, "SCRAM-SHA-512", "ca.pem", "").settings,
            kafka.certificates.path("client.pem").display(),
            kafka.certificates.path("client.key").display(),
        ),
        password: secured::PASSWORD,
    };
    there_and_back(&*open(&kafka, &mutual).await).await;

    let error = refused(&kafka, &way(&kafka, "SCRAM-SHA-512", "ca.pem", "not the password")).await;
    assert!(matches!(&error, LogError::Denied(why) if why.contains("uthentication")), "{error:?}");
    let error = refused(&kafka, &way(&kafka, "SCRAM-SHA-512", "another-ca.pem", secured::PASSWORD)).await;
    assert!(matches!(&error, LogError::Denied(why) if why.contains("certificate")), "{error:?}");
    // Without encryption the broker only hangs up; what librdkafka makes of that is told.
    let plain = Way { settings: "security.protocol=PLAINTEXT".into(), password: "unused password" };
    let error = refused(&kafka, &plain).await;
    assert!(
        matches!(&error, LogError::Unavailable(why) if why.to_string().contains("security.protocol")
            || why.to_string().contains("SSL")),
        "{error:?}"
    );
}
