//! Free ports on loopback.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

const FIRST: u16 = 20_000;
const SPAN: u16 = 12_000;
/// A prime, so that processes started one after the other look far apart from each other.
const STRIDE: u32 = 331;

/// How many ports this process has looked at; none is given twice until all were.
static LOOKED_AT: AtomicU32 = AtomicU32::new(0);

/// Free ports below those that the system gives to outgoing connections, so that none is taken in between.
pub fn free<const N: usize>() -> Result<[u16; N]> {
    let start = std::process::id().wrapping_mul(STRIDE);
    let ports: Vec<u16> = (0..SPAN)
        .map(|_| {
            let next = start.wrapping_add(LOOKED_AT.fetch_add(1, Ordering::Relaxed));
            FIRST + (next % u32::from(SPAN)) as u16
        })
        .filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .take(N)
        .collect();
    ports.try_into().ok().context("there are not enough free ports on loopback")
}
