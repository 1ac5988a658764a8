//! A subject's payment score, as pure rules: authorisations, what was used or bought on credit, and
//! face payment.

mod ending;
mod freezing;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, fmt};

pub use ending::{Blocking, Consequence, Wanted, blocking, consequences, end, unbound_by};
pub use freezing::{freeze, frozen, thaw};
use types::{CancellationId, Money, SubjectId, Timestamp};

types::minted_id!(
    /// One authorisation of one merchant's service.
    AuthorizationId, "aut"
);
types::minted_id!(
    /// One use of a service on credit.
    OrderId, "ord"
);
types::minted_id!(
    /// One purchase on credit.
    PurchaseId, "pur"
);

/// How many of each kind one subject may have open at once. An assessment names each of them, and
/// must fit into one event of the store.
pub const OPEN_MAX: usize = 64;

/// Whose score it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// WeChat Pay's.
    WechatPayScore,
    /// Zhima's, of Alipay.
    Zhima,
}

/// Who offers the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merchant {
    /// The merchant's number with the provider.
    pub mchid: String,
    /// What it is called.
    pub name: String,
}

/// One merchant's service may rely on the subject's score.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// Its id.
    pub id: AuthorizationId,
    /// Whose.
    pub subject: SubjectId,
    /// Of which score.
    pub scheme: Scheme,
    /// For whom.
    pub merchant: Merchant,
    /// For which service of theirs.
    pub service_id: String,
    /// The merchant's own code of it.
    pub code: String,
    /// When it was taken back.
    pub unbound_at: Option<Timestamp>,
    /// By which cancellation.
    pub unbound_by: Option<CancellationId>,
    /// The cancellations that suspend it: nothing new can be used under it.
    pub frozen_by: BTreeSet<CancellationId>,
    /// What was used under it, in the order in which it was recorded.
    pub orders: Vec<ServiceOrder>,
}

/// Where a service order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderState {
    /// In use.
    Doing,
    /// Use is over, and payment is being collected.
    Completed,
    /// Paid.
    Paid,
    /// Called off before use was over.
    Cancelled,
}

impl fmt::Display for OrderState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Doing => "in use",
            Self::Completed => "completed",
            Self::Paid => "paid",
            Self::Cancelled => "cancelled",
        })
    }
}

/// One use of a service on credit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceOrder {
    /// Its id.
    pub id: OrderId,
    /// Under which authorisation.
    pub authorization: AuthorizationId,
    /// The merchant's own number of it.
    pub out_order_no: String,
    /// What it costs.
    pub amount: Money,
    /// The deposit that would be due without the score.
    pub deposit_waived: Option<Money>,
    /// Where it stands.
    pub state: OrderState,
}

/// Something bought on credit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditPurchase {
    /// Its id.
    pub id: PurchaseId,
    /// Whose.
    pub subject: SubjectId,
    /// What it cost.
    pub amount: Money,
    /// The merchant's own number of it; empty when it has none.
    pub out_trade_no: String,
    /// Whether it is paid.
    pub settled: bool,
}

/// Everything known of one subject.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Authorisations, in the order in which they were recorded.
    pub authorizations: Vec<Authorization>,
    /// Purchases on credit, in the order in which they were recorded.
    pub purchases: Vec<CreditPurchase>,
    /// Whether the subject can pay by face.
    pub face_payment: bool,
    /// The cancellation that switched it off; none when the subject did, or it is on.
    pub face_payment_ended_by: Option<CancellationId>,
}

impl State {
    /// The authorisation of that id.
    #[must_use]
    pub fn authorization(&self, id: &str) -> Option<&Authorization> {
        self.authorizations.iter().find(|it| it.id.as_str() == id)
    }

    /// The service order of that id.
    #[must_use]
    pub fn order(&self, id: &str) -> Option<&ServiceOrder> {
        self.authorizations.iter().flat_map(|it| &it.orders).find(|it| it.id.as_str() == id)
    }

    /// The purchase of that id.
    #[must_use]
    pub fn purchase(&self, id: &str) -> Option<&CreditPurchase> {
        self.purchases.iter().find(|it| it.id.as_str() == id)
    }
}

