//! Calls about who somebody is and how they stand: registering, coming back, bans and appeals.

use proto::{
    cancellation::v1::State,
    identity::v1 as identity,
    types::v1::{self as words, scope::Kind},
};
use testkit::Dice;

use super::{Made, ask};
use crate::{
    services::Doors,
    users::{CANARY, Call, Journey, Person, Verb},
};

/// Who decides.
const ACTOR: &str = "clerk-3";

impl Person {
    /// Becomes known; the same contacts each time.
    pub(super) fn ask_to_be_known(&self, request_id: String, doors: &Doors) -> Made {
        let email = format!("{CANARY}.{}@example.com", self.name);
        let contact = identity::Contact { address: Some(identity::contact::Address::Email(email)) };
        let message = identity::RegisterSubjectRequest {
            request_id,
            region: self.region.into(),
            edition: words::Edition::Domestic.into(),
            contacts: vec![contact],
        };
        ask!(doors, identity.register_subject(message), answer)
    }

    pub(super) fn ask_about_standing(
        &self,
        call: &Call,
        subject_id: String,
        doors: &Doors,
        dice: &mut Dice,
    ) -> Made {
        let (request_id, actor, reason) = (call.request_id.clone(), ACTOR.to_owned(), "As told.".to_owned());
        match call.verb {
            // Who comes back is somebody new.
            Verb::Return if self.journeys.iter().any(Journey::has_closed_the_account) => {
                self.ask_to_be_known(request_id, doors)
            }
            Verb::Ban => {
                let reason_code = ["FRAUD", "SPAM"][dice.place(2)].to_owned();
                let message = identity::BanSubjectRequest { request_id, subject_id, reason_code, actor };
                ask!(doors, identity.ban_subject(message))
            }
            Verb::Lift => {
                let message = identity::LiftBanRequest { request_id, subject_id, actor, reason };
                ask!(doors, identity.lift_ban(message))
            }
            Verb::Appeal => {
                let text = format!("{CANARY}: it was somebody else.");
                let message = identity::AppealBanRequest { request_id, subject_id, text };
                ask!(doors, identity.appeal_ban(message), answer)
            }
            Verb::Withdraw => {
                let appeal_id = self.one_of("apl_", dice)?;
                let message = identity::WithdrawAppealRequest { request_id, appeal_id };
                ask!(doors, identity.withdraw_appeal(message))
            }
            Verb::DecideAppeal => {
                let decisions = [identity::AppealDecision::Uphold, identity::AppealDecision::Lift];
                let message = identity::DecideAppealRequest {
                    request_id,
                    appeal_id: self.one_of("apl_", dice)?,
                    decision: decisions[dice.place(2)].into(),
                    actor,
                    reason,
                };
                ask!(doors, identity.decide_appeal(message))
            }
            _ => None,
        }
    }
}

impl Journey {
    fn has_closed_the_account(&self) -> bool {
        let whole = self.scope.as_ref().is_some_and(|it| matches!(it.kind, Some(Kind::WholeAccount(_))));
        whole && self.state() == State::Completed
    }
}
