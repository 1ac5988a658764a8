//! Public keys as JSON: RFC 7517, RFC 8037.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::PublicKey;

/// JSON that is no public key of ours.
#[derive(Debug, thiserror::Error)]
pub enum JwkError {
    /// It is not JSON, or lacks a member, or has one of the wrong type.
    #[error("not a JSON Web Key")]
    Json(#[from] serde_json::Error),
    /// It is a key of another kind.
    #[error("{member} must be {expected}")]
    Kind {
        /// Which member says so.
        member: &'static str,
        /// What it must say.
        expected: &'static str,
    },
    /// `x` is not the base64url of a public key.
    #[error("x must be the base64url of an Ed25519 public key")]
    Key,
    /// `d` is there: whoever wrote this gave the private key away.
    #[error("d is there: this is a private key, which must be replaced and never shown")]
    Private,
}

/// An Ed25519 public key and the id it goes by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub struct Jwk {
    kid: String,
    public: PublicKey,
    owner: Option<String>,
}

impl Jwk {
    /// The key under its thumbprint.
    #[must_use]
    pub fn new(public: PublicKey) -> Self {
        Self { kid: public.thumbprint(), public, owner: None }
    }

    /// The same key, said to be somebody's.
    #[must_use]
    pub fn owned_by(self, owner: &str) -> Self {
        Self { owner: Some(owner.into()), ..self }
    }

    /// Whose it is, where that is said: the private member `exeunt_owner`. It is as good as where
    /// the key was got from.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// Reads one key. One without `kid` goes by its thumbprint.
    ///
    /// # Errors
    /// [`JwkError`] when the text is no public Ed25519 key for signatures.
    pub fn parse(json: &str) -> Result<Self, JwkError> {
        serde_json::from_str::<Raw>(json)?.try_into()
    }

    /// The id it goes by.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The key.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// As JSON on one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("text in a struct always has JSON")
    }
}

/// Public keys, as `/.well-known/jwks.json` shows them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "RawSet")]
pub struct JwkSet {
    /// The keys; of two under one id the first counts.
    pub keys: Vec<Jwk>,
}

impl JwkSet {
    /// Reads a set. Keys of other kinds are passed over, as RFC 7517 section 5 asks.
    ///
    /// # Errors
    /// [`JwkError`] when the text is no set, or an Ed25519 key in it is malformed.
    pub fn parse(json: &str) -> Result<Self, JwkError> {
        serde_json::from_str::<RawSet>(json)?.try_into()
    }

    /// The key that goes by this id.
    #[must_use]
    pub fn find(&self, kid: &str) -> Option<&PublicKey> {
        self.keys.iter().find(|jwk| jwk.kid == kid).map(|jwk| &jwk.public)
    }

    /// The keys of that owner.
    #[must_use]
    pub fn of(&self, owner: &str) -> Self {
        self.keys.iter().filter(|jwk| jwk.owner() == Some(owner)).cloned().collect()
    }

    /// As JSON on one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("text in a struct always has JSON")
    }
}

impl FromIterator<Jwk> for JwkSet {
    fn from_iter<I: IntoIterator<Item = Jwk>>(keys: I) -> Self {
        Self { keys: keys.into_iter().collect() }
    }
}

/// The members as they are written.
#[derive(Serialize, Deserialize)]
struct Raw {
    kty: String,
    crv: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    x: String,
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    usage: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alg: Option<String>,
    #[serde(rename = "exeunt_owner", skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(default, skip_serializing)]
    d: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct RawSet {
    keys: Vec<serde_json::Value>,
}

impl TryFrom<Raw> for Jwk {
    type Error = JwkError;

