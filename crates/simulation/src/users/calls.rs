//! From what somebody does to the call that it is, through the public API.

use std::{path::Path, time::Duration};

use futures::future::BoxFuture;
use proto::{
    cancellation::v1 as cancellation, identity::v1 as identity, payscore::v1 as payscore,
    retention::v1 as retention, subscription::v1 as subscription, types::v1 as words, wallet::v1 as wallet,
};
use tonic::{Request, Status};
use types::{Caller, Timestamp};

use super::{CANARY, Call, Journey, Person, Users, Verb};
use crate::{dice::Dice, services::Doors};

/// What an answer says that its caller remembers.
#[derive(Debug)]
pub enum Answer {
    /// They are known under this id.
    Subject(String),
    /// So it stands.
    Case(Box<cancellation::Cancellation>),
    /// A code is on its way.
    Verification(String),
    /// The token that a code gave.
    Token(String),
    /// These are theirs.
    Things(Vec<String>),
    /// It is done.
    Nothing,
}

/// A call under way.
pub type Asking = BoxFuture<'static, Result<Answer, Status>>;

/// Whether the same call may be answered otherwise by and by.
pub fn is_worth_repeating(refused: &Status) -> bool {
    matches!(refused.code() as i32, UNAVAILABLE | ABORTED | RESOURCE_EXHAUSTED)
}

/// Whether what it is about is not known.
pub fn is_unknown(refused: &Status) -> bool {
    refused.code() as i32 == NOT_FOUND
}

// Status codes by their numbers in gRPC's specification.
const NOT_FOUND: i32 = 5;
const RESOURCE_EXHAUSTED: i32 = 8;
const ABORTED: i32 = 10;
const UNAVAILABLE: i32 = 14;

fn called<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Caller::local());
    request
}

/// The service that is called, and the call; `None` when that service is not up.
macro_rules! ask {
    ($doors:expr, $door:ident.$method:ident($message:expr), $answer:expr) => {{
        let (message, answer) = ($message, $answer);
        let mut client = $doors.$door.get()?;
        let asking: Asking = Box::pin(async move {
            let answered = client.$method(called(message)).await?;
            Ok(answer(answered.into_inner()))
        });
        Some((stringify!($door), asking))
    }};
}

fn case(cancellation: Option<cancellation::Cancellation>) -> Answer {
    cancellation.map_or(Answer::Nothing, |it| Answer::Case(Box::new(it)))
}

fn money(minor_units: u64) -> Option<words::Money> {
    Some(words::Money { currency_code: "CNY".into(), minor_units: minor_units as i64 })
}

impl Users {
    /// The call, ready to be made; `None` when it cannot be made now.
    pub fn ask(
        &mut self,
        call: &Call,
        doors: &Doors,
        messages: &Path,
        now: Timestamp,
    ) -> Option<(&'static str, Asking)> {
        if call.verb == Verb::Confirm
            && let Some(journey) = self.journey_mut(call)
        {
            let digest = journey.view.as_ref().and_then(|view| view.quote.as_ref())?.digest.clone();
            if !journey.accepted.contains(&digest) {
                journey.accepted.push(digest);
            }
        }
        if call.verb == Verb::Request {
            // Whoever repeats a request asks for the same.
            let scope = self.people[call.person].scope(call.content);
            self.journey_mut(call)?.scope.get_or_insert(scope);
        }
        if call.verb == Verb::Complete
            && let Some(journey) = self.journey_mut(call)
            && code(messages, journey.verification.as_ref()?).is_none()
            && call.content.is_multiple_of(2)
        {
            // Whoever waits for a code that does not come asks for another.
            journey.verification = None;
        }
        let person = &self.people[call.person];
        match call.journey {
            Some(index) => person.ask_about(call, &person.journeys[index], doors, messages, now),
            None => person.ask(call, doors, now),
        }
    }

    fn journey_mut(&mut self, call: &Call) -> Option<&mut Journey> {
        self.people[call.person].journeys.get_mut(call.journey?)
    }
}

