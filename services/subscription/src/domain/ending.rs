//! What a cancellation does to a subject's subscriptions, and what follows from it.

use std::time::Duration;

use types::{CancellationId, Money, Timestamp};

use super::{Billing, Event, State, Status, Subscription};

/// So long before a charge nobody can promise any more that it will not be made.
const CHARGE_NOTICE: Duration = Duration::from_secs(24 * 60 * 60);

/// How a subscription shall end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ending {
    /// No further charge; access stays until the period ends.
    StopRenewal,
    /// No further charge, and access ends at once.
    Now,
}

/// What a cancellation ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Everything the subject has, at once.
    All,
    /// These, by their ids as they were given.
    Chosen(Vec<(String, Ending)>),
}

impl Wanted {
    /// How it wants this subscription to end, if at all. One that is named twice ends the harder way.
    fn ending(&self, subscription: &Subscription) -> Option<Ending> {
        match self {
            Self::All => Some(Ending::Now),
            Self::Chosen(items) => items
                .iter()
                .filter(|(id, _)| *id == subscription.id.as_str())
                .map(|(_, ending)| *ending)
                .max(),
        }
    }

    /// Whether it is about this subscription, ended or not.
    #[must_use]
    pub fn names(&self, id: &str) -> bool {
        match self {
            Self::All => true,
            Self::Chosen(items) => items.iter().any(|(chosen, _)| chosen == id),
        }
    }

    /// The ids that the subject does not have, in the order in which they were given.
    #[must_use]
    pub fn unknown<'a>(&'a self, state: &State) -> Vec<&'a str> {
        match self {
            Self::All => Vec::new(),
            Self::Chosen(items) => {
                items.iter().map(|(id, _)| id.as_str()).filter(|id| state.get(id).is_none()).collect()
            }
        }
    }

    /// What is in scope and has not ended yet, in the order in which it was recorded.
    pub fn in_scope<'a>(&'a self, state: &'a State) -> impl Iterator<Item = (&'a Subscription, Ending)> {
        state
            .subscriptions
            .iter()
            .filter(|subscription| subscription.status != Status::Ended)
            .filter_map(|subscription| Some((subscription, self.ending(subscription)?)))
    }
}

impl Subscription {
    /// Until when access is paid, if that is later than `at`.
    #[must_use]
    pub fn paid_after(&self, at: Timestamp) -> Option<Timestamp> {
        self.access_ends_at.or(self.terms.current_period_end).filter(|end| *end > at)
    }

    /// Until when ending it surely prevents the next charge, if that is later than `at`.
    #[must_use]
    pub fn deadline(&self, at: Timestamp) -> Option<Timestamp> {
        let charge = self.terms.next_charge_at.or(self.terms.current_period_end)?;
        let notice = i64::try_from(CHARGE_NOTICE.as_micros()).unwrap_or(i64::MAX);
        let deadline = Timestamp::from_micros(charge.as_micros().saturating_sub(notice));
        (deadline > at).then_some(deadline)
    }

    /// Whether nobody has to do anything any more to end it so.
    #[must_use]
    pub fn is_settled(&self, ending: Ending) -> bool {
        match (ending, self.status) {
            (_, Status::Ended) | (Ending::StopRenewal, Status::WillNotRenew) => true,
            (_, Status::Active) | (Ending::Now, Status::WillNotRenew) => false,
        }
    }
}

/// Ends what is ours to end, at once: mandates first, then access that is paid no longer. What has
/// been ended before adds nothing.
#[must_use]
pub fn end(state: &State, wanted: &Wanted, cancellation: &CancellationId, now: Timestamp) -> Vec<Event> {
    let ours = wanted.in_scope(state).filter(|(it, _)| it.terms.billing == Billing::Merchant);
    ours.flat_map(|(subscription, ending)| {
        let access_ends_at = access_end(subscription, ending, now);
        let id = subscription.id.clone();
        let stopped = (subscription.status == Status::Active).then(|| Event::RenewalStopped {
            id: id.clone(),
            cancellation: cancellation.clone(),
            will_not_renew_at: now,
            access_ends_at,
        });
        let ended = (access_ends_at <= now).then(|| Event::AccessEnded {
            id,
            at: now,
            cancellation: Some(cancellation.clone()),
        });
        stopped.into_iter().chain(ended)
    })
    .collect()
}

