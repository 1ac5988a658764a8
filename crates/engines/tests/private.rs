//! Private engines are killed and come back with what they held, and are gone with their owner.

use std::net::{Ipv4Addr, TcpStream};

use engines::{Kafka, KafkaOptions, Postgres};

fn answers(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[test]
fn a_broker_is_killed_and_comes_back_at_the_same_port() {
    let mut kafka = Kafka::start(&KafkaOptions::default()).unwrap();
    let port = kafka.ports()[0];
    assert_eq!(kafka.brokers(), format!("127.0.0.1:{port}"));
    assert!(answers(port));
    kafka.kill(0).unwrap();
    assert!(!answers(port));
    kafka.start_again(0).unwrap();
    assert!(answers(port));
    drop(kafka);
    assert!(!answers(port));
}

#[test]
fn of_three_brokers_one_is_killed_and_comes_back() {
    let mut kafka = Kafka::start(&KafkaOptions { brokers: 3, ..KafkaOptions::default() }).unwrap();
    let ports = kafka.ports();
    kafka.kill(1).unwrap();
    assert_eq!(ports.iter().map(|port| answers(*port)).collect::<Vec<_>>(), [true, false, true]);
    kafka.start_again(1).unwrap();
    assert!(ports.iter().all(|port| answers(*port)));
}

#[test]
fn a_server_that_is_ended_at_once_has_what_was_committed() {
    let mut postgres = Postgres::start().unwrap();
    postgres.query("create table t (n int); insert into t values (1)").unwrap();
    postgres.end_at_once().unwrap();
    assert!(postgres.query("select 1").is_err());
    postgres.start_again().unwrap();
    assert_eq!(postgres.query("select n, null from t").unwrap(), [[Some("1".to_owned()), None]]);
    assert!(postgres.query("select nonsense").unwrap_err().to_string().contains("select nonsense"));
    let port = postgres.port();
    drop(postgres);
    assert!(!answers(port));
}

#[test]
fn a_standby_has_every_commit_and_takes_over() {
    let mut primary = Postgres::start().unwrap();
    primary.query("create table t (n int); insert into t values (1)").unwrap();
    let standby = primary.standby().unwrap();
    assert!(standby.query("insert into t values (7)").is_err(), "a standby takes no writes");
    primary.query("insert into t select n from generate_series(2, 100) n").unwrap();
    primary.end_at_once().unwrap();
    standby.promote().unwrap();
    assert_eq!(standby.query("select count(*) from t").unwrap(), [[Some("100".to_owned())]]);
    standby.query("insert into t values (101)").unwrap();
}

#[test]
fn the_checkouts_python_has_what_is_pinned() {
    let python = engines::python::interpreter().unwrap();
    assert!(python.starts_with(engines::checkout::target().unwrap()));
    let output = engines::process::output(
        std::process::Command::new(python)
            .args(["-c", "import confluent_kafka, cryptography; print('fine')"]),
    );
    assert_eq!(output.unwrap(), b"fine\n");
}
