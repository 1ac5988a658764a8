//! Operators: what waits for a person is listed, given to somebody, tried again and attested, over the
//! API and the command line.

use std::{sync::Arc, time::Duration};

use exeunt::compose::Overrides;
use proto::{
    cancellation::v1 as pb,
    operations::v1::{self as ops, operations_service_client::OperationsServiceClient},
    participant::v1::{Acknowledgement, Failure, Outcome},
    types::v1::{WholeAccount, scope::Kind},
};
use serde_json::Value;
use testkit::ManualClock;
use tonic::transport::Channel;
use types::{Clock, SystemClock};

use crate::{
    answers::{Partner, said},
    harness::{eventually, program, reason, stderr, stdout},
};

impl Partner {
    fn operations(&self) -> OperationsServiceClient<Channel> {
        OperationsServiceClient::new(self.app.channel.clone())
    }

    async fn fails(&self, case: &(String, String), revision: u32) {
        let failure =
            Failure { code: "NO_LEDGER".into(), cause: "The ledger is shut.".into(), owner: "lee".into() };
        let said = Acknowledgement { failure: Some(failure), ..said(case, revision, Outcome::Failed) };
        self.publish(&case.0, &[participant::contract::sign(&said, &self.key)]).await;
    }

    /// Gives something to Kim; how it stands then.
    async fn assign(
        &self,
        request_id: &str,
        id: &str,
        told: &pb::Attention,
        due_at: Option<prost_types::Timestamp>,
    ) -> pb::Attention {
        let assign = ops::AssignAttentionRequest {
            request_id: request_id.into(),
            cancellation_id: id.into(),
            cause: told.cause,
            participant: told.participant.clone(),
            owner: "kim".into(),
            due_at,
            reason: "on call".into(),
        };
        let answer = self.operations().assign_attention(assign).await.unwrap().into_inner();
        answer.cancellation.unwrap().attention.remove(0)
    }

