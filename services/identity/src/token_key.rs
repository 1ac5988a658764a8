//! The key that tokens are signed with, told before the first token: whoever reads identity's public
//! facts can verify them.

use std::sync::Arc;

use event_store::{Append, AppendError, Expected, Metadata, Store, StoreError, StreamAppend, StreamId};
use keys::{Jwk, SigningKey};
use types::{TENANT_LOCAL, Timestamp};

use crate::{
    domain::Event,
    participant::NAME,
    wire::events::{decode, encode},
};

/// The stream of token keys. No subject has this id: theirs are minted.
pub const STREAM: &str = "token-keys";

/// How often recording is tried while others record theirs.
const ATTEMPTS_MAX: usize = 16;

/// Why the key is not recorded.
#[derive(Debug, thiserror::Error)]
pub enum TokenKeyError {
    /// The store cannot be read.
    #[error("token keys cannot be read")]
    Read(#[from] StoreError),
    /// The store does not take it.
    #[error("token key cannot be recorded")]
    Append(#[source] AppendError),
}

/// Records the key among the published ones, unless it is there already.
///
/// # Errors
/// [`TokenKeyError`].
pub async fn publish(store: &Store, key: &SigningKey, now: Timestamp) -> Result<(), TokenKeyError> {
    let stream = StreamId::new(STREAM);
    let mut attempts = 0;
    loop {
        let recorded = store.load(&stream).await?;
        let known = recorded.iter().any(|event| {
            let fact = decode(&event.kind, event.schema, &event.payload);
            matches!(fact, Ok(Event::TokenKeyPublished { jwk_json })
                if Jwk::parse(&jwk_json).is_ok_and(|jwk| jwk.public() == &key.public()))
        });
        if known {
            return Ok(());
        }
        let version = recorded.last().map_or(0, |event| event.version);
        attempts += 1;
        match store.append(to_append(&stream, version, key, now)).await {
            Ok(_) => return Ok(()),
            // Another process recorded one meanwhile, most likely this very key.
            Err(AppendError::Conflict(_)) if attempts < ATTEMPTS_MAX => {}
            Err(error) => return Err(TokenKeyError::Append(error)),
        }
    }
}

fn to_append(stream: &StreamId, version: u64, key: &SigningKey, at: Timestamp) -> Append {
    let published = encode(&Event::TokenKeyPublished { jwk_json: key.jwk().to_json() });
    let metadata = Metadata {
        tenant: TENANT_LOCAL.into(),
        actor: NAME.into(),
        causation: "".into(),
        correlation: "".into(),
        traceparent: "".into(),
    };
    let appended = StreamAppend {
        stream: stream.clone(),
        expected: Expected::Exactly(version),
        metadata: Arc::new(metadata),
        at,
        events: vec![published.into()],
    };
    Append { streams: vec![appended], ..Append::default() }
}
