//! A subject as identity knows it, as pure rules: sealed contacts, verifications, and the end of
//! the key that seals.
//!
//! `decide` says which facts a command adds or why it is refused, `evolve` applies one fact. Codes
//! are known here only by their hashes, addresses only sealed.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use types::{CancellationId, Edition, SubjectId, Timestamp};

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

/// The subject's key, which opens its contacts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Key {
    /// It stands.
    #[default]
    Stands,
    /// This cancellation demands that it be destroyed.
    Doomed(CancellationId),
    /// It was destroyed, for this cancellation.
    Destroyed(CancellationId),
}

/// One subject.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// How the subject can be reached.
    pub contacts: Vec<SealedContact>,
    /// Every code made.
    pub verifications: BTreeMap<VerificationId, Verification>,
    /// The key that seals the contacts.
    pub key: Key,
}

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Make a code.
    Start {
        /// The new verification's id.
        id: VerificationId,
        /// What it is to be good for.
        cancellation: CancellationId,
        /// How the code is to travel.
        factor: Factor,
        /// The keyed hash of the code that this id has.
        code_hash: [u8; 32],
        /// The instant now.
        now: Timestamp,
    },
    /// Take a code.
    Complete {
        /// Which verification.
        id: VerificationId,
        /// Whether it is the code that was sent.
        code_is_right: bool,
        /// The id of the token, should there be a new one.
        token: TokenId,
        /// The instant now.
        now: Timestamp,
    },
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The subject exists.
    Registered {
        /// Who.
        subject: SubjectId,
        /// ISO 3166-1 alpha-2.
        region: String,
        /// Which edition of the product.
        edition: Edition,
    },
    /// This is how to reach the subject.
    ContactsRecorded(Vec<SealedContact>),
    /// A code was made and is to be sent.
    VerificationStarted {
        /// The verification.
        id: VerificationId,
        /// What it is good for.
        cancellation: CancellationId,
        /// How the code travels.
        factor: Factor,
        /// The place of the contact it goes to, from 0.
        contact: usize,
        /// The keyed hash of the code.
        code_hash: [u8; 32],
        /// The first instant at which the code is taken no more.
        expires_at: Timestamp,
    },
    /// A wrong code was given.
    CodeRefused(VerificationId),
    /// The right one was.
    VerificationCompleted {
        /// Which verification.
        id: VerificationId,
        /// The token it gives.
        token: Token,
    },
    /// The subject's key is to be destroyed.
    KeyDestructionIntended(CancellationId),
    /// It is destroyed.
    KeyDestroyed(CancellationId),
    /// The subject is closed, and stays so.
    Closed {
        /// Who.
        subject: SubjectId,
        /// By what.
        cancellation: CancellationId,
        /// Since when.
        at: Timestamp,
    },
    /// Of the service, not of a subject: tokens are signed with this key from now on.
    TokenKeyPublished {
        /// The key as a JWK.
        jwk_json: String,
    },
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The account is closed, or about to be.
    #[error("the subject's account is closed")]
    Closed,
    /// The subject has no contact for the factor.
    #[error("the subject has no contact for this factor")]
    FactorUnavailable(Factor),
    /// So many codes were made that another must wait.
    #[error("too many codes were asked for; another may be in {} s", .retry_after.as_secs().max(1))]
    TooManyCodes {
        /// When another may be made.
        retry_after: Duration,
    },
    /// No such verification.
    #[error("there is no such verification")]
    VerificationUnknown,
    /// Too many wrong codes were given.
    #[error("too many wrong codes were given; ask for a new one")]
    TooManyTries,
    /// The code, or the token it gave, has expired.
    #[error("the code has expired; ask for a new one")]
    CodeExpired,
}

/// The facts of a new subject.
#[must_use]
pub fn register(
    subject: SubjectId,
    region: String,
    edition: Edition,
    contacts: Vec<SealedContact>,
) -> Vec<Event> {
    vec![Event::Registered { subject, region, edition }, Event::ContactsRecorded(contacts)]
}

/// Says which facts a command adds to this state, or why it is refused.
///
/// # Errors
/// [`Rejection`]. A wrong code is no rejection but a fact: it counts.
pub fn decide(state: &State, command: Command) -> Result<Vec<Event>, Rejection> {
    if state.key != Key::Stands {
        return Err(Rejection::Closed);
    }
    match command {
        Command::Start { id, cancellation, factor, code_hash, now } => {
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
        Command::Complete { id, code_is_right, token, now } => {
            let verification = state.verifications.get(&id).ok_or(Rejection::VerificationUnknown)?;
            let until = verification.token.as_ref().map_or(verification.expires_at, |token| token.expires_at);
            if now >= until {
                return Err(Rejection::CodeExpired);
            }
            if verification.tries_left() == 0 {
                return Err(Rejection::TooManyTries);
            }
            // A wrong code counts even where the right one came already: the token that it gave must
            // not be had by guessing either.
            if !code_is_right {
                return Ok(vec![Event::CodeRefused(id)]);
            }
            if verification.token.is_some() {
                return Ok(Vec::new());
            }
            let expires_at = whole_second(now.plus(TOKEN_LIFETIME));
            Ok(vec![Event::VerificationCompleted { id, token: Token { id: token, expires_at } }])
        }
    }
}

/// The facts that bring about the end of the subject's key; none when they stand already.
#[must_use]
pub fn doom(state: &State, cancellation: &CancellationId) -> Vec<Event> {
    match state.key {
        Key::Stands => vec![Event::KeyDestructionIntended(cancellation.clone())],
        Key::Doomed(_) | Key::Destroyed(_) => Vec::new(),
    }
}

/// The facts that follow when the key is destroyed: the stay-closed entry among them. None when
/// they stand already.
#[must_use]
pub fn close(state: &State, subject: &SubjectId, now: Timestamp) -> Vec<Event> {
    let Key::Doomed(cancellation) = &state.key else { return Vec::new() };
    let (subject, cancellation) = (subject.clone(), cancellation.clone());
    vec![Event::KeyDestroyed(cancellation.clone()), Event::Closed { subject, cancellation, at: now }]
}

/// Applies one recorded fact. Total.
#[must_use]
pub fn evolve(mut state: State, event: &Event) -> State {
    match event {
        Event::ContactsRecorded(contacts) => state.contacts.clone_from(contacts),
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
            state.verifications.insert(id.clone(), verification);
        }
        Event::CodeRefused(id) => {
            if let Some(verification) = state.verifications.get_mut(id) {
                verification.wrong_tries += 1;
            }
        }
        Event::VerificationCompleted { id, token } => {
            if let Some(verification) = state.verifications.get_mut(id) {
                verification.token = Some(token.clone());
            }
        }
        Event::KeyDestructionIntended(cancellation) => state.key = Key::Doomed(cancellation.clone()),
        Event::KeyDestroyed(cancellation) => state.key = Key::Destroyed(cancellation.clone()),
        Event::Registered { .. } | Event::Closed { .. } | Event::TokenKeyPublished { .. } => {}
    }
    state
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.as_micros() / 1_000_000 * 1_000_000)
}
