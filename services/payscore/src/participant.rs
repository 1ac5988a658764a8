//! What this service answers when it is asked to end a subject's payment score, or parts of it.

use bytes::Bytes;
use messaging::Unreadable;
use participant::{Answer, Assessed, Case, Encoded, Participant, Step};
use types::{Item, ItemKind, ParticipantName, Scope, Timestamp};

use crate::{
    domain::{self, Event, State, Wanted},
    quote, wire,
};

/// The payment score as a participant.
#[derive(Debug)]
pub struct Payscore {
    name: ParticipantName,
}

impl Default for Payscore {
    fn default() -> Self {
        Self { name: ParticipantName::parse("payscore").expect("a fixed name that is one") }
    }
}

fn chosen(scope: &Scope) -> impl Iterator<Item = &Item> {
    let items = match scope {
        Scope::Selected(items) => items.as_slice(),
        Scope::WholeAccount | Scope::Named(_) => &[],
    };
    items.iter().filter(|item| match item.kind {
        ItemKind::PayscoreAuthorization | ItemKind::FacePayment => true,
        ItemKind::Subscription | ItemKind::DataCategory => false,
    })
}

/// What a scope wants of this service. Named scopes name nothing of its own.
fn wanted(scope: &Scope) -> Wanted {
    if *scope == Scope::WholeAccount {
        return Wanted::All;
    }
    let possible = || chosen(scope).filter(|item| item.kind.allows(item.action));
    let authorizations = possible().filter(|item| item.kind == ItemKind::PayscoreAuthorization);
    Wanted::Chosen {
        authorizations: authorizations.map(|item| item.id.clone()).collect(),
        face_payment: possible().any(|item| item.kind == ItemKind::FacePayment),
    }
}

impl Participant for Payscore {
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
            Event::AuthorizationRecorded(it) => vec![it.id.to_string()],
            Event::OrderCreated(it) => vec![it.id.to_string()],
            Event::PurchaseRecorded(it) => vec![it.id.to_string()],
            Event::AuthorizationUnbound { .. }
            | Event::AuthorizationFrozen { .. }
            | Event::AuthorizationThawed { .. }
            | Event::OrderCompleted(_)
            | Event::OrderPaid(_)
            | Event::OrderCancelled(_)
            | Event::PurchaseSettled(_)
            | Event::FacePaymentSet { .. } => Vec::new(),
        }
    }

    fn assess(&self, case: &Case, state: &State) -> Assessed {
        let wanted = wanted(&case.scope);
        let unknown = wanted.unknown(state).into_iter().map(quote::unknown);
        let impossible = chosen(&case.scope)
            .filter(|item| !item.kind.allows(item.action))
            .map(|item| quote::not_possible(&item.id));
        Assessed {
            blockers: domain::blocking(state, &wanted).iter().map(quote::blocker).collect(),
            items: domain::consequences(state, &wanted)
                .iter()
                .map(|consequence| quote::item(consequence, case.assessed_at))
                .collect(),
            rejections: unknown.chain(impossible).collect(),
        }
    }

    fn execute(&self, case: &Case, state: &State, now: Timestamp) -> Step<Event> {
        let events = domain::end(state, &wanted(&case.scope), &case.cancellation, now);
        let answer = if events.is_empty() { Answer::NothingToDo } else { Answer::Done };
        Step::new(events, answer)
    }

    /// Suspends new use of credit. What is in use is the subject's own, and goes on; so does face
    /// payment, which owes nothing once it is paid.
    fn freeze(&self, case: &Case, state: &State, now: Timestamp) -> Step<Event> {
        let events = domain::freeze(state, &wanted(&case.scope), &case.cancellation, now);
        let any = !events.is_empty() || domain::frozen(state, &case.cancellation).next().is_some();
        Step::new(events, if any { Answer::Done } else { Answer::NothingToDo })
    }

    fn undo(&self, case: &Case, state: &State, now: Timestamp) -> Step<Event> {
        let thawed = domain::thaw(state, &case.cancellation, now);
        let unbound: Vec<_> = domain::unbound_by(state, &case.cancellation).collect();
        let face_payment = state.face_payment_ended_by.as_ref() == Some(&case.cancellation);
        if unbound.is_empty() && !face_payment {
            let answer = if thawed.is_empty() { Answer::NothingToDo } else { Answer::Done };
            return Step::new(thawed, answer);
        }
        let ids: Vec<_> = unbound.iter().map(|it| it.id.as_str()).collect();
        let failure = quote::not_undone(&ids, face_payment, &self.name);
        Step::new(thawed, Answer::Failed(failure)).remaining(quote::remaining(&unbound, face_payment))
    }
}

#[cfg(test)]
mod tests;
