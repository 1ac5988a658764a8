//! Somebody confirms, thinks again while there is time, and stays: what was suspended is taken back.

use proto::{
    cancellation::v1 as pb,
    identity::v1 as identity,
    subscription::v1 as subscription,
    types::v1::{Edition, Money},
};

use super::{
    play::{Play, expect},
    setting,
};
use crate::{cli::Failure, text};

impl Play<'_> {
    pub(super) async fn think_again(mut self) -> Result<(), Failure> {
        let subject_id = self.furnish_in_germany().await?;
        let mut follow = self.request(&subject_id).await?;
        let quoted = self.quote(&mut follow).await?;
        let token = self.verify_subject(&quoted).await?;
        let confirmed = self.confirm(&quoted, token).await?;
        self.story.step("Nothing is done yet: in the European Union they have seven days to think again");
        let frozen = |it: &pb::Cancellation| {
            let froze = |name: &str| {
                it.participants
                    .iter()
                    .any(|one| one.name == name && one.state() == pb::ParticipantState::Frozen)
            };
            it.state() == pb::State::CoolingOff && froze("subscription") && froze("identity")
        };
        let cooling = self.wait(&mut follow, "thought over", frozen).await?;
        self.story.tell(&format!(
            "it can be revoked until {}; executed from {} on",
            text::moment(cooling.undo_until.as_ref()),
            text::moment(cooling.cooling_off_until.as_ref())
        ));
        self.story.tell(&text::participants(&cooling));
        self.sign_in(&subject_id, identity::Standing::Frozen).await?;
        self.revoke(confirmed.case_token).await?;
        let revoked = |it: &pb::Cancellation| it.state() == pb::State::Revoked;
        let revoked = self.wait(&mut follow, "revoked", revoked).await?;
        self.story.tell(&text::participants(&revoked));
        let stuck = |one: &pb::Participant| one.state() == pb::ParticipantState::NotUndone;
        expect(!revoked.participants.iter().any(stuck), "everything should have been taken back")?;
        self.sign_in(&subject_id, identity::Standing::Active).await?;
        self.story.tell(&format!("revoked at {}", text::moment(revoked.ended_at.as_ref())));
        Ok(())
    }

    async fn furnish_in_germany(&mut self) -> Result<String, Failure> {
        self.story.step("A user in Germany has");
        let address = identity::contact::Address::Email("user@example.com".into());
        let services = &mut self.services;
        let subject_id = setting::register(services, "DE", Edition::International, vec![address]).await?;
        let price = Money { currency_code: "EUR".into(), minor_units: 999 };
        let request = subscription::RecordSubscriptionRequest {
            subject_id: subject_id.clone(),
            plan: Some(subscription::Plan {
                name: "Music".into(),
                tier: "monthly".into(),
                price: Some(price),
                ..subscription::Plan::default()
            }),
            billing: subscription::Billing::Merchant.into(),
            will_renew: true,
            started_at: setting::days_ago(40),
            current_period_end: setting::in_days(20),
            next_charge_at: setting::in_days(20),
            ..subscription::RecordSubscriptionRequest::default()
        };
        self.services.subscription.record_subscription(request).await?;
        self.story.tell("a music subscription of EUR 9.99 a month, which we charge");
        Ok(subject_id)
    }

    /// What an app is told that asks whether they may sign in.
    async fn sign_in(&mut self, subject_id: &str, wanted: identity::Standing) -> Result<(), Failure> {
        let request = identity::CheckSignInRequest { subject_id: subject_id.into() };
        let answer = self.services.identity.check_sign_in(request).await?.into_inner();
        self.story
            .tell(&format!("CheckSignIn → {}", text::word(answer.standing().as_str_name(), "STANDING_")));
        expect(answer.standing() == wanted, "signing in should be suspended while they may think again, only")
    }

    /// Signing in is frozen by now, so they follow the link in their mail: it carries a token that
    /// reaches this cancellation and no other.
    async fn revoke(&mut self, case_token: String) -> Result<(), Failure> {
        self.story.step("They follow the link in the confirmation, and stay");
        expect(!case_token.is_empty(), "a confirmation that can be revoked should come with a case token")?;
        let request =
            pb::RevokeCancellationRequest { case_token, ..pb::RevokeCancellationRequest::default() };
        self.services.cancellation.revoke_cancellation(request).await?;
        self.story.tell("RevokeCancellation with the case token: what was suspended is taken back");
        Ok(())
    }
}
