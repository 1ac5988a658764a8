//! Verification tokens: what identity says about a subject who proved to be there, for one
//! cancellation and a short while. A compact JWS; whoever checks it needs only identity's public keys.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use types::{CancellationId, SubjectId, Timestamp};

use crate::{
    JwkSet, SigningKey,
    jws::{self, JwsError},
};

/// The type that tokens are signed as, so that no other document passes for one.
const TYPE: &str = "exeunt-verification+jwt";

/// Who issues tokens.
const ISSUER: &str = "exeunt-identity";

/// Longest token that is looked at, in bytes. One of ours has some 600.
const TOKEN_BYTES_MAX: usize = 4096;

/// Text that is no token that holds now.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It is longer than a token can be.
    #[error("token has more than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    /// It is not signed as tokens are, or by a key that is not known.
    #[error("token is not signed as it must be")]
    Signature(#[from] JwsError),
    /// What is signed are not the claims of a token.
    #[error("token does not have the claims of a token")]
    Claims(#[source] serde_json::Error),
    /// It is issued by somebody else.
    #[error("token must be issued by {ISSUER}")]
    Issuer,
}

/// How surely the subject was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TokenLevel {
    /// By one factor.
    Single,
    /// By two independent factors.
    Multiple,
}

/// What a token says. Instants are seconds since 1970-01-01T00:00:00Z, as RFC 7519 has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerificationClaims {
    /// Who issued it; `exeunt-identity`.
    pub iss: String,
    /// The subject's id.
    pub sub: String,
    /// The cancellation it is good for.
    pub can: String,
    /// The token's own id.
    pub jti: String,
    /// When it was issued.
    pub iat: i64,
    /// The first second at which it holds no more.
    pub exp: i64,
    /// How surely the subject was recognised.
    pub level: TokenLevel,
    /// The factor shown: `EMAIL_CODE`, `SMS_CODE`.
    pub factor: String,
}

impl VerificationClaims {
    /// The claims of a token issued then, good for so long and for this cancellation only. Parts of
    /// a second are cut off.
    #[must_use]
    pub fn new(
        subject: &SubjectId,
        cancellation: &CancellationId,
        token_id: &str,
        issued_at: Timestamp,
        lifetime: Duration,
        factor: &str,
    ) -> Self {
        Self {
            iss: ISSUER.into(),
            sub: subject.to_string(),
            can: cancellation.to_string(),
            jti: token_id.into(),
            iat: seconds(issued_at),
            exp: seconds(issued_at.plus(lifetime)),
            level: TokenLevel::Single,
            factor: factor.into(),
        }
    }

    /// The token: these claims, signed. The same claims and key always give the same text.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> String {
        let payload = serde_json::to_vec(self).expect("text and numbers in a struct always have JSON");
        jws::sign(key, TYPE, &payload)
    }

    /// Reads a token that one of these keys signed. Whether it is for this subject and cancellation,
    /// and not expired ([`Self::holds_at`]), is for the caller to ask.
    ///
    /// # Errors
    /// [`TokenError`] when it is no token, or none of identity's.
    pub fn verify(token: &str, keys: &JwkSet) -> Result<Self, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        let verified = jws::verify(token, keys)?.of_type(TYPE)?;
        let claims: Self = serde_json::from_slice(&verified.payload).map_err(TokenError::Claims)?;
        if claims.iss == ISSUER { Ok(claims) } else { Err(TokenError::Issuer) }
    }

    /// Whether it holds at that instant.
    #[must_use]
    pub fn holds_at(&self, now: Timestamp) -> bool {
        seconds(now) < self.exp
    }
}

fn seconds(at: Timestamp) -> i64 {
    at.as_micros() / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_seed([3; 32])
    }

    fn keys() -> JwkSet {
        [key().jwk()].into_iter().collect()
    }

    fn claims() -> VerificationClaims {
        VerificationClaims::new(
            &SubjectId::parse("sbj_1").unwrap(),
            &CancellationId::parse("can_1").unwrap(),
            "tok_1",
            Timestamp::from_micros(1_000_000_999_999),
            Duration::from_secs(600),
            "EMAIL_CODE",
        )
    }

    #[test]
    fn a_token_says_what_was_signed() {
        let token = claims().sign(&key());
        assert_eq!(VerificationClaims::verify(&token, &keys()).unwrap(), claims());
        let payload = jws::parse(&token).unwrap().payload;
        assert_eq!(
            String::from_utf8(payload).unwrap(),
            r#"{"iss":"exeunt-identity","sub":"sbj_1","can":"can_1","jti":"tok_1","iat":1000000,"exp":1000600,"level":"SINGLE","factor":"EMAIL_CODE"}"#
        );
    }

    #[test]
    fn a_token_holds_until_the_second_it_expires() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        assert!(claims().holds_at(at(1_000_599)));
        assert!(!claims().holds_at(at(1_000_600)));
    }

    #[test]
    fn what_is_no_token_of_identitys_is_refused() {
        let fault = |token: &str| VerificationClaims::verify(token, &keys()).unwrap_err();
        assert!(matches!(fault(""), TokenError::Signature(_)));
        assert!(matches!(fault(&"a".repeat(5000)), TokenError::TooLong));
        let foreign = claims().sign(&SigningKey::from_seed([4; 32]));
        assert!(matches!(fault(&foreign), TokenError::Signature(JwsError::UnknownKid(_))));
        let receipt = jws::sign(&key(), "receipt+jws", &serde_json::to_vec(&claims()).unwrap());
        assert!(matches!(fault(&receipt), TokenError::Signature(JwsError::Type { .. })));
        assert!(matches!(fault(&jws::sign(&key(), TYPE, b"{}")), TokenError::Claims(_)));
        let other = VerificationClaims { iss: "somebody".into(), ..claims() };
        assert!(matches!(fault(&other.sign(&key())), TokenError::Issuer));
    }
}