    /// One cancellation a page, and filters that leave none.
    async fn pages_hold_all_three(&self) {
        let mut request = ops::ListAttentionRequest { page_size: 1, ..ops::ListAttentionRequest::default() };
        let mut ids = std::collections::BTreeSet::new();
        loop {
            let page = self.operations().list_attention(request.clone()).await.unwrap().into_inner();
            assert!(page.waiting.len() <= 1);
            ids.extend(page.waiting.into_iter().map(|one| one.cancellation_id));
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        assert_eq!(ids.len(), 3);
        let any = ops::ListAttentionRequest::default;
        for none in [
            ops::ListAttentionRequest { causes: vec![pb::AttentionCause::DueSoon.into()], ..any() },
            ops::ListAttentionRequest { participant: "other".into(), ..any() },
            ops::ListAttentionRequest { owner: "nobody".into(), ..any() },
            ops::ListAttentionRequest { due_before: Some(SystemClock.now().to_proto()), ..any() },
        ] {
            let page = self.operations().list_attention(none).await.unwrap().into_inner();
            assert_eq!(page.waiting, []);
        }
        let wrong = ops::ListAttentionRequest { page_size: -1, page_token: "x".into(), ..any() };
        let refused = self.operations().list_attention(wrong).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    }

    /// All that waits, once something does.
    async fn waiting(&self, owner: &str) -> Vec<ops::WaitingForAttention> {
        let request =
            ops::ListAttentionRequest { owner: owner.into(), ..ops::ListAttentionRequest::default() };
        eventually(async || {
            let told = self.operations().list_attention(request.clone()).await.unwrap().into_inner().waiting;
            Some(told).filter(|told| !told.is_empty())
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b27_what_failed_is_listed_with_its_owner_and_tried_again_and_attested() {
    let mut partner = Partner::start().await;
    let (case, other) = (partner.request("one").await, partner.request("two").await);
    partner.fails(&case, 1).await;
    let waiting = partner.waiting("lee").await;
    let told = waiting[0].attention.clone().unwrap();
    assert_eq!((waiting.len(), &waiting[0].cancellation_id), (1, &case.0));
    assert_eq!((told.cause(), told.level()), (pb::AttentionCause::Failed, pb::AttentionLevel::Attention));
    assert_eq!(told.text, "partner failed (NO_LEDGER): The ledger is shut.");
    assert!(told.due_at.is_some());

    let due_at = Some(SystemClock.now().plus(Duration::from_secs(3_600)).to_proto());
    for _ in 0..2 {
        let told = partner.assign("a1", &case.0, &told, due_at).await;
        assert_eq!((told.owner.as_str(), told.due_at, told.assigned), ("kim", due_at, true));
    }
    assert_eq!(partner.waiting("kim").await.len(), 1);

    let retry = ops::RetryParticipantRequest {
        request_id: "r1".into(),
        cancellation_id: case.0.clone(),
        participant: "partner".into(),
        reason: "the ledger is open again".into(),
    };
    let again = partner.operations().retry_participant(retry.clone()).await.unwrap().into_inner();
    let again = again.cancellation.unwrap();
    assert_eq!((again.attention.len(), again.participants[0].state()), (0, pb::ParticipantState::Instructed));
    let refused = ops::RetryParticipantRequest { request_id: "r2".into(), ..retry };
    let refused = partner.operations().retry_participant(refused).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);

    // It is done by hand at last, and its own answer comes much later.
    let server = partner.app.server.clone();
    let attest =
        ["--participant", "partner", "--evidence", "T-17", "--reason", "done by hand", "--output", "json"];
    let words = ["--server", &server, "attest", &case.0];
    let printed = program(&[&words[..], &attest[..]].concat());
    assert_eq!(printed.status.code(), Some(0), "{}", stderr(&printed));
    let printed: Value = serde_json::from_str(stdout(&printed)).unwrap();
    assert_eq!(printed["cancellation"]["state"], "STATE_COMPLETED");
    assert_eq!(printed["cancellation"]["participants"][0]["attestation"]["evidence"], "T-17");
    let written = program(&["--server", &server, "texts", &case.0]);
    let why = stdout(&written).lines().last().unwrap_or_default().to_owned();
    assert!(why.contains("attest") && why.ends_with("partner      done by hand"), "{}", stdout(&written));
    let keys = keys::JwkSet::parse(&partner.app.keys().await).unwrap();
    let first = partner.receipt(&case.0, 1).await;
    let proven = cancellation::receipt::verify(&first.receipt_jws, &keys).unwrap();
    assert_eq!((proven.acknowledgements.len(), proven.attestations[0].evidence.as_str()), (0, "T-17"));
    let own = Acknowledgement { epoch: 2, ..said(&case, 1, Outcome::Done) };
    partner.publish(&case.0, &[participant::contract::sign(&own, &partner.key)]).await;
    let second = eventually(async || {
        let newest = partner.receipt(&case.0, 0).await;
        (newest.newest_version == 2).then_some(newest)
    })
    .await;
    let both = [first.receipt_jws.as_str(), &second.receipt_jws];
    let receipts = cancellation::receipt::verify_all(both, &keys).unwrap();
    assert_eq!((receipts[1].attestations.len(), receipts[1].acknowledgements.len()), (0, 1));

    let listed = program(&["--server", &server, "attention", "list"]);
    assert_eq!(stdout(&listed), "nothing waits for a person\n");
    partner.fails(&other, 1).await;
    partner.waiting("").await;
    let listed =
        program(&["--server", &server, "attention", "list", "--cause", "failed", "--output", "json"]);
    let listed: Value = serde_json::from_str(stdout(&listed)).unwrap();
    assert_eq!(listed["waiting"][0]["cancellationId"], other.0.as_str());
    partner.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b07_a_bulk_retry_tells_all_that_failed_goes_on_by_itself_and_can_be_stopped() {
    let mut partner = Partner::start().await;
    let server = partner.app.server.clone();
    let mut cases = Vec::new();
    for request_id in ["one", "two", "three"] {
        let case = partner.request(request_id).await;
        partner.fails(&case, 1).await;
        cases.push(case);
    }
    eventually(async || (partner.waiting("").await.len() == 3).then_some(())).await;
    partner.pages_hold_all_three().await;
    let start = ops::StartBulkRetryRequest {
        request_id: "b1".into(),
        filter: Some(ops::AttentionFilter {
            participant: "partner".into(),
            ..ops::AttentionFilter::default()
        }),
        per_participant_per_minute: 6_000,
        reason: "the ledger is open again".into(),
    };
    let mut operations = partner.operations();
    let bulk = operations.start_bulk_retry(start.clone()).await.unwrap().into_inner().bulk_retry.unwrap();
    let again = operations.start_bulk_retry(start).await.unwrap().into_inner().bulk_retry.unwrap();
    assert_eq!(bulk.bulk_id, again.bulk_id);
    let request = ops::GetBulkRetryRequest { bulk_id: bulk.bulk_id.clone() };
    let finished = eventually(async || {
        let stands = partner.operations().get_bulk_retry(request.clone()).await.unwrap().into_inner();
        stands.bulk_retry.filter(|bulk| bulk.state() == ops::BulkRetryState::Finished)
    })
    .await;
    assert_eq!((finished.retried, finished.skipped), (3, 0));
    for case in &cases {
        let done = Acknowledgement { epoch: 2, ..said(case, 1, Outcome::Done) };
        partner.publish(&case.0, &[participant::contract::sign(&done, &partner.key)]).await;
        partner.app.reach(&case.0, pb::State::Completed).await;
    }

    // One a minute: it is stopped before it has told the second.
    let mut more = Vec::new();
    for request_id in ["four", "five"] {
        let case = partner.request(request_id).await;
        partner.fails(&case, 1).await;
        more.push(case);
    }
    eventually(async || (partner.waiting("").await.len() == 2).then_some(())).await;
    let words = ["bulk-retry", "start", "--per-minute", "1", "--reason", "slowly", "--output", "json"];
    let started = program(&[&["--server", &server][..], &words].concat());
    let started: Value = serde_json::from_str(stdout(&started)).unwrap();
    let bulk_id = started["bulkRetry"]["bulkId"].as_str().unwrap().to_owned();
    let request = ops::GetBulkRetryRequest { bulk_id: bulk_id.clone() };
    eventually(async || {
        let stands = partner.operations().get_bulk_retry(request.clone()).await.unwrap().into_inner();
        stands.bulk_retry.filter(|bulk| bulk.retried == 1)
    })
    .await;
    let stopped = program(&["--server", &server, "bulk-retry", "cancel", &bulk_id, "--reason", "enough"]);
    assert!(stdout(&stopped).contains("cancelled, 1 told once more, 0 passed over"), "{}", stderr(&stopped));
    let status = program(&["--server", &server, "bulk-retry", "status", &bulk_id]);
    assert_eq!(stdout(&status), stdout(&stopped));
    assert_eq!(partner.waiting("").await.len(), 1);
    let missing = program(&["--server", &server, "bulk-retry", "status", "blk_none"]);
    assert_eq!(missing.status.code(), Some(3));
    partner.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b07_a_bulk_retry_rests_for_those_that_it_told_and_not_for_those_that_it_does_not_mean() {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let overrides = Overrides { clock: Some(clock.clone()), ..Overrides::default() };
    let mut partner = Partner::beside("extends = \"default\"\n", "partner", overrides).await;
    // The newest are looked at first: those meant are the oldest, behind more than a page of others.
    let mut meant = Vec::new();
    for number in 0..55 {
        let case = partner.request(&format!("r{number}")).await;
        partner.fails(&case, 1).await;
        if number < 2 {
            meant.push(case.0);
        }
        clock.advance(Duration::from_secs(1));
    }
    eventually(async || (partner.waiting("").await.len() == 55).then_some(())).await;
    clock.advance(Duration::from_secs(60));
    let due_at = Some(clock.now().plus(Duration::from_secs(3_600)).to_proto());
    for (number, id) in meant.iter().enumerate() {
        let told = pb::Attention {
            cause: pb::AttentionCause::Failed.into(),
            participant: "partner".into(),
            ..pb::Attention::default()
        };
        partner.assign(&format!("a{number}"), id, &told, due_at).await;
    }
    let filter = ops::AttentionFilter { owner: "kim".into(), ..ops::AttentionFilter::default() };
    let start = ops::StartBulkRetryRequest {
        filter: Some(filter),
        per_participant_per_minute: 1,
        reason: "the ledger is open again".into(),
        ..ops::StartBulkRetryRequest::default()
    };
    let bulk = partner.operations().start_bulk_retry(start).await.unwrap().into_inner().bulk_retry.unwrap();
    let request = ops::GetBulkRetryRequest { bulk_id: bulk.bulk_id };
    let stands = async |retried| {
        eventually(async || {
            let stands = partner.operations().get_bulk_retry(request.clone()).await.unwrap().into_inner();
            stands.bulk_retry.filter(|bulk| bulk.retried == retried)
        })
        .await
    };
    // The clock stands still, and yet it gets past the others; the second has a minute to wait.
    assert_eq!(stands(1).await.state(), ops::BulkRetryState::Running);
    clock.advance(Duration::from_secs(59));
    assert_eq!(stands(1).await.state(), ops::BulkRetryState::Running);
    clock.advance(Duration::from_secs(1));
    assert_eq!(stands(2).await.skipped, 0);
    partner.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b03_who_does_not_answer_is_told_of_by_itself_and_what_nobody_deals_with_is_overdue() {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let overrides = Overrides { clock: Some(clock.clone()), ..Overrides::default() };
    let mut partner = Partner::beside("extends = \"default\"\n", "partner", overrides).await;
    let case = partner.request("one").await;
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    for (later, level) in [
        (minutes(15), pb::AttentionLevel::Reminder),
        (minutes(60), pb::AttentionLevel::Attention),
        (minutes(24 * 60), pb::AttentionLevel::Overdue),
    ] {
        clock.advance(later);
        let told = eventually(async || {
            let told = partner.waiting("operations").await.remove(0).attention.unwrap();
            (told.level() == level).then_some(told)
        })
        .await;
        assert_eq!(told.cause(), pb::AttentionCause::AnswerOverdue);
    }
    let done =
        Acknowledgement { acknowledged_at: Some(clock.now().to_proto()), ..said(&case, 1, Outcome::Done) };
    partner.publish(&case.0, &[participant::contract::sign(&done, &partner.key)]).await;
    let completed = partner.app.reach(&case.0, pb::State::Completed).await;
    assert_eq!(completed.attention, []);
    partner.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attestation_that_completes_the_closing_of_an_account_closes_it() {
    let roster = "extends = \"default\"\n";
    let mut partner = Partner::beside(roster, "whole_account", Overrides::default()).await;
    let (case, subject) = partner.request_of("one", Kind::WholeAccount(WholeAccount {})).await;
    // The others finish by themselves; the partner alone says nothing.
    let request = pb::GetCancellationRequest { cancellation_id: case.clone(), ..Default::default() };
    eventually(async || {
        let answer = partner.app.cancellation.get_cancellation(request.clone()).await.unwrap().into_inner();
        let all = answer.cancellation.unwrap().participants;
        let open = all.iter().filter(|one| one.state() != pb::ParticipantState::Finished);
        (open.map(|one| one.name.as_str()).collect::<Vec<_>>() == ["partner"]).then_some(())
    })
    .await;
    let attest = ops::AttestRequest {
        cancellation_id: case.clone(),
        participant: "partner".into(),
        evidence: "T-1".into(),
        reason: "done by hand".into(),
        ..ops::AttestRequest::default()
    };
    let attested = partner.operations().attest(attest).await.unwrap().into_inner().cancellation.unwrap();
    assert_eq!(attested.state(), pb::State::Completed);
    let refused = partner.app.request("two", &subject).await.unwrap_err();
    assert_eq!(reason(&refused), "SUBJECT_CLOSED");
    partner.app.stop().await;
}
