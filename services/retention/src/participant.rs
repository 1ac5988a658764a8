//! Instructions in, acknowledgements out: the packs' rules over one subject's data sets.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use messaging::Unreadable;
use participant::{Answer, Assessed, Case, Encoded, Participant, Phase, Step, TimerWish};
use policy::{DataFacts, Pack, Packs, Period, RetentionAction};
use proto::participant::v1 as pb;
use types::{Item, ItemKind, ParticipantName, Scope, Timestamp};

use crate::{
    domain::{self, Category, DataSet, DataSetId, Event, HoldId, Holding, State, Treated, Treatment},
    wire,
};

/// Its name on the roster.
pub const NAME: &str = "retention";

/// The timer that erases a restricted data set when its date has come: `erase/<data set>`.
const ERASE: &str = "erase/";

/// The timer that ends a hold: `hold/<hold>`.
const HOLD: &str = "hold/";

/// The code of waiting for the end of a hold. On what ground it stands, its subject may not be told.
const LEGAL_HOLD: &str = "LEGAL_HOLD";

/// How long a quote that nobody accepts is taken for an open cancellation: whoever leaves one tells
/// nobody.
const UNCONFIRMED: Duration = Duration::from_hours(90 * 24);

/// The participant: the packs' rules, applied.
pub struct Retention {
    name: ParticipantName,
    packs: Arc<Packs>,
}

/// What becomes of one data set, and what is told of it.
struct Planned<'a> {
    set: &'a DataSet,
    treated: Treated,
    /// The pack whose rules these are.
    pack: &'a Pack,
    /// For how long it is kept from the end of the account, while that is still open.
    from_closure: Option<Period>,
}

/// What a case asks for.
enum Asked {
    Everything,
    Categories(BTreeSet<Category>),
}

impl Retention {
    /// The participant that follows those packs.
    #[must_use]
    pub fn new(packs: Arc<Packs>) -> Self {
        Self { name: ParticipantName::parse(NAME).expect("a constant of the right form"), packs }
    }

    /// What becomes of each data set that the case concerns, in the order in which they were
    /// recorded. What is gone, or restricted until a date, is left as it is.
    fn plan<'a>(&'a self, case: &Case, state: &'a State) -> Vec<Planned<'a>> {
        let (asked, _) = asked(&case.scope);
        let concerned = |set: &&DataSet| match (&asked, &set.holding) {
            (Asked::Everything, _) => set.is_open(),
            (Asked::Categories(all), Holding::Held(_)) => all.contains(&set.category),
            (Asked::Categories(_), _) => false,
        };
        let planned = state.data_sets.iter().filter(concerned).filter_map(|set| self.plan_one(case, set));
        planned.filter(Planned::says_more_than_before).collect()
    }

    fn plan_one<'a>(&'a self, case: &Case, set: &'a DataSet) -> Option<Planned<'a>> {
        let closes = case.scope == Scope::WholeAccount;
        let facts = DataFacts {
            category: set.category,
            jurisdiction: &set.controller.jurisdiction,
            class: set.controller.class,
            last_event_at: set.content()?.last_event_at,
            account_closed_at: closes.then_some(case.assessed_at),
        };
        let pack = self.packs.of_region(facts.jurisdiction)?;
        let ruling = pack.retain(&facts)?;
        let treatment = match (&ruling.rule.action, ruling.until) {
            (RetentionAction::Erase, _) => Treatment::Erase,
            (RetentionAction::Anonymise, _) => Treatment::Anonymise,
            // What need not be kept any more goes.
            (RetentionAction::Restrict { .. }, Some(until)) if until <= case.assessed_at => Treatment::Erase,
            (RetentionAction::Restrict { ground, .. }, until) => {
                Treatment::Restrict { ground: ground.clone(), until }
            }
        };
        let treated = Treated { id: set.id.clone(), treatment, basis: ruling.basis() };
        Some(Planned { set, treated, pack, from_closure: ruling.from_closure })
    }
}

