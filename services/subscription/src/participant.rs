//! What this service answers when it is asked to end a subject's subscriptions.

use std::sync::Arc;

use bytes::Bytes;
use messaging::Unreadable;
use participant::{Answer, Assessed, Case, Encoded, ListWish, Participant, Step, TimerWish};
use policy::Packs;
use proto::participant::v1::WaitingOn;
use types::{Action, Item, ItemKind, ParticipantName, Scope, Timestamp};

use crate::{
    domain::{self, Billing, Ending, Event, MoneyEvent, State, Status, Wanted},
    offers, quote, remaining, settlement, wire, work_list,
};

/// The timer of access that ends at a known time; a subscription's id follows.
const ACCESS_ENDS: &str = "access-ends/";

/// The timer that erases the record of a refund when its date has come; the refund's id follows.
const ERASE: &str = "erase/";

/// The timer by which a refund is decided on, or paid; the refund's id follows.
const REFUND: &str = "refund/";

/// The subscriptions as a participant.
#[derive(Debug)]
pub struct Subscriptions {
    name: ParticipantName,
    packs: Arc<Packs>,
}

impl Default for Subscriptions {
    fn default() -> Self {
        Self::new(Arc::new(Packs::built_in()))
    }
}

impl Subscriptions {
    /// The participant that keeps records as these packs say.
    #[must_use]
    pub fn new(packs: Arc<Packs>) -> Self {
        Self { name: ParticipantName::parse("subscription").expect("a fixed name that is one"), packs }
    }

    /// Says that it is over, and what outlives it, and restricts that.
    fn over(&self, case: &Case, state: &State, mut events: Vec<Event>, now: Timestamp) -> Step<Event> {
        let wanted = wanted(&case.scope);
        let treatment = settlement::treatment(&self.packs, case, state, &wanted);
        let kept = treatment.as_ref().and_then(settlement::kept);
        let treated = treatment.map(|it| domain::treat(state, &wanted, it, &case.cancellation, now));
        events.extend(treated.into_iter().flatten().map(Event::Money));
        let answer = match kept {
            Some(kept) => Answer::Restricted(vec![kept]),
            None if events.is_empty() => Answer::NothingToDo,
            None => Answer::Done,
        };
        Step::new(events, answer)
    }
}

/// How a chosen item shall end; `None` when that is no way for a subscription.
fn ending(item: &Item) -> Option<Ending> {
    match item.action {
        Action::StopRenewal => Some(Ending::StopRenewal),
        Action::EndNow => Some(Ending::Now),
        Action::Unbind | Action::Disable | Action::Erase => None,
    }
}

fn chosen(scope: &Scope) -> impl Iterator<Item = &Item> {
    let items = match scope {
        Scope::Selected(items) => items.as_slice(),
        Scope::WholeAccount | Scope::Named(_) => &[],
    };
    items.iter().filter(|item| item.kind == ItemKind::Subscription)
}

/// What a scope wants of this service. Named scopes name nothing of its own.
fn wanted(scope: &Scope) -> Wanted {
    match scope {
        Scope::WholeAccount => Wanted::All,
        Scope::Selected(_) | Scope::Named(_) => {
            Wanted::Chosen(chosen(scope).filter_map(|item| Some((item.id.clone(), ending(item)?))).collect())
        }
    }
}

/// Ends what can be ended at once, and says who is waited for: the subject, who must act; then whoever
/// decides on money or pays it; then whoever else ends what is not ours.
fn carry_out(case: &Case, state: &State, now: Timestamp) -> (Vec<Event>, Option<Answer>) {
    let wanted = wanted(&case.scope);
    let events = domain::end(state, &wanted, &case.cancellation, now);
    let ends = quote::waiting(&domain::waiting(state, &wanted), case.assessed_at);
    let waiting = match ends {
        Some(subject) if subject.waiting_on() == WaitingOn::Subject => Some(subject),
        others => settlement::waiting(state, &wanted).or(others),
    };
    (events, waiting.map(Answer::Waiting))
}

fn access_timer(id: &domain::SubscriptionId, due: Option<Timestamp>) -> Vec<TimerWish> {
    vec![TimerWish { kind: format!("{ACCESS_ENDS}{id}"), due }]
}

fn money_timers(event: &MoneyEvent) -> Vec<TimerWish> {
    let of_refund = |id, due| vec![TimerWish { kind: format!("{REFUND}{id}"), due }];
    let (refunds, due) = match event {
        MoneyEvent::RefundApplied { id, review_until, .. } => return of_refund(id, Some(*review_until)),
        MoneyEvent::RefundApproved { id, approval, .. } => return of_refund(id, Some(approval.pay_by)),
        MoneyEvent::RefundRefused { id, .. } | MoneyEvent::RefundPaid { id, .. } => {
            return of_refund(id, None);
        }
        MoneyEvent::RecordsRestricted { refunds, restriction } => (refunds, restriction.until),
        MoneyEvent::RecordsErased { refunds, .. } => (refunds, None),
        MoneyEvent::ChargeRecorded(_) | MoneyEvent::LateChargeSeen(_) | MoneyEvent::RefundOverdue { .. } => {
            return Vec::new();
        }
    };
    refunds.iter().map(|id| TimerWish { kind: format!("{ERASE}{id}"), due }).collect()
}

impl Participant for Subscriptions {
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

