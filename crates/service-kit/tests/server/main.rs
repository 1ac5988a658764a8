//! The server as its callers meet it: a real one on a free port, and real clients.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod echo;

use std::time::Duration;

use echo::{BOUND, LIMITS, Running};
use futures::StreamExt as _;
use service_kit::{
    Server,
    config::Limits,
    reason,
    server::{Drained, Gate},
};
use tokio::{net::TcpStream, time::timeout};
use tonic::{Code, Request, Status};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_prost::ProstCodec;
use tonic_reflection::pb::{v1, v1alpha};
use tonic_types::StatusExt;

fn reason_of(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

#[tokio::test]
async fn a_call_is_answered_and_its_caller_on_this_machine_is_local() {
    let running = Running::usual().await;
    assert_eq!(running.say("hello").await.unwrap(), "hello");
    assert_eq!(running.say("who").await.unwrap(), "local");
}

#[tokio::test]
async fn health_is_told_of_the_whole_and_of_each_service() {
    let running = Running::usual().await;
    let mut health = HealthClient::new(running.channel.clone());
    for service in ["", "test.v1.Echo"] {
        let request = HealthCheckRequest { service: service.into() };
        assert_eq!(health.check(request).await.unwrap().into_inner().status, 1, "{service}");
    }
    let unknown = HealthCheckRequest { service: "none".into() };
    assert_eq!(health.check(unknown).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn reflection_lists_what_is_served_in_both_versions() {
    let running = Running::usual().await;
    let expected = ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "test.v1.Echo"];

    use v1::{server_reflection_request as ask, server_reflection_response as told};
    let request =
        |message| v1::ServerReflectionRequest { host: String::new(), message_request: Some(message) };
    let requests = [
        request(ask::MessageRequest::ListServices(String::new())),
        request(ask::MessageRequest::FileContainingSymbol("google.rpc.BadRequest".into())),
    ];
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(running.channel.clone());
    let mut answers = client.server_reflection_info(tokio_stream::iter(requests)).await.unwrap().into_inner();
    let Some(told::MessageResponse::ListServicesResponse(list)) =
        answers.message().await.unwrap().unwrap().message_response
    else {
        panic!("no list");
    };
    let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    names.sort();
    assert_eq!(names, expected);
    let details = answers.message().await.unwrap().unwrap().message_response.unwrap();
    assert!(matches!(details, told::MessageResponse::FileDescriptorResponse(_)));

    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(
            "test.v1.Echo".into(),
        )),
    };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(running.channel.clone());
    let mut answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    assert!(matches!(
        answers.message().await.unwrap().unwrap().message_response,
        Some(v1alpha::server_reflection_response::MessageResponse::FileDescriptorResponse(_))
    ));
}