/// What a scope asks of retention, and what of it cannot be asked.
fn asked(scope: &Scope) -> (Asked, Vec<pb::Rejection>) {
    let mut categories = BTreeSet::new();
    let mut rejections = Vec::new();
    match scope {
        Scope::WholeAccount => return (Asked::Everything, rejections),
        Scope::Selected(items) => {
            for item in items.iter().filter(|item| item.kind == ItemKind::DataCategory) {
                let name = item.id.strip_prefix("DATA_CATEGORY_").unwrap_or(&item.id);
                match Category::parse(name) {
                    Some(category) if item.kind.allows(item.action) => drop(categories.insert(category)),
                    Some(_) => {
                        rejections.push(rejection(item, "ACTION_NOT_ALLOWED", "data can only be erased"));
                    }
                    None => {
                        rejections.push(rejection(item, "ITEM_UNKNOWN", "there is no such category of data"));
                    }
                }
            }
        }
        Scope::Named(_) => {}
    }
    (Asked::Categories(categories), rejections)
}

fn rejection(item: &Item, code: &str, cause: &str) -> pb::Rejection {
    let names = Category::ALL.map(Category::name).join(", ");
    pb::Rejection {
        code: code.into(),
        cause: cause.into(),
        basis: "the categories of data that this system knows".into(),
        remedy: format!("choose to erase one of {names}"),
        item_id: item.id.clone(),
        ..pb::Rejection::default()
    }
}

impl Planned<'_> {
    /// A data set that was restricted without a date is only of interest when it now gets one, or
    /// goes.
    fn says_more_than_before(&self) -> bool {
        let undated = matches!(self.treated.treatment, Treatment::Restrict { until: None, .. });
        matches!(self.set.holding, Holding::Held(_)) || !undated
    }

    fn kept(&self) -> Option<pb::Kept> {
        let Treatment::Restrict { ground, until } = &self.treated.treatment else { return None };
        Some(kept(self.set, ground, &self.treated.basis.source, *until))
    }

    fn item(&self) -> pb::QuoteItem {
        let (who, source) = (&self.set.controller.name, &self.treated.basis.source);
        let (kind, code, text) = match &self.treated.treatment {
            Treatment::Erase | Treatment::Anonymise if self.set.category == Category::OnDeviceCache => (
                pb::QuoteItemKind::SubjectAction,
                "CLEAR_ON_DEVICE",
                "Clear the app's cache, or uninstall the app, on each of your devices: nobody can do it for you."
                    .to_owned(),
            ),
            Treatment::Erase => {
                (pb::QuoteItemKind::Erased, "DATA_ERASED", format!("{who} erases this ({source}).{}", self.note()))
            }
            Treatment::Anonymise => (
                pb::QuoteItemKind::Anonymised,
                "DATA_ANONYMISED",
                format!("{who} removes all that points to you, for good ({source}).{}", self.note()),
            ),
            Treatment::Restrict { ground, until } => {
                let how_long = match (until, self.from_closure) {
                    (Some(until), _) => {
                        let day = self.pack.day(&self.set.controller.jurisdiction, *until);
                        format!("keeps this until {day}")
                    }
                    (None, Some(period)) => format!("keeps this until {} after your account closes", period.in_words()),
                    (None, None) => "decides how long this is kept".to_owned(),
                };
                let ground = ground.to_lowercase().replace('_', " ");
                let text = format!("{who} {how_long} ({ground}: {source}), and it is used for nothing else.");
                (pb::QuoteItemKind::Kept, "DATA_KEPT", text)
            }
        };
        pb::QuoteItem {
            kind: kind.into(),
            code: code.into(),
            item_id: self.set.id.to_string(),
            title: title(self.set.category).into(),
            text,
            kept: self.kept(),
            ..pb::QuoteItem::default()
        }
    }

    fn note(&self) -> &'static str {
        match self.set.category {
            Category::ChatMessages => " Those whom you wrote to keep their copies.",
            _ => "",
        }
    }
}

