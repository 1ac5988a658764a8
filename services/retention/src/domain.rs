//! The data sets of one subject, as pure rules: what is held, and what was erased, anonymised or
//! restricted. What the law says of them is in [`rules`]; dates arrive as values.

mod rules;

pub use rules::{Action, Category, Controller, Period, Rule, Rules, Start, Table, Term};
use types::{CancellationId, SubjectId, Timestamp};

/// How many data sets of one subject may be held at the same time. An assessment names each of them,
/// and must fit into one event of the store.
pub const DATA_SETS_MAX: usize = 100;

types::minted_id!(
    /// A data set's id.
    DataSetId, "dat"
);

/// What goes when a data set is erased or anonymised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The system that has it.
    pub system: String,
    /// When the last event in it took place.
    pub last_event_at: Timestamp,
}

/// Why a data set is kept for nothing else, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restriction {
    /// The only ground on which it may be read.
    pub ground: String,
    /// Law and article.
    pub source: String,
    /// Until when; `None` while nobody can say.
    pub until: Option<Timestamp>,
    /// The cancellation that restricted it.
    pub cancellation: CancellationId,
    /// Since when.
    pub since: Timestamp,
}

/// Why a data set is gone, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// Law and article.
    pub source: String,
    /// Since when.
    pub since: Timestamp,
}

/// What is left of a data set. Only what is held or restricted has content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holding {
    /// In use.
    Held(Content),
    /// Kept for one ground and nothing else.
    Restricted(Content, Restriction),
    /// Gone.
    Erased(Gone),
    /// Nothing in it points to the subject any more.
    Anonymised(Gone),
}

/// Personal data of one category, in one system, of one controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSet {
    /// Its id.
    pub id: DataSetId,
    /// Who answers for it.
    pub controller: Controller,
    /// What it is.
    pub category: Category,
    /// What is left of it.
    pub holding: Holding,
}

/// One subject's data sets, in the order in which they were recorded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// All of them, also those that are gone.
    pub data_sets: Vec<DataSet>,
}

impl State {
    /// The data set with that id.
    #[must_use]
    pub fn find(&self, id: &DataSetId) -> Option<&DataSet> {
        self.data_sets.iter().find(|set| set.id == *id)
    }
}

/// A data set to record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDataSet {
    /// Its id.
    pub id: DataSetId,
    /// Whose.
    pub subject: SubjectId,
    /// Who answers for it.
    pub controller: Controller,
    /// What it is.
    pub category: Category,
    /// What it holds.
    pub content: Content,
}

/// What a caller may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The subject has this data set.
    Record(NewDataSet),
}

/// What becomes of a data set, its dates worked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Treatment {
    /// It goes.
    Erase,
    /// What points to the subject goes.
    Anonymise,
    /// It stays, for one ground.
    Restrict {
        /// The ground.
        ground: String,
        /// Until when; `None` while nobody can say.
        until: Option<Timestamp>,
    },
}

/// One data set and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Treated {
    /// Which.
    pub id: DataSetId,
    /// What becomes of it.
    pub treatment: Treatment,
    /// Law and article.
    pub source: String,
}

/// What has happened to a subject's data sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// There is one more.
    Recorded(NewDataSet),
    /// One is gone.
    Erased {
        /// Which.
        id: DataSetId,
        /// By which cancellation.
        cancellation: CancellationId,
        /// Why and since when.
        gone: Gone,
    },
    /// One no longer points to the subject.
    Anonymised {
        /// Which.
        id: DataSetId,
        /// By which cancellation.
        cancellation: CancellationId,
        /// Why and since when.
        gone: Gone,
    },
    /// One is kept for one ground only.
    Restricted {
        /// Which.
        id: DataSetId,
        /// Why and until when.
        restriction: Restriction,
    },
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// As many data sets of the subject are held as may be.
    #[error("{DATA_SETS_MAX} data sets of the subject are held, and there may be no more")]
    TooManyDataSets,
}

