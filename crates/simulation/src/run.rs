//! One run: a storm in which everything may go wrong, then quiet times in which everything must end; and
//! both once more, shorter, for those who have left and those who come back.

use std::{sync::atomic::Ordering, time::Duration};

use anyhow::Result;
use testkit::Dice;
use types::{Clock as _, Uuid};

use crate::{
    checks::Finding,
    plant::Bug,
    services::{PROCESSES, SERVICES},
    transcript::Transcript,
    world::World,
};

/// Steps of the storm, and of the one that comes after everything has ended.
const STEPS: (u64, u64) = (20, 70);
const STEPS_AFTER: (u64, u64) = (3, 12);
/// Rounds of quiet times after which everything must have ended.
const ROUNDS_MAX: usize = 120;
/// How long each lasts by the runtime's clock: everything that polls or tries again does so within a few.
const ROUND: Duration = Duration::from_millis(700);

/// What a run came to.
#[derive(Debug)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// What must not be, and was; none: everything held.
    pub finding: Option<Finding>,
    /// Everything that happened.
    pub transcript: Transcript,
}

/// Something that may happen in a storm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// A consumer gets records.
    Deliver,
    /// Somebody calls.
    Call,
    /// The liar speaks.
    Lie,
    /// Some seconds go by.
    Moment,
    /// Hours or days go by.
    Days,
    /// A process will crash at one of its next calls.
    Fuse,
    /// A process crashes now.
    Crash,
    /// What is down starts.
    Start,
    /// A record comes once more.
    Repeat,
    /// A partition stands still for days.
    Stall,
    /// A store is copied.
    Copy,
    /// A store is put back to its copy.
    Restore,
    /// A process's clock jumps.
    Jump,
}

/// How often each comes.
const ACTS: [(Act, u64); 13] = [
    (Act::Deliver, 400),
    (Act::Call, 280),
    (Act::Lie, 50),
    (Act::Moment, 80),
    (Act::Days, 12),
    (Act::Fuse, 30),
    (Act::Crash, 8),
    (Act::Start, 60),
    (Act::Repeat, 30),
    (Act::Stall, 20),
    (Act::Copy, 18),
    (Act::Restore, 10),
    (Act::Jump, 8),
];