fn kept(set: &DataSet, ground: &str, source: &str, until: Option<Timestamp>) -> pb::Kept {
    pb::Kept {
        data_set_id: set.id.to_string(),
        category: set.category.name().into(),
        ground: ground.into(),
        source: source.into(),
        controller: set.controller.name.clone(),
        until: until.map(Timestamp::to_proto),
    }
}

/// What the case restricted, in the order in which it was recorded.
fn kept_by(case: &Case, state: &State) -> Vec<pb::Kept> {
    let restricted = |set: &DataSet| match &set.holding {
        Holding::Restricted(_, it) if it.cancellation == case.cancellation => {
            Some(kept(set, &it.ground, &it.basis.source, it.until))
        }
        _ => None,
    };
    state.data_sets.iter().filter_map(restricted).collect()
}

/// That holds keep a case from its end, and until when: over data sets that it would have taken away or,
/// where it ends the account, over everything.
fn waiting(case: &Case, state: &State) -> Option<pb::Waiting> {
    let held: Vec<_> = state.held_from(&case.cancellation).collect();
    let ends_account = case.scope == Scope::WholeAccount;
    let account: Vec<_> = state.holds_over_everything().filter(|_| ends_account).collect();
    if held.is_empty() && account.is_empty() {
        return None;
    }
    let remedy = match account[..] {
        [] => "Nothing needs to be done: what is held is erased by itself when the hold ends.",
        [..] => "Nothing needs to be done: the account closes by itself when the hold ends.",
    };
    let holds = held.iter().flat_map(|set| state.holds_over(set)).chain(account);
    Some(pb::Waiting {
        waiting_on: pb::WaitingOn::Hold.into(),
        until: domain::free_at(holds).map(Timestamp::to_proto),
        code: LEGAL_HOLD.into(),
        item_ids: held.iter().map(|set| set.id.to_string()).collect(),
        remedy: remedy.into(),
        ..pb::Waiting::default()
    })
}

fn after(state: &State, events: &[Event]) -> State {
    events.iter().fold(state.clone(), domain::evolve)
}

/// What a case has come to once these facts are added: it waits for holds, or it has ended and lets
/// its evidence go.
fn concluded(case: &Case, state: &State, mut events: Vec<Event>, now: Timestamp) -> Step<Event> {
    let mut then = after(state, &events);
    if let Some(waiting) = waiting(case, &then) {
        return Step::new(events, Answer::Waiting(waiting));
    }
    let evidence = domain::let_evidence_go(&then, &case.cancellation, now);
    then = evidence.iter().fold(then, domain::evolve);
    events.extend(evidence);
    let kept = kept_by(case, &then);
    let answer = match (kept.is_empty(), then.treated_by.contains(&case.cancellation)) {
        (false, _) => Answer::Restricted(kept),
        (true, true) => Answer::Done,
        (true, false) => Answer::NothingToDo,
    };
    Step::new(events, answer)
}

fn title(category: Category) -> &'static str {
    match category {
        Category::TransactionRecords => "Transaction records",
        Category::IdentityDocuments => "Identity documents",
        Category::Profile => "Profile",
        Category::Marketing => "Marketing data",
        Category::ChatMessages => "Chat messages",
        Category::EnterpriseChat => "Chat messages at work",
        Category::DeviceLogs => "Device logs",
        Category::OnDeviceCache => "Data on your devices",
        Category::Biometric => "Biometric data",
        Category::Credentials => "Sign-in and payment credentials",
    }
}

impl Participant for Retention {
    type State = State;
    type Event = Event;

    fn name(&self) -> &ParticipantName {
        &self.name
    }

    fn evolve(&self, state: State, event: &Event) -> State {
        domain::evolve(state, event)
    }

    fn evolve_case(&self, mut state: State, case: &Case, phase: Phase) -> State {
        let open = match phase {
            Phase::Frozen | Phase::Working => None,
            Phase::Assessed | Phase::Stopped => Some(case.assessed_at.plus(UNCONFIRMED)),
            Phase::Finished | Phase::Undone => return state.ended(&case.cancellation),
        };
        state.open.insert(case.cancellation.clone(), open);
        state
    }

