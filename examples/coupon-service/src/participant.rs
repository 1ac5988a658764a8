//! Instructions in, answers out: the whole of what a participant on the SDK must write.

use bytes::Bytes;
use messaging::Unreadable;
use participant::{Answer, Assessed, Case, Encoded, Participant, Step, wire::money};
use proto::participant::v1 as pb;
use types::{ParticipantName, Scope, Timestamp};

use crate::{
    book::{Book, Coupon, Event},
    wire,
};

/// Its name on the roster.
pub const NAME: &str = "coupons";

/// The participant.
pub struct Coupons {
    name: ParticipantName,
}

impl Default for Coupons {
    fn default() -> Self {
        Self { name: ParticipantName::parse(NAME).expect("a constant of the right form") }
    }
}

/// Coupons end with the account, and in the roster's own scope of that name.
fn concerns(case: &Case) -> bool {
    match &case.scope {
        Scope::WholeAccount => true,
        Scope::Named(name) => name == NAME,
        Scope::Selected(_) => false,
    }
}

fn lapsing((id, coupon): (&String, &Coupon)) -> pb::QuoteItem {
    pb::QuoteItem {
        kind: pb::QuoteItemKind::Lapses.into(),
        code: "COUPON_LAPSES".into(),
        item_id: id.clone(),
        title: coupon.title.clone(),
        text: format!("The coupon worth {} lapses. Redeem it before.", coupon.value),
        quantity: 1,
        amount: Some(money(coupon.value)),
        ..pb::QuoteItem::default()
    }
}

fn done(events: Vec<Event>) -> Step<Event> {
    if events.is_empty() { Step::nothing_to_do() } else { Step::new(events, Answer::Done) }
}

impl Participant for Coupons {
    type State = Book;
    type Event = Event;

    fn name(&self) -> &ParticipantName {
        &self.name
    }

    fn evolve(&self, state: Book, event: &Event) -> Book {
        state.evolve(event)
    }

    fn encode(&self, event: &Event) -> Encoded {
        wire::encode(event)
    }

    fn decode(&self, kind: &str, schema: u16, payload: &Bytes) -> Result<Event, Unreadable> {
        wire::decode(kind, schema, payload)
    }

    /// Nobody but this service need know who redeemed what.
    fn is_public(&self, _kind: &str) -> bool {
        false
    }

    fn ids(&self, event: &Event) -> Vec<String> {
        match event {
            Event::Issued { id, .. } => vec![id.clone()],
            _ => Vec::new(),
        }
    }

    fn assess(&self, case: &Case, book: &Book) -> Assessed {
        let items = if concerns(case) { book.good().map(lapsing).collect() } else { Vec::new() };
        Assessed { items, ..Assessed::default() }
    }

    fn freeze(&self, case: &Case, book: &Book, _now: Timestamp) -> Step<Event> {
        let free = concerns(case) && book.suspended.is_none();
        done(free.then(|| Event::Suspended { by: case.cancellation.clone() }).into_iter().collect())
    }

    fn execute(&self, case: &Case, book: &Book, _now: Timestamp) -> Step<Event> {
        done(if concerns(case) { book.void(&case.cancellation) } else { Vec::new() })
    }

    fn undo(&self, case: &Case, book: &Book, _now: Timestamp) -> Step<Event> {
        done(book.restore(&case.cancellation))
    }
}

#[cfg(test)]
mod tests {
    use testkit::conformance::{self, Scenario};
    use types::{Currency, Money, SubjectId};

    use super::*;

    fn issued(id: &str) -> Event {
        let value = Money { currency: Currency::parse("CNY").unwrap(), minor_units: 500 };
        Event::Issued { id: id.into(), title: "Tea".into(), value }
    }

    fn scenario() -> Scenario<Coupons> {
        // An id is one subject's, whoever else plays.
        let given =
            |subject: &SubjectId| vec![issued(&format!("a-{subject}")), issued(&format!("b-{subject}"))];
        Scenario::new(Coupons::default(), given)
            .changed_by([issued("late")])
            .adds(["coupons.v1.Voided", "coupons.v1.Voided"])
    }

    #[tokio::test]
    async fn it_conforms_when_the_account_closes() {
        conformance::check(scenario()).await;
    }

    #[tokio::test]
    async fn it_conforms_in_a_scope_of_its_own() {
        conformance::check(scenario().ending(Scope::Named(NAME.into()))).await;
    }
}
