//! What the service knows of one subject: a book of coupons. Plain functions.

use std::collections::BTreeMap;

use types::{CancellationId, Money};

/// How a coupon stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It can be redeemed.
    Good,
    /// It was redeemed.
    Redeemed,
    /// It lapsed with this cancellation.
    Void(CancellationId),
}

impl State {
    /// For people.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Redeemed => "redeemed",
            Self::Void(_) => "void",
        }
    }
}

/// A coupon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coupon {
    /// What for.
    pub title: String,
    /// What it is worth.
    pub value: Money,
    /// How it stands.
    pub state: State,
}

/// A subject's coupons, by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Book {
    /// All of them, those that are redeemed or void, too.
    pub coupons: BTreeMap<String, Coupon>,
    /// The cancellation that suspended them.
    pub suspended: Option<CancellationId>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A coupon was given.
    Issued { id: String, title: String, value: Money },
    /// One was redeemed.
    Redeemed { id: String },
    /// None can be redeemed for the time being.
    Suspended { by: CancellationId },
    /// They can be again.
    Resumed,
    /// One lapsed with a cancellation.
    Voided { id: String, by: CancellationId },
    /// One is good again, because its cancellation was undone.
    Restored { id: String },
}

/// Why something cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The subject has no such coupon.
    #[error("the subject has no such coupon")]
    Unknown,
    /// It is redeemed or void.
    #[error("the coupon is not good any more")]
    Spent,
    /// The coupons are suspended.
    #[error("the subject's coupons are suspended by a cancellation")]
    Suspended,
}

impl Book {
    /// Those that can be redeemed.
    pub fn good(&self) -> impl Iterator<Item = (&String, &Coupon)> {
        self.coupons.iter().filter(|(_, coupon)| coupon.state == State::Good)
    }

    /// Applies one fact. Total.
    pub fn evolve(mut self, event: &Event) -> Self {
        match event {
            Event::Issued { id, title, value } => {
                let coupon = Coupon { title: title.clone(), value: *value, state: State::Good };
                self.coupons.entry(id.clone()).or_insert(coupon);
            }
            Event::Redeemed { id } => self.put(id, State::Redeemed),
            Event::Suspended { by } => self.suspended = Some(by.clone()),
            Event::Resumed => self.suspended = None,
            Event::Voided { id, by } => self.put(id, State::Void(by.clone())),
            Event::Restored { id } => self.put(id, State::Good),
        }
        self
    }

    fn put(&mut self, id: &str, state: State) {
        if let Some(coupon) = self.coupons.get_mut(id) {
            coupon.state = state;
        }
    }

    /// Redeems a coupon.
    pub fn redeem(&self, id: &str) -> Result<Vec<Event>, Rejection> {
        match self.coupons.get(id).map(|coupon| &coupon.state) {
            None => Err(Rejection::Unknown),
            Some(State::Redeemed | State::Void(_)) => Err(Rejection::Spent),
            Some(State::Good) if self.suspended.is_some() => Err(Rejection::Suspended),
            Some(State::Good) => Ok(vec![Event::Redeemed { id: id.to_owned() }]),
        }
    }

    /// Voids all that are good.
    pub fn void(&self, by: &CancellationId) -> Vec<Event> {
        self.good().map(|(id, _)| Event::Voided { id: id.clone(), by: by.clone() }).collect()
    }

    /// Takes back what a cancellation did: what it voided is good again, what it suspended goes on.
    pub fn restore(&self, by: &CancellationId) -> Vec<Event> {
        let its = |coupon: &Coupon| matches!(&coupon.state, State::Void(void_by) if void_by == by);
        let void = self.coupons.iter().filter(|(_, coupon)| its(coupon));
        let mut events: Vec<Event> = void.map(|(id, _)| Event::Restored { id: id.clone() }).collect();
        events.extend((self.suspended.as_ref() == Some(by)).then_some(Event::Resumed));
        events
    }
}

#[cfg(test)]
mod tests {
    use types::Currency;

    use super::*;

    fn by(id: &str) -> CancellationId {
        CancellationId::parse(id).unwrap()
    }

    fn book(events: &[Event]) -> Book {
        events.iter().fold(Book::default(), Book::evolve)
    }

    fn issued(id: &str) -> Event {
        let value = Money { currency: Currency::parse("CNY").unwrap(), minor_units: 500 };
        Event::Issued { id: id.into(), title: "Tea".into(), value }
    }

    #[test]
    fn only_a_good_coupon_is_redeemed_and_none_while_they_are_suspended() {
        let one = book(&[issued("a")]);
        let redeemed = one.redeem("a").unwrap();
        assert_eq!(one.redeem("b"), Err(Rejection::Unknown));
        assert_eq!(one.clone().evolve(&redeemed[0]).redeem("a"), Err(Rejection::Spent));
        let suspended = one.evolve(&Event::Suspended { by: by("can_1") });
        assert_eq!(suspended.redeem("a"), Err(Rejection::Suspended));
    }

    #[test]
    fn what_a_cancellation_voided_comes_back_and_nothing_else() {
        let mut both = book(&[issued("a"), issued("b"), Event::Redeemed { id: "b".into() }]);
        let before = both.clone();
        for event in both.void(&by("can_1")) {
            both = both.evolve(&event);
        }
        assert_eq!(both.good().count(), 0);
        assert_eq!(both.restore(&by("can_2")), []);
        for event in both.restore(&by("can_1")) {
            both = both.evolve(&event);
        }
        assert_eq!(both, before);
    }
}
