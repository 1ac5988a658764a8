//! What a cancellation says to the subject about their subscriptions.

use proto::participant::v1::{Failure, QuoteItem, QuoteItemKind, Rejection, Waiting, WaitingOn};
use types::{ParticipantName, Timestamp};

use crate::domain::{Billing, Consequence, Ending, Status, Subscription, consequences};

/// Where the App Store's subscriptions are ended.
const APP_STORE_SUBSCRIPTIONS: &str = "https://apps.apple.com/account/subscriptions";
/// Where the App Store is asked for a refund.
const APP_STORE_REFUNDS: &str = "https://reportaproblem.apple.com";
/// Where Google Play's subscriptions are switched on and off.
const GOOGLE_PLAY_SUBSCRIPTIONS: &str = "https://play.google.com/store/account/subscriptions";
/// Where Google Play is asked for a refund.
const GOOGLE_PLAY_REFUNDS: &str = "https://play.google.com/store/account/orderhistory";

const APP_STORE: &str = "APP_STORE_SUBSCRIPTION";
const MANUAL: &str = "PROVIDER_MANUAL";

/// Everything that follows when the subscription ends so, in a stable order.
#[must_use]
pub fn items(subscription: &Subscription, ending: Ending, at: Timestamp) -> Vec<QuoteItem> {
    consequences(subscription, ending, at).iter().map(|it| item(subscription, it, at)).collect()
}

fn item(subscription: &Subscription, consequence: &Consequence, at: Timestamp) -> QuoteItem {
    let who = provider(subscription.terms.billing);
    let say = |kind: QuoteItemKind, code: &str, text: String| QuoteItem {
        kind: kind.into(),
        code: code.into(),
        item_id: subscription.id.to_string(),
        title: subscription.terms.plan.name.clone(),
        text,
        ..QuoteItem::default()
    };
    let money = |money| Some(participant::wire::money(money));
    match consequence {
        Consequence::Ends { will_not_renew_at, access_ends_at } => QuoteItem {
            will_not_renew_at: will_not_renew_at.map(Timestamp::to_proto),
            access_ends_at: access_ends_at.map(Timestamp::to_proto),
            ..say(QuoteItemKind::Ends, "SUBSCRIPTION_ENDS", ends(subscription, *access_ends_at, at))
        },
        Consequence::PaidPeriodLapses { paid, until } => QuoteItem {
            amount: money(*paid),
            ..say(
                QuoteItemKind::Lapses,
                "PAID_PERIOD_LAPSES",
                format!(
                    "The period until {}, for which {paid} was paid, is cut short and not paid back.",
                    until.day()
                ),
            )
        },
        Consequence::BenefitsLapse => say(
            QuoteItemKind::Lapses,
            "BENEFITS_LAPSE",
            format!("What comes with it goes with it: {}.", subscription.terms.benefits.join(", ")),
        ),
        Consequence::EarlyTerminationFee { fee, term_end } => QuoteItem {
            amount: money(*fee),
            ..say(
                QuoteItemKind::Money,
                "EARLY_TERMINATION_FEE",
                format!("It ends before its minimum term does, on {}, and that costs {fee}.", term_end.day()),
            )
        },
        Consequence::Outstanding(owed) => QuoteItem {
            amount: money(*owed),
            ..say(
                QuoteItemKind::Money,
                "OUTSTANDING_AMOUNT",
                format!("{owed} is owed for it already and stays owed."),
            )
        },
        Consequence::ChargeMayStillHappen { at } => QuoteItem {
            amount: subscription.terms.plan.price.and_then(money),
            link: refund(subscription.terms.billing).1.into(),
            ..say(QuoteItemKind::Effect, "CHARGE_MAY_STILL_HAPPEN", may_happen(subscription, *at))
        },
        Consequence::SubjectMustEnd { due_at } => QuoteItem {
            link: APP_STORE_SUBSCRIPTIONS.into(),
            due_at: due_at.map(Timestamp::to_proto),
            ..say(QuoteItemKind::SubjectAction, APP_STORE, must_end(subscription, at))
        },
        Consequence::EndedByHand => say(
            QuoteItemKind::Effect,
            MANUAL,
            format!("{who} is asked by hand to end it, and the cancellation waits until that has happened."),
        ),
    }
}

fn ends(subscription: &Subscription, access_ends_at: Option<Timestamp>, at: Timestamp) -> String {
    let who = provider(subscription.terms.billing);
    let stopped = subscription.status != Status::Active;
    match (subscription.terms.billing, access_ends_at) {
        (Billing::Merchant, Some(end)) if end > at => {
            format!("No further charge is made, and access stays until {}.", end.day())
        }
        (Billing::Merchant, _) => "No further charge is made, and access ends at once.".into(),
        (_, Some(end)) if stopped => {
            format!("{who} makes no further charge, and access stays until {}.", end.day())
        }
        (_, None) if stopped => format!("{who} makes no further charge, and says when access ends."),
        (_, Some(end)) => {
            format!(
                "{who} makes no further charge once it is ended there, and access stays until {}.",
                end.day()
            )
        }
        (_, None) => {
            format!("{who} makes no further charge once it is ended there, and says when access ends.")
        }
    }
}

