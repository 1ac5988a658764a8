//! Instructions in, acknowledgements out: a balance blocks, a benefit lapses.

use std::sync::Arc;

use bytes::Bytes;
use messaging::Unreadable;
use participant::{Answer, Assessed, Case, Encoded, Participant, Step, TimerWish, wire::money};
use policy::{Category, ControllerClass, DataFacts, Packs};
use proto::participant::v1 as pb;
use types::{Money, ParticipantName, Scope, Timestamp};

use crate::{
    domain::{self, Benefit, BenefitKind, Event, State, Treatment},
    wire,
};

/// Its name on the roster.
pub const NAME: &str = "wallet";

/// The record of what was paid out.
const RECORD: &str = "payout";

/// The timer that erases it when its date has come.
const ERASE_TIMER: &str = "erase/payout";

/// The participant.
pub struct Wallet {
    name: ParticipantName,
    packs: Arc<Packs>,
}

impl Default for Wallet {
    fn default() -> Self {
        Self::new(Arc::new(Packs::built_in()))
    }
}

impl Wallet {
    /// The participant that keeps records as these packs say.
    #[must_use]
    pub fn new(packs: Arc<Packs>) -> Self {
        Self { name: ParticipantName::parse(NAME).expect("a constant of the right form"), packs }
    }

    /// What the law of the subject's region says of the record of what was paid out: it binds a payment
    /// institution. None where nothing was paid out.
    fn treatment(&self, case: &Case, state: &State) -> Option<Treatment> {
        if state.paid_out.is_empty() {
            return None;
        }
        let ruling = self.packs.of_region(&case.region)?.retain(&DataFacts {
            category: Category::TransactionRecords,
            jurisdiction: &case.region,
            class: Some(ControllerClass::PaymentInstitution),
            // A payout whose date nobody noted was made before now: so it is kept for long enough.
            last_event_at: state.paid_out_at.unwrap_or(case.assessed_at),
            account_closed_at: Some(case.assessed_at),
        })?;
        Some(ruling.treatment(case.assessed_at))
    }

    /// That record, while it is kept.
    fn kept(&self, case: &Case, state: &State) -> Option<pb::Kept> {
        kept(&self.treatment(case, state)?)
    }
}

fn kept(treatment: &Treatment) -> Option<pb::Kept> {
    let Treatment::Restrict { ground, basis, until } = treatment else { return None };
    Some(pb::Kept {
        data_set_id: RECORD.into(),
        category: Category::TransactionRecords.name().into(),
        ground: ground.clone(),
        source: basis.source.clone(),
        controller: NAME.into(),
        until: until.map(Timestamp::to_proto),
    })
}

fn kept_item(kept: pb::Kept) -> pb::QuoteItem {
    let until = kept.until.as_ref().and_then(Timestamp::from_proto).map(Timestamp::day).unwrap_or_default();
    pb::QuoteItem {
        kind: pb::QuoteItemKind::Kept.into(),
        code: "PAYOUT_RECORD_KEPT".into(),
        title: "Record of what was paid out".into(),
        text: format!(
            "That it was paid out is kept until {until} ({}), and used for nothing else.",
            kept.source
        ),
        kept: Some(kept),
        ..pb::QuoteItem::default()
    }
}

fn blocker(balance: Money) -> pb::Blocker {
    pb::Blocker {
        code: "BALANCE_REMAINING".into(),
        cause: format!("{balance} is left in the wallet."),
        remedy: "Pay it out; it is yours and is never forfeited.".into(),
        item_id: balance.currency.as_str().into(),
        amount: Some(money(balance)),
        ..pb::Blocker::default()
    }
}

fn lapsing(benefit: &Benefit) -> pb::QuoteItem {
    let paid = benefit.paid_value.filter(|paid| paid.minor_units > 0);
    let text = match paid {
        Some(paid) => format!("Lapses when the account closes; you paid {paid} for it. Use it before."),
        None => "Lapses when the account closes; it was free. Use it before.".to_owned(),
    };
    pb::QuoteItem {
        kind: pb::QuoteItemKind::Lapses.into(),
        code: "BENEFIT_LAPSES".into(),
        item_id: benefit.id.to_string(),
        title: title(benefit),
        text,
        quantity: benefit.quantity,
        amount: paid.map(money),
        ..pb::QuoteItem::default()
    }
}

