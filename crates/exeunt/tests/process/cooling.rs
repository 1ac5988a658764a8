//! The time to think again, through the public API, on a clock that goes when told.

use std::{sync::Arc, time::Duration};

use exeunt::compose::Overrides;
use proto::{
    cancellation::v1 as pb,
    participant::v1::QuoteItemKind,
    types::v1::Money,
    wallet::v1::{self as wallet, wallet_service_client::WalletServiceClient},
};
use testkit::ManualClock;
use types::{Clock, SystemClock};

use crate::harness::{App, config, reason};

const DAY: Duration = Duration::from_secs(86_400);

/// All services on a manual clock, and somebody in Germany who has confirmed.
struct Cooling {
    app: App,
    clock: Arc<ManualClock>,
    subject: String,
    id: String,
    case_token: String,
}

impl Cooling {
    async fn begin() -> Self {
        let home = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let overrides = Overrides { clock: Some(clock.clone()), ..Overrides::default() };
        let config = config(&home.path().join("data"));
        let mut app = App::run(home, config, overrides).await;
        let subject = app.register_in("DE", "user@example.com").await;
        let id = app.request("leave", &subject).await.unwrap().cancellation_id;
        let mut cooling = Self { app, clock, subject, id, case_token: String::new() };
        let confirmed = cooling.confirm().await;
        cooling.case_token = confirmed.case_token;
        cooling
    }

    /// Accepts the quote as it stands.
    async fn confirm(&mut self) -> pb::ConfirmCancellationResponse {
        let quoted = self.app.reach(&self.id, pb::State::AwaitingConfirmation).await;
        let token = self.app.token(&self.subject, &self.id).await;
        let request = pb::ConfirmCancellationRequest {
            cancellation_id: self.id.clone(),
            quote_digest: quoted.quote.unwrap().digest,
            verification_tokens: vec![token],
            ..pb::ConfirmCancellationRequest::default()
        };
        self.app.cancellation.confirm_cancellation(request).await.unwrap().into_inner()
    }