#[tokio::test]
async fn keys_stand_at_their_http_path_and_other_paths_are_not_found() {
    let running = Running::usual().await;
    let keys = running.http("GET /.well-known/jwks.json").await;
    assert!(keys.starts_with("HTTP/1.1 200") && keys.ends_with(r#"{"keys":[]}"#), "{keys}");
    assert!(keys.contains("content-type: application/json"), "{keys}");
    assert!(running.http("POST /.well-known/jwks.json").await.starts_with("HTTP/1.1 405"));
    for path in ["/", "/none", "/test.v1.Echo/Say"] {
        assert!(running.http(&format!("GET {path}")).await.starts_with("HTTP/1.1 404"), "{path}");
    }
}

#[tokio::test]
async fn b16_behind_its_gate_a_service_answers_nothing_while_health_and_reflection_do() {
    let gate = Gate::default();
    let running = Running::behind(gate.clone()).await;
    for path in ["/test.v1.Echo/Say", "/test.v1.Echo/None"] {
        let refused = running.call(path, Request::new("hello".into())).await.unwrap_err();
        assert_eq!((refused.code(), reason_of(&refused).as_str()), (Code::Unavailable, reason::CATCHING_UP));
        let retry = refused.get_details_retry_info().unwrap().retry_delay;
        assert_eq!(retry, Some(service_kit::RETRY_AFTER));
    }
    let mut health = HealthClient::new(running.channel.clone());
    assert!(health.check(HealthCheckRequest { service: "test.v1.Echo".into() }).await.is_ok());
    let list = v1::server_reflection_request::MessageRequest::ListServices(String::new());
    let request = v1::ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(running.channel.clone());
    assert!(client.server_reflection_info(tokio_stream::once(request)).await.is_ok());
    gate.open();
    assert_eq!(running.say("hello").await.unwrap(), "hello");
}

#[tokio::test]
async fn unknown_grpc_methods_and_services_are_unimplemented() {
    let running = Running::usual().await;
    for path in ["/test.v1.Echo/None", "/none.v1.None/Say"] {
        let status = running.call(path, Request::new("x".into())).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{path}");
    }
}

#[tokio::test]
async fn a_message_larger_than_the_limit_is_refused() {
    let running = Running::usual().await;
    let status = running.say(&"x".repeat(LIMITS.message_bytes_max + 1)).await.unwrap_err();
    assert_eq!(
        (status.code(), reason_of(&status).as_str()),
        (Code::ResourceExhausted, reason::MESSAGE_TOO_LARGE)
    );
    assert!(running.say(&"x".repeat(1000)).await.is_ok());
}

#[tokio::test]
async fn bytes_that_are_not_the_message_are_the_callers_fault() {
    let running = Running::usual().await;
    let mut client = running.client();
    client.ready().await.unwrap();
    let path = "/test.v1.Echo/Say".parse().unwrap();
    let codec = ProstCodec::<Vec<u8>, String>::default();
    let status = client.unary(Request::new(vec![0xff]), path, codec).await.unwrap_err();
    assert_eq!(
        (status.code(), reason_of(&status).as_str()),
        (Code::InvalidArgument, reason::MALFORMED_MESSAGE)
    );
}

#[tokio::test]
async fn a_panic_is_internal_and_shows_nothing_and_the_next_call_is_answered() {
    let running = Running::usual().await;
    let status = running.say("panic").await.unwrap_err();
    assert_eq!((status.code(), reason_of(&status).as_str()), (Code::Internal, reason::INTERNAL));
    assert!(!format!("{status:?}").contains("secret_table"));
    assert!(running.say("hello").await.is_ok());

    let mut stream = running.watch("panic").await.unwrap();
    let status = timeout(BOUND, stream.message()).await.unwrap().unwrap_err();
    assert_eq!((status.code(), reason_of(&status).as_str()), (Code::Internal, reason::INTERNAL));
}

#[tokio::test]
async fn the_error_behind_a_refusal_does_not_leave_the_process() {
    let running = Running::usual().await;
    let status = running.say("fail").await.unwrap_err();
    assert_eq!((status.code(), reason_of(&status).as_str()), (Code::Unavailable, "STORE_UNAVAILABLE"));
    assert!(!format!("{status:?}").contains("secret_table"));
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_ended_and_a_stream_is_not() {
    let limits = Limits { request_timeout: Duration::from_millis(50), ..LIMITS };
    let running = Running::start(limits, BOUND).await;
    let status = running.say("hang").await.unwrap_err();
    assert_eq!(
        (status.code(), reason_of(&status).as_str()),
        (Code::DeadlineExceeded, reason::DEADLINE_EXCEEDED)
    );
    // Streams are not bounded by it: this one outlives a call that takes as long as is allowed.
    let mut stream = running.watch("").await.unwrap();
    assert_eq!(stream.message().await.unwrap().unwrap(), "first");
    running.say("hang").await.unwrap_err();
    assert!(timeout(Duration::ZERO, stream.message()).await.is_err(), "still open");
}

#[tokio::test]
async fn more_calls_than_the_limit_are_refused_at_once() {
    let running = Running::start(Limits { concurrency_max: 1, ..LIMITS }, BOUND).await;
    let first = running.hanging().await;
    let status = running.say("hello").await.unwrap_err();
    assert_eq!((status.code(), reason_of(&status).as_str()), (Code::ResourceExhausted, reason::OVERLOADED));
    assert!(status.get_details_retry_info().unwrap().retry_delay.is_some());
    // Streams have a limit of their own.
    let stream = running.watch("").await.unwrap();
    running.echo.leave.notify_one();
    assert_eq!(first.await.unwrap().unwrap(), "done");
    drop(stream);
}

/// More than HTTP/2 has under way on a connection, so that each place is taken again at once.
const REFUSED_AT_ONCE: usize = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_are_refused_for_load_are_all_told_why() {
    let limits = Limits { concurrency_max: 1, request_timeout: 30 * BOUND, ..LIMITS };
    let running = Running::start(limits, BOUND).await;
    let first = running.hanging().await;
    let message = "x".repeat(1000);
    let calls = (0..4 * REFUSED_AT_ONCE).map(|_| running.say(&message));
    let mut refused = futures::stream::iter(calls).buffer_unordered(REFUSED_AT_ONCE);
    while let Some(outcome) = refused.next().await {
        let status = outcome.unwrap_err();
        assert_eq!(reason_of(&status), reason::OVERLOADED, "{status:?}");
    }
    running.echo.leave.notify_one();
    assert_eq!(first.await.unwrap().unwrap(), "done");
}

#[tokio::test]
async fn more_streams_than_the_limit_are_refused_until_one_ends() {
    let running = Running::start(Limits { streams_max: 1, ..LIMITS }, BOUND).await;
    let first = running.watch("").await.unwrap();
    assert_eq!(running.watch("").await.unwrap_err().code(), Code::ResourceExhausted);
    assert!(running.say("hello").await.is_ok());
    drop(first);
    // Its permit comes back when the server has heard of it.
    let again = async { while running.watch("").await.is_err() {} };
    timeout(BOUND, again).await.unwrap();
}

#[tokio::test]
async fn shutdown_says_so_by_its_health_drains_calls_and_ends_streams() {
    let running = Running::usual().await;
    let mut stream = running.watch("").await.unwrap();
    assert_eq!(stream.message().await.unwrap().unwrap(), "first");
    let mut health = HealthClient::new(running.channel.clone())
        .watch(HealthCheckRequest { service: "test.v1.Echo".into() })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(health.message().await.unwrap().unwrap().status, 1);
    let call = running.hanging().await;

    running.shutdown.cancel();
    assert_eq!(health.message().await.unwrap().unwrap().status, 2, "not serving, while it drains");
    let refused = async { while TcpStream::connect(running.address).await.is_ok() {} };
    timeout(BOUND, refused).await.unwrap();
    assert!(timeout(Duration::ZERO, stream.message()).await.is_err(), "still open");

    running.echo.leave.notify_one();
    assert_eq!(call.await.unwrap().unwrap(), "done");
    let status = timeout(BOUND, stream.message()).await.unwrap().unwrap_err();
    assert_eq!((status.code(), reason_of(&status).as_str()), (Code::Unavailable, reason::SHUTTING_DOWN));
    assert_eq!(timeout(BOUND, running.served).await.unwrap().unwrap(), Drained { cut_off: 0 });
}

#[tokio::test]
async fn what_does_not_end_within_the_grace_is_cut() {
    let running = Running::start(LIMITS, Duration::from_millis(10)).await;
    let call = running.hanging().await;
    running.shutdown.cancel();
    assert_eq!(timeout(BOUND, running.served).await.unwrap().unwrap(), Drained { cut_off: 1 });
    assert!(call.await.unwrap().is_err());
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let running = Running::usual().await;
    let error = Server::builder(LIMITS).bind(running.address).await.err().unwrap();
    assert!(error.to_string().contains(&running.address.to_string()), "{error}");
}

#[tokio::test]
async fn a_caller_who_leaves_frees_the_place() {
    let running = Running::start(Limits { concurrency_max: 1, ..LIMITS }, BOUND).await;
    let call = running.hanging().await;
    call.abort();
    let again = async { while running.say("hello").await.is_err() {} };
    timeout(BOUND, again).await.unwrap();
}
