//! Before a subject's key is destroyed, what must be known again of the contacts is noted, where the
//! rule about coming back needs that: keyed hashes, under the key of the week.

use std::{fmt::Write as _, sync::Arc};

use event_store::TimerChange;
use keys::{Vault, VaultError};
use messaging::FollowError;
use types::{CancellationId, SubjectId, Timestamp};

use super::{Effects, Work, open_contact};
use crate::{
    address::Address,
    domain::{
        Event, Factor, State,
        coming_back::{self, Released, Week},
    },
};

/// So many bytes of a hash name the stream of its contact, in hexadecimal: an id has 64 characters.
const NAME_BYTES: usize = 24;

/// What the hash of a contact is bound to beside the week.
fn field(factor: Factor) -> &'static str {
    match factor {
        Factor::SmsCode => "sms",
        Factor::EmailCode => "email",
    }
}

/// The stream of a contact under a week's key; the key is made when there is none. Blocks.
///
/// # Errors
/// [`VaultError`].
pub fn contact_stream(vault: &Vault, week: Week, contact: &Address) -> Result<String, VaultError> {
    let value = contact.canonical();
    vault.hash(&week.name(), field(contact.factor()), value.as_bytes()).map(|hash| name(&hash))
}

/// The same where the week has a key. Blocks.
///
/// # Errors
/// [`VaultError`].
pub fn known_contact_stream(
    vault: &Vault,
    week: Week,
    contact: &Address,
) -> Result<Option<String>, VaultError> {
    let value = contact.canonical();
    let hash = vault.known_hash(&week.name(), field(contact.factor()), value.as_bytes())?;
    Ok(hash.map(|hash| name(&hash)))
}

fn name(hash: &[u8; 32]) -> String {
    let mut name = String::from("contact-");
    for byte in &hash[..NAME_BYTES] {
        // Writing to a string cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

impl Effects {
    /// Notes the contacts of those whose keys are about to be destroyed, where the rule needs it.
    pub(super) async fn remember(&self, work: &[Work], now: Timestamp) -> Result<(), FollowError> {
        for it in work.iter().filter(|it| it.doomed_by.is_some()) {
            let Some(cancellation) = it.state.key.ended_by() else { continue };
            let Some(pack) = self.packs.of_region(&it.region) else { continue };
            let (rule, ban) = (&pack.re_registration, it.state.standing.ban.as_ref());
            let again_from = pack.after(rule.wait, now);
            if let Some(until) = coming_back::known_until(rule, ban, again_from, now) {
                self.release(it, cancellation, now, until).await?;
            }
        }
        Ok(())
    }

    async fn release(
        &self,
        work: &Work,
        cancellation: &CancellationId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(), FollowError> {
        let week = Week::of(now);
        let made = |state: &State, _| {
            let event = (!state.coming_back.made).then(|| coming_back::Event::KeyMade { ends: week.ends() });
            (event.map(Event::ComingBack).into_iter().collect(), Vec::<TimerChange>::new())
        };
        // Before the key, so that none is made that nothing ends.
        self.note(&week.name(), work, made).await?;
        let (vault, subject, state) = (self.outside.vault.clone(), work.subject.clone(), work.state.clone());
        let streams = move || contact_streams(&vault, &subject, &state, week);
        let streams = participant::aside(streams).await.map_err(FollowError::new)?;
        let released = Released {
            cancellation: cancellation.clone(),
            region: work.region.clone(),
            at: now,
            until,
            ban: work.state.standing.ban.clone(),
        };
        for stream in streams.map_err(FollowError::new)? {
            let released = |state: &State, _| {
                let before = state.coming_back.released.as_ref();
                let known = before.is_some_and(|it| it.cancellation == released.cancellation);
                let event = (!known).then(|| coming_back::Event::Released(released.clone()));
                (event.map(Event::ComingBack).into_iter().collect(), Vec::<TimerChange>::new())
            };
            self.note(&stream, work, released).await?;
        }
        Ok(())
    }

    async fn note<D>(&self, stream: &str, work: &Work, decide: D) -> Result<(), FollowError>
    where
        D: Fn(&State, Timestamp) -> (Vec<Event>, Vec<TimerChange>) + Send,
    {
        let stream = SubjectId::parse(stream).map_err(FollowError::new)?;
        let cause = work.doomed_by.map(|id| id.to_string()).unwrap_or_default();
        self.accounts.record(&stream, &cause, decide).await.map_err(FollowError::new)
    }

    /// Destroys the keys of weeks that have ended.
    pub(super) async fn end_weeks(&self, weeks: Vec<Arc<str>>) -> Result<(), FollowError> {
        if weeks.is_empty() {
            return Ok(());
        }
        let vault = self.outside.vault.clone();
        let destroy = move || vault.destroy_all(weeks.iter().map(|week| &**week));
        let destroyed = participant::aside(destroy).await.map_err(FollowError::new)?;
        destroyed.map_err(FollowError::new)
    }
}

/// The streams of a subject's contacts. What does not open any more is passed over: its key was
/// destroyed before, and then it was noted. Blocks.
fn contact_streams(
    vault: &Vault,
    subject: &SubjectId,
    state: &State,
    week: Week,
) -> Result<Vec<String>, VaultError> {
    let mut streams = Vec::new();
    for place in 0..state.contacts.len() {
        match open_contact(vault, subject, state, place) {
            Ok(contact) => streams.push(contact_stream(vault, week, &contact)?),
            Err(error @ (VaultError::Io { .. } | VaultError::Random(_))) => return Err(error),
            Err(VaultError::Destroyed) => {}
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(%subject, place, error, "contact cannot be noted before it is erased");
            }
        }
    }
    Ok(streams)
}
