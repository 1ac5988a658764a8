//! The one port of a process: gRPC with health and reflection, and the few HTTP paths beside it.
//!
//! Everything that holds for every request is done here once: who calls, how long it may take, how
//! many at a time, what is logged of it, what a panic looks like from outside, and how it ends.

mod answer;
mod body;
mod gate;
mod record;

use std::{collections::HashSet, convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, response::IntoResponse, routing::get};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use prost::Message;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, server::NamedService, service::Routes};
use tonic_health::{ServingStatus, server::HealthReporter};
use types::Caller;

use crate::{Refusal, config::Limits, reason};
use answer::Edge;
pub use gate::Gate;
use gate::Gated;

/// Where the public keys stand.
pub const JWKS_PATH: &str = "/.well-known/jwks.json";

/// How long streams may take to end once they were told to, when the grace is used up before.
const STREAMS_END_WITHIN: Duration = Duration::from_secs(1);
/// How long to wait before accepting again when the system refuses, for lack of files mostly.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// A peer that does not answer a ping in this time is gone, and its streams with it.
const PEER_SILENT_MAX: Duration = Duration::from_secs(20);
const PING_EVERY: Duration = Duration::from_secs(30);
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
const HEADER_BYTES_MAX: u32 = 16 * 1024;

/// A server that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address could not be had.
    #[error("address {address} cannot be listened on")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The bytes given as descriptors are none.
    #[error("descriptors cannot be decoded")]
    Descriptors(#[from] prost::DecodeError),
    /// The descriptors do not fit together.
    #[error("reflection cannot be served")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// What a server consists of, until it is bound.
pub struct Server {
    limits: Limits,
    routes: Routes,
    names: Vec<&'static str>,
    descriptors: Vec<&'static [u8]>,
    http: Router,
}

impl Server {
    /// A server of nothing yet but health and reflection.
    #[must_use]
    pub fn builder(limits: Limits) -> Self {
        Self {
            limits,
            routes: Routes::default(),
            names: Vec::new(),
            // So that generic clients can show the details of our refusals.
            descriptors: vec![tonic_types::pb::FILE_DESCRIPTOR_SET],
            http: Router::new(),
        }
    }

    /// Adds a service, healthy from the start. Tonic bounds its messages itself: it must be given
    /// `limits.message_bytes_max` by `max_decoding_message_size`.
    #[must_use]
    pub fn service<S>(mut self, service: S) -> Self
    where
        S: tower::Service<http::Request<tonic::body::Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Response: IntoResponse,
        S::Future: Send + 'static,
    {
        self.names.push(S::NAME);
        self.routes = self.routes.add_service(service);
        self
    }

    /// Adds a service that answers nothing before its gate is open.
    #[must_use]
    pub fn gated<S>(self, inner: S, gate: Gate) -> Self
    where
        S: tower::Service<
                http::Request<tonic::body::Body>,
                Response = http::Response<tonic::body::Body>,
                Error = Infallible,
            > + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        self.service(Gated { inner, gate })
    }

    /// Adds an encoded `FileDescriptorSet`. It must describe every service added: reflection shows
    /// it, and it says which methods are streams, to which other limits apply.
    #[must_use]
    pub fn descriptors(mut self, encoded: &'static [u8]) -> Self {
        self.descriptors.push(encoded);
        self
    }

    /// Serves public keys at [`JWKS_PATH`]: a JSON Web Key Set, asked for at each request.
    #[must_use]
    pub fn jwks(mut self, json: impl Fn() -> String + Clone + Send + Sync + 'static) -> Self {
        let headers = [
            (http::header::CONTENT_TYPE, "application/json"),
            (http::header::CACHE_CONTROL, "public, max-age=300"),
        ];
        self.http = self.http.route(JWKS_PATH, get(async move || (headers, json())));
        self
    }

    /// Takes the address. Nothing is answered before [`Bound::serve`].
    ///
    /// # Errors
    /// [`ServerError`] when the address cannot be had or the descriptors cannot be served.
    pub async fn bind(mut self, address: SocketAddr) -> Result<Bound, ServerError> {
        self.descriptors.extend([
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ]);
        let streams = stream_paths(&self.descriptors)?;
        let (health, health_service) = tonic_health::server::health_reporter();
        for name in &self.names {
            health.set_service_status(*name, ServingStatus::Serving).await;
        }
        let (v1, v1alpha) = (self.reflection().build_v1()?, self.reflection().build_v1alpha()?);
        let routes = self.routes.add_service(v1).add_service(v1alpha);
        let listen = async {
            let listener = TcpListener::bind(address).await?;
            let bound = listener.local_addr()?;
            io::Result::Ok((listener, bound))
        };
        let (listener, bound) = listen.await.map_err(|source| ServerError::Bind { address, source })?;
        let edge = Edge {
            grpc: routes.add_service(health_service).prepare().into_axum_router(),
            http: self.http,
            streams,
            request_permits: Arc::new(Semaphore::new(self.limits.concurrency_max)),
            stream_permits: Arc::new(Semaphore::new(self.limits.streams_max)),
            request_timeout: self.limits.request_timeout,
            ending: CancellationToken::new(),
        };
        Ok(Bound {
            listener,
            address: bound,
            edge: Arc::new(edge),
            health,
            names: self.names,
            limits: self.limits,
        })
    }

    fn reflection(&self) -> tonic_reflection::server::Builder<'static> {
        let own = ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"];
        let builder = self
            .descriptors
            .iter()
            .fold(tonic_reflection::server::Builder::configure(), |builder, encoded| {
                builder.register_encoded_file_descriptor_set(encoded)
            });
        // Only what is served here, whatever else the descriptors describe.
        self.names.iter().copied().chain(own).fold(builder, |builder, name| builder.with_service_name(name))
    }
}

