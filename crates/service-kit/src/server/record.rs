//! What is logged of a request: one line when it ends, at the level of who must act.

use std::{error::Error, fmt::Write, time::Instant};

use http::StatusCode;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use tracing::{Level, Span, debug, error, info_span, warn};

use crate::reason;

/// A request under way. Says how it ended, once; dropped before, that the caller went away.
pub(super) struct Record {
    span: Span,
    since: Instant,
    ended: bool,
}

impl Record {
    pub(super) fn begin(path: &str) -> Self {
        Self { span: info_span!("request", method = path), since: Instant::now(), ended: false }
    }

    /// What the handler runs in.
    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// The request ended with this status.
    pub(super) fn end(&mut self, status: &Status) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let _inside = self.span.enter();
        let elapsed_us = self.elapsed_us();
        let code = status.code();
        if code == Code::Ok {
            debug!(?code, elapsed_us, "answered");
            return;
        }
        let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
        let (message, cause) = (status.message(), chain(status));
        match level(code, &reason) {
            Level::ERROR => error!(?code, reason, elapsed_us, message, cause, "failed"),
            Level::WARN => warn!(?code, reason, elapsed_us, message, cause, "failed"),
            _ => debug!(?code, reason, elapsed_us, message, cause, "refused"),
        }
    }

    /// The request was plain HTTP and is answered.
    pub(super) fn http(&mut self, status: StatusCode) {
        self.ended = true;
        let _inside = self.span.enter();
        debug!(status = status.as_u16(), elapsed_us = self.elapsed_us(), "answered");
    }

    fn elapsed_us(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.ended {
            let _inside = self.span.enter();
            debug!(elapsed_us = self.elapsed_us(), "ended without a status: the caller went away");
        }
    }
}

/// Who must act: the developer (error), the operator (warn), the caller (debug).
fn level(code: Code, reason: &str) -> Level {
    match code {
        Code::Internal | Code::Unknown | Code::DataLoss => Level::ERROR,
        // At shutdown every stream ends so, and that is as it should be.
        Code::Unavailable if reason == reason::SHUTTING_DOWN => Level::DEBUG,
        Code::Unavailable | Code::DeadlineExceeded => Level::WARN,
        _ => Level::DEBUG,
    }
}

/// The errors behind, outermost first.
fn chain(status: &Status) -> String {
    let mut text = String::new();
    let mut source = status.source();
    while let Some(error) = source {
        let separator = if text.is_empty() { "" } else { ": " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{separator}{error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Refusal;

    #[derive(Debug, thiserror::Error)]
    #[error("store could not be reached")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn the_chain_behind_a_refusal_is_told_outermost_first() {
        let status: Status = Refusal::new(Code::Unavailable, "STORE_UNAVAILABLE", "try again")
            .caused_by(Outer(std::io::Error::other("disk full")))
            .into();
        assert_eq!(chain(&status), "store could not be reached: disk full");
    }

    #[test]
    fn the_level_says_who_must_act() {
        assert_eq!(level(Code::Internal, ""), Level::ERROR);
        assert_eq!(level(Code::Unavailable, "STORE_UNAVAILABLE"), Level::WARN);
        assert_eq!(level(Code::Unavailable, reason::SHUTTING_DOWN), Level::DEBUG);
        assert_eq!(level(Code::InvalidArgument, ""), Level::DEBUG);
    }
}
