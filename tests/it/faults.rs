//! Faults under steady load. The oracle knows what was accepted, and counts what the stores say took effect.

use std::{collections::BTreeSet, env, fs, path::PathBuf, time::Duration};

use testkit::Dice;
use tokio::sync::{Semaphore, SemaphorePermit};
use torture::{
    BOUND, Engines, Fault, Fleet, Layout, Load, Plan, Release, SiteOptions, Stage, fleet::ROLES, judge, until,
};

/// How long after the last fault everything may take to complete.
const QUIET: Duration = Duration::from_secs(300);
/// What a busy machine can do with a build that is not optimised; the long form asks for more.
const PLAN: Plan = Plan { per_s: 10, whole_every: 4 };

/// One fault at a time: side by side they would starve each other, and a machine that is starved proves nothing.
async fn alone() -> SemaphorePermit<'static> {
    static TURN: Semaphore = Semaphore::const_new(1);
    TURN.acquire().await.unwrap()
}

/// Whether the engines that the tests share are named; says so when they are not.
fn has_engines() -> bool {
    let named = Engines::shared().is_some();
    if !named {
        eprintln!("skipped: no PostgreSQL and Kafka are named");
    }
    named
}

async fn stage(options: SiteOptions, layout: &Layout) -> Stage {
    Stage::start(options, layout, PLAN, Dice::unseeded()).await.unwrap()
}

async fn strike(stage: &mut Stage, fault: Fault) {
    if let Err(error) = stage.strike(fault).await {
        panic!("{error:#}\n{}", stage.fleet.last_words());
    }
}

/// Nothing is lost, nothing is doubled, and all else is as it must be.
async fn judged(stage: Stage) {
    let (verdict, fleet) = stage.judge(QUIET).await.unwrap();
    let (lost, repeated) = (verdict.lost_answers, verdict.repeated);
    eprintln!("{verdict}; {lost} answers were lost, {repeated} records came again");
    if let Err(error) = verdict.ensure_good() {
        panic!("{error:#}\n{}", fleet.last_words());
    }
}