    fn encode(&self, event: &Event) -> Encoded {
        wire::encode(event)
    }

    fn decode(&self, kind: &str, schema: u16, payload: &Bytes) -> Result<Event, Unreadable> {
        wire::decode(kind, schema, payload)
    }

    fn ids(&self, event: &Event) -> Vec<String> {
        match event {
            Event::Recorded(new) => vec![new.id.to_string()],
            Event::HoldPlaced(new) => vec![new.id.to_string()],
            _ => vec![],
        }
    }

    fn timers(&self, event: &Event) -> Vec<TimerWish> {
        match event {
            Event::Restricted { id, restriction } if restriction.until.is_some() => {
                vec![TimerWish { kind: format!("{ERASE}{id}"), due: restriction.until }]
            }
            Event::Deferred { id, until, .. } => {
                vec![TimerWish { kind: format!("{ERASE}{id}"), due: Some(*until) }]
            }
            Event::HoldPlaced(new) if new.expires_at.is_some() => {
                vec![TimerWish { kind: format!("{HOLD}{}", new.id), due: new.expires_at }]
            }
            Event::HoldReleased { id, .. } => vec![TimerWish { kind: format!("{HOLD}{id}"), due: None }],
            _ => vec![],
        }
    }

    fn due(&self, state: &State, timer: &str, now: Timestamp) -> Vec<Event> {
        if let Some(id) = timer.strip_prefix(HOLD) {
            let id = HoldId::parse(id).ok();
            return id.map(|id| domain::expire_hold(state, &id, now)).unwrap_or_default();
        }
        let id = timer.strip_prefix(ERASE).and_then(|id| DataSetId::parse(id).ok());
        id.and_then(|id| domain::expire(state, &id, now)).into_iter().collect()
    }

    fn assess(&self, case: &Case, state: &State) -> Assessed {
        let (_, rejections) = asked(&case.scope);
        let items = self.plan(case, state).iter().map(Planned::item).collect();
        Assessed { blockers: Vec::new(), items, rejections }
    }

    fn execute(&self, case: &Case, state: &State, now: Timestamp) -> Step<Event> {
        if let Some(rejection) = asked(&case.scope).1.into_iter().next() {
            let pb::Rejection { code, cause, .. } = rejection;
            let failure =
                pb::Failure { code, cause: format!("{cause}; nothing was done"), owner: NAME.into() };
            return Step::new(Vec::new(), Answer::Failed(failure));
        }
        let plan = self.plan(case, state);
        if plan.is_empty() && waiting(case, state).is_none() {
            let evidence = domain::let_evidence_go(state, &case.cancellation, now);
            return Step::new(evidence, Answer::NothingToDo);
        }
        let treated: Vec<_> = plan.into_iter().map(|planned| planned.treated).collect();
        // What is evidence of this very case goes at once when it ends with this, and else with its end.
        let ending = state.clone().ended(&case.cancellation);
        let events = domain::treat(&ending, &case.cancellation, treated.clone(), now);
        match waiting(case, &after(state, &events)) {
            None => concluded(case, state, events, now),
            Some(_) => concluded(case, state, domain::treat(state, &case.cancellation, treated, now), now),
        }
    }

    /// What was held goes with the end of the hold, and nothing else: what came since, nobody
    /// accepted the end of.
    fn resume(&self, case: &Case, state: &State, now: Timestamp) -> Step<Event> {
        concluded(case, state, domain::resume(state, &case.cancellation, now), now)
    }

    fn undo(&self, case: &Case, state: &State, now: Timestamp) -> Step<Event> {
        let mut events = domain::drop_suspended(state, &case.cancellation, now);
        let answer = if events.is_empty() { Answer::NothingToDo } else { Answer::Done };
        events.extend(domain::let_evidence_go(&after(state, &events), &case.cancellation, now));
        Step::new(events, answer)
    }
}

#[cfg(test)]
mod tests;