impl Person {
    /// Calls about a cancellation.
    fn ask_about(
        &self,
        call: &Call,
        journey: &Journey,
        doors: &Doors,
        messages: &Path,
        now: Timestamp,
    ) -> Option<(&'static str, Asking)> {
        let (request_id, subject_id) = (call.request_id.clone(), self.id.clone()?);
        let cancellation_id = || journey.id.clone();
        match call.verb {
            Verb::Request => {
                let (scope, reason) = (journey.scope.clone(), reason(call.content));
                let message = cancellation::RequestCancellationRequest {
                    request_id,
                    subject_id,
                    scope,
                    reason,
                    ..cancellation::RequestCancellationRequest::default()
                };
                ask!(
                    doors,
                    cancellation.request_cancellation(message),
                    |it: cancellation::RequestCancellationResponse| case(it.cancellation)
                )
            }
            Verb::Look => {
                let message = cancellation::GetCancellationRequest {
                    cancellation_id: cancellation_id()?,
                    ..cancellation::GetCancellationRequest::default()
                };
                ask!(
                    doors,
                    cancellation.get_cancellation(message),
                    |it: cancellation::GetCancellationResponse| case(it.cancellation)
                )
            }
            Verb::Reassess => {
                let message =
                    cancellation::ReassessRequest { request_id, cancellation_id: cancellation_id()? };
                ask!(doors, cancellation.reassess(message), |it: cancellation::ReassessResponse| case(
                    it.cancellation
                ))
            }
            Verb::Revoke => {
                let reason = reason(call.content);
                let cancellation_id = cancellation_id()?;
                let message = cancellation::RevokeCancellationRequest {
                    request_id,
                    cancellation_id,
                    reason,
                    ..cancellation::RevokeCancellationRequest::default()
                };
                ask!(
                    doors,
                    cancellation.revoke_cancellation(message),
                    |it: cancellation::RevokeCancellationResponse| case(it.cancellation)
                )
            }
            Verb::Confirm => {
                let message = cancellation::ConfirmCancellationRequest {
                    request_id,
                    cancellation_id: cancellation_id()?,
                    quote_digest: journey.view.as_ref()?.quote.as_ref()?.digest.clone(),
                    verification_tokens: journey.token.iter().cloned().collect(),
                };
                ask!(
                    doors,
                    cancellation.confirm_cancellation(message),
                    |it: cancellation::ConfirmCancellationResponse| case(it.cancellation)
                )
            }
            Verb::Verify => {
                let message = identity::StartVerificationRequest {
                    request_id,
                    subject_id,
                    cancellation_id: cancellation_id()?,
                    factor: identity::Factor::EmailCode.into(),
                };
                ask!(
                    doors,
                    identity.start_verification(message),
                    |it: identity::StartVerificationResponse| Answer::Verification(it.verification_id)
                )
            }
            Verb::Complete => {
                let verification_id = journey.verification.clone()?;
                let code = code(messages, &verification_id)?;
                let message = identity::CompleteVerificationRequest { request_id, verification_id, code };
                ask!(
                    doors,
                    identity.complete_verification(message),
                    |it: identity::CompleteVerificationResponse| Answer::Token(it.verification_token)
                )
            }
            Verb::Clear => {
                let blockers = &journey.view.as_ref()?.blockers;
                let blocker = blockers.get(Dice::new(call.content).place(blockers.len()))?;
                self.clear(&blocker.item_id, request_id, subject_id, doors)
            }
            Verb::Report => {
                let waiting = journey.view.as_ref()?.participants.iter().flat_map(|it| &it.waiting);
                let items: Vec<&String> = waiting.flat_map(|waiting| &waiting.item_ids).collect();
                let item = items.get(Dice::new(call.content).place(items.len()))?;
                if !item.starts_with("sub_") {
                    return self.clear(item, request_id, subject_id, doors);
                }
                let message = subscription::RecordProviderStateRequest {
                    request_id,
                    subscription_id: (*item).clone(),
                    state: subscription::ProviderState::Ended.into(),
                    observed_at: Some(now.to_proto()),
                };
                ask!(doors, subscription.record_provider_state(message), |_| Answer::Nothing)
            }
            _ => None,
        }
    }

