//! A TCP proxy whose wire can be cut, frozen, slowed, or lose the answer to what was sent.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};

const CHUNK_BYTES: usize = 16 * 1024;
/// How many chunks are on the wire of one direction at most.
const ON_THE_WIRE: usize = 64;
/// A chunk of a client's that is as long as this, or says COMMIT, is taken to change something.
const WRITE_BYTES: usize = 400;
/// How long the answer to a write is waited for before it is lost.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// What the wire does with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wire {
    /// Carries them.
    #[default]
    Whole,
    /// Is cut: every connection breaks, and new ones do at once.
    Cut,
    /// Is half-open: connections stand, and nothing arrives.
    Frozen,
    /// Carries them, each so much later, in each direction.
    Slow(Duration),
}

#[derive(Debug, Clone, Copy)]
struct State {
    wire: Wire,
    upstream: SocketAddr,
    /// Rises when connections made before must break.
    generation: u64,
}

struct Shared {
    state: watch::Sender<State>,
    /// How many answers to writes are still to be lost.
    losing: AtomicUsize,
    lost: AtomicUsize,
}

/// A listening proxy; it ends when it is dropped, and its connections with it.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _task: JoinSet<()>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and carries what comes to `upstream`.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub async fn listen(upstream: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a proxy's port")?;
        let address = listener.local_addr()?;
        let state = watch::Sender::new(State { wire: Wire::Whole, upstream, generation: 0 });
        let shared = Arc::new(Shared { state, losing: AtomicUsize::new(0), lost: AtomicUsize::new(0) });
        let mut task = JoinSet::new();
        task.spawn(accept(listener, shared.clone()));
        Ok(Self { address, shared, _task: task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Does this with bytes from now on. A cut breaks what is connected.
    pub fn wire(&self, wire: Wire) {
        self.shared.state.send_modify(|state| {
            state.wire = wire;
            state.generation += u64::from(wire == Wire::Cut);
        });
    }

    /// Carries to another server from now on, and breaks what is connected to the one before.
    pub fn redirect(&self, upstream: SocketAddr) {
        self.shared.state.send_modify(|state| {
            state.upstream = upstream;
            state.generation += 1;
        });
    }

    /// The next so many writes reach the server, but their answers are lost with the connection.
    pub fn lose_answers(&self, writes: usize) {
        self.shared.losing.fetch_add(writes, Ordering::Relaxed);
    }

    /// How many answers were lost so far.
    #[must_use]
    pub fn lost_answers(&self) -> usize {
        self.shared.lost.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // Out of files, or gone before it was taken: the next one may be better.
                let Ok((client, _)) = accepted else { continue };
                connections.spawn(connect(client, shared.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection, until either end or a cut ends it.
async fn connect(client: TcpStream, shared: Arc<Shared>) {
    let mut state = shared.state.subscribe();
    let State { wire, upstream, generation } = *state.borrow_and_update();
    if wire == Wire::Cut {
        return;
    }
    let carried = async {
        let server = TcpStream::connect(upstream).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let doomed = watch::Sender::new(false);
        let there = carry(from_client, to_server, &shared, &doomed, Direction::There);
        let back = carry(from_server, to_client, &shared, &doomed, Direction::Back);
        // Neither of the protocols that go through here closes one direction only.
        tokio::select! {
            ended = there => ended,
            ended = back => ended,
            () = unanswered(doomed.subscribe()) => Ok(()),
        }
    };
    tokio::select! {
        // The sender lives as long as `shared`.
        _ = state.wait_for(|state| state.generation != generation) => {}
        _ = carried => {}
    }
}

/// Ends when an answer that was to be lost does not come at all.
async fn unanswered(mut doomed: watch::Receiver<bool>) {
    let is_doomed = doomed.wait_for(|doomed| *doomed).await.is_ok();
    if is_doomed {
        // Nobody sends twice: this waits for the bound.
        let _ = timeout(ANSWER_WITHIN, std::future::pending::<()>()).await;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    There,
    Back,
}

/// Carries one direction. A write whose answer is to be lost dooms the connection before it goes out, so that
/// nothing that comes back after it gets through.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    shared: &Shared,
    doomed: &watch::Sender<bool>,
    direction: Direction,
) -> io::Result<()> {
    let (sender, mut wire) = mpsc::channel::<(Instant, Vec<u8>)>(ON_THE_WIRE);
    let mut state = shared.state.subscribe();
    let reading = async move {
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let read = from.read(&mut buffer).await?;
            let delay = match shared.state.borrow().wire {
                Wire::Slow(delay) => delay,
                Wire::Whole | Wire::Cut | Wire::Frozen => Duration::ZERO,
            };
            let chunk = (Instant::now() + delay, buffer[..read].to_vec());
            if read == 0 || sender.send(chunk).await.is_err() {
                return io::Result::Ok(());
            }
        }
    };
    let writing = async {
        while let Some((due, bytes)) = wire.recv().await {
            // Nothing else is waited for than that it is due.
            let _ = timeout_at(due, std::future::pending::<()>()).await;
            let _ = state.wait_for(|state| state.wire != Wire::Frozen).await;
            if direction == Direction::There && is_write(&bytes) && shared.loses_one() {
                doomed.send_replace(true);
            }
            if direction == Direction::Back && *doomed.borrow() {
                return Ok(());
            }
            to.write_all(&bytes).await?;
        }
        Ok(())
    };
    // Reading ends first and drops its sender; what is on the wire still arrives.
    tokio::pin!(reading, writing);
    tokio::select! {
        written = &mut writing => written,
        read = &mut reading => {
            read?;
            writing.await
        }
    }
}

fn is_write(bytes: &[u8]) -> bool {
    bytes.len() >= WRITE_BYTES || bytes.windows(6).any(|word| word.eq_ignore_ascii_case(b"commit"))
}

impl Shared {
    /// Whether this write's answer is to be lost; then one less is.
    fn loses_one(&self) -> bool {
        let less = |losing: usize| losing.checked_sub(1);
        let taken = self.losing.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok();
        self.lost.fetch_add(usize::from(taken), Ordering::Relaxed);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers each chunk with itself, and says how many bytes it got.
    async fn echo() -> (SocketAddr, watch::Receiver<usize>, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (got, gets) = watch::channel(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            let got = Arc::new(got);
            while let Ok((mut stream, _)) = listener.accept().await {
                let got = got.clone();
                connections.spawn(async move {
                    let mut buffer = [0; 1024];
                    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                        got.send_modify(|sum| *sum += read);
                        if stream.write_all(&buffer[..read]).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
        (address, gets, tasks)
    }

    async fn says(stream: &mut TcpStream, text: &str) -> io::Result<String> {
        stream.write_all(text.as_bytes()).await?;
        let mut buffer = vec![0; text.len()];
        stream.read_exact(&mut buffer).await?;
        Ok(String::from_utf8(buffer).unwrap())
    }

    #[tokio::test]
    async fn a_wire_is_whole_then_cut_then_whole_again() {
        let (server, _, _tasks) = echo().await;
        let proxy = Proxy::listen(server).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(says(&mut stream, "here").await.unwrap(), "here");
        proxy.wire(Wire::Cut);
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap_or(0), 0);
        let mut refused = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(says(&mut refused, "here").await.is_err());
        proxy.wire(Wire::Whole);
        let mut again = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(says(&mut again, "again").await.unwrap(), "again");
    }

    #[tokio::test]
    async fn a_frozen_wire_keeps_everything_and_a_slow_one_takes_its_time() {
        let (server, _, _tasks) = echo().await;
        let proxy = Proxy::listen(server).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(says(&mut stream, "here").await.unwrap(), "here");
        proxy.wire(Wire::Frozen);
        stream.write_all(b"kept").await.unwrap();
        let mut buffer = [0; 4];
        let nothing = timeout(Duration::from_millis(100), stream.read_exact(&mut buffer)).await;
        assert!(nothing.is_err());
        proxy.wire(Wire::Whole);
        stream.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"kept");
        proxy.wire(Wire::Slow(Duration::from_millis(40)));
        let begun = Instant::now();
        assert_eq!(says(&mut stream, "slow").await.unwrap(), "slow");
        assert!(begun.elapsed() >= Duration::from_millis(80));
    }

    #[tokio::test]
    async fn the_answer_of_a_write_is_lost_after_the_server_got_it() {
        let (server, mut got, _tasks) = echo().await;
        let proxy = Proxy::listen(server).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(says(&mut stream, "select").await.unwrap(), "select");
        proxy.lose_answers(1);
        assert_eq!(says(&mut stream, "begin").await.unwrap(), "begin");
        assert!(says(&mut stream, "COMMIT").await.is_err());
        got.wait_for(|sum| *sum == 17).await.unwrap();
        assert_eq!(proxy.lost_answers(), 1);
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(says(&mut stream, "COMMIT").await.unwrap(), "COMMIT");
    }

    #[tokio::test]
    async fn a_wire_can_lead_to_another_server() {
        let ((one, _, _first), (two, mut got, _second)) = (echo().await, echo().await);
        let proxy = Proxy::listen(one).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(says(&mut stream, "one").await.unwrap(), "one");
        proxy.redirect(two);
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap_or(0), 0);
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(says(&mut stream, "two").await.unwrap(), "two");
        got.wait_for(|sum| *sum == 3).await.unwrap();
    }
}
