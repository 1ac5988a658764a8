//! Effects outside the store: delivering codes, destroying keys.
//!
//! A recorded fact is the intent. A follower carries it out after it is committed, as often as it
//! comes: a message replaces itself, a destroyed key stays destroyed, and what confirms the destruction
//! is recorded once. What a batch intends is done side by side, but for each subject in commit order;
//! the cursor moves when all of it is done.

mod remembering;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use event_store::Recorded;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use keys::{Secret, Vault, VaultError};
use messaging::{Follow, FollowError};
use participant::{AccountError, Accounts, aside};
use policy::Packs;
use prost::Name as _;
use proto::identity::v1 as pb;
use tokio::task::JoinSet;
use types::{SubjectId, Timestamp};
use uuid::Uuid;

use crate::{
    address::Address,
    code,
    domain::{self, AppealId, Event, Key, State, VerificationId},
    messages::{MessageFolder, compose},
    participant::Identity,
    wire::events::decode,
};

pub use remembering::known_contact_stream;

/// The follower's name.
pub const FOLLOWER: &str = "effects";
/// How many subjects' accounts are read, and destroyed keys recorded, at a time.
const SUBJECTS_AT_ONCE: usize = 64;
/// Threads that share what a batch does to files: they wait for the disk together.
const THREADS: usize = 4;

/// What a sealed contact is bound to beside its owner.
#[must_use]
pub fn sealed_field(place: usize) -> String {
    format!("contact/{place}")
}

/// What a sealed appeal is bound to beside its owner.
#[must_use]
pub fn appeal_field(id: &AppealId) -> String {
    format!("appeal/{id}")
}

/// Opens one of a subject's contacts. Blocks.
///
/// # Errors
/// [`VaultError`]; a contact that there is not counts as tampered with.
pub fn open_contact(
    vault: &Vault,
    subject: &SubjectId,
    state: &State,
    place: usize,
) -> Result<Address, VaultError> {
    let contact = state.contacts.get(place).ok_or(VaultError::Tampered)?;
    let opened = vault.open_sealed(subject.as_str(), &sealed_field(place), &contact.sealed)?;
    Address::unsealed(contact.factor, opened).ok_or(VaultError::Tampered)
}

/// Carries out what the events intend.
pub struct Effects {
    pub(crate) accounts: Accounts<Identity>,
    pub(crate) packs: Arc<Packs>,
    pub(crate) outside: Outside,
}

/// What effects reach outside the store.
#[derive(Clone)]
pub struct Outside {
    pub(crate) vault: Arc<Vault>,
    pub(crate) secret: Arc<Secret>,
    pub(crate) messages: MessageFolder,
}

#[async_trait]
impl Follow for Effects {
    async fn handle(&self, batch: &[Recorded]) -> Result<(), FollowError> {
        let (started, doomed) =
            (pb::VerificationStarted::full_name(), pb::KeyDestructionIntended::full_name());
        let mut intents: BTreeMap<SubjectId, Vec<Recorded>> = BTreeMap::new();
        for event in batch.iter().filter(|event| *event.kind == *started || *event.kind == *doomed) {
            if let Ok(subject) = SubjectId::parse(event.stream.as_str()) {
                intents.entry(subject).or_default().push(event.clone());
            }
        }
        let ended = pb::ContactKeyEnded::full_name();
        let weeks = batch.iter().filter(|event| *event.kind == *ended);
        self.end_weeks(weeks.map(|event| event.stream.shared()).collect()).await?;
        let work = stream::iter(intents.into_iter().map(|(subject, events)| self.work(subject, events)));
        let work: Vec<Option<Work>> = work.buffer_unordered(SUBJECTS_AT_ONCE).try_collect().await?;
        self.carry_out(work.into_iter().flatten().collect()).await
    }
}

/// What is to be done for one subject, in this order.
struct Work {
    subject: SubjectId,
    region: String,
    state: State,
    deliveries: Vec<Delivery>,
    /// The event that intends the end of the key.
    doomed_by: Option<Uuid>,
}

/// A code that is to be sent.
struct Delivery {
    id: VerificationId,
    contact: usize,
    made_at: Timestamp,
    expires_at: Timestamp,
}

