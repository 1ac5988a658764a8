//! What people write about a cancellation: sealed with a key of its own, opened for operators alone, and gone
//! when that key is.

use std::sync::Arc;

use event_store::{Recorded, StreamId};
use keys::VaultError;
use proto::operations::v1 as pb;
use types::CancellationId;

use crate::{
    app::Cancellations,
    domain::{Event, Words},
    error::Error,
    streams,
    wire::{self, Decoded},
};

/// What the subject wrote, and what operators did.
const REASON: &str = "reason";
const OPERATION: &str = "operation";

/// Something written, as it stands in an event.
struct Written {
    told: pb::Text,
    /// What it is sealed as.
    field: &'static str,
    words: Words,
}

impl Cancellations {
    /// Seals what the subject wrote. Of a cancellation whose key is destroyed nothing is kept any more.
    pub(crate) async fn seal(&self, id: &CancellationId, reason: String) -> Result<Arc<[u8]>, Error> {
        Ok(self.sealed(id, REASON, reason).await?.unwrap_or_default())
    }

    /// Seals why an operator does something with a cancellation, which there must be. Of a subject whose
    /// account is closed nothing is kept any more.
    pub(crate) async fn seal_words(&self, id: &CancellationId, reason: String) -> Result<Words, Error> {
        let (case, _) = self.load(id).await?;
        let sealed = self.sealed(id, OPERATION, reason).await?;
        // Only now: what is closed after this look is erased after it, the new key with the rest.
        let (subject, _) = self.folded(&streams::of_subject(&case.request.subject)).await?;
        if subject.closed.is_some() {
            self.erase(vec![streams::of_case(id)]).await?;
            return Ok(Words::from(""));
        }
        Ok(sealed.map_or_else(|| Words::from(""), Words::Sealed))
    }

    async fn sealed(
        &self,
        id: &CancellationId,
        field: &'static str,
        text: String,
    ) -> Result<Option<Arc<[u8]>>, Error> {
        if text.is_empty() {
            return Ok(None);
        }
        let (vault, owner) = (self.vault.clone(), id.to_string());
        match in_vault(move || vault.seal(&owner, field, text.as_bytes())).await {
            Err(VaultError::Destroyed) => Ok(None),
            sealed => Ok(Some(sealed.map_err(Error::Vault)?.into())),
        }
    }

    /// Everything that was written about it, in order.
    pub(crate) async fn texts(&self, id: &CancellationId) -> Result<Vec<pb::Text>, Error> {
        let events = self.store.load(&streams::of_case(id)).await?;
        if events.is_empty() {
            return Err(Error::NotFound(id.clone()));
        }
        let written = events.iter().map(written).collect::<Result<Vec<_>, _>>().map_err(Error::Unreadable)?;
        let (vault, owner) = (self.vault.clone(), id.to_string());
        let open = move |Written { told, field, words }: Written| match words {
            Words::Clear(text) => Ok(pb::Text { erased: text.is_empty(), text: text.to_string(), ..told }),
            Words::Sealed(sealed) => match vault.open_sealed(&owner, field, &sealed) {
                Ok(text) => Ok(pb::Text { text: String::from_utf8_lossy(&text).into_owned(), ..told }),
                Err(VaultError::Destroyed | VaultError::Unknown) => Ok(pb::Text { erased: true, ..told }),
                Err(other) => Err(Error::Vault(other)),
            },
        };
        in_vault(move || written.into_iter().flatten().map(open).collect()).await
    }

    /// Destroys the keys of those cancellations: what was sealed with them opens no more.
    pub(crate) async fn erase(&self, cancellations: Vec<StreamId>) -> Result<(), Error> {
        let vault = self.vault.clone();
        let destroy = move || vault.destroy_known(cancellations.iter().map(StreamId::as_str));
        in_vault(destroy).await.map_err(Error::Vault)
    }
}

async fn in_vault<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    participant::aside(work).await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

/// What was written with an event, if anything.
fn written(event: &Recorded) -> Result<Option<Written>, messaging::Unreadable> {
    let Decoded::Case(fact) = wire::decode(event)? else { return Ok(None) };
    let told = |kind: pb::TextKind| pb::Text {
        kind: kind.into(),
        written_by: event.metadata.actor.to_string(),
        written_at: Some(event.at.to_proto()),
        ..pb::Text::default()
    };
    let of_subject = |kind, sealed: &Arc<[u8]>| {
        let words = Words::Sealed(sealed.clone());
        (!sealed.is_empty()).then(|| Written { told: told(kind), field: REASON, words })
    };
    Ok(match fact {
        Event::Requested(request) => of_subject(pb::TextKind::Request, &request.sealed_reason),
        Event::Revoking { sealed_reason, .. } | Event::Revoked { sealed_reason, .. } => {
            of_subject(pb::TextKind::Revocation, &sealed_reason)
        }
        Event::Operated(operation) => {
            let of = wire::operations::operated(&operation);
            let (action, participant) = (of.action, of.participant);
            let told = pb::Text { action, participant, ..told(pb::TextKind::Operation) };
            Some(Written { told, field: OPERATION, words: operation.reason.clone() })
        }
        _ => None,
    })
}
