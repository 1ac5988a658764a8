//! Registering again with a contact of a closed account: whether, and from when, as the pack's rule has
//! it. Nobody comes back as whom they were: another subject, another key, nothing inherited.
//!
//! A contact is known again by a keyed hash of it, and only where the rule needs that: where it makes
//! somebody wait or refuses them. A week's hashes have one key, which is destroyed 180 days after the
//! week began; without it they say nothing.

use std::time::Duration;

use policy::ReRegistration;
use types::{CancellationId, Timestamp};

use super::{Rejection, standing::Cause};

/// How long a contact of a closed account is known again, at the most.
pub const KNOWN_FOR: Duration = Duration::from_secs(180 * DAY_SECONDS);

const DAY_SECONDS: u64 = 24 * 60 * 60;
const WEEK_MICROS: i64 = 7 * 24 * 60 * 60 * 1_000_000;

/// The weeks since 1970 whose keys may stand still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Week(i64);

impl Week {
    /// The week of an instant.
    #[must_use]
    pub fn of(at: Timestamp) -> Self {
        Self(at.as_micros().div_euclid(WEEK_MICROS))
    }

    /// The first instant at which its key is to be there no more.
    #[must_use]
    pub fn ends(self) -> Timestamp {
        Timestamp::from_micros(self.0.saturating_mul(WEEK_MICROS)).plus(KNOWN_FOR)
    }

    /// The weeks whose keys may stand at that instant, the latest first.
    pub fn standing(now: Timestamp) -> impl Iterator<Item = Self> {
        let latest = Self::of(now).0;
        (0..).map(move |back| Self(latest - back)).take_while(move |week| week.ends() > now)
    }

    /// The name of its stream, and of its key's owner.
    #[must_use]
    pub fn name(self) -> String {
        format!("contacts-{}", self.0)
    }
}

/// A contact that an account had which is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// By which cancellation it was closed.
    pub cancellation: CancellationId,
    /// The account's region, whose rule it is.
    pub region: String,
    /// When.
    pub at: Timestamp,
    /// Until when the contact is known again.
    pub until: Timestamp,
    /// Why the subject was banned then, as a code.
    pub ban: Option<String>,
}

/// What there is in the stream of a contact, or of a week.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// Of a contact: the account that had it.
    pub released: Option<Released>,
    /// Of a week: whether its key was made.
    pub made: bool,
}

/// What has happened to a contact, or to the key of a week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The key of a week's hashes is about to be made.
    KeyMade {
        /// When it is to be destroyed.
        ends: Timestamp,
    },
    /// It is to be destroyed now.
    KeyEnded,
    /// An account with this contact was closed.
    Released(Released),
    /// A person lets whoever has the contact register again.
    Allowed(Cause),
}

/// Until when the contacts of an account that closes now must be known again; `None` where nothing
/// needs it. `again_from` is when the rule's wait is over.
#[must_use]
pub fn known_until(
    rule: &ReRegistration,
    ban: Option<&String>,
    again_from: Timestamp,
    now: Timestamp,
) -> Option<Timestamp> {
    let ends = Week::of(now).ends();
    if refused(rule, ban).is_some() {
        return Some(ends);
    }
    (again_from > now).then(|| again_from.min(ends))
}

/// Whether somebody with this contact may register now.
///
/// # Errors
/// [`Rejection::ComingBackRefused`] and [`Rejection::ComingBackEarly`].
pub fn judge(
    rule: &ReRegistration,
    released: &Released,
    again_from: Timestamp,
    now: Timestamp,
) -> Result<(), Rejection> {
    if released.until <= now {
        return Ok(());
    }
    let basis = rule.authority.source.clone();
    if let Some(code) = refused(rule, released.ban.as_ref()) {
        return Err(Rejection::ComingBackRefused { code: code.to_owned(), basis, until: released.until });
    }
    if again_from > now {
        return Err(Rejection::ComingBackEarly { basis, from: again_from.min(released.until) });
    }
    Ok(())
}

/// Why the rule refuses whoever was banned for this, as a code.
#[must_use]
pub fn refused<'a>(rule: &ReRegistration, ban: Option<&'a String>) -> Option<&'a str> {
    if !rule.allowed {
        return Some("NOT_ALLOWED");
    }
    ban.filter(|code| rule.refused_for.contains(code)).map(String::as_str)
}

/// Applies one fact. Total.
pub(super) fn evolve(state: &mut State, event: &Event) {
    match event {
        Event::KeyMade { .. } => state.made = true,
        Event::KeyEnded => {}
        Event::Released(released) => state.released = Some(released.clone()),
        Event::Allowed(_) => state.released = None,
    }
}
