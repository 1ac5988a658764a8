//! Acknowledgements that overtook the announcement of the key they are signed with: they are parked,
//! and tried again once that key is known.

use event_store::{
    Append, AppendError, ParkedChange, ParkedKey, ParkedRecord, ParkedState, Store, StoreError,
};
use keys::Jwk;
use participant::contract;
use prost::Message as _;
use proto::participant::v1::{Acknowledgement, SignedAcknowledgement};
use types::ParticipantName;

use crate::participant_keys::ParticipantKeys;

/// Why such a record is parked.
pub(crate) const CAUSE: &str = "KEY_UNKNOWN";

/// How many parked records are looked at in one query.
const PAGE: usize = 1_000;

/// Why parked records were not tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RetryError {
    #[error("parked records cannot be read")]
    Read(#[from] StoreError),
    #[error("another try cannot be asked for")]
    Append(#[from] AppendError),
}

/// Asks for another try of every parked acknowledgement whose key is known by now. Again is fine.
pub(crate) async fn retry(store: &Store, consumer: &str, known: &ParticipantKeys) -> Result<(), RetryError> {
    let mut after: Option<(std::sync::Arc<str>, i32, i64)> = None;
    loop {
        let from = after.as_ref().map(|(topic, partition, offset)| (&**topic, *partition, *offset));
        let page = store.parked(Some(consumer), from, PAGE).await?;
        after = page.rows.last().map(|row| (row.topic.clone(), row.partition, row.offset));
        let overtaken = page.rows.into_iter().filter(|row| is_known_now(row, known));
        let again: Vec<_> = overtaken.map(|row| ParkedChange::Replay(key_of(row))).collect();
        if !again.is_empty() {
            tracing::info!(keys = again.len(), "acknowledgements are tried again: their key is known now");
            store.append(Append { parked: again, ..Append::default() }).await?;
        }
        if !page.more {
            return Ok(());
        }
    }
}

fn is_known_now(row: &ParkedRecord, known: &ParticipantKeys) -> bool {
    if *row.cause != *CAUSE || row.state != ParkedState::Parked || *row.topic != *contract::ACKNOWLEDGEMENTS {
        return false;
    }
    let Ok(signed) = SignedAcknowledgement::decode(row.payload.clone()) else { return false };
    let Ok(claimed) = Acknowledgement::decode(signed.acknowledgement) else { return false };
    let Ok(name) = ParticipantName::parse(&claimed.participant) else { return false };
    known.of(&name).iter().filter_map(|json| Jwk::parse(json).ok()).any(|jwk| jwk.kid() == signed.kid)
}

fn key_of(row: ParkedRecord) -> ParkedKey {
    ParkedKey { consumer: row.consumer, topic: row.topic, partition: row.partition, key: row.key }
}
