//! The public keys of participants: what the roster says, and what participants announced.
//!
//! The roster counts always. An announcement counts for a participant whose keys the roster file does
//! not give, and it is as good as the right to write to that participant's topic of keys: whoever has
//! that right can acknowledge in its name. Where that is too much trust, give the keys in the file.
//!
//! A key once known stays known. So a cancellation that was requested under an older key is
//! acknowledged under the new one, and receipts hold after a change of keys.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use event_store::{Store, StoreError};
use keys::Jwk;
use messaging::BackOff;
use tokio_util::sync::CancellationToken;
use types::ParticipantName;

use crate::{
    Roster,
    domain::Entry,
    late_keys,
    streams::{self, Folded},
    watch::Watchers,
};

/// How often parked acknowledgements are looked at once a key became known: a batch decided without it
/// may park some a moment later, in whichever process.
const LOOKS: u32 = 10;
/// The time between those looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Every known public key of every participant.
pub(crate) struct ParticipantKeys {
    roster: Arc<Roster>,
    /// JWKs in JSON, in the order in which they became known.
    announced: RwLock<BTreeMap<ParticipantName, Vec<String>>>,
}

impl ParticipantKeys {
    pub(crate) fn new(roster: Arc<Roster>) -> Self {
        Self { roster, announced: RwLock::default() }
    }

    /// Reads what was announced until now. True when there was something new.
    pub(crate) async fn read(&self, store: &Store) -> Result<bool, StoreError> {
        let events = store.load(&streams::of_participant_keys()).await?;
        match streams::fold_all(&events) {
            Ok((folded, _)) => return Ok(self.know(&folded)),
            // What was known stays known; a later release wrote what this one cannot read.
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "announced keys cannot be read");
            }
        }
        Ok(false)
    }

    /// Keeps up with what is announced, in whichever process, until told to stop.
    pub(crate) async fn run(&self, store: Store, watchers: Arc<Watchers>, shutdown: CancellationToken) {
        let mut watcher = watchers.subscribe(streams::of_participant_keys());
        let follow = async {
            // What was parked before this process started is looked at once.
            let (mut looks, mut pause) = (1, BackOff::default());
            loop {
                match self.read(&store).await {
                    Ok(new) => {
                        pause.reset();
                        looks = if new { LOOKS } else { looks };
                    }
                    Err(error) => {
                        tracing::warn!(%error, "announced keys are not read while the store is away");
                        pause.wait(&shutdown).await;
                        continue;
                    }
                }
                let changed = if looks == 0 {
                    Ok(watcher.changed().await)
                } else {
                    looks -= 1;
                    if let Err(error) = late_keys::retry(&store, &crate::group(), self).await {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(error, "parked acknowledgements are not looked at");
                    }
                    tokio::time::timeout(LOOK_EVERY, watcher.changed()).await
                };
                if changed == Ok(false) {
                    return;
                }
            }
        };
        shutdown.run_until_cancelled(follow).await;
    }

    /// The entries with every key that is known of each now.
    ///
    /// # Errors
    /// Those of which no key is known: nobody could check their acknowledgements.
    pub(crate) fn complete(&self, mut entries: Vec<Entry>) -> Result<Vec<Entry>, Vec<ParticipantName>> {
        let announced = self.announced.read().unwrap_or_else(PoisonError::into_inner);
        for entry in &mut entries {
            for jwk in announced.get(&entry.name).into_iter().flatten() {
                if !entry.keys.contains(jwk) {
                    entry.keys.push(jwk.clone());
                }
            }
        }
        let without = entries.iter().filter(|entry| entry.keys.is_empty());
        let without: Vec<_> = without.map(|entry| entry.name.clone()).collect();
        if without.is_empty() { Ok(entries) } else { Err(without) }
    }

    /// Every key known of a participant now, in JSON: those of the roster first.
    pub(crate) fn of(&self, name: &ParticipantName) -> Vec<String> {
        let entry = self.roster.entries().find(|entry| entry.name == *name);
        let mut keys = entry.map(|entry| entry.keys.clone()).unwrap_or_default();
        let announced = self.announced.read().unwrap_or_else(PoisonError::into_inner);
        keys.extend(announced.get(name).into_iter().flatten().cloned());
        keys
    }

    /// The same with what the stream of announcements says beyond that.
    pub(crate) fn with(&self, name: &ParticipantName, announced: &Folded) -> Vec<String> {
        let mut keys = self.of(name);
        if !self.roster.pins(name) {
            let told = announced.participant_keys.iter().filter(|(other, _)| other == name);
            keys.extend(told.map(|(_, jwk)| jwk.clone()));
        }
        keys
    }

    /// Every key with its owner.
    pub(crate) fn owned(&self) -> Vec<Jwk> {
        let listed = self.roster.entries().map(|entry| entry.name.clone());
        let announced = self.announced.read().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<ParticipantName> = listed.collect();
        names.extend(announced.keys().filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>());
        drop(announced);
        let owned = |name: &ParticipantName| {
            let parsed = self.of(name).into_iter().filter_map(|json| Jwk::parse(&json).ok());
            parsed.map(|key| key.owned_by(name.as_str())).collect::<Vec<_>>()
        };
        names.iter().flat_map(owned).collect()
    }

    fn know(&self, folded: &Folded) -> bool {
        let mut known: BTreeMap<ParticipantName, Vec<String>> = BTreeMap::new();
        for (name, jwk) in &folded.participant_keys {
            if !self.roster.pins(name) {
                known.entry(name.clone()).or_default().push(jwk.clone());
            }
        }
        let mut announced = self.announced.write().unwrap_or_else(PoisonError::into_inner);
        let new = *announced != known;
        *announced = known;
        new
    }
}

