//! Calls about no cancellation: what people are, have and leave behind.

use std::time::Duration;

use proto::{
    payscore::v1 as payscore, retention::v1 as retention, subscription::v1 as subscription,
    types::v1 as words, wallet::v1 as wallet,
};
use testkit::Dice;
use types::Timestamp;

use super::{Made, ask};
use crate::{
    services::Doors,
    users::{Call, Person, Verb},
};

fn money(minor_units: u64) -> Option<words::Money> {
    Some(words::Money { currency_code: "CNY".into(), minor_units: minor_units as i64 })
}

impl Person {
    /// A call about no cancellation.
    pub(super) fn ask(&self, call: &Call, doors: &Doors, now: Timestamp) -> Made {
        let request_id = call.request_id.clone();
        if call.verb == Verb::Register {
            return self.ask_to_be_known(request_id, doors);
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
                ask!(doors, retention.record_data_set(message), answer)
            }
            Verb::CleanUp => {
                let data_set_id = self.one_of("dat_", &mut dice)?;
                let client = "phone".to_owned();
                let message = retention::ReportDeviceCleanUpRequest { request_id, data_set_id, client };
                ask!(doors, retention.report_device_clean_up(message))
            }
            Verb::Hold | Verb::Release => self.ask_about_holds(call, subject_id, doors, now, &mut dice),
            Verb::Charge | Verb::Apply | Verb::Refunds | Verb::DecideRefund | Verb::PayRefund => {
                self.ask_for_money(call, subject_id, doors, now, &mut dice)
            }
            Verb::Return | Verb::Ban | Verb::Lift | Verb::Appeal | Verb::Withdraw | Verb::DecideAppeal => {
                self.ask_about_standing(call, subject_id, doors, &mut dice)
            }
            _ => self.ask_payscore(call, subject_id, doors, &mut dice),
        }
    }

    /// What courts ask about their data.
    fn ask_about_holds(
        &self,
        call: &Call,
        subject_id: String,
        doors: &Doors,
        now: Timestamp,
        dice: &mut Dice,
    ) -> Made {
        let (request_id, actor) = (call.request_id.clone(), "clerk-1".to_owned());
        if call.verb == Verb::Hold {
            let message = retention::PlaceHoldRequest {
                request_id,
                subject_id,
                ground: "LITIGATION".into(),
                authority: "A court".into(),
                actor,
                expires_at: dice.chance(400).then(|| in_days(now, dice.between(1, 12))),
                ..retention::PlaceHoldRequest::default()
            };
            return ask!(doors, retention.place_hold(message), answer);
        }
        // One that was placed though nobody was answered is found in the list.
        let known = self.one_of("hld_", dice).filter(|_| call.content.is_multiple_of(2));
        let Some(hold_id) = known else {
            let message = retention::ListHoldsRequest { subject_id };
            return ask!(doors, retention.list_holds(message), answer);
        };
        let reason = "It is over.".to_owned();
        let message = retention::ReleaseHoldRequest { request_id, hold_id, reason, actor };
        ask!(doors, retention.release_hold(message))
    }

    /// Charges, and what comes back of them.
    fn ask_for_money(
        &self,
        call: &Call,
        subject_id: String,
        doors: &Doors,
        now: Timestamp,
        dice: &mut Dice,
    ) -> Made {
        use subscription::{RefundDestination as Destination, RefundReason as Reason};
        let request_id = call.request_id.clone();
        match call.verb {
            Verb::Charge => {
                let message = subscription::RecordChargeRequest {
                    request_id,
                    subscription_id: self.one_of("sub_", dice)?,
                    charge_reference: format!("charge-{}", call.content),
                    amount: money(1_500),
                    charged_at: Some(now.to_proto()),
                };
                ask!(doors, subscription.record_charge(message), answer)
            }
            Verb::Apply => {
                let reason = [Reason::Unused, Reason::Accidental, Reason::Other][dice.place(3)].into();
                let subscription_id = self.one_of("sub_", dice)?;
                let message = subscription::ApplyForRefundRequest { request_id, subscription_id, reason };
                ask!(doors, subscription.apply_for_refund(message), answer)
            }
            Verb::Refunds => {
                let ids: Vec<String> = self.former.iter().cloned().chain([subject_id]).collect();
                let subject_id = ids[dice.place(ids.len())].clone();
                let message = subscription::ListRefundsRequest { subject_id };
                ask!(doors, subscription.list_refunds(message), answer)
            }
            Verb::DecideRefund => {
                use subscription::decide_refund_request::Decision;
                let decision = match dice.chance(600) {
                    true => Decision::Approved(subscription::RefundApproval {
                        amount: money(dice.between(1, 1_500)),
                        destination: [Destination::OriginalMeans, Destination::PayOut][dice.place(2)].into(),
                    }),
                    false => Decision::Refused(subscription::RefundRefusal {
                        code: "PERIOD_USED".into(),
                        basis: "The terms".into(),
                        remedy: "Ask again.".into(),
                    }),
                };
                let (refund_id, actor) = (self.one_of("ref_", dice)?, "clerk-2".into());
                let decision = Some(decision);
                let message = subscription::DecideRefundRequest { request_id, refund_id, actor, decision };
                ask!(doors, subscription.decide_refund(message))
            }
            _ => {
                let message = subscription::RecordRefundPaidRequest {
                    request_id,
                    refund_id: self.one_of("ref_", dice)?,
                    payment_reference: format!("payment-{}", call.content),
                    paid_at: Some(now.to_proto()),
                };
                ask!(doors, subscription.record_refund_paid(message))
            }
        }
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
                let authorization_id = self.one_of("aut_", dice)?;
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

fn in_days(now: Timestamp, days: u64) -> prost_types::Timestamp {
    now.plus(Duration::from_secs(days * 86_400)).to_proto()
}

fn subscribing(
    request_id: String,
    subject_id: String,
    now: Timestamp,
    dice: &mut Dice,
) -> subscription::RecordSubscriptionRequest {
    let days = |days: u64| Some(in_days(now, days));
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
    let categories = [
        Category::Profile,
        Category::TransactionRecords,
        Category::DeviceLogs,
        Category::Marketing,
        Category::OnDeviceCache,
    ];
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
