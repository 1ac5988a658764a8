//! How a process starts, is refused to start, and carries on.

use std::sync::Arc;

use exeunt::compose::{self, Guest, Overrides, StartError};
use proto::{
    cancellation::v1 as pb,
    types::v1::{Scope, scope::Kind},
};
use testkit::Toy;

use crate::harness::{App, config, program, stderr};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_is_there_after_a_restart() {
    let mut app = App::start().await;
    let subject = app.register().await;
    let asked = app.request("r-1", &subject).await.unwrap();
    let keys = app.keys().await;

    let mut app = App::start_in(app.stop().await).await;
    assert_eq!(app.keys().await, keys);
    assert_eq!(app.request("r-1", &subject).await.unwrap().cancellation_id, asked.cancellation_id);
    app.reach(&asked.cancellation_id, pb::State::AwaitingConfirmation).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_same_data_says_so_and_ends() {
    let app = App::start().await;
    let directory = app.data_dir();
    let second = program(&["serve", "--listen", "127.0.0.1:0", "--data-dir", directory.to_str().unwrap()]);
    assert_eq!(second.status.code(), Some(1));
    let said = stderr(&second);
    assert!(said.contains(&format!("is in use by process {}", std::process::id())), "{said}");
    app.stop().await;
}

#[test]
fn every_fault_of_the_configuration_is_named_before_anything_starts() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("data");
    let refused = program(&[
        "serve",
        "--data-dir",
        directory.to_str().unwrap(),
        "--listen",
        "0.0.0.0:7700",
        "--event-store",
        "mysql://db",
        "--event-log",
        "kafka://broker",
        "--roster",
        "none.toml",
    ]);
    assert_eq!(refused.status.code(), Some(1));
    let said = stderr(&refused);
    for flag in ["(--listen)", "(--event-store)", "(--event-log)", "(--roster)"] {
        assert!(said.contains(flag), "{flag} is missing:\n{said}");
    }
    assert!(!directory.exists());
}

#[test]
fn a_role_alone_on_the_embedded_log_is_refused_with_the_setting_to_change() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("data");
    let refused = program(&["serve", "wallet", "retention", "--data-dir", directory.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    let said = stderr(&refused);
    assert!(said.contains("roles: wallet, retention") && said.contains("--event-log"), "{said}");
    assert!(!directory.exists());
}

#[tokio::test]
async fn a_process_with_neither_role_nor_guest_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let mut config = config(&home.path().join("data"));
    config.roles = vec!["none".into()];
    let refused = compose::start(config, Overrides::default()).await.err().unwrap();
    assert!(matches!(refused, StartError::Idle), "{refused:?}");
}

#[tokio::test]
async fn a_roster_that_names_strangers_without_keys_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("roster.toml");
    let roster =
        "[scopes.burst]\ngates = \"none\"\n[[participant]]\nname = \"stranger\"\nscopes = [\"burst\"]\n";
    std::fs::write(&path, roster).unwrap();
    let mut config = config(&home.path().join("data"));
    config.roster = Some(path);
    let refused = compose::start(config.clone(), Overrides::default()).await.err().unwrap();
    assert!(
        matches!(&refused, StartError::KeysMissing(names) if names[0].as_str() == "stranger"),
        "{refused:?}"
    );
    // The data directory is free again.
    config.roster = None;
    let mut running = compose::start(config, Overrides::default()).await.unwrap();
    running.shutdown();
    running.join().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_takes_part_like_our_own() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("roster.toml");
    let roster = "[scopes.burst]\ngates = \"none\"\n[[participant]]\nname = \"toy\"\nscopes = [\"burst\"]\n";
    std::fs::write(&path, roster).unwrap();
    let mut config = config(&home.path().join("data"));
    config.roster = Some(path);
    let guests = vec![Guest::new(Arc::new(Toy::quick()))];
    let mut app = App::run(home, config, Overrides { guests, ..Overrides::default() }).await;

    let subject_id = app.register().await;
    let request = pb::RequestCancellationRequest {
        request_id: "r-1".into(),
        subject_id,
        scope: Some(Scope { kind: Some(Kind::Named("burst".into())) }),
        ..pb::RequestCancellationRequest::default()
    };
    let requested = app.cancellation.request_cancellation(request).await.unwrap().into_inner();
    let id = requested.cancellation.unwrap().cancellation_id;
    let completed = app.reach(&id, pb::State::Completed).await;
    assert_eq!(completed.participants[0].name, "toy");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b22_a_roster_that_leaves_out_who_holds_data_stops_the_start_and_names_them_all() {
    let home = tempfile::tempdir().unwrap();
    let roster = home.path().join("roster.toml");
    let text = "[scopes.whole_account]\n[[participant]]\nname = \"wallet\"\nscopes = [\"whole_account\"]\n";
    std::fs::write(&roster, text).unwrap();
    let mut config = config(&home.path().join("data"));
    config.roster = Some(roster);
    let refused = compose::start(config, Overrides::default()).await.err().unwrap().to_string();
    assert!(
        refused.starts_with("identity, subscription, payscore, retention have personal data"),
        "{refused}"
    );
}