    fn ids(&self, event: &Event) -> Vec<String> {
        match event {
            Event::Recorded(subscription) => vec![subscription.id.to_string()],
            Event::Money(event) => event.begins().iter().map(ToString::to_string).collect(),
            Event::ProviderStateRecorded { .. }
            | Event::RenewalStopped { .. }
            | Event::AccessEnded { .. }
            | Event::RenewalFrozen { .. }
            | Event::RenewalThawed { .. }
            | Event::Renewed { .. }
            | Event::Downgraded { .. }
            | Event::Paused { .. } => Vec::new(),
        }
    }

    fn timers(&self, event: &Event) -> Vec<TimerWish> {
        match event {
            Event::Recorded(it)
                if it.terms.billing == Billing::Merchant && it.status == Status::WillNotRenew =>
            {
                it.access_ends_at.map_or_else(Vec::new, |due| access_timer(&it.id, Some(due)))
            }
            Event::RenewalStopped { id, access_ends_at, will_not_renew_at, .. }
                if access_ends_at > will_not_renew_at =>
            {
                access_timer(id, Some(*access_ends_at))
            }
            Event::AccessEnded { id, .. } => access_timer(id, None),
            Event::Recorded(_)
            | Event::ProviderStateRecorded { .. }
            | Event::RenewalStopped { .. }
            | Event::RenewalFrozen { .. }
            | Event::RenewalThawed { .. }
            | Event::Renewed { .. }
            | Event::Downgraded { .. }
            | Event::Paused { .. } => Vec::new(),
            Event::Money(event) => money_timers(event),
        }
    }

    fn lists(&self, state: &State, event: &Event) -> Option<ListWish> {
        match event {
            Event::Money(event) => work_list::row(state, event),
            _ => None,
        }
    }

    fn due(&self, state: &State, timer: &str, now: Timestamp) -> Vec<Event> {
        if let Some(id) = timer.strip_prefix(ERASE) {
            return domain::expire(state, id, now).map(Event::Money).into_iter().collect();
        }
        if let Some(id) = timer.strip_prefix(REFUND) {
            return domain::refund_overdue(state, id, now).map(Event::Money).into_iter().collect();
        }
        let id = timer.strip_prefix(ACCESS_ENDS);
        id.and_then(|id| domain::access_due(state, id, now)).into_iter().collect()
    }

    fn assess(&self, case: &Case, state: &State) -> Assessed {
        let wanted = wanted(&case.scope);
        let record = settlement::treatment(&self.packs, case, state, &wanted);
        let items = wanted
            .in_scope(state)
            .flat_map(|(subscription, ending)| quote::items(subscription, ending, case.assessed_at))
            .chain(offers::items(&self.packs, case, state, &wanted))
            .chain(settlement::items(state, &wanted))
            .chain(record.as_ref().and_then(settlement::kept).map(settlement::kept_item))
            .collect();
        let unknown = wanted.unknown(state).into_iter().map(quote::unknown);
        let impossible = chosen(&case.scope)
            .filter(|item| ending(item).is_none())
            .map(|item| quote::not_possible(&item.id));
        // A subscription never blocks: whoever wants to leave can.
        Assessed { blockers: Vec::new(), items, rejections: unknown.chain(impossible).collect() }
    }

    fn execute(&self, case: &Case, state: &State, now: Timestamp) -> Step<Event> {
        let (events, waiting) = carry_out(case, state, now);
        match waiting {
            Some(waiting) => Step::new(events, waiting),
            None => self.over(case, state, events, now),
        }
    }

    fn resume(&self, case: &Case, state: &State, now: Timestamp) -> Step<Event> {
        let (events, waiting) = carry_out(case, state, now);
        match waiting {
            Some(waiting) => Step::new(events, waiting),
            // Something was waited for, and is done: that there was nothing to do is not said any more.
            None => match self.over(case, state, events, now) {
                Step { answer: Answer::NothingToDo, events, .. } => Step::new(events, Answer::Done),
                over => over,
            },
        }
    }

    /// What is still waited for is no reason to keep records longer: a refund that is paid later has its own.
    fn stay_closed(&self, case: &Case, state: &State, _closed_at: Timestamp, now: Timestamp) -> Vec<Event> {
        let (events, _) = carry_out(case, state, now);
        self.over(case, state, events, now).events
    }

    fn freeze(&self, case: &Case, state: &State, now: Timestamp) -> Step<Event> {
        let wanted = wanted(&case.scope);
        let events = domain::freeze(state, &wanted, &case.cancellation, now);
        let after = events.iter().fold(state.clone(), domain::evolve);
        let any = domain::frozen(&after, &case.cancellation).next().is_some();
        let answer = if any { Answer::Done } else { Answer::NothingToDo };
        let step = Step::new(events, answer).remaining(remaining::after_freeze(state, &wanted));
        match domain::resumable_until(&after, &case.cancellation, now) {
            Some(until) => step.undo_until(until),
            None => step,
        }
    }

    fn undo(&self, case: &Case, state: &State, now: Timestamp) -> Step<Event> {
        let thawed = domain::thaw(state, &case.cancellation, now);
        let ended: Vec<_> = domain::ended_by(state, &case.cancellation).map(|it| it.id.as_str()).collect();
        let answer = match (ended.is_empty(), thawed.is_empty()) {
            (false, _) => Answer::Failed(quote::not_undone(&ended, &self.name)),
            (true, false) => Answer::Done,
            (true, true) => Answer::NothingToDo,
        };
        let remaining = remaining::after_undo(state, &wanted(&case.scope), &case.cancellation, now);
        Step::new(thawed, answer).remaining(remaining)
    }
}

#[cfg(test)]
mod tests;
