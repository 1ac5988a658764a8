//! Compact signatures over bytes: RFC 7515, RFC 8037. `EdDSA` and nothing else.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::{JwkSet, SIGNATURE_BYTES, SignatureError, SigningKey};

const ALGORITHM: &str = "EdDSA";

/// Text that is no valid signature of ours.
#[derive(Debug, thiserror::Error)]
pub enum JwsError {
    /// Not three parts with dots between.
    #[error("must be three parts with dots between, not {0}")]
    PartCount(usize),
    /// A part is not base64url without padding.
    #[error("{0} is not base64url without padding")]
    Base64(&'static str),
    /// The header is not the JSON of a header.
    #[error("header is not a JWS header")]
    Header(#[source] serde_json::Error),
    /// The header names another algorithm.
    #[error("algorithm must be {ALGORITHM}, not {0:?}")]
    Algorithm(String),
    /// The header demands extensions, of which none are known here.
    #[error("critical header extensions are not known here")]
    Critical,
    /// The header does not say which key signed.
    #[error("header does not name the key")]
    KidMissing,
    /// The key is not one of those given.
    #[error("key {0:?} is not known")]
    UnknownKid(String),
    /// What was signed is of another type.
    #[error("type must be {expected:?}, not {found:?}")]
    Type {
        /// The type asked for.
        expected: String,
        /// The type found; empty when none is said.
        found: String,
    },
    /// The signature does not hold.
    #[error("signature does not hold")]
    Signature(#[from] SignatureError),
}

/// What the protected header says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Always `EdDSA`.
    pub alg: String,
    /// Which key signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// What is signed, so that one kind of document never passes for another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typ: Option<String>,
    // Any content, null too, means that the header has extensions we must refuse.
    #[serde(default, skip_serializing, deserialize_with = "present")]
    crit: bool,
}

fn present<'de, D: serde::Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    serde::de::IgnoredAny::deserialize(value).map(|_| true)
}

/// A document read, its signature not looked at: good for choosing the keys, for nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unverified<'a> {
    /// The header.
    pub header: Header,
    /// The payload.
    pub payload: Vec<u8>,
    /// The bytes that were signed.
    pub signing_input: &'a str,
    /// The signature.
    pub signature: [u8; SIGNATURE_BYTES],
}

/// A document whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The header.
    pub header: Header,
    /// The payload.
    pub payload: Vec<u8>,
}

impl Verified {
    /// The document, if it is of this type.
    ///
    /// # Errors
    /// [`JwsError::Type`] when it is of another.
    pub fn of_type(self, typ: &str) -> Result<Self, JwsError> {
        match self.header.typ.as_deref() {
            Some(found) if found == typ => Ok(self),
            found => Err(JwsError::Type { expected: typ.into(), found: found.unwrap_or_default().into() }),
        }
    }
}

/// Signs the payload: header `{alg, kid, typ}`, payload and signature in base64url, dots between.
#[must_use]
pub fn sign(key: &SigningKey, typ: &str, payload: &[u8]) -> String {
    let header =
        Header { alg: ALGORITHM.into(), kid: Some(key.kid().into()), typ: Some(typ.into()), crit: false };
    let header = serde_json::to_vec(&header).expect("text in a struct always has JSON");
    let mut text = URL_SAFE_NO_PAD.encode(header);
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut text);
    let signature = key.sign(text.as_bytes());
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut text);
    text
}

/// Reads the text without looking at the signature.
///
/// # Errors
/// [`JwsError`] when it does not have the form, or asks for what is not known here.
pub fn parse(text: &str) -> Result<Unverified<'_>, JwsError> {
    let [header, payload, signature] = text
        .split('.')
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|parts: Vec<_>| JwsError::PartCount(parts.len()))?;
    let decode = |part: &str, name| URL_SAFE_NO_PAD.decode(part).map_err(|_| JwsError::Base64(name));
    let parsed: Header = serde_json::from_slice(&decode(header, "header")?).map_err(JwsError::Header)?;
    if parsed.alg != ALGORITHM {
        return Err(JwsError::Algorithm(parsed.alg));
    }
    if parsed.crit {
        return Err(JwsError::Critical);
    }
    Ok(Unverified {
        header: parsed,
        payload: decode(payload, "payload")?,
        signing_input: &text[..header.len() + 1 + payload.len()],
        signature: decode(signature, "signature")?.try_into().map_err(|_| SignatureError::Malformed)?,
    })
}

