//! The wallet of one subject, as pure rules: balances, benefits, and what was paid out.

mod record;

use std::collections::BTreeMap;

pub use policy::{Basis, Gone, Restriction, Treatment};
pub use record::{Record, expire, treat};
use types::{CancellationId, Currency, Money, Timestamp};

/// How many currencies may have a balance. An assessment names each of them, and must fit into one
/// event of the store.
pub const BALANCES_MAX: usize = 50;

/// How many benefits may be good at the same time, for the same reason.
pub const BENEFITS_MAX: usize = 300;

types::minted_id!(
    /// A benefit's id.
    BenefitId, "ben"
);

/// The kinds of benefits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BenefitKind {
    /// Points.
    Points,
    /// Coupons.
    Coupon,
    /// Value loaded for one purpose, which cannot be paid out as a balance can.
    StoredValue,
}

/// Points, coupons or stored value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Benefit {
    /// Its id.
    pub id: BenefitId,
    /// What it is.
    pub kind: BenefitKind,
    /// How many; at least 1.
    pub quantity: i64,
    /// What the subject paid for it; `None` when it was free.
    pub paid_value: Option<Money>,
    /// Until when it is good; `None`: for ever.
    pub expires_at: Option<Timestamp>,
    /// When it lapsed with the account.
    pub lapsed_at: Option<Timestamp>,
}

impl Benefit {
    /// Whether the subject could still use it at that moment.
    #[must_use]
    pub fn is_good(&self, at: Timestamp) -> bool {
        self.lapsed_at.is_none() && self.expires_at.is_none_or(|expires_at| at < expires_at)
    }
}

/// One subject's wallet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// What is left, in each currency's smallest unit; none that is zero.
    pub balances: BTreeMap<Currency, i64>,
    /// Every benefit, in the order in which they were recorded.
    pub benefits: Vec<Benefit>,
    /// What was paid out, in order.
    pub paid_out: Vec<Money>,
    /// When the last of that was; none where nothing was, or nobody noted it.
    pub paid_out_at: Option<Timestamp>,
    /// What has become of the record of it.
    pub record: Record,
}

impl State {
    /// What is left, by currency.
    pub fn remaining(&self) -> impl Iterator<Item = Money> {
        self.balances
            .iter()
            .map(|(currency, minor_units)| Money { currency: *currency, minor_units: *minor_units })
    }

    /// The benefits that could still be used at that moment.
    pub fn good_benefits(&self, at: Timestamp) -> impl Iterator<Item = &Benefit> {
        self.benefits.iter().filter(move |benefit| benefit.is_good(at))
    }

    /// The benefit with that id.
    #[must_use]
    pub fn find(&self, id: &BenefitId) -> Option<&Benefit> {
        self.benefits.iter().find(|benefit| benefit.id == *id)
    }
}

/// What a caller may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// This is what is left of that currency.
    RecordBalance(Money),
    /// Pay out what is left, of one currency or of all.
    PayOut {
        /// Which; none for all.
        currency: Option<Currency>,
        /// When.
        now: Timestamp,
    },
    /// The subject has this benefit.
    RecordBenefit {
        /// The benefit.
        benefit: Benefit,
        /// When it is recorded.
        now: Timestamp,
    },
}

/// What has happened to a wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// This is what is left of that currency.
    BalanceRecorded(Money),
    /// So much was paid out, and nothing of that currency is left.
    BalancePaidOut {
        /// How much.
        amount: Money,
        /// When; releases before this one did not note it.
        at: Option<Timestamp>,
    },
    /// There is one benefit more.
    BenefitRecorded(Benefit),
    /// A benefit lapsed with the account.
    BenefitLapsed {
        /// Which.
        id: BenefitId,
        /// By which cancellation.
        cancellation: CancellationId,
        /// When.
        at: Timestamp,
    },
    /// The record of what was paid out is kept for one ground only.
    PayoutRecordRestricted(Restriction),
    /// The record of what was paid out is gone.
    PayoutRecordErased(Gone),
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// No balance is left.
    #[error("nothing is left to pay out")]
    NothingToPayOut,
    /// As many currencies have a balance as may.
    #[error("{BALANCES_MAX} currencies have a balance, and no more may have one")]
    TooManyBalances,
    /// As many benefits are good as may be.
    #[error("{BENEFITS_MAX} benefits are good, and there may be no more")]
    TooManyBenefits,
}

/// Says which facts a command adds, or why it is refused.
///
/// # Errors
/// [`Rejection`].
pub fn decide(state: &State, command: Command) -> Result<Vec<Event>, Rejection> {
    match command {
        Command::RecordBalance(balance) => {
            let known = state.balances.get(&balance.currency).copied();
            if known.unwrap_or(0) == balance.minor_units {
                return Ok(vec![]);
            }
            if known.is_none() && state.balances.len() >= BALANCES_MAX {
                return Err(Rejection::TooManyBalances);
            }
            Ok(vec![Event::BalanceRecorded(balance)])
        }
        Command::PayOut { currency, now } => {
            let asked = state.remaining().filter(|money| currency.is_none_or(|only| only == money.currency));
            let events: Vec<Event> =
                asked.map(|amount| Event::BalancePaidOut { amount, at: Some(now) }).collect();
            if events.is_empty() { Err(Rejection::NothingToPayOut) } else { Ok(events) }
        }
        Command::RecordBenefit { benefit, .. } if state.find(&benefit.id).is_some() => Ok(vec![]),
        Command::RecordBenefit { now, .. } if state.good_benefits(now).count() >= BENEFITS_MAX => {
            Err(Rejection::TooManyBenefits)
        }
        Command::RecordBenefit { benefit, .. } => Ok(vec![Event::BenefitRecorded(benefit)]),
    }
}

/// Lets everything lapse that was good when the subject was told of it.
#[must_use]
pub fn lapse(
    state: &State,
    cancellation: &CancellationId,
    assessed_at: Timestamp,
    now: Timestamp,
) -> Vec<Event> {
    let lapsed = |benefit: &Benefit| Event::BenefitLapsed {
        id: benefit.id.clone(),
        cancellation: cancellation.clone(),
        at: now,
    };
    state.good_benefits(assessed_at).map(lapsed).collect()
}

/// Applies one recorded fact. Total: what does not fit changes nothing.
#[must_use]
pub fn evolve(mut state: State, event: &Event) -> State {
    match event {
        Event::BalanceRecorded(Money { currency, minor_units: 0 }) => drop(state.balances.remove(currency)),
        Event::BalanceRecorded(balance) => drop(state.balances.insert(balance.currency, balance.minor_units)),
        Event::BalancePaidOut { amount, at } => {
            state.balances.remove(&amount.currency);
            state.paid_out.push(*amount);
            state.paid_out_at = state.paid_out_at.max(*at);
            state.record = Record::Open;
        }
        Event::BenefitRecorded(benefit) => state.benefits.push(benefit.clone()),
        Event::BenefitLapsed { id, at, .. } => {
            if let Some(benefit) = state.benefits.iter_mut().find(|benefit| benefit.id == *id) {
                benefit.lapsed_at.get_or_insert(*at);
            }
        }
        Event::PayoutRecordRestricted(restriction) => state.record = Record::Restricted(restriction.clone()),
        Event::PayoutRecordErased(gone) => {
            state.paid_out.clear();
            state.paid_out_at = None;
            state.record = Record::Erased(gone.clone());
        }
    }
    state
}

#[cfg(test)]
mod tests;
