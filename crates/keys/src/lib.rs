//! Signing keys, JWS and JWK, and sealed personal fields.
//!
//! - [`SigningKey`] and [`PublicKey`]: Ed25519, kept in a file that is made at the first start.
//! - [`Jwk`] and [`JwkSet`]: public keys as RFC 7517 and RFC 8037 write them.
//! - [`jws`]: compact signatures over bytes, RFC 7515 with `EdDSA` and nothing else.
//! - [`merkle`]: one signature for many messages, RFC 9162.
//! - [`Vault`]: personal fields under a key per owner; destroying the key erases them.
//! - [`Secret`]: keyed hashes.
//! - [`VerificationClaims`]: the token with which a subject confirms a cancellation.
//!
//! Nothing here is async. What touches a file blocks until the disk has it; shells call it where
//! blocking is allowed. No key is ever printed.

mod file;
mod jwk;
pub mod jws;
pub mod merkle;
mod secret;
mod signing;
mod token;
mod vault;

pub use jwk::{Jwk, JwkError, JwkSet};
pub use secret::{Kek, Secret, constant_time_eq};
pub use signing::{PublicKey, SIGNATURE_BYTES, SignatureError, SigningKey, verify_batch};
pub use token::{TokenError, TokenLevel, VerificationClaims};
pub use vault::{Vault, VaultError};

use std::path::PathBuf;

/// A key that could not be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The key's file could not be read or made.
    #[error("key file {} could not be read or made", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file or text holds something else than a key of this kind.
    #[error("{origin} is not {expected}")]
    Malformed {
        /// The file, or where else the text came from.
        origin: String,
        /// What it should have been.
        expected: &'static str,
    },
    /// The system gave no randomness.
    #[error("no randomness to be had from the system")]
    Random(#[source] getrandom::Error),
}

/// Fresh random bytes from the system.
fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
