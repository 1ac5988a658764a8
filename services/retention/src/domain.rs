//! The data sets of one subject, as pure rules: what is there, and what was erased, anonymised or
//! restricted. What the law says of them is in the packs, what keeps them from going in [`holds`], and
//! how they go in [`erasure`]; dates arrive as values.

mod devices;
mod erasure;
mod holds;

use std::collections::{BTreeMap, BTreeSet};

pub use devices::{CLEAN_UPS_MAX, CleanUp};
pub use erasure::{EVIDENCE, Suspension, drop_suspended, expire, let_evidence_go, resume, treat};
pub use holds::{End, HOLDS_MAX, Hold, HoldId, NewHold, Reach, Release, expire_hold, free_at};
pub use policy::{Basis, Category, ControllerClass, Restriction};
use types::{CancellationId, SubjectId, Timestamp};

/// How many data sets of one subject may be held at the same time. An assessment names each of them,
/// and must fit into one event of the store.
pub const DATA_SETS_MAX: usize = 100;

types::minted_id!(
    /// A data set's id.
    DataSetId, "dat"
);

/// Who answers for a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// Its name.
    pub name: String,
    /// Under which law it stands, ISO 3166-1 alpha-2.
    pub jurisdiction: String,
    /// Under which licence it works; `None` while nobody told.
    pub class: Option<ControllerClass>,
}

/// What goes when a data set is erased or anonymised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The system that has it.
    pub system: String,
    /// When the last event in it took place.
    pub last_event_at: Timestamp,
}

/// Why a data set is gone, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// The rule that says so.
    pub basis: Basis,
    /// Since when.
    pub since: Timestamp,
    /// Where it went because a date came: until when it was restricted.
    pub due: Option<Timestamp>,
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
    /// The cancellation of which it is evidence.
    pub evidence_of: Option<CancellationId>,
    /// The cancellations that would have taken it away, were it not held.
    pub suspended: Vec<Suspension>,
    /// The devices on which it was cleared.
    pub clean_ups: Vec<CleanUp>,
}

/// One subject's data sets and the holds over them, in the order in which they were recorded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// All data sets, also those that are gone.
    pub data_sets: Vec<DataSet>,
    /// All holds, also those that have ended.
    pub holds: Vec<Hold>,
    /// The cancellations that erased, anonymised or restricted something.
    pub treated_by: BTreeSet<CancellationId>,
    /// The cancellations that are open here; with a moment: until then, if they do not go on.
    pub open: BTreeMap<CancellationId, Option<Timestamp>>,
}

impl State {
    /// The data set with that id.
    #[must_use]
    pub fn find(&self, id: &DataSetId) -> Option<&DataSet> {
        self.data_sets.iter().find(|set| set.id == *id)
    }

