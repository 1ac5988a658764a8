//! Holds: by whose order data may not be erased yet, and over which of it they reach.
//!
//! A hold over everything keeps the account itself, too: with its end the subject's key is destroyed,
//! and all that other services keep sealed with it. One that is placed when the account is closed here
//! comes too late for that, and reaches over the data sets that are left.

use types::{SubjectId, Timestamp};

use super::{Category, DataSet, DataSetId, Event, Rejection, State, erasure};

/// How many holds on one subject may stand at the same time.
pub const HOLDS_MAX: usize = 100;

types::minted_id!(
    /// A hold's id.
    HoldId, "hld"
);

/// Over what a hold reaches: over all of it when neither categories nor data sets are named.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reach {
    /// Every data set of these, also what is recorded later.
    pub categories: Vec<Category>,
    /// These.
    pub data_sets: Vec<DataSetId>,
}

impl Reach {
    fn is_everything(&self) -> bool {
        self.categories.is_empty() && self.data_sets.is_empty()
    }

    fn covers(&self, set: &DataSet) -> bool {
        self.is_everything() || self.categories.contains(&set.category) || self.data_sets.contains(&set.id)
    }
}

/// A hold to place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHold {
    /// Its id.
    pub id: HoldId,
    /// On whose data.
    pub subject: SubjectId,
    /// Over what of it.
    pub reach: Reach,
    /// Why, UPPER_SNAKE_CASE.
    pub ground: String,
    /// Who ordered it.
    pub authority: String,
    /// When it ends by itself; `None`: when it is released.
    pub expires_at: Option<Timestamp>,
    /// Who placed it.
    pub actor: String,
    /// When.
    pub placed_at: Timestamp,
}

/// Why a hold is released, by whom and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Why.
    pub reason: String,
    /// Who did it.
    pub actor: String,
    /// When.
    pub at: Timestamp,
}

/// How a hold ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Somebody released it.
    Released(Release),
    /// Its date came.
    Expired(Timestamp),
}

/// A hold, standing or ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// As it was placed.
    pub placed: NewHold,
    /// How it ended; `None`: it stands.
    pub end: Option<End>,
}

impl State {
    /// The hold with that id.
    #[must_use]
    pub fn hold(&self, id: &HoldId) -> Option<&Hold> {
        self.holds.iter().find(|hold| hold.placed.id == *id)
    }

    /// The holds that stand. One whose date has come stands until that is recorded.
    fn standing(&self) -> impl Iterator<Item = &NewHold> {
        self.holds.iter().filter(|hold| hold.end.is_none()).map(|hold| &hold.placed)
    }

    /// The holds that stand over a data set.
    pub fn holds_over<'a>(&'a self, set: &'a DataSet) -> impl Iterator<Item = &'a NewHold> {
        self.standing().filter(|hold| hold.reach.covers(set))
    }

    /// The holds that stand over everything, also where no data set is left.
    pub fn holds_over_everything(&self) -> impl Iterator<Item = &NewHold> {
        self.standing().filter(|hold| hold.reach.is_everything())
    }
}

/// When the last of these holds has ended; `None` while nobody can say.
#[must_use]
pub fn free_at<'a>(holds: impl IntoIterator<Item = &'a NewHold>) -> Option<Timestamp> {
    holds.into_iter().map(|hold| hold.expires_at).collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// Places a hold. It may only name data sets of which something is left: who orders it must learn
/// what is gone.
pub(super) fn place(state: &State, new: NewHold) -> Result<Vec<Event>, Rejection> {
    if state.hold(&new.id).is_some() {
        return Ok(vec![]);
    }
    if new.expires_at.is_some_and(|at| at <= new.placed_at) {
        return Err(Rejection::HoldOver);
    }
    let is_left = |id: &DataSetId| state.find(id).is_some_and(|set| set.content().is_some());
    let gone: Vec<_> = new.reach.data_sets.iter().filter(|id| !is_left(id)).cloned().collect();
    if !gone.is_empty() {
        return Err(Rejection::NothingToHold(gone));
    }
    if state.standing().count() >= HOLDS_MAX {
        return Err(Rejection::TooManyHolds);
    }
    Ok(vec![Event::HoldPlaced(new)])
}

/// Releases a hold, and erases what it alone kept. One that has ended stays as it is.
pub(super) fn release(state: &State, id: HoldId, release: Release) -> Vec<Event> {
    let at = release.at;
    end(state, &id.clone(), Event::HoldReleased { id, release }, at)
}

/// Ends a hold whose date has come, and erases what it alone kept.
#[must_use]
pub fn expire_hold(state: &State, id: &HoldId, now: Timestamp) -> Vec<Event> {
    let come = |hold: &Hold| hold.placed.expires_at.is_some_and(|at| at <= now);
    if !state.hold(id).is_some_and(come) {
        return vec![];
    }
    end(state, id, Event::HoldExpired { id: id.clone(), at: now }, now)
}

fn end(state: &State, id: &HoldId, ended: Event, at: Timestamp) -> Vec<Event> {
    let stands = state.hold(id).is_some_and(|hold| hold.end.is_none());
    if !stands {
        return vec![];
    }
    let without = super::evolve(state.clone(), &ended);
    let mut events = vec![ended];
    events.append(&mut erasure::go_on(&without, at));
    events
}
