//! Hears every answer, as the coordinator does.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;

use keys::JwkSet;
use messaging::{ConsumedLog, Delivery, EventLog, LogError, Message, Record, Subscription};
use participant::{contract, is_success};
use prost::Message as _;
use proto::participant::v1::{Acknowledgement, InstructionKind, Outcome, SignedAcknowledgement};
use tokio::{sync::watch, task::JoinSet, time::timeout};
use types::{CancellationId, ParticipantName};

use crate::Fault;

/// Records taken from the log at a time.
const RECORDS_MAX: usize = 1_000;

/// How long it may take to read what stands in the topic already.
const CATCH_UP: Duration = Duration::from_secs(600);

/// An answer: what it says, and the bytes that say it.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// What it says.
    pub answer: Acknowledgement,
    /// As it was signed.
    pub signed: SignedAcknowledgement,
    /// The headers it came with.
    pub headers: Vec<(Arc<str>, Bytes)>,
}

impl Heard {
    /// Whether this is the other one, bytes and all.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.signed == other.signed
    }

    /// Whether it says nothing that those before did not say. Only the bytes of an answer that was
    /// recorded must be the same again; what leaves no trace, the answer to what came too late or to
    /// ASSESS after the end, is made anew when its instruction is handled twice.
    pub(crate) fn repeats(&self, before: &[Self]) -> bool {
        let words = |heard: &Self| {
            let it = &heard.answer;
            (it.outcome, it.kind, it.epoch, it.revision, it.assessment_digest.clone())
        };
        let end = |it: &Acknowledgement| it.kind() == InstructionKind::Execute && is_success(it.outcome());
        let traceless = self.answer.outcome() == Outcome::Superseded
            || self.answer.kind() == InstructionKind::Assess
                && before.iter().any(|it| end(&it.answer) && it.answer.epoch < self.answer.epoch);
        before.iter().any(|it| it.is(self) || traceless && words(it) == words(self))
    }

    /// In few words, for whoever must see what came.
    #[must_use]
    pub fn told(&self) -> String {
        told(&self.answer)
    }
}

/// `DONE for EXECUTE of epoch 2, revision 1`.
pub(crate) fn told(answer: &Acknowledgement) -> String {
    let outcome = answer.outcome().as_str_name();
    let kind = answer.kind().as_str_name();
    format!(
        "{} for {} of epoch {}, revision {}",
        outcome.strip_prefix("OUTCOME_").unwrap_or(outcome),
        kind.strip_prefix("INSTRUCTION_KIND_").unwrap_or(kind),
        answer.epoch,
        answer.revision
    )
}

/// What has come so far.
#[derive(Debug, Default)]
pub(crate) struct Come {
    /// Records by case, in the order in which they came.
    records: HashMap<String, Vec<Record>>,
    /// The topic's partitions, once they are known.
    partitions: BTreeSet<i32>,
    /// Those that were read to where this run begins.
    caught_up: BTreeSet<i32>,
    /// Why nothing more comes.
    failed: Option<LogError>,
}

impl Come {
    pub(crate) fn of(&self, case: &CancellationId) -> &[Record] {
        self.records.get(case.as_str()).map(Vec::as_slice).unwrap_or_default()
    }

    pub(crate) fn cases(&self) -> impl Iterator<Item = &Vec<Record>> {
        self.records.values()
    }

    pub(crate) fn failure(&self) -> Option<&LogError> {
        self.failed.as_ref()
    }
}

/// The ear: reads the topic of acknowledgements from its beginning, and keeps what is about this
/// run's cases.
pub(crate) struct Hearing {
    pub(crate) come: watch::Receiver<Come>,
    _listening: JoinSet<()>,
}

impl Hearing {
    pub(crate) async fn start(log: &Arc<dyn EventLog>, run: &str) -> Result<Self, LogError> {
        let group: Arc<str> = format!("exeunt.{run}").into();
        let topics = vec![contract::ACKNOWLEDGEMENTS.into()];
        let reader = log.subscribe(Subscription { member: group.clone(), group, topics }).await?;
        let (tell, come) = watch::channel(Come::default());
        let mut listening = JoinSet::new();
        listening.spawn(listen(reader, tell, run.to_owned()));
        let mut hearing = Self { come, _listening: listening };
        hearing.catch_up(log, run).await?;
        Ok(hearing)
    }

