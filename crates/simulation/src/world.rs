//! All of it together: processes, log, people, time. One step is a few actions that the dice choose, and
//! then quiet: everything that follows from them has happened, and is checked.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    sync::{Arc, LazyLock, Mutex, PoisonError, atomic::AtomicI64},
    time::Duration,
};

use anyhow::{Context as _, Result};
use cancellation::Roster;
use event_store::{Memory, MemoryCopy, Position};
use keys::{Kek, Vault};
use participant::contract;
use policy::{Files, Packs};
use tempfile::TempDir;
use testkit::{Dice, ManualClock};
use tonic::Status;
use types::{Clock as _, Timestamp};

use crate::{
    checks::{Checks, Finding},
    liar::{LIAR, Liar},
    life::{Fuse, Life, OwnClock, Weather},
    log::{SimulatedLog, Wire},
    plant::{self, Bug},
    services::{Doors, Ground, PROCESSES, Process, REPLICA, SERVICES, key, start},
    store::{Between, Witness},
    transcript::Transcript,
    users::{Answer, Call, Users},
};

/// When every simulation begins.
const BEGINNING: &str = "2026-11-21T08:00:00Z";
/// How long the runtime's clock goes on after each step: longer than what lingers, shorter than what polls.
const STEP: Duration = Duration::from_millis(10);
/// How often everybody else gets their turn before the next action: more often than one thing leads to another.
const YIELDS: usize = 8;

/// A call that is under way, in whose life, and what it was answered.
pub(crate) struct UnderWay {
    pub(crate) call: Call,
    pub(crate) life: Arc<Life>,
    pub(crate) answer: Arc<Mutex<Option<Result<Answer, Status>>>>,
}

/// Everything.
pub struct World {
    pub(crate) dice: Dice,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) weather: Arc<Weather>,
    pub(crate) log: Arc<SimulatedLog>,
    pub(crate) memories: BTreeMap<&'static str, Arc<Memory>>,
    pub(crate) processes: BTreeMap<&'static str, Process>,
    pub(crate) copies: BTreeMap<&'static str, MemoryCopy>,
    pub(crate) ahead_micros: BTreeMap<&'static str, Arc<AtomicI64>>,
    pub(crate) users: Users,
    pub(crate) liar: Liar,
    pub(crate) under_way: Vec<UnderWay>,
    pub(crate) transcript: Transcript,
    ground: Ground,
    /// The same for the coordinator's second process.
    replica: Ground,
    witness: Arc<Witness>,
    checks: Checks,
    bug: Option<Bug>,
    _home: TempDir,
}

impl World {
    /// A world before anything has happened. Must be made within a runtime of one thread.
    ///
    /// # Errors
    /// What keeps it from being made, which is no finding.
    pub fn new(seed: u64, bug: Option<Bug>) -> Result<Self> {
        let mut dice = Dice::new(seed);
        let home = home()?;
        let beginning = Timestamp::parse(BEGINNING).context("the beginning is no instant")?;
        let clock = Arc::new(ManualClock::at(beginning));
        let ground = Ground {
            doors: Doors::default(),
            vault: Arc::new(Vault::open(&home.path().join("vault"), Kek::from_base64(KEK)?)?),
            messages: home.path().join("messages"),
            roster: ROSTER.clone(),
            packs: PACKS.clone(),
        };
        let users = Users::new(&mut dice);
        let memories = SERVICES.iter().map(|service| (*service, Arc::new(Memory::default()))).collect();
        let mut world = Self {
            dice,
            log: Arc::new(SimulatedLog::new(clock.clone())),
            clock,
            weather: Arc::new(Weather::default()),
            memories,
            processes: BTreeMap::new(),
            copies: BTreeMap::new(),
            ahead_micros: PROCESSES.iter().map(|(process, _)| (*process, Arc::default())).collect(),
            users,
            liar: Liar::default(),
            under_way: Vec::new(),
            transcript: Transcript::default(),
            replica: Ground { doors: ground.doors.of_replica(), ..ground.clone() },
            ground,
            witness: Arc::default(),
            checks: Checks::default(),
            bug,
            _home: home,
        };
        PROCESSES.iter().for_each(|(process, _)| world.start(process));
        Ok(world)
    }

