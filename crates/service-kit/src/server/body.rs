//! The body of an answer: knows when it ends, and ends it when the server must.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Code, Status};

use super::{answer::internal, record::Record};
use crate::{Refusal, reason};

pub(super) struct Body {
    inner: axum::body::Body,
    /// Only of gRPC, whose trailers say how it ended.
    grpc: Option<Grpc>,
    /// Given back when the answer is all out, so that draining waits for it.
    _permit: Option<OwnedSemaphorePermit>,
    ended: bool,
}

struct Grpc {
    record: Record,
    ending: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Body {
    pub(super) fn empty() -> Self {
        Self { inner: axum::body::Body::empty(), grpc: None, _permit: None, ended: true }
    }

    pub(super) fn plain(inner: axum::body::Body, permit: OwnedSemaphorePermit) -> Self {
        Self { inner, grpc: None, _permit: Some(permit), ended: false }
    }

    pub(super) fn grpc(
        inner: axum::body::Body,
        permit: OwnedSemaphorePermit,
        record: Record,
        ending: CancellationToken,
    ) -> Self {
        let grpc = Grpc { record, ending: Box::pin(ending.cancelled_owned()) };
        Self { inner, grpc: Some(grpc), _permit: Some(permit), ended: false }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        let Some(Grpc { record, ending }) = &mut this.grpc else {
            return Pin::new(&mut this.inner).poll_frame(cx);
        };
        // A stream's own code runs here. After a panic it is not polled again.
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut this.inner).poll_frame(cx)));
        let last = match polled {
            Ok(Poll::Pending) => match ending.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) => shutting_down(),
            },
            Ok(Poll::Ready(Some(Ok(frame)))) => {
                if let Some(status) = frame.trailers_ref().and_then(Status::from_header_map) {
                    record.end(&status);
                }
                return Poll::Ready(Some(Ok(frame)));
            }
            Ok(Poll::Ready(None)) => {
                this.ended = true;
                return Poll::Ready(None);
            }
            Ok(Poll::Ready(Some(Err(error)))) => internal().caused_by(error),
            Err(_panic) => internal(),
        };
        this.ended = true;
        let status = Status::from(last);
        record.end(&status);
        let mut trailers = HeaderMap::new();
        // Fails for what is no header, which a status encodes away.
        let _ = status.add_header(&mut trailers);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.ended { SizeHint::with_exact(0) } else { self.inner.size_hint() }
    }
}

fn shutting_down() -> Refusal {
    Refusal::new(Code::Unavailable, reason::SHUTTING_DOWN, "the server is stopping; ask again")
}
