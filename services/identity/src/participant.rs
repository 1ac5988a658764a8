//! What identity tells and does when a cancellation reaches it: it suspends signing in while that
//! can be taken back, and closes accounts, last of all.

use std::sync::Arc;

use bytes::Bytes;
use messaging::Unreadable;
use participant::{Answer, Assessed, Case, Encoded, ListWish, Participant, Step, TimerWish};
use policy::{Files, Packs};
use proto::participant::v1::{Blocker, QuoteItem, QuoteItemKind, Waiting, WaitingOn};
use types::{ParticipantName, Scope, Timestamp};

use crate::{
    domain::{self, Event, Key, State, coming_back, standing},
    wire::events,
};

/// The name of the service, and of the participant.
pub const NAME: &str = "identity";

/// The timer of an appeal's decision.
const APPEAL_TIMER: &str = "appeal";
/// The list of who has appealed.
pub(crate) const APPEALS: &str = "appeal";
/// In it: a person has to decide.
pub(crate) const UNDECIDED: &str = "UNDECIDED";
/// In it: nobody has to any more.
const ENDED: &str = "ENDED";
/// The timer of the key of a week's contacts.
const FORGET_TIMER: &str = "forget-contacts";

/// Identity as a participant.
#[derive(Debug)]
pub struct Identity {
    name: ParticipantName,
    packs: Arc<Packs>,
}

impl Default for Identity {
    /// With the rules that the program carries.
    fn default() -> Self {
        let packs = Packs::read(&Files::built_in()).expect("built-in packs are read by the tests of policy");
        Self::new(Arc::new(packs))
    }
}

impl Identity {
    /// With these rules of jurisdictions.
    #[must_use]
    pub fn new(packs: Arc<Packs>) -> Self {
        let name = ParticipantName::parse(NAME).expect("a small word is a participant's name");
        Self { name, packs }
    }

    /// What the rule of the subject's region says about registering again. What is kept for that is told
    /// with it, and nothing is kept where the rule needs nothing.
    fn registering_again(&self, case: &Case, state: &State) -> String {
        const EMPTY: &str = "the new account starts empty and inherits nothing from this one.";
        const KEPT: &str = "a keyed hash of your contacts is kept for that and for nothing else";
        let Some(pack) = self.packs.of_region(&case.region) else {
            return format!("You may register again; {EMPTY}");
        };
        let (rule, days) = (&pack.re_registration, coming_back::KNOWN_FOR.as_secs() / 86_400);
        let source = &rule.authority.source;
        match coming_back::refused(rule, state.standing.ban.as_ref()) {
            Some(code) => format!(
                "You may not register again with these contacts for up to {days} days ({code}: {source}); a \
                 person decides anew when you ask support. Until then {KEPT}."
            ),
            None if rule.wait.is_zero() => format!("You may register again; {EMPTY}"),
            None => format!(
                "You may register again {} after the account has closed ({source}); {EMPTY} Until then, and \
                 for {days} days at the most, {KEPT}.",
                rule.wait
            ),
        }
    }

