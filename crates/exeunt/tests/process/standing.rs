//! Bans, appeals and guardians on the command line, and up to where the ledger of closed subjects was
//! applied.

use proto::cancellation::v1::State;
use serde_json::Value;

use crate::harness::{App, eventually, program, stderr, stdout};

/// The program, asked of one server.
struct Terminal(String);

impl Terminal {
    /// What it prints.
    #[track_caller]
    fn prints(&self, words: &[&str]) -> String {
        let said = program(&[&["--server", &self.0], words].concat());
        assert_eq!(said.status.code(), Some(0), "{words:?}: {}", stderr(&said));
        stdout(&said).to_owned()
    }

    /// The same, for programs.
    #[track_caller]
    fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.prints(&[words, &["--output", "json"]].concat())).unwrap()
    }

    /// Why it refuses.
    #[track_caller]
    fn refuses(&self, words: &[&str]) -> String {
        let said = program(&[&["--server", &self.0], words].concat());
        assert_eq!(said.status.code(), Some(3), "{words:?}: {}", stdout(&said));
        stderr(&said).to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_banned_appeals_and_a_person_finds_the_appeal_and_decides() {
    let mut app = App::start().await;
    let subject = app.register().await;
    let terminal = Terminal(app.server.clone());
    let place = ["ban", "place", "--subject", &subject, "--actor", "ops-7", "--reason-code"];
    let printed = terminal.prints(&[&place[..], &["FRAUD"]].concat());
    assert_eq!(printed, format!("{subject} is banned from signing in\n"));
    let refused = terminal.refuses(&[&place[..], &["SPAM"]].concat());
    assert!(refused.contains("ALREADY_BANNED"), "{refused}");
    let refused = terminal.refuses(&[&place[..], &["spam"]].concat());
    assert!(refused.contains("reason_code"), "{refused}");

    assert_eq!(terminal.prints(&["appeal", "list"]), "no appeals\n");
    let make = ["appeal", "make", "--subject", &subject, "--text", "It was not me.", "--request-id", "a1"];
    let appeal = terminal.prints(&make).trim_end().to_owned();
    assert_eq!(terminal.prints(&make).trim_end(), appeal);
    let listed = terminal.json(&["appeal", "list"]);
    assert_eq!(listed["appeals"][0]["appealId"], appeal.as_str());
    assert_eq!(listed["appeals"][0]["state"], "APPEAL_STATE_UNDECIDED");
    assert!(!listed.to_string().contains("It was not me"));
    let shown = terminal.prints(&["appeal", "show", &appeal]);
    assert!(shown.contains("undecided") && shown.contains("\n  It was not me.\n"), "{shown}");
    let shown = terminal.prints(&["ban", "show", "--subject", &subject]);
    assert!(shown.contains("banned for      FRAUD") && shown.contains(&appeal), "{shown}");

    let because = ["--actor", "ops-7", "--reason", "the recording was heard"];
    let decide = |decision| [&["appeal", "decide", &appeal, decision], &because[..]].concat();
    assert_eq!(terminal.prints(&decide("--uphold")), "the ban stands\n");
    let refused = terminal.refuses(&decide("--lift"));
    assert!(refused.contains("APPEAL_ENDED"), "{refused}");
    let unknown = terminal.refuses(&[&["appeal", "decide", "apl_none", "--lift"], &because[..]].concat());
    assert!(unknown.contains("NOT_FOUND"), "{unknown}");
    assert_eq!(terminal.prints(&["appeal", "list"]), "no appeals\n");
    let all = terminal.prints(&["appeal", "list", "--subject", &subject]);
    assert!(all.contains(&appeal) && all.contains("upheld"), "{all}");

    let again = terminal.prints(&["appeal", "make", "--subject", &subject, "--text", "Look again."]);
    assert_eq!(terminal.prints(&["appeal", "withdraw", again.trim_end()]), "the appeal is taken back\n");
    let lift = [&["ban", "lift", "--subject", &subject], &because[..]].concat();
    assert_eq!(terminal.prints(&lift), format!("{subject} is banned no more\n"));
    let refused = terminal.refuses(&lift);
    assert!(refused.contains("NOT_BANNED"), "{refused}");
    let shown = terminal.json(&["ban", "show", "--subject", &subject]);
    assert_eq!(shown["standing"], "STANDING_ACTIVE");
    let allow = [&["ban", "allow-again", "--email", "somebody@example.com"], &because[..]].concat();
    assert_eq!(terminal.prints(&allow), "whoever has this contact may register again\n");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guardian_consents_on_the_command_line_and_every_participant_applies_the_closure() {
    let mut app = App::start().await;
    let ward = app.register().await;
    let guardian = app.register_in("CN", "guardian@example.com").await;
    let stranger = app.register_in("CN", "stranger@example.com").await;
    let terminal = Terminal(app.server.clone());
    for who in [&guardian, &stranger] {
        let record = ["guardian", "record", "--subject", &ward, "--guardian", who, "--ground", "PARENT"];
        assert_eq!(terminal.prints(&record), format!("{who} guards {ward}\n"));
    }
    let end = ["guardian", "end", "--subject", &ward, "--guardian", &stranger, "--actor", "ops-7"];
    let ended = terminal.prints(&[&end[..], &["--reason", "it was a mistake"]].concat());
    assert_eq!(ended, format!("{stranger} guards {ward} no more\n"));

    let id = app.request("close", &ward).await.unwrap().cancellation_id;
    let blocked = app.reach(&id, State::Blocked).await;
    assert_eq!(blocked.blockers[0].code, "GUARDIAN_CONSENT_MISSING");
    let identify = ["guardian", "identify", &id, "--subject", &ward, "--factor", "email", "--guardian"];
    let refused = terminal.refuses(&[&identify[..], &[&stranger]].concat());
    assert!(refused.contains("NOT_A_GUARDIAN"), "{refused}");
    let started = terminal.json(&[&identify[..], &[&guardian]].concat());
    let verification = started["verificationId"].as_str().unwrap();
    let code = app.code(verification).await;
    let proof = terminal.json(&["identify", "--verification", verification, "--code", &code]);
    let token = proof["verificationToken"].as_str().unwrap();
    let consent = ["guardian", "consent", &id, "--subject", &ward, "--token", token];
    assert_eq!(terminal.prints(&consent), format!("a guardian consents to {id}\n"));
    let quoted = app.reach(&id, State::AwaitingConfirmation).await;

    let token = app.token(&ward, &id).await;
    let digest = quoted.quote.unwrap().digest;
    terminal.prints(&["confirm", &id, "--digest", &digest, "--token", &token]);
    app.reach(&id, State::Completed).await;
    let services = ["cancellation", "identity", "payscore", "retention", "subscription", "wallet"];
    eventually(async || {
        let listed = terminal.json(&["closures"]);
        let applied = listed["applied"].as_array().cloned().unwrap_or_default();
        let read = |one: &&Value| one["next"] == "1";
        let names: Vec<_> = applied.iter().filter(read).filter_map(|one| one["service"].as_str()).collect();
        (names == services).then_some(())
    })
    .await;
    let table = terminal.prints(&["closures"]);
    assert!(table.starts_with("service       partition  next offset  life of the topic\n"), "{table}");
    app.stop().await;
}
