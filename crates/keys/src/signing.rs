//! Ed25519: signing keys and the public keys that verify.

use std::{fmt, io, path::Path};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{
    Signature, Signer, VerifyingKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes, spki::der::pem::LineEnding},
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{Jwk, KeyError, file, random};

/// Length of a signature in bytes.
pub const SIGNATURE_BYTES: usize = 64;

/// A signature that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It does not have the form of an Ed25519 signature.
    #[error("signature is malformed")]
    Malformed,
    /// This key did not sign these bytes.
    #[error("signature does not match")]
    Mismatch,
}

/// A key that signs.
#[derive(Clone)]
pub struct SigningKey {
    // Erases itself when it is dropped.
    key: ed25519_dalek::SigningKey,
    kid: String,
}

impl SigningKey {
    /// Reads the key from a PKCS#8 PEM file, or makes the file with a fresh key. Processes that race
    /// end with the same key. Keys of `openssl genpkey -algorithm ed25519` are read too.
    ///
    /// # Errors
    /// [`KeyError`] when the file cannot be read or made, or holds something else.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        let fresh = Self::generate()?;
        let content = file::read_or_create::<io::Error>(path, || {
            Ok(Zeroizing::new(fresh.to_pem().map_err(io::Error::other)?.as_bytes().to_vec()))
        })
        .map_err(|source| KeyError::Io { path: path.into(), source })?;
        std::str::from_utf8(&content)
            .ok()
            .and_then(|pem| ed25519_dalek::SigningKey::from_pkcs8_pem(pem.trim()).ok())
            .map(Self::new)
            .ok_or_else(|| KeyError::Malformed {
                origin: path.display().to_string(),
                expected: "an Ed25519 private key in PKCS#8 PEM",
            })
    }

    /// A fresh key.
    ///
    /// # Errors
    /// [`KeyError::Random`] when the system gives no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let seed = Zeroizing::new(random::<32>().map_err(KeyError::Random)?);
        Ok(Self::new(ed25519_dalek::SigningKey::from_bytes(&seed)))
    }

    /// The key that this seed gives, for tests.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self::new(ed25519_dalek::SigningKey::from_bytes(&seed))
    }

    /// The key's id: the RFC 7638 thumbprint of its public half, 43 characters of base64url.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Signs the message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.key.sign(message).to_bytes()
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.key.verifying_key())
    }

    /// The public half as a JWK under [`Self::kid`].
    #[must_use]
    pub fn jwk(&self) -> Jwk {
        Jwk::new(self.public())
    }

    fn new(key: ed25519_dalek::SigningKey) -> Self {
        let kid = PublicKey(key.verifying_key()).thumbprint();
        Self { key, kid }
    }

    /// Version 1 of PKCS#8, without the public half: every reader takes it, version 2 not every one.
    fn to_pem(&self) -> Result<Zeroizing<String>, ed25519_dalek::pkcs8::Error> {
        KeypairBytes { secret_key: self.key.to_bytes(), public_key: None }.to_pkcs8_pem(LineEnding::LF)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// A key that verifies. Never one of the few weak points for which any signature can be made up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Takes the 32 bytes of RFC 8032; `None` when they are no key, or a weak one.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        VerifyingKey::from_bytes(bytes).ok().filter(|key| !key.is_weak()).map(Self)
    }

    /// The 32 bytes of RFC 8032.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The key's RFC 7638 thumbprint with SHA-256, 43 characters of base64url.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(self.as_bytes());
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        URL_SAFE_NO_PAD.encode(Sha256::digest(canonical))
    }

    /// Whether the holder of this key signed this message, by the strict rule, on which every
    /// verifier agrees.
    ///
    /// # Errors
    /// [`SignatureError`] when the signature has no signature's form, or does not match.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let signature = Signature::from_slice(signature).map_err(|_| SignatureError::Malformed)?;
        self.0.verify_strict(message, &signature).map_err(|_| SignatureError::Mismatch)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.thumbprint())
    }
}

