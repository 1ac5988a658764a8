//! Faults under steady load. The oracle knows what was accepted, and counts what the stores say took effect.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use torture::{Engines, Fleet, Layout, Load, Plan, judge};

/// How long after the last fault everything may take to complete.
const QUIET: Duration = Duration::from_secs(60);
/// What a busy machine can do with a build that is not optimised; the long form asks for more.
const PLAN: Plan = Plan { per_s: 30, whole_every: 4 };

/// One fault at a time: side by side they would starve each other, and a machine that is starved proves nothing.
async fn alone() -> SemaphorePermit<'static> {
    static TURN: Semaphore = Semaphore::const_new(1);
    TURN.acquire().await.unwrap()
}

/// So many journeys, at least one and at most that many: a moment that nobody chose.
fn some(most: u128) -> usize {
    usize::try_from(1 + types::fresh_uuid().as_u128() % most).unwrap()
}

async fn judged(mut fleet: Fleet, load: Load) {
    let asked = load.finish().await.unwrap();
    let verdict = judge(&mut fleet, asked, QUIET).await.unwrap();
    eprintln!("{verdict}; {} answers were lost", verdict.lost_answers);
    if let Err(error) = verdict.ensure_good() {
        panic!("{error:#}\n{}", fleet.last_words());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_under_load_lose_nothing_and_double_nothing_on_embedded_storage() {
    let _alone = alone().await;
    let mut fleet = Fleet::new(Engines::Embedded, &Layout::one()).unwrap();
    fleet.start().await.unwrap();
    let load = Load::start(fleet.client(), PLAN);
    for _ in 0..5 {
        load.begun(load.begun_so_far() + some(30)).await.unwrap();
        fleet.kill(0).unwrap();
        fleet.start().await.unwrap();
    }
    judged(fleet, load).await;
}
