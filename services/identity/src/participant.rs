//! What identity tells and does when a cancellation reaches it: it closes accounts, last of all.

use bytes::Bytes;
use messaging::Unreadable;
use participant::{Answer, Assessed, Case, Encoded, Participant, Step};
use proto::participant::v1::{QuoteItem, QuoteItemKind};
use types::{ParticipantName, Scope, Timestamp};

use crate::{
    domain::{self, Event, Key, State},
    wire::events,
};

/// The name of the service, and of the participant.
pub const NAME: &str = "identity";

/// Identity as a participant.
#[derive(Debug)]
pub struct Identity {
    name: ParticipantName,
}

impl Default for Identity {
    fn default() -> Self {
        Self { name: ParticipantName::parse(NAME).expect("a small word is a participant's name") }
    }
}

impl Participant for Identity {
    type State = State;
    type Event = Event;

    fn name(&self) -> &ParticipantName {
        &self.name
    }

    fn evolve(&self, state: State, event: &Event) -> State {
        domain::evolve(state, event)
    }

    fn encode(&self, event: &Event) -> Encoded {
        events::encode(event)
    }

    fn decode(&self, kind: &str, schema: u16, payload: &Bytes) -> Result<Event, Unreadable> {
        events::decode(kind, schema, payload)
    }

    fn is_public(&self, kind: &str) -> bool {
        events::is_public(kind)
    }

    fn ids(&self, event: &Event) -> Vec<String> {
        match event {
            Event::VerificationStarted { id, .. } => vec![id.to_string()],
            Event::Registered { .. }
            | Event::ContactsRecorded(_)
            | Event::CodeRefused(_)
            | Event::VerificationCompleted { .. }
            | Event::KeyDestructionIntended(_)
            | Event::KeyDestroyed(_)
            | Event::Closed { .. }
            | Event::TokenKeyPublished { .. } => Vec::new(),
        }
    }

    fn assess(&self, case: &Case, _: &State) -> Assessed {
        let items = match case.scope {
            Scope::WholeAccount => consequences(),
            Scope::Selected(_) | Scope::Named(_) => Vec::new(),
        };
        Assessed { items, ..Assessed::default() }
    }

    fn execute(&self, case: &Case, state: &State, _: Timestamp) -> Step<Event> {
        match (&case.scope, &state.key) {
            (Scope::Selected(_) | Scope::Named(_), _) => Step::nothing_to_do(),
            (Scope::WholeAccount, Key::Destroyed(_)) => Step::new(Vec::new(), Answer::Done),
            (Scope::WholeAccount, Key::Stands | Key::Doomed(_)) => {
                Step::new(domain::doom(state, &case.cancellation), Answer::Accepted)
            }
        }
    }
}

/// What closing an account means here. Always the same, so that nothing that happens between the
/// quote and its execution, like a verification, makes it another.
fn consequences() -> Vec<QuoteItem> {
    let item = |kind: QuoteItemKind, code: &str, title: &str, text: &str| QuoteItem {
        kind: kind.into(),
        code: code.into(),
        title: title.into(),
        text: text.into(),
        ..QuoteItem::default()
    };
    vec![
        item(
            QuoteItemKind::Ends,
            "SIGN_IN_ENDS",
            "Signing in",
            "As the last step, nobody can sign in to this account any more, on any device.",
        ),
        item(
            QuoteItemKind::Erased,
            "CONTACTS_ERASED",
            "Contact data and credentials",
            "The key that opens your telephone numbers, mail addresses and credentials is destroyed; \
             nobody can restore them.",
        ),
        item(
            QuoteItemKind::Effect,
            "REREGISTRATION",
            "Registering again",
            "You may register again; the new account starts empty and inherits nothing from this one.",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use types::{CancellationId, Edition, SubjectId};

    use super::*;

    fn case(scope: Scope) -> Case {
        Case {
            cancellation: CancellationId::parse("can_1").unwrap(),
            subject: SubjectId::parse("sbj_1").unwrap(),
            region: "CN".into(),
            edition: Edition::Domestic,
            scope,
            assessed_at: Timestamp::default(),
        }
    }

    fn after(events: &[Event]) -> State {
        events.iter().fold(State::default(), domain::evolve)
    }

    #[test]
    fn closing_the_account_is_told_in_three_items_and_blocked_by_nothing() {
        let identity = Identity::default();
        let told = identity.assess(&case(Scope::WholeAccount), &State::default());
        let codes: Vec<&str> = told.items.iter().map(|item| item.code.as_str()).collect();
        assert_eq!(codes, ["SIGN_IN_ENDS", "CONTACTS_ERASED", "REREGISTRATION"]);
        assert!(told.blockers.is_empty() && told.rejections.is_empty());
    }

    #[test]
    fn selected_items_are_none_of_its_business() {
        let identity = Identity::default();
        for scope in [Scope::Selected(Vec::new()), Scope::Named("bench".into())] {
            assert_eq!(identity.assess(&case(scope.clone()), &State::default()), Assessed::default());
            let step = identity.execute(&case(scope), &State::default(), Timestamp::default());
            assert_eq!(step, Step::nothing_to_do());
        }
    }

    #[test]
    fn execution_is_accepted_until_the_key_is_destroyed_and_intended_once() {
        let identity = Identity::default();
        let case = case(Scope::WholeAccount);
        let go = |state: &State| identity.execute(&case, state, Timestamp::default());
        let intended = Event::KeyDestructionIntended(case.cancellation.clone());
        let first = go(&State::default());
        assert_eq!(first, Step::new(vec![intended.clone()], Answer::Accepted));

        let doomed = after(&first.events);
        assert_eq!(go(&doomed), Step::new(Vec::new(), Answer::Accepted));
        assert_eq!(identity.resume(&case, &doomed, Timestamp::default()), go(&doomed));

        let destroyed = after(&[intended, Event::KeyDestroyed(case.cancellation.clone())]);
        let step = identity.resume(&case, &destroyed, Timestamp::default());
        assert_eq!(step, Step::new(Vec::new(), Answer::Done));
    }
}