/// Runs one seed.
///
/// # Errors
/// What keeps it from being run, which is no finding.
pub fn run(seed: u64, bug: Option<Bug>) -> Result<Report> {
    let mut ids = Dice::new(seed ^ 0x6964_7321);
    let mut count = 0;
    let guard = types::ids_from(move || {
        count += 1;
        Uuid::from_u64_pair(count << 16 | 0x7000, ids.number() >> 2 | 1 << 63)
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    let report = runtime.block_on(async {
        let mut world = World::new(seed, bug)?;
        let finding = played(&mut world).await.err();
        let transcript = std::mem::take(&mut world.transcript);
        PROCESSES.iter().for_each(|(process, _)| world.end(process));
        Ok(Report { seed, finding, transcript })
    });
    drop(runtime);
    drop(guard);
    report
}

async fn played(world: &mut World) -> Result<(), Finding> {
    world.settle().await?;
    for (least, most) in [STEPS, STEPS_AFTER] {
        world.weather.set_stormy(true);
        for _ in 0..world.dice.between(least, most) {
            for _ in 0..world.dice.between(1, 3) {
                act(world);
            }
            world.settle().await?;
        }
        calm(world).await?;
    }
    Ok(())
}

fn act(world: &mut World) {
    let (process, _) = PROCESSES[world.dice.place(PROCESSES.len())];
    match world.dice.pick(&ACTS).unwrap_or(Act::Deliver) {
        Act::Deliver => deliver(world),
        Act::Call => {
            if let Some(call) = world.users.choose(&mut world.dice) {
                world.call(call);
            }
        }
        Act::Lie => {
            world.tell_liar();
            if let Some((said, messages)) = world.liar.lie(&mut world.dice, world.clock.now()) {
                world.transcript.say(world.clock.now(), "liar", format_args!("{said}"));
                messages.iter().for_each(|message| world.log.put(message));
            }
        }
        Act::Moment => world.clock.advance(Duration::from_millis(world.dice.between(1, 60_000))),
        Act::Days => {
            let hours = world.dice.between(1, 24 * 9);
            world.clock.advance(Duration::from_secs(3_600 * hours));
            world.transcript.say(world.clock.now(), "time", format_args!("{hours} hours have gone by"));
        }
        Act::Fuse => world.set_fuse(process),
        Act::Crash => {
            if world.processes.contains_key(process) {
                world.transcript.say(world.clock.now(), process, format_args!("is killed"));
                world.end(process);
            }
        }
        Act::Start => start_one(world),
        Act::Repeat => {
            if let Some(record) = world.log.repeat(&mut world.dice) {
                let (topic, partition) = (&record.topic, record.partition);
                world.transcript.say(
                    world.clock.now(),
                    "log",
                    format_args!("repeats {topic}/{partition} {}", record.offset),
                );
            }
        }
        Act::Stall => stall(world),
        Act::Copy => {
            let service = SERVICES[world.dice.place(SERVICES.len())];
            world.copies.insert(service, world.memories[service].copy());
        }
        Act::Restore => restore(world),
        Act::Jump => {
            let micros = world.dice.between(0, 7_200_000_000) as i64 - 3_600_000_000;
            world.ahead_micros[process].store(micros, Ordering::SeqCst);
            world.transcript.say(
                world.clock.now(),
                process,
                format_args!("has a clock that is {} s ahead", micros / 1_000_000),
            );
        }
    }
}

/// Lets one consumer have some records, or all that there are for it.
fn deliver(world: &mut World) {
    let groups: Vec<_> = World::groups().collect();
    let (service, group) = &groups[world.dice.place(groups.len())];
    let lanes = world.log.readable(group);
    if lanes.is_empty() {
        return;
    }
    if world.dice.chance(600) {
        let granted: usize = lanes.iter().map(|lane| world.log.grant(group, lane, usize::MAX)).sum();
        world.transcript.say(world.clock.now(), service, format_args!("reads {granted} records"));
        return;
    }
    let lane = &lanes[world.dice.place(lanes.len())];
    let granted = world.log.grant(group, lane, world.dice.between(1, 4) as usize);
    let (topic, partition) = lane;
    world.transcript.say(
        world.clock.now(),
        service,
        format_args!("reads {granted} records of {topic}/{partition}"),
    );
}

fn stall(world: &mut World) {
    let groups: Vec<_> = World::groups().collect();
    let (service, group) = &groups[world.dice.place(groups.len())];
    let lanes = world.log.readable(group);
    if let Some(lane) = lanes.get(world.dice.place(lanes.len())) {
        let hours = world.dice.between(1, 72);
        world.log.stall(group, lane, world.clock.now().plus(Duration::from_secs(3_600 * hours)));
        let (topic, partition) = lane;
        world.transcript.say(
            world.clock.now(),
            service,
            format_args!("gets nothing of {topic}/{partition} for {hours} hours"),
        );
    }
}

fn start_one(world: &mut World) {
    let down = world.down();
    if let Some(process) = down.get(world.dice.place(down.len())) {
        world.transcript.say(world.clock.now(), process, format_args!("starts"));
        world.start(process);
    }
}

fn restore(world: &mut World) {
    let services: Vec<&'static str> = world.copies.keys().copied().collect();
    let Some(service) = services.get(world.dice.place(services.len())) else { return };
    let Some(copy) = world.copies.remove(service) else { return };
    world.transcript.say(
        world.clock.now(),
        service,
        format_args!("is put back to an older copy, which ends at {}", copy.head().0),
    );
    world.restore(service, copy);
}

/// Nothing goes wrong any more: everything is delivered, everybody does what is theirs, and all of it
/// ends.
async fn calm(world: &mut World) -> Result<(), Finding> {
    world.weather.set_stormy(false);
    world.ahead_micros.values().for_each(|ahead| ahead.store(0, Ordering::SeqCst));
    world.transcript.say(world.clock.now(), "world", format_args!("is quiet from now on"));
    let mut held = Ok(());
    for round in 0..ROUNDS_MAX {
        world.log.flow();
        for process in world.down() {
            world.start(process);
        }
        world.tell_liar();
        for message in world.liar.tell_the_truth(world.clock.now()) {
            world.log.put(&message);
        }
        for (_, group) in World::groups() {
            for lane in world.log.readable(&group) {
                world.log.grant(&group, &lane, usize::MAX);
            }
        }
        if world.under_way.is_empty() {
            for call in world.users.onwards(&mut world.dice) {
                world.call(call);
            }
        }
        world.quiet(ROUND).await?;
        held = world.ended();
        if held.is_ok() {
            break;
        }
        // Who waits for a day to come has nothing else to do meanwhile.
        let for_days = world.users.wait_for_days() || round % 25 == 24;
        world.clock.advance(Duration::from_secs(if for_days { 86_400 } else { 2 }));
    }
    held
}