#[cfg(test)]
mod tests {
    use keys::SigningKey;

    use super::*;

    fn name(text: &str) -> ParticipantName {
        ParticipantName::parse(text).unwrap()
    }

    fn jwk(seed: u8) -> String {
        SigningKey::from_seed([seed; 32]).jwk().to_json()
    }

    /// Two participants: the keys of the second stand in the file.
    fn known(announced: &[(&str, u8)]) -> ParticipantKeys {
        let file = format!(
            "[scopes.fast]\n[[participant]]\nname = \"first\"\nscopes = [\"fast\"]\n\
             [[participant]]\nname = \"second\"\nscopes = [\"fast\"]\nkeys = ['{}']\n",
            jwk(1)
        );
        let keys = ParticipantKeys::new(Arc::new(Roster::parse(&file).unwrap()));
        let announced = announced.iter().map(|(who, seed)| (name(who), jwk(*seed))).collect();
        keys.know(&Folded { participant_keys: announced, ..Folded::default() });
        keys
    }

    fn entries(keys: &ParticipantKeys) -> Vec<Entry> {
        keys.roster.entries().cloned().collect()
    }

    #[test]
    fn who_announced_no_key_and_has_none_in_the_file_is_named() {
        let keys = known(&[]);
        assert_eq!(keys.complete(entries(&keys)).unwrap_err(), [name("first")]);
    }

    #[test]
    fn every_announced_key_counts_and_where_the_file_has_keys_none_does() {
        let keys = known(&[("first", 2), ("first", 3), ("second", 4)]);
        let complete = keys.complete(entries(&keys)).unwrap();
        assert_eq!(complete[0].keys, [jwk(2), jwk(3)]);
        assert_eq!(complete[1].keys, [jwk(1)]);
        assert_eq!(keys.of(&name("second")), [jwk(1)]);
    }

    #[test]
    fn keys_of_those_who_left_the_roster_stay_published_with_their_owner() {
        let keys = known(&[("first", 2), ("gone", 5)]);
        let owned = keys.owned();
        let owners: Vec<_> = owned.iter().map(|jwk| jwk.owner().unwrap()).collect();
        assert_eq!(owners, ["first", "second", "gone"]);
    }
}
