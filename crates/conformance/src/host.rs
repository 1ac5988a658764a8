//! The participant's surroundings.

use async_trait::async_trait;
use types::SubjectId;

/// The surroundings did not do what they were asked to.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct HostError(pub String);

/// What a check needs beside the log, as far as somebody outside can give it.
#[async_trait]
pub trait Host: Send + Sync {
    /// A subject that the check may end, of whom the participant has something where that can be
    /// arranged.
    async fn subject(&mut self) -> Result<SubjectId, HostError>;

    /// Changes what the participant has of the subject, so that an assessment is no longer true;
    /// false when nobody here can.
    async fn change(&mut self, subject: &SubjectId) -> Result<bool, HostError>;

    /// Has everybody act for whom an EXECUTE waits; false when nobody here can.
    async fn help(&mut self, _subject: &SubjectId) -> Result<bool, HostError> {
        Ok(false)
    }

    /// How many facts the participant has recorded of the subject; `None` when that cannot be seen.
    async fn facts(&mut self, _subject: &SubjectId) -> Result<Option<usize>, HostError> {
        Ok(None)
    }

    /// How many of these are effects of what was asked of it; `None` when that cannot be seen.
    async fn effects(&mut self, _subject: &SubjectId) -> Result<Option<usize>, HostError> {
        Ok(None)
    }
}
