//! Roles apart and together, replicas, and how the coordinator learns the keys of participants.

use exeunt::compose::{Role, StopError};
use keys::SigningKey;
use serde_json::Value;
use tonic::Code;
use tonic_types::StatusExt;

use crate::{
    harness::{WITHIN, eventually, jwks_at, program, reason, stderr, stdout},
    set::{self, Program, Set, ready},
};

#[tokio::test(flavor = "multi_thread")]
async fn six_processes_with_nothing_in_common_play_the_session_to_a_verified_receipt() {
    let Some(set) = Set::on_real_engines() else { return };
    let programs = Role::ALL.map(|role| Program::spawn(&set, role));
    let mut servers = Vec::new();
    for (role, mut program) in Role::ALL.into_iter().zip(programs) {
        let url = program.listens();
        ready(&exeunt::cli::connect(&url).await.unwrap()).await;
        let owner = if role == Role::Cancellation { "exeunt:receipts" } else { role.name() };
        let keys = jwks_at(&url).await;
        assert!(keys.contains(&format!(r#""exeunt_owner":"{owner}""#)), "{keys}");
        servers.push((format!("{role}={url}"), program));
    }
    let named = servers.iter().map(|(server, _)| server.as_str()).collect::<Vec<_>>().join(",");
    let messages = set.data_dir(Role::Identity, "only").join("messages");
    let ask = |arguments: &[&str]| program(&[&["--server", &named], arguments].concat());

    // The coordinator hears of every key in a moment; the demo itself asks once.
    let owners = ["exeunt:receipts", "identity", "payscore", "retention", "subscription", "wallet"];
    eventually(async || {
        let keys = ask(&["keys"]);
        let keys: Value = serde_json::from_str(stdout(&keys)).ok()?;
        let owner = |key: &Value| key["exeunt_owner"].as_str().map(str::to_owned);
        let mut told: Vec<_> = keys["keys"].as_array()?.iter().filter_map(owner).collect();
        told.sort();
        (told == owners).then_some(())
    })
    .await;
    for _ in 0..2 {
        let played = ask(&["demo", "--json", "--messages", messages.to_str().unwrap()]);
        assert_eq!(played.status.code(), Some(0), "{}", stderr(&played));
        let told: Value = serde_json::from_str(stdout(&played)).unwrap();
        assert_eq!((&told["state"], &told["verified"]), (&"STATE_COMPLETED".into(), &true.into()), "{told}");
        assert_eq!(told["participants"].as_array().unwrap().len(), 5);
    }
    assert_eq!(stdout(&ask(&["parked", "list"])), "nothing is parked\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_before_its_participants_says_whose_key_it_waits_for() {
    let Some(set) = Set::on_real_engines() else { return };
    let coordinator = set.start(Role::Cancellation, "a").await.ready().await;
    let identity = set.start(Role::Identity, "a").await;
    let subject = identity.register().await;
    let refused = eventually(async || {
        let refused = coordinator.request("r-1", &subject).await.unwrap_err();
        (refused.code() == Code::Unavailable).then_some(refused)
    });
    let refused = refused.await;
    assert_eq!(reason(&refused), "PARTICIPANT_KEY_UNKNOWN");
    assert!(
        refused.message().contains("wallet") && refused.get_details_retry_info().is_some(),
        "{refused:?}"
    );

    let wallet = set.start(Role::Wallet, "a").await;
    let id = eventually(async || coordinator.request("r-1", &subject).await.ok()).await;
    assert_eq!(coordinator.proven(&id).await.roster, ["wallet"]);
    for member in [coordinator, identity, wallet] {
        member.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_with_a_guest_and_no_role_takes_part() {
    let Some(set) = Set::on_real_engines() else { return };
    let coordinator = set.start(Role::Cancellation, "a").await;
    let identity = set.start(Role::Identity, "a").await;
    let guest = set.start_guest().await.ready().await;
    let subject = identity.register().await;
    let asked = async || coordinator.request_scope("guests", "r-1", &subject).await.ok();
    let id = eventually(asked).await;
    assert_eq!(coordinator.proven(&id).await.roster, ["toy"]);
    for member in [coordinator, identity, guest] {
        member.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_keys_and_work_and_go_on_when_one_of_each_is_killed_and_started_again() {
    let Some(set) = Set::on_real_engines() else { return };
    let start = async |member| {
        let identity = set.start(Role::Identity, member).await;
        (set.start(Role::Cancellation, member).await, identity, set.start(Role::Wallet, member).await)
    };
    let (a, b) = (start("a").await, start("b").await);
    let (a, b) = ((a.0.ready().await, a.1.ready().await, a.2), (b.0.ready().await, b.1, b.2.ready().await));
    let mut ids = Vec::new();
    for (number, (coordinator, identity)) in
        [(&a.0, &b.1), (&b.0, &a.1), (&a.0, &a.1)].into_iter().enumerate()
    {
        let subject = identity.register().await;
        let request_id = format!("r-{number}");
        let id = eventually(async || coordinator.request(&request_id, &subject).await.ok()).await;
        // The other replica answers the same request alike.
        assert_eq!(b.0.request(&request_id, &subject).await.unwrap(), id);
        ids.push(id);
    }
    let keys = a.0.keys().await;
    drop(a);
    let a = start("a").await;
    let subject = b.1.register().await;
    ids.push(eventually(async || a.0.request("r-last", &subject).await.ok()).await);
    for id in &ids {
        assert_eq!(a.0.proven(id).await, b.0.proven(id).await);
    }
    assert_eq!((a.0.keys().await, b.0.keys().await), (keys.clone(), keys));
    for member in [a.0, a.1, a.2, b.0, b.1, b.2] {
        member.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_of_a_participant_strands_no_cancellation_and_receipts_hold_under_the_old_one() {
    let Some(set) = Set::on_real_engines() else { return };
    let coordinator = set.start(Role::Cancellation, "a").await;
    let identity = set.start(Role::Identity, "a").await;
    let wallet = set.start(Role::Wallet, "a").await;
    let subject = identity.register().await;
    let before = eventually(async || coordinator.request("before", &subject).await.ok()).await;
    let kid = coordinator.proven(&before).await.acknowledgements[0].kid.clone();

    wallet.stop().await;
    let open = coordinator.request("open", &subject).await.unwrap();
    std::fs::remove_file(set.shared_dir(Role::Wallet).join("keys/wallet.key")).unwrap();
    let wallet = set.start(Role::Wallet, "a").await;
    let signed = coordinator.proven(&open).await;
    assert_ne!(signed.acknowledgements[0].kid, kid);
    assert_eq!(coordinator.proven(&before).await.acknowledgements[0].kid, kid);
    for member in [coordinator, identity, wallet] {
        member.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_signed_with_a_key_announced_too_late_is_parked_and_tried_again_by_itself() {
    let Some(set) = Set::on_real_engines() else { return };
    let coordinator = set.start(Role::Cancellation, "a").await;
    let identity = set.start(Role::Identity, "a").await;
    // The test plays the participant.
    let (first, second) = (SigningKey::from_seed([1; 32]), SigningKey::from_seed([2; 32]));
    let log = coordinator.running.log();
    log.publish(vec![set::announcement(&first)]).await.unwrap();
    let subject = identity.register().await;
    let id = eventually(async || coordinator.request("r-1", &subject).await.ok()).await;

    log.publish(vec![set::done(&id, &subject, &second)]).await.unwrap();
    eventually(async || (coordinator.parked().await == ["KEY_UNKNOWN"]).then_some(())).await;
    log.publish(vec![set::announcement(&second)]).await.unwrap();
    assert_eq!(coordinator.proven(&id).await.acknowledgements[0].kid, second.kid());
    assert!(coordinator.parked().await.is_empty());
    for member in [coordinator, identity] {
        member.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_replicas_with_one_member_id_the_older_stops_and_says_why() {
    let Some(set) = Set::on_real_engines() else { return };
    let mut older = set.start(Role::Wallet, "a").await.ready().await;
    let younger = set.start_twin(Role::Wallet, "a").await;
    let stopped = tokio::time::timeout(WITHIN * 3, older.running.join()).await.unwrap().unwrap_err();
    let StopError::Service { service, source } = stopped else { panic!("{stopped:?}") };
    let told = std::iter::successors(Some(&*source as &dyn std::error::Error), |error| error.source());
    let told = told.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    assert_eq!(&*service, "wallet");
    assert!(told.contains("joined exeunt.wallet as a") && told.contains("--member-id"), "{told}");
    younger.ready().await.stop().await;
}