    /// Starts a process.
    pub(crate) fn start(&mut self, process: &'static str) {
        let Some((_, service)) = PROCESSES.into_iter().find(|(name, _)| *name == process) else { return };
        let life = Arc::new(Life::new(self.dice.others(), self.weather.clone()));
        let between = Between {
            service,
            memory: self.memories[service].clone(),
            life: life.clone(),
            witness: self.witness.clone(),
            bug: self.bug.filter(|bug| !bug.is_the_coordinators() || service == "cancellation"),
        };
        let ahead_micros = self.ahead_micros[process].clone();
        let clock = OwnClock { common: self.clock.clone(), ahead_micros, life: life.clone() };
        let dice = Mutex::new(self.dice.others());
        let tamper = plant::tampering(service, self.bug, &self.memories);
        let wire = Wire { log: self.log.clone(), life, dice, tamper };
        let ground = self.ground_of(process).clone();
        self.processes.insert(process, start(process, ground, between, clock, wire));
    }

    /// Ends a process at once; calls that wait for it are never answered.
    pub(crate) fn end(&mut self, process: &'static str) {
        self.ground_of(process).doors.close(process);
        if let Some(process) = self.processes.remove(process) {
            process.life.end();
        }
    }

    fn ground_of(&self, process: &str) -> &Ground {
        if process == REPLICA { &self.replica } else { &self.ground }
    }

    /// Somebody makes a call.
    pub(crate) fn call(&mut self, call: Call) {
        let to_replica = self.dice.chance(300);
        let Ground { doors, messages, .. } = if to_replica { &self.replica } else { &self.ground };
        let Some((service, asking)) = self.users.ask(&call, doors, messages, self.clock.now()) else {
            return;
        };
        let process = if to_replica && service == "cancellation" { REPLICA } else { service };
        let Some(process) = self.processes.get_mut(process) else { return };
        let answer = Arc::new(Mutex::new(None));
        let (life, place) = (process.life.clone(), answer.clone());
        process.tasks.spawn(async move {
            let answered = asking.await;
            place.lock().unwrap_or_else(PoisonError::into_inner).replace(answered);
            Ok(())
        });
        self.say_of(&call, "asks");
        self.under_way.push(UnderWay { call, life, answer });
    }

    /// Lets the runtime's clock go on by so much: everything that follows by itself happens.
    pub(crate) async fn quiet(&mut self, span: Duration) -> Result<(), Finding> {
        let _ = tokio::time::timeout(span, pending::<()>()).await;
        // What falls due at this very moment, too, comes before anything else is done.
        for _ in 0..YIELDS {
            tokio::task::yield_now().await;
        }
        self.look()
    }

    /// Lets everything happen that follows from what was done.
    pub(crate) async fn settle(&mut self) -> Result<(), Finding> {
        self.quiet(STEP).await
    }

    /// Looks at everything that has happened since, and checks it.
    fn look(&mut self) -> Result<(), Finding> {
        let mut touched = false;
        while let Some((service, event)) = self.witness.next() {
            touched |= service == "cancellation";
            let said = self.checks.committed(service, &event, &self.users);
            let what = said.clone().unwrap_or_else(|_| event.kind.to_string());
            self.transcript.say(self.clock.now(), service, format_args!("commits {what}"));
            said?;
        }
        while let Some(record) = self.log.next_unseen() {
            self.checks.published(&record)?;
            if self.bug == Some(Bug::EarlyAnswer)
                && let Some(message) = plant::early_answer(&record, self.clock.now())
            {
                self.log.put(&message);
            }
        }
        self.answers()?;
        self.lives()?;
        if touched { self.checks.waiting(&self.memories["cancellation"]) } else { Ok(()) }
    }

    /// Takes the answers of calls in; those of processes that are no more are never given.
    fn answers(&mut self) -> Result<(), Finding> {
        for it in std::mem::take(&mut self.under_way) {
            let answer = it.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
            let said = match &answer {
                Some(Ok(answer)) => format!("is answered {}", in_words(answer)),
                Some(Err(refused)) => format!("is refused: {}", refused.message()),
                None if it.life.is_over() => "is not answered".to_owned(),
                None => {
                    self.under_way.push(it);
                    continue;
                }
            };
            self.say_of(&it.call, &said);
            if let Some(Ok(Answer::Case(view))) = &answer {
                self.checks.told(view)?;
            }
            match answer {
                Some(answer) => self.users.learn(&it.call, answer, &mut self.dice),
                None => self.users.again.push(it.call),
            }
        }
        Ok(())
    }

    /// Notices what has crashed. A service that is up does not end by itself.
    fn lives(&mut self) -> Result<(), Finding> {
        for (name, _) in PROCESSES {
            let was_up = self.ground_of(name).doors.is_open(name);
            let Some(process) = self.processes.get_mut(name) else { continue };
            if process.life.is_over() {
                self.transcript.say(self.clock.now(), name, format_args!("crashes"));
                self.end(name);
                continue;
            }
            while let Some(ended) = process.tasks.try_join_next() {
                let failed = match ended {
                    Ok(Ok(())) => continue,
                    Ok(Err(failed)) => failed,
                    Err(panicked) => return Err(Finding(format!("{name} panicked: {panicked}"))),
                };
                if was_up {
                    return Err(Finding(format!("{name} ended by itself: {failed}")));
                }
                // What cannot start now is started again.
                self.transcript.say(self.clock.now(), name, format_args!("does not start: {failed}"));
                process.life.end();
            }
        }
        Ok(())
    }

