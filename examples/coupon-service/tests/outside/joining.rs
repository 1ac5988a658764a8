//! Coupons and points join a running set by the roster file and their own processes.

use std::{path::Path, time::Duration};

use serde_json::Value;
use tokio::process::Command;

use crate::programs::{BOUND, Place, Server, json, printed, refused};

/// The example's roster, with the keys that the two print.
fn roster(coupons: &str, points: &str) -> String {
    let mut jwks = [coupons, points].into_iter();
    let example = include_str!("../../roster.toml");
    let line = |line: &str| {
        let key = line.starts_with("keys = ").then(|| format!("keys = ['{}']", jwks.next().unwrap()));
        key.unwrap_or_else(|| line.to_owned()) + "\n"
    };
    example.lines().map(line).collect()
}

/// The server, spoken to by its command line.
struct Session<'a> {
    place: &'a Place,
    url: String,
}

impl Session<'_> {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.place.exeunt();
        command.args(["--server", &self.url, "--output", "json"]).args(words);
        command
    }

    async fn call(&self, words: &[&str]) -> Value {
        json(self.command(words)).await
    }

    async fn until(&self, id: &str, state: &str) -> Value {
        let reached = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(100));
            loop {
                ticks.tick().await;
                let shown = self.call(&["show", id]).await["cancellation"].clone();
                if shown["state"] == state {
                    return shown;
                }
            }
        };
        let reached = tokio::time::timeout(BOUND, reached).await;
        reached.unwrap_or_else(|_| panic!("waited too long for {state} of {id}"))
    }

    /// The token to confirm with, by the code that arrives in the folder of messages.
    async fn token(&self, id: &str, messages: &Path) -> String {
        let started = self.call(&["identify", id, "--factor", "email"]).await;
        let verification = text(&started["verificationId"]);
        let path = messages.join(format!("{verification}.eml"));
        let come = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(50));
            while !path.exists() {
                ticks.tick().await;
            }
        };
        tokio::time::timeout(BOUND, come).await.unwrap();
        let message = std::fs::read_to_string(&path).unwrap();
        let (_, body) = message.split_once("\r\n\r\n").unwrap();
        let code = body.split(|char: char| !char.is_ascii_digit()).find(|run| run.len() == 6).unwrap();
        let proven = self.call(&["identify", "--verification", &verification, "--code", code]).await;
        text(&proven["verificationToken"])
    }

    async fn register(&self) -> String {
        let who = ["register", "--region", "CN", "--edition", "domestic", "--email", "user@example.com"];
        text(&self.call(&who).await["subjectId"])
    }

    async fn issue(&self, subject: &str) {
        let mut issue = self.place.coupons_on_postgres();
        issue.args(["issue", "--title", "Tea", "--minor-units", "500", "--subject", subject]);
        printed(issue).await;
    }

    async fn award(&self, subject: &str) -> Command {
        let mut award = self.place.points();
        award.args(["award", "--points", "1250", "--subject", subject]);
        award
    }

    /// The words that the coupons stand in.
    async fn coupons(&self, subject: &str) -> String {
        let mut list = self.place.coupons_on_postgres();
        list.args(["list", "--subject", subject]);
        printed(list).await
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_take_part_in_a_cancellation_and_the_receipt_proves_it() {
    let Some(place) = Place::new() else { return };
    let (mut of_coupons, mut of_points) = (place.coupons_on_postgres(), place.points());
    of_coupons.arg("print-jwk");
    of_points.arg("print-jwk");
    let roster = roster(&printed(of_coupons).await, &printed(of_points).await);
    let roster = place.file("roster.toml", &roster);
    let mut serve = place.exeunt();
    serve.args(["serve", "--listen", "127.0.0.1:0", "--event-log", &place.event_log]);
    serve.args(["--event-store", &place.event_store, "--data-dir"]).arg(place.path("exeunt"));
    serve.arg("--roster").arg(roster);
    let (_exeunt, line) = Server::start(serve, place.path("exeunt.log"), "listening on").await;
    let session = Session { place: &place, url: line.rsplit(' ').next().unwrap().to_owned() };
    let (mut coupons, mut points) = (place.coupons_on_postgres(), place.points());
    coupons.args(["serve", "--event-log", &place.event_log]);
    points.args(["serve", "--event-log", &place.event_log]);
    let (_coupons, _) = Server::start(coupons, place.path("coupons.log"), "serving").await;
    let points = Server::start(points, place.path("points.log"), "serving").await.0;

    let (subject, other) = (session.register().await, session.register().await);
    a_check_beside_a_running_set_parks_nothing(&session, &other).await;
    for subject in [&subject, &other] {
        session.issue(subject).await;
        printed(session.award(subject).await).await;
    }
    a_scope_of_their_own_ends(&session, &other).await;

    let leave = ["request", "--subject", &subject, "--whole-account", "--request-id", "leave"];
    let id = text(&session.call(&leave).await["cancellation"]["cancellationId"]);
    let quoted = session.until(&id, "STATE_AWAITING_CONFIRMATION").await;
    for code in ["COUPON_LAPSES", "POINTS_LAPSE"] {
        assert!(quoted["quote"].to_string().contains(code), "{code} in {quoted}");
    }
    let token = session.token(&id, &place.path("exeunt/messages")).await;
    // It is killed, told to execute meanwhile, and goes on where it was.
    points.kill().await;
    session.call(&["confirm", &id, "--digest", &text(&quoted["quote"]["digest"]), "--token", &token]).await;
    let mut again = place.points();
    again.args(["serve", "--event-log", &place.event_log]);
    let (_points, _) = Server::start(again, place.path("points.log"), "serving").await;
    session.until(&id, "STATE_COMPLETED").await;

    it_is_proven(&session, &id).await;
    assert!(session.coupons(&subject).await.contains("void"));
    let mut show = place.points();
    show.args(["show", "--subject", &subject]);
    assert_eq!(json(show).await, serde_json::json!({ "points": 0, "closedBy": id }));
    let (_, said) = refused(session.award(&subject).await).await;
    assert!(said.contains("closed"), "{said}");
}

/// The coordinator passes over answers about cancellations that never were.
async fn a_check_beside_a_running_set_parks_nothing(session: &Session<'_>, subject: &str) {
    let place = session.place;
    let mut check = place.exeunt();
    check.args(["conformance", "--participant", "coupons", "--only", "answered", "--only", "due"]);
    check.args(["--within-ms", "60000", "--subject", subject, "--event-log", &place.event_log, "--roster"]);
    check.arg(place.path("roster.toml"));
    let said = printed(check).await;
    assert_eq!(said.matches("ok ").count(), 2, "{said}");
    let id = text(
        &session.call(&["request", "--subject", subject, "--scope", "coupons"]).await["cancellation"]["cancellationId"],
    );
    session.until(&id, "STATE_COMPLETED").await;
    let parked = session.call(&["parked", "list"]).await;
    assert_eq!(parked, serde_json::json!({}), "{parked}");
}

/// Only the coupons end, at once, and the account goes on.
async fn a_scope_of_their_own_ends(session: &Session<'_>, subject: &str) {
    let part = ["request", "--subject", subject, "--scope", "coupons", "--request-id", "part"];
    let id = text(&session.call(&part).await["cancellation"]["cancellationId"]);
    session.until(&id, "STATE_COMPLETED").await;
    assert!(session.coupons(subject).await.contains("void"));
    session.issue(subject).await;
    assert!(session.coupons(subject).await.contains("good"));
}

/// By the receipt and the public keys, and nothing else.
async fn it_is_proven(session: &Session<'_>, id: &str) {
    let place = session.place;
    let sealed = text(&session.call(&["receipt", id]).await["receiptJws"]);
    let receipt = place.file("receipt.jws", &sealed);
    let keys = place.file("keys.json", &session.call(&["keys"]).await.to_string());
    let mut verify = place.exeunt();
    verify.args(["verify", "--output", "json"]).arg(receipt).arg("--keys").arg(keys);
    let proven = json(verify).await;
    assert_eq!(proven["verified"], true);
    let answers = proven["receipt"]["acknowledgements"].as_array().unwrap();
    for name in ["coupons", "points"] {
        let answer = answers.iter().find(|answer| answer["participant"] == name).unwrap();
        assert_eq!(answer["outcome"], "OUTCOME_DONE", "{answer}");
    }
    assert_eq!(answers.len(), 7);
}