    /// Reads what stands there already, so that from then on only the participant is waited for. An
    /// empty record in each partition marks where this run begins.
    async fn catch_up(&mut self, log: &Arc<dyn EventLog>, run: &str) -> Result<(), LogError> {
        let partitions = self.until(|come| !come.partitions.is_empty()).await?;
        let count = partitions.last().map_or(1, |last| last + 1);
        let mut keys = (0_u64..).map(|number| format!("{run}-begins-{number}"));
        let marks = partitions.iter().filter_map(|wanted| {
            let key = keys.find(|key| messaging::partition_of(key.as_bytes(), count) == *wanted)?;
            let (topic, payload) = (contract::ACKNOWLEDGEMENTS.into(), Some(Bytes::new()));
            Some(Message { topic, key: key.into(), headers: Vec::new(), payload })
        });
        log.publish(marks.collect()).await?;
        self.until(|come| come.caught_up.is_superset(&partitions)).await?;
        Ok(())
    }

    /// Waits, and gives the topic's partitions.
    async fn until(&mut self, wanted: impl Fn(&Come) -> bool) -> Result<BTreeSet<i32>, LogError> {
        let comes = self.come.wait_for(|come| wanted(come) || come.failed.is_some());
        match timeout(CATCH_UP, comes).await {
            Ok(Ok(come)) => come.failed.clone().map_or_else(|| Ok(come.partitions.clone()), Err),
            Ok(Err(_)) | Err(_) => Err(LogError::unavailable("the topic was not read to its end in time")),
        }
    }
}

async fn listen(mut reader: Box<dyn ConsumedLog>, tell: watch::Sender<Come>, run: String) {
    loop {
        match hear(&mut *reader, &tell, &run).await {
            // It is tried again for as long as anybody waits.
            Ok(()) | Err(LogError::Unavailable(_)) => {}
            Err(error) => return tell.send_modify(|come| come.failed = Some(error)),
        }
    }
}

async fn hear(reader: &mut dyn ConsumedLog, tell: &watch::Sender<Come>, run: &str) -> Result<(), LogError> {
    match reader.next(RECORDS_MAX).await? {
        Delivery::Assigned(partitions) => {
            for partition in &partitions {
                reader.start(&partition.topic, partition.partition, None).await?;
            }
            let numbers = partitions.iter().map(|partition| partition.partition);
            tell.send_modify(|come| come.partitions.extend(numbers));
        }
        Delivery::Revoked(_) => {}
        Delivery::Records(records) => tell.send_modify(|come| {
            for record in records {
                let case = String::from_utf8_lossy(&record.key).into_owned();
                if !case.starts_with(run) {
                    continue;
                }
                if record.payload.is_empty() {
                    come.caught_up.insert(record.partition);
                } else {
                    come.records.entry(case).or_default().push(record);
                }
            }
        }),
    }
    Ok(())
}

/// Reads an answer; its signature must hold, and it must be about what its key says.
pub(crate) fn read(record: &Record, name: &ParticipantName, keys: &JwkSet) -> Result<Heard, Fault> {
    let case = String::from_utf8_lossy(&record.key);
    let about = |what: &str| format!("{what} of an answer about {case}");
    let signed = SignedAcknowledgement::decode(record.payload.clone()).map_err(|error| {
        Fault::broken(about("payload"), "a SignedAcknowledgement", format!("bytes that are none: {error}"))
    })?;
    let answer = contract::verify(&signed, keys).map_err(|error| {
        let ours: Vec<&str> = keys.keys.iter().map(keys::Jwk::kid).collect();
        let seen = format!("kid {:?}: {error}", signed.kid);
        Fault::broken(about("signature"), format!("one that holds under {}", ours.join(" or ")), seen)
    })?;
    if answer.participant != name.as_str() {
        return Err(Fault::broken(about("participant"), name.as_str(), answer.participant));
    }
    if answer.cancellation_id != case {
        return Err(Fault::broken(about("cancellation_id"), case, answer.cancellation_id));
    }
    Ok(Heard { answer, signed, headers: record.headers.clone() })
}
