//! What the law asks for, on the command line and without a server.

use serde_json::{Value, json};

use crate::harness::{program, stderr, stdout};

fn clock(more: &[&str]) -> Value {
    let counted = program(&[&["policy", "clock", "--output", "json"], more].concat());
    assert_eq!((counted.status.code(), stderr(&counted)), (Some(0), ""));
    serde_json::from_str(stdout(&counted)).unwrap()
}

#[test]
fn a_date_is_counted_with_the_steps_that_lead_to_it() {
    let from = ["--pack", "cn", "--clock", "complete", "--from", "2026-09-28T10:00:00+08:00"];
    let counted = clock(&from);
    assert_eq!(
        (&counted["due"], &counted["lastDay"], &counted["provisional"]),
        (&json!("2026-10-23T16:00:00Z"), &json!("2026-10-23"), &json!(false))
    );
    let steps = counted["steps"].as_array().unwrap();
    let at = |day: &str| &steps.iter().find(|step| step["at"] == day).unwrap()["what"];
    assert_eq!(at("2026-10-01"), "public holiday");
    assert_eq!(at("2026-10-10"), "weekend day worked for a holiday 5 of 15");
    assert_eq!(at("2026-10-11"), "weekend");
}

#[test]
fn what_stood_still_is_added_and_an_extension_is_announced_in_time() {
    let from = ["--pack", "eu", "--clock", "complete", "--from", "2027-01-11T10:00:00Z"];
    let paused = ["--paused", "2027-01-12T08:00:00Z/2027-01-19T08:00:00Z"];
    assert_eq!(clock(&from)["due"], "2027-02-11T23:00:00Z");
    assert_eq!(clock(&[&from[..], &paused].concat())["due"], "2027-02-18T23:00:00Z");
    let extended = clock(&[&from[..], &["--extended"]].concat());
    assert_eq!(
        (&extended["due"], &extended["extensionNotice"]),
        (&json!("2027-04-12T22:00:00Z"), &json!("2027-02-11T23:00:00Z"))
    );
}

#[test]
fn what_applies_is_told_with_its_source() {
    let explained = program(&["policy", "explain", "de", "termination"]);
    assert_eq!((explained.status.code(), stderr(&explained)), (Some(0), ""));
    let told = stdout(&explained);
    assert!(told.starts_with("Germany (pack de, version 1), scope termination\n"), "{told}");
    assert!(
        told.contains("no login may be asked for") && told.contains("BGB § 312k; BGH I ZR 200/25 [law, B]"),
        "{told}"
    );
    let explained = program(&["policy", "explain", "cn", "whole_account"]);
    let told = stdout(&explained);
    let line = told.lines().find(|line| line.starts_with("retention TRANSACTION_RECORDS ")).unwrap();
    assert!(line.contains("kept for P10Y from the last event, for ANTI_MONEY_LAUNDERING only"), "{line}");
    assert!(line.contains("AML Law 2024 Art. 34 [law, A]"), "{line}");
    assert!(
        told.contains("kept for P3Y from the last event, for TRADE_RECORDS only; binds platform"),
        "{told}"
    );
    let listed = program(&["policy", "list"]);
    let packs: Vec<&str> =
        stdout(&listed).lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(packs, ["pack", "be", "cn", "de", "default", "eu", "gb", "us-ca"]);
}

#[test]
fn what_is_not_there_or_wrong_is_named_with_what_there_is() {
    let unknown = program(&["policy", "explain", "fr", "whole_account"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(stderr(&unknown).contains("there is no pack `fr`; there are be, cn, de, default, eu, gb, us-ca"));
    let from = ["policy", "clock", "--pack", "cn", "--from", "2026-09-28T10:00:00Z", "--clock"];
    let unknown = program(&[&from[..], &["wait"]].concat());
    assert!(
        stderr(&unknown).contains("pack cn has no clock `wait`; it has acknowledge, "),
        "{}",
        stderr(&unknown)
    );
    let wrong = program(&["policy", "clock", "--pack", "cn", "--clock", "complete", "--from", "yesterday"]);
    assert_eq!(wrong.status.code(), Some(2));

    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("packs")).unwrap();
    let pack = "version = 1\nname = \"Ours\"\nextends = \"cn\"\nzone = \"Mars\"\ncalendar = \"mars\"\n";
    std::fs::write(folder.path().join("packs/ours.toml"), pack).unwrap();
    let broken = program(&["policy", "list", "--packs", folder.path().to_str().unwrap()]);
    assert_eq!(broken.status.code(), Some(1));
    let said = stderr(&broken);
    assert!(said.contains("packs/ours.toml: zone: there is no zone `Mars`"), "{said}");
    assert!(said.contains("packs/ours.toml: calendar: there is no calendar `mars`"), "{said}");
}
