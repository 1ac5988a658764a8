//! Faults of every kind, mixed by a seed, on an installation of a process for each role with engines of
//! its own, under steady load; and a judge at the end. The last line is the verdict.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line talks to its terminal")]

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use clap::Parser;
use testkit::Dice;
use tokio::time::Instant;
use torture::{Fault, Layout, Plan, SiteOptions, Stage, fleet::ROLES, server::current_binary};

/// How long after the last fault everything may take to complete.
const QUIET: Duration = Duration::from_secs(300);
/// From one fault to the next, in milliseconds of the load: what takes part in a mixture of everything must
/// also get to its work in between, on a machine that starts brokers and processes anew all the time.
const GAP_MS: (u64, u64) = (3_000, 10_000);
/// How often each comes, out of the sum of all.
const WEIGHTS: [(Fault, usize); 15] = [
    (Fault::KillProcess, 12),
    (Fault::KillAll, 2),
    (Fault::Replica, 3),
    (Fault::KillBroker, 2),
    (Fault::RollBrokers, 1),
    (Fault::CutBrokers, 2),
    (Fault::FreezeBrokers, 2),
    (Fault::SlowBrokers, 2),
    (Fault::RestartDatabase, 2),
    (Fault::LoseCommits, 4),
    (Fault::CutDatabase, 2),
    (Fault::FreezeDatabase, 2),
    (Fault::FailOver, 1),
    (Fault::Poison, 2),
    (Fault::Repeat, 3),
];

#[derive(Parser)]
#[command(name = "torture", about = "Faults under load, with an oracle outside")]
struct Flags {
    /// For how long faults happen.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// What decides the schedule; a fresh one when none is given.
    #[arg(long)]
    seed: Option<u64>,
    /// Cancellations asked for each second.
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// Every so many-th is a whole account, the others are of a named scope.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    whole_every: u32,
    /// How many brokers.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=3))]
    brokers: u32,
}

#[tokio::main]
async fn main() -> ExitCode {
    match torture(&Flags::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn torture(flags: &Flags) -> Result<bool> {
    let seed = flags.seed.unwrap_or_else(|| Dice::unseeded().between(0, u64::from(u32::MAX)));
    println!("seed {seed}, {} minutes, {} cancellations a second", flags.minutes, flags.rate);
    println!("binary {}", current_binary()?.display());
    let mut dice = Dice::new(seed);
    let plan = Plan { per_s: flags.rate, whole_every: usize::try_from(flags.whole_every)? };
    let brokers = usize::try_from(flags.brokers)?;
    let options = SiteOptions { brokers, database: true, standby: true, ..SiteOptions::default() };
    let layout = layout(&mut dice);
    let details = Dice::new(dice.between(0, u64::MAX - 1));
    let stage = Stage::start(options, &layout, plan, details).await;
    let mut stage = stage.context("the stage cannot be set")?;
    let counts = faults(&mut stage, &mut dice, Duration::from_secs(60 * flags.minutes)).await;
    if counts.is_err() {
        eprintln!("{}", stage.fleet.last_words());
    }
    let counts = counts?;
    let (verdict, fleet) = stage.judge(QUIET).await?;
    for (fault, count) in counts {
        println!("{count:>5}  {fault}");
    }
    println!("{:>5}  answers of requests lost, so that they were sent again", verdict.lost_answers);
    println!("{:>5}  records sent again", verdict.repeated);
    if !verdict.is_good() {
        println!("{}", verdict.findings());
        println!("logs: {}", fleet.keep().display());
    }
    println!(
        "{:>5}  other faults: gaps, parked records, receipts, journeys that failed",
        verdict.faults.len()
    );
    println!("{verdict}");
    Ok(verdict.ensure_good().is_ok())
}

/// A process for each role; the coordinator and one other have a second one.
fn layout(dice: &mut Dice) -> Layout {
    let Layout(mut processes) = Layout::each(1);
    let other = ROLES[1 + dice.place(ROLES.len() - 1)];
    processes.extend([ROLES[0], other].map(|role| vec![role.to_owned()]));
    Layout(processes)
}

/// One fault after the other until the time is up; says how often each happened.
async fn faults(stage: &mut Stage, dice: &mut Dice, lasting: Duration) -> Result<BTreeMap<Fault, usize>> {
    let (begun, mut counts) = (Instant::now(), BTreeMap::new());
    while begun.elapsed() < lasting {
        stage.moment(GAP_MS.0, GAP_MS.1).await?;
        let fault = thrown(dice);
        let (at, accepted) = (begun.elapsed().as_secs_f64(), stage.load.accepted());
        println!("{at:>7.1} s  {accepted:>7} accepted  {fault}");
        stage.strike(fault).await?;
        *counts.entry(fault).or_default() += 1;
    }
    Ok(counts)
}

fn thrown(dice: &mut Dice) -> Fault {
    let mut left = dice.place(WEIGHTS.iter().map(|(_, weight)| weight).sum());
    for (fault, weight) in WEIGHTS {
        match left.checked_sub(weight) {
            Some(less) => left = less,
            None => return fault,
        }
    }
    // The sum of the weights is never reached.
    Fault::KillProcess
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_comes_and_a_seed_decides_when() {
        let row = |seed| {
            let mut dice = Dice::new(seed);
            (0..500).map(|_| thrown(&mut dice)).collect::<Vec<_>>()
        };
        assert_eq!(row(7), row(7));
        assert_ne!(row(7), row(8));
        let mut counts = BTreeMap::new();
        row(7).into_iter().for_each(|fault| *counts.entry(fault).or_insert(0) += 1);
        assert_eq!(counts.len(), WEIGHTS.len());
    }
}
