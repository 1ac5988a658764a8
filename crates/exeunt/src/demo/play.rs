//! The play: request, blockers, quote, proof of who asks, confirmation, execution, receipt.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use cancellation::receipt;
use keys::JwkSet;
use proto::{
    cancellation::v1 as pb,
    identity::v1 as identity,
    participant::v1::Blocker,
    payscore::v1 as payscore,
    subscription::v1 as subscription,
    types::v1::{Scope, WholeAccount, scope::Kind},
    wallet::v1 as wallet,
};
use tokio::time::{interval, timeout};

use super::{
    Reached,
    follow::{Follow, WITHIN},
    live::Live,
    services::Services,
    setting::{self, Setting},
    story::Story,
};
use crate::{
    cli::{Failure, args::Scenario, told},
    text,
};

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Everything that the play needs.
pub(super) struct Play<'a> {
    pub(super) services: Services,
    pub(super) story: &'a Story,
    messages: PathBuf,
    pub(super) reached: &'a mut Reached,
}

impl<'a> Play<'a> {
    pub(super) fn new(
        services: Services,
        story: &'a Story,
        messages: PathBuf,
        reached: &'a mut Reached,
    ) -> Self {
        Self { services, story, messages, reached }
    }

    pub(super) async fn play(self, scenario: Scenario) -> Result<(), Failure> {
        match scenario {
            Scenario::Leave => self.leave().await,
            Scenario::Revoke => self.think_again().await,
            Scenario::Hold => self.leave_under_a_hold().await,
        }
    }

    async fn leave(mut self) -> Result<(), Failure> {
        let setting = self.furnish().await?;
        let mut follow = self.request(&setting.subject_id).await?;
        self.clear_blockers(&setting, &mut follow).await?;
        let quoted = self.quote(&mut follow).await?;
        let token = self.verify_subject(&quoted).await?;
        self.confirm(&quoted, token).await?;
        self.execute(&setting, &mut follow).await?;
        self.prove(&quoted.cancellation_id).await
    }

    async fn furnish(&mut self) -> Result<Setting, Failure> {
        self.story.step("A user in China has");
        let setting = setting::furnish(&mut self.services).await?;
        self.story.tell(
            "a wallet with CNY 128.40, 1,250 points, and two coupons, one of them bought for CNY 19.90
a power bank rented for CNY 6.00 on their payment score, the deposit of CNY 99.00 waived
headphones bought on credit for CNY 399.00
a video membership of CNY 25.00 a month, which we charge
cloud storage of CNY 21.00 a month, which the App Store charges
six data sets: transactions, identity documents, profile, marketing, chats, chats of an employer",
        );
        self.story.tell(&format!("known to everybody but identity only as {}", setting.subject_id));
        Ok(setting)
    }

    pub(super) async fn request(&mut self, subject_id: &str) -> Result<Follow, Failure> {
        self.story.step("They ask to close the whole account");
        let request = pb::RequestCancellationRequest {
            request_id: format!("demo-{}", types::fresh_uuid().simple()),
            subject_id: subject_id.into(),
            scope: Some(Scope { kind: Some(Kind::WholeAccount(WholeAccount {})) }),
            channel: "app".into(),
            reason: "I am moving abroad.".into(),
            ..pb::RequestCancellationRequest::default()
        };
        let answer = self.services.cancellation.request_cancellation(request).await?.into_inner();
        let cancellation = answer.cancellation.unwrap_or_default();
        self.story.tell(&format!("RequestCancellation → {}", cancellation.cancellation_id));
        let names: Vec<_> = cancellation.participants.iter().map(|one| one.name.as_str()).collect();
        self.story.tell(&format!("asked what blocks and what follows: {}", names.join(", ")));
        Follow::start(&mut self.services, cancellation).await
    }

