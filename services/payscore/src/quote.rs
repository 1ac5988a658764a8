//! What a cancellation says to the subject about their payment score.

use proto::participant::v1::{Blocker, Failure, QuoteItem, QuoteItemKind, Rejection};
use types::{ParticipantName, Timestamp};

use crate::domain::{Authorization, Blocking, Consequence};

/// Something that must be settled first.
#[must_use]
pub fn blocker(blocking: &Blocking<'_>) -> Blocker {
    let (code, cause, remedy, item_id, amount) = match blocking {
        Blocking::InUse(authorization, order) => {
            let merchant = &authorization.merchant.name;
            (
                "SERVICE_ORDER_OPEN",
                format!("A service of {merchant} is still in use on credit."),
                format!("Return or finish it with {merchant}, then pay for it."),
                order.id.as_str(),
                order.amount,
            )
        }
        Blocking::Unpaid(authorization, order) => (
            "SERVICE_ORDER_UNPAID",
            format!(
                "A service of {} is used and not paid yet, and unbinding does not stop its collection.",
                authorization.merchant.name
            ),
            format!("Pay the collection of {}.", order.amount),
            order.id.as_str(),
            order.amount,
        ),
        Blocking::Unsettled(purchase) => (
            "CREDIT_PURCHASE_UNSETTLED",
            "Something bought on credit is not paid yet.".into(),
            format!("Settle the purchase of {}.", purchase.amount),
            purchase.id.as_str(),
            purchase.amount,
        ),
    };
    Blocker {
        code: code.into(),
        cause,
        remedy,
        item_id: item_id.into(),
        amount: Some(participant::wire::money(amount)),
        ..Blocker::default()
    }
}

/// One thing that follows, dates counted from `at`.
#[must_use]
pub fn item(consequence: &Consequence<'_>, at: Timestamp) -> QuoteItem {
    match consequence {
        Consequence::Unbinds(authorization) => QuoteItem {
            kind: QuoteItemKind::Ends.into(),
            code: "AUTHORIZATION_UNBINDS".into(),
            text: format!("{} can rely on the payment score no more.", authorization.merchant.name),
            will_not_renew_at: Some(at.to_proto()),
            access_ends_at: Some(at.to_proto()),
            ..about(authorization)
        },
        Consequence::DepositFreeEnds(authorization, deposit) => {
            let merchant = &authorization.merchant.name;
            let text = match deposit {
                Some(deposit) => {
                    format!("{merchant} asks for a deposit again; {deposit} was waived the last time.")
                }
                None => format!("{merchant} may ask for a deposit that the payment score made needless."),
            };
            QuoteItem {
                kind: QuoteItemKind::Effect.into(),
                code: "DEPOSIT_FREE_ENDS".into(),
                text,
                amount: deposit.map(participant::wire::money),
                ..about(authorization)
            }
        }
        Consequence::FacePaymentEnds => QuoteItem {
            kind: QuoteItemKind::Effect.into(),
            code: "FACE_PAYMENT_ENDS".into(),
            title: "Face payment".into(),
            text: "Paying by face is switched off.".into(),
            ..QuoteItem::default()
        },
    }
}

fn about(authorization: &Authorization) -> QuoteItem {
    QuoteItem {
        item_id: authorization.id.to_string(),
        title: authorization.merchant.name.clone(),
        ..QuoteItem::default()
    }
}

/// An id that the subject does not have.
#[must_use]
pub fn unknown(id: &str) -> Rejection {
    Rejection {
        code: "ITEM_UNKNOWN".into(),
        cause: "The subject has no payment-score authorization with this id.".into(),
        basis: "Only what the subject has can be ended.".into(),
        remedy: "Choose from the authorizations that ListAuthorizations shows.".into(),
        item_id: id.into(),
        ..Rejection::default()
    }
}

/// A way to end that the item does not have.
#[must_use]
pub fn not_possible(id: &str) -> Rejection {
    Rejection {
        code: "ACTION_NOT_POSSIBLE".into(),
        cause: "The item cannot end that way.".into(),
        basis: "A payment-score authorization is unbound, and face payment is disabled.".into(),
        remedy: "Ask for ACTION_UNBIND or ACTION_DISABLE.".into(),
        item_id: id.into(),
        ..Rejection::default()
    }
}

/// What cannot be taken back: these authorisations, and face payment if that is among it.
#[must_use]
pub fn not_undone(ids: &[&str], face_payment: bool, owner: &ParticipantName) -> Failure {
    let mut what: Vec<String> = ids.iter().map(|id| format!("authorization {id} is unbound")).collect();
    what.extend(face_payment.then(|| "face payment is switched off".to_owned()));
    Failure {
        code: "CONSENT_WITHDRAWN".into(),
        cause: format!("Only the subject can allow again what they ended: {}.", what.join(", ")),
        owner: owner.to_string(),
    }
}

/// The same one by one, each with what the subject can do about it.
#[must_use]
pub fn remaining(unbound: &[&Authorization], face_payment: bool) -> Vec<QuoteItem> {
    let again = unbound.iter().flat_map(|it| {
        let merchant = &it.merchant.name;
        let say = |kind: QuoteItemKind, code: &str, text: String| QuoteItem {
            kind: kind.into(),
            code: code.into(),
            text,
            ..about(it)
        };
        [
            say(
                QuoteItemKind::Effect,
                "AUTHORIZATION_UNBOUND",
                format!("{merchant} can rely on the payment score no more, and that stays so."),
            ),
            say(
                QuoteItemKind::SubjectAction,
                "AUTHORIZE_AGAIN",
                format!("Allow it again when {merchant} asks for it the next time, if you want to."),
            ),
        ]
    });
    let face = face_payment.then(|| QuoteItem {
        kind: QuoteItemKind::SubjectAction.into(),
        code: "FACE_PAYMENT_OFF".into(),
        title: "Face payment".into(),
        text: "Paying by face is switched off: switch it on again in the settings, if you want to.".into(),
        ..QuoteItem::default()
    });
    again.chain(face).collect()
}
