//! Codes that prove to be there, and the tokens that they give. Codes are known here only by their
//! hashes, addresses only sealed.
//!
//! A verification is for a cancellation, never for signing in: it goes on whatever the subject's
//! standing is, for nobody is locked out of leaving.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use types::{CancellationId, Timestamp};

use super::{Event, Rejection, State};

types::minted_id!(
    /// One code, from its making to its token.
    VerificationId, "ver"
);
types::minted_id!(
    /// A token that proves a verification.
    TokenId, "tok"
);

/// How long a code may be given.
pub const CODE_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// How long a token holds.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// How many wrong codes a verification takes; after them it takes none.
pub const WRONG_TRIES_MAX: u32 = 5;

/// How many codes are made for one cancellation within the lifetime of one.
pub const CODES_MAX: usize = 5;

/// How many are made for one subject within it. Whoever may ask for cancellations may ask for many,
/// and must have neither more guesses by that nor more messages sent to somebody else.
pub const CODES_PER_SUBJECT_MAX: usize = 20;

/// What a subject can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Factor {
    /// A code sent to a telephone.
    SmsCode,
    /// A code sent to a mailbox.
    EmailCode,
}

/// A contact whose address only the subject's key opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedContact {
    /// The factor it serves.
    pub factor: Factor,
    /// The sealed address.
    pub sealed: Arc<[u8]>,
}

/// A code that was made, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// What it is good for.
    pub cancellation: CancellationId,
    /// How the code travels.
    pub factor: Factor,
    /// The place of the contact it went to, from 0.
    pub contact: usize,
    /// The keyed hash of the code.
    pub code_hash: [u8; 32],
    /// The first instant at which the code is taken no more.
    pub expires_at: Timestamp,
    /// How many wrong codes were given.
    pub wrong_tries: u32,
    /// The token that the right one gave.
    pub token: Option<Token>,
}

impl Verification {
    /// How many more wrong codes it takes.
    #[must_use]
    pub fn tries_left(&self) -> u32 {
        WRONG_TRIES_MAX.saturating_sub(self.wrong_tries)
    }
}

/// A token that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// The first instant at which it holds no more; a whole second.
    pub expires_at: Timestamp,
}

impl Token {
    /// When it was issued.
    #[must_use]
    pub fn issued_at(&self) -> Timestamp {
        let lifetime = i64::try_from(TOKEN_LIFETIME.as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_micros(self.expires_at.as_micros() - lifetime)
    }
}

/// A code that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The new verification's id.
    pub id: VerificationId,
    /// What it is to be good for.
    pub cancellation: CancellationId,
    /// How the code is to travel.
    pub factor: Factor,
    /// The keyed hash of the code that this id has.
    pub code_hash: [u8; 32],
    /// The instant now.
    pub now: Timestamp,
}

/// A code that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complete {
    /// Which verification.
    pub id: VerificationId,
    /// Whether it is the code that was sent.
    pub code_is_right: bool,
    /// The id of the token, should there be a new one.
    pub token: TokenId,
    /// The instant now.
    pub now: Timestamp,
}

/// Makes a code.
pub(super) fn start(state: &State, wanted: Start) -> Result<Vec<Event>, Rejection> {
    let Start { id, cancellation, factor, code_hash, now } = wanted;
    let of_factor = |contact: &SealedContact| contact.factor == factor;
    let contact = state.contacts.iter().position(of_factor);
    let contact = contact.ok_or(Rejection::FactorUnavailable(factor))?;
    // A code stands for just its lifetime, so those that stand are those made within it.
    let standing = || state.verifications.values().filter(|made| made.expires_at > now);
    let of_this: Vec<_> = standing().filter(|made| made.cancellation == cancellation).collect();
    for (made, max) in [(of_this, CODES_MAX), (standing().collect(), CODES_PER_SUBJECT_MAX)] {
        let first = made.iter().map(|made| made.expires_at).min().filter(|_| made.len() >= max);
        if let Some(first) = first {
            return Err(Rejection::TooManyCodes { retry_after: first.since(now) });
        }
    }
    let expires_at = now.plus(CODE_LIFETIME);
    Ok(vec![Event::VerificationStarted { id, cancellation, factor, contact, code_hash, expires_at }])
}

/// Takes a code. A wrong one is no rejection but a fact: it counts.
pub(super) fn complete(state: &State, given: Complete) -> Result<Vec<Event>, Rejection> {
    let Complete { id, code_is_right, token, now } = given;
    let verification = state.verifications.get(&id).ok_or(Rejection::VerificationUnknown)?;
    let until = verification.token.as_ref().map_or(verification.expires_at, |token| token.expires_at);
    if now >= until {
        return Err(Rejection::CodeExpired);
    }
    if verification.tries_left() == 0 {
        return Err(Rejection::TooManyTries);
    }
    // A wrong code counts even where the right one came already: the token that it gave must not be
    // had by guessing either.
    if !code_is_right {
        return Ok(vec![Event::CodeRefused(id)]);
    }
    if verification.token.is_some() {
        return Ok(Vec::new());
    }
    let expires_at = whole_second(now.plus(TOKEN_LIFETIME));
    Ok(vec![Event::VerificationCompleted { id, token: Token { id: token, expires_at } }])
}

/// Applies what became of a verification; one that is unknown changes nothing.
pub(super) fn evolve(verifications: &mut BTreeMap<VerificationId, Verification>, event: &Event) {
    match event {
        Event::VerificationStarted { id, cancellation, factor, contact, code_hash, expires_at } => {
            let verification = Verification {
                cancellation: cancellation.clone(),
                factor: *factor,
                contact: *contact,
                code_hash: *code_hash,
                expires_at: *expires_at,
                wrong_tries: 0,
                token: None,
            };
            verifications.insert(id.clone(), verification);
        }
        Event::CodeRefused(id) => {
            if let Some(verification) = verifications.get_mut(id) {
                verification.wrong_tries += 1;
            }
        }
        Event::VerificationCompleted { id, token } => {
            if let Some(verification) = verifications.get_mut(id) {
                verification.token = Some(token.clone());
            }
        }
        _ => {}
    }
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.as_micros() / 1_000_000 * 1_000_000)
}
