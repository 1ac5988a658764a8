//! A cancellation, as pure rules: what may happen to it, and what has.
//!
//! `decide` says which facts a command adds or why it is refused, `evolve` applies one fact. Neither
//! knows a clock, randomness, IO or a participant by name.

mod attention;
pub mod bulk;
mod cooling;
mod decide;
mod evolve;
mod late;
mod operate;
mod revoke;
mod state;
mod terms;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use attention::{Attention, Cause, Ladder, Level, attention};
pub use decide::{Rejection, decide};
pub use evolve::evolve;
pub use operate::{Action, Attestation, Operation, Words};
pub use state::{Case, Entry, Phase, Progress, State, Want};
pub use terms::{CaseClock, Difference, DifferenceKind, DriftLimits, Extension, Terms};
use types::{CancellationId, Edition, ParticipantName, Scope, SubjectId, Timestamp};

/// A SHA-256.
pub type Digest = [u8; 32];

/// The kinds of instructions that are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Tell what blocks and what follows.
    Assess,
    /// Suspend.
    Freeze,
    /// Do it.
    Execute,
    /// Take it back.
    Undo,
}

/// What a participant answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Its assessment.
    Assessed,
    /// It has happened.
    Done,
    /// There was nothing to do.
    NothingToDo,
    /// The law exempts it.
    Exempt,
    /// Done, but for what the law demands to keep.
    Restricted,
    /// Somebody must act first.
    Waiting,
    /// Taken on.
    Accepted,
    /// It could not be done.
    Failed,
    /// The facts are not those accepted.
    Changed,
    /// A higher epoch was seen.
    Superseded,
}

impl Outcome {
    /// Terminal and successful.
    #[must_use]
    pub fn is_success(self) -> bool {
        matches!(self, Self::Done | Self::NothingToDo | Self::Exempt | Self::Restricted)
    }
}

/// An acknowledgement as it was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The signed bytes.
    pub bytes: Arc<[u8]>,
    /// The signature over them.
    pub signature: Arc<[u8]>,
    /// Which key.
    pub kid: Arc<str>,
    /// Where the signature covers several: that this is one of them.
    pub batch: Option<Arc<Batch>>,
}

/// That an acknowledgement is one of a batch that has one signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Which of them, from 0.
    pub index: u32,
    /// Of how many.
    pub size: u32,
    /// The hashes that lead to the signed root, one behind the other.
    pub path: Arc<[u8]>,
}

/// An acknowledgement: what the rules need of it, and the signed whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Who answers.
    pub participant: ParticipantName,
    /// What is answered.
    pub kind: Kind,
    /// Of which round.
    pub epoch: u32,
    /// Which answer to it, from 1.
    pub revision: u32,
    /// The answer.
    pub outcome: Outcome,
    /// Of the assessment given or acted on.
    pub digest: Option<Digest>,
    /// The moment of the assessment given.
    pub assessed_at: Option<Timestamp>,
    /// Whether the assessment given names blockers.
    pub blocked: bool,
    /// Whether the assessment given says that it cannot be asked at all.
    pub rejected: bool,
    /// Of a FREEZE: until when it can be taken back without loss.
    pub undo_until: Option<Timestamp>,
    /// Of a WAITING: until when it is expected to be over, where somebody can say.
    pub until: Option<Timestamp>,
    /// Of a FAILED: who deals with it, where it names anybody.
    pub owner: Option<Arc<str>>,
    /// What it says beside the outcome, encoded: what is kept, who is waited for, what failed. Only
    /// compared.
    pub said: Arc<[u8]>,
    /// When it was given.
    pub at: Timestamp,
    /// The whole.
    pub signed: Signed,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The new cancellation.
    pub id: CancellationId,
    /// Whose account or services end.
    pub subject: SubjectId,
    /// The subject's region.
    pub region: String,
    /// The subject's edition.
    pub edition: Edition,
    /// What ends.
    pub scope: Scope,
    /// Who must acknowledge; frozen from here on.
    pub roster: Vec<Entry>,
    /// Neither assessment nor confirmation.
    pub gates_none: bool,
    /// How many tokens a confirmation needs.
    pub tokens_required: u32,
    /// The rules that it stands under; those of before there were packs have none.
    pub terms: Terms,
    /// How what is late is escalated.
    pub ladder: Ladder,
    /// Where it came in.
    pub channel: String,
    /// Why, sealed; empty where nothing was said.
    pub sealed_reason: Arc<[u8]>,
    /// When.
    pub at: Timestamp,
}

/// A verification token whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its own id.
    pub id: String,
    /// For whom it was made.
    pub subject: String,
    /// For which cancellation.
    pub cancellation: String,
    /// Until when it is good.
    pub expires_at: Timestamp,
}

