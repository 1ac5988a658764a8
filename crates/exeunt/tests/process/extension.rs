//! A clock that is extended, and runs longer only once its subject has been told in time.

use std::{sync::Arc, time::Duration};

use event_store::StreamId;
use exeunt::compose::Overrides;
use proto::{
    cancellation::v1::{self as pb, State},
    operations::v1::{self as ops, operations_service_client::OperationsServiceClient},
};
use testkit::ManualClock;
use tonic::{Status, transport::Channel};
use types::{Clock, Timestamp};

use crate::harness::{App, config, program, reason, stderr, stdout};

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Somebody in Germany asks to leave: a month is given, and three with an extension.
async fn asked(app: &mut App, email: &str) -> String {
    let subject = app.register_in("DE", email).await;
    let id = app.request(email, &subject).await.unwrap().cancellation_id;
    app.reach(&id, State::AwaitingConfirmation).await;
    id
}

async fn extend(
    operations: &mut OperationsServiceClient<Channel>,
    id: &str,
) -> Result<pb::Cancellation, Status> {
    let request = ops::ExtendClockRequest {
        request_id: format!("extend {id}").replace(' ', "-"),
        cancellation_id: id.into(),
        reason: "the request is complex".into(),
    };
    Ok(operations.extend_clock(request).await?.into_inner().cancellation.unwrap())
}

async fn told(
    operations: &mut OperationsServiceClient<Channel>,
    id: &str,
    at: Timestamp,
) -> Result<pb::Cancellation, Status> {
    let request = ops::RecordExtensionNoticeRequest {
        cancellation_id: id.into(),
        told_at: Some(at.to_proto()),
        reason: "message 4711".into(),
        ..ops::RecordExtensionNoticeRequest::default()
    };
    Ok(operations.record_extension_notice(request).await?.into_inner().cancellation.unwrap())
}

/// The payload of the only fact of that type.
async fn fact<M: prost::Message + prost::Name + Default>(app: &App, id: &str) -> M {
    let store = app.running.stores().iter().find(|stored| *stored.service == *"cancellation").unwrap();
    let events = store.store.load(&StreamId::new(id)).await.unwrap();
    let payloads: Vec<_> = events.into_iter().filter(|it| *it.kind == *M::full_name()).collect();
    assert_eq!(payloads.len(), 1);
    M::decode(payloads[0].payload.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn b21_a_clock_runs_longer_when_its_subject_was_told_in_time_and_only_then() {
    let clock = Arc::new(ManualClock::at(Timestamp::parse("2026-11-23T08:00:00Z").unwrap()));
    let overrides = Overrides { clock: Some(clock.clone()), ..Overrides::default() };
    let home = tempfile::tempdir().unwrap();
    let config = config(&home.path().join("data"));
    let mut app = App::run(home, config, overrides).await;
    let mut operations = OperationsServiceClient::new(app.channel.clone());
    let (id, late) = (asked(&mut app, "one@example.com").await, asked(&mut app, "two@example.com").await);

    let refused = told(&mut operations, &id, clock.now()).await.unwrap_err();
    assert_eq!(reason(&refused), "NOT_EXTENDED");
    let extended = extend(&mut operations, &id).await.unwrap();
    let first_due = extended.due_at.unwrap();
    let extension = extended.extension.unwrap();
    // A month ends on Wednesday the 23rd of December; three on the 23rd of February.
    assert_eq!(Timestamp::from_proto(&first_due).unwrap().day(), "2026-12-23");
    assert_eq!(Timestamp::from_proto(&extension.due_at.unwrap()).unwrap().day(), "2027-02-23");
    assert_eq!((extension.notice_by, extension.told_at), (Some(first_due), None));
    let fact_told: pb::ClockExtended = fact(&app, &id).await;
    assert_eq!((fact_told.notice_by, fact_told.due_at), (Some(first_due), extension.due_at));
    assert_eq!((fact_told.cancellation_id, fact_told.subject_id), (id.clone(), extended.subject_id));

    clock.advance(DAY);
    let future = told(&mut operations, &id, clock.now().plus(DAY)).await.unwrap_err();
    assert_eq!(reason(&future), "INVALID_ARGUMENT");
    let now = told(&mut operations, &id, clock.now()).await.unwrap();
    assert_eq!(
        (now.due_at, now.extension.unwrap().told_at),
        (extension.due_at, Some(clock.now().to_proto()))
    );
    let noticed: pb::ExtensionNoticed = fact(&app, &id).await;
    assert_eq!((noticed.told_at, noticed.due_at), (Some(clock.now().to_proto()), extension.due_at));
    let shown = program(&["--server", &app.server, "show", &id]);
    assert!(
        stdout(&shown).contains("  extension       told 2026-11-24 08:00:00 UTC\n"),
        "{}",
        stdout(&shown)
    );

    // The other one is told a moment too late: nothing is extended by that, and nobody can extend it any more.
    let words = ["--server", &app.server, "extend", &late, "--reason", "the request is complex"];
    let printed = program(&words);
    assert!(stdout(&printed).contains("if the subject is told by 2026-12-23"), "{}", stderr(&printed));
    clock.set(Timestamp::from_proto(&first_due).unwrap().plus(Duration::from_secs(1)));
    let words = ["--server", &app.server, "extension-told", &late, "--reason", "message 4712", "--at"];
    let printed = program(&[&words[..], &[&clock.now().to_string()]].concat());
    assert_eq!(printed.status.code(), Some(3));
    assert!(stderr(&printed).contains("EXTENSION_TOO_LATE"), "{}", stderr(&printed));
    let in_time = told(&mut operations, &late, Timestamp::from_proto(&first_due).unwrap()).await.unwrap();
    assert_eq!(in_time.due_at, extension.due_at);
    let third = asked(&mut app, "three@example.com").await;
    clock.advance(40 * DAY);
    assert_eq!(reason(&extend(&mut operations, &third).await.unwrap_err()), "EXTENSION_TOO_LATE");
    app.stop().await;
}
