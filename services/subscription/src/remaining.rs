//! What is said once a cancellation suspended something or was taken back: what that could not reach,
//! and what is left for the subject to do.

use proto::participant::v1::{QuoteItem, QuoteItemKind};
use types::{CancellationId, Timestamp};

use crate::{
    domain::{self, Billing, State, Status, Subscription, Wanted},
    quote,
};

/// What FREEZE did not suspend: others bill it.
#[must_use]
pub fn after_freeze(state: &State, wanted: &Wanted) -> Vec<QuoteItem> {
    domain::not_suspended(state, wanted).into_iter().map(not_suspended).collect()
}

/// What UNDO does not bring back: what this cancellation ended, what should have been renewed
/// meanwhile, and what is switched off elsewhere.
#[must_use]
pub fn after_undo(
    state: &State,
    wanted: &Wanted,
    cancellation: &CancellationId,
    now: Timestamp,
) -> Vec<QuoteItem> {
    let ended = domain::ended_by(state, cancellation).flat_map(|it| [ended(it, now), again(it, now)]);
    let overdue = domain::overdue(state, cancellation, now).map(|(it, due)| overdue(it, due));
    let theirs = wanted
        .in_scope(state)
        .map(|(it, _)| it)
        .filter(|it| it.terms.billing != Billing::Merchant && it.status == Status::WillNotRenew);
    ended.chain(overdue).chain(theirs.map(|it| switched_off(it, now))).collect()
}

fn say(it: &Subscription, kind: QuoteItemKind, code: &str, text: String) -> QuoteItem {
    QuoteItem {
        kind: kind.into(),
        code: code.into(),
        item_id: it.id.to_string(),
        title: it.terms.plan.name.clone(),
        text,
        ..QuoteItem::default()
    }
}

fn not_suspended(it: &Subscription) -> QuoteItem {
    let who = quote::provider(it.terms.billing);
    let (refund, link) = quote::refund(it.terms.billing);
    let text =
        format!("{who} bills it and cannot be held up: a charge that falls due meanwhile is made; {refund}.");
    QuoteItem { link: link.into(), ..say(it, QuoteItemKind::Effect, "RENEWAL_NOT_SUSPENDED", text) }
}

fn ended(it: &Subscription, now: Timestamp) -> QuoteItem {
    let text = match it.access_ends_at.filter(|end| *end > now) {
        Some(end) => format!("Its renewal is stopped and stays so; access ends on {}.", end.day()),
        None => "Its renewal is stopped and access has ended; neither can be taken back.".into(),
    };
    say(it, QuoteItemKind::Effect, "MANDATE_ENDED", text)
}

fn again(it: &Subscription, now: Timestamp) -> QuoteItem {
    QuoteItem {
        link: it.terms.plan.link.clone(),
        due_at: it.access_ends_at.filter(|end| *end > now).map(Timestamp::to_proto),
        ..say(
            it,
            QuoteItemKind::SubjectAction,
            "SUBSCRIBE_AGAIN",
            "Subscribe to it again if you want to keep it: a mandate is given by you alone.".into(),
        )
    }
}

fn overdue(it: &Subscription, due: Timestamp) -> QuoteItem {
    let text = format!(
        "The renewal due at {} was not charged while it was suspended; it is charged now that it goes on.",
        due.minute()
    );
    QuoteItem {
        amount: it.terms.plan.price.map(participant::wire::money),
        ..say(it, QuoteItemKind::Effect, "RENEWAL_OVERDUE", text)
    }
}

fn switched_off(it: &Subscription, now: Timestamp) -> QuoteItem {
    let who = quote::provider(it.terms.billing);
    QuoteItem {
        link: quote::subscriptions(it.terms.billing).into(),
        due_at: it.paid_after(now).map(Timestamp::to_proto),
        ..say(
            it,
            QuoteItemKind::SubjectAction,
            "RENEWAL_OFF",
            format!("{who} renews it no more: switch its renewal on again there if you want to keep it."),
        )
    }
}