fn access_end(subscription: &Subscription, ending: Ending, at: Timestamp) -> Timestamp {
    match ending {
        Ending::StopRenewal => subscription.paid_after(at).unwrap_or(at),
        Ending::Now => at,
    }
}

/// What that cancellation has ended, in the order in which it was recorded.
pub fn ended_by<'a>(
    state: &'a State,
    cancellation: &'a CancellationId,
) -> impl Iterator<Item = &'a Subscription> {
    state.subscriptions.iter().filter(move |it| it.ended_by.as_ref() == Some(cancellation))
}

/// What somebody else must end, or has not said that it has ended, in the order in which it was
/// recorded.
#[must_use]
pub fn waiting<'a>(state: &'a State, wanted: &'a Wanted) -> Vec<&'a Subscription> {
    let theirs = wanted.in_scope(state).filter(|(it, _)| it.terms.billing != Billing::Merchant);
    theirs.filter(|(it, ending)| !it.is_settled(*ending)).map(|(it, _)| it).collect()
}

/// One thing that follows when a subscription ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consequence {
    /// It ends: two dates, each unknown where only the provider knows it.
    Ends {
        /// From when no charge is made any more.
        will_not_renew_at: Option<Timestamp>,
        /// When access ends.
        access_ends_at: Option<Timestamp>,
    },
    /// Access ends before a paid period does.
    PaidPeriodLapses {
        /// What was paid for the period.
        paid: Money,
        /// Until when it would have lasted.
        until: Timestamp,
    },
    /// What comes with it goes with it.
    BenefitsLapse,
    /// It ends before its minimum term does.
    EarlyTerminationFee {
        /// What that costs.
        fee: Money,
        /// When the minimum term ends.
        term_end: Timestamp,
    },
    /// Something is owed already.
    Outstanding(Money),
    /// The next charge is so near that nobody can promise that it is not made.
    ChargeMayStillHappen {
        /// When it is due.
        at: Timestamp,
    },
    /// Only the subject can end it.
    SubjectMustEnd {
        /// Until when that surely prevents the next charge; after that, when the paid period ends.
        due_at: Option<Timestamp>,
    },
    /// Somebody ends it with the provider.
    EndedByHand,
}

/// What follows when the subscription ends so, dates counted from `at`; in a stable order.
#[must_use]
pub fn consequences(subscription: &Subscription, ending: Ending, at: Timestamp) -> Vec<Consequence> {
    let terms = &subscription.terms;
    let ours = terms.billing == Billing::Merchant;
    let paid_until = subscription.paid_after(at);
    let (will_not_renew_at, access_ends_at) = if ours {
        (subscription.will_not_renew_at.or(Some(at)), Some(access_end(subscription, ending, at)))
    } else {
        (subscription.will_not_renew_at.or(paid_until), paid_until)
    };
    let mut all = vec![Consequence::Ends { will_not_renew_at, access_ends_at }];
    let cut_short = paid_until.filter(|until| access_ends_at.is_some_and(|end| end < *until));
    if let (Some(paid), Some(until)) = (positive(terms.plan.price), cut_short) {
        all.push(Consequence::PaidPeriodLapses { paid, until });
    }
    if !terms.benefits.is_empty() {
        all.push(Consequence::BenefitsLapse);
    }
    let end = access_ends_at.unwrap_or(at);
    if let (Some(fee), Some(term_end)) =
        (positive(terms.early_termination_fee), terms.minimum_term_end.filter(|term_end| *term_end > end))
    {
        all.push(Consequence::EarlyTerminationFee { fee, term_end });
    }
    all.extend(positive(terms.outstanding).map(Consequence::Outstanding));
    if subscription.status == Status::Active {
        let near = terms.next_charge_at.filter(|charge| (at..=at.plus(CHARGE_NOTICE)).contains(charge));
        all.extend(near.map(|at| Consequence::ChargeMayStillHappen { at }));
    }
    if !ours && !subscription.is_settled(ending) {
        all.push(match terms.billing {
            Billing::AppStore => Consequence::SubjectMustEnd { due_at: due_at(subscription, at) },
            _ => Consequence::EndedByHand,
        });
    }
    all
}

fn due_at(subscription: &Subscription, at: Timestamp) -> Option<Timestamp> {
    let deadline = subscription.deadline(at).filter(|_| subscription.status == Status::Active);
    deadline.or_else(|| subscription.paid_after(at))
}

fn positive(money: Option<Money>) -> Option<Money> {
    money.filter(|money| money.minor_units > 0)
}
