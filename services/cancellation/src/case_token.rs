//! Case tokens: whoever holds one reaches one cancellation for a while, to look at it, to answer what it asks
//! and to revoke it, also when signing in is frozen. A compact JWS, sealed with the key of receipts.

use std::time::Duration;

use keys::{
    JwkSet, SigningKey,
    jws::{self, JwsError},
};
use serde::{Deserialize, Serialize};
use types::{CancellationId, Timestamp};

/// The type that tokens are signed as, so that no receipt passes for one.
const TYPE: &str = "exeunt-case+jwt";

/// How long one is good where nothing else is said.
pub(crate) const LIFETIME: Duration = Duration::from_hours(24);
/// How long one may be good that somebody asks for.
pub(crate) const LIFETIME_MAX: Duration = Duration::from_hours(30 * 24);

/// What is no token that holds now.
#[derive(Debug, thiserror::Error)]
pub enum CaseTokenError {
    /// Not signed as tokens are, or not by us.
    #[error("it is not signed as it must be")]
    Signature(#[from] JwsError),
    /// What is signed are not the claims of a token.
    #[error("it does not have the claims of a case token")]
    Claims,
    /// It was good once.
    #[error("it has expired")]
    Expired,
}

/// Instants are seconds since 1970-01-01T00:00:00Z, as RFC 7519 has them.
#[derive(Serialize, Deserialize)]
struct Claims {
    can: String,
    iat: i64,
    exp: i64,
}

/// A token for this cancellation, and the first second at which it holds no more.
pub(crate) fn issue(
    key: &SigningKey,
    cancellation: &CancellationId,
    now: Timestamp,
    lifetime: Duration,
) -> (String, Timestamp) {
    let until = Timestamp::from_micros(seconds(now.plus(lifetime)) * 1_000_000);
    let claims = Claims { can: cancellation.to_string(), iat: seconds(now), exp: seconds(until) };
    let payload = serde_json::to_vec(&claims).expect("text and numbers in a struct always have JSON");
    (jws::sign(key, TYPE, &payload), until)
}

/// The cancellation that a token reaches.
///
/// # Errors
/// [`CaseTokenError`] when none of these keys signed it, or it holds no more.
pub(crate) fn verify(token: &str, keys: &JwkSet, now: Timestamp) -> Result<CancellationId, CaseTokenError> {
    let verified = jws::verify(token, keys)?.of_type(TYPE)?;
    let claims: Claims = serde_json::from_slice(&verified.payload).map_err(|_| CaseTokenError::Claims)?;
    if claims.exp <= seconds(now) {
        return Err(CaseTokenError::Expired);
    }
    CancellationId::parse(&claims.can).map_err(|_| CaseTokenError::Claims)
}

fn seconds(at: Timestamp) -> i64 {
    at.as_micros() / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn b05_a_token_reaches_its_cancellation_until_it_expires_and_no_other_document_does() {
        let (key, other) = (SigningKey::from_seed([3; 32]), SigningKey::from_seed([4; 32]));
        let keys: JwkSet = [key.jwk()].into_iter().collect();
        let id = CancellationId::parse("can_1").unwrap();
        let (token, until) = issue(&key, &id, at(100), Duration::from_secs(60));
        assert_eq!(until, at(160));
        assert_eq!(verify(&token, &keys, at(159)).unwrap(), id);
        assert!(matches!(verify(&token, &keys, at(160)), Err(CaseTokenError::Expired)));
        let foreign = issue(&other, &id, at(100), Duration::from_secs(60)).0;
        assert!(matches!(verify(&foreign, &keys, at(100)), Err(CaseTokenError::Signature(_))));
        let receipt = jws::sign(&key, "exeunt-receipt+jws", b"{}");
        assert!(matches!(verify(&receipt, &keys, at(100)), Err(CaseTokenError::Signature(_))));
        assert!(matches!(verify("", &keys, at(100)), Err(CaseTokenError::Signature(_))));
    }
}
