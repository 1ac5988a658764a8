//! Calls about cancellations: of the coordinator and of identity, and what clears the way.

use std::path::Path;

use proto::{
    cancellation::v1 as cancellation, identity::v1 as identity, payscore::v1 as payscore,
    retention::v1 as retention, subscription::v1 as subscription, wallet::v1 as wallet,
};
use testkit::Dice;
use types::Timestamp;

use super::{Made, ask, by_operators::ask_operator};
use crate::{
    services::Doors,
    users::{CANARY, Call, Journey, Person, Verb},
};

impl Person {
    /// A call about a cancellation.
    pub(super) fn ask_about(
        &self,
        call: &Call,
        journey: &Journey,
        doors: &Doors,
        messages: &Path,
        now: Timestamp,
    ) -> Made {
        match call.verb {
            Verb::Request => self.ask_for_it(call, journey, doors),
            Verb::Verify | Verb::Complete => self.ask_identity(call, journey, doors, messages),
            Verb::Clear | Verb::Report => self.ask_to_settle(call, journey, doors, now),
            Verb::Recheck | Verb::Retry | Verb::Attest | Verb::Extend | Verb::Assign => {
                ask_operator(call, journey, doors, now)
            }
            _ => ask_coordinator(call, journey, doors),
        }
    }

    fn ask_for_it(&self, call: &Call, journey: &Journey, doors: &Doors) -> Made {
        let message = cancellation::RequestCancellationRequest {
            request_id: call.request_id.clone(),
            subject_id: journey.subject.clone().or_else(|| self.id.clone())?,
            scope: journey.scope.clone(),
            reason: reason(call.content),
            ..cancellation::RequestCancellationRequest::default()
        };
        ask!(doors, cancellation.request_cancellation(message), answer)
    }

    fn ask_identity(&self, call: &Call, journey: &Journey, doors: &Doors, messages: &Path) -> Made {
        let request_id = call.request_id.clone();
        if call.verb == Verb::Verify {
            let message = identity::StartVerificationRequest {
                request_id,
                subject_id: self.id.clone()?,
                cancellation_id: journey.id.clone()?,
                factor: identity::Factor::EmailCode.into(),
            };
            return ask!(doors, identity.start_verification(message), answer);
        }
        let verification_id = journey.verification.clone()?;
        let code = code(messages, &verification_id)?;
        let message = identity::CompleteVerificationRequest { request_id, verification_id, code };
        ask!(doors, identity.complete_verification(message), answer)
    }

    /// Clears one of the blockers, or reports one of the things that are waited for as ended.
    fn ask_to_settle(&self, call: &Call, journey: &Journey, doors: &Doors, now: Timestamp) -> Made {
        let view = journey.view.as_ref()?;
        let waiting = view.participants.iter().flat_map(|it| &it.waiting);
        let items: Vec<&String> = match call.verb {
            Verb::Clear => view.blockers.iter().map(|blocker| &blocker.item_id).collect(),
            _ => waiting.flat_map(|waiting| &waiting.item_ids).collect(),
        };
        let item = (*items.get(Dice::new(call.content).place(items.len()))?).clone();
        let request_id = call.request_id.clone();
        match item.split_once('_').map_or("", |(kind, _)| kind) {
            "sub" => {
                let message = subscription::RecordProviderStateRequest {
                    request_id,
                    subscription_id: item,
                    state: subscription::ProviderState::Ended.into(),
                    observed_at: Some(now.to_proto()),
                };
                ask!(doors, subscription.record_provider_state(message))
            }
            "ord" => {
                let message = payscore::CancelServiceOrderRequest { request_id, order_id: item };
                ask!(doors, payscore.cancel_service_order(message))
            }
            "dat" => {
                let message = retention::ReportDeviceCleanUpRequest {
                    request_id,
                    data_set_id: item,
                    client: "phone".into(),
                };
                ask!(doors, retention.report_device_clean_up(message))
            }
            "pur" => {
                let message = payscore::RecordCreditPurchaseSettledRequest { request_id, purchase_id: item };
                ask!(doors, payscore.record_credit_purchase_settled(message))
            }
            _ => {
                let (subject_id, currency_code) = (journey.subject.clone()?, String::new());
                let message = wallet::PayOutBalanceRequest { request_id, subject_id, currency_code };
                ask!(doors, wallet.pay_out_balance(message))
            }
        }
    }
}

fn ask_coordinator(call: &Call, journey: &Journey, doors: &Doors) -> Made {
    let (request_id, cancellation_id) = (call.request_id.clone(), journey.id.clone()?);
    // Whoever has a token for it needs no id.
    let (by_id, case_token) = match &journey.case_token {
        Some(token) if call.content.is_multiple_of(2) => (String::new(), token.clone()),
        _ => (cancellation_id.clone(), String::new()),
    };
    match call.verb {
        Verb::Look => {
            let message = cancellation::GetCancellationRequest { cancellation_id: by_id, case_token };
            ask!(doors, cancellation.get_cancellation(message), answer)
        }
        Verb::Token => {
            let message = cancellation::IssueCaseTokenRequest { cancellation_id, ..Default::default() };
            ask!(doors, cancellation.issue_case_token(message), answer)
        }
        Verb::Reassess => {
            let message = cancellation::ReassessRequest { request_id, cancellation_id: by_id, case_token };
            ask!(doors, cancellation.reassess(message), answer)
        }
        Verb::Revoke => {
            let message = cancellation::RevokeCancellationRequest {
                request_id,
                cancellation_id: by_id,
                reason: reason(call.content / 2),
                case_token,
            };
            ask!(doors, cancellation.revoke_cancellation(message), answer)
        }
        Verb::Confirm => {
            let message = cancellation::ConfirmCancellationRequest {
                request_id,
                cancellation_id: by_id,
                quote_digest: journey.view.as_ref()?.quote.as_ref()?.digest.clone(),
                verification_tokens: journey.token.iter().cloned().collect(),
                case_token,
            };
            ask!(doors, cancellation.confirm_cancellation(message), answer)
        }
        _ => None,
    }
}

fn reason(content: u64) -> String {
    if content.is_multiple_of(2) { format!("{CANARY}: it is not for me any more.") } else { String::new() }
}

/// The code in a message that was delivered.
pub(super) fn code(messages: &Path, verification: &str) -> Option<String> {
    let message = std::fs::read_to_string(messages.join(format!("{verification}.eml"))).ok()?;
    message.split_once("Your code is ").map(|(_, rest)| rest.chars().take(6).collect())
}
