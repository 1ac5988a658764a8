//! What blocks the end of a payment score or of parts of it, what a cancellation does to it, and
//! what follows.
//!
//! Unbinding an authorisation does not stop the collection of what was used under it. So nothing is
//! unbound before every order is settled.

use types::{CancellationId, Money, Timestamp};

use super::{Authorization, CreditPurchase, Event, OrderState, ServiceOrder, State};

/// What a cancellation ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The score as a whole, with everything on credit, and face payment.
    All,
    /// Parts of it.
    Chosen {
        /// Authorisations, by their ids as they were given.
        authorizations: Vec<String>,
        /// Face payment.
        face_payment: bool,
    },
}

impl Wanted {
    fn is_in_scope(&self, authorization: &Authorization) -> bool {
        match self {
            Self::All => true,
            Self::Chosen { authorizations, .. } => {
                authorizations.iter().any(|id| id == authorization.id.as_str())
            }
        }
    }

    fn face_payment(&self) -> bool {
        match self {
            Self::All => true,
            Self::Chosen { face_payment, .. } => *face_payment,
        }
    }

    /// The ids that the subject does not have, in the order in which they were given.
    #[must_use]
    pub fn unknown<'a>(&'a self, state: &State) -> Vec<&'a str> {
        match self {
            Self::All => Vec::new(),
            Self::Chosen { authorizations, .. } => authorizations
                .iter()
                .map(String::as_str)
                .filter(|id| state.authorization(id).is_none())
                .collect(),
        }
    }
}

impl ServiceOrder {
    /// Whether it is in use, or used and not paid.
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        match self.state {
            OrderState::Doing | OrderState::Completed => true,
            OrderState::Paid | OrderState::Cancelled => false,
        }
    }
}

impl Authorization {
    /// The deposit that was waived last.
    fn deposit_waived(&self) -> Option<Money> {
        let waived = self.orders.iter().rev().filter_map(|order| order.deposit_waived);
        waived.into_iter().find(|deposit| deposit.minor_units > 0)
    }
}

/// Something that must be settled first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocking<'a> {
    /// A service is still in use.
    InUse(&'a Authorization, &'a ServiceOrder),
    /// A service was used, and is not paid.
    Unpaid(&'a Authorization, &'a ServiceOrder),
    /// Something was bought on credit, and is not paid.
    Unsettled(&'a CreditPurchase),
}

/// Everything that must be settled first, in the order in which it was recorded: orders, then
/// purchases.
#[must_use]
pub fn blocking<'a>(state: &'a State, wanted: &Wanted) -> Vec<Blocking<'a>> {
    let mut all = Vec::new();
    for authorization in state.authorizations.iter().filter(|it| wanted.is_in_scope(it)) {
        all.extend(authorization.orders.iter().filter_map(|order| match order.state {
            OrderState::Doing => Some(Blocking::InUse(authorization, order)),
            OrderState::Completed => Some(Blocking::Unpaid(authorization, order)),
            OrderState::Paid | OrderState::Cancelled => None,
        }));
    }
    if *wanted == Wanted::All {
        all.extend(state.purchases.iter().filter(|it| !it.settled).map(Blocking::Unsettled));
    }
    all
}

/// One thing that follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consequence<'a> {
    /// A merchant's service can rely on the score no more.
    Unbinds(&'a Authorization),
    /// It asks for a deposit again.
    DepositFreeEnds(&'a Authorization, Option<Money>),
    /// The subject cannot pay by face any more.
    FacePaymentEnds,
}

/// What follows, in a stable order.
#[must_use]
pub fn consequences<'a>(state: &'a State, wanted: &Wanted) -> Vec<Consequence<'a>> {
    let mut all: Vec<_> = in_scope(state, wanted)
        .flat_map(|it| [Consequence::Unbinds(it), Consequence::DepositFreeEnds(it, it.deposit_waived())])
        .collect();
    if state.face_payment && wanted.face_payment() {
        all.push(Consequence::FacePaymentEnds);
    }
    all
}

pub(super) fn in_scope<'a>(state: &'a State, wanted: &Wanted) -> impl Iterator<Item = &'a Authorization> {
    state.authorizations.iter().filter(|it| it.unbound_at.is_none() && wanted.is_in_scope(it))
}

/// Ends it. What has ended before adds nothing.
#[must_use]
pub fn end(state: &State, wanted: &Wanted, cancellation: &CancellationId, at: Timestamp) -> Vec<Event> {
    let unbound = in_scope(state, wanted).map(|it| Event::AuthorizationUnbound {
        id: it.id.clone(),
        cancellation: cancellation.clone(),
        at,
    });
    let face = (state.face_payment && wanted.face_payment())
        .then(|| Event::FacePaymentSet { enabled: false, cancellation: Some(cancellation.clone()) });
    unbound.chain(face).collect()
}

/// The authorisations that this cancellation took back.
pub fn unbound_by<'a>(
    state: &'a State,
    cancellation: &'a CancellationId,
) -> impl Iterator<Item = &'a Authorization> {
    state.authorizations.iter().filter(move |it| it.unbound_by.as_ref() == Some(cancellation))
}
