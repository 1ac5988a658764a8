//! The event log is away: what is accepted waits within a bound, then callers are told to come back,
//! what is read goes on, and nothing is lost when it is there again.

use std::sync::Arc;

use exeunt::compose::Overrides;
use messaging::EventLog;
use proto::{
    cancellation::v1::{self as can, State},
    types::v1 as words,
};
use testkit::{Fault, FaultyLog};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{client::until, process::Engines, stage::Stage};

/// Events of a service that may wait.
const BACKLOG_EVENTS_MAX: u64 = 60;
/// More cancellations than fit into it.
const ASKED: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_log_is_away_a_bounded_backlog_is_accepted_and_all_of_it_completes_later() {
    let (stage, log) = start().await;
    let client = stage.client();
    let mut subjects = Vec::new();
    for n in 0..ASKED {
        subjects.push(crate::settle::settle_in(&client, n).await);
    }
    let before = stage.published().await;
    let recorded = |relays: &[proto::operations::v1::Relay]| {
        relays.iter().find(|relay| relay.service == "cancellation").map_or(0, |relay| relay.recorded)
    };

    log.fail_publishes(u64::MAX, Fault::Before);
    let mut accepted = Vec::new();
    let mut refused = 0;
    for (n, subject) in subjects.iter().enumerate() {
        match request(&stage, n, subject).await {
            Ok(cancellation) => {
                assert_eq!(refused, 0, "what is full stays full while nothing is published");
                accepted.push((n, cancellation.cancellation_id));
            }
            Err(status) => {
                assert_behind(&status);
                refused += 1;
            }
        }
    }
    assert!(!accepted.is_empty() && refused > 0, "{} accepted, {refused} refused", accepted.len());
    let relays = stage.operations().list_relays(proto::operations::v1::ListRelaysRequest {}).await;
    let waiting = recorded(&relays.unwrap().into_inner().relays) - recorded(&before);
    // One request records a few events at once.
    assert!((BACKLOG_EVENTS_MAX..BACKLOG_EVENTS_MAX + 10).contains(&waiting), "{waiting} wait");

    // What is read goes on, and so does the answer to what was asked before.
    let (n, id) = accepted[0].clone();
    assert_eq!(client.get(&id).await.state(), State::Assessing);
    assert_eq!(request(&stage, n, &subjects[n]).await.unwrap().cancellation_id, id);
    let watch = can::WatchCancellationRequest { cancellation_id: id.clone(), ..Default::default() };
    let mut changes = client.cancellation.clone().watch_cancellation(watch).await.unwrap().into_inner();
    assert_eq!(changes.message().await.unwrap().unwrap().cancellation.unwrap().cancellation_id, id);

    // Nobody does anything about it but the log.
    log.fail_publishes(0, Fault::Before);
    for (n, subject) in subjects.iter().enumerate().skip(accepted.len()) {
        let cancellation =
            until("the request to be accepted", async || match request(&stage, n, subject).await {
                Ok(cancellation) => Some(cancellation),
                Err(status) => {
                    assert_behind(&status);
                    None
                }
            });
        accepted.push((n, cancellation.await.cancellation_id));
    }
    for (_, id) in &accepted {
        client.until(id, State::AwaitingConfirmation).await;
    }
}

async fn start() -> (Stage, Arc<FaultyLog>) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let before_log = move |inner: Arc<dyn EventLog>| -> Arc<dyn EventLog> {
        let faulty = FaultyLog::new(inner);
        sender.send(faulty.clone()).unwrap();
        faulty
    };
    let overrides = Overrides { before_log: Some(Box::new(before_log)), ..Overrides::default() };
    let bound = BACKLOG_EVENTS_MAX.to_string();
    let stage =
        Stage::start_with(Engines::Embedded, &[("limits.backlog_events_max", &bound)], overrides).await;
    (stage, receiver.recv().unwrap())
}

async fn request(stage: &Stage, n: usize, subject_id: &str) -> Result<can::Cancellation, Status> {
    let whole = words::scope::Kind::WholeAccount(words::WholeAccount {});
    let request = can::RequestCancellationRequest {
        request_id: format!("leave-{n}"),
        subject_id: subject_id.to_owned(),
        scope: Some(words::Scope { kind: Some(whole) }),
        ..Default::default()
    };
    let answer = stage.client().cancellation.request_cancellation(request).await?;
    Ok(answer.into_inner().cancellation.unwrap())
}

/// It says what is the matter, and when to come back.
#[track_caller]
fn assert_behind(status: &Status) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "PUBLISHING_BEHIND");
    assert!(details.retry_info().unwrap().retry_delay.is_some());
}
