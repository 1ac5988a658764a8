//! A small service to call, and a server around it.

use std::{
    convert::Infallible,
    future::Ready,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto};
use service_kit::{
    Refusal, Server,
    config::Limits,
    server::{Drained, Gate},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    task::JoinHandle,
    time::timeout,
};
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Request, Response, Status,
    body::Body,
    server::{Grpc, NamedService, ServerStreamingService, UnaryService},
    transport::Channel,
};
use tonic_prost::ProstCodec;

pub const BOUND: Duration = Duration::from_secs(20);
pub const LIMITS: Limits = Limits {
    backlog_events_max: 1,
    message_bytes_max: 4096,
    request_timeout: Duration::from_secs(10),
    concurrency_max: 16,
    streams_max: 4,
};

pub type Text = String;

/// A service of three methods. `Say` does what its message says.
#[derive(Clone, Default)]
pub struct Echo {
    pub entered: Arc<Notify>,
    pub leave: Arc<Notify>,
}

impl NamedService for Echo {
    const NAME: &'static str = "test.v1.Echo";
}

#[derive(Debug, thiserror::Error)]
#[error("the table secret_table is gone")]
struct Behind;

impl UnaryService<Text> for Echo {
    type Response = Text;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Text>, Status>> + Send>>;

    fn call(&mut self, request: Request<Text>) -> Self::Future {
        let Self { entered, leave } = self.clone();
        Box::pin(async move {
            match request.get_ref().as_str() {
                "panic" => panic!("secret_table"),
                "fail" => {
                    let refusal = Refusal::new(Code::Unavailable, "STORE_UNAVAILABLE", "try again");
                    Err(refusal.caused_by(Behind).into())
                }
                "hang" => {
                    entered.notify_one();
                    leave.notified().await;
                    Ok(Response::new("done".into()))
                }
                "who" => Ok(Response::new(service_kit::caller(&request)?.name.to_string())),
                other => Ok(Response::new(other.into())),
            }
        })
    }
}

impl ServerStreamingService<Text> for Echo {
    type Response = Text;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<Text, Status>> + Send>>;
    type Future = Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Text>) -> Self::Future {
        let first = tokio_stream::once(Ok("first".to_string()));
        let rest: Self::ResponseStream = match request.get_ref().as_str() {
            "panic" => Box::pin(tokio_stream::once(()).map(|()| panic!("secret_table"))),
            _ => Box::pin(tokio_stream::pending()),
        };
        std::future::ready(Ok(Response::new(Box::pin(first.chain(rest)))))
    }
}

impl tower::Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let echo = self.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::<Text, Text>::default())
                .apply_max_message_size_config(Some(LIMITS.message_bytes_max), None);
            Ok(match request.uri().path() {
                "/test.v1.Echo/Say" => grpc.unary(echo, request).await,
                "/test.v1.Echo/Watch" => grpc.server_streaming(echo, request).await,
                _ => Status::unimplemented("").into_http(),
            })
        })
    }
}

fn descriptors() -> &'static [u8] {
    let method = |name: &str, streams| MethodDescriptorProto {
        name: Some(name.into()),
        input_type: Some(".google.protobuf.StringValue".into()),
        output_type: Some(".google.protobuf.StringValue".into()),
        server_streaming: Some(streams),
        ..Default::default()
    };
    let file = FileDescriptorProto {
        name: Some("test/v1/echo.proto".into()),
        package: Some("test.v1".into()),
        service: vec![ServiceDescriptorProto {
            name: Some("Echo".into()),
            method: vec![method("Say", false), method("Watch", true)],
            ..Default::default()
        }],
        ..Default::default()
    };
    FileDescriptorSet { file: vec![file] }.encode_to_vec().leak()
}

pub struct Running {
    pub address: SocketAddr,
    pub echo: Echo,
    pub shutdown: CancellationToken,
    pub served: JoinHandle<Drained>,
    pub channel: Channel,
}

impl Running {
    pub async fn start(limits: Limits, grace: Duration) -> Self {
        let echo = Echo::default();
        Self::serving(Server::builder(limits).service(echo.clone()), echo, grace).await
    }

    /// With the service behind that gate.
    pub async fn behind(gate: Gate) -> Self {
        let echo = Echo::default();
        Self::serving(Server::builder(LIMITS).gated(echo.clone(), gate), echo, BOUND).await
    }

    async fn serving(server: Server, echo: Echo, grace: Duration) -> Self {
        let bound = server
            .descriptors(descriptors())
            .jwks(|| r#"{"keys":[]}"#.into())
            .bind("127.0.0.1:0".parse().unwrap())
            .await
            .unwrap();
        let address = bound.address();
        let shutdown = CancellationToken::new();
        let serving = bound.serve(shutdown.clone(), grace);
        let served = tokio::runtime::Handle::current().spawn(serving);
        let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        Self { address, echo, shutdown, served, channel }
    }

    pub async fn usual() -> Self {
        Self::start(LIMITS, BOUND).await
    }

    pub fn client(&self) -> tonic::client::Grpc<Channel> {
        tonic::client::Grpc::new(self.channel.clone())
    }

    pub async fn call(&self, path: &'static str, request: Request<Text>) -> Result<Text, Status> {
        let mut client = self.client();
        client.ready().await.unwrap();
        let answer = client.unary(request, path.parse().unwrap(), ProstCodec::<Text, Text>::default());
        timeout(BOUND, answer).await.unwrap().map(Response::into_inner)
    }

    pub async fn say(&self, text: &str) -> Result<Text, Status> {
        self.call("/test.v1.Echo/Say", Request::new(text.into())).await
    }

    pub async fn watch(&self, text: &str) -> Result<tonic::Streaming<Text>, Status> {
        let mut client = self.client();
        client.ready().await.unwrap();
        let path = "/test.v1.Echo/Watch".parse().unwrap();
        client
            .server_streaming(Request::new(text.into()), path, ProstCodec::<Text, Text>::default())
            .await
            .map(Response::into_inner)
    }

    /// A call that stays in its handler, once it is there.
    pub async fn hanging(&self) -> JoinHandle<Result<Text, Status>> {
        let mut client = self.client();
        let call = tokio::runtime::Handle::current().spawn(async move {
            client.ready().await.unwrap();
            let codec = ProstCodec::<Text, Text>::default();
            let path = "/test.v1.Echo/Say".parse().unwrap();
            client.unary(Request::new("hang".into()), path, codec).await.map(Response::into_inner)
        });
        timeout(BOUND, self.echo.entered.notified()).await.unwrap();
        call
    }

    pub async fn http(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("{request} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(BOUND, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        answer
    }
}