    /// Three things stand in the way, told at once, and are cleared one after the other.
    async fn clear_blockers(&mut self, setting: &Setting, follow: &mut Follow) -> Result<(), Failure> {
        self.story.step("What stands in the way is told at once");
        let blocked = self.wait(follow, "blocked", |it| it.state() == pb::State::Blocked).await?;
        self.story.tell(&text::blockers(&blocked.blockers));
        expect(blocked.blockers.len() == 3, "three things should stand in the way")?;

        self.story.step("It is cleared, and assessed again by itself each time");
        let rented = blocker(&blocked, &setting.order_id).cloned();
        self.story.tell("CompleteServiceOrder: the power bank is back, but not paid for");
        let request = payscore::CompleteServiceOrderRequest {
            order_id: setting.order_id.clone(),
            ..payscore::CompleteServiceOrderRequest::default()
        };
        self.services.payscore.complete_service_order(request).await?;
        let unpaid = |it: &pb::Cancellation| {
            it.state() == pb::State::Blocked && blocker(it, &setting.order_id).cloned() != rented
        };
        let still = self.wait(follow, "assessed again", unpaid).await?;
        let left = blocker(&still, &setting.order_id).cloned();
        expect(left.is_some(), "a rental that is over should block until it is paid for")?;
        self.story.tell(&text::blockers(left.as_slice()));

        self.story.tell("RecordCollection: it is paid for");
        let request = payscore::RecordCollectionRequest {
            order_id: setting.order_id.clone(),
            state: payscore::Collection::UserPaid.into(),
            ..payscore::RecordCollectionRequest::default()
        };
        self.services.payscore.record_collection(request).await?;
        self.wait_cleared(follow, &setting.order_id).await?;

        self.story.tell("RecordCreditPurchaseSettled: the headphones are paid for");
        let request = payscore::RecordCreditPurchaseSettledRequest {
            purchase_id: setting.purchase_id.clone(),
            ..payscore::RecordCreditPurchaseSettledRequest::default()
        };
        self.services.payscore.record_credit_purchase_settled(request).await?;
        self.wait_cleared(follow, &setting.purchase_id).await?;

        self.story.tell("PayOutBalance: the balance is on its way to their bank account");
        let request = wallet::PayOutBalanceRequest {
            subject_id: setting.subject_id.clone(),
            ..wallet::PayOutBalanceRequest::default()
        };
        self.services.wallet.pay_out_balance(request).await?;
        Ok(())
    }

    async fn wait_cleared(&mut self, follow: &mut Follow, item_id: &str) -> Result<(), Failure> {
        let assessed = [pb::State::Blocked, pb::State::AwaitingConfirmation];
        let cleared =
            |it: &pb::Cancellation| assessed.contains(&it.state()) && blocker(it, item_id).is_none();
        let now = self.wait(follow, "cleared", cleared).await?;
        self.story.tell(&format!("  still in the way: {}", now.blockers.len()));
        Ok(())
    }

    pub(super) async fn quote(&mut self, follow: &mut Follow) -> Result<pb::Cancellation, Failure> {
        self.story.step("Nothing is in the way any more: this is what they are asked to accept");
        let quoted = |it: &pb::Cancellation| it.state() == pb::State::AwaitingConfirmation;
        let quoted = self.wait(follow, "quoted", quoted).await?;
        self.story.tell(&text::quote_of(&quoted));
        Ok(quoted)
    }

    /// A code goes to the subject's mailbox, and comes back for a token.
    pub(super) async fn verify_subject(&mut self, of: &pb::Cancellation) -> Result<String, Failure> {
        self.story.step("They prove who they are");
        let request = identity::StartVerificationRequest {
            subject_id: of.subject_id.clone(),
            cancellation_id: of.cancellation_id.clone(),
            factor: identity::Factor::EmailCode.into(),
            ..identity::StartVerificationRequest::default()
        };
        let started = self.services.identity.start_verification(request).await?.into_inner();
        self.story.tell(&format!("StartVerification → a code is sent to {}", started.masked_address));
        let (file, message) = arrived(&self.messages, &started.verification_id).await?;
        self.story.tell(&format!("arrived: {}", file.display()));
        for line in message.lines() {
            self.story.tell(format!("  | {line}").trim_end());
        }
        let code = code_of(&message).ok_or_else(|| Failure::plain("the message should have a code"))?;
        let request = identity::CompleteVerificationRequest {
            verification_id: started.verification_id,
            code: code.into(),
            ..identity::CompleteVerificationRequest::default()
        };
        let completed = self.services.identity.complete_verification(request).await?.into_inner();
        let until = text::moment(completed.expires_at.as_ref());
        self.story.tell(&format!("CompleteVerification → a token for this cancellation, good until {until}"));
        Ok(completed.verification_token)
    }

    pub(super) async fn confirm(
        &mut self,
        quoted: &pb::Cancellation,
        token: String,
    ) -> Result<pb::ConfirmCancellationResponse, Failure> {
        self.story.step("They confirm");
        let quote_digest = quoted.quote.as_ref().map(|quote| quote.digest.clone()).unwrap_or_default();
        self.story.tell(&format!("ConfirmCancellation with the token and the digest {quote_digest}"));
        let request = pb::ConfirmCancellationRequest {
            cancellation_id: quoted.cancellation_id.clone(),
            quote_digest,
            verification_tokens: vec![token],
            ..pb::ConfirmCancellationRequest::default()
        };
        Ok(self.services.cancellation.confirm_cancellation(request).await?.into_inner())
    }