    /// The same once that cancellation has ended here.
    #[must_use]
    pub fn ended(mut self, cancellation: &CancellationId) -> Self {
        self.open.remove(cancellation);
        self
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
    /// The cancellation of which it is evidence.
    pub evidence_of: Option<CancellationId>,
}

/// What a caller may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The subject has this data set.
    Record(NewDataSet),
    /// Nothing that this reaches over may be erased.
    PlaceHold(NewHold),
    /// That hold ends.
    ReleaseHold {
        /// Which.
        id: HoldId,
        /// Why, by whom and when.
        release: Release,
    },
    /// An app has cleared a device.
    CleanUp {
        /// Of what.
        id: DataSetId,
        /// Which kind of app, and when.
        done: CleanUp,
    },
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
    /// The rule that says so.
    pub basis: Basis,
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
    /// A hold forbids what a cancellation demands of one.
    Suspended {
        /// Which.
        id: DataSetId,
        /// What was demanded.
        suspension: Suspension,
    },
    /// What a cancellation demanded and could not have is not wanted any more.
    Dropped {
        /// Which cancellation.
        cancellation: CancellationId,
        /// Since when.
        at: Timestamp,
    },
    /// One stays for a time, since it is evidence.
    Deferred {
        /// Which.
        id: DataSetId,
        /// Of which open cancellation.
        cancellation: CancellationId,
        /// When it is looked at again.
        until: Timestamp,
        /// Since when.
        at: Timestamp,
    },
    /// An app has cleared a device.
    CleanedUp {
        /// Of what.
        id: DataSetId,
        /// Which kind of app, and when.
        done: CleanUp,
    },
    /// Nothing that this reaches over may be erased.
    HoldPlaced(NewHold),
    /// Somebody ended one.
    HoldReleased {
        /// Which.
        id: HoldId,
        /// Why, by whom and when.
        release: Release,
    },
    /// One ended because its date came.
    HoldExpired {
        /// Which.
        id: HoldId,
        /// When.
        at: Timestamp,
    },
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// As many data sets of the subject are held as may be.
    #[error("{DATA_SETS_MAX} data sets of the subject are held, and there may be no more")]
    TooManyDataSets,
    /// As many holds on the subject's data stand as may be.
    #[error("{HOLDS_MAX} holds on the subject's data stand, and there may be no more")]
    TooManyHolds,
    /// Of data sets that it names, the subject has none or nothing is left.
    #[error("nothing is there, or left, of data sets that the hold names")]
    NothingToHold(Vec<DataSetId>),
    /// It would have ended before it began.
    #[error("the hold's date has come already")]
    HoldOver,
    /// The data set is none that stays on devices.
    #[error("the subject has no such data on their devices")]
    NotOnDevice,
    /// As many devices were reported as may be.
    #[error("{CLEAN_UPS_MAX} devices were reported, and there may be no more")]
    TooManyCleanUps,
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
        Command::PlaceHold(new) => holds::place(state, new),
        Command::ReleaseHold { id, release } => Ok(holds::release(state, id, release)),
        Command::CleanUp { id, done } => devices::report(state, &id, done),
    }
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
            let NewDataSet { id, controller, category, content, evidence_of, .. } = new.clone();
            let (holding, suspended) = (Holding::Held(content), Vec::new());
            let clean_ups = Vec::new();
            let set = DataSet { id, controller, category, holding, evidence_of, suspended, clean_ups };
            state.data_sets.push(set);
        }
        Event::Erased { id, cancellation, gone } => {
            change(&mut state, id, cancellation, |_| Holding::Erased(gone.clone()));
        }
        Event::Anonymised { id, cancellation, gone } => {
            change(&mut state, id, cancellation, |_| Holding::Anonymised(gone.clone()));
        }
        Event::Restricted { id, restriction } => {
            let to = |content| Holding::Restricted(content, restriction.clone());
            change(&mut state, id, &restriction.cancellation, to);
            // It goes with its date now, and nobody waits for that.
            if restriction.ground == EVIDENCE {
                drop_wishes(&mut state, |set, _| set.id == *id);
            }
        }
        Event::Suspended { id, suspension } => {
            let set = state.data_sets.iter_mut().find(|set| set.id == *id && set.content().is_some());
            if let Some(set) = set {
                set.suspended.push(suspension.clone());
            }
        }
        Event::Dropped { cancellation, .. } => {
            drop_wishes(&mut state, |_, wish| wish.cancellation == *cancellation);
        }
        Event::CleanedUp { id, done } => {
            if let Some(set) = state.data_sets.iter_mut().find(|set| set.id == *id) {
                set.clean_ups.push(done.clone());
            }
        }
        Event::Deferred { .. } => {}
        Event::HoldPlaced(new) => state.holds.push(Hold { placed: new.clone(), end: None }),
        Event::HoldReleased { id, release } => end(&mut state, id, End::Released(release.clone())),
        Event::HoldExpired { id, at } => end(&mut state, id, End::Expired(*at)),
    }
    state
}

fn change(state: &mut State, id: &DataSetId, by: &CancellationId, to: impl FnOnce(Content) -> Holding) {
    let Some(set) = state.data_sets.iter_mut().find(|set| set.id == *id) else { return };
    let Some(content) = set.content().cloned() else { return };
    set.holding = to(content);
    state.treated_by.insert(by.clone());
    if set.content().is_none() {
        set.suspended.clear();
    }
}

fn drop_wishes(state: &mut State, which: impl Fn(&DataSet, &Suspension) -> bool) {
    for set in &mut state.data_sets {
        let mut wishes = std::mem::take(&mut set.suspended);
        wishes.retain(|wish| !which(set, wish));
        set.suspended = wishes;
    }
}

fn end(state: &mut State, id: &HoldId, end: End) {
    let hold = state.holds.iter_mut().find(|hold| hold.placed.id == *id);
    if let Some(hold) = hold {
        hold.end.get_or_insert(end);
    }
}

#[cfg(test)]
mod tests;
