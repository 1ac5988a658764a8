//! The command line against a server, and without one.

use proto::{
    cancellation::v1::State,
    subscription::v1::{self as subscription, subscription_service_client::SubscriptionServiceClient},
};
use serde_json::Value;

use crate::harness::{App, program, stderr, stdout};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_is_requested_shown_watched_and_taken_back() {
    let mut app = App::start().await;
    let subject = app.register().await;
    let server = app.server.clone();
    let ask = |arguments: &[&str]| program(&[&["--server", &server], arguments].concat());

    let request = ["request", "--subject", &subject, "--whole-account", "--request-id", "r-1"];
    let requested = ask(&[&request[..], &["--output", "json"]].concat());
    assert_eq!(requested.status.code(), Some(0), "{}", stderr(&requested));
    let id = json(stdout(&requested))["cancellation"]["cancellationId"].as_str().unwrap().to_owned();
    assert!(stdout(&ask(&request)).starts_with(&format!("Cancellation {id}\n")));

    app.reach(&id, State::AwaitingConfirmation).await;
    let shown = ask(&["show", &id]);
    assert!(stdout(&shown).contains("\n  state           awaiting confirmation\n"), "{}", stdout(&shown));
    assert!(stdout(&shown).contains("Digest to confirm: "));
    let listed = ask(&["list", "--state", "awaiting-confirmation", "--subject", &subject]);
    assert!(stdout(&listed).starts_with(&id), "{}", stdout(&listed));

    let refused = ask(&["confirm", &id, "--digest", &"0".repeat(64), "--token", "x", "--output", "json"]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(json(stderr(&refused))["error"]["reason"].is_string());
    let revoked = ask(&["revoke", &id, "--reason", "I stay."]);
    assert_eq!(revoked.status.code(), Some(0), "{}", stderr(&revoked));
    let watched = ask(&["watch", &id]);
    assert!(stdout(&watched).contains("revoked"), "{}", stdout(&watched));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_registers_proves_who_it_is_and_confirms() {
    let mut app = App::start().await;
    let server = app.server.clone();
    let ask = |arguments: &[&str]| program(&[&["--server", &server], arguments].concat());
    let ask_json = |arguments: &[&str]| {
        let answer = ask(&[arguments, &["--output", "json"]].concat());
        assert_eq!((answer.status.code(), stderr(&answer)), (Some(0), ""));
        json(stdout(&answer))
    };
    let who = ["register", "--region", "CN", "--edition", "domestic", "--request-id", "r-1"];
    let contacts = ["--email", "user@example.com", "--sms", "+8613812345678"];
    let registered = ask(&[&who[..], &contacts].concat());
    let subject = stdout(&registered).trim_end().to_owned();
    assert!(subject.starts_with("sbj_"), "{subject} {}", stderr(&registered));
    assert_eq!(ask_json(&[&who[..], &contacts].concat())["subjectId"], *subject);

    let id = app.request("close", &subject).await.unwrap().cancellation_id;
    let quoted = app.reach(&id, State::AwaitingConfirmation).await;
    let shown = ask(&["show", &id]);
    assert!(stderr(&shown).contains(&format!("exeunt identify {id} --factor email")), "{}", stderr(&shown));

    let by_text = ask(&["identify", &id, "--factor", "sms", "--subject", &subject]);
    let said = stdout(&by_text);
    assert!(said.starts_with("Verification ") && said.contains("\n  code sent to    "), "{said}");
    assert!(said.contains("\n  valid until     ") && !said.contains("+8613812345678"), "{said}");
    assert!(stderr(&by_text).contains(" --code <six digits>"), "{}", stderr(&by_text));

    let started = ask_json(&["identify", &id, "--factor", "email"]);
    assert!(started["maskedAddress"].is_string() && started["expiresAt"].is_string(), "{started}");
    let verification = started["verificationId"].as_str().unwrap();
    let code = app.code(verification).await;
    let other = if code == "000000" { "000001" } else { "000000" };
    assert_eq!(ask(&["identify", "--verification", verification, "--code", other]).status.code(), Some(3));
    let completed = ask(&["identify", "--verification", verification, "--code", &code]);
    let said = stdout(&completed);
    assert!(said.contains("\n  level           single\n  valid until     "), "{said} {}", stderr(&completed));
    assert!(stderr(&completed).starts_with("confirm with: exeunt confirm "), "{}", stderr(&completed));
    let token = said.lines().next().unwrap().strip_prefix("Verification token ").unwrap();

    let digest = quoted.quote.unwrap().digest;
    let confirmed = ask_json(&["confirm", &id, "--digest", &digest, "--token", token]);
    assert_eq!(confirmed["cancellation"]["cancellationId"], *id);
    app.reach(&id, State::Completed).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_name_every_fault_and_what_to_do() {
    let app = App::start().await;
    let refused = program(&["--server", &app.server, "request", "--subject", "a b", "--scope", "no such"]);
    assert_eq!(refused.status.code(), Some(3));
    let said = stderr(&refused);
    assert!(said.contains("\n  subject_id ") && said.contains("what to do: "), "{said}");
    let unknown = program(&["--server", &app.server, "show", "can_none"]);
    assert_eq!((unknown.status.code(), stdout(&unknown)), (Some(3), ""));
    app.stop().await;

    let nobody = program(&["--server", "http://127.0.0.1:1", "keys"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(stderr(&nobody).contains("start one with `exeunt serve`"));
    for nonsense in
        ["nonsense", "127.0.0.1:7700", "localhost:7700", "https://127.0.0.1:7700", "a b", "http://"]
    {
        let refused = program(&["--server", nonsense, "keys"]);
        assert_eq!(refused.status.code(), Some(1));
        let said = stderr(&refused);
        assert!(said.contains(&format!("{nonsense} is no server: an address is http://host:port")), "{said}");
        assert!(!said.contains("exeunt serve"), "{said}");
    }
    assert_eq!(program(&["request", "--subject", "x"]).status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_is_verified_without_a_server_and_a_changed_one_is_not() {
    let mut app = App::start().await;
    let subject = app.register().await;
    let (completed, jws) = app.close_account(&subject).await;
    let printed = program(&["--server", &app.server, "receipt", &completed.cancellation_id]);
    assert_eq!(stdout(&printed).trim_end(), jws);
    let (receipt, keys) = (app.path("receipt.jws"), app.path("jwks.json"));
    std::fs::write(&receipt, &printed.stdout).unwrap();
    std::fs::write(&keys, program(&["--server", &app.server, "keys"]).stdout).unwrap();
    let home = app.stop().await;

    let verify = || program(&["verify", receipt.to_str().unwrap(), "--keys", keys.to_str().unwrap()]);
    let verified = verify();
    assert_eq!(verified.status.code(), Some(0), "{}", stderr(&verified));
    let said = stdout(&verified);
    assert!(said.starts_with(&format!("The receipt of cancellation {} holds.", completed.cancellation_id)));
    for one in &completed.participants {
        assert!(said.contains(&format!("\n  {} ", one.name)), "{said}");
    }

    let [header, payload, seal] = jws.split('.').collect::<Vec<_>>()[..] else { panic!("{jws}") };
    let other = if payload.ends_with('A') { "B" } else { "A" };
    let changed = format!("{header}.{}{other}.{seal}", &payload[..payload.len() - 1]);
    std::fs::write(&receipt, changed).unwrap();
    let refused = verify();
    assert_eq!((refused.status.code(), stdout(&refused)), (Some(4), ""));

    std::fs::write(&receipt, &jws).unwrap();
    let stranger = keys::SigningKey::from_seed([7; 32]).jwk();
    std::fs::write(&keys, [stranger].into_iter().collect::<keys::JwkSet>().to_json()).unwrap();
    assert_eq!(verify().status.code(), Some(4));
    std::fs::write(&keys, "no keys").unwrap();
    assert_eq!(verify().status.code(), Some(1));
    drop(home);
}

#[test]
fn the_demo_ends_with_a_receipt_that_verifies() {
    let played = program(&["demo", "--json"]);
    assert_eq!(played.status.code(), Some(0), "{}", stderr(&played));
    let said = stdout(&played);
    assert_eq!(said.lines().count(), 1, "{said}");
    let said = json(said);
    assert_eq!((&said["state"], &said["verified"]), (&"STATE_COMPLETED".into(), &true.into()));
    assert_eq!(said["participants"].as_array().unwrap().len(), 5);
    assert_eq!(said["receipt"].as_str().unwrap().split('.').count(), 3);
    assert!(said["elapsed_ms"].is_u64());
    assert_eq!(stderr(&played), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_is_applied_for_decided_paid_and_listed() {
    let mut app = App::start().await;
    let subject = app.register().await;
    let server = app.server.clone();
    let ask = |arguments: &[&str]| program(&[&["--server", &server, "refund"], arguments].concat());
    let ask_json = |arguments: &[&str]| {
        let answer = ask(&[arguments, &["--output", "json"]].concat());
        assert_eq!(answer.status.code(), Some(0), "{}", stderr(&answer));
        json(stdout(&answer))
    };
    let request = subscription::RecordSubscriptionRequest {
        subject_id: subject.clone(),
        plan: Some(subscription::Plan { name: "Video".into(), ..subscription::Plan::default() }),
        billing: subscription::Billing::Merchant.into(),
        will_renew: true,
        ..subscription::RecordSubscriptionRequest::default()
    };
    let mut service = SubscriptionServiceClient::new(app.channel.clone());
    let recorded = service.record_subscription(request).await.unwrap().into_inner().subscription.unwrap();
    assert_eq!(stdout(&ask(&["list", "--subject", &subject])), "no refunds\n");
    assert_eq!(stdout(&ask(&["list"])), "no refunds\n");

    let applied = ask_json(&["apply", "--subscription", &recorded.subscription_id, "--reason", "unused"]);
    assert_eq!(applied["refund"]["state"], "REFUND_STATE_UNDER_REVIEW");
    let id = applied["refund"]["refundId"].as_str().unwrap().to_owned();
    let decided = ask(&["decide", &id, "--actor", "clerk-7", "--approve", "CNY:25.00"]);
    assert!(stdout(&decided).contains("\n  amount          CNY 25.00 to original means\n"), "{decided:?}");
    assert!(stderr(&decided).contains(&format!("exeunt refund paid {id} --reference ")), "{decided:?}");
    let refusal = ["--refuse", "PERIOD_USED", "--basis", "Terms 4", "--remedy", "Complain."];
    let refused =
        ask(&[&["decide", &id, "--actor", "clerk-7"], &refusal[..], &["--output", "json"]].concat());
    assert_eq!(refused.status.code(), Some(3));
    assert_eq!(json(stderr(&refused))["error"]["reason"], "REFUND_DECIDED");
    let paid = ask_json(&["paid", &id, "--reference", "pay-1"]);
    assert_eq!(paid["refund"]["paymentReference"], "pay-1");
    let listed = ask_json(&["list", "--subject", &subject]);
    assert_eq!(listed["refunds"][0]["state"], "REFUND_STATE_PAID");
    app.stop().await;
}

#[test]
fn the_demos_other_ways_end_as_they_should() {
    for (scenario, state, verified) in [("revoke", "STATE_REVOKED", false), ("hold", "STATE_COMPLETED", true)]
    {
        let played = program(&["demo", "--json", "--scenario", scenario]);
        assert_eq!(played.status.code(), Some(0), "{scenario}: {}", stderr(&played));
        let said: Value = serde_json::from_str(stdout(&played).lines().last().unwrap()).unwrap();
        assert_eq!((said["state"].as_str(), said["verified"].as_bool()), (Some(state), Some(verified)));
    }
}
