//! Requests that carry an id of their own: whoever repeats one is answered alike, and nothing is
//! done twice. The claim is written in the transaction of the first one's effects.

use bytes::{BufMut, Bytes, BytesMut};
use event_store::Claim;
use sha2::{Digest as _, Sha256};
use types::Caller;

const DIGEST_BYTES: usize = 32;

/// Longer keys are hashed.
const KEY_BYTES_MAX: usize = 256;

/// A request with an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestClaim {
    key: String,
    digest: [u8; DIGEST_BYTES],
}

/// A request id that was used for another request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the request id was used for another request")]
pub struct Taken {
    /// What the first one gave.
    pub reference: String,
}

impl RequestClaim {
    /// The claim of a caller's request; `None` when it has no id. The digest is a keyed one of the
    /// method and the whole content.
    #[must_use]
    pub fn new(caller: &Caller, request_id: &str, digest: [u8; DIGEST_BYTES]) -> Option<Self> {
        let mut key = format!("request/{}/{}/{request_id}", caller.tenant, caller.name);
        // A caller's name may be longer than a claim's key.
        if key.len() > KEY_BYTES_MAX {
            key = Sha256::digest(key)
                .iter()
                .fold("request/".to_owned(), |key, byte| key + &format!("{byte:02x}"));
        }
        (!request_id.is_empty()).then_some(Self { key, digest })
    }

    /// The key under which it is claimed.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The claim, with the way to find the result again.
    #[must_use]
    pub fn claim(&self, reference: &str) -> Claim {
        let mut value = BytesMut::with_capacity(DIGEST_BYTES + reference.len());
        value.put_slice(&self.digest);
        value.put_slice(reference.as_bytes());
        Claim { key: self.key.clone(), value: value.freeze() }
    }

    /// The result of the request that took the id, when it was the same.
    ///
    /// # Errors
    /// [`Taken`] when it was another.
    pub fn same(&self, value: &Bytes) -> Result<String, Taken> {
        let (digest, reference) = value.split_at_checked(DIGEST_BYTES).unwrap_or((value, &[]));
        let reference = String::from_utf8_lossy(reference).into_owned();
        if *digest == self.digest { Ok(reference) } else { Err(Taken { reference }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_request_again_finds_the_result_and_another_is_told_of_the_first() {
        let caller = Caller::local();
        let first = RequestClaim::new(&caller, "r1", [1; 32]).unwrap();
        let claim = first.claim("can_1");
        assert_eq!(claim.key, "request/local/local/r1");
        assert_eq!(first.same(&claim.value), Ok("can_1".into()));
        let other = RequestClaim::new(&caller, "r1", [2; 32]).unwrap();
        assert_eq!(other.same(&claim.value), Err(Taken { reference: "can_1".into() }));
        assert_eq!(RequestClaim::new(&caller, "", [1; 32]), None);
    }

    #[test]
    fn a_long_name_makes_another_key_that_is_as_good() {
        let caller = |name: String| Caller { name: name.into(), ..Caller::local() };
        let key = |name| RequestClaim::new(&caller(name), "r1", [1; 32]).unwrap().key().to_owned();
        let (one, other) = ("a".repeat(300), "b".repeat(300));
        assert!(key(one.clone()).len() <= KEY_BYTES_MAX);
        assert_eq!(key(one.clone()), key(one.clone()));
        assert_ne!(key(one), key(other));
    }
}
