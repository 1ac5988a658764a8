//! Effects outside the store: delivering codes, destroying keys.
//!
//! A recorded fact is the intent. A follower carries it out after it is committed, in commit order,
//! as often as it comes: a message replaces itself, a destroyed key stays destroyed, and what
//! confirms the destruction is recorded once.

use std::sync::Arc;

use async_trait::async_trait;
use event_store::Recorded;
use keys::{Secret, Vault, VaultError};
use messaging::{Follow, FollowError};
use participant::{Account, AccountError, Accounts};
use prost::Name as _;
use proto::identity::v1 as pb;
use types::SubjectId;

use crate::{
    address::Address,
    code,
    domain::{self, Event, Key, State, VerificationId},
    messages::{MessageFolder, compose},
    participant::Identity,
    wire::events::decode,
};

/// The follower's name.
pub const FOLLOWER: &str = "effects";

/// What a sealed contact is bound to beside its owner.
#[must_use]
pub fn sealed_field(place: usize) -> String {
    format!("contact/{place}")
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
    pub(crate) vault: Arc<Vault>,
    pub(crate) secret: Arc<Secret>,
    pub(crate) messages: MessageFolder,
}

#[async_trait]
impl Follow for Effects {
    async fn handle(&self, batch: &[Recorded]) -> Result<(), FollowError> {
        let (started, doomed) =
            (pb::VerificationStarted::full_name(), pb::KeyDestructionIntended::full_name());
        for event in batch {
            if *event.kind == *started || *event.kind == *doomed {
                self.carry_out(event).await?;
            }
        }
        Ok(())
    }
}

impl Effects {
    async fn carry_out(&self, event: &Recorded) -> Result<(), FollowError> {
        let Ok(subject) = SubjectId::parse(event.stream.as_str()) else { return Ok(()) };
        let account = match self.accounts.get(&subject).await {
            Ok(account) => account,
            // One history that cannot be read must not stop what others wait for.
            Err(AccountError::Unreadable(error)) => {
                tracing::error!(
                    %subject, position = event.position.0, error = &error as &dyn std::error::Error,
                    "effect is skipped: move the follower's cursor back when the history can be read"
                );
                return Ok(());
            }
            Err(error) => return Err(FollowError::new(error)),
        };
        // The account was folded from this very event, so that it can be read.
        match decode(&event.kind, event.schema, &event.payload) {
            Ok(Event::VerificationStarted { id, contact, expires_at, .. }) => {
                let delivery = Delivery { id, contact, made_at: event.at, expires_at };
                self.deliver(subject, account, delivery).await
            }
            Ok(Event::KeyDestructionIntended(_)) => self.destroy(subject, account, event).await,
            _ => Ok(()),
        }
    }

    async fn deliver(
        &self,
        subject: SubjectId,
        account: Account<State>,
        delivery: Delivery,
    ) -> Result<(), FollowError> {
        let (vault, secret, messages) = (self.vault.clone(), self.secret.clone(), self.messages.clone());
        let now = self.accounts.now();
        blocking(move || {
            let Delivery { id, contact, made_at, expires_at } = delivery;
            if now >= expires_at {
                return messages.remove_unfinished(&id).map_err(FollowError::new);
            }
            match open_contact(&vault, &subject, &account.state, contact) {
                Ok(to) => {
                    let message = compose(&id, &to, &code::code(&secret, &id), made_at, expires_at);
                    messages.put(&id, &message).map_err(FollowError::new)
                }
                Err(error @ (VaultError::Io { .. } | VaultError::Random(_))) => Err(FollowError::new(error)),
                Err(VaultError::Destroyed) => messages.remove_unfinished(&id).map_err(FollowError::new),
                // The same again whenever it is tried: it must not stop what others wait for.
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(%subject, verification = %id, error, "code cannot be delivered");
                    Ok(())
                }
            }
        })
        .await
    }

    async fn destroy(
        &self,
        subject: SubjectId,
        account: Account<State>,
        event: &Recorded,
    ) -> Result<(), FollowError> {
        if !matches!(account.state.key, Key::Doomed(_)) {
            return Ok(());
        }
        let (vault, messages, owner) = (self.vault.clone(), self.messages.clone(), subject.clone());
        let sent: Vec<VerificationId> = account.state.verifications.into_keys().collect();
        blocking(move || {
            vault.destroy(owner.as_str()).map_err(FollowError::new)?;
            sent.iter().try_for_each(|id| messages.remove(id)).map_err(FollowError::new)
        })
        .await?;
        let confirm = |state: &State, now| (domain::close(state, &subject, now), Vec::new());
        self.accounts.record(&subject, &event.id.to_string(), confirm).await.map_err(FollowError::new)
    }
}

/// A code that is to be sent.
struct Delivery {
    id: VerificationId,
    contact: usize,
    made_at: types::Timestamp,
    expires_at: types::Timestamp,
}

async fn blocking(
    work: impl FnOnce() -> Result<(), FollowError> + Send + 'static,
) -> Result<(), FollowError> {
    tokio::task::spawn_blocking(work).await.map_err(FollowError::new)?
}
