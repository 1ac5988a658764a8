//! What can happen to an installation under load, each fault to its end.

use std::{collections::BTreeSet, fmt, time::Duration};

use anyhow::{Context, Result};
use testkit::Dice;

use crate::{
    fleet::{Fleet, Layout, ROLES, Release},
    load::{Load, Plan},
    oracle::{Verdict, judge},
    proxy::Wire,
    site::{Site, SiteOptions},
    stranger,
    wait::{BOUND, until},
};

const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How many times longer than meant a load may make a moment.
const STRETCHED_MAX: u32 = 3;

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// `kill -9` of one process, each in its turn; it is started again at once.
    KillProcess,
    /// `kill -9` of all processes at the same moment.
    KillAll,
    /// A process more, of any role; when there is one more already, it is stopped instead.
    Replica,
    /// `kill -9` of a broker, which comes back after a moment.
    KillBroker,
    /// `kill -9` of every broker, one after the other.
    RollBrokers,
    /// Connections to brokers break, and new ones do too, for a moment.
    CutBrokers,
    /// Connections to brokers stand, but nothing arrives, for a moment.
    FreezeBrokers,
    /// Everything between services and brokers takes its time, for a moment.
    SlowBrokers,
    /// PostgreSQL ends at once and is started again after a moment.
    RestartDatabase,
    /// Connections to PostgreSQL break in the middle of commits: the answer is lost.
    LoseCommits,
    /// Connections to PostgreSQL break, and new ones do too, for a moment.
    CutDatabase,
    /// Connections to PostgreSQL stand, but nothing arrives, for a moment.
    FreezeDatabase,
    /// PostgreSQL ends for good; its synchronous standby takes over, and gets a standby of its own.
    FailOver,
    /// Records that nobody can read come to every topic between services; they are to be parked.
    Poison,
    /// Records of a topic between services come once more, late and out of order.
    Repeat,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KillProcess => "process killed",
            Self::KillAll => "all processes killed",
            Self::Replica => "replica added or removed",
            Self::KillBroker => "broker killed",
            Self::RollBrokers => "brokers killed one after the other",
            Self::CutBrokers => "network to brokers cut",
            Self::FreezeBrokers => "network to brokers half-open",
            Self::SlowBrokers => "network to brokers slow",
            Self::RestartDatabase => "database ended and restarted",
            Self::LoseCommits => "answers of commits lost",
            Self::CutDatabase => "network to database cut",
            Self::FreezeDatabase => "network to database half-open",
            Self::FailOver => "database failed over",
            Self::Poison => "records planted that nobody can read",
            Self::Repeat => "records sent again out of order",
        })
    }
}

/// An installation, its engines, and the load on it.
pub struct Stage {
    /// The processes.
    pub fleet: Fleet,
    /// The engines that are ours.
    pub site: Site,
    /// The load.
    pub load: Load,
    plan: Plan,
    dice: Dice,
    turn: usize,
    extra: Option<String>,
    planted: BTreeSet<String>,
    repeated: usize,
}

