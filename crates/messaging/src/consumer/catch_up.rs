//! Topics that must be read before anything else counts: up to the end that they had at the start.
//!
//! It is the group that reads them, so that what its offsets say in the database decides, and a
//! replica without partitions waits for the others, too. A member that has some of them to read itself
//! defers everything else until it has, or a backlog there would be in the way.

use std::{collections::BTreeMap, sync::Arc};

use event_store::LogOffset;

use super::{BatchConsumer, Handler, Stop, Worker, lane::Lane};
use crate::{EventLog, Extent, LogError};

/// What is to be read first.
#[derive(Default)]
pub(super) struct CatchUp {
    /// The topics that nobody has asked about yet.
    asked: Vec<Arc<str>>,
    /// How far each reaches.
    ends: BTreeMap<Arc<str>, Vec<Extent>>,
}

impl CatchUp {
    pub(super) fn of(topics: impl IntoIterator<Item = Arc<str>>) -> Self {
        Self { asked: topics.into_iter().collect(), ends: BTreeMap::new() }
    }

    fn is_over(&self) -> bool {
        self.asked.is_empty() && self.ends.is_empty()
    }

    /// Whether that partition is one of them, and not read that far. One that has stopped is waited for in
    /// vain.
    fn lacks(&self, lane: &Lane) -> bool {
        let is = |it: &&Extent| it.partition == lane.partition && it.incarnation == lane.incarnation;
        let extent = self.ends.get(&lane.topic).and_then(|ends| ends.iter().find(is));
        lane.stopped.is_none() && extent.is_some_and(|it| it.first < it.end && lane.next < it.end)
    }

    /// Asks how far the topics reach that nobody has asked about.
    async fn ask(&mut self, log: &dyn EventLog) -> Result<(), LogError> {
        while let Some(topic) = self.asked.last() {
            let ends = log.extents(topic).await?;
            self.ends.extend(self.asked.pop().map(|topic| (topic, ends)));
        }
        Ok(())
    }

    /// Takes note of where the group stands; gives the topics that it has read now, and up to where.
    fn stand(&mut self, rows: &[LogOffset]) -> Vec<(Arc<str>, Vec<Extent>)> {
        let read = |topic: &Arc<str>, ends: &[Extent]| {
            ends.iter().all(|it| it.first == it.end || rows.iter().any(|row| reaches(row, topic, it)))
        };
        let (over, left) =
            std::mem::take(&mut self.ends).into_iter().partition(|(topic, ends)| read(topic, ends));
        self.ends = left;
        let over: BTreeMap<_, _> = over;
        over.into_iter().collect()
    }
}

fn reaches(row: &LogOffset, topic: &Arc<str>, extent: &Extent) -> bool {
    row.topic == *topic
        && row.partition == extent.partition
        && row.incarnation == extent.incarnation
        && row.next >= extent.end
}

impl<H: Handler> BatchConsumer<H> {
    /// Looks before anything is joined. What cannot be known yet counts as unread.
    pub(super) async fn has_caught_up(&mut self) -> bool {
        let group = &self.subscription.group;
        if let Err(error) = self.first.ask(&*self.log).await {
            tracing::warn!(%group, %error, "how far the log reaches is not known yet");
            return false;
        }
        match self.store.offsets(group).await {
            Ok(rows) => drop(self.first.stand(&rows)),
            Err(error) => tracing::warn!(%group, %error, "how far the log was read is not known yet"),
        }
        self.first.is_over()
    }
}

