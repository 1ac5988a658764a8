//! The reading side: what the consumer's thread delivers, and what it is told.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc as std_mpsc,
    },
    thread::JoinHandle,
};

use async_trait::async_trait;
use event_store::LogOffset;
use rdkafka::ClientConfig;
use tokio::sync::mpsc;

use super::{
    membership::Place,
    thread::{Command, ConsumerThread, Event},
};
use crate::{ConsumedLog, Delivery, LogError, Record, Subscription};

/// Batches of records between the thread and the reader. More would only be smaller: what is not taken
/// gathers in librdkafka.
const AHEAD: usize = 2;

/// A member of a group.
pub(super) struct Reader {
    events: mpsc::Receiver<Event>,
    commands: std_mpsc::Sender<Command>,
    stop: Arc<AtomicBool>,
    /// What came behind the records that were gathered last.
    next: Option<Event>,
    /// Records that did not fit into the last delivery.
    left: VecDeque<Record>,
    /// Assignments that are not wholly started, by number, with where to begin.
    starting: HashMap<u64, HashMap<Place, Option<Option<i64>>>>,
    /// Partitions that are being sought: what comes before the thread says so is dropped.
    seeking: HashSet<Place>,
}

impl Reader {
    /// Joins the group, with a thread that ends when the reader is dropped.
    pub(super) fn join(
        config: &ClientConfig,
        subscription: Subscription,
    ) -> Result<(Self, JoinHandle<()>), LogError> {
        let (sender, events) = mpsc::channel(AHEAD);
        let (commands, receiver) = std_mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = ConsumerThread::start(config, subscription, sender, receiver, stop.clone())?;
        let left = VecDeque::new();
        let (starting, seeking) = (HashMap::new(), HashSet::new());
        let reader = Self { events, next: None, commands, stop, left, starting, seeking };
        Ok((reader, thread))
    }

    fn tell(&self, command: Command) -> Result<(), LogError> {
        self.commands.send(command).map_err(|_| LogError::Refused("the consumer has ended".into()))
    }

    /// Keeps records, and those that lie behind them already, so that they are handled together.
    fn gather(&mut self, mut records: Vec<Record>, max: usize) {
        loop {
            let seeking = &self.seeking;
            let wanted = |record: &Record| {
                seeking.is_empty() || !seeking.contains(&(record.topic.clone(), record.partition))
            };
            self.left.extend(records.into_iter().filter(wanted));
            if self.left.len() >= max {
                return;
            }
            match self.events.try_recv() {
                Ok(Event::Records(more)) => records = more,
                other => {
                    self.next = other.ok();
                    return;
                }
            }
        }
    }

    fn take(&mut self, max: usize) -> Vec<Record> {
        self.left.drain(..max.min(self.left.len())).collect()
    }

    /// Begins to read an assignment when each of its partitions has its start.
    fn assign_when_complete(&mut self, number: u64) -> Result<(), LogError> {
        let complete = self.starting.get(&number).is_some_and(|starts| starts.values().all(Option::is_some));
        if !complete {
            return Ok(());
        }
        let starts = self.starting.remove(&number).unwrap_or_default();
        let starts = starts.into_iter().filter_map(|(place, start)| Some((place, start?)));
        self.tell(Command::Assign { number, starts: starts.collect() })
    }
}

#[async_trait]
impl ConsumedLog for Reader {
    async fn next(&mut self, max: usize) -> Result<Delivery, LogError> {
        loop {
            if !self.left.is_empty() {
                return Ok(Delivery::Records(self.take(max.max(1))));
            }
            let event = match self.next.take() {
                Some(event) => Some(event),
                None => self.events.recv().await,
            };
            match event {
                Some(Event::Records(records)) => self.gather(records, max),
                Some(Event::Assigned { number, partitions }) => {
                    if partitions.is_empty() {
                        return Ok(Delivery::Assigned(partitions));
                    }
                    let place = |assigned: &crate::Assignment| (assigned.topic.clone(), assigned.partition);
                    self.starting
                        .insert(number, partitions.iter().map(|assigned| (place(assigned), None)).collect());
                    return Ok(Delivery::Assigned(partitions));
                }
                Some(Event::Revoked(places)) => {
                    for place in &places {
                        self.seeking.remove(place);
                        for starts in self.starting.values_mut() {
                            starts.remove(place);
                        }
                    }
                    self.starting.retain(|_, starts| !starts.is_empty());
                    let numbers: Vec<u64> = self.starting.keys().copied().collect();
                    for number in numbers {
                        self.assign_when_complete(number)?;
                    }
                    return Ok(Delivery::Revoked(places));
                }
                Some(Event::Sought(place)) => drop(self.seeking.remove(&place)),
                // What came after it shows that it has passed.
                Some(Event::Failed(LogError::Unavailable(_))) if !self.events.is_empty() => {}
                Some(Event::Failed(error)) => return Err(error),
                None => return Err(LogError::Refused("the consumer has ended".into())),
            }
        }
    }

    async fn start(&mut self, topic: &str, partition: i32, offset: Option<i64>) -> Result<(), LogError> {
        let place: Place = (topic.into(), partition);
        let waiting = self.starting.iter_mut().find(|(_, starts)| starts.contains_key(&place));
        if let Some((number, starts)) = waiting {
            starts.insert(place, Some(offset));
            let number = *number;
            return self.assign_when_complete(number);
        }
        self.left.retain(|record| record.partition != partition || *record.topic != *topic);
        self.seeking.insert(place.clone());
        self.tell(Command::Seek { place, offset })
    }

    fn hint(&mut self, offsets: &[LogOffset]) {
        // A consumer that has ended needs none.
        let _ = self.tell(Command::Hint(offsets.to_vec()));
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}