impl Stage {
    /// Starts engines, processes and load, in this order.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn start(options: SiteOptions, layout: &Layout, plan: Plan, dice: Dice) -> Result<Self> {
        let site = Site::start(options).await?;
        let mut fleet = Fleet::new(site.engines()?, layout)?;
        fleet.start().await?;
        let load = Load::start(fleet.client(), plan);
        let planted = BTreeSet::new();
        Ok(Self { fleet, site, load, plan, dice, turn: 0, extra: None, planted, repeated: 0 })
    }

    /// Does it, to its end: what was taken away is back when this returns, though processes may still
    /// be starting.
    ///
    /// # Errors
    /// When it cannot be done, or something broke by itself.
    pub async fn strike(&mut self, fault: Fault) -> Result<()> {
        let struck = match fault {
            Fault::KillProcess => {
                self.turn += 1;
                self.fleet.kill(self.turn % self.fleet.servers.len())
            }
            Fault::KillAll => self.fleet.kill_all(),
            Fault::Replica => self.replica().await,
            Fault::KillBroker => {
                let broker = self.dice.place(self.site.brokers());
                self.kill_broker(broker).await
            }
            Fault::RollBrokers => self.roll_brokers().await,
            Fault::CutBrokers => self.brokers_are(Wire::Cut).await,
            Fault::FreezeBrokers => self.brokers_are(Wire::Frozen).await,
            Fault::SlowBrokers => {
                let delay = Duration::from_millis(self.dice.between(10, 150));
                self.brokers_are(Wire::Slow(delay)).await
            }
            Fault::RestartDatabase => self.restart_database().await,
            Fault::LoseCommits => self.lose_commits().await,
            Fault::CutDatabase => self.database_is(Wire::Cut).await,
            Fault::FreezeDatabase => self.database_is(Wire::Frozen).await,
            Fault::FailOver => self.fail_over().await,
            Fault::Poison => self.plant().await,
            Fault::Repeat => self.repeat().await,
        };
        struck.with_context(|| fault.to_string())
    }

    /// Waits while the load goes on, from `least` to `most` milliseconds of it: a load that cannot begin
    /// what is due stretches them, but not without bound, since what it waits for may be the end of a fault.
    ///
    /// # Errors
    /// When the load has ended.
    pub async fn moment(&mut self, least: u64, most: u64) -> Result<()> {
        let span = self.dice.between(least, most);
        let journeys = usize::try_from(span * u64::from(self.plan.per_s) / 1_000)?.max(1);
        let within = Duration::from_millis(span) * STRETCHED_MAX;
        self.load.begun(self.load.begun_so_far() + journeys, within).await.map(|_| ())
    }

    /// Ends faults and load, and judges. The processes have ended then.
    ///
    /// # Errors
    /// When the judge cannot do its work.
    pub async fn judge(self, quiet: Duration) -> Result<(Verdict, Fleet)> {
        let Self { mut fleet, site, load, planted, repeated, .. } = self;
        site.mend();
        fleet.start().await?;
        let asked = load.finish().await.with_context(|| fleet.last_words())?;
        let verdict = judge(&mut fleet, asked, &planted, quiet).await?;
        Ok((Verdict { repeated, ..verdict }, fleet))
    }

    async fn replica(&mut self) -> Result<()> {
        if let Some(name) = self.extra.take() {
            let number = self.fleet.servers.iter().position(|server| server.name == name);
            return self.fleet.remove(number.context("the replica is gone")?).await;
        }
        // Where everything is in one process, so it is in the one more.
        let all = self.fleet.servers[0].roles.is_empty();
        let role = ROLES[self.dice.place(ROLES.len())].to_owned();
        let number =
            self.fleet.add(if all { &[] } else { std::slice::from_ref(&role) }, &Release::Current)?;
        self.extra = Some(self.fleet.servers[number].name.clone());
        self.fleet.start().await
    }

    async fn plant(&mut self) -> Result<()> {
        self.planted.extend(stranger::plant(&self.fleet.engines).await?);
        Ok(())
    }

    async fn repeat(&mut self) -> Result<()> {
        self.repeated += stranger::repeat(&self.fleet.engines, &mut self.dice).await?;
        Ok(())
    }

    async fn kill_broker(&mut self, broker: usize) -> Result<()> {
        self.site.kill_broker(broker)?;
        self.moment(300, 1_500).await?;
        self.site.start_broker(broker)
    }

    async fn roll_brokers(&mut self) -> Result<()> {
        for broker in 0..self.site.brokers() {
            self.kill_broker(broker).await?;
            self.moment(300, 1_000).await?;
        }
        Ok(())
    }

    /// One of several brokers, or all.
    async fn brokers_are(&mut self, wire: Wire) -> Result<()> {
        let count = self.site.brokers();
        let one = self.dice.place(count + 1);
        for broker in (0..count).filter(|broker| one == count || one == *broker) {
            self.site.broker_wire(broker)?.wire(wire);
        }
        self.moment(500, 3_000).await?;
        self.site.mend();
        Ok(())
    }

    async fn restart_database(&mut self) -> Result<()> {
        self.site.end_database()?;
        self.moment(100, 1_000).await?;
        self.site.start_database()
    }

    async fn lose_commits(&mut self) -> Result<()> {
        let wire = self.site.database_wire()?;
        let writes = self.dice.place(10) + 5;
        let wanted = wire.lost_answers() + writes;
        wire.lose_answers(writes);
        until("answers to be lost", LOOK_EVERY, BOUND, || async {
            Ok((wire.lost_answers() >= wanted).then_some(()))
        })
        .await
    }

    async fn database_is(&mut self, wire: Wire) -> Result<()> {
        self.site.database_wire()?.wire(wire);
        self.moment(500, 2_500).await?;
        self.site.mend();
        Ok(())
    }

    async fn fail_over(&mut self) -> Result<()> {
        self.site.end_database()?;
        self.moment(100, 500).await?;
        self.site.fail_over()?;
        self.moment(500, 1_000).await?;
        self.site.follow()
    }
}