    /// The review that must be over before the account closes. A ban keeps nobody from leaving, and
    /// neither does an appeal against one that ends with the account. One that outlives it would have
    /// nothing to read any more: what the subject says is sealed with the key that closing destroys.
    fn review(&self, case: &Case, state: &State) -> Option<Waiting> {
        let (_, appeal) = state.standing.undecided()?;
        let code = state.standing.ban.as_ref()?;
        let outlives = &self.packs.of_region(&case.region)?.re_registration.refused_for;
        outlives.contains(code).then(|| Waiting {
            waiting_on: WaitingOn::Review.into(),
            until: Some(appeal.due.to_proto()),
            code: "APPEAL_UNDECIDED".into(),
            remedy: "A person decides on the appeal against the ban by then; withdraw the appeal, and the \
                     account closes at once."
                .into(),
            ..Waiting::default()
        })
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
            Event::Standing(standing::Event::Appealed { id, .. }) => vec![id.to_string()],
            Event::Registered { .. }
            | Event::ContactsRecorded(_)
            | Event::CodeRefused(_)
            | Event::VerificationCompleted { .. }
            | Event::KeyDestructionIntended(_)
            | Event::KeyDestroyed(_)
            | Event::Closed { .. }
            | Event::TokenKeyPublished { .. }
            | Event::Standing(_)
            | Event::Guardian(_)
            | Event::ComingBack(_) => Vec::new(),
        }
    }

    fn timers(&self, event: &Event) -> Vec<TimerWish> {
        let (kind, due) = match event {
            Event::Standing(standing::Event::Appealed { due, .. }) => (APPEAL_TIMER, Some(*due)),
            Event::Standing(standing::Event::AppealEnded { .. }) => (APPEAL_TIMER, None),
            Event::ComingBack(coming_back::Event::KeyMade { ends }) => (FORGET_TIMER, Some(*ends)),
            _ => return Vec::new(),
        };
        vec![TimerWish { kind: kind.into(), due }]
    }

    /// A subject has one row, since it has one undecided appeal at the most; the end of the account is
    /// the end of it.
    fn lists(&self, state: &State, event: &Event) -> Option<ListWish> {
        match event {
            Event::Standing(standing::Event::Appealed { .. } | standing::Event::AppealEnded { .. })
            | Event::KeyDestructionIntended(_) => {}
            _ => return None,
        }
        let since = state.standing.appeals.values().map(|appeal| appeal.made_at).min()?;
        let decidable = state.key == Key::Stands && state.standing.undecided().is_some();
        Some(ListWish { list: APPEALS, state: if decidable { UNDECIDED } else { ENDED }, since })
    }

    fn due(&self, state: &State, timer: &str, now: Timestamp) -> Vec<Event> {
        if timer == FORGET_TIMER {
            return vec![Event::ComingBack(coming_back::Event::KeyEnded)];
        }
        let watched = timer == APPEAL_TIMER && state.key == Key::Stands;
        let overdue = watched.then(|| standing::overdue(&state.standing, now)).flatten();
        overdue.map(Event::Standing).into_iter().collect()
    }

    /// The same whether signing in is suspended or not: that must not make it another quote.
    fn assess(&self, case: &Case, state: &State) -> Assessed {
        match case.scope {
            Scope::WholeAccount => {
                let items = consequences(self.registering_again(case, state));
                Assessed { blockers: blockers(case, state), items, ..Assessed::default() }
            }
            Scope::Selected(_) | Scope::Named(_) => Assessed::default(),
        }
    }

    fn execute(&self, case: &Case, state: &State, _: Timestamp) -> Step<Event> {
        match (&case.scope, &state.key) {
            (Scope::Selected(_) | Scope::Named(_), _) => Step::nothing_to_do(),
            (Scope::WholeAccount, Key::Destroyed(_)) => Step::new(Vec::new(), Answer::Done),
            (Scope::WholeAccount, Key::Doomed(_)) => Step::new(Vec::new(), Answer::Accepted),
            (Scope::WholeAccount, Key::Stands) => match self.review(case, state) {
                Some(review) => Step::new(Vec::new(), Answer::Waiting(review)),
                None => Step::new(domain::doom(state, &case.cancellation), Answer::Accepted),
            },
        }
    }

    /// The entry is told again as it stood, and whatever else there was to decide is moot.
    fn stay_closed(&self, case: &Case, state: &State, closed_at: Timestamp, _: Timestamp) -> Vec<Event> {
        domain::stay_closed(state, &case.subject, &case.cancellation, closed_at)
    }

    /// Suspends signing in to an account that is to close. Ending parts of it suspends nothing.
    fn freeze(&self, case: &Case, state: &State, now: Timestamp) -> Step<Event> {
        match (&case.scope, &state.key) {
            (Scope::WholeAccount, Key::Stands) => {
                Step::new(standing::freeze(state, &case.subject, &case.cancellation, now), Answer::Done)
            }
            _ => Step::nothing_to_do(),
        }
    }

    fn undo(&self, case: &Case, state: &State, now: Timestamp) -> Step<Event> {
        match standing::thaw(state, &case.subject, &case.cancellation, now) {
            thawed if thawed.is_empty() => Step::nothing_to_do(),
            thawed => Step::new(thawed, Answer::Done),
        }
    }
}

/// Whose account has guardians leaves with the consent of one of them.
fn blockers(case: &Case, state: &State) -> Vec<Blocker> {
    let lacks = state.guardians.lacks_consent(&case.cancellation);
    let first = state.guardians.guardians.keys().next().filter(|_| lacks);
    let blocker = |guardian: &types::SubjectId| Blocker {
        code: "GUARDIAN_CONSENT_MISSING".into(),
        cause: "A guardian must consent to the end of this account (PIPL Art. 31).".into(),
        remedy: "A guardian is verified for this cancellation and consents to it.".into(),
        item_id: guardian.to_string(),
        ..Blocker::default()
    };
    first.map(blocker).into_iter().collect()
}

/// What closing an account means here. Nothing that happens between the quote and its execution, like a
/// verification, makes it another, but what changes whether the subject may come back.
fn consequences(registering_again: String) -> Vec<QuoteItem> {
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
        item(QuoteItemKind::Effect, "REREGISTRATION", "Registering again", &registering_again),
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