    /// Has the store of a service become what it was when it was copied. Its processes start anew.
    pub(crate) fn restore(&mut self, service: &'static str, copy: MemoryCopy) {
        PROCESSES.iter().filter(|(_, it)| *it == service).for_each(|(process, _)| self.end(process));
        let memory = &self.memories[service];
        memory.restore(copy);
        self.checks.restored(service, &memory.after(Position::default()));
        match service {
            "cancellation" => self.users.forget_views(),
            "identity" => {
                let events = memory.after(Position::default());
                let known: BTreeSet<&str> = events.iter().map(|event| event.stream.as_str()).collect();
                self.users.forget_people(&known);
            }
            _ => {}
        }
    }

    /// Has a process crash at one of its next calls.
    pub(crate) fn set_fuse(&mut self, process: &'static str) {
        let fuse = Fuse { calls: self.dice.between(0, 25), after: self.dice.chance(500) };
        if let Some(process) = self.processes.get(process) {
            process.life.set_fuse(fuse);
        }
    }

    /// Everything that was accepted has ended.
    pub(crate) fn ended(&self) -> Result<(), Finding> {
        self.checks.ended(&self.memories["cancellation"], &self.users)
    }

    /// The consumer groups, and the services whose they are.
    pub(crate) fn groups() -> impl Iterator<Item = (&'static str, String)> {
        SERVICES.iter().map(|service| (*service, format!("exeunt.{service}")))
    }

    /// The liar reads what it is told.
    pub(crate) fn tell_liar(&mut self) {
        let topic: Arc<str> = format!("exeunt.instructions.{LIAR}").into();
        for partition in 0..contract::PARTITIONS {
            let offset = self.liar.offset(partition as usize);
            let records = self.log.read(&(topic.clone(), partition), offset);
            self.liar.read(partition as usize, &records);
        }
    }

    fn say_of(&mut self, call: &Call, what: &str) {
        let person = &self.users.people[call.person];
        let about = call.journey.map_or(person.name, |journey| &person.journeys[journey].name);
        self.transcript.say(self.clock.now(), about, format_args!("{}: {what}", call.verb.word()));
    }

    /// Which processes are not running.
    pub(crate) fn down(&self) -> Vec<&'static str> {
        let up: BTreeSet<&str> = self.processes.keys().copied().collect();
        PROCESSES.into_iter().map(|(process, _)| process).filter(|process| !up.contains(process)).collect()
    }
}

/// 32 bytes of zeros: nothing that is sealed here is anybody's.
const KEK: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// A folder for keys and messages, in memory where there is one.
fn home() -> Result<TempDir> {
    let in_memory = std::path::Path::new("/dev/shm");
    let made = if in_memory.is_dir() { tempfile::tempdir_in(in_memory) } else { tempfile::tempdir() };
    made.context("no folder can be made")
}

/// The roster that is built in, and the liar beside it. Read once: there are many worlds.
static ROSTER: LazyLock<Roster> = LazyLock::new(|| {
    let jwk = key(LIAR).jwk().to_json();
    let text = format!(
        "extends = \"default\"\n[[participant]]\nname = \"{LIAR}\"\nscopes = [\"whole_account\", \"selected\"]\n\
         after = [\"subscription\"]\nfreeze = true\nkeys = ['{jwk}']\n"
    );
    let mut roster = Roster::parse(&text).expect("it is the roster that is built in, and one more");
    let names: Vec<_> = roster.entries().map(|entry| entry.name.clone()).collect();
    for name in names {
        roster.add_keys(&name, &[key(name.as_str()).jwk()]);
    }
    roster
});

/// The packs that are built in.
static PACKS: LazyLock<Arc<Packs>> =
    LazyLock::new(|| Arc::new(Packs::read(&Files::built_in()).expect("what is built in is sound")));

fn in_words(answer: &Answer) -> String {
    match answer {
        Answer::Subject(id) | Answer::Verification(id) => id.clone(),
        Answer::Case(view) => format!("{} {}", view.cancellation_id, view.state().as_str_name()),
        Answer::Token(_) | Answer::CaseToken(_) => "with a token".into(),
        Answer::Things(ids) => ids.join(", "),
        Answer::Nothing => "done".into(),
    }
}