    fn try_from(raw: Raw) -> Result<Self, JwkError> {
        if raw.d.is_some() {
            return Err(JwkError::Private);
        }
        let says = |value: Option<&str>, allowed: &[&str]| value.is_none_or(|value| allowed.contains(&value));
        let kind = |member, expected| Err(JwkError::Kind { member, expected });
        if raw.kty != "OKP" {
            return kind("kty", "OKP");
        }
        if raw.crv != "Ed25519" {
            return kind("crv", "Ed25519");
        }
        if !says(raw.usage.as_deref(), &["sig"]) {
            return kind("use", "sig");
        }
        // RFC 9864 gives the algorithm a second name.
        if !says(raw.alg.as_deref(), &["EdDSA", "Ed25519"]) {
            return kind("alg", "EdDSA");
        }
        let bytes = URL_SAFE_NO_PAD.decode(&raw.x).map_err(|_| JwkError::Key)?;
        let bytes = <[u8; 32]>::try_from(bytes).map_err(|_| JwkError::Key)?;
        let public = PublicKey::from_bytes(&bytes).ok_or(JwkError::Key)?;
        Ok(Self { kid: raw.kid.unwrap_or_else(|| public.thumbprint()), public, owner: raw.owner })
    }
}

impl From<Jwk> for Raw {
    fn from(jwk: Jwk) -> Self {
        Self {
            kty: "OKP".into(),
            crv: "Ed25519".into(),
            kid: Some(jwk.kid),
            x: URL_SAFE_NO_PAD.encode(jwk.public.as_bytes()),
            usage: Some("sig".into()),
            alg: Some("EdDSA".into()),
            owner: jwk.owner,
            d: None,
        }
    }
}

impl TryFrom<RawSet> for JwkSet {
    type Error = JwkError;

    fn try_from(raw: RawSet) -> Result<Self, JwkError> {
        let ours = |key: &serde_json::Value| {
            key["kty"] == "OKP" && key["crv"] == "Ed25519" && (key["use"].is_null() || key["use"] == "sig")
        };
        raw.keys.into_iter().filter(ours).map(|key| serde_json::from_value::<Raw>(key)?.try_into()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SigningKey;

    /// RFC 8037 appendix A.2.
    const RFC8037: &str =
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    #[test]
    fn a_set_tells_whose_keys_are_whose() {
        let key = |seed| SigningKey::from_seed([seed; 32]).jwk();
        let set: JwkSet =
            [key(1), key(2).owned_by("wallet"), key(2).owned_by("payscore")].into_iter().collect();
        let set = JwkSet::parse(&set.to_json()).unwrap();
        assert_eq!(set.of("wallet").keys, [key(2).owned_by("wallet")]);
        assert!(set.of("wallet").find(key(1).kid()).is_none());
        assert_eq!(set.of("nobody"), JwkSet::default());
    }

    #[test]
    fn a_key_without_id_goes_by_its_thumbprint() {
        let jwk = Jwk::parse(RFC8037).unwrap();
        assert_eq!(jwk.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert_eq!(
            jwk.to_json(),
            r#"{"kty":"OKP","crv":"Ed25519","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","use":"sig","alg":"EdDSA"}"#
        );
        assert_eq!(Jwk::parse(&jwk.to_json()).unwrap(), jwk);
    }

    #[test]
    fn a_set_passes_over_keys_of_other_kinds() {
        let own = SigningKey::from_seed([1; 32]);
        let json = format!(
            r#"{{"keys":[{{"kty":"RSA","n":"AQAB","e":"AQAB"}},{{"kty":"OKP","crv":"X25519","x":"AA"}},{}]}}"#,
            own.jwk().to_json()
        );
        let set = JwkSet::parse(&json).unwrap();
        assert_eq!(set.keys.len(), 1);
        assert_eq!(set.find(own.kid()), Some(&own.public()));
        assert_eq!(set.find("other"), None);
        assert_eq!(JwkSet::parse(&set.to_json()).unwrap(), set);
    }

    #[test]
    fn what_is_no_public_signature_key_is_refused() {
        let refused = |from: &str, to: &str| Jwk::parse(&RFC8037.replace(from, to)).unwrap_err();
        assert!(matches!(refused("OKP", "EC"), JwkError::Kind { member: "kty", .. }));
        assert!(matches!(refused("Ed25519", "Ed448"), JwkError::Kind { member: "crv", .. }));
        assert!(matches!(refused("{", r#"{"use":"enc","#), JwkError::Kind { member: "use", .. }));
        assert!(matches!(refused("{", r#"{"alg":"RS256","#), JwkError::Kind { member: "alg", .. }));
        assert!(matches!(refused("{", r#"{"d":"AA","#), JwkError::Private));
        assert!(matches!(refused("11qY", "!"), JwkError::Key));
        assert!(matches!(refused("11qY", ""), JwkError::Key));
        assert!(matches!(refused("{", "["), JwkError::Json(_)));
    }
}