/// What is known of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Collection {
    /// The subject has yet to pay.
    UserPaying,
    /// The subject has paid.
    UserPaid,
}

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The subject gave this authorisation.
    RecordAuthorization(Box<Authorization>),
    /// Use of a service on credit begins.
    CreateOrder(Box<ServiceOrder>),
    /// Use is over.
    CompleteOrder(OrderId),
    /// The provider says this of the collection.
    RecordCollection(OrderId, Collection),
    /// The order is called off.
    CancelOrder(OrderId),
    /// The subject bought this on credit.
    RecordPurchase(Box<CreditPurchase>),
    /// The purchase is paid.
    SettlePurchase(PurchaseId),
    /// Face payment is switched on or off.
    SetFacePayment(bool),
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The subject gave this authorisation.
    AuthorizationRecorded(Box<Authorization>),
    /// A cancellation took it back.
    AuthorizationUnbound {
        /// Which.
        id: AuthorizationId,
        /// Which cancellation.
        cancellation: CancellationId,
        /// When.
        at: Timestamp,
    },
    /// A cancellation that can still be taken back suspends it.
    AuthorizationFrozen {
        /// Which.
        id: AuthorizationId,
        /// Which cancellation.
        cancellation: CancellationId,
        /// When.
        at: Timestamp,
    },
    /// That cancellation suspends it no more.
    AuthorizationThawed {
        /// Which.
        id: AuthorizationId,
        /// Which cancellation.
        cancellation: CancellationId,
        /// When.
        at: Timestamp,
    },
    /// Use of a service on credit began.
    OrderCreated(Box<ServiceOrder>),
    /// Use is over.
    OrderCompleted(OrderId),
    /// It is paid.
    OrderPaid(OrderId),
    /// It was called off.
    OrderCancelled(OrderId),
    /// The subject bought this on credit.
    PurchaseRecorded(Box<CreditPurchase>),
    /// It is paid.
    PurchaseSettled(PurchaseId),
    /// Face payment was switched on or off.
    FacePaymentSet {
        /// On.
        enabled: bool,
        /// The cancellation that switched it off; none when the subject did.
        cancellation: Option<CancellationId>,
    },
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The subject has nothing of that kind with that id.
    #[error("the subject has nothing of that kind with the id {0}")]
    Unknown(String),
    /// The merchant's code stands for another authorisation already.
    #[error("the code stands for authorization {first} of the same merchant and service already")]
    AuthorizationExists {
        /// That one.
        first: AuthorizationId,
    },
    /// The authorisation was taken back.
    #[error("authorization {0} is unbound: nothing can be used on credit under it")]
    Unbound(AuthorizationId),
    /// A cancellation suspends the authorisation.
    #[error(
        "authorization {id} is suspended by cancellation {by}: nothing new can be used on credit under it"
    )]
    Frozen {
        /// Which.
        id: AuthorizationId,
        /// By which cancellation.
        by: CancellationId,
    },
    /// The merchant's number stands for another order already.
    #[error("the number stands for service order {first} under the same authorization already")]
    OrderExists {
        /// That one.
        first: OrderId,
    },
    /// The order is not in use.
    #[error("service order {id} is {state}: only one in use can be completed or cancelled")]
    OrderNotOpen {
        /// Which.
        id: OrderId,
        /// Where it stands.
        state: OrderState,
    },
    /// Nothing is collected for the order.
    #[error("service order {id} is {state}: nothing is collected before it is completed")]
    OrderNotCompleted {
        /// Which.
        id: OrderId,
        /// Where it stands.
        state: OrderState,
    },
    /// One assessment could not name them all any more.
    #[error("the subject has {OPEN_MAX} open {0}, as many as one account can have")]
    TooMany(&'static str),
}

/// Says which facts a command adds to this state, or why it is refused.
///
/// # Errors
/// [`Rejection`].
pub fn decide(state: &State, command: Command) -> Result<Vec<Event>, Rejection> {
    match command {
        Command::RecordAuthorization(new) => record_authorization(state, new),
        Command::CreateOrder(new) => create_order(state, new),
        Command::CompleteOrder(id) => doing(state, &id).map(|()| vec![Event::OrderCompleted(id)]),
        Command::CancelOrder(id) => doing(state, &id).map(|()| vec![Event::OrderCancelled(id)]),
        Command::RecordCollection(id, collection) => match (order_state(state, &id)?, collection) {
            (OrderState::Completed, Collection::UserPaid) => Ok(vec![Event::OrderPaid(id)]),
            // Nothing new; what is paid stays paid, whatever comes late.
            (OrderState::Completed, Collection::UserPaying) | (OrderState::Paid, _) => Ok(vec![]),
            (state @ (OrderState::Doing | OrderState::Cancelled), _) => {
                Err(Rejection::OrderNotCompleted { id, state })
            }
        },
        Command::RecordPurchase(new) => {
            let open = state.purchases.iter().filter(|it| !it.settled).count();
            limit(open, "credit purchases")?;
            Ok(vec![Event::PurchaseRecorded(new)])
        }
        Command::SettlePurchase(id) => match state.purchase(id.as_str()) {
            None => Err(Rejection::Unknown(id.to_string())),
            Some(purchase) if purchase.settled => Ok(vec![]),
            Some(_) => Ok(vec![Event::PurchaseSettled(id)]),
        },
        Command::SetFacePayment(enabled) if enabled == state.face_payment => Ok(vec![]),
        Command::SetFacePayment(enabled) => Ok(vec![Event::FacePaymentSet { enabled, cancellation: None }]),
    }
}