    /// Settles what a blocker names.
    fn clear(
        &self,
        item: &str,
        request_id: String,
        subject_id: String,
        doors: &Doors,
    ) -> Option<(&'static str, Asking)> {
        match item.split_once('_').map_or("", |(kind, _)| kind) {
            "ord" => {
                let message = payscore::CancelServiceOrderRequest { request_id, order_id: item.into() };
                ask!(doors, payscore.cancel_service_order(message), |_| Answer::Nothing)
            }
            "pur" => {
                let message =
                    payscore::RecordCreditPurchaseSettledRequest { request_id, purchase_id: item.into() };
                ask!(doors, payscore.record_credit_purchase_settled(message), |_| Answer::Nothing)
            }
            _ => {
                let message =
                    wallet::PayOutBalanceRequest { request_id, subject_id, currency_code: String::new() };
                ask!(doors, wallet.pay_out_balance(message), |_| Answer::Nothing)
            }
        }
    }

    /// Calls about no cancellation.
    fn ask(&self, call: &Call, doors: &Doors, now: Timestamp) -> Option<(&'static str, Asking)> {
        let request_id = call.request_id.clone();
        if call.verb == Verb::Register {
            let email = format!("{CANARY}.{}@example.com", self.name);
            let contact = identity::Contact { address: Some(identity::contact::Address::Email(email)) };
            let message = identity::RegisterSubjectRequest {
                request_id,
                region: self.region.into(),
                edition: words::Edition::Domestic.into(),
                contacts: vec![contact],
            };
            return ask!(
                doors,
                identity.register_subject(message),
                |it: identity::RegisterSubjectResponse| Answer::Subject(it.subject_id)
            );
        }
        let subject_id = self.id.clone()?;
        let mut dice = Dice::new(call.content);
        match call.verb {
            Verb::Balance => {
                let balance = money(dice.between(1, 500));
                let message = wallet::RecordBalanceRequest { request_id, subject_id, balance };
                ask!(doors, wallet.record_balance(message), |_| Answer::Nothing)
            }
            Verb::PayOut => {
                let message =
                    wallet::PayOutBalanceRequest { request_id, subject_id, currency_code: String::new() };
                ask!(doors, wallet.pay_out_balance(message), |_| Answer::Nothing)
            }
            Verb::Benefit => {
                let message = wallet::RecordBenefitRequest {
                    request_id,
                    subject_id,
                    kind: wallet::BenefitKind::Points.into(),
                    quantity: dice.between(1, 100) as i64,
                    ..wallet::RecordBenefitRequest::default()
                };
                ask!(doors, wallet.record_benefit(message), |_| Answer::Nothing)
            }
            Verb::Subscribe => {
                let message = subscribing(request_id, subject_id, now, &mut dice);
                ask!(
                    doors,
                    subscription.record_subscription(message),
                    |it: subscription::RecordSubscriptionResponse| things(
                        it.subscription.map(|it| it.subscription_id)
                    )
                )
            }
            Verb::DataSet => {
                let message = leaving_data(request_id, subject_id, now, &mut dice);
                ask!(doors, retention.record_data_set(message), |_| Answer::Nothing)
            }
            _ => self.ask_payscore(call, subject_id, doors, &mut dice),
        }
    }

    fn ask_payscore(
        &self,
        call: &Call,
        subject_id: String,
        doors: &Doors,
        dice: &mut Dice,
    ) -> Option<(&'static str, Asking)> {
        let request_id = call.request_id.clone();
        match call.verb {
            Verb::Authorize => {
                let message = payscore::RecordAuthorizationRequest {
                    request_id,
                    subject_id,
                    scheme: payscore::Scheme::WechatPayScore.into(),
                    merchant: Some(payscore::Merchant {
                        mchid: "1900000001".into(),
                        name: "Umbrellas".into(),
                    }),
                    service_id: "500001".into(),
                    authorization_code: format!("auth-{}", call.content),
                };
                ask!(
                    doors,
                    payscore.record_authorization(message),
                    |it: payscore::RecordAuthorizationResponse| things(
                        it.authorization.map(|it| it.authorization_id)
                    )
                )
            }
            Verb::Order => {
                let mine: Vec<&String> = self.things.iter().filter(|id| id.starts_with("aut_")).collect();
                let authorization_id = (*mine.get(dice.place(mine.len()))?).clone();
                let message = payscore::CreateServiceOrderRequest {
                    request_id,
                    authorization_id,
                    out_order_no: format!("order-{}", call.content),
                    amount: money(dice.between(1, 99)),
                    deposit_waived: None,
                };
                ask!(
                    doors,
                    payscore.create_service_order(message),
                    |it: payscore::CreateServiceOrderResponse| things(it.order.map(|it| it.order_id))
                )
            }
            Verb::Purchase => {
                let (amount, out_trade_no) = (money(dice.between(1, 99)), format!("trade-{}", call.content));
                let message =
                    payscore::RecordCreditPurchaseRequest { request_id, subject_id, amount, out_trade_no };
                ask!(
                    doors,
                    payscore.record_credit_purchase(message),
                    |it: payscore::RecordCreditPurchaseResponse| things(it.purchase.map(|it| it.purchase_id))
                )
            }
            Verb::Face => {
                let message =
                    payscore::SetFacePaymentRequest { request_id, subject_id, enabled: dice.chance(500) };
                ask!(doors, payscore.set_face_payment(message), |_| Answer::Nothing)
            }
            _ => None,
        }
    }

