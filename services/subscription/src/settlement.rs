//! What a cancellation says about money that goes back: what is under review, what is to be paid, and
//! what only a store pays back.

use std::collections::BTreeMap;

use participant::{Account, Case};
use policy::{Category, ControllerClass, DataFacts, Packs};
use proto::participant::v1::{Kept, QuoteItem, QuoteItemKind, Waiting, WaitingOn};
use types::{Money, Timestamp};

use crate::{
    domain::{self, Destination, Event, LateCharge, MoneyEvent, Refund, State, Treatment, Wanted},
    quote,
};

const UNDER_REVIEW: &str = "REFUND_UNDER_REVIEW";
const UNPAID: &str = "REFUND_UNPAID";

/// The record of what went back.
const RECORD: &str = "refund";

/// How many refunds are named where somebody waits for them.
const NAMED_MAX: usize = 50;

/// Everything about money that goes back, in a stable order. It is told before anybody confirms, so
/// that no refund holds up the end unannounced.
#[must_use]
pub fn items(state: &State, wanted: &Wanted) -> Vec<QuoteItem> {
    let ends: Vec<_> = reviews(state, wanted).filter_map(Refund::review_until).collect();
    let review = ends.iter().max().map(|until| under_review(ends.len(), *until));
    let mut owed: BTreeMap<_, (i64, Timestamp)> = BTreeMap::new();
    for approval in domain::refunds(state, wanted).filter_map(Refund::unpaid) {
        let key = (approval.amount.currency, approval.destination == Destination::PayOut);
        let (sum, pay_by) = owed.entry(key).or_default();
        *sum = sum.saturating_add(approval.amount.minor_units);
        *pay_by = approval.pay_by.max(*pay_by);
    }
    let owed = owed.into_iter().map(|((currency, paid_out), (minor_units, pay_by))| {
        refunded(Money { currency, minor_units }, paid_out, pay_by)
    });
    let in_scope = |late: &&LateCharge| {
        late.refund.is_none() && wanted.in_scope(state).any(|(it, _)| it.id == late.charge.subscription)
    };
    // The last of each subscription stands for all: the store shows every one at the same place.
    let asked: BTreeMap<_, _> =
        state.late_charges.iter().filter(in_scope).map(|late| (&late.charge.subscription, late)).collect();
    review.into_iter().chain(owed).chain(asked.into_values().map(|late| ask_store(state, late))).collect()
}

/// Who is waited for before all money has gone back: first whoever decides, then whoever pays.
#[must_use]
pub fn waiting(state: &State, wanted: &Wanted) -> Option<Waiting> {
    let (mut item_ids, mut until) = (Vec::new(), None);
    for refund in reviews(state, wanted) {
        item_ids.push(refund.id.to_string());
        until = until.max(refund.review_until());
    }
    let mut waiting = Waiting {
        waiting_on: WaitingOn::Review.into(),
        code: UNDER_REVIEW.into(),
        remedy: "A person decides on the refund by then; nothing more is charged meanwhile.".into(),
        ..Waiting::default()
    };
    if item_ids.is_empty() {
        for refund in domain::refunds(state, wanted) {
            let Some(approval) = refund.unpaid() else { continue };
            item_ids.push(refund.id.to_string());
            until = until.max(Some(approval.pay_by));
        }
        waiting.waiting_on = WaitingOn::Provider.into();
        waiting.code = UNPAID.into();
        waiting.remedy =
            "The refund is on its way; if it has not come by then, ask for it by its number.".into();
    }
    item_ids.truncate(NAMED_MAX);
    (!item_ids.is_empty()).then(|| Waiting { until: until.map(Timestamp::to_proto), item_ids, ..waiting })
}

/// What the law of a region says of the record of what went back at `paid_at`: it binds a platform.
fn ruled(packs: &Packs, region: &str, paid_at: Timestamp, closed_at: Timestamp) -> Option<Treatment> {
    let ruling = packs.of_region(region)?.retain(&DataFacts {
        category: Category::TransactionRecords,
        jurisdiction: region,
        class: Some(ControllerClass::Platform),
        last_event_at: paid_at,
        account_closed_at: Some(closed_at),
    })?;
    Some(ruling.treatment(closed_at))
}

