//! Telling other processes of a commit, and hearing of theirs: LISTEN and NOTIFY, as hints only.
//!
//! Notices go out after the commit, not within it: within, all commits of a server that notify wait for
//! each other through their flushes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::{AssertSqlSafe, PgPool, postgres::PgListener};
use tokio::{
    sync::{Mutex, watch},
    task::JoinSet,
    time::{Interval, MissedTickBehavior, interval},
};

const CHANNEL: &str = "appended";

/// How often others are told at the most. Each notice is a transaction, and wakes every process.
const NOTICE_INTERVAL: Duration = Duration::from_millis(50);

/// How often a lost connection is tried again. Until then polls find what others append.
const RECONNECT_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct Hints {
    pool: PgPool,
    committed: watch::Sender<u64>,
    /// The highest position this process committed.
    own: Arc<AtomicU64>,
    listener: Mutex<Listener>,
    tasks: Mutex<JoinSet<()>>,
}

struct Listener {
    connected: Option<PgListener>,
    reconnect: Interval,
}

impl Hints {
    pub(super) fn new(pool: PgPool) -> Self {
        let committed = watch::Sender::new(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(tell(pool.clone(), committed.subscribe()));
        let mut reconnect = interval(RECONNECT_INTERVAL);
        reconnect.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            pool,
            committed,
            own: Arc::default(),
            listener: Mutex::new(Listener { connected: None, reconnect }),
            tasks: Mutex::new(tasks),
        }
    }

    /// Tells of a commit of our own.
    pub(super) fn committed(&self, head: u64) {
        self.own.fetch_max(head, Ordering::Relaxed);
        self.committed.send_replace(head);
    }

    /// Waits until another process tells of a commit, or until one may have gone unheard.
    pub(super) async fn hinted(&self) {
        let mut listener = self.listener.lock().await;
        loop {
            let Some(connected) = &mut listener.connected else {
                listener.reconnect.tick().await;
                listener.connected = self.listen().await;
                if listener.connected.is_some() {
                    return;
                }
                continue;
            };
            match connected.try_recv().await {
                Ok(Some(notice)) => {
                    // Our own commits are in memory already.
                    let own = self.own.load(Ordering::Relaxed);
                    if notice.payload().parse::<u64>().map_or(true, |position| position > own) {
                        return;
                    }
                }
                Ok(None) => return,
                Err(_) => listener.connected = None,
            }
        }
    }

    async fn listen(&self) -> Option<PgListener> {
        let mut listener = PgListener::connect_with(&self.pool).await.ok()?;
        listener.listen(CHANNEL).await.ok()?;
        Some(listener)
    }

    /// Stops telling and hearing; the pool must be closing.
    pub(super) async fn close(&self) {
        self.tasks.lock().await.shutdown().await;
        self.listener.lock().await.connected = None;
    }
}

/// Sends the latest position; those that gathered while one was sent need no notice of their own.
async fn tell(pool: PgPool, mut committed: watch::Receiver<u64>) {
    let mut turn = interval(NOTICE_INTERVAL);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while committed.changed().await.is_ok() {
        turn.tick().await;
        let head: u64 = *committed.borrow_and_update();
        // A notice is a hint: it need not be durable before it is sent.
        let notice = format!("set local synchronous_commit = off; select pg_notify('{CHANNEL}', '{head}')");
        if let Err(error) = sqlx::raw_sql(AssertSqlSafe(notice)).execute(&pool).await {
            tracing::debug!(%error, "notice of a commit was not sent");
        }
    }
}