    /// What they want to end: everything, or some of what they have.
    fn scope(&self, wish: u64) -> words::Scope {
        use words::{Action, ItemKind, scope::Kind};
        let mut dice = Dice::new(wish);
        let whole = dice.chance(650);
        let item = |id: &String| {
            let (kind, action) = match id.split_once('_').map_or("", |(kind, _)| kind) {
                "sub" => (ItemKind::Subscription, Action::EndNow),
                "aut" => (ItemKind::PayscoreAuthorization, Action::Unbind),
                _ => return None,
            };
            Some(words::Item { kind: kind.into(), id: id.clone(), action: action.into() })
        };
        let items: Vec<words::Item> = self.things.iter().filter_map(item).take(2).collect();
        let kind = match items.is_empty() || whole {
            true => Kind::WholeAccount(words::WholeAccount {}),
            false => Kind::Selected(words::SelectedItems { items }),
        };
        words::Scope { kind: Some(kind) }
    }
}

fn things(id: Option<String>) -> Answer {
    Answer::Things(id.into_iter().collect())
}

fn reason(content: u64) -> String {
    if content.is_multiple_of(2) { format!("{CANARY}: it is not for me any more.") } else { String::new() }
}

/// The code in a message that was delivered.
fn code(messages: &Path, verification: &str) -> Option<String> {
    let message = std::fs::read_to_string(messages.join(format!("{verification}.eml"))).ok()?;
    message.split_once("Your code is ").map(|(_, rest)| rest.chars().take(6).collect())
}

fn subscribing(
    request_id: String,
    subject_id: String,
    now: Timestamp,
    dice: &mut Dice,
) -> subscription::RecordSubscriptionRequest {
    let days = |days: u64| Some(now.plus(Duration::from_secs(days * 86_400)).to_proto());
    let billings = [
        subscription::Billing::Merchant,
        subscription::Billing::Merchant,
        subscription::Billing::AppStore,
        subscription::Billing::Carrier,
    ];
    let period = dice.between(1, 60);
    subscription::RecordSubscriptionRequest {
        request_id,
        subject_id,
        plan: Some(subscription::Plan { name: "Video".into(), tier: String::new(), price: money(1_500) }),
        billing: billings[dice.place(billings.len())].into(),
        current_period_end: days(period),
        next_charge_at: days(period),
        will_renew: true,
        ..subscription::RecordSubscriptionRequest::default()
    }
}

fn leaving_data(
    request_id: String,
    subject_id: String,
    now: Timestamp,
    dice: &mut Dice,
) -> retention::RecordDataSetRequest {
    use retention::DataCategory as Category;
    let categories =
        [Category::Profile, Category::TransactionRecords, Category::DeviceLogs, Category::Marketing];
    let past = Timestamp::from_micros(now.as_micros() - 3_600_000_000 * dice.between(2, 2_000) as i64);
    retention::RecordDataSetRequest {
        request_id,
        subject_id,
        system: "app".into(),
        controller: Some(retention::Controller { name: "Exeunt Ltd".into(), jurisdiction: "CN".into() }),
        category: categories[dice.place(categories.len())].into(),
        last_event_at: Some(past.to_proto()),
        ..retention::RecordDataSetRequest::default()
    }
}
