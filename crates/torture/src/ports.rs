//! Ports for processes that come back under the same address.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};

/// Below those that the system gives to outgoing connections, so that none is taken in between.
const FIRST: u16 = 20_000;
const SPAN: u16 = 12_000;

/// A free port on loopback.
///
/// # Errors
/// When there is none.
pub fn free() -> Result<u16> {
    let start = u16::try_from(types::fresh_uuid().as_u128() % u128::from(SPAN))?;
    let mut ports = (0..SPAN).map(|offset| FIRST + (start + offset) % SPAN);
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    ports.find(is_free).context("there is no free port on loopback")
}