    async fn give_points(&self) {
        let request = wallet::RecordBenefitRequest {
            subject_id: self.subject.clone(),
            kind: wallet::BenefitKind::Points.into(),
            quantity: 100,
            paid_value: Some(Money { currency_code: "EUR".into(), minor_units: 500 }),
            ..wallet::RecordBenefitRequest::default()
        };
        WalletServiceClient::new(self.app.channel.clone()).record_benefit(request).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_for_seven_days_and_then_it_is_done_by_itself() {
    let mut cooling = Cooling::begin().await;
    let waiting = cooling.app.reach(&cooling.id, pb::State::CoolingOff).await;
    let at = |stamp: Option<&prost_types::Timestamp>| types::Timestamp::from_proto(stamp.unwrap()).unwrap();
    let confirmed = at(waiting.confirmed_at.as_ref());
    assert_eq!(at(waiting.cooling_off_until.as_ref()), confirmed.plus(DAY * 7));
    assert!(at(waiting.undo_until.as_ref()) <= confirmed.plus(DAY * 7));
    assert_eq!(waiting.terms.unwrap().pack, "de");
    cooling.clock.advance(DAY * 7);
    let completed = cooling.app.reach(&cooling.id, pb::State::Completed).await;
    assert!(completed.differences.iter().all(|one| !one.material), "{:?}", completed.differences);
    cooling.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_new_when_the_time_is_over_is_accepted_before_anything_is_done() {
    let mut cooling = Cooling::begin().await;
    cooling.give_points().await;
    cooling.clock.advance(DAY * 7);
    let asked = cooling.app.reach(&cooling.id, pb::State::AwaitingConfirmation).await;
    let new: Vec<_> = asked.differences.iter().filter(|one| one.material).collect();
    assert_eq!(new.len(), 1, "{:?}", asked.differences);
    assert_eq!((new[0].kind(), new[0].item_kind()), (pb::DifferenceKind::Added, QuoteItemKind::Lapses));
    // Who has had the time to think is not given it again.
    let confirmed = cooling.confirm().await;
    assert_eq!(confirmed.case_token, "");
    cooling.app.reach(&cooling.id, pb::State::Completed).await;
    cooling.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b05_who_is_asked_again_after_cooling_off_answers_with_the_case_token_they_have() {
    let mut cooling = Cooling::begin().await;
    cooling.give_points().await;
    cooling.clock.advance(DAY * 7);
    let asked = cooling.app.reach(&cooling.id, pb::State::AwaitingConfirmation).await;
    cooling.clock.advance(DAY * 20);
    let (mut api, case_token) = (cooling.app.cancellation.clone(), cooling.case_token.clone());
    let again = pb::ReassessRequest { case_token: case_token.clone(), ..pb::ReassessRequest::default() };
    api.reassess(again).await.unwrap();
    let asked_again = cooling.app.reach(&cooling.id, pb::State::AwaitingConfirmation).await;
    assert_eq!(asked_again.quote.as_ref().unwrap().digest, asked.quote.unwrap().digest);
    // Whoever holds it gets the next before it ends.
    let next = pb::IssueCaseTokenRequest { case_token, ..pb::IssueCaseTokenRequest::default() };
    let case_token = api.issue_case_token(next).await.unwrap().into_inner().case_token;
    let request = pb::ConfirmCancellationRequest {
        case_token,
        quote_digest: asked_again.quote.unwrap().digest,
        verification_tokens: vec![cooling.app.token(&cooling.subject, &cooling.id).await],
        ..pb::ConfirmCancellationRequest::default()
    };
    api.confirm_cancellation(request).await.unwrap();
    cooling.app.reach(&cooling.id, pb::State::Completed).await;
    cooling.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b05_who_cannot_sign_in_any_more_revokes_with_the_case_token() {
    let mut cooling = Cooling::begin().await;
    let revoke = |case_token: &str, id: &str| pb::RevokeCancellationRequest {
        cancellation_id: id.into(),
        case_token: case_token.into(),
        ..pb::RevokeCancellationRequest::default()
    };
    let mut api = cooling.app.cancellation.clone();
    let refused = api.revoke_cancellation(revoke("a.b.c", "")).await.unwrap_err();
    assert_eq!(reason(&refused), "CASE_TOKEN_INVALID");
    let refused = api.revoke_cancellation(revoke(&cooling.case_token, "can_other")).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    let (cancellation_id, lifetime_seconds) = (cooling.id.clone(), 3_600);
    let case_token = String::new();
    let issue = pb::IssueCaseTokenRequest { cancellation_id, lifetime_seconds, case_token };
    let short = api.issue_case_token(issue).await.unwrap().into_inner().case_token;
    cooling.clock.advance(DAY * 6);
    let refused = api.revoke_cancellation(revoke(&short, "")).await.unwrap_err();
    assert_eq!(reason(&refused), "CASE_TOKEN_EXPIRED");
    // The one that came with the confirmation reaches as far as there is a way back.
    api.revoke_cancellation(revoke(&cooling.case_token, "")).await.unwrap();
    let revoked = cooling.app.reach(&cooling.id, pb::State::Revoked).await;
    let undone = [pb::ParticipantState::Undone, pb::ParticipantState::Assessed];
    assert!(revoked.participants.iter().all(|one| undone.contains(&one.state())), "{revoked:?}");
    // The account lives on: another request is taken.
    let subject = cooling.subject.clone();
    cooling.app.request("again", &subject).await.unwrap();
    cooling.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn giving_a_reason_or_none_changes_no_deadline() {
    let mut cooling = Cooling::begin().await;
    let (subject, scope) = (cooling.subject.clone(), cooling.app.whole_account());
    let mut ask = async |request_id: &str, reason: &str| {
        let request = pb::RequestCancellationRequest {
            request_id: request_id.into(),
            subject_id: subject.clone(),
            scope: Some(scope.clone()),
            reason: reason.into(),
            ..pb::RequestCancellationRequest::default()
        };
        let answer = cooling.app.cancellation.request_cancellation(request).await.unwrap();
        answer.into_inner().cancellation.unwrap()
    };
    let (silent, telling) = (ask("one", "").await, ask("other", "Too expensive.").await);
    assert_eq!((silent.due_at, silent.terms), (telling.due_at, telling.terms));
    cooling.app.stop().await;
}
