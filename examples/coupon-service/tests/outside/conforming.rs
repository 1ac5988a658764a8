//! `exeunt conformance` finds nothing wrong with either, and does find what is wrong.

use std::{path::Path, time::Duration};

use serde_json::Value;
use tokio::process::Command;

use crate::programs::{BOUND, Place, Server, printed, refused};

/// As a shell has it.
fn line(command: &Command) -> String {
    let command = command.as_std();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| format!("'{}' ", word.to_string_lossy())).collect()
}

fn conformance(place: &Place, name: &str, jwk: &Path, prepare: &str) -> Command {
    let mut command = place.exeunt();
    command.args(["conformance", "--output", "json", "--register", "--participant", name]);
    command.args(["--event-log", &place.event_log, "--prepare", prepare, "--jwk"]).arg(jwk);
    command
}

fn verdicts(printed: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let lines = printed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| (text(&line["check"]), text(&line["verdict"]))).collect()
}

/// Runs it against a participant that runs, and against one that is not who its key says.
async fn conforms(place: &Place, name: &str, jwk: &str, prepare: String) {
    let jwk = place.file(&format!("{name}.jwk"), jwk);
    let mut all = conformance(place, name, &jwk, &prepare);
    all.args(["--within-ms", "60000"]);
    let said = printed(all).await;
    let verdicts = verdicts(&said);
    assert!(verdicts.len() >= 13, "{said}");
    assert!(verdicts.iter().all(|(_, verdict)| verdict == "ok"), "{said}");

    let another = keys::SigningKey::from_seed([9; 32]).jwk().to_json();
    let another = place.file("another.jwk", &another);
    let mut wrong = conformance(place, name, &another, &prepare);
    wrong.args(["--only", "answered", "--only", "garbage"]);
    let (code, said) = refused(wrong).await;
    assert_eq!(code, 5, "{said}");
    assert_eq!(said.matches(r#""verdict":"failed""#).count(), 2, "{said}");
    assert!(said.contains("signature of an answer"), "{said}");
}

#[tokio::test]
async fn the_coupons_keep_to_the_contract() {
    let Some(place) = Place::new() else { return };
    let mut print = place.coupons();
    print.arg("print-jwk");
    let jwk = printed(print).await;
    let mut serve = place.coupons();
    serve.args(["serve", "--event-log", &place.event_log]);
    let (server, _) = Server::start(serve, place.path("coupons.log"), "serving").await;
    let mut issue = place.coupons();
    issue.args(["issue", "--title", "Tea", "--minor-units", "500", "--subject"]);
    conforms(&place, "coupons", &jwk, line(&issue) + r#""$EXEUNT_SUBJECT""#).await;
    server.kill().await;
}

#[tokio::test]
async fn the_points_keep_to_the_contract() {
    let Some(place) = Place::new() else { return };
    let mut print = place.points();
    print.arg("print-jwk");
    let jwk = printed(print).await;
    let mut serve = place.points();
    serve.args(["serve", "--event-log", &place.event_log]);
    let (server, _) = Server::start(serve, place.path("points.log"), "serving").await;
    let mut award = place.points();
    award.args(["award", "--points", "100", "--subject"]);
    let prepare = line(&award) + r#""$EXEUNT_SUBJECT""#;
    conforms(&place, "points", &jwk, prepare.clone()).await;

    // The topic is made again: that is noticed, and the new one is read from its beginning.
    let log = messaging::open_log(&place.event_log).await.unwrap();
    let topic = participant::contract::topic("exeunt.instructions.points");
    log.delete(&topic.name).await.unwrap();
    let made_again = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        // The cluster forgets the old one a moment after it says so.
        while log.declare(std::slice::from_ref(&topic)).await.is_err() {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(BOUND, made_again).await.unwrap();
    let said = server.ended().await;
    assert!(said.contains("made again") || said.contains("cannot be read on"), "{said}");
    let mut serve = place.points();
    serve.args(["serve", "--event-log", &place.event_log]);
    let (server, _) = Server::start(serve, place.path("points.log"), "serving").await;
    let mut anew = conformance(&place, "points", &place.path("points.jwk"), &prepare);
    anew.args(["--within-ms", "60000", "--only", "repeated"]);
    printed(anew).await;
    log.close().await;
    server.kill().await;
}

#[tokio::test]
async fn nobody_there_is_told_within_the_bound() {
    let Some(place) = Place::new() else { return };
    let jwk = place.file("nobody.jwk", &keys::SigningKey::from_seed([9; 32]).jwk().to_json());
    let mut command = conformance(&place, "nobody", &jwk, "true");
    command.args(["--within-ms", "500", "--only", "answered"]);
    let (code, said) = refused(command).await;
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("expected one within 500 ms, seen none"), "{said}");
}

#[tokio::test]
async fn the_contracts_vectors_hold_in_python() {
    let Some(place) = Place::new() else { return };
    let mut unittest = place.python();
    unittest.args(["-m", "unittest", "--quiet"]);
    printed(unittest).await;
}

#[test]
fn the_example_in_python_needs_what_the_tests_install() {
    let pins = |text: &'static str| text.lines().filter(|line| line.contains("==")).collect::<Vec<_>>();
    let example = pins(include_str!("../../../points-service-python/requirements.txt"));
    assert!(!example.is_empty());
    assert_eq!(example, pins(include_str!("../../../../deploy/dev/python/requirements.txt")));
}
