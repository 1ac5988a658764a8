//! CPU and memory of processes, as Linux tells them.

use std::{collections::BTreeSet, fs, time::Duration};

use anyhow::{Context, Result};

/// A tick of `/proc/<pid>/stat`: Linux shows 100 a second to programs whatever the kernel's own rate.
const TICK: Duration = Duration::from_millis(10);

/// A process, and those that belong to it.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    leader: u32,
    with_children: bool,
}

impl Group {
    /// That process and no other.
    pub fn of(leader: u32) -> Self {
        Self { leader, with_children: false }
    }

    /// This process, without the server that it started.
    pub fn own() -> Self {
        Self::of(std::process::id())
    }

    /// Who listens on the port that a URL or `host:port` names, with its children, if it is on this machine.
    pub fn listening(address: &str) -> Option<Self> {
        let authority = address.split_once("://").map_or(address, |(_, rest)| rest);
        let authority = authority.split(['/', ',']).next()?;
        let (host, port) = authority.rsplit('@').next()?.rsplit_once(':')?;
        let local = host == "localhost" || host.starts_with("127.") || host == "[::1]";
        let sockets = local.then(|| sockets_on(port.parse().ok()))?;
        // Children of a server may hold its socket too; the server was there first.
        let leader = pids().into_iter().find(|pid| holds(*pid, &sockets))?;
        Some(Self { leader, with_children: true })
    }

    /// CPU used so far; with children, also by those that have ended.
    pub fn cpu(self) -> Duration {
        let Some(leader) = stat(self.leader) else { return Duration::ZERO };
        if !self.with_children {
            return TICK * leader.own;
        }
        let children = pids().into_iter().filter_map(stat).filter(|stat| stat.parent == self.leader);
        TICK * (leader.own + leader.ended_children + children.map(|stat| stat.own).sum::<u32>())
    }

    /// The most memory that the leader has had, in bytes.
    pub fn peak_rss(self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.leader))?;
        kibibytes(&status, "VmHWM:").context("the system does not tell the peak of memory")
    }
}

/// Cores, and bytes of memory.
pub fn machine() -> Result<(usize, u64)> {
    let memory = fs::read_to_string("/proc/meminfo")?;
    let memory = kibibytes(&memory, "MemTotal:").context("the system does not tell its memory")?;
    Ok((std::thread::available_parallelism()?.get(), memory))
}

/// The bytes of a line like `MemTotal:  16 kB`.
fn kibibytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

struct Stat {
    parent: u32,
    /// Ticks.
    own: u32,
    /// Ticks.
    ended_children: u32,
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name may hold anything, brackets and spaces too.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u32>().ok();
    Some(Stat {
        parent: number(1)?,
        own: number(11)? + number(12)?,
        ended_children: number(13)? + number(14)?,
    })
}

fn pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    let mut pids: Vec<u32> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids
}

/// The inodes of the sockets that listen on a port.
fn sockets_on(port: Option<u16>) -> BTreeSet<String> {
    const LISTENING: &str = "0A";
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, local) = fields.get(1)?.rsplit_once(':')?;
        let is_it = fields.get(3) == Some(&LISTENING) && u16::from_str_radix(local, 16).ok() == port;
        is_it.then(|| fields.get(9).map(|inode| format!("socket:[{inode}]")))?
    };
    tables.iter().flat_map(|table| table.lines()).filter_map(inode).collect()
}

fn holds(pid: u32, sockets: &BTreeSet<String>) -> bool {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    let mut links = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    links.any(|link| link.to_str().is_some_and(|link| sockets.contains(link)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_hide_the_ticks_behind_it() {
        let stat = parse_stat("7 (a) b (c) S 3 7 7 0 -1 0 0 0 0 0 10 5 2 1 20 0 9").unwrap();
        assert_eq!((stat.parent, stat.own, stat.ended_children), (3, 15, 3));
    }

    #[test]
    fn we_find_ourselves_by_the_port_that_we_listen_on() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("postgres://me@{}/db", listener.local_addr().unwrap());
        assert_eq!(Group::listening(&url).unwrap().leader, std::process::id());
        assert!(Group::listening("postgres://db.example.com:5432/x").is_none());
    }

    #[test]
    fn memory_is_told_in_bytes() {
        assert_eq!(kibibytes("A: 1 kB\nVmHWM:\t  2 kB\n", "VmHWM:"), Some(2048));
        assert!(Group::own().peak_rss().unwrap() > 0);
    }
}
