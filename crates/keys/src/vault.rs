//! Sealed personal fields: a key per owner, and erasure by destroying it.
//!
//! Each owner's data key stands in a file of its own, wrapped by the key-encryption key:
//! `<dir>/<2 hex>/<owner>.key`. Destroying leaves a tombstone beside it, `<owner>.gone`, so that no
//! later write brings the owner back. The directory is the only place to look after: nothing else
//! can open what is sealed, whatever copies of it there are.

use std::{
    collections::{BTreeSet, HashMap},
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{Kek, Secret, file, random};

/// How many unwrapped keys are kept in memory.
const CACHED_KEYS_MAX: usize = 4096;
/// The first byte of everything sealed, for the day the form changes.
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;

/// Why a field was not sealed or not opened.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The owner's key was destroyed; nothing of this owner opens again.
    #[error("the owner's key was destroyed")]
    Destroyed,
    /// Nothing was ever sealed for this owner.
    #[error("the owner has no key")]
    Unknown,
    /// The sealed bytes were changed, or belong to another owner or field.
    #[error("the sealed bytes are not what was sealed for this owner and field")]
    Tampered,
    /// The owner is not an id, so no file can be named by it.
    #[error("the owner must be an id")]
    Owner,
    /// The key-encryption key is not the one this vault was made with, or the file was changed.
    #[error("the key-encryption key does not open {}", path.display())]
    Kek {
        /// The file that did not open.
        path: PathBuf,
    },
    /// The vault's directory could not be read or written.
    #[error("vault file {} could not be read or written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system gave no randomness.
    #[error("no randomness to be had from the system")]
    Random(#[source] getrandom::Error),
}

type DataKey = Arc<Zeroizing<[u8; 32]>>;

/// Seals and opens personal fields. Several processes may share the directory.
///
/// The first seal for an owner and [`Vault::destroy`] wait for the disk.
pub struct Vault {
    directory: PathBuf,
    kek: Kek,
    cache: Mutex<HashMap<String, DataKey>>,
}

impl Vault {
    /// Opens the vault in this directory, or makes it.
    ///
    /// # Errors
    /// [`VaultError::Kek`] when the vault was made with another key-encryption key,
    /// [`VaultError::Io`] when the directory cannot be used.
    pub fn open(directory: &Path, kek: Kek) -> Result<Self, VaultError> {
        let vault = Self { directory: directory.into(), kek, cache: Mutex::default() };
        // Opened now, a wrong key is found at the start and not by the first owner that needs it.
        let path = directory.join("kek.check");
        let content = match file::read(&path).map_err(io_at(&path))? {
            Some(content) => content,
            None => {
                file::create(&path, &vault.wrap(CHECK, &[0; 32])?).map_err(io_at(&path))?;
                file::read(&path).map_err(io_at(&path))?.unwrap_or_default()
            }
        };
        vault.unwrap(CHECK, &content, &path)?;
        Ok(vault)
    }

    /// Seals a field of this owner: a version byte, a nonce of 24 bytes, the ciphertext. Makes the
    /// owner's key if there is none yet.
    ///
    /// # Errors
    /// [`VaultError::Destroyed`] when the owner's key was destroyed, [`VaultError::Owner`] when the
    /// owner is not an id, and what the disk and the key-encryption key give.
    pub fn seal(&self, owner: &str, field: &str, plaintext: &[u8]) -> Result<Vec<u8>, VaultError> {
        let key = match self.key(owner) {
            Err(VaultError::Unknown) => self.create_key(owner)?,
            key => key?,
        };
        encrypt(&key, &associated(owner, field), plaintext)
    }

    /// Opens what [`Vault::seal`] gave for this owner and field.
    ///
    /// # Errors
    /// [`VaultError::Destroyed`] or [`VaultError::Unknown`] when there is no key,
    /// [`VaultError::Tampered`] when the bytes are not those, and what the disk gives.
    pub fn open_sealed(&self, owner: &str, field: &str, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        let key = self.key(owner)?;
        decrypt(&key, &associated(owner, field), sealed).ok_or(VaultError::Tampered)
    }

    /// HMAC-SHA-256 of a value under this owner's key, bound to the field: what the destroyed key leaves of it
    /// tells nothing of the value. Makes the owner's key if there is none yet.
    ///
    /// # Errors
    /// As [`Vault::seal`].
    pub fn hash(&self, owner: &str, field: &str, value: &[u8]) -> Result<[u8; 32], VaultError> {
        let key = match self.key(owner) {
            Err(VaultError::Unknown) => self.create_key(owner)?,
            key => key?,
        };
        Ok(keyed_hash(&key, &associated(owner, field), value))
    }

    /// The same where the owner has a key; `None` where there is none, or none any more.
    ///
    /// # Errors
    /// [`VaultError::Owner`], and what the disk and the key-encryption key give.
    pub fn known_hash(&self, owner: &str, field: &str, value: &[u8]) -> Result<Option<[u8; 32]>, VaultError> {
        match self.key(owner) {
            Ok(key) => Ok(Some(keyed_hash(&key, &associated(owner, field), value))),
            Err(VaultError::Unknown | VaultError::Destroyed) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Destroys the owner's key, for ever: nothing sealed for this owner opens again, and nothing
    /// more can be sealed. Repeating it changes nothing.
    ///
    /// # Errors
    /// [`VaultError::Owner`] when the owner is not an id, [`VaultError::Io`] when the disk refuses;
    /// then it must be repeated.
    pub fn destroy(&self, owner: &str) -> Result<(), VaultError> {
        self.destroy_all([owner])
    }

    /// Destroys the keys of these owners as [`Vault::destroy`] does, waiting for the disk once for each
    /// directory that they stand in. A power failure before it returns may leave any of them standing,
    /// destroyed, or gone without a tombstone, which is why it must be repeated then.
    ///
    /// # Errors
    /// As [`Vault::destroy`]; the others may be destroyed or not.
    pub fn destroy_all<'o>(&self, owners: impl IntoIterator<Item = &'o str>) -> Result<(), VaultError> {
        let mut shelves = BTreeSet::new();
        for owner in owners {
            let Paths { key, gone } = self.paths(owner)?;
            // The tombstone first: from then on the key counts as destroyed, whatever happens here.
            file::mark(&gone).map_err(io_at(&gone))?;
            file::unlink(&key).map_err(io_at(&key))?;
            self.cache().remove(owner);
            shelves.insert(file::parent(&gone).to_owned());
        }
        shelves.iter().try_for_each(|shelf| file::sync_directory(shelf).map_err(io_at(shelf)))
    }

    /// Destroys the keys of those of these owners that have one, or had: whoever has none has nothing sealed,
    /// and costs no write.
    ///
    /// # Errors
    /// As [`Vault::destroy_all`].
    pub fn destroy_known<'o>(&self, owners: impl IntoIterator<Item = &'o str>) -> Result<(), VaultError> {
        let mut known = Vec::new();
        for owner in owners {
            let Paths { key, gone } = self.paths(owner)?;
            // One that is being destroyed is seen by its tombstone, which may not be on the disk yet.
            if key.try_exists().map_err(io_at(&key))? || gone.try_exists().map_err(io_at(&gone))? {
                known.push(owner);
            }
        }
        self.destroy_all(known)
    }

    /// The owner's key, from memory or its file.
    fn key(&self, owner: &str) -> Result<DataKey, VaultError> {
        let Paths { key: path, gone } = self.paths(owner)?;
        // Asked every time, so that what another process destroyed does not open from our memory.
        if gone.try_exists().map_err(io_at(&gone))? {
            self.cache().remove(owner);
            return Err(VaultError::Destroyed);
        }
        if let Some(key) = self.cache().get(owner) {
            return Ok(key.clone());
        }
        let content = file::read(&path).map_err(io_at(&path))?.ok_or(VaultError::Unknown)?;
        let key = Arc::new(self.unwrap(owner, &content, &path)?);
        let mut cache = self.cache();
        if cache.len() >= CACHED_KEYS_MAX {
            // Filling it again costs one small read per owner; keeping an order would cost more.
            cache.clear();
        }
        cache.insert(owner.to_owned(), key.clone());
        Ok(key)
    }

    fn create_key(&self, owner: &str) -> Result<DataKey, VaultError> {
        let Paths { key: path, gone } = self.paths(owner)?;
        let fresh = Zeroizing::new(random::<32>().map_err(VaultError::Random)?);
        file::create(&path, &self.wrap(owner, fresh.as_slice())?).map_err(io_at(&path))?;
        // Destroyed between our look and our write: the tombstone counts, the key must not stay.
        if gone.try_exists().map_err(io_at(&gone))? {
            file::remove(&path).map_err(io_at(&path))?;
            return Err(VaultError::Destroyed);
        }
        self.key(owner)
    }

    fn wrap(&self, owner: &str, key: &[u8]) -> Result<Vec<u8>, VaultError> {
        encrypt(self.kek.as_bytes(), owner.as_bytes(), key)
    }

    fn unwrap(&self, owner: &str, wrapped: &[u8], path: &Path) -> Result<Zeroizing<[u8; 32]>, VaultError> {
        decrypt(self.kek.as_bytes(), owner.as_bytes(), wrapped)
            .map(Zeroizing::new)
            .and_then(|key| <[u8; 32]>::try_from(key.as_slice()).ok())
            .map(Zeroizing::new)
            .ok_or_else(|| VaultError::Kek { path: path.into() })
    }

    fn paths(&self, owner: &str) -> Result<Paths, VaultError> {
        if !types::is_opaque_id(owner) {
            return Err(VaultError::Owner);
        }
        let shelf = self.directory.join(format!("{:02x}", Sha256::digest(owner)[0]));
        Ok(Paths { key: shelf.join(format!("{owner}.key")), gone: shelf.join(format!("{owner}.gone")) })
    }

    fn cache(&self) -> MutexGuard<'_, HashMap<String, DataKey>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// What the check file's key is bound to; no owner can have this name.
const CHECK: &str = "kek.check";

struct Paths {
    key: PathBuf,
    gone: PathBuf,
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> VaultError {
    |source| VaultError::Io { path: path.into(), source }
}

/// An id has no zero byte, so that owner and field cannot run into each other.
fn associated(owner: &str, field: &str) -> Vec<u8> {
    [owner.as_bytes(), &[0], field.as_bytes()].concat()
}

/// Another use of the key than sealing, so under a label of its own.
fn keyed_hash(key: &DataKey, associated: &[u8], value: &[u8]) -> [u8; 32] {
    Secret::from_bytes(***key).hmac("exeunt vault", &[associated, value])
}

fn encrypt(key: &[u8; 32], associated: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, VaultError> {
    let nonce = random::<NONCE_BYTES>().map_err(VaultError::Random)?;
    let ciphertext = XChaCha20Poly1305::new(key.into())
        .encrypt(&XNonce::from(nonce), Payload { msg: plaintext, aad: associated })
        .expect("only 256 GiB are too long to be sealed");
    Ok([&[VERSION], nonce.as_slice(), &ciphertext].concat())
}

fn decrypt(key: &[u8; 32], associated: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (version, rest) = sealed.split_first()?;
    let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_BYTES>()?;
    if *version != VERSION {
        return None;
    }
    XChaCha20Poly1305::new(key.into())
        .decrypt(&XNonce::from(*nonce), Payload { msg: ciphertext, aad: associated })
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER_KEK: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    fn open(home: &tempfile::TempDir) -> Vault {
        let kek = Kek::from_file_or_create(&home.path().join("kek")).unwrap();
        Vault::open(&home.path().join("vault"), kek).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_after_a_restart() {
        let home = tempfile::tempdir().unwrap();
        let sealed = open(&home).seal("sbj_1", "email", b"user@example.com").unwrap();
        assert!(!sealed.windows(4).any(|window| window == b"user"));
        assert_eq!(open(&home).open_sealed("sbj_1", "email", &sealed).unwrap(), b"user@example.com");
    }

    #[test]
    fn a_hash_is_the_same_for_one_owner_and_field_and_gone_with_the_key() {
        let home = tempfile::tempdir().unwrap();
        let vault = open(&home);
        assert_eq!(vault.known_hash("week-1", "sms", b"x").unwrap(), None);
        let hash = vault.hash("week-1", "sms", b"x").unwrap();
        assert_eq!(open(&home).known_hash("week-1", "sms", b"x").unwrap(), Some(hash));
        for (owner, field, value) in
            [("week-2", "sms", "x"), ("week-1", "email", "x"), ("week-1", "sms", "y")]
        {
            assert_ne!(vault.hash(owner, field, value.as_bytes()).unwrap(), hash);
        }
        vault.destroy("week-1").unwrap();
        assert_eq!(vault.known_hash("week-1", "sms", b"x").unwrap(), None);
        assert!(matches!(vault.hash("week-1", "sms", b"x"), Err(VaultError::Destroyed)));
    }

    #[test]
    fn the_same_text_is_never_sealed_alike() {
        let home = tempfile::tempdir().unwrap();
        let vault = open(&home);
        assert_ne!(vault.seal("sbj_1", "f", b"x").unwrap(), vault.seal("sbj_1", "f", b"x").unwrap());
    }

    #[test]
    fn another_owner_another_field_and_changed_bytes_do_not_open() {
        let home = tempfile::tempdir().unwrap();
        let vault = open(&home);
        let sealed = vault.seal("sbj_1", "email", b"user@example.com").unwrap();
        vault.seal("sbj_2", "email", b"x").unwrap();
        let fault = |owner: &str, field: &str, sealed: &[u8]| {
            vault.open_sealed(owner, field, sealed).expect_err("must not open")
        };
        assert!(matches!(fault("sbj_2", "email", &sealed), VaultError::Tampered));
        assert!(matches!(fault("sbj_1", "sms", &sealed), VaultError::Tampered));
        assert!(matches!(fault("sbj_3", "email", &sealed), VaultError::Unknown));
        assert!(matches!(fault("../sbj_1", "email", &sealed), VaultError::Owner));
        assert!(matches!(fault("sbj_1", "email", &[]), VaultError::Tampered));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(matches!(fault("sbj_1", "email", &changed), VaultError::Tampered), "{at}");
        }
    }

    #[test]
    fn destroying_is_for_ever_and_may_repeat() {
        let home = tempfile::tempdir().unwrap();
        let vault = open(&home);
        // A second process that has the key in its memory.
        let other = open(&home);
        let sealed = vault.seal("sbj_1", "email", b"user@example.com").unwrap();
        other.open_sealed("sbj_1", "email", &sealed).unwrap();
        vault.destroy("sbj_1").unwrap();
        vault.destroy("sbj_1").unwrap();
        for vault in [&vault, &other, &open(&home)] {
            let opened = vault.open_sealed("sbj_1", "email", &sealed);
            assert!(matches!(opened, Err(VaultError::Destroyed)));
            assert!(matches!(vault.seal("sbj_1", "email", b"x"), Err(VaultError::Destroyed)));
        }
        let shelf = vault.paths("sbj_1").unwrap().key;
        assert!(!shelf.exists());
    }

    #[test]
    fn an_owner_never_seen_can_be_destroyed_beforehand() {
        let home = tempfile::tempdir().unwrap();
        let vault = open(&home);
        vault.destroy("sbj_1").unwrap();
        assert!(matches!(vault.seal("sbj_1", "email", b"x"), Err(VaultError::Destroyed)));
    }

    #[test]
    fn many_are_destroyed_at_once_and_again() {
        let home = tempfile::tempdir().unwrap();
        let vault = open(&home);
        let sealed = vault.seal("sbj_1", "email", b"x").unwrap();
        vault.seal("sbj_3", "email", b"x").unwrap();
        for _ in 0..2 {
            vault.destroy_all(["sbj_1", "sbj_2"]).unwrap();
            assert!(matches!(vault.open_sealed("sbj_1", "email", &sealed), Err(VaultError::Destroyed)));
            assert!(matches!(open(&home).seal("sbj_2", "email", b"x"), Err(VaultError::Destroyed)));
        }
        vault.seal("sbj_3", "phone", b"x").unwrap();
        assert!(matches!(vault.destroy_all(["sbj_3", "../x"]), Err(VaultError::Owner)));
    }

    #[test]
    fn of_many_those_that_have_a_key_are_destroyed_and_the_others_cost_no_file() {
        let home = tempfile::tempdir().unwrap();
        let vault = open(&home);
        let sealed = vault.seal("sbj_1", "email", b"x").unwrap();
        for _ in 0..2 {
            vault.destroy_known(["sbj_1", "sbj_2"]).unwrap();
            assert!(matches!(vault.open_sealed("sbj_1", "email", &sealed), Err(VaultError::Destroyed)));
            assert!(!vault.paths("sbj_2").unwrap().gone.exists());
        }
        // A key that is there again, out of an older copy, goes again.
        let Paths { key, gone } = vault.paths("sbj_1").unwrap();
        std::fs::remove_file(gone).unwrap();
        vault.seal("sbj_1", "email", b"x").unwrap();
        vault.destroy_known(["sbj_1"]).unwrap();
        assert!(!key.exists());
    }

    #[test]
    fn the_wrong_key_encryption_key_is_found_at_the_start() {
        let home = tempfile::tempdir().unwrap();
        open(&home).seal("sbj_1", "email", b"x").unwrap();
        let other = Kek::from_base64(OTHER_KEK).unwrap();
        assert!(matches!(Vault::open(&home.path().join("vault"), other), Err(VaultError::Kek { .. })));
    }

    #[test]
    fn two_that_seal_for_a_new_owner_at_once_use_one_key() {
        let home = tempfile::tempdir().unwrap();
        open(&home);
        let sealed: Vec<Vec<u8>> = std::thread::scope(|scope| {
            let racers: Vec<_> =
                (0..8).map(|_| scope.spawn(|| open(&home).seal("sbj_1", "f", b"x").unwrap())).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        let vault = open(&home);
        for sealed in sealed {
            assert_eq!(vault.open_sealed("sbj_1", "f", &sealed).unwrap(), b"x");
        }
    }
}