    /// Everybody leaves; the App Store's subscription as soon as its owner has ended it there.
    async fn execute(&mut self, setting: &Setting, follow: &mut Follow) -> Result<(), Failure> {
        self.story.step("Everybody leaves, in order");
        let mut live = Live::new(self.story);
        let store = &setting.store_subscription_id;
        let waits = |it: &pb::Cancellation| waiting_for(it, store).is_some();
        let waiting = follow.until("waiting for the user", |it| live.show(it), waits).await?;
        let link = waiting_for(&waiting, store).map(|waiting| waiting.link.clone()).unwrap_or_default();
        live.aside(&format!("→ the user opens {link} and ends the subscription there"));
        let request = subscription::RecordProviderStateRequest {
            subscription_id: store.clone(),
            state: subscription::ProviderState::Ended.into(),
            observed_at: Some(setting::now().to_proto()),
            ..subscription::RecordProviderStateRequest::default()
        };
        self.services.subscription.record_provider_state(request).await?;
        live.aside("→ RecordProviderState: the store says that it has ended");
        let completed = |it: &pb::Cancellation| it.state() == pb::State::Completed;
        let ended = follow.until("completed", |it| live.show(it), completed).await;
        self.reached.cancellation = follow.latest().clone();
        drop(live);
        let ended = ended?;
        self.story.tell(&format!("completed at {}", text::moment(ended.ended_at.as_ref())));
        Ok(())
    }

    /// The receipt, verified with public keys and nothing else.
    pub(super) async fn prove(&mut self, cancellation_id: &str) -> Result<(), Failure> {
        self.story.step("The receipt proves it, to anybody, without asking us");
        let request = pb::GetReceiptRequest { cancellation_id: cancellation_id.into(), ..Default::default() };
        let answer = self.services.cancellation.get_receipt(request).await?.into_inner();
        let jwks = self.services.cancellation.get_keys(pb::GetKeysRequest {}).await?.into_inner().jwks_json;
        self.story.tell(&format!("GetReceipt → a JWS of {} characters", answer.receipt_jws.len()));
        let acknowledgements = answer.receipt.unwrap_or_default().acknowledgements;
        self.reached.kids = acknowledgements.into_iter().map(|one| (one.participant, one.kid)).collect();
        self.reached.receipt_jws = Some(answer.receipt_jws.clone());
        let keys = JwkSet::parse(&jwks).map_err(|error| Failure::local("GetKeys gave no keys", error))?;
        let verified = receipt::verify(&answer.receipt_jws, &keys)
            .map_err(|error| Failure::NotVerified(error.into()))?;
        self.reached.verified = true;
        self.story.tell(&told(&verified));
        self.story.tell("With both in files: exeunt verify receipt.jws --keys jwks.json");
        Ok(())
    }

    pub(super) async fn wait(
        &mut self,
        follow: &mut Follow,
        wanted: &str,
        reached: impl Fn(&pb::Cancellation) -> bool,
    ) -> Result<pb::Cancellation, Failure> {
        let waited = follow.until(wanted, |_| (), reached).await;
        self.reached.cancellation = follow.latest().clone();
        waited
    }
}

pub(super) fn expect(holds: bool, what: &str) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::plain(what)) }
}

fn blocker<'a>(of: &'a pb::Cancellation, item_id: &str) -> Option<&'a Blocker> {
    of.blockers.iter().find(|blocker| blocker.item_id == item_id)
}

fn waiting_for<'a>(of: &'a pb::Cancellation, item_id: &str) -> Option<&'a proto::participant::v1::Waiting> {
    let waiting = of.participants.iter().filter(|one| one.state() == pb::ParticipantState::Waiting);
    waiting
        .filter_map(|one| one.waiting.as_ref())
        .find(|waiting| waiting.item_ids.iter().any(|id| id == item_id))
}

/// Waits for the message of a verification. The folder is the one thing looked at beside the API: it
/// stands in for the user's mailbox.
async fn arrived(folder: &Path, verification_id: &str) -> Result<(PathBuf, String), Failure> {
    let look = || {
        let entries = std::fs::read_dir(folder).ok()?;
        let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let path = paths.find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.contains(verification_id) && !name.starts_with('.')
        })?;
        let message = std::fs::read_to_string(&path).ok()?;
        Some((path, message))
    };
    let waited = timeout(WITHIN, async {
        let mut ticks = interval(LOOK_EVERY);
        loop {
            ticks.tick().await;
            if let Some(found) = look() {
                return found;
            }
        }
    });
    waited.await.map_err(|_| Failure::plain("no message arrived in the message folder"))
}

/// The six digits in a message's body.
fn code_of(message: &str) -> Option<&str> {
    let body = message.split_once("\r\n\r\n").or_else(|| message.split_once("\n\n")).map(|(_, body)| body)?;
    body.split(|char: char| !char.is_ascii_digit()).find(|digits| digits.len() == 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_the_six_digits_of_the_body() {
        assert_eq!(code_of("Date: 123456\r\n\r\nAt 10:00 your code is 042917.\r\n"), Some("042917"));
        assert_eq!(code_of("X: 1\n\nno code, only 1234567"), None);
    }
}
