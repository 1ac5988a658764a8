//! The keys of this process: made at first start, kept where the replicas of a service find them.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use keys::{Jwk, JwkSet, Kek, KeyError, Secret, SigningKey, Vault};

use super::StartError;

/// Public keys that sign no more but stay good for what they signed, for whoever replaces a key.
const RETIRED: &str = "retired.json";

/// Where keys and vaults stand.
pub(super) struct Keyring {
    keys: PathBuf,
    vaults: PathBuf,
    kek: Kek,
}

impl Keyring {
    pub(super) fn new(shared_dir: &Path, kek: Kek) -> Self {
        Self { keys: shared_dir.join("keys"), vaults: shared_dir.join("vault"), kek }
    }

    /// `keys/<name>.key`: what signs receipts, tokens, or a participant's acknowledgements.
    pub(super) fn signing(&self, name: &str) -> Result<Arc<SigningKey>, KeyError> {
        SigningKey::load_or_create(&self.keys.join(format!("{name}.key"))).map(Arc::new)
    }

    /// `keys/<service>.secret`: what a service's keyed hashes are made with.
    pub(super) fn secret(&self, service: &str) -> Result<Arc<Secret>, KeyError> {
        Secret::load_or_create(&self.keys.join(format!("{service}.secret"))).map(Arc::new)
    }

    /// `vault/<service>`: the keys of a service's personal fields.
    pub(super) fn vault(&self, service: &str) -> Result<Arc<Vault>, StartError> {
        let opened = Vault::open(&self.vaults.join(service), self.kek.clone());
        opened.map(Arc::new).map_err(|source| StartError::Vault { service: service.into(), source })
    }

    /// `keys/retired.json`, if it is there.
    pub(super) fn retired(&self) -> Result<Vec<Jwk>, StartError> {
        let path = self.keys.join(RETIRED);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(KeyError::Io { path, source }.into()),
        };
        let set = JwkSet::parse(&text).map_err(|source| StartError::RetiredKeys { path, source })?;
        Ok(set.keys)
    }
}