fn limit(open: usize, what: &'static str) -> Result<(), Rejection> {
    if open < OPEN_MAX { Ok(()) } else { Err(Rejection::TooMany(what)) }
}

fn record_authorization(state: &State, new: Box<Authorization>) -> Result<Vec<Event>, Rejection> {
    let key =
        |it: &Authorization| (it.scheme, it.merchant.mchid.clone(), it.service_id.clone(), it.code.clone());
    if let Some(first) = state.authorizations.iter().find(|it| key(it) == key(&new)) {
        return Err(Rejection::AuthorizationExists { first: first.id.clone() });
    }
    limit(state.authorizations.iter().filter(|it| it.unbound_at.is_none()).count(), "authorizations")?;
    Ok(vec![Event::AuthorizationRecorded(new)])
}

fn create_order(state: &State, new: Box<ServiceOrder>) -> Result<Vec<Event>, Rejection> {
    let Some(authorization) = state.authorization(new.authorization.as_str()) else {
        return Err(Rejection::Unknown(new.authorization.to_string()));
    };
    if let Some(first) = authorization.orders.iter().find(|it| it.out_order_no == new.out_order_no) {
        return Err(Rejection::OrderExists { first: first.id.clone() });
    }
    if authorization.unbound_at.is_some() {
        return Err(Rejection::Unbound(new.authorization));
    }
    if let Some(by) = authorization.frozen_by.first() {
        return Err(Rejection::Frozen { id: new.authorization, by: by.clone() });
    }
    let all = state.authorizations.iter().flat_map(|it| &it.orders);
    limit(all.filter(|it| it.is_unsettled()).count(), "service orders")?;
    Ok(vec![Event::OrderCreated(new)])
}

fn order_state(state: &State, id: &OrderId) -> Result<OrderState, Rejection> {
    let order = state.order(id.as_str());
    order.map(|it| it.state).ok_or_else(|| Rejection::Unknown(id.to_string()))
}

fn doing(state: &State, id: &OrderId) -> Result<(), Rejection> {
    match order_state(state, id)? {
        OrderState::Doing => Ok(()),
        state @ (OrderState::Completed | OrderState::Paid | OrderState::Cancelled) => {
            Err(Rejection::OrderNotOpen { id: id.clone(), state })
        }
    }
}

/// Applies one recorded fact. Total.
#[must_use]
pub fn evolve(mut state: State, event: &Event) -> State {
    match event {
        Event::AuthorizationRecorded(it) => state.authorizations.push((**it).clone()),
        Event::AuthorizationUnbound { id, cancellation, at } => {
            if let Some(it) = state.authorizations.iter_mut().find(|it| it.id == *id) {
                it.unbound_at = Some(*at);
                it.unbound_by = Some(cancellation.clone());
                it.frozen_by.clear();
            }
        }
        Event::AuthorizationFrozen { id, cancellation, .. } => {
            if let Some(it) = state.authorizations.iter_mut().find(|it| it.id == *id) {
                it.frozen_by.insert(cancellation.clone());
            }
        }
        Event::AuthorizationThawed { id, cancellation, .. } => {
            if let Some(it) = state.authorizations.iter_mut().find(|it| it.id == *id) {
                it.frozen_by.remove(cancellation);
            }
        }
        Event::OrderCreated(order) => {
            if let Some(it) = state.authorizations.iter_mut().find(|it| it.id == order.authorization) {
                it.orders.push((**order).clone());
            }
        }
        Event::OrderCompleted(id) => move_order(&mut state, id, OrderState::Completed),
        Event::OrderPaid(id) => move_order(&mut state, id, OrderState::Paid),
        Event::OrderCancelled(id) => move_order(&mut state, id, OrderState::Cancelled),
        Event::PurchaseRecorded(it) => state.purchases.push((**it).clone()),
        Event::PurchaseSettled(id) => {
            if let Some(it) = state.purchases.iter_mut().find(|it| it.id == *id) {
                it.settled = true;
            }
        }
        Event::FacePaymentSet { enabled, cancellation } => {
            state.face_payment = *enabled;
            state.face_payment_ended_by.clone_from(cancellation);
        }
    }
    state
}

fn move_order(state: &mut State, id: &OrderId, to: OrderState) {
    if let Some(order) = state.authorizations.iter_mut().flat_map(|it| &mut it.orders).find(|it| it.id == *id)
    {
        order.state = to;
    }
}
