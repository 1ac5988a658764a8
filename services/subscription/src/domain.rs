//! A subject's subscriptions, as pure rules: what may be recorded of them, and what has been.

mod charges;
mod ending;
mod freezing;
mod money;
mod records;
mod refunds;
mod rejection;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use charges::{AUTOMATIC, Charge, Consequent, LateCharge};
pub use ending::{Consequence, Ending, Wanted, consequences, end, ended_by, waiting};
pub use freezing::{freeze, frozen, not_suspended, overdue, resumable_until, thaw};
pub use money::MoneyEvent;
pub use policy::{Basis, Gone, Restriction, Treatment};
pub use records::{ErasedRefund, expire, treat, treated};
pub use refunds::{
    Approval, Decided, Decision, Destination, Late, REVIEWS_MAX, Refund, RefundId, RefundReason, RefundState,
    Refusal, refund_overdue, refunds,
};
pub use rejection::Rejection;
use types::{CancellationId, Money, SubjectId, Timestamp};

types::minted_id!(
    /// One subscription.
    SubscriptionId, "sub"
);

/// How much a quote may say of one subject's subscriptions, in bytes, by [`Terms::weight`]: a whole
/// assessment is one event of the store, and that has a limit.
const WEIGHT_MAX: usize = 200_000;

/// Who charges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Billing {
    /// We do, and we can stop it.
    Merchant,
    /// WeChat Pay, by a papay contract.
    WechatPay,
    /// Alipay, by an agreement.
    Alipay,
    /// The App Store; only the subject can end it.
    AppStore,
    /// Google Play.
    GooglePlay,
    /// Stripe.
    Stripe,
    /// The mobile carrier.
    Carrier,
    /// QQ Wallet.
    QqWallet,
}

/// What is subscribed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// Its tier; empty where it has none.
    pub tier: String,
    /// The price of a period; none where it is free or not known.
    pub price: Option<Money>,
    /// Where it is subscribed to; empty where there is no such place.
    pub link: String,
}

/// The contract in the provider's own terms. Texts that the provider did not give are empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderRef {
    /// A papay contract.
    WechatPay {
        /// The merchant's number.
        mchid: String,
        /// The template of the contract.
        plan_id: String,
        /// The merchant's own number of the contract.
        contract_code: String,
        /// The provider's number of the contract.
        contract_id: String,
    },
    /// An agreement on recurring deductions.
    Alipay {
        /// The provider's number.
        agreement_no: String,
        /// The merchant's own number.
        external_agreement_no: String,
        /// The scene that it was signed for.
        sign_scene: String,
    },
    /// A subscription of the App Store.
    AppStore {
        /// The first transaction, which names them all.
        original_transaction_id: String,
    },
    /// A subscription of Google Play.
    GooglePlay {
        /// The app.
        package_name: String,
        /// The purchase.
        purchase_token: String,
    },
    /// A subscription of Stripe Billing.
    Stripe {
        /// Its id.
        subscription: String,
    },
}

/// What was agreed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// What is subscribed to.
    pub plan: Plan,
    /// Who charges.
    pub billing: Billing,
    /// The contract with who charges.
    pub provider: Option<ProviderRef>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// Until when it is paid.
    pub current_period_end: Option<Timestamp>,
    /// When the next charge is due.
    pub next_charge_at: Option<Timestamp>,
    /// Before when it cannot end without a fee.
    pub minimum_term_end: Option<Timestamp>,
    /// That fee.
    pub early_termination_fee: Option<Money>,
    /// What is owed already.
    pub outstanding: Option<Money>,
    /// What comes with it, by name.
    pub benefits: Vec<String>,
    /// What the subject could have instead for less, where we bill.
    pub alternative: Option<Plan>,
}

impl Terms {
    /// About how many bytes a quote says of it: up to ten items, each with the plan's name.
    fn weight(&self) -> usize {
        let offer = self.alternative.as_ref().map_or(0, |it| 300 + self.plan.name.len() + it.name.len());
        let benefits = self.benefits.iter().map(|name| name.len() + 2).sum::<usize>();
        2_500 + 10 * self.plan.name.len() + benefits + offer
    }
}

/// Where a subscription stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// It will be charged for again.
    Active,
    /// No further charge; access until it ends.
    WillNotRenew,
    /// It has ended, finally.
    Ended,
}