/// Reads the text and verifies it with the key that its header names.
///
/// # Errors
/// [`JwsError`] when it does not have the form, the key is not known or the signature does not hold.
pub fn verify(text: &str, keys: &JwkSet) -> Result<Verified, JwsError> {
    let Unverified { header, payload, signing_input, signature } = parse(text)?;
    let kid = header.kid.as_deref().ok_or(JwsError::KidMissing)?;
    let key = keys.find(kid).ok_or_else(|| JwsError::UnknownKid(kid.into()))?;
    key.verify(signing_input.as_bytes(), &signature)?;
    Ok(Verified { header, payload })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Jwk;

    fn key() -> SigningKey {
        SigningKey::from_seed([1; 32])
    }

    fn keys() -> JwkSet {
        [key().jwk()].into_iter().collect()
    }

    /// A document with this header and a signature that holds.
    fn with_header(header: &str) -> String {
        let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode("{}"));
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(key().sign(input.as_bytes())))
    }

    #[test]
    fn what_is_signed_verifies_and_says_its_type() {
        let text = sign(&key(), "receipt+jws", b"{\"a\":1}");
        let header = URL_SAFE_NO_PAD.decode(text.split('.').next().unwrap()).unwrap();
        let expected = format!(r#"{{"alg":"EdDSA","kid":"{}","typ":"receipt+jws"}}"#, key().kid());
        assert_eq!(String::from_utf8(header).unwrap(), expected);
        let verified = verify(&text, &keys()).unwrap();
        assert_eq!(verified.payload, b"{\"a\":1}");
        assert!(verified.clone().of_type("receipt+jws").is_ok());
        assert!(matches!(verified.of_type("token+jws"), Err(JwsError::Type { .. })));
    }

    #[test]
    fn rfc_8037_appendix_a_4_parses_and_its_signature_holds() {
        let text = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        let jwk =
            Jwk::parse(r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#)
                .unwrap();
        let parsed = parse(text).unwrap();
        assert_eq!(parsed.payload, b"Example of Ed25519 signing");
        assert_eq!(jwk.public().verify(parsed.signing_input.as_bytes(), &parsed.signature), Ok(()));
        assert!(matches!(verify(text, &[jwk].into_iter().collect()), Err(JwsError::KidMissing)));
    }

    #[test]
    fn any_changed_character_is_noticed() {
        let text = sign(&key(), "t", b"payload");
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(verify(&changed, &keys()).is_err(), "{at}");
        }
    }

    #[test]
    fn every_fault_has_its_name() {
        let fault = |text: &str| verify(text, &keys()).unwrap_err();
        assert!(matches!(fault(""), JwsError::PartCount(1)));
        assert!(matches!(fault("a.b.c.d"), JwsError::PartCount(4)));
        assert!(matches!(fault("=.b.c"), JwsError::Base64("header")));
        assert!(matches!(fault(&with_header("[]")), JwsError::Header(_)));
        assert!(matches!(fault(&with_header(r#"{"alg":"none"}"#)), JwsError::Algorithm(_)));
        assert!(matches!(fault(&with_header(r#"{"alg":"EdDSA","alg":"none"}"#)), JwsError::Header(_)));
        assert!(matches!(fault(&with_header(r#"{"alg":"EdDSA","crit":["b64"]}"#)), JwsError::Critical));
        assert!(matches!(fault(&with_header(r#"{"alg":"EdDSA","crit":null}"#)), JwsError::Critical));
        assert!(matches!(fault(&with_header(r#"{"alg":"EdDSA"}"#)), JwsError::KidMissing));
        assert!(matches!(fault(&with_header(r#"{"alg":"EdDSA","kid":"x"}"#)), JwsError::UnknownKid(_)));
        let other = sign(&SigningKey::from_seed([2; 32]), "t", b"payload");
        assert!(matches!(fault(&other), JwsError::UnknownKid(_)));
        let signature = |replacement: &str| {
            let text = sign(&key(), "t", b"payload");
            format!("{}.{replacement}", text.rsplit_once('.').unwrap().0)
        };
        assert!(matches!(fault(&signature("AA")), JwsError::Signature(SignatureError::Malformed)));
        assert!(matches!(fault(&signature("*")), JwsError::Base64("signature")));
        let zeros = URL_SAFE_NO_PAD.encode([0; 64]);
        assert!(matches!(fault(&signature(&zeros)), JwsError::Signature(SignatureError::Mismatch)));
    }
}
