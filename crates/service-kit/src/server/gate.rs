//! What a service must have done before it answers, and the refusal of calls until then. Health and
//! reflection stand beside it and are answered all the while.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use futures::future::{BoxFuture, Either};
use http::{Request, Response};
use tonic::{Code, Status, body::Body, server::NamedService};
use tower::Service;

use super::answer::read_on;
use crate::{RETRY_AFTER, Refusal, reason};

/// Closed until a service has read what it must have read before it answers. It is opened once, for good.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<AtomicBool>);

impl Gate {
    /// From here on all calls are let in.
    pub fn open(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// What a call is told that is not let in: UNAVAILABLE, with a delay.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        if self.0.load(Ordering::Acquire) {
            return None;
        }
        let message = "the service has not read yet which accounts are closed";
        Some(Refusal::new(Code::Unavailable, reason::CATCHING_UP, message).retry_after(RETRY_AFTER))
    }
}

/// A service behind its gate.
#[derive(Debug, Clone)]
pub(super) struct Gated<S> {
    pub(super) inner: S,
    pub(super) gate: Gate,
}

impl<S: NamedService> NamedService for Gated<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Gated<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, BoxFuture<'static, Result<Response<Body>, Infallible>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.gate.refusal() {
            None => Either::Left(self.inner.call(request)),
            Some(refusal) => Either::Right(Box::pin(async move {
                read_on(request.into_body()).await;
                Ok(Status::from(refusal).into_http())
            })),
        }
    }
}