/// One subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Its id.
    pub id: SubscriptionId,
    /// Whose.
    pub subject: SubjectId,
    /// What was agreed.
    pub terms: Terms,
    /// Where it stands.
    pub status: Status,
    /// Since when no further charge will be made.
    pub will_not_renew_at: Option<Timestamp>,
    /// When access ends, or has ended.
    pub access_ends_at: Option<Timestamp>,
    /// When the provider's word that was recorded last was true.
    pub observed_at: Option<Timestamp>,
    /// The cancellation that stopped its renewal or ended it.
    pub ended_by: Option<CancellationId>,
    /// The cancellations that suspend its renewals, and since when each does.
    pub frozen_by: BTreeMap<CancellationId, Timestamp>,
    /// The pause that the subject took last.
    pub pause: Option<Pause>,
    /// Since when the subject wants the alternative from the next period on.
    pub downgraded_at: Option<Timestamp>,
}

/// Time in which the subject does not want to be charged, though they stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// Everything known of one subject.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Their subscriptions, in the order in which they were recorded.
    pub subscriptions: Vec<Subscription>,
    /// What was applied for or is owed, in the order in which it came up.
    pub refunds: Vec<Refund>,
    /// What was charged, as far as it was told.
    pub charges: Vec<Charge>,
    /// Those of them that should not have been made any more.
    pub late_charges: Vec<LateCharge>,
    /// Refunds whose records are gone, in the order in which they went.
    pub erased_refunds: Vec<ErasedRefund>,
    /// The numbers of charges that went with them.
    pub erased_charges: Vec<(SubscriptionId, String)>,
}

impl State {
    /// The subscription of that id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Subscription> {
        self.subscriptions.iter().find(|subscription| subscription.id.as_str() == id)
    }
}

/// What a provider says of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProviderState {
    /// It renews.
    Active,
    /// Renewal is off.
    WillNotRenew,
    /// It has ended.
    Ended,
}

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The subject has this subscription.
    Record {
        /// Its new id.
        id: SubscriptionId,
        /// Whose.
        subject: SubjectId,
        /// What was agreed.
        terms: Box<Terms>,
        /// Whether it will be charged for again.
        will_renew: bool,
        /// When.
        now: Timestamp,
    },
    /// The provider says this of it.
    RecordProviderState {
        /// Of which.
        id: SubscriptionId,
        /// What.
        state: ProviderState,
        /// When that was true.
        observed_at: Timestamp,
    },
    /// We are about to charge for another period, and may we?
    Renew {
        /// Of which.
        id: SubscriptionId,
        /// Until when the new period lasts.
        period_end: Timestamp,
        /// When the charge after this one is due.
        next_charge_at: Option<Timestamp>,
        /// When.
        now: Timestamp,
    },
    /// The subject does not want to be charged for a while.
    Pause {
        /// For which.
        id: SubscriptionId,
        /// Until when; one that is over ends a pause.
        until: Timestamp,
        /// When.
        now: Timestamp,
    },
    /// The subject wants the alternative from the next period on, or not after all.
    Downgrade {
        /// Of which.
        id: SubscriptionId,
        /// Whether they stay with what they have.
        withdraw: bool,
        /// When.
        now: Timestamp,
    },
    /// This was charged.
    RecordCharge {
        /// What.
        charge: Charge,
        /// What it may bring about.
        then: Consequent,
    },
    /// The subject asks for money back.
    ApplyForRefund {
        /// The refund's new id.
        id: RefundId,
        /// For which subscription.
        subscription: SubscriptionId,
        /// Why.
        reason: RefundReason,
        /// When.
        now: Timestamp,
        /// By when a person decides.
        review_until: Timestamp,
    },
    /// A person decides.
    DecideRefund {
        /// On which refund.
        id: RefundId,
        /// What.
        decision: Decision,
        /// Who, and when.
        decided: Decided,
    },
    /// It was paid.
    RecordRefundPaid {
        /// Which.
        id: RefundId,
        /// The payer's own number of the payment.
        reference: String,
        /// When.
        at: Timestamp,
    },
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The subject has this subscription.
    Recorded(Box<Subscription>),
    /// The provider said this of it.
    ProviderStateRecorded {
        /// Of which.
        id: SubscriptionId,
        /// What.
        state: ProviderState,
        /// When that was true.
        observed_at: Timestamp,
    },
    /// A cancellation ended the mandate: no further charge will be made.
    RenewalStopped {
        /// Of which.
        id: SubscriptionId,
        /// By which cancellation.
        cancellation: CancellationId,
        /// Since when.
        will_not_renew_at: Timestamp,
        /// When access ends.
        access_ends_at: Timestamp,
    },
    /// Access has ended.
    AccessEnded {
        /// To which.
        id: SubscriptionId,
        /// When.
        at: Timestamp,
        /// The cancellation that ended it; none when the paid period did.
        cancellation: Option<CancellationId>,
    },
    /// A cancellation that can still be taken back suspends its renewals.
    RenewalFrozen {
        /// Of which.
        id: SubscriptionId,
        /// Which cancellation.
        cancellation: CancellationId,
        /// Since when.
        at: Timestamp,
    },
    /// That cancellation suspends them no more.
    RenewalThawed {
        /// Of which.
        id: SubscriptionId,
        /// Which cancellation.
        cancellation: CancellationId,
        /// Since when.
        at: Timestamp,
    },
    /// Another period began, and is charged for.
    Renewed {
        /// Of which.
        id: SubscriptionId,
        /// Since when.
        at: Timestamp,
        /// Until when it lasts.
        period_end: Timestamp,
        /// When the charge after this one is due.
        next_charge_at: Option<Timestamp>,
        /// What it is from here on; none where it is what it was.
        plan: Option<Plan>,
    },
    /// The subject wants the alternative from the next period on, or not after all.
    Downgraded {
        /// Of which.
        id: SubscriptionId,
        /// When they said so.
        at: Timestamp,
        /// What it will be; none where they stay with what they have.
        plan: Option<Plan>,
        /// When the paid period ends.
        effective_at: Option<Timestamp>,
    },
    /// The subject is not charged for a while.
    Paused {
        /// For which.
        id: SubscriptionId,
        /// Since when, and until when.
        pause: Pause,
    },
    /// Money was charged, or goes back.
    Money(MoneyEvent),
}

