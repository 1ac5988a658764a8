//! The way to a server.

use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

use super::Failure;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Longer than the server takes by itself, so that its own answer arrives.
const ANSWER_WITHIN: Duration = Duration::from_secs(40);
/// Receipts and quotes of many items are larger than what a server takes in.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Connects to the server.
///
/// # Errors
/// [`Failure`] when the address is not `http://host:port` or nobody answers there.
pub async fn connect(server: &str) -> Result<Channel, Failure> {
    let wrong = || format!("{server} is no server: an address is http://host:port");
    let endpoint =
        Endpoint::from_shared(server.to_owned()).map_err(|error| Failure::local(wrong(), error))?;
    // A word alone is read as a host without a scheme; nothing would ever answer there.
    if endpoint.uri().scheme_str() != Some("http") {
        return Err(Failure::plain(wrong()));
    }
    let endpoint = endpoint.connect_timeout(CONNECT_WITHIN).timeout(ANSWER_WITHIN).tcp_nodelay(true);
    endpoint
        .connect()
        .await
        .map_err(|error| Failure::Unreachable { server: server.into(), source: error.into() })
}
