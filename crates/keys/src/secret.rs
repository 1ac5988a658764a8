//! Symmetric secrets of 32 bytes: the key-encryption key, and keys of keyed hashes.

use std::{fmt, io, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{KeyError, file, random};

const EXPECTED: &str = "32 bytes in base64";

/// The key that wraps the vault's data keys. It stands apart from them: in a file of its own or in
/// the environment.
#[derive(Clone)]
pub struct Kek(Zeroizing<[u8; 32]>);

impl Kek {
    /// Reads the file, 32 bytes in base64, or makes it with a fresh key.
    ///
    /// # Errors
    /// [`KeyError`] when the file cannot be read or made, or holds something else.
    pub fn from_file_or_create(path: &Path) -> Result<Self, KeyError> {
        load_or_create(path).map(Self)
    }

    /// Takes 32 bytes in base64, as `openssl rand -base64 32` prints them. Space around is ignored.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] when the text is something else; it is not repeated in the error.
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        let malformed =
            || KeyError::Malformed { origin: "the key-encryption key".into(), expected: EXPECTED };
        decode(text.as_bytes()).map(Self).ok_or_else(malformed)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Kek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kek(redacted)")
    }
}

/// A secret for keyed hashes, of codes and of whatever must not be guessed from its hash.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// Reads the file, 32 bytes in base64, or makes it with a fresh secret.
    ///
    /// # Errors
    /// [`KeyError`] when the file cannot be read or made, or holds something else.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        load_or_create(path).map(Self)
    }

    /// A secret of these bytes, for tests.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// HMAC-SHA-256 of the label and the parts. Each is preceded by its length, so that no two
    /// different lists of parts are hashed as the same bytes. The label says what the hash is for,
    /// so that one secret serves many purposes.
    #[must_use]
    pub fn hmac(&self, label: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.0.as_slice()).expect("HMAC takes keys of any length");
        for part in std::iter::once(&label.as_bytes()).chain(parts) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// Whether both are the same bytes, in a time that tells only their lengths.
#[must_use]
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

fn load_or_create(path: &Path) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let fresh = Zeroizing::new(random::<32>().map_err(KeyError::Random)?);
    let content = file::read_or_create::<io::Error>(path, || {
        let mut text = Zeroizing::new(STANDARD.encode(fresh.as_slice()).into_bytes());
        text.push(b'\n');
        Ok(text)
    })
    .map_err(|source| KeyError::Io { path: path.into(), source })?;
    decode(&content)
        .ok_or_else(|| KeyError::Malformed { origin: path.display().to_string(), expected: EXPECTED })
}

fn decode(text: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let bytes = Zeroizing::new(STANDARD.decode(text.trim_ascii()).ok()?);
    let bytes: [u8; 32] = bytes.as_slice().try_into().ok()?;
    Some(Zeroizing::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_the_same_after_a_restart() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("secret");
        let first = Secret::load_or_create(&path).unwrap().hmac("code", &[b"1"]);
        assert_eq!(Secret::load_or_create(&path).unwrap().hmac("code", &[b"1"]), first);
    }

    #[test]
    fn parts_that_run_together_alike_are_hashed_apart() {
        let secret = Secret::from_bytes([7; 32]);
        assert_ne!(secret.hmac("l", &[b"ab", b"c"]), secret.hmac("l", &[b"a", b"bc"]));
        assert_ne!(secret.hmac("l", &[b"ab"]), secret.hmac("la", &[b"b"]));
        assert_ne!(secret.hmac("l", &[]), secret.hmac("l", &[b""]));
    }

    #[test]
    fn a_key_encryption_key_is_32_bytes_in_base64() {
        assert!(Kek::from_base64("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n").is_ok());
        for wrong in ["", "AAAA", "not base64"] {
            assert!(matches!(Kek::from_base64(wrong), Err(KeyError::Malformed { .. })), "{wrong}");
        }
    }

    #[test]
    fn a_file_of_something_else_is_named_and_kept() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("kek");
        std::fs::write(&path, "hello").unwrap();
        let error = Kek::from_file_or_create(&path).unwrap_err();
        assert!(error.to_string().contains("kek"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"hello");
    }

    #[test]
    fn secrets_do_not_print() {
        assert_eq!(format!("{:?}", Secret::from_bytes([1; 32])), "Secret(redacted)");
    }

    #[test]
    fn equality_is_of_all_bytes() {
        assert!(constant_time_eq(b"123456", b"123456"));
        assert!(!constant_time_eq(b"123456", b"123457"));
        assert!(!constant_time_eq(b"123456", b"12345"));
    }
}