/// Says which facts a command adds to this state, or why it is refused.
///
/// # Errors
/// [`Rejection`].
pub fn decide(state: &State, command: Command) -> Result<Vec<Event>, Rejection> {
    match command {
        Command::Record { id, subject, terms, will_renew, now } => {
            let others = state.subscriptions.iter().filter(|other| other.status != Status::Ended);
            if others.map(|other| other.terms.weight()).sum::<usize>() + terms.weight() > WEIGHT_MAX {
                return Err(Rejection::TooMany);
            }
            let access_ends_at = if will_renew { None } else { terms.current_period_end };
            Ok(vec![Event::Recorded(Box::new(Subscription {
                id,
                subject,
                terms: *terms,
                status: if will_renew { Status::Active } else { Status::WillNotRenew },
                will_not_renew_at: (!will_renew).then_some(now),
                access_ends_at,
                observed_at: None,
                ended_by: None,
                frozen_by: BTreeMap::new(),
                pause: None,
                downgraded_at: None,
            }))])
        }
        Command::Renew { id, period_end, next_charge_at, now } => {
            freezing::renew(state, id, period_end, next_charge_at, now)
        }
        Command::Pause { id, until, now } => freezing::pause(state, id, until, now),
        Command::Downgrade { id, withdraw, now } => freezing::downgrade(state, id, withdraw, now),
        Command::RecordCharge { charge, then } => money(charges::record(state, charge, then)),
        Command::ApplyForRefund { id, subscription, reason, now, review_until } => {
            money(refunds::apply_for(state, id, subscription, reason, (now, review_until)))
        }
        Command::DecideRefund { id, decision, decided } => {
            money(refunds::decide_on(state, id, decision, decided))
        }
        Command::RecordRefundPaid { id, reference, at } => {
            money(refunds::record_paid(state, id, reference, at))
        }
        Command::RecordProviderState { id, state: told, observed_at } => {
            let Some(subscription) = state.get(id.as_str()) else { return Err(Rejection::Unknown(id)) };
            if subscription.terms.billing == Billing::Merchant {
                return Err(Rejection::NotProviderBilled(id));
            }
            match (subscription.status, subscription.observed_at) {
                // The end is told once; telling it again adds nothing.
                (Status::Ended, _) if told == ProviderState::Ended => Ok(vec![]),
                (Status::Ended, _) => Err(Rejection::Ended(id)),
                (_, Some(last)) if observed_at < last => Err(Rejection::ObservationOutdated { last }),
                (status, Some(last)) if observed_at == last && status == status_of(told) => Ok(vec![]),
                _ => Ok(vec![Event::ProviderStateRecorded { id, state: told, observed_at }]),
            }
        }
    }
}