/// What can be asked of a cancellation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A new one.
    Request(Box<Request>),
    /// A participant answered.
    Acknowledge(Answer),
    /// All assessments together have this digest.
    Quote {
        /// The digest.
        digest: Digest,
        /// When.
        now: Timestamp,
    },
    /// Everything was assessed again after cooling-off: this is the quote now, and in this it differs
    /// from the accepted one.
    Recheck {
        /// Its digest.
        digest: Digest,
        /// The differences.
        differences: Vec<Difference>,
        /// When.
        now: Timestamp,
    },
    /// Time has passed: what is due by itself happens.
    Wake {
        /// What time it is.
        now: Timestamp,
    },
    /// Ask everybody again.
    Reassess,
    /// The subject accepts the quote.
    Confirm {
        /// The digest of the quote that the subject saw.
        digest: Digest,
        /// The proof that it is them.
        tokens: Vec<Token>,
        /// When.
        now: Timestamp,
    },
    /// The subject wants it no more.
    Revoke {
        /// Why, sealed; empty where nothing was said.
        sealed_reason: Arc<[u8]>,
        /// When.
        now: Timestamp,
    },
    /// The subject's account was closed by another cancellation: nothing is left to end.
    Expire {
        /// Which.
        by: CancellationId,
        /// When.
        now: Timestamp,
    },
    /// The receipt is sealed.
    Seal {
        /// The receipt.
        receipt: String,
        /// When.
        now: Timestamp,
    },
    /// An operator does something.
    Operate(Operation),
    /// The receipt's next version is sealed.
    Amend {
        /// That version.
        receipt: String,
        /// When.
        now: Timestamp,
    },
}

/// What has happened to a cancellation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It was asked for.
    Requested(Arc<Request>),
    /// Participants were told.
    Instructed {
        /// What.
        kind: Kind,
        /// In which round.
        epoch: u32,
        /// Who.
        participants: Vec<ParticipantName>,
    },
    /// A participant answered.
    Acknowledged(Arc<Answer>),
    /// All have assessed, and something blocks.
    Blocked {
        /// When.
        at: Timestamp,
    },
    /// All have assessed, and nothing blocks.
    Quoted {
        /// The quote's digest.
        digest: Digest,
        /// When.
        at: Timestamp,
    },
    /// The subject accepted.
    Confirmed {
        /// The quote's digest.
        digest: Digest,
        /// The tokens used up.
        token_ids: Vec<String>,
        /// Until when it can be revoked, where there is cooling-off.
        cooling_off_until: Option<Timestamp>,
        /// When.
        at: Timestamp,
    },
    /// The time to think again is over.
    CooledOff {
        /// When.
        at: Timestamp,
    },
    /// What would be done is not quite what was accepted.
    Drifted {
        /// The digest of the quote as it is now.
        digest: Digest,
        /// In what.
        differences: Vec<Difference>,
        /// When.
        at: Timestamp,
    },
    /// All have finished, and the receipt is sealed.
    Completed {
        /// The receipt.
        receipt: String,
        /// When.
        at: Timestamp,
    },
    /// An operator did something: who, and why. What it led to follows.
    Operated(Arc<Operation>),
    /// The clock of the whole is to run longer, once the subject has been told.
    Extended {
        /// By when, without the time in which it stood still.
        due: Timestamp,
        /// When they were, where a release before this one let it run longer at once.
        told_at: Option<Timestamp>,
        /// When.
        at: Timestamp,
    },
    /// The subject has been told of that: from here on it does.
    ExtensionNoticed {
        /// When they were told.
        told_at: Timestamp,
        /// When that was recorded.
        at: Timestamp,
    },
    /// A participant's work was done outside.
    Attested(Arc<Attestation>),
    /// Something waits for a person, or has waited so long that it climbs.
    AttentionRaised(Arc<Attention>),
    /// What was missing has come, or is wanted no more.
    AttentionCleared {
        /// What was missing.
        cause: Cause,
        /// Of whom.
        participant: Option<ParticipantName>,
        /// When.
        at: Timestamp,
    },
    /// The receipt has a new version, since a participant said something else afterwards.
    Amended {
        /// That version.
        receipt: String,
        /// Those whose last answer is no successful end any more.
        unfinished: Vec<ParticipantName>,
        /// When.
        at: Timestamp,
    },
    /// The subject wants it no more, and what was suspended is being taken back.
    Revoking {
        /// Why, sealed.
        sealed_reason: Arc<[u8]>,
        /// When.
        at: Timestamp,
    },
    /// The subject wanted it no more, and nothing of it is left to take back.
    Revoked {
        /// Why, sealed; empty where that was recorded before.
        sealed_reason: Arc<[u8]>,
        /// When.
        at: Timestamp,
    },
    /// It cannot be asked at all.
    Rejected {
        /// When.
        at: Timestamp,
    },
    /// The subject's account was closed by another cancellation.
    Expired {
        /// Which.
        by: CancellationId,
        /// When.
        at: Timestamp,
    },
}
