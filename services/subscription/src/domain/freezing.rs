//! Renewals that a cancellation suspends while it can still be taken back, those that the subject pauses
//! or wants for less, and those that go on.
//!
//! Only our own billing can be suspended: no store and no carrier lets anybody else stand between it
//! and its next charge.

use types::{CancellationId, Timestamp};

use super::{Billing, Event, Pause, Rejection, State, Status, Subscription, SubscriptionId, Wanted};

/// Suspends the renewals that are ours and in scope. What this cancellation suspends already adds
/// nothing.
#[must_use]
pub fn freeze(state: &State, wanted: &Wanted, cancellation: &CancellationId, now: Timestamp) -> Vec<Event> {
    let ours = renewing(state, wanted).filter(|it| it.terms.billing == Billing::Merchant);
    ours.filter(|it| !it.frozen_by.contains_key(cancellation))
        .map(|it| Event::RenewalFrozen { id: it.id.clone(), cancellation: cancellation.clone(), at: now })
        .collect()
}

/// Resumes what this cancellation suspends. Another one may suspend it still.
#[must_use]
pub fn thaw(state: &State, cancellation: &CancellationId, now: Timestamp) -> Vec<Event> {
    let thawed = |it: &Subscription| Event::RenewalThawed {
        id: it.id.clone(),
        cancellation: cancellation.clone(),
        at: now,
    };
    frozen(state, cancellation).map(thawed).collect()
}

/// What this cancellation suspends, in the order in which it was recorded.
pub fn frozen<'a>(
    state: &'a State,
    cancellation: &'a CancellationId,
) -> impl Iterator<Item = &'a Subscription> {
    state.subscriptions.iter().filter(move |it| it.frozen_by.contains_key(cancellation))
}

/// Until when all that this cancellation suspends can be resumed without loss: the first end of a paid
/// period among it, since after that access is interrupted. `None` where no such end is known or to
/// come.
#[must_use]
pub fn resumable_until(state: &State, cancellation: &CancellationId, now: Timestamp) -> Option<Timestamp> {
    let ends = frozen(state, cancellation).filter_map(Subscription::renews_by);
    ends.filter(|end| *end > now).min()
}

/// What this cancellation suspends and should have been renewed meanwhile, and when.
pub fn overdue<'a>(
    state: &'a State,
    cancellation: &'a CancellationId,
    now: Timestamp,
) -> impl Iterator<Item = (&'a Subscription, Timestamp)> {
    frozen(state, cancellation).filter_map(move |it| {
        let since = *it.frozen_by.get(cancellation)?;
        let due = it.terms.next_charge_at.or(it.terms.current_period_end)?;
        (since..=now).contains(&due).then_some((it, due))
    })
}

/// What is in scope and goes on being charged for whatever is asked of us, since others bill it.
#[must_use]
pub fn not_suspended<'a>(state: &'a State, wanted: &'a Wanted) -> Vec<&'a Subscription> {
    renewing(state, wanted).filter(|it| it.terms.billing != Billing::Merchant).collect()
}

fn renewing<'a>(state: &'a State, wanted: &'a Wanted) -> impl Iterator<Item = &'a Subscription> {
    wanted.in_scope(state).map(|(it, _)| it).filter(|it| it.status == Status::Active)
}

impl Subscription {
    /// By when it must have been renewed, or access is interrupted.
    fn renews_by(&self) -> Option<Timestamp> {
        self.terms.current_period_end.or(self.terms.next_charge_at)
    }
}

/// Renews what is ours, unless it is suspended or stopped: the charge is decided where the freeze is,
/// so that they cannot cross.
pub(super) fn renew(
    state: &State,
    id: SubscriptionId,
    period_end: Timestamp,
    next_charge_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<Vec<Event>, Rejection> {
    let subscription = ours_that_renews(state, &id)?;
    if let Some(by) = subscription.frozen_by.keys().next() {
        return Err(Rejection::RenewalFrozen { id, by: by.clone() });
    }
    if let Some(pause) = subscription.pause.filter(|pause| pause.until > now) {
        return Err(Rejection::Paused { id, until: pause.until });
    }
    if let Some(until) = subscription.terms.current_period_end.filter(|until| period_end <= *until) {
        return Err(Rejection::PeriodPaid { id, until });
    }
    let plan = subscription.terms.alternative.clone().filter(|_| subscription.downgraded_at.is_some());
    Ok(vec![Event::Renewed { id, at: now, period_end, next_charge_at, plan }])
}

/// Takes the wish of the subject for the cheaper alternative, or that they stay with what they have. It
/// begins with the next period, so that nothing that is paid changes, and nothing of what a cancellation
/// does.
pub(super) fn downgrade(
    state: &State,
    id: SubscriptionId,
    withdraw: bool,
    now: Timestamp,
) -> Result<Vec<Event>, Rejection> {
    let subscription = ours_that_renews(state, &id)?;
    if subscription.downgraded_at.is_none() == withdraw {
        return Ok(vec![]);
    }
    let plan = subscription.terms.alternative.clone().filter(|_| !withdraw);
    if plan.is_none() && !withdraw {
        return Err(Rejection::NoAlternative(id));
    }
    Ok(vec![Event::Downgraded { id, at: now, plan, effective_at: subscription.terms.current_period_end }])
}

/// Takes a pause of the subject's, or its end. Whoever pauses can leave all the same: a pause changes
/// nothing of what a cancellation does.
pub(super) fn pause(
    state: &State,
    id: SubscriptionId,
    until: Timestamp,
    now: Timestamp,
) -> Result<Vec<Event>, Rejection> {
    let subscription = ours_that_renews(state, &id)?;
    let before = subscription.pause.filter(|pause| pause.until > now);
    match before {
        Some(pause) if pause.until == until => Ok(vec![]),
        None if until <= now => Ok(vec![]),
        before => {
            let since = before.map_or(now, |pause| pause.since);
            Ok(vec![Event::Paused { id, pause: Pause { since, until } }])
        }
    }
}

fn ours_that_renews<'a>(state: &'a State, id: &SubscriptionId) -> Result<&'a Subscription, Rejection> {
    let subscription = state.get(id.as_str()).ok_or_else(|| Rejection::Unknown(id.clone()))?;
    if subscription.terms.billing != Billing::Merchant {
        return Err(Rejection::NotMerchantBilled(id.clone()));
    }
    match subscription.status {
        Status::Active => Ok(subscription),
        Status::WillNotRenew => Err(Rejection::RenewalStopped(id.clone())),
        Status::Ended => Err(Rejection::Ended(id.clone())),
    }
}