fn money(events: Result<Vec<MoneyEvent>, Rejection>) -> Result<Vec<Event>, Rejection> {
    Ok(events?.into_iter().map(Event::Money).collect())
}

fn status_of(told: ProviderState) -> Status {
    match told {
        ProviderState::Active => Status::Active,
        ProviderState::WillNotRenew => Status::WillNotRenew,
        ProviderState::Ended => Status::Ended,
    }
}

/// What becomes of access that ends at a known time: it has ended, once that time has come. Nothing
/// when it ended before, or was renewed.
#[must_use]
pub fn access_due(state: &State, id: &str, now: Timestamp) -> Option<Event> {
    let subscription = state.get(id).filter(|it| it.status == Status::WillNotRenew)?;
    let at = subscription.access_ends_at.filter(|at| *at <= now)?;
    Some(Event::AccessEnded { id: subscription.id.clone(), at, cancellation: None })
}

/// Applies one recorded fact. Total.
#[must_use]
pub fn evolve(mut state: State, event: &Event) -> State {
    match event {
        Event::Recorded(subscription) => state.subscriptions.push((**subscription).clone()),
        Event::ProviderStateRecorded { id, .. }
        | Event::RenewalStopped { id, .. }
        | Event::AccessEnded { id, .. }
        | Event::RenewalFrozen { id, .. }
        | Event::RenewalThawed { id, .. }
        | Event::Renewed { id, .. }
        | Event::Downgraded { id, .. }
        | Event::Paused { id, .. } => {
            if let Some(subscription) = state.subscriptions.iter_mut().find(|it| it.id == *id) {
                apply(subscription, event);
            }
        }
        Event::Money(event) => money::evolve(&mut state, event),
    }
    state
}

fn apply(subscription: &mut Subscription, event: &Event) {
    match event {
        Event::Recorded(_) | Event::Money(_) => {}
        Event::ProviderStateRecorded { state, observed_at, .. } => {
            subscription.status = status_of(*state);
            subscription.observed_at = Some(*observed_at);
            match state {
                ProviderState::Active => {
                    subscription.will_not_renew_at = None;
                    subscription.access_ends_at = None;
                }
                ProviderState::WillNotRenew => {
                    subscription.will_not_renew_at.get_or_insert(*observed_at);
                    subscription.access_ends_at = subscription.terms.current_period_end;
                }
                ProviderState::Ended => {
                    subscription.will_not_renew_at.get_or_insert(*observed_at);
                    subscription.access_ends_at = Some(*observed_at);
                }
            }
        }
        Event::RenewalStopped { cancellation, will_not_renew_at, access_ends_at, .. } => {
            subscription.ended_by = Some(cancellation.clone());
            subscription.frozen_by.clear();
            subscription.status = Status::WillNotRenew;
            subscription.will_not_renew_at = Some(*will_not_renew_at);
            subscription.access_ends_at = Some(*access_ends_at);
        }
        Event::AccessEnded { at, cancellation, .. } => {
            if cancellation.is_some() {
                subscription.ended_by.clone_from(cancellation);
            }
            subscription.frozen_by.clear();
            subscription.status = Status::Ended;
            subscription.will_not_renew_at.get_or_insert(*at);
            subscription.access_ends_at = Some(*at);
        }
        Event::RenewalFrozen { cancellation, at, .. } => {
            subscription.frozen_by.insert(cancellation.clone(), *at);
        }
        Event::RenewalThawed { cancellation, .. } => {
            subscription.frozen_by.remove(cancellation);
        }
        Event::Renewed { period_end, next_charge_at, plan, .. } => {
            subscription.terms.current_period_end = Some(*period_end);
            subscription.terms.next_charge_at = *next_charge_at;
            if let Some(plan) = plan {
                subscription.terms.plan = plan.clone();
                subscription.terms.alternative = None;
                subscription.downgraded_at = None;
            }
        }
        Event::Downgraded { at, plan, .. } => {
            subscription.downgraded_at = plan.as_ref().map(|_| *at);
        }
        Event::Paused { pause, .. } => subscription.pause = Some(*pause),
    }
}
