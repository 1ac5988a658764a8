//! Instructions in, acknowledgements out: the table's rules over one subject's data sets.

use std::collections::BTreeSet;

use bytes::Bytes;
use messaging::Unreadable;
use participant::{Answer, Assessed, Case, Encoded, Participant, Step, TimerWish};
use proto::participant::v1 as pb;
use types::{Item, ItemKind, ParticipantName, Scope, Timestamp};

use crate::{
    calendar,
    domain::{
        self, Action, Category, DataSet, DataSetId, Event, Holding, Start, State, Table, Term, Treated,
        Treatment,
    },
    wire,
};

/// Its name on the roster.
pub const NAME: &str = "retention";

/// The timer that erases a restricted data set when its date has come: `erase/<data set>`.
const ERASE: &str = "erase/";

/// The participant: a table, applied.
pub struct Retention {
    name: ParticipantName,
    table: Table,
}

/// What becomes of one data set, and what is told of it.
struct Planned<'a> {
    set: &'a DataSet,
    treated: Treated,
    /// The zone of its dates.
    zone: &'a str,
    /// The term that runs only from the end of the account, while that is still open.
    from_closure: Option<Term>,
}

/// What a case asks for.
enum Asked {
    Everything,
    Categories(BTreeSet<Category>),
}

impl Retention {
    /// The participant that follows that table.
    #[must_use]
    pub fn new(table: Table) -> Self {
        Self { name: ParticipantName::parse(NAME).expect("a constant of the right form"), table }
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
        let last_event_at = set.content()?.last_event_at;
        let rules = self.table.of(&set.controller);
        let rule = rules.of(set.category);
        let zone = rules.zone.as_str();
        let mut from_closure = None;
        let treatment = match &rule.action {
            Action::Erase => Treatment::Erase,
            Action::Anonymise => Treatment::Anonymise,
            Action::Restrict { ground, term } => {
                let start = match term.map(|term| term.start) {
                    Some(Start::LastEvent) => Some(last_event_at),
                    Some(Start::AccountClosed) if case.scope == Scope::WholeAccount => Some(case.assessed_at),
                    Some(Start::AccountClosed) => {
                        from_closure = *term;
                        None
                    }
                    None => None,
                };
                let until = term.zip(start).map(|(term, start)| {
                    let end = calendar::end(zone, start, term.period);
                    term.longest.map_or(end, |longest| end.min(calendar::end(zone, last_event_at, longest)))
                });
                match until {
                    Some(until) if until <= case.assessed_at => Treatment::Erase,
                    until => Treatment::Restrict { ground: ground.clone(), until },
                }
            }
        };
        let treated = Treated { id: set.id.clone(), treatment, source: rule.source.clone() };
        Some(Planned { set, treated, zone, from_closure })
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
        Some(pb::Kept {
            data_set_id: self.set.id.to_string(),
            category: self.set.category.name().into(),
            ground: ground.clone(),
            source: self.treated.source.clone(),
            controller: self.set.controller.name.clone(),
            until: until.map(Timestamp::to_proto),
        })
    }

    fn item(&self) -> pb::QuoteItem {
        let (who, source) = (&self.set.controller.name, &self.treated.source);
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
                    (Some(until), _) => format!("keeps this until {}", calendar::date(self.zone, *until)),
                    (None, Some(term)) => format!("keeps this until {} after your account closes", term.period),
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

    fn encode(&self, event: &Event) -> Encoded {
        wire::encode(event)
    }

    fn decode(&self, kind: &str, schema: u16, payload: &Bytes) -> Result<Event, Unreadable> {
        wire::decode(kind, schema, payload)
    }

    fn ids(&self, event: &Event) -> Vec<String> {
        match event {
            Event::Recorded(new) => vec![new.id.to_string()],
            Event::Erased { .. } | Event::Anonymised { .. } | Event::Restricted { .. } => vec![],
        }
    }

    fn timers(&self, event: &Event) -> Vec<TimerWish> {
        match event {
            Event::Restricted { id, restriction } if restriction.until.is_some() => {
                vec![TimerWish { kind: format!("{ERASE}{id}"), due: restriction.until }]
            }
            Event::Recorded(_)
            | Event::Erased { .. }
            | Event::Anonymised { .. }
            | Event::Restricted { .. } => vec![],
        }
    }

    fn due(&self, state: &State, timer: &str, now: Timestamp) -> Vec<Event> {
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
        if plan.is_empty() {
            return Step::nothing_to_do();
        }
        let kept: Vec<_> = plan.iter().filter_map(Planned::kept).collect();
        let treated = plan.into_iter().map(|planned| planned.treated).collect();
        let events = domain::treat(state, &case.cancellation, treated, now);
        Step::new(events, if kept.is_empty() { Answer::Done } else { Answer::Restricted(kept) })
    }
}

#[cfg(test)]
mod tests;
