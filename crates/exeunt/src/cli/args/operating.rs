//! What operators may say on the command line about cancellations.

use clap::{Args, Subcommand};
use proto::cancellation::v1::AttentionCause;
use types::Timestamp;

use super::super::{item, policy};

/// What to do with what waits for a person.
#[derive(Debug, Subcommand)]
pub enum AttentionCommand {
    /// List it
    List(AttentionList),
    /// Say whose something is, and by when
    Assign(AttentionAssign),
}

/// Which of what waits for a person.
#[derive(Debug, Args)]
pub struct AttentionList {
    /// Only what is this one's
    #[arg(long, default_value = "")]
    pub owner: String,
    /// Only of this cause, like FAILED or ANSWER_OVERDUE; may be repeated
    #[arg(long, value_parser = item::cause)]
    pub cause: Vec<AttentionCause>,
    /// Only of this participant
    #[arg(long, default_value = "")]
    pub participant: String,
    /// Only what is due before that moment, in RFC 3339
    #[arg(long, value_parser = policy::instant)]
    pub due_before: Option<Timestamp>,
    /// How many at most, 1 to 1000
    #[arg(long, default_value_t = 100)]
    pub limit: i32,
    /// Where the list before ended
    #[arg(long, default_value = "")]
    pub page_token: String,
}

/// What is somebody's, and whose.
#[derive(Debug, Args)]
pub struct AttentionAssign {
    /// The cancellation
    pub cancellation_id: String,
    /// The cause, as `attention list` shows it
    #[arg(long, value_parser = item::cause)]
    pub cause: AttentionCause,
    /// The participant, where it is about one
    #[arg(long, default_value = "")]
    pub participant: String,
    /// Whose it is from here on
    #[arg(long)]
    pub owner: String,
    /// By when they should have dealt with it, in RFC 3339
    #[arg(long, value_parser = policy::instant)]
    pub due: Timestamp,
    /// Why; it is kept
    #[arg(long)]
    pub reason: String,
    /// Makes repeating it harmless
    #[arg(long, default_value = "")]
    pub request_id: String,
}

/// Who is to execute once more.
#[derive(Debug, Args)]
pub struct Retry {
    /// The cancellation
    pub cancellation_id: String,
    /// The participant
    #[arg(long)]
    pub participant: String,
    /// Why; it is kept
    #[arg(long)]
    pub reason: String,
    /// Makes repeating it harmless
    #[arg(long, default_value = "")]
    pub request_id: String,
}

/// Whose work was done outside.
#[derive(Debug, Args)]
pub struct Attest {
    /// The cancellation
    pub cancellation_id: String,
    /// The participant
    #[arg(long)]
    pub participant: String,
    /// Where the evidence is, like a ticket's number; the receipt has it
    #[arg(long)]
    pub evidence: String,
    /// Why; it is kept, and only operators read it
    #[arg(long)]
    pub reason: String,
    /// Makes repeating it harmless
    #[arg(long, default_value = "")]
    pub request_id: String,
}

/// Which clock runs longer.
#[derive(Debug, Args)]
pub struct Extend {
    /// The cancellation
    pub cancellation_id: String,
    /// Why; it is kept, and the subject is told it. Nothing personal
    #[arg(long)]
    pub reason: String,
    /// Makes repeating it harmless
    #[arg(long, default_value = "")]
    pub request_id: String,
}

/// Of which extension the subject was told.
#[derive(Debug, Args)]
pub struct ExtensionTold {
    /// The cancellation
    pub cancellation_id: String,
    /// When, in RFC 3339; now when not given
    #[arg(long, value_parser = policy::instant)]
    pub at: Option<Timestamp>,
    /// How, like the number of the message; it is kept. Nothing personal
    #[arg(long)]
    pub reason: String,
    /// Makes repeating it harmless
    #[arg(long, default_value = "")]
    pub request_id: String,
}

/// Of which cancellation.
#[derive(Debug, Args)]
pub struct Texts {
    /// The cancellation
    pub cancellation_id: String,
}

/// What to do with a bulk retry.
#[derive(Debug, Subcommand)]
pub enum BulkRetryCommand {
    /// Begin one; it goes on by itself
    Start(BulkRetryStart),
    /// Show how far it is
    Status(BulkRetryStatus),
    /// Stop it
    Cancel(BulkRetryCancel),
}

/// Whom to tell once more, and how fast.
#[derive(Debug, Args)]
pub struct BulkRetryStart {
    /// Only what is this one's
    #[arg(long, default_value = "")]
    pub owner: String,
    /// Only of this cause, like FAILED or ANSWER_OVERDUE; may be repeated
    #[arg(long, value_parser = item::cause)]
    pub cause: Vec<AttentionCause>,
    /// Only this participant
    #[arg(long, default_value = "")]
    pub participant: String,
    /// Only what is due before that moment, in RFC 3339
    #[arg(long, value_parser = policy::instant)]
    pub due_before: Option<Timestamp>,
    /// How many a minute each participant is told at the most, 1 to 6000
    #[arg(long, default_value_t = 60)]
    pub per_minute: u32,
    /// Why; it is kept
    #[arg(long)]
    pub reason: String,
    /// Makes repeating it harmless
    #[arg(long, default_value = "")]
    pub request_id: String,
}

/// Which bulk retry.
#[derive(Debug, Args)]
pub struct BulkRetryStatus {
    /// Its id, as `bulk-retry start` told it
    pub bulk_id: String,
}

/// Which bulk retry to stop.
#[derive(Debug, Args)]
pub struct BulkRetryCancel {
    /// Its id, as `bulk-retry start` told it
    pub bulk_id: String,
    /// Why; it is kept
    #[arg(long)]
    pub reason: String,
}