impl Effects {
    /// What these events of a subject intend; nothing for an account that cannot be read.
    async fn work(&self, subject: SubjectId, events: Vec<Recorded>) -> Result<Option<Work>, FollowError> {
        let (region, state) = match self.accounts.stored(&subject).await {
            Ok(account) => (account.known.map(|(region, _)| region).unwrap_or_default(), account.state),
            // One history that cannot be read must not stop what others wait for.
            Err(AccountError::Unreadable(error)) => {
                tracing::error!(
                    %subject, positions = ?events.iter().map(|event| event.position.0).collect::<Vec<_>>(),
                    error = &error as &dyn std::error::Error,
                    "effects are skipped: move the follower's cursor back when the history can be read"
                );
                return Ok(None);
            }
            Err(error) => return Err(FollowError::new(error)),
        };
        let mut work = Work { subject, region, state, deliveries: Vec::new(), doomed_by: None };
        for event in events {
            // The account was folded from this very event, so that it can be read.
            match decode(&event.kind, event.schema, &event.payload) {
                Ok(Event::VerificationStarted { id, contact, expires_at, .. }) => {
                    work.deliveries.push(Delivery { id, contact, made_at: event.at, expires_at });
                }
                Ok(Event::KeyDestructionIntended(_)) if matches!(work.state.key, Key::Doomed(_)) => {
                    work.doomed_by = Some(event.id);
                }
                _ => {}
            }
        }
        Ok(Some(work))
    }

    /// Delivers, destroys, and records that keys are destroyed. After a doom there is no delivery, so
    /// that for each subject the deliveries may come first.
    async fn carry_out(&self, work: Vec<Work>) -> Result<(), FollowError> {
        let now = self.accounts.now();
        self.remember(&work, now).await?;
        let mut shares = JoinSet::new();
        let share = work.len().div_ceil(THREADS).max(1);
        let mut work = work.into_iter();
        while work.len() > 0 {
            let (share, outside) = (work.by_ref().take(share).collect(), self.outside.clone());
            shares.spawn(aside(move || outside.carry_out(share, now)));
        }
        let mut destroyed = Vec::new();
        while let Some(done) = shares.join_next().await {
            destroyed.extend(done.and_then(|done| done).map_err(FollowError::new)??);
        }
        let confirm = destroyed.into_iter().map(|(subject, event)| async move {
            let decide = |state: &State, now| (domain::close(state, &subject, now), Vec::new());
            self.accounts.record(&subject, &event.to_string(), decide).await
        });
        let confirmed: Result<(), AccountError> =
            stream::iter(confirm).buffer_unordered(SUBJECTS_AT_ONCE).try_collect().await;
        confirmed.map_err(FollowError::new)
    }
}

impl Outside {
    /// Carries out the work of some subjects; gives those whose keys are destroyed now, with the event
    /// that intended it. Blocks.
    fn carry_out(&self, work: Vec<Work>, now: Timestamp) -> Result<Vec<(SubjectId, Uuid)>, FollowError> {
        for it in &work {
            it.deliveries.iter().try_for_each(|delivery| self.deliver(it, delivery, now))?;
        }
        let doomed: Vec<Work> = work.into_iter().filter(|it| it.doomed_by.is_some()).collect();
        self.vault.destroy_all(doomed.iter().map(|it| it.subject.as_str())).map_err(FollowError::new)?;
        for id in doomed.iter().flat_map(|it| it.state.verifications.keys()) {
            self.messages.remove(id).map_err(FollowError::new)?;
        }
        Ok(doomed.into_iter().filter_map(|it| Some((it.subject, it.doomed_by?))).collect())
    }

    fn deliver(&self, work: &Work, delivery: &Delivery, now: Timestamp) -> Result<(), FollowError> {
        let Delivery { id, contact, made_at, expires_at } = delivery;
        if now >= *expires_at {
            return self.messages.remove_unfinished(id).map_err(FollowError::new);
        }
        match open_contact(&self.vault, &work.subject, &work.state, *contact) {
            Ok(to) => {
                let message = compose(id, &to, &code::code(&self.secret, id), *made_at, *expires_at);
                self.messages.put(id, &message).map_err(FollowError::new)
            }
            Err(error @ (VaultError::Io { .. } | VaultError::Random(_))) => Err(FollowError::new(error)),
            Err(VaultError::Destroyed) => self.messages.remove_unfinished(id).map_err(FollowError::new),
            // The same again whenever it is tried: it must not stop what others wait for.
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(subject = %work.subject, verification = %id, error, "code cannot be delivered");
                Ok(())
            }
        }
    }
}
