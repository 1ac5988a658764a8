//! Which refusals pass by themselves, so that a caller that knows its business calls again.

use tonic::{Code, Status};

/// Whether the same call may be answered in a while.
pub(crate) fn may_pass(status: &Status) -> bool {
    let passing = [
        Code::Unavailable,
        Code::Aborted,
        Code::ResourceExhausted,
        Code::DeadlineExceeded,
        Code::Cancelled,
        // Every id used here came from an answer: a service that does not know it yet will.
        Code::NotFound,
    ];
    // A connection that breaks under a call shows as UNKNOWN, without any detail of ours.
    passing.contains(&status.code()) || (status.code() == Code::Unknown && status.details().is_empty())
}

/// Whether the caller cannot know if the call was carried out: the same call again must tell.
pub(crate) fn answer_is_lost(status: &Status) -> bool {
    let lost = [Code::Unavailable, Code::DeadlineExceeded, Code::Cancelled, Code::Unknown];
    lost.contains(&status.code()) && status.details().is_empty()
}