/// What becomes of the record of what went back to the subject; none where nothing did.
#[must_use]
pub fn treatment(packs: &Packs, case: &Case, state: &State, wanted: &Wanted) -> Option<Treatment> {
    let paid_at = domain::refunds(state, wanted).filter_map(Refund::paid_at).max()?;
    ruled(packs, &case.region, paid_at, case.assessed_at)
}

/// What becomes of the record of money that goes back when the account is closed already, so that no
/// cancellation sees to it any more.
#[must_use]
pub fn after_the_end(
    packs: &Packs,
    account: &Account<State>,
    events: &[Event],
    now: Timestamp,
) -> Vec<Event> {
    let Some(cancellation) = &account.closed else { return Vec::new() };
    let region = account.known.as_ref().map_or("", |(region, _)| region.as_str());
    let closed_at = account.cases.get(cancellation).map_or(now, |record| record.case.assessed_at);
    let treated = |event: &Event| {
        let Event::Money(MoneyEvent::RefundPaid { id, at, .. }) = event else { return None };
        let treatment = ruled(packs, region, *at, closed_at)?;
        Some(Event::Money(domain::treated(vec![id.clone()], treatment, cancellation, now)))
    };
    events.iter().filter_map(treated).collect()
}

/// The record as it is told while it is kept.
#[must_use]
pub fn kept(treatment: &Treatment) -> Option<Kept> {
    let Treatment::Restrict { ground, basis, until } = treatment else { return None };
    Some(Kept {
        data_set_id: RECORD.into(),
        category: Category::TransactionRecords.name().into(),
        ground: ground.clone(),
        source: basis.source.clone(),
        controller: "subscription".into(),
        until: until.map(Timestamp::to_proto),
    })
}

/// The same as the subject accepts it.
#[must_use]
pub fn kept_item(kept: Kept) -> QuoteItem {
    let until = kept.until.as_ref().and_then(Timestamp::from_proto).map(Timestamp::day).unwrap_or_default();
    let text =
        format!("That it was paid back is kept until {until} ({}), and used for nothing else.", kept.source);
    QuoteItem {
        title: "Record of what was refunded".into(),
        kept: Some(kept),
        ..say(QuoteItemKind::Kept, "REFUND_RECORD_KEPT", text)
    }
}

fn reviews<'a>(state: &'a State, wanted: &'a Wanted) -> impl Iterator<Item = &'a Refund> {
    domain::refunds(state, wanted).filter(|refund| refund.review_until().is_some())
}

fn say(kind: QuoteItemKind, code: &str, text: String) -> QuoteItem {
    QuoteItem { kind: kind.into(), code: code.into(), title: "Refund".into(), text, ..QuoteItem::default() }
}

fn under_review(count: usize, until: Timestamp) -> QuoteItem {
    let what = if count == 1 { "A refund is".to_owned() } else { format!("{count} refunds are") };
    let text = format!(
        "{what} under review until {}: charges stop at once, and the rest waits for that decision.",
        until.day()
    );
    QuoteItem {
        quantity: i64::try_from(count).unwrap_or(i64::MAX),
        ..say(QuoteItemKind::Effect, UNDER_REVIEW, text)
    }
}

fn refunded(amount: Money, paid_out: bool, pay_by: Timestamp) -> QuoteItem {
    let how = if paid_out { "paid out to you" } else { "refunded to what you paid with" };
    let text = format!(
        "{amount} is {how} by {}, never into a wallet that closes; a record of it is kept.",
        pay_by.day()
    );
    QuoteItem { amount: Some(participant::wire::money(amount)), ..say(QuoteItemKind::Money, "REFUND", text) }
}

fn ask_store(state: &State, late: &LateCharge) -> QuoteItem {
    let LateCharge { charge, billing, .. } = late;
    let who = quote::provider(*billing);
    let (_, link) = quote::refund(*billing);
    let text = format!(
        "{who} charged {} on {}, after its renewal was off: ask for that back at the link.",
        charge.amount,
        charge.charged_at.day()
    );
    let title = state.get(charge.subscription.as_str()).map(|it| it.terms.plan.name.clone());
    QuoteItem {
        item_id: charge.subscription.to_string(),
        title: title.unwrap_or_default(),
        amount: Some(participant::wire::money(charge.amount)),
        link: link.into(),
        ..say(QuoteItemKind::SubjectAction, "LATE_CHARGE", text)
    }
}

#[cfg(test)]
mod tests;
