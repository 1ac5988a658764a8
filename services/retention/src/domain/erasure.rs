//! The one way by which personal data goes. Whoever wants that, a cancellation, a date that has come
//! or the end of a hold, it goes through [`take_away`], and nothing goes over which a hold stands.

use std::{collections::BTreeSet, time::Duration};

use types::{CancellationId, Timestamp};

use super::{Basis, DataSet, DataSetId, Event, Gone, Holding, Restriction, State, Treated, Treatment};

/// How long what is evidence of an open cancellation is left before it is looked at again.
const DEFERRED: Duration = Duration::from_hours(24);

/// The subject's cancellations that have not ended here.
pub type OpenCases = BTreeSet<CancellationId>;

/// That a cancellation would have taken a data set away, and by what rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// The cancellation.
    pub cancellation: CancellationId,
    /// Anonymised, not erased.
    pub anonymise: bool,
    /// The rule that says so.
    pub basis: Basis,
    /// Since when it waits.
    pub since: Timestamp,
}

/// Why a data set does not go now.
enum Obstacle {
    /// There is nothing of it any more.
    Nothing,
    /// A hold stands over it.
    Held,
}

/// Takes a data set away. Nothing else in this service says that one is erased or anonymised.
fn take_away(
    state: &State,
    set: &DataSet,
    wish: &Suspension,
    due: Option<Timestamp>,
    at: Timestamp,
) -> Result<Event, Obstacle> {
    if set.content().is_none() {
        return Err(Obstacle::Nothing);
    }
    if state.holds_over(set).next().is_some() {
        return Err(Obstacle::Held);
    }
    let (id, cancellation) = (set.id.clone(), wish.cancellation.clone());
    let gone = Gone { basis: wish.basis.clone(), since: at, due };
    Ok(match wish.anonymise {
        true => Event::Anonymised { id, cancellation, gone },
        false => Event::Erased { id, cancellation, gone },
    })
}

/// Treats data sets as a cancellation demands; what is held waits. What is gone already, or
/// restricted with a date, stays as it is, so that doing it twice adds nothing.
#[must_use]
pub fn treat(state: &State, cancellation: &CancellationId, all: Vec<Treated>, at: Timestamp) -> Vec<Event> {
    let event = |treated: Treated| {
        let Treated { id, treatment, basis } = treated;
        let set = state.find(&id).filter(|set| set.is_open())?;
        let cancellation = cancellation.clone();
        let anonymise = match treatment {
            Treatment::Erase => false,
            Treatment::Anonymise => true,
            Treatment::Restrict { ground, until } => {
                let restriction = Restriction { ground, basis, until, cancellation, since: at };
                return Some(Event::Restricted { id, restriction });
            }
        };
        let wish = Suspension { cancellation, anonymise, basis, since: at };
        match take_away(state, set, &wish, None, at) {
            Ok(event) => Some(event),
            Err(Obstacle::Held) if !set.waits_for(&wish.cancellation) => {
                Some(Event::Suspended { id, suspension: wish })
            }
            Err(Obstacle::Held | Obstacle::Nothing) => None,
        }
    };
    all.into_iter().filter_map(event).collect()
}

/// Erases what was restricted until a date that has come. What is held goes with the hold; what is
/// evidence of an open cancellation is left until that has ended.
#[must_use]
pub fn expire(state: &State, id: &DataSetId, open: &OpenCases, now: Timestamp) -> Option<Event> {
    let set = state.find(id)?;
    let Holding::Restricted(_, restriction) = &set.holding else { return None };
    let due = restriction.until.filter(|until| *until <= now)?;
    let wish = Suspension {
        cancellation: restriction.cancellation.clone(),
        anonymise: false,
        basis: restriction.basis.clone(),
        since: now,
    };
    let erased = take_away(state, set, &wish, Some(due), now).ok()?;
    match set.evidence_of.as_ref().filter(|of| open.contains(of)) {
        None => Some(erased),
        Some(of) => {
            let (id, cancellation) = (set.id.clone(), of.clone());
            Some(Event::Deferred { id, cancellation, until: now.plus(DEFERRED), at: now })
        }
    }
}

/// Goes on with all that waited, after a hold has ended: what cancellations wanted to take away, and
/// what was restricted until a date that has come.
#[must_use]
pub(super) fn go_on(state: &State, open: &OpenCases, at: Timestamp) -> Vec<Event> {
    let event = |set: &DataSet| match set.suspended.first() {
        Some(wish) => take_away(state, set, wish, None, at).ok(),
        None => expire(state, &set.id, open, at),
    };
    state.data_sets.iter().filter_map(event).collect()
}

/// Goes on with what that cancellation wanted to take away, as far as it is held no more.
#[must_use]
pub fn resume(state: &State, cancellation: &CancellationId, at: Timestamp) -> Vec<Event> {
    let event = |set: &DataSet| {
        let wish = set.suspended.iter().find(|wish| wish.cancellation == *cancellation)?;
        take_away(state, set, wish, None, at).ok()
    };
    state.data_sets.iter().filter_map(event).collect()
}

/// Erases what only waited for the end of that cancellation, of which it is evidence.
#[must_use]
pub fn let_evidence_go(state: &State, cancellation: &CancellationId, at: Timestamp) -> Vec<Event> {
    let evidence = state.data_sets.iter().filter(|set| set.evidence_of.as_ref() == Some(cancellation));
    evidence.filter_map(|set| expire(state, &set.id, &OpenCases::new(), at)).collect()
}

/// Takes back what a cancellation wanted to take away and could not.
#[must_use]
pub fn drop_suspended(state: &State, cancellation: &CancellationId, at: Timestamp) -> Vec<Event> {
    let waits = state.data_sets.iter().any(|set| set.waits_for(cancellation));
    if waits { vec![Event::Dropped { cancellation: cancellation.clone(), at }] } else { vec![] }
}

impl DataSet {
    /// Whether a hold keeps it from going as that cancellation demands.
    #[must_use]
    pub fn waits_for(&self, cancellation: &CancellationId) -> bool {
        self.suspended.iter().any(|wish| wish.cancellation == *cancellation)
    }
}
