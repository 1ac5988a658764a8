//! One request, from its headers to the head of its answer.

use std::{
    collections::HashSet, future::poll_fn, net::SocketAddr, panic::AssertUnwindSafe, sync::Arc,
    time::Duration,
};

use axum::Router;
use futures::FutureExt;
use http::{HeaderMap, Request, Response, StatusCode, header::CONTENT_TYPE};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use tower::Service;
use tracing::Instrument;
use types::Caller;

use super::{body::Body, record::Record};
use crate::{Refusal, reason};

/// When whoever was refused for load may try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long a request that is refused is read on: a stream of requests may never end.
const READ_ON_MAX: Duration = Duration::from_millis(200);

/// What all requests share.
pub(super) struct Edge {
    pub(super) grpc: Router,
    pub(super) http: Router,
    /// The paths of methods that stream.
    pub(super) streams: HashSet<String>,
    pub(super) request_permits: Arc<Semaphore>,
    pub(super) stream_permits: Arc<Semaphore>,
    pub(super) request_timeout: Duration,
    /// Cancelled when streams must end.
    pub(super) ending: CancellationToken,
}

impl Edge {
    /// Answers. Never fails: what goes wrong is an answer too.
    pub(super) async fn answer<B>(&self, peer: SocketAddr, mut request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let is_grpc = is_grpc(request.headers());
        let path = request.uri().path();
        let is_stream = is_grpc && self.streams.contains(path);
        let record = Record::begin(path);
        let router = if is_grpc { &self.grpc } else { &self.http };
        // The seam where callers will authenticate: until then, whoever is on this machine may call.
        if peer.ip().is_loopback() {
            request.extensions_mut().insert(Caller::local());
        }
        let outcome = match self.permit(is_stream) {
            None => {
                read_on(request.into_body()).await;
                Err(overloaded())
            }
            Some(permit) => {
                let allowed = allowed(request.headers(), self.request_timeout);
                let answering = router.clone().call(request).instrument(record.span().clone());
                // A handler's state is its own: what it shares is behind locks that survive.
                match timeout(allowed, AssertUnwindSafe(answering).catch_unwind()).await {
                    Ok(Ok(Ok(response))) => Ok((permit, response)),
                    Ok(Err(_panic)) => Err(internal()),
                    Err(_elapsed) => Err(too_late()),
                }
            }
        };
        match outcome {
            Ok((permit, response)) => self.head(response, permit, record, is_grpc),
            Err(refusal) => refused(refusal, record, is_grpc),
        }
    }

    fn permit(&self, is_stream: bool) -> Option<OwnedSemaphorePermit> {
        let permits = if is_stream { &self.stream_permits } else { &self.request_permits };
        permits.clone().try_acquire_owned().ok()
    }

    fn head(
        &self,
        mut response: Response<axum::body::Body>,
        permit: OwnedSemaphorePermit,
        mut record: Record,
        is_grpc: bool,
    ) -> Response<Body> {
        if !is_grpc {
            record.http(response.status());
            return response.map(|inner| Body::plain(inner, permit));
        }
        // A refusal keeps its error behind in the extensions, where only this process sees it.
        let status = response.extensions_mut().remove::<Status>();
        if let Some(status) = status.or_else(|| Status::from_header_map(response.headers())) {
            if let Some(refusal) = unread(&status) {
                return refused(refusal, record, is_grpc);
            }
            record.end(&status);
        }
        response.map(|inner| Body::grpc(inner, permit, record, self.ending.clone()))
    }
}

/// Takes the rest of a request that is refused, without keeping it. A request that is answered before it has
/// arrived keeps its place on the connection longer than the caller believes; the caller's next one then finds
/// none, and is refused by HTTP/2 without any reason.
pub(super) async fn read_on<B: http_body::Body<Data = bytes::Bytes>>(body: B) {
    let mut body = std::pin::pin!(body);
    let reading = async { while let Some(Ok(_)) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {} };
    let _ = timeout(READ_ON_MAX, reading).await;
}

/// Whether the request is gRPC, and not grpc-web, which browsers speak.
fn is_grpc(headers: &HeaderMap) -> bool {
    let rest = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("application/grpc"));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
}