fn may_happen(subscription: &Subscription, at: Timestamp) -> String {
    let (refund, _) = refund(subscription.terms.billing);
    format!("The charge due at {} is less than 24 hours away and may still happen; {refund}.", at.minute())
}

fn must_end(subscription: &Subscription, at: Timestamp) -> String {
    let what = match (subscription.status, subscription.deadline(at)) {
        (Status::Active, Some(deadline)) => {
            format!(
                "End it in your App Store account by {}, 24 hours before the next charge",
                deadline.minute()
            )
        }
        (Status::Active, None) => "End it in your App Store account, 24 hours before any charge".into(),
        (Status::WillNotRenew | Status::Ended, _) => {
            "Its renewal is off already: leave it off until the App Store has ended it".into()
        }
    };
    format!("{what}; deleting the app or this account does not stop the store's billing.")
}

/// Where the subject switches renewals on and off; empty where there is no such place.
#[must_use]
pub fn subscriptions(billing: Billing) -> &'static str {
    match billing {
        Billing::AppStore => APP_STORE_SUBSCRIPTIONS,
        Billing::GooglePlay => GOOGLE_PLAY_SUBSCRIPTIONS,
        Billing::Merchant
        | Billing::WechatPay
        | Billing::Alipay
        | Billing::Stripe
        | Billing::Carrier
        | Billing::QqWallet => "",
    }
}

/// How a charge that was not wanted any more is paid back, and where that is asked for.
#[must_use]
pub fn refund(billing: Billing) -> (&'static str, &'static str) {
    match billing {
        Billing::Merchant => ("it is then refunded", ""),
        Billing::AppStore => ("ask the App Store for a refund then, at the link", APP_STORE_REFUNDS),
        Billing::GooglePlay => ("ask Google Play for a refund then, at the link", GOOGLE_PLAY_REFUNDS),
        Billing::WechatPay | Billing::Alipay | Billing::Stripe | Billing::Carrier | Billing::QqWallet => {
            ("its refund is then settled by hand, together with the end", "")
        }
    }
}

/// Who charges, at the beginning of a sentence.
#[must_use]
pub fn provider(billing: Billing) -> &'static str {
    match billing {
        Billing::Merchant => "The merchant",
        Billing::WechatPay => "WeChat Pay",
        Billing::Alipay => "Alipay",
        Billing::AppStore => "The App Store",
        Billing::GooglePlay => "Google Play",
        Billing::Stripe => "Stripe",
        Billing::Carrier => "The mobile carrier",
        Billing::QqWallet => "QQ Wallet",
    }
}

/// An id that the subject does not have.
#[must_use]
pub fn unknown(id: &str) -> Rejection {
    Rejection {
        code: "ITEM_UNKNOWN".into(),
        cause: "The subject has no subscription with this id.".into(),
        basis: "Only what the subject has can be ended.".into(),
        remedy: "Choose from the subscriptions that ListSubscriptions shows.".into(),
        item_id: id.into(),
        ..Rejection::default()
    }
}

/// A way to end that a subscription does not have.
#[must_use]
pub fn not_possible(id: &str) -> Rejection {
    Rejection {
        code: "ACTION_NOT_POSSIBLE".into(),
        cause: "A subscription cannot end that way.".into(),
        basis: "A subscription's renewal is stopped, or it ends at once.".into(),
        remedy: "Ask for ACTION_STOP_RENEWAL or ACTION_END_NOW.".into(),
        item_id: id.into(),
        ..Rejection::default()
    }
}

/// What cannot be taken back.
#[must_use]
pub fn not_undone(ids: &[&str], owner: &ParticipantName) -> Failure {
    Failure {
        code: "MANDATE_ENDED".into(),
        cause: format!(
            "The renewal of {} is stopped and stays so; only the subject can subscribe again.",
            ids.join(", ")
        ),
        owner: owner.to_string(),
    }
}

/// Who is waited for; `None` when nobody is. The subject first: what they must do has a date.
#[must_use]
pub fn waiting(waiting: &[&Subscription], at: Timestamp) -> Option<Waiting> {
    let is_subjects = |it: &&&Subscription| it.terms.billing == Billing::AppStore;
    let (subjects, others): (Vec<&Subscription>, Vec<&Subscription>) =
        waiting.iter().partition(|it| is_subjects(it));
    let item_ids = subjects.iter().chain(&others).map(|it| it.id.to_string()).collect();
    if !subjects.is_empty() {
        let until = subjects.iter().filter_map(|it| it.paid_after(at)).max();
        return Some(Waiting {
            waiting_on: WaitingOn::Subject.into(),
            until: until.map(Timestamp::to_proto),
            link: APP_STORE_SUBSCRIPTIONS.into(),
            code: APP_STORE.into(),
            item_ids,
            remedy: "End the subscription in your App Store account; nobody else can.".into(),
        });
    }
    (!others.is_empty()).then(|| Waiting {
        waiting_on: WaitingOn::Provider.into(),
        code: MANUAL.into(),
        item_ids,
        remedy: "Who bills it is asked by hand to end it; there is nothing that you have to do.".into(),
        ..Waiting::default()
    })
}