/// The paths of all methods that stream, in either direction.
fn stream_paths(descriptors: &[&'static [u8]]) -> Result<HashSet<String>, prost::DecodeError> {
    let mut paths = HashSet::new();
    for encoded in descriptors {
        for file in prost_types::FileDescriptorSet::decode(*encoded)?.file {
            for service in &file.service {
                let streams = |method: &&prost_types::MethodDescriptorProto| {
                    method.server_streaming() || method.client_streaming()
                };
                paths.extend(
                    service
                        .method
                        .iter()
                        .filter(streams)
                        .map(|method| format!("/{}.{}/{}", file.package(), service.name(), method.name())),
                );
            }
        }
    }
    Ok(paths)
}

/// A server that has its address.
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    edge: Arc<Edge>,
    health: HealthReporter,
    names: Vec<&'static str>,
    limits: Limits,
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that had to be cut because the grace was over.
    pub cut_off: usize,
}

impl Bound {
    /// The address, with the port that was taken.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where a service's health is told. All are healthy until told otherwise or shut down.
    #[must_use]
    pub fn health(&self) -> HealthReporter {
        self.health.clone()
    }

    /// Answers until `shutdown`, then ends in order, within `grace`: says by its health that it is
    /// not serving, accepts nothing more, lets requests in flight finish, ends streams with
    /// UNAVAILABLE, cuts what is left.
    pub async fn serve(self, shutdown: CancellationToken, grace: Duration) -> Drained {
        let connections = self.connections();
        let closing = CancellationToken::new();
        let mut tasks = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = shutdown.cancelled() => break,
                // So that those which ended do not gather.
                Some(_) = tasks.join_next() => continue,
            };
            match accepted {
                Ok((stream, peer)) => {
                    tasks.spawn(connection(
                        stream,
                        peer,
                        connections.clone(),
                        self.edge.clone(),
                        closing.clone(),
                    ));
                }
                Err(error) => {
                    tracing::warn!(%error, "connection could not be accepted");
                    let _ = timeout(ACCEPT_AGAIN_AFTER, shutdown.cancelled()).await;
                }
            }
        }
        let deadline = Instant::now() + grace;
        for name in self.names.iter().copied().chain([""]) {
            self.health.set_service_status(name, ServingStatus::NotServing).await;
        }
        drop(self.listener);
        closing.cancel();
        let everything = u32::try_from(self.limits.concurrency_max).unwrap_or(u32::MAX);
        let drained = timeout_at(deadline, self.edge.request_permits.acquire_many(everything)).await;
        drop(drained);
        self.edge.ending.cancel();
        let deadline = deadline.max(Instant::now() + STREAMS_END_WITHIN);
        let _ = timeout_at(deadline, async { while tasks.join_next().await.is_some() {} }).await;
        let cut_off = tasks.len();
        tasks.shutdown().await;
        Drained { cut_off }
    }

    fn connections(&self) -> Arc<auto::Builder<TokioExecutor>> {
        let streams = self.limits.concurrency_max.saturating_add(self.limits.streams_max);
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PEER_SILENT_MAX)
            .max_concurrent_streams(u32::try_from(streams).unwrap_or(u32::MAX))
            .max_header_list_size(HEADER_BYTES_MAX);
        Arc::new(builder)
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    builder: Arc<auto::Builder<TokioExecutor>>,
    edge: Arc<Edge>,
    closing: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "connection was lost at once");
        return;
    }
    let service = hyper::service::service_fn(move |request| {
        let edge = edge.clone();
        async move { Ok::<_, Infallible>(edge.answer(peer, request).await) }
    });
    let mut serving = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = closing.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "connection was lost");
    }
}

/// Who calls, as the server established it.
///
/// # Errors
/// UNAUTHENTICATED when it could not.
pub fn caller<T>(request: &tonic::Request<T>) -> Result<Caller, Status> {
    request.extensions().get::<Caller>().cloned().ok_or_else(|| {
        let message = "who calls could not be established";
        Refusal::new(Code::Unauthenticated, reason::UNAUTHENTICATED, message).into()
    })
}