/// Says which facts a command adds, or why it is refused.
///
/// # Errors
/// [`Rejection`].
pub fn decide(state: &State, command: Command) -> Result<Vec<Event>, Rejection> {
    match command {
        Command::Record(new) if state.find(&new.id).is_some() => Ok(vec![]),
        Command::Record(_) if state.data_sets.iter().filter(|set| set.is_open()).count() >= DATA_SETS_MAX => {
            Err(Rejection::TooManyDataSets)
        }
        Command::Record(new) => Ok(vec![Event::Recorded(new)]),
    }
}

/// Treats data sets as a cancellation demands. What is gone already, or restricted with a date,
/// stays as it is, so that doing it twice adds nothing.
#[must_use]
pub fn treat(state: &State, cancellation: &CancellationId, all: Vec<Treated>, at: Timestamp) -> Vec<Event> {
    let open = |treated: &Treated| state.find(&treated.id).is_some_and(DataSet::is_open);
    all.into_iter().filter(open).map(|treated| event_of(treated, cancellation, at)).collect()
}

fn event_of(treated: Treated, cancellation: &CancellationId, at: Timestamp) -> Event {
    let Treated { id, treatment, source } = treated;
    let cancellation = cancellation.clone();
    match treatment {
        Treatment::Erase => Event::Erased { id, cancellation, gone: Gone { source, since: at } },
        Treatment::Anonymise => Event::Anonymised { id, cancellation, gone: Gone { source, since: at } },
        Treatment::Restrict { ground, until } => Event::Restricted {
            id,
            restriction: Restriction { ground, source, until, cancellation, since: at },
        },
    }
}

/// Erases what was restricted until a date that has come.
#[must_use]
pub fn expire(state: &State, id: &DataSetId, now: Timestamp) -> Option<Event> {
    let Holding::Restricted(_, restriction) = &state.find(id)?.holding else { return None };
    restriction.until.filter(|until| *until <= now)?;
    let gone = Gone { source: restriction.source.clone(), since: now };
    Some(Event::Erased { id: id.clone(), cancellation: restriction.cancellation.clone(), gone })
}

impl DataSet {
    /// Whether something may still become of it: it is held, or restricted until nobody knows when.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match &self.holding {
            Holding::Held(_) => true,
            Holding::Restricted(_, restriction) => restriction.until.is_none(),
            Holding::Erased(_) | Holding::Anonymised(_) => false,
        }
    }

    /// What it holds, unless that is gone.
    #[must_use]
    pub fn content(&self) -> Option<&Content> {
        match &self.holding {
            Holding::Held(content) | Holding::Restricted(content, _) => Some(content),
            Holding::Erased(_) | Holding::Anonymised(_) => None,
        }
    }
}

/// Applies one recorded fact. Total: what does not fit changes nothing.
#[must_use]
pub fn evolve(mut state: State, event: &Event) -> State {
    match event {
        Event::Recorded(new) => {
            let NewDataSet { id, controller, category, content, .. } = new.clone();
            state.data_sets.push(DataSet { id, controller, category, holding: Holding::Held(content) });
        }
        Event::Erased { id, gone, .. } => change(&mut state, id, |_| Holding::Erased(gone.clone())),
        Event::Anonymised { id, gone, .. } => change(&mut state, id, |_| Holding::Anonymised(gone.clone())),
        Event::Restricted { id, restriction } => {
            change(&mut state, id, |content| Holding::Restricted(content, restriction.clone()));
        }
    }
    state
}

fn change(state: &mut State, id: &DataSetId, to: impl FnOnce(Content) -> Holding) {
    let Some(set) = state.data_sets.iter_mut().find(|set| set.id == *id) else { return };
    let Some(content) = set.content().cloned() else { return };
    set.holding = to(content);
}

#[cfg(test)]
mod tests;