impl<H: Handler> Worker<H> {
    /// Looks whether what must be read first has been. Nothing is asked of a log that has not let us
    /// join yet.
    pub(super) async fn catch_up(&mut self) -> Result<(), Stop> {
        if self.consumer.first.is_over() || !self.joined {
            return Ok(());
        }
        let group = self.consumer.subscription.group.clone();
        let log = self.consumer.log.clone();
        if let Err(error) = self.consumer.first.ask(&*log).await {
            tracing::warn!(%group, %error, "how far the log reaches is not known yet");
            return Ok(());
        }
        let rows = self.offsets().await?;
        for (topic, ends) in self.consumer.first.stand(&rows) {
            let offsets = ends.iter().map(|it| format!("{}:{}", it.partition, it.end));
            let offsets = offsets.collect::<Vec<_>>().join(" ");
            tracing::info!(%group, %topic, offsets, "read up to the end that it had at the start");
        }
        self.defer().await?;
        let behind = !self.consumer.first.is_over();
        self.consumer
            .health
            .send_if_modified(|health| std::mem::replace(&mut health.behind, behind) != behind);
        Ok(())
    }

    /// Defers the other partitions while one is to be read first; then they are read from where they stand.
    async fn defer(&mut self) -> Result<(), Stop> {
        let first = self.lanes.iter().filter(|lane| self.consumer.first.lacks(lane)).count();
        let mut newly = 0;
        for index in 0..self.lanes.len() {
            let deferred = first > 0 && !self.consumer.first.lacks(&self.lanes[index]);
            match (std::mem::replace(&mut self.lanes[index].deferred, deferred), deferred) {
                (false, true) => newly += 1,
                (true, false) => self.start(index).await?,
                _ => {}
            }
        }
        if newly > 0 {
            let group = &self.consumer.subscription.group;
            tracing::info!(%group, first, deferred = newly, "some partitions are read first, and others after them");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Assignment;

    fn extent(partition: i32, first: i64, end: i64) -> Extent {
        Extent { partition, incarnation: "life".into(), first, end }
    }

    fn row(partition: i32, incarnation: &str, next: i64) -> LogOffset {
        let (consumer, topic) = ("group".into(), "ledger".into());
        LogOffset { consumer, topic, partition, incarnation: incarnation.into(), next }
    }

    #[test]
    fn a_topic_is_read_when_every_partition_is_up_to_the_end_that_it_had() {
        let ledger: Arc<str> = "ledger".into();
        let mut first = CatchUp::of([]);
        assert!(first.is_over());
        first.ends.insert(ledger.clone(), vec![extent(0, 0, 3), extent(1, 5, 5), extent(2, 2, 4)]);
        for behind in [
            vec![],
            vec![row(0, "life", 3), row(2, "life", 3)],
            vec![row(0, "life", 2), row(2, "life", 4)],
            // Another life of the topic says nothing of this one.
            vec![row(0, "earlier", 9), row(2, "life", 4)],
        ] {
            assert_eq!(first.stand(&behind), [], "{behind:?}");
            assert!(!first.is_over());
        }
        let read = first.stand(&[row(0, "life", 3), row(2, "life", 7)]);
        assert_eq!(read.iter().map(|(topic, _)| topic.clone()).collect::<Vec<_>>(), [ledger]);
        assert!(first.is_over());
    }

    #[test]
    fn a_partition_of_it_is_waited_for_until_it_is_read_or_has_stopped() {
        let ledger: Arc<str> = "ledger".into();
        let mut first = CatchUp::of([]);
        first.ends.insert(ledger.clone(), vec![extent(0, 0, 3), extent(1, 5, 5), extent(2, 2, 4)]);
        let lane = |topic: &str, partition, incarnation: &str, next| {
            let assignment = Assignment { topic: topic.into(), partition, incarnation: incarnation.into() };
            let row = LogOffset { topic: topic.into(), ..row(partition, incarnation, next) };
            Lane::new(assignment, Some(&row), 1)
        };
        assert!(first.lacks(&lane("ledger", 0, "life", 2)));
        assert!(!first.lacks(&lane("ledger", 0, "life", 3)));
        assert!(!first.lacks(&lane("ledger", 1, "life", 0)), "it is empty");
        assert!(!first.lacks(&lane("ledger", 2, "later", 0)), "it is another topic");
        assert!(!first.lacks(&lane("work", 0, "life", 0)));
        let mut stopped = lane("ledger", 0, "life", 2);
        stopped.stopped = Some("OFFSET_LOST".into());
        assert!(!first.lacks(&stopped));
    }
}