/// How long the answer may take: what the caller allows, within what the server does.
fn allowed(headers: &HeaderMap, most: Duration) -> Duration {
    let said = headers.get("grpc-timeout").and_then(|value| value.to_str().ok()).and_then(grpc_timeout);
    said.map_or(most, |said| said.min(most))
}

/// Reads a `grpc-timeout`: at most eight digits and a unit. One that is malformed says nothing.
fn grpc_timeout(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back().filter(char::is_ascii)?;
    let digits = &text[..text.len() - 1];
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count = digits.parse().ok()?;
    match unit {
        'H' => Some(Duration::from_secs(count * 60 * 60)),
        'M' => Some(Duration::from_secs(count * 60)),
        'S' => Some(Duration::from_secs(count)),
        'm' => Some(Duration::from_millis(count)),
        'u' => Some(Duration::from_micros(count)),
        'n' => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// The answer where the fault is ours: the log has the rest.
pub(super) fn internal() -> Refusal {
    Refusal::new(Code::Internal, reason::INTERNAL, "the server failed; its log says how")
}

/// What tonic says of a request that it could not hand to its handler, said as it should be. It is
/// told from what handlers say by having no reason, which every refusal of ours has.
fn unread(status: &Status) -> Option<Refusal> {
    let (code, reason, message) = match status.code() {
        Code::OutOfRange => {
            let message = "the request has more bytes than the server takes";
            (Code::ResourceExhausted, reason::MESSAGE_TOO_LARGE, message)
        }
        Code::Internal => {
            let message = "the request is not the message that the method takes";
            (Code::InvalidArgument, reason::MALFORMED_MESSAGE, message)
        }
        _ => return None,
    };
    let own = status.get_details_error_info().is_none();
    own.then(|| Refusal::new(code, reason, message))
}

fn overloaded() -> Refusal {
    let message = "as many requests of this kind as may be are under way already";
    Refusal::new(Code::ResourceExhausted, reason::OVERLOADED, message).retry_after(RETRY_AFTER)
}

fn too_late() -> Refusal {
    let message = "the answer took longer than is allowed";
    Refusal::new(Code::DeadlineExceeded, reason::DEADLINE_EXCEEDED, message)
}

fn refused(refusal: Refusal, mut record: Record, is_grpc: bool) -> Response<Body> {
    let status = Status::from(refusal);
    record.end(&status);
    if is_grpc {
        return status.into_http::<()>().map(|()| Body::empty());
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = match status.code() {
        Code::ResourceExhausted => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_deadline_counts_within_the_servers() {
        let allowed = |text: &'static str| {
            let headers = HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), text.parse().unwrap())]);
            allowed(&headers, Duration::from_secs(30))
        };
        assert_eq!(allowed("250m"), Duration::from_millis(250));
        assert_eq!(allowed("5S"), Duration::from_secs(5));
        assert_eq!(allowed("99999999H"), Duration::from_secs(30));
        for malformed in ["", "S", "123456789S", "5", "5x", "-5S", "+5S"] {
            assert_eq!(allowed(malformed), Duration::from_secs(30), "{malformed}");
        }
    }

    #[tokio::test]
    async fn a_callers_deadline_ends_its_call() {
        let edge = Edge {
            grpc: Router::new().fallback(std::future::pending::<StatusCode>),
            http: Router::new(),
            streams: HashSet::new(),
            request_permits: Arc::new(Semaphore::new(1)),
            stream_permits: Arc::new(Semaphore::new(1)),
            request_timeout: Duration::from_secs(60 * 60),
            ending: CancellationToken::new(),
        };
        let request = Request::post("/test.v1.Echo/Say")
            .header(CONTENT_TYPE, "application/grpc")
            .header("grpc-timeout", "10m")
            .body(axum::body::Body::empty())
            .unwrap();
        let answered = edge.answer(([127, 0, 0, 1], 1).into(), request);
        let response = timeout(Duration::from_secs(20), answered).await.unwrap();
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(edge.request_permits.available_permits(), 1);
    }

    #[test]
    fn grpc_is_told_from_what_browsers_send() {
        let is = |text: &'static str| is_grpc(&HeaderMap::from_iter([(CONTENT_TYPE, text.parse().unwrap())]));
        assert!(is("application/grpc") && is("application/grpc+proto") && is("application/grpc;charset=x"));
        assert!(!is("application/grpc-web") && !is("application/json") && !is_grpc(&HeaderMap::new()));
    }
}