/// What lapsed.
fn gone(benefit: &Benefit) -> pb::QuoteItem {
    pb::QuoteItem {
        kind: pb::QuoteItemKind::Effect.into(),
        code: "BENEFIT_LAPSED".into(),
        text: "It lapsed with the account.".into(),
        ..lapsing(benefit)
    }
}

fn list(items: &[pb::QuoteItem]) -> String {
    const NAMED_MAX: usize = 8;
    let named: Vec<_> = items.iter().take(NAMED_MAX).map(|item| item.title.as_str()).collect();
    let more = if items.len() > NAMED_MAX { ", …" } else { "" };
    format!("{}{more}", named.join(", "))
}

/// `1,250 points`, `1 coupon`, `Stored value`.
fn title(benefit: &Benefit) -> String {
    let plural = if benefit.quantity == 1 { "" } else { "s" };
    match benefit.kind {
        BenefitKind::Points => format!("{} point{plural}", grouped(benefit.quantity)),
        BenefitKind::Coupon => format!("{} coupon{plural}", grouped(benefit.quantity)),
        BenefitKind::StoredValue => "Stored value".to_owned(),
    }
}

/// A number with its thousands apart.
fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl Participant for Wallet {
    type State = State;
    type Event = Event;

    fn name(&self) -> &ParticipantName {
        &self.name
    }

    fn evolve(&self, state: State, event: &Event) -> State {
        domain::evolve(state, event)
    }

    fn encode(&self, event: &Event) -> Encoded {
        wire::encode(event)
    }

    fn decode(&self, kind: &str, schema: u16, payload: &Bytes) -> Result<Event, Unreadable> {
        wire::decode(kind, schema, payload)
    }

    fn timers(&self, event: &Event) -> Vec<TimerWish> {
        let due = match event {
            Event::PayoutRecordRestricted(restriction) => restriction.until,
            Event::PayoutRecordErased(_) => None,
            Event::BalanceRecorded(_)
            | Event::BalancePaidOut { .. }
            | Event::BenefitRecorded(_)
            | Event::BenefitLapsed { .. } => return Vec::new(),
        };
        vec![TimerWish { kind: ERASE_TIMER.into(), due }]
    }

    fn due(&self, state: &State, timer: &str, now: Timestamp) -> Vec<Event> {
        let erased = (timer == ERASE_TIMER).then(|| domain::expire(state, now)).flatten();
        erased.into_iter().collect()
    }

    fn assess(&self, case: &Case, state: &State) -> Assessed {
        if case.scope != Scope::WholeAccount {
            return Assessed::default();
        }
        Assessed {
            blockers: state.remaining().map(blocker).collect(),
            items: state
                .good_benefits(case.assessed_at)
                .map(lapsing)
                .chain(self.kept(case, state).map(kept_item))
                .collect(),
            rejections: Vec::new(),
        }
    }

    fn execute(&self, case: &Case, state: &State, now: Timestamp) -> Step<Event> {
        if case.scope != Scope::WholeAccount {
            return Step::nothing_to_do();
        }
        let mut events = domain::lapse(state, &case.cancellation, case.assessed_at, now);
        let treatment = self.treatment(case, state);
        let kept = treatment.as_ref().and_then(kept);
        events.extend(treatment.and_then(|it| domain::treat(state, it, &case.cancellation, now)));
        let answer = match kept {
            Some(kept) => Answer::Restricted(vec![kept]),
            None if events.is_empty() => Answer::NothingToDo,
            None => Answer::Done,
        };
        Step::new(events, answer)
    }

    /// Nothing is suspended: before the account closes the money is the subject's to spend or to have
    /// paid out, and what would lapse is theirs to use.
    fn freeze(&self, _case: &Case, _state: &State, _now: Timestamp) -> Step<Event> {
        Step::nothing_to_do()
    }

    /// Benefits lapse only with the account, and that is final.
    fn undo(&self, _case: &Case, state: &State, _now: Timestamp) -> Step<Event> {
        let lapsed: Vec<_> = state.benefits.iter().filter(|it| it.lapsed_at.is_some()).map(gone).collect();
        if lapsed.is_empty() {
            return Step::nothing_to_do();
        }
        let failure = pb::Failure {
            code: "BENEFITS_LAPSED".into(),
            cause: format!("{} lapsed with the account and cannot be given back.", list(&lapsed)),
            owner: NAME.into(),
        };
        Step::new(Vec::new(), Answer::Failed(failure)).remaining(lapsed)
    }
}

#[cfg(test)]
mod tests;
