//! A subject as identity knows it, as pure rules: sealed contacts and verifications, standing,
//! guardians, and the end of the key that seals. Each has a room of its own.
//!
//! `decide` says which facts a command adds or why it is refused, `evolve` applies one fact.

pub mod coming_back;
pub mod guardian;
pub mod standing;

mod closing;
#[cfg(test)]
mod tests;
mod verification;

use std::{collections::BTreeMap, time::Duration};

use types::{CancellationId, Edition, SubjectId, Timestamp};

pub use closing::{Key, close, doom, stay_closed};
pub use standing::AppealId;
#[cfg(test)]
pub use verification::CODE_LIFETIME;
pub use verification::{
    Complete, Factor, SealedContact, Start, TOKEN_LIFETIME, Token, TokenId, Verification, VerificationId,
};

/// One subject.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// How the subject can be reached.
    pub contacts: Vec<SealedContact>,
    /// Every code made.
    pub verifications: BTreeMap<VerificationId, Verification>,
    /// The key that seals the contacts.
    pub key: Key,
    /// Whether the stay-closed entry is made.
    pub closed: bool,
    /// Whether the subject may sign in.
    pub standing: standing::State,
    /// Who must consent to the end of the account.
    pub guardians: guardian::State,
    /// In the stream of a contact, or of a week: what is known of those who may come back.
    pub coming_back: coming_back::State,
}

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Make a code.
    Start(Start),
    /// Take a code.
    Complete(Complete),
    /// Change whether the subject may sign in.
    Standing {
        /// Who.
        subject: SubjectId,
        /// How.
        command: standing::Command,
        /// The instant now.
        now: Timestamp,
    },
    /// Have a guardian, or hear one.
    Guardian {
        /// What.
        command: guardian::Command,
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
    /// Something about the subject's standing.
    Standing(standing::Event),
    /// Something about the subject's guardians.
    Guardian(guardian::Event),
    /// Of a contact, or of a week, not of a subject: something about those who may come back.
    ComingBack(coming_back::Event),
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
    /// The subject is banned for another reason.
    #[error("the subject is banned already, for {reason_code}; lift that ban first")]
    AlreadyBanned {
        /// Why, as a code.
        reason_code: String,
    },
    /// There is no ban.
    #[error("the subject is not banned")]
    NotBanned,
    /// A person has to decide on an appeal first.
    #[error("a person decides on the subject's appeal {appeal} by {due}")]
    AppealUndecided {
        /// The appeal.
        appeal: AppealId,
        /// By when.
        due: Timestamp,
    },
    /// No such appeal.
    #[error("there is no such appeal")]
    AppealUnknown,
    /// The appeal has ended otherwise.
    #[error("the appeal was decided otherwise, or withdrawn")]
    AppealEnded,
    /// As many guardians as may be.
    #[error("the subject has as many guardians as may be")]
    TooManyGuardians,
    /// Somebody is not the subject's guardian.
    #[error("nobody of that id is the subject's guardian")]
    NotGuardian,
    /// The token is not a guardian's for this cancellation.
    #[error("the token is not one of the subject's guardian for this cancellation")]
    TokenForeign,
    /// The token holds no more.
    #[error("the token has expired; verify again")]
    TokenExpired,
    /// An account with one of the contacts was closed, and whoever had it may not come back.
    #[error(
        "an account with one of these contacts was closed, and nobody may register with it before {until} \
         ({code}: {basis}); support has a person decide anew"
    )]
    ComingBackRefused {
        /// Why, as a code.
        code: String,
        /// The rule's source.
        basis: String,
        /// Until when.
        until: Timestamp,
    },
    /// An account with one of the contacts was closed not long ago.
    #[error("an account with one of these contacts was closed; register again from {from} on ({basis})")]
    ComingBackEarly {
        /// The rule's source.
        basis: String,
        /// From when on.
        from: Timestamp,
    },
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
        Command::Start(wanted) => verification::start(state, wanted),
        Command::Complete(given) => verification::complete(state, given),
        Command::Standing { subject, command, now } => standing::decide(state, &subject, command, now),
        Command::Guardian { command, now } => {
            let events = guardian::decide(&state.guardians, command, now)?;
            Ok(events.into_iter().map(Event::Guardian).collect())
        }
    }
}

/// Applies one recorded fact. Total.
#[must_use]
pub fn evolve(mut state: State, event: &Event) -> State {
    match event {
        Event::ContactsRecorded(contacts) => state.contacts.clone_from(contacts),
        Event::VerificationStarted { .. } | Event::CodeRefused(_) | Event::VerificationCompleted { .. } => {
            verification::evolve(&mut state.verifications, event);
        }
        Event::KeyDestructionIntended(cancellation) => state.key = Key::Doomed(cancellation.clone()),
        Event::KeyDestroyed(cancellation) => state.key = Key::Destroyed(cancellation.clone()),
        Event::Standing(event) => standing::evolve(&mut state.standing, event),
        Event::Guardian(event) => guardian::evolve(&mut state.guardians, event),
        Event::ComingBack(event) => coming_back::evolve(&mut state.coming_back, event),
        Event::Closed { .. } => state.closed = true,
        Event::Registered { .. } | Event::TokenKeyPublished { .. } => {}
    }
    state
}