/// These faults one after the other, on everything in one process.
async fn survives(options: SiteOptions, faults: &[Fault]) {
    let mut stage = stage(options, &Layout::one()).await;
    for fault in faults {
        stage.moment(300, 1_000).await.unwrap();
        strike(&mut stage, *fault).await;
    }
    judged(stage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_of_each_role_is_killed_in_its_turn_and_then_all_are() {
    let _alone = alone().await;
    if !has_engines() {
        return;
    }
    let mut stage = stage(SiteOptions::default(), &Layout::each(1)).await;
    for _ in ROLES {
        stage.moment(300, 1_000).await.unwrap();
        strike(&mut stage, Fault::KillProcess).await;
    }
    stage.moment(300, 1_000).await.unwrap();
    strike(&mut stage, Fault::KillAll).await;
    judged(stage).await;
}

/// How often everything is killed at moments that nobody chose.
const KILLS: usize = 20;

async fn survives_kill_after_kill(options: SiteOptions) {
    survives(options, &[Fault::KillAll; KILLS]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_after_kill_nothing_is_lost_and_nothing_is_doubled_on_embedded_storage() {
    let _alone = alone().await;
    survives_kill_after_kill(SiteOptions { embedded: true, ..SiteOptions::default() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_after_kill_nothing_is_lost_and_nothing_is_doubled_on_postgresql_and_kafka() {
    let _alone = alone().await;
    if has_engines() {
        survives_kill_after_kill(SiteOptions::default()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_one_broker_is_killed_and_its_network_cut_half_open_and_slow() {
    let _alone = alone().await;
    if has_engines() {
        let faults = [Fault::KillBroker, Fault::CutBrokers, Fault::FreezeBrokers, Fault::SlowBrokers];
        survives(SiteOptions { brokers: 1, ..SiteOptions::default() }, &faults).await;
    }
}

/// What a process may need more while its broker is away: what waits to be acknowledged, the events that
/// follow in its store, and what was fetched (docs/operations.md).
const OUTAGE_MIB_MAX: u64 = 100;

/// The memory of a process in MiB, as the system counts it now.
fn memory_mib(fleet: &Fleet, number: usize) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", fleet.servers[number].pid().unwrap()));
    let line = status.unwrap().lines().find_map(|line| Some(line.strip_prefix("VmRSS:")?.to_owned()));
    let kib = line.unwrap().trim().trim_end_matches("kB").trim().parse::<u64>();
    kib.unwrap() / 1_024
}

/// `EXEUNT_OUTAGE_MS=60000` makes it the minute that docs/operations.md tells of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_one_broker_is_away_memory_is_bounded_and_afterwards_all_completes_by_itself() {
    let _alone = alone().await;
    if !has_engines() {
        return;
    }
    let span = env::var("EXEUNT_OUTAGE_MS").map_or(3_000, |text| text.parse().unwrap());
    let options = SiteOptions { brokers: 1, ..SiteOptions::default() };
    let mut stage = stage(options, &Layout::one()).await;
    stage.moment(2_000, 2_000).await.unwrap();
    let before = memory_mib(&stage.fleet, 0);
    stage.site.kill_broker(0).unwrap();
    stage.moment(span, span).await.unwrap();
    let after = memory_mib(&stage.fleet, 0);
    eprintln!("{before} MiB before, {after} MiB when the broker was away for {span} ms or more");
    assert!(after <= before + OUTAGE_MIB_MAX, "{before} MiB before, {after} MiB after");
    stage.site.start_broker(0).unwrap();
    judged(stage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_can_read_is_parked_and_what_comes_again_changes_nothing() {
    let _alone = alone().await;
    if has_engines() {
        let faults = [Fault::Poison, Fault::Repeat, Fault::Repeat, Fault::Poison, Fault::Repeat];
        survives(SiteOptions::default(), &faults).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_brokers_are_killed_one_after_the_other() {
    let _alone = alone().await;
    if has_engines() {
        survives(SiteOptions { brokers: 3, ..SiteOptions::default() }, &[Fault::RollBrokers]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_ends_at_once_loses_answers_of_commits_and_its_network() {
    let _alone = alone().await;
    if has_engines() {
        let faults = [Fault::RestartDatabase, Fault::LoseCommits, Fault::CutDatabase, Fault::FreezeDatabase];
        survives(SiteOptions { database: true, ..SiteOptions::default() }, &faults).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_synchronous_standby_of_the_database_takes_over() {
    let _alone = alone().await;
    if has_engines() {
        let options = SiteOptions { database: true, standby: true, ..SiteOptions::default() };
        survives(options, &[Fault::FailOver]).await;
    }
}

/// Waits until a process has said something in its log.
async fn says(fleet: &Fleet, number: usize, words: &str) {
    let log = fleet.servers[number].log();
    until(words, Duration::from_millis(100), QUIET, || async {
        Ok(fs::read_to_string(&log)?.contains(words).then_some(()))
    })
    .await
    .unwrap();
}

/// What a process says, among other things, for each batch of records that it commits.
const COMMITTED: &str = "batch committed";

/// Waits until a process commits batches of records: it has partitions, and works.
async fn works(fleet: &Fleet, number: usize) {
    says(fleet, number, COMMITTED).await;
}

/// Waits until each of the processes commits batches of what it reads from now on: all have partitions at the
/// same time.
async fn all_work(fleet: &Fleet) {
    let committed = || {
        let logs = fleet.servers.iter().map(|server| fs::read_to_string(server.log()).unwrap());
        logs.map(|log| log.matches(COMMITTED).count()).collect::<Vec<_>>()
    };
    let before = committed();
    until("every process to commit batches", Duration::from_millis(100), QUIET, || async {
        // What each service had under way before does not count.
        Ok(committed().iter().zip(&before).all(|(now, before)| *now > before + ROLES.len()).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_starts_while_its_database_is_away_waits_for_it() {
    let _alone = alone().await;
    if !has_engines() {
        return;
    }
    let mut stage = stage(SiteOptions { database: true, ..SiteOptions::default() }, &Layout::one()).await;
    stage.moment(300, 1_000).await.unwrap();
    stage.site.end_database().unwrap();
    stage.fleet.kill(0).unwrap();
    says(&stage.fleet, 0, "event store is away, and waited for").await;
    stage.site.start_database().unwrap();
    judged(stage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b28_replicas_come_and_go_under_load_and_each_of_them_works() {
    let _alone = alone().await;
    if !has_engines() {
        return;
    }
    let mut stage = stage(SiteOptions::default(), &Layout::one()).await;
    works(&stage.fleet, 0).await;
    // One more joins, and both work; then the first leaves for good, and the second goes on alone.
    strike(&mut stage, Fault::Replica).await;
    all_work(&stage.fleet).await;
    stage.fleet.remove(0).await.unwrap();
    stage.moment(500, 1_000).await.unwrap();
    judged(stage).await;
}

/// The binary of the release before this one; `None` where nobody built it.
fn previous() -> Option<Release> {
    let named = env::var_os("EXEUNT_TEST_PREVIOUS_BINARY").map(PathBuf::from);
    if named.is_none() {
        eprintln!("skipped: no binary of the previous release is named");
    }
    named.map(Release::Previous)
}

/// What the release before records a second time when this one did already: it closes an account without
/// looking whether that was recorded, which is of no consequence (docs/operations.md, "Upgrades"). Goes when
/// `deploy/dev/previous-release` names a release that looks.
const PREVIOUS_DOUBLES: &str = "exeunt.cancellation.v1.SubjectClosed: 2 times in ";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_release_before_is_replaced_under_load_process_by_process() {
    let _alone = alone().await;
    let (Some(engines), Some(previous)) = (Engines::shared(), previous()) else {
        eprintln!("skipped: no PostgreSQL and Kafka are named");
        return;
    };
    let mut fleet = Fleet::new(engines, &Layout(Vec::new())).unwrap();
    fleet.add(&[], &previous).unwrap();
    fleet.add(&[], &previous).unwrap();
    fleet.start().await.unwrap();
    let load = Load::start(fleet.client(), PLAN);
    assert!(load.begun(30, BOUND).await.unwrap());
    for _ in 0..2 {
        // The oldest leaves in order, one of this release comes, and both releases work side by side.
        fleet.remove(0).await.unwrap();
        let number = fleet.add(&[], &Release::Current).unwrap();
        if let Err(error) = fleet.start().await {
            panic!("{error:#}\n{}", fleet.last_words());
        }
        works(&fleet, number).await;
        assert!(load.begun(load.begun_so_far() + 60, BOUND).await.unwrap());
    }
    let asked = load.finish().await.unwrap();
    let mut verdict = judge(&mut fleet, asked, &BTreeSet::new(), QUIET).await.unwrap();
    eprintln!("{verdict}; {} answers were lost", verdict.lost_answers);
    verdict.doubled.retain(|found| !found.starts_with(PREVIOUS_DOUBLES));
    if let Err(error) = verdict.ensure_good() {
        panic!("{error:#}\n{}", fleet.last_words());
    }
}