/// Verifies many signatures, each a key, a message and a signature; one result for each, in order.
/// Together they cost about a third of one by one; if one does not hold, all are done one by one.
///
/// Nobody without the key passes. But the holder of a key can craft a signature on which this and
/// [`PublicKey::verify`] disagree, so what others must be able to verify for ever goes through
/// [`PublicKey::verify`].
#[must_use]
pub fn verify_batch(batch: &[(&PublicKey, &[u8], &[u8])]) -> Vec<Result<(), SignatureError>> {
    if batch.len() > 1 && verify_together(batch) {
        return vec![Ok(()); batch.len()];
    }
    batch.iter().map(|(key, message, signature)| key.verify(message, signature)).collect()
}

fn verify_together(batch: &[(&PublicKey, &[u8], &[u8])]) -> bool {
    let signatures: Result<Vec<_>, _> =
        batch.iter().map(|(_, _, signature)| Signature::from_slice(signature)).collect();
    let Ok(signatures) = signatures else { return false };
    let messages: Vec<_> = batch.iter().map(|(_, message, _)| *message).collect();
    let keys: Vec<_> = batch.iter().map(|(key, _, _)| key.0).collect();
    ed25519_dalek::verify_batch(&messages, &signatures, &keys).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8037 appendix A.1.
    fn rfc8037() -> SigningKey {
        let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
        SigningKey::from_seed(seed.try_into().unwrap())
    }

    #[test]
    fn rfc_8037_gives_this_public_key_and_thumbprint() {
        let key = rfc8037();
        assert_eq!(
            URL_SAFE_NO_PAD.encode(key.public().as_bytes()),
            "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
        );
        assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn rfc_8037_gives_this_signature() {
        let key = rfc8037();
        let input = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature = key.sign(input);
        assert_eq!(
            URL_SAFE_NO_PAD.encode(signature),
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
        );
        assert_eq!(key.public().verify(input, &signature), Ok(()));
        assert_eq!(key.public().verify(b"other", &signature), Err(SignatureError::Mismatch));
        assert_eq!(key.public().verify(input, &signature[1..]), Err(SignatureError::Malformed));
    }

    #[test]
    fn a_key_is_the_same_after_a_restart() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("keys/signing.pem");
        let first = SigningKey::load_or_create(&path).unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("-----BEGIN PRIVATE KEY-----\n"));
        assert_eq!(SigningKey::load_or_create(&path).unwrap().kid(), first.kid());
    }

    #[test]
    fn a_key_that_openssl_made_is_read() {
        // The private key of RFC 8410, section 10.3.
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("key.pem");
        let pem = "-----BEGIN PRIVATE KEY-----\n\
                   MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                   -----END PRIVATE KEY-----\n";
        std::fs::write(&path, pem).unwrap();
        let key = SigningKey::load_or_create(&path).unwrap();
        assert_eq!(
            URL_SAFE_NO_PAD.encode(key.public().as_bytes()),
            "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE"
        );
    }

    #[test]
    fn a_file_of_something_else_is_refused_and_kept() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("key.pem");
        std::fs::write(&path, "hello").unwrap();
        assert!(matches!(SigningKey::load_or_create(&path), Err(KeyError::Malformed { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"hello");
    }

    #[test]
    fn a_batch_says_which_one_does_not_hold() {
        let keys: Vec<_> = (0..4).map(|seed| SigningKey::from_seed([seed; 32])).collect();
        let public: Vec<_> = keys.iter().map(SigningKey::public).collect();
        let messages: Vec<_> = (0..4_u8).map(|n| [n; 100]).collect();
        let mut signatures: Vec<_> =
            keys.iter().zip(&messages).map(|(key, message)| key.sign(message).to_vec()).collect();
        let batch = |signatures: &[Vec<u8>]| {
            let rows: Vec<_> = (0..4).map(|n| (&public[n], &messages[n][..], &signatures[n][..])).collect();
            verify_batch(&rows)
        };
        assert_eq!(batch(&signatures), vec![Ok(()); 4]);
        signatures[1][0] ^= 1;
        signatures[3].pop();
        assert_eq!(
            batch(&signatures),
            [Ok(()), Err(SignatureError::Mismatch), Ok(()), Err(SignatureError::Malformed)]
        );
        assert!(verify_batch(&[]).is_empty());
    }

    #[test]
    fn a_weak_key_is_no_key() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(PublicKey::from_bytes(&identity), None);
    }

    #[test]
    fn a_signing_key_prints_only_its_id() {
        let printed = format!("{:?}", rfc8037());
        assert_eq!(printed, r#"SigningKey { kid: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", .. }"#);
    }
}
