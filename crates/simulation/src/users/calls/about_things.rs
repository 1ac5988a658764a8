//! Calls about no cancellation: what people are, have and leave behind.

use std::time::Duration;

use proto::{
    identity::v1 as identity, payscore::v1 as payscore, retention::v1 as retention,
    subscription::v1 as subscription, types::v1 as words, wallet::v1 as wallet,
};
use types::Timestamp;

use super::{Made, ask};
use crate::{
    dice::Dice,
    services::Doors,
    users::{CANARY, Call, Person, Verb},
};

fn money(minor_units: u64) -> Option<words::Money> {
    Some(words::Money { currency_code: "CNY".into(), minor_units: minor_units as i64 })
}

impl Person {
    /// A call about no cancellation.
    pub(super) fn ask(&self, call: &Call, doors: &Doors, now: Timestamp) -> Made {
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
            return ask!(doors, identity.register_subject(message), answer);
        }
        let subject_id = self.id.clone()?;
        let mut dice = Dice::new(call.content);
        match call.verb {
            Verb::Balance => {
                let balance = money(dice.between(1, 500));
                let message = wallet::RecordBalanceRequest { request_id, subject_id, balance };
                ask!(doors, wallet.record_balance(message))
            }
            Verb::PayOut => {
                let message =
                    wallet::PayOutBalanceRequest { request_id, subject_id, currency_code: String::new() };
                ask!(doors, wallet.pay_out_balance(message))
            }
            Verb::Benefit => {
                let message = wallet::RecordBenefitRequest {
                    request_id,
                    subject_id,
                    kind: wallet::BenefitKind::Points.into(),
                    quantity: dice.between(1, 100) as i64,
                    ..wallet::RecordBenefitRequest::default()
                };
                ask!(doors, wallet.record_benefit(message))
            }
            Verb::Subscribe => {
                let message = subscribing(request_id, subject_id, now, &mut dice);
                ask!(doors, subscription.record_subscription(message), answer)
            }
            Verb::DataSet => {
                let message = leaving_data(request_id, subject_id, now, &mut dice);
                ask!(doors, retention.record_data_set(message))
            }
            Verb::Hold | Verb::Release => self.ask_about_holds(call, subject_id, doors, &mut dice),
            _ => self.ask_payscore(call, subject_id, doors, &mut dice),
        }
    }

    /// What courts ask about their data.
    fn ask_about_holds(&self, call: &Call, subject_id: String, doors: &Doors, dice: &mut Dice) -> Made {
        let (request_id, actor) = (call.request_id.clone(), "clerk-1".to_owned());
        if call.verb == Verb::Hold {
            let message = retention::PlaceHoldRequest {
                request_id,
                subject_id,
                ground: "LITIGATION".into(),
                authority: "A court".into(),
                actor,
                ..retention::PlaceHoldRequest::default()
            };
            return ask!(doors, retention.place_hold(message), answer);
        }
        let placed: Vec<&String> = self.things.iter().filter(|id| id.starts_with("hld_")).collect();
        let hold_id = (*placed.get(dice.place(placed.len()))?).clone();
        let reason = "It is over.".to_owned();
        let message = retention::ReleaseHoldRequest { request_id, hold_id, reason, actor };
        ask!(doors, retention.release_hold(message))
    }

    fn ask_payscore(&self, call: &Call, subject_id: String, doors: &Doors, dice: &mut Dice) -> Made {
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
                ask!(doors, payscore.record_authorization(message), answer)
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
                ask!(doors, payscore.create_service_order(message), answer)
            }
            Verb::Purchase => {
                let (amount, out_trade_no) = (money(dice.between(1, 99)), format!("trade-{}", call.content));
                let message =
                    payscore::RecordCreditPurchaseRequest { request_id, subject_id, amount, out_trade_no };
                ask!(doors, payscore.record_credit_purchase(message), answer)
            }
            Verb::Face => {
                let message =
                    payscore::SetFacePaymentRequest { request_id, subject_id, enabled: dice.chance(500) };
                ask!(doors, payscore.set_face_payment(message))
            }
            _ => None,
        }
    }

    /// What they want to end: everything, or some of what they have.
    pub(super) fn scope(&self, wish: u64) -> words::Scope {
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
        plan: Some(subscription::Plan {
            name: "Video".into(),
            price: money(1_500),
            ..subscription::Plan::default()
        }),
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
        controller: Some(retention::Controller {
            name: "Exeunt Ltd".into(),
            jurisdiction: "CN".into(),
            ..retention::Controller::default()
        }),
        category: categories[dice.place(categories.len())].into(),
        last_event_at: Some(past.to_proto()),
        ..retention::RecordDataSetRequest::default()
    }
}
