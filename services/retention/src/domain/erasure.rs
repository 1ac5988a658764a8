//! The one way by which personal data goes. Whoever wants that, a cancellation, a date that has come
//! or the end of a hold, it goes through [`take_away`], and nothing goes over which a hold stands or
//! which is evidence of an open cancellation.

use std::time::Duration;

use types::{CancellationId, Timestamp};

use super::{Basis, DataSet, DataSetId, Event, Gone, Holding, Restriction, State, Treated, Treatment};

/// The ground on which a data set is kept that one cancellation takes away and that is evidence of
/// another, which is open.
pub const EVIDENCE: &str = "EVIDENCE_OF_OPEN_CANCELLATION";

/// How long what is evidence of an open cancellation is left before it is looked at again.
const DEFERRED: Duration = Duration::from_hours(24);

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
enum Obstacle<'a> {
    /// There is nothing of it any more.
    Nothing,
    /// A hold stands over it.
    Held,
    /// It is evidence of that cancellation, which is open.
    Evidence(&'a CancellationId),
}

/// Takes a data set away. Nothing else in this service says that one is erased or anonymised.
fn take_away<'a>(
    state: &State,
    set: &'a DataSet,
    wish: &Suspension,
    due: Option<Timestamp>,
    at: Timestamp,
) -> Result<Event, Obstacle<'a>> {
    if set.content().is_none() {
        return Err(Obstacle::Nothing);
    }
    if state.holds_over(set).next().is_some() {
        return Err(Obstacle::Held);
    }
    if let Some(of) = set.evidence_of.as_ref().filter(|of| state.is_open(of, at)) {
        return Err(Obstacle::Evidence(of));
    }
    let (id, cancellation) = (set.id.clone(), wish.cancellation.clone());
    let gone = Gone { basis: wish.basis.clone(), since: at, due };
    Ok(match wish.anonymise {
        true => Event::Anonymised { id, cancellation, gone },
        false => Event::Erased { id, cancellation, gone },
    })
}

/// Restricts what a cancellation takes away while it is evidence of another: that one may last, and
/// this one is not kept waiting for it. By the rule that would have taken it away it is erased, when
/// it is evidence no more.
fn keep_as_evidence(set: &DataSet, wish: &Suspension, at: Timestamp) -> Event {
    let restriction = Restriction {
        ground: EVIDENCE.into(),
        basis: wish.basis.clone(),
        until: Some(at.plus(DEFERRED)),
        cancellation: wish.cancellation.clone(),
        since: at,
    };
    Event::Restricted { id: set.id.clone(), restriction }
}

/// Treats data sets as a cancellation demands; what is held waits, and so does what is evidence of
/// the cancellation itself. What is gone already, or restricted with a date, stays as it is, so that
/// doing it twice adds nothing.
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
            Err(Obstacle::Evidence(of)) if *of != wish.cancellation => Some(keep_as_evidence(set, &wish, at)),
            Err(Obstacle::Held | Obstacle::Evidence(_)) if !set.waits_for(&wish.cancellation) => {
                Some(Event::Suspended { id, suspension: wish })
            }
            Err(Obstacle::Held | Obstacle::Evidence(_) | Obstacle::Nothing) => None,
        }
    };
    all.into_iter().filter_map(event).collect()
}

/// Takes away what somebody waited to take away, or what was restricted until a date that has come.
/// What is held goes with the hold; what is evidence of an open cancellation is left until that has
/// ended.
#[must_use]
pub fn expire(state: &State, id: &DataSetId, now: Timestamp) -> Option<Event> {
    let set = state.find(id)?;
    let (wish, due) = match (set.suspended.first(), &set.holding) {
        (Some(wish), _) => (wish.clone(), None),
        (None, Holding::Restricted(_, restriction)) => {
            let due = restriction.until.filter(|until| *until <= now);
            // What was only kept as evidence has no reason to wait for its date.
            if due.is_none() && restriction.ground != EVIDENCE {
                return None;
            }
            let (cancellation, basis) = (restriction.cancellation.clone(), restriction.basis.clone());
            (Suspension { cancellation, anonymise: false, basis, since: now }, due)
        }
        (None, _) => return None,
    };
    match take_away(state, set, &wish, due, now) {
        Ok(event) => Some(event),
        Err(Obstacle::Evidence(of)) if set.waits_for(&wish.cancellation) && *of != wish.cancellation => {
            Some(keep_as_evidence(set, &wish, now))
        }
        Err(Obstacle::Evidence(of)) => {
            let (id, cancellation) = (set.id.clone(), of.clone());
            Some(Event::Deferred { id, cancellation, until: now.plus(DEFERRED), at: now })
        }
        Err(Obstacle::Held | Obstacle::Nothing) => None,
    }
}

/// Goes on with all that waited, after a hold has ended: what cancellations wanted to take away, and
/// what was restricted until a date that has come.
#[must_use]
pub(super) fn go_on(state: &State, at: Timestamp) -> Vec<Event> {
    state.data_sets.iter().filter_map(|set| expire(state, &set.id, at)).collect()
}

/// Goes on with what that cancellation wanted to take away, as far as it is held no more.
#[must_use]
pub fn resume(state: &State, cancellation: &CancellationId, at: Timestamp) -> Vec<Event> {
    let event = |set: &DataSet| {
        let wish = set.suspended.iter().find(|wish| wish.cancellation == *cancellation)?;
        match take_away(state, set, wish, None, at) {
            Ok(event) => Some(event),
            Err(Obstacle::Evidence(of)) if of != cancellation => Some(keep_as_evidence(set, wish, at)),
            Err(Obstacle::Held | Obstacle::Evidence(_) | Obstacle::Nothing) => None,
        }
    };
    state.data_sets.iter().filter_map(event).collect()
}

/// Takes away what only waited for the end of that cancellation, of which it is evidence.
#[must_use]
pub fn let_evidence_go(state: &State, cancellation: &CancellationId, at: Timestamp) -> Vec<Event> {
    let ended = state.clone().ended(cancellation);
    let evidence = ended.data_sets.iter().filter(|set| set.evidence_of.as_ref() == Some(cancellation));
    evidence.filter_map(|set| expire(&ended, &set.id, at)).collect()
}

/// Takes back what a cancellation wanted to take away and could not.
#[must_use]
pub fn drop_suspended(state: &State, cancellation: &CancellationId, at: Timestamp) -> Vec<Event> {
    let waits = state.data_sets.iter().any(|set| set.waits_for(cancellation));
    if waits { vec![Event::Dropped { cancellation: cancellation.clone(), at }] } else { vec![] }
}

impl State {
    fn is_open(&self, cancellation: &CancellationId, at: Timestamp) -> bool {
        self.open.get(cancellation).is_some_and(|until| until.is_none_or(|until| until > at))
    }

    /// The data sets that a hold keeps from going as that cancellation demands.
    pub fn held_from<'a>(&'a self, cancellation: &'a CancellationId) -> impl Iterator<Item = &'a DataSet> {
        let waiting = self.data_sets.iter().filter(|set| set.waits_for(cancellation));
        waiting.filter(|set| self.holds_over(set).next().is_some())
    }
}

impl DataSet {
    /// Whether that cancellation would have taken it away, and something keeps it from that.
    #[must_use]
    pub fn waits_for(&self, cancellation: &CancellationId) -> bool {
        self.suspended.iter().any(|wish| wish.cancellation == *cancellation)
    }
}
